//! `walk`: reads from the ledger or from a registry, and prints the page.

use std::path::PathBuf;

use super::{
    findings::{State, Walk, title},
    from_ledger, from_registry, html,
};
use crate::cli::{
    mlflow_server::MlflowCredentials,
    output::{self, Exit, Failure, Format, Result, coloured, say},
    source::{Source, SourceArgs},
};

/// Six-field readiness of one model.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger walk --model credit --environment production\n  promotion-ledger walk --model credit-pd --mlflow http://127.0.0.1:5000 --html readiness.html\n\nWithout --mlflow: the model's newest promotion in the ledger, each piece of its evidence read and hashed; a model that was\nrecorded as undocumented shows what it lacks. With --mlflow: a version of the registry that was never promoted, on a server\nthat has never heard of a ledger. Anything that would have to be reconstructed makes it undocumented: exit code 1."
)]
pub struct Args {
    /// The model: as the ledger's slots name it, or as the registry does
    #[arg(long)]
    model: String,
    /// Environment of the slot
    #[arg(long, default_value = "")]
    environment: String,
    /// Walk a version of this MLflow server instead
    #[arg(long, value_name = "URL")]
    mlflow: Option<String>,
    /// MLflow: a version number; without it the newest
    #[arg(long, requires = "mlflow")]
    model_version: Option<String>,
    /// MLflow: the version that an alias points to
    #[arg(long, requires = "mlflow", conflicts_with = "model_version")]
    alias: Option<String>,
    #[command(flatten)]
    credentials: MlflowCredentials,
    /// Also write the page as one self-contained HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let walk = match &args.mlflow {
        Some(url) => {
            let client = args.credentials.open(url)?;
            let wanted = match (&args.model_version, &args.alias) {
                (Some(version), _) => from_registry::Wanted::Version(version),
                (None, Some(alias)) => from_registry::Wanted::Alias(alias),
                (None, None) => from_registry::Wanted::Newest,
            };
            from_registry::walk(&client, url, &args.model, wanted).await?
        }
        None => from_ledger::walk(&Source::open(&args.source).await?, &args.model, &args.environment).await?,
    };
    if let Some(path) = &args.html {
        std::fs::write(path, html::page(&walk))
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    }
    match format {
        Format::Json => {
            let mut document = serde_json::json!(walk);
            if let Some(object) = document.as_object_mut() {
                object.insert("verdict".into(), walk.verdict().into());
            }
            output::json(&document);
        }
        Format::Text => text(&walk),
    }
    Ok(if walk.is_documented() { Exit::Ok } else { Exit::No })
}

fn text(walk: &Walk) {
    say!("{}  ({})", coloured("1", &walk.subject), walk.origin);
    for (name, value) in &walk.about {
        say!("  {name:<12} {value}");
    }
    for field in &walk.fields {
        let state = match field.state {
            State::Frozen => coloured("32", "frozen"),
            State::Reconstruct => coloured("31", "would have to be reconstructed"),
        };
        say!("");
        say!("{:<22} {state}", title(field.field));
        say!("  from {}", field.source);
        for line in &field.found {
            say!("  - {line}");
        }
        for line in &field.lacks {
            say!("  ! {line}");
        }
    }
    say!("");
    match walk.open().len() {
        0 => say!("{}: all six fields are frozen", coloured("32", walk.verdict())),
        n => say!("{}: {n} of six fields would have to be reconstructed", coloured("31", walk.verdict())),
    }
}
