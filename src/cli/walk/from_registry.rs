//! A version of an MLflow registry that was never promoted: what the registry holds of each field, and why none of it is
//! frozen. Nothing here needs a ledger.

use super::findings::{Field, Walk};
use crate::{
    cli::{
        mlflow_server::failed,
        output::{Exit, Failure, Result, utc},
    },
    event::gate::SIX_FIELDS,
    mlflow::{Bytes, Client, Run, Tag, Version, digest},
};

/// Lines of one kind that a page shows.
const LINES_MAX: usize = 8;

/// Which version.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The newest.
    Newest,
    /// This one.
    Version(&'a str),
    /// The one that an alias points to.
    Alias(&'a str),
}

/// What a registry knows of a version.
struct Known {
    version: Version,
    bytes: Bytes,
    run: Option<Run>,
    files: Vec<String>,
}

/// Walks a version.
///
/// # Errors
/// Exit code 3 if the server cannot be asked, 1 if it has no such version.
pub async fn walk(client: &Client, url: &str, model: &str, wanted: Wanted<'_>) -> Result<Walk> {
    let version = find(client, model, wanted).await?;
    let known = look(client, version).await?;
    let origin = format!("MLflow {url}");
    let created = known.version.creation_timestamp.saturating_mul(1_000);
    let about = vec![
        (
            "registered".to_owned(),
            format!("{} by {}", utc(created), or(&known.version.user_id, "nobody named")),
        ),
        ("run".to_owned(), or(&known.version.run_id, "none").to_owned()),
        ("source".to_owned(), known.version.source.clone()),
    ];
    let subject = format!("{model} version {}", known.version.version);
    Ok(Walk { subject, about, fields: fields(&known, &origin), origin })
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

async fn find(client: &Client, model: &str, wanted: Wanted<'_>) -> Result<Version> {
    let none = |what: String| Failure::new(Exit::No, format!("the registry has {what}"));
    let number = match wanted {
        Wanted::Version(number) => number.to_owned(),
        Wanted::Newest => {
            let versions = client.versions(model).await.map_err(failed)?;
            return versions.into_iter().next().ok_or_else(|| none(format!("no version of {model}")));
        }
        Wanted::Alias(alias) => {
            let registered = client.model(model).await.map_err(failed)?;
            let registered = registered.ok_or_else(|| none(format!("no model {model}")))?;
            let found = registered.aliases.into_iter().find(|it| it.alias == alias);
            found.ok_or_else(|| none(format!("no alias {alias} of {model}")))?.version
        }
    };
    let found = client.version(model, &number).await.map_err(failed)?;
    found.ok_or_else(|| none(format!("no version {number} of {model}")))
}

async fn look(client: &Client, version: Version) -> Result<Known> {
    let bytes = digest(client, &version.name, &version.version).await.map_err(failed)?;
    let (mut run, mut files) = (None, Vec::new());
    if !version.run_id.is_empty() {
        run = client.run(&version.run_id).await.map_err(failed)?;
        if run.is_some() {
            // A run's store may be one that the server does not read.
            files = client.run_files(&version.run_id).await.unwrap_or_default();
        }
    }
    Ok(Known { version, bytes, run, files })
}

fn fields(known: &Known, origin: &str) -> Vec<Field> {
    let run = match known.version.run_id.as_str() {
        "" => format!("{origin}, no run"),
        id => format!("{origin}, run {id}"),
    };
    SIX_FIELDS
        .iter()
        .map(|name| match *name {
            "model_version" => model_version(known, origin),
            "challenger_comparison" => comparison(known, &run),
            "approval_request" => request(known, origin),
            "approver_identity" => approver(known, origin),
            "explanation" => explanation(known, &run),
            _ => dataset(known, &run),
        })
        .collect()
}

fn model_version(known: &Known, origin: &str) -> Field {
    let mut field = Field::new("model_version", origin);
    let Version { name, version, .. } = &known.version;
    field.finds(format!("{name} version {version}: a concrete version, its files can be replaced under it"));
    match &known.bytes {
        Bytes::Read { archive, length, .. } => {
            field.finds(format!("{length} bytes, sha256 {archive} as an archive, now"));
            field.lacks(
                "nobody wrote down a digest when it was decided: what the files were then, only backups know",
            );
        }
        Bytes::Elsewhere(why) => field.lacks(format!("its bytes could not be hashed: {why}")),
        Bytes::Gone => field.lacks("its files are gone"),
    }
    if let Some(tag) = tag_like(&known.version.tags, &["sha256", "digest", "checksum"]) {
        field.finds(format!("tag {} = {}: anybody who may tag can change it", tag.key, tag.value));
    }
    field
}

fn comparison(known: &Known, source: &str) -> Field {
    let mut field = Field::new("challenger_comparison", source);
    let metrics = known.run.as_ref().map(|run| run.data.metrics.as_slice()).unwrap_or_default();
    if !metrics.is_empty() {
        let names: Vec<_> = metrics.iter().take(LINES_MAX).map(|metric| metric.key.as_str()).collect();
        field.finds(format!("{} metrics of this run: {}", metrics.len(), names.join(", ")));
    }
    let reports = files_like(known, &["compar", "champion", "challenger", "diff", "benchmark"]);
    for path in &reports {
        field.finds(format!("file {path}"));
    }
    field.lacks(match reports.is_empty() {
        true => "no rendered comparison with the incumbent: the notebook would have to run again",
        false => {
            "the report is bound to no dataset, no incumbent's digest and no decision, and can be replaced"
        }
    });
    field
}

fn request(known: &Known, origin: &str) -> Field {
    let mut field = Field::new("approval_request", format!("no workflow tool; tags of {origin}"));
    let words = ["ticket", "jira", "request", "approval", "change", "snow"];
    for tag in tags_like(&known.version.tags, &words) {
        field.finds(format!("tag {} = {}", tag.key, tag.value));
    }
    field.lacks(
        "no request: who asked for what, which questions, which answers and for which tier is not kept",
    );
    field
}

fn approver(known: &Known, origin: &str) -> Field {
    let mut field = Field::new("approver_identity", format!("no identity provider; tags of {origin}"));
    for tag in tags_like(&known.version.tags, &["approve", "reviewer", "signed", "validated"]) {
        field.finds(format!("tag {} = {}: typed, not logged in", tag.key, tag.value));
    }
    if !known.version.user_id.is_empty() {
        field.finds(format!("registered by {}", known.version.user_id));
    }
    field.lacks("nobody's login is bound to a decision: who registered a version did not approve it");
    field
}

fn explanation(known: &Known, source: &str) -> Field {
    let mut field = Field::new("explanation", source);
    let reports = files_like(known, &["shap", "explain", "attribution", "importance", "lime", "captum"]);
    for path in &reports {
        field.finds(format!("file {path}"));
    }
    field.lacks(match reports.is_empty() {
        true => "no explanation of this version: it would be computed again, on whatever data there is then",
        false => "the file names no artefact digest and no dataset, is not locked, and can be overwritten",
    });
    field
}

fn dataset(known: &Known, source: &str) -> Field {
    let mut field = Field::new("dataset", source);
    let inputs = known.run.as_ref().map(|run| run.inputs.dataset_inputs.as_slice()).unwrap_or_default();
    for input in inputs.iter().take(LINES_MAX) {
        let dataset = &input.dataset;
        field.finds(format!("{} ({}), digest {}", dataset.name, dataset.source_type, dataset.digest));
    }
    field.lacks(match inputs.is_empty() {
        true => "no dataset is named: what it was evaluated on is not known",
        false => "MLflow's digest has 8 characters over a sample of rows: another dataset can have the same",
    });
    field
}

fn tags_like<'a>(tags: &'a [Tag], words: &[&str]) -> Vec<&'a Tag> {
    let like = |tag: &&Tag| words.iter().any(|word| tag.key.to_lowercase().contains(word));
    tags.iter().filter(like).take(LINES_MAX).collect()
}

fn tag_like<'a>(tags: &'a [Tag], words: &[&str]) -> Option<&'a Tag> {
    tags_like(tags, words).into_iter().next()
}

fn files_like<'a>(known: &'a Known, words: &[&str]) -> Vec<&'a String> {
    let like = |path: &&String| words.iter().any(|word| path.to_lowercase().contains(word));
    known.files.iter().filter(like).take(LINES_MAX).collect()
}
