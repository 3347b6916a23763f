//! `baseline import`: reads an inventory and records each model as undocumented.

use std::path::PathBuf;

use super::{
    csv_file,
    mlflow::{self, Inventory},
    model::Model,
};
use crate::{
    cli::{
        act::ActorArgs,
        admin::SlotRole,
        list::print_table,
        mlflow_server::MlflowCredentials,
        output::{self, Exit, Failure, Format, Result, say},
        progress, six_fields,
        source::connect_as,
        submit::{self, request, retrying},
        when,
    },
    event::proto::{RecordUndocumentedRequest, Slot, gate_service_client::GateServiceClient},
};

/// Models from before the ledger.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Record what is in production as undocumented: what is known, what is missing, until when
    Import(Import),
}

/// Arguments of `baseline import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger baseline import --csv models.csv --sunset 2027-06-30 --reason \"inventory of November\" --dry-run\n  promotion-ledger baseline import --mlflow https://mlflow.example.bank --registry-uri mlflow://registry.example.bank --environment production --alias champion --sunset 2027-06-30 --reason \"inventory of November\"\n\nCSV: the first line names the columns: model and environment, then region, role, artifact_sha256, registry_uri, name, version,\nmissing (names of the six fields, separated by semicolons) and sunset; every other column is a known fact. MLflow: the\nversion that --alias points to (or, on older servers, that is in that stage); its digest is read from --digest-tag. Without\na digest no gate lets the model pass in enforce mode. Nothing here is a promotion, and a slot that held one is left alone.\nImporting the same again records nothing twice."
)]
struct Import {
    /// An inventory as CSV
    #[arg(long, value_name = "FILE", conflicts_with = "mlflow", required_unless_present = "mlflow")]
    csv: Option<PathBuf>,
    /// Address of an MLflow server
    #[arg(long, value_name = "URL", requires_all = ["registry_uri", "environment"])]
    mlflow: Option<String>,
    /// MLflow: the registry's name, as promotions will write it
    #[arg(long, value_name = "URI")]
    registry_uri: Option<String>,
    /// MLflow: the environment in which the models run
    #[arg(long)]
    environment: Option<String>,
    /// MLflow: their region
    #[arg(long, default_value = "")]
    region: String,
    /// MLflow: their role
    #[arg(long, value_enum, default_value = "champion")]
    role: SlotRole,
    /// MLflow: the alias or stage that production uses
    #[arg(long, default_value = "champion")]
    alias: String,
    /// MLflow: the tag of a version that holds its artefact's SHA-256
    #[arg(long, default_value = "artifact_sha256")]
    digest_tag: String,
    #[command(flatten)]
    credentials: MlflowCredentials,
    /// Gates refuse them from then on: a date or time, UTC, at most two years ahead
    #[arg(long, value_name = "DATE")]
    sunset: String,
    /// How it is known, in words; sealed
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    actor: ActorArgs,
    /// Only say what would be recorded
    #[arg(long)]
    dry_run: bool,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = crate::cli::source::URL_DEFAULT)]
    url: String,
}

/// Runs the command. Exit code 1 if a model was refused.
pub async fn run(args: Args, format: Format) -> Result {
    let Step::Import(import) = args.step;
    let sunset = when::moment(&import.sunset, &jiff::tz::TimeZone::UTC).map_err(Failure::usage)?;
    let models = match (&import.csv, &import.mlflow) {
        (Some(path), _) => csv_file::read(path)?,
        (None, Some(url)) => mlflow::read(&inventory(&import, url)?).await?,
        (None, None) => return Err(Failure::usage("give --csv or --mlflow")),
    };
    let done = if import.dry_run { Vec::new() } else { record(&import, &models, sunset).await? };
    let refused = done.iter().filter(|outcome| outcome.is_err()).count();
    match format {
        Format::Json => json(&models, &done),
        Format::Text => text(&models, &done),
    }
    Ok(if refused == 0 { Exit::Ok } else { Exit::No })
}

fn inventory<'a>(import: &'a Import, url: &str) -> Result<Inventory<'a>> {
    Ok(Inventory {
        client: import.credentials.open(url)?,
        registry_uri: import.registry_uri.as_deref().unwrap_or_default(),
        alias: &import.alias,
        digest_tag: &import.digest_tag,
        slot: Slot {
            model: String::new(),
            environment: import.environment.clone().unwrap_or_default(),
            region: import.region.clone(),
            role: import.role.number(),
        },
    })
}

/// What became of one model: its entry and whether it was there already, or why not.
type Outcome = std::result::Result<(u64, bool), String>;

async fn record(import: &Import, models: &[Model], sunset: u64) -> Result<Vec<Outcome>> {
    let actor = import.actor.person(&import.url)?;
    let channel = connect_as(Some(&import.url), actor.as_ref()).await?;
    let key = submit::log_key(&channel, None).await?;
    let client = GateServiceClient::new(channel);
    let bar = progress::bar(models.len() as u64, "models");
    let mut done = Vec::with_capacity(models.len());
    for model in models {
        let sunset = model.sunset.unwrap_or(sunset);
        let message = RecordUndocumentedRequest {
            slot: Some(model.slot.clone()),
            artifact_sha256: model.artifact.map(|it| it.0.to_vec()).unwrap_or_default(),
            version: model.version.clone(),
            known: model.known.clone(),
            missing: model.missing.clone(),
            sunset,
            actor: actor.clone(),
            reason: import.reason.clone(),
            request_id: model.request_id(sunset),
        };
        let answer = retrying(|| {
            let (mut client, message) = (client.clone(), message.clone());
            async move { client.record_undocumented(request(message)).await }
        });
        done.push(match answer.await {
            Ok(answer) => {
                let recorded = submit::verified(answer.receipt, &key)?;
                Ok((recorded.receipt.seq, recorded.receipt.duplicate))
            }
            // One model that is refused does not stop the others; a node that is gone does.
            Err(status) => {
                let failure = Failure::from(status.clone());
                if failure.exit != Exit::No {
                    return Err(failure);
                }
                Err(status.message().to_owned())
            }
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(done)
}

fn json(models: &[Model], done: &[Outcome]) {
    let rows = models.iter().enumerate().map(|(i, model)| {
        let outcome = done.get(i);
        serde_json::json!({
            "slot": model.slot, "artifact_sha256": model.artifact.map(|it| it.to_string()), "version": model.version,
            "known": model.known, "missing": model.missing,
            "seq": outcome.and_then(|it| it.as_ref().ok()).map(|(seq, _)| seq),
            "duplicate": outcome.and_then(|it| it.as_ref().ok()).map(|(_, duplicate)| duplicate),
            "error": outcome.and_then(|it| it.as_ref().err()),
        })
    });
    output::json(&serde_json::json!({ "models": rows.collect::<Vec<_>>() }));
}

fn text(models: &[Model], done: &[Outcome]) {
    let mut rows = vec![["slot", "model", "outcome"].map(str::to_owned)];
    for (i, model) in models.iter().enumerate() {
        let outcome = match done.get(i) {
            None => "would be recorded".to_owned(),
            Some(Ok((seq, false))) => format!("entry {seq}"),
            Some(Ok((seq, true))) => format!("entry {seq} already"),
            Some(Err(why)) => format!("REFUSED: {why}"),
        };
        rows.push([six_fields::slot(Some(&model.slot)), model.words(), outcome]);
    }
    print_table(&rows);
    let refused = done.iter().filter(|outcome| outcome.is_err()).count();
    let unknown = models.iter().filter(|model| model.artifact.is_none()).count();
    say!(
        "{} models, {refused} refused; {unknown} without a digest, which no gate lets pass in enforce mode",
        models.len()
    );
}
