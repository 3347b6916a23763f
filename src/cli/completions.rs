//! `completions`: for the shell.

use clap_complete::Shell;

use super::output::{Exit, Result};

/// Print shell completions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  promotion-ledger completions bash > /etc/bash_completion.d/promotion-ledger")]
pub struct Args {
    /// Of which shell
    pub shell: Shell,
}

/// Runs the command on the whole command line.
pub fn run(args: &Args, mut cli: clap::Command) -> Result {
    clap_complete::generate(args.shell, &mut cli, "promotion-ledger", &mut std::io::stdout().lock());
    Ok(Exit::Ok)
}
