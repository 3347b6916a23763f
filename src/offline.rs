//! The verify-only build's one command: a receipt, checked offline with the log key alone.
//!
//! No database, broker or network code is in this build, so what it says needs no trust in a server.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;

use crate::{
    event::{canonical, digest},
    proof::{
        checkpoint::LogKey,
        receipt::{self, Receipt},
    },
};

/// Verifies receipts of a promotion ledger offline.
#[derive(Debug, Parser)]
#[command(name = "promotion-ledger", version)]
enum Command {
    /// Check a receipt, and the record that it is for
    Verify {
        /// The receipt, a C2SP tlog-proof
        #[arg(long)]
        receipt: PathBuf,
        /// The ledger's log key: a file with it, or the line itself (`<name>+<hash>+<base64>`)
        #[arg(long)]
        key: String,
        /// The record, as stored on the topic
        #[arg(long)]
        record: Option<PathBuf>,
    },
}

/// Runs the command. Exit code 0: it holds; 1: it does not; 2: usage.
pub fn run() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            // Printing help fails only if nobody reads it.
            let _ = error.print();
            return if error.use_stderr() { 2.into() } else { ExitCode::SUCCESS };
        }
    };
    let Command::Verify { receipt, key, record } = command;
    match check(&receipt, &key, record.as_deref()) {
        Ok(lines) => {
            println!("{lines}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(receipt: &std::path::Path, key: &str, record: Option<&std::path::Path>) -> anyhow::Result<String> {
    let text = fs::read_to_string(receipt).with_context(|| receipt.display().to_string())?;
    let key = fs::read_to_string(key).unwrap_or_else(|_| key.to_owned());
    let (header, checkpoint) = Receipt::parse(&text)?.verify(&LogKey::parse(&key)?)?;
    let mut lines = format!(
        "entry {} of {} is in the checkpoint over {} entries\nevent digest {}",
        header.seq, checkpoint.origin, checkpoint.size, header.event_digest
    );
    if let Some(path) = record {
        let value = fs::read(path).with_context(|| path.display().to_string())?;
        receipt::check_record(&header, &value)?;
        if let Ok(record) = canonical::decode(&value) {
            let found = digest::sha256(&record.envelope.body);
            anyhow::ensure!(
                found == header.event_digest,
                "the body's SHA-256 is {found}, not the event digest"
            );
        }
        lines.push_str("\nthe record is the one that the entry commits to");
    }
    Ok(lines)
}
