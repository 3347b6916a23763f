//! `verify --receipt`: one receipt, offline, with the log key alone.

use std::path::{Path, PathBuf};

use crate::{
    event::{Header, canonical},
    proof::{
        checkpoint::{Checkpoint, LogKey},
        receipt::{Receipt, check_record},
    },
};

use super::{
    event_json,
    output::{self, Exit, Failure, Format, Result, coloured, say},
};

/// Arguments of `verify --receipt`.
#[derive(Debug, clap::Args)]
pub struct ReceiptArgs {
    /// Check this receipt only; needs --key, and no ledger or network
    #[arg(long, value_name = "FILE", requires = "key")]
    pub receipt: Option<PathBuf>,
    /// The ledger's log key, one line, as `init` and `status` print it, or a file that holds it
    #[arg(long, value_name = "VKEY", requires = "receipt")]
    key: Option<String>,
    /// The record that the receipt is for, as `show --record` writes it
    #[arg(long, value_name = "FILE", requires = "receipt")]
    record: Option<PathBuf>,
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{flag} {}: {error}", path.display())))
}

/// Runs the command.
pub fn run(args: &ReceiptArgs, format: Format) -> Result {
    let (Some(path), Some(key)) = (&args.receipt, &args.key) else {
        return Err(Failure::usage("--receipt and --key go together"));
    };
    let text = String::from_utf8(read("--receipt", path)?);
    let text = text.map_err(|_| Failure::usage(format!("--receipt {} is not text", path.display())))?;
    let key = match std::fs::read_to_string(key) {
        Ok(line) => line,
        Err(_) => key.clone(),
    };
    let key = LogKey::parse(&key).map_err(|error| Failure::usage(format!("--key: {error}")))?;
    let record = args.record.as_ref().map(|path| read("--record", path)).transpose()?;
    let checked =
        Receipt::parse(&text).and_then(|receipt| receipt.verify(&key)).and_then(|(header, checkpoint)| {
            record.as_ref().map_or(Ok(()), |record| check_record(&header, record))?;
            Ok((header, checkpoint))
        });
    match checked {
        Ok((header, checkpoint)) => {
            print(&header, &checkpoint, record.as_deref(), format);
            Ok(Exit::Ok)
        }
        Err(error) => Err(Failure::new(Exit::No, format!("the receipt does not hold: {error}"))),
    }
}

fn print(header: &Header, checkpoint: &Checkpoint, record: Option<&[u8]>, format: Format) {
    let body = record.and_then(|record| canonical::decode(record).ok()).map(|record| record.body);
    if format == Format::Json {
        output::json(&serde_json::json!({
            "verified": true, "header": event_json::header(header), "body": body,
            "checkpoint": { "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.to_string() },
        }));
        return;
    }
    let kind = header.kind.map_or("unreadable record", |kind| kind.name());
    say!("{}", coloured("32", "The receipt holds."));
    say!("  entry         {} of {}: {kind}, {}", header.seq, checkpoint.origin, header.outcome);
    say!("  recorded at   {}", output::utc(header.recorded_at));
    say!("  event digest  {}", header.event_digest);
    say!("  checkpoint    size {}, root {}", checkpoint.size, checkpoint.root);
    match body {
        Some(_) => say!("  record        is the one that the entry commits to"),
        None => say!("  record        not given; compare the event digest with SHA-256 of the event's body"),
    }
}
