//! `promotion-ledger`: parses arguments, runs one command, exits with its code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A node makes and drops some hundred small strings for each event, on several threads.
#[cfg(feature = "node")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "node")]
fn main() -> ExitCode {
    promotion_ledger::cli::run()
}

#[cfg(not(feature = "node"))]
fn main() -> ExitCode {
    promotion_ledger::offline::run()
}
