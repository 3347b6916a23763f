//! `completions`: for the shell.

use clap_complete::Shell;

use super::output::{Exit, Result, say};

/// Print shell completions.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  promotion-ledger completions bash > /etc/bash_completion.d/promotion-ledger"
)]
pub struct Args {
    /// Of which shell
    pub shell: Shell,
}

/// Runs the command on the whole command line.
pub fn run(args: &Args, mut cli: clap::Command) -> Result {
    // Made whole first: the generator panics where nobody reads on, as in `completions bash | head`.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "promotion-ledger", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Ok)
}
