//! `promotion-ledger`: parses arguments, runs one command, exits with its code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(feature = "node")]
fn main() -> ExitCode {
    promotion_ledger::cli::run()
}

#[cfg(not(feature = "node"))]
fn main() -> ExitCode {
    promotion_ledger::offline::run()
}
