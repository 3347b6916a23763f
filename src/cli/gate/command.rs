//! The subcommands of `gate`.

use super::{break_glass, check, coverage, fetch, status_list, webhook};
use crate::cli::output::{Format, Result};

/// The gate in front of production: check, fetch, status lists, coverage, Kubernetes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger gate check --artifact sha256:5f3a…e1 --environment production --junit gate.xml\n  promotion-ledger gate check --file model.pkl --environment production --region eu\n  promotion-ledger gate status-list --environment production -o production.status\n  promotion-ledger gate check --file model.pkl --environment production --status-list production.status --receipt v12.tlog-proof --log-key VKEY\n  promotion-ledger gate fetch https://models.example.bank/credit/12/model.pkl#sha256:5f3a…e1 model.pkl --environment production\n  promotion-ledger gate coverage --environment production\n\nExit codes: 0 let it pass, 1 do not, 2 usage, 3 no node could say. How strict gates are for a target is an act of the\nadministrators: promotion-ledger admin prepare -o mode.bin gate-mode --environment production --mode enforce."
)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// May this artefact run there?
    Check(check::Args),
    /// Download bytes and hand them over only if they have the digest and may run there
    Fetch(fetch::Args),
    /// Get the signed list with which a gate decides while no node can be reached
    StatusList(status_list::Args),
    /// What stands in each slot: promoted, undocumented, or unknown
    Coverage(coverage::Args),
    /// Let an artefact in for a while without a promotion, in your own name
    BreakGlass(break_glass::Args),
    /// Emergencies that no promotion covers yet
    BreakGlassList(coverage::Emergencies),
    /// Answer Kubernetes' admission reviews over TLS
    Webhook(webhook::Args),
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.step {
        Step::Check(args) => check::run(args, format).await,
        Step::Fetch(args) => fetch::run(args, format).await,
        Step::StatusList(args) => status_list::run(args, format).await,
        Step::Coverage(args) => coverage::run(args, format).await,
        Step::BreakGlass(args) => break_glass::run(args, format).await,
        Step::BreakGlassList(args) => coverage::emergencies(args, format).await,
        Step::Webhook(args) => webhook::run(args).await,
    }
}
