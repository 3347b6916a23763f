//! `promotion-ledger`: parses arguments, runs one command, exits with its code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    promotion_ledger::cli::run()
}
