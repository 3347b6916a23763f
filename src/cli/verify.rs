//! `verify`: recomputes a ledger from genesis.

use super::{output::{Exit, Format, Result}, source::SourceArgs};

/// Recompute the ledger from genesis.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub async fn run(_args: Args, _format: Format) -> Result {
    Ok(Exit::Ok)
}
