//! `registry sweep`: the control over a model registry, now.

use super::{
    custody_words::{registry_problem, registry_subject},
    output::{self, Exit, Format, Result, coloured, say},
    source::{URL_DEFAULT, connect},
};
use crate::event::proto::{SweepRequest, SweepResponse, registry_service_client::RegistryServiceClient};

/// The model registry.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Compare aliases, pointers and the bytes of current versions with the ledger
    Sweep(Sweep),
}

/// Arguments of `registry sweep`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger registry sweep\n  promotion-ledger registry sweep --model credit-pd --format json\n\nThe node asks the registry, records each contradiction (registry_finding) and raises an alert until it is over. It does the\nsame on a schedule, and when the registry's webhook says that something changed. Exit code 1 if anything was found."
)]
struct Sweep {
    /// One registered model; without it all
    #[arg(long, default_value = "")]
    model: String,
    /// Name of the registry in the node's configuration, where there are several
    #[arg(long, default_value = "")]
    registry: String,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = URL_DEFAULT)]
    url: String,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let Step::Sweep(sweep) = args.step;
    let mut client = RegistryServiceClient::new(connect(Some(&sweep.url)).await?);
    let message = SweepRequest { registry: sweep.registry, model: sweep.model };
    // No deadline: the bytes of every current version are read.
    let answer = client.sweep(message).await?.into_inner();
    match format {
        Format::Json => output::json(&answer),
        Format::Text => text(&answer),
    }
    Ok(if answer.findings.is_empty() { Exit::Ok } else { Exit::No })
}

fn text(answer: &SweepResponse) {
    for finding in &answer.findings {
        say!("{}  {}", coloured("31", registry_problem(finding.problem)), registry_subject(finding));
        say!("    {}", finding.detail);
    }
    for words in &answer.unread {
        say!("not compared  {words}");
    }
    say!(
        "{}: {} models compared, {} bytes read, {} findings",
        answer.registry_uri,
        answer.models,
        answer.bytes,
        answer.findings.len()
    );
}
