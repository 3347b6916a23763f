//! `verify --receipt`: one receipt, offline, with the log key alone.

use std::path::{Path, PathBuf};

use crate::{
    event::{Header, Micros, canonical},
    proof::{
        checkpoint::Checkpoint,
        cosignature::{Cosignature, WitnessKey, cosignatures},
        receipt::{Receipt, check_record},
        timestamp,
    },
};

use super::{
    event_json, log_key,
    output::{self, Exit, Failure, Format, Result, coloured, say},
    verify_bundle,
};

/// Arguments of `verify --receipt`.
#[derive(Debug, clap::Args)]
pub struct ReceiptArgs {
    /// Check this receipt only; needs --key, and no ledger or network
    #[arg(long, value_name = "FILE", requires = "key")]
    pub receipt: Option<PathBuf>,
    /// With --receipt or a bundle: the ledger's log key, one line, as `init` and `status` print it, or a file that holds it
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// With --receipt or a bundle: a witness that you trust, by its C2SP verifier key; says when it saw the entry. Repeat
    /// for each
    #[arg(long, value_name = "VKEY")]
    witness: Vec<String>,
    /// With a bundle or --timestamp: the root of a time-stamp authority (PEM) that must verify the stamps. Repeat for each
    #[arg(long, value_name = "FILE")]
    tsa: Vec<PathBuf>,
    /// A time-stamp (RFC 3161) of the receipt's checkpoint, as `proof timestamp` writes it; needs --tsa
    #[arg(long, value_name = "FILE", requires = "receipt", requires = "tsa")]
    timestamp: Option<PathBuf>,
    /// The record that the receipt is for, as `show --record` writes it
    #[arg(long, value_name = "FILE", requires = "receipt")]
    record: Option<PathBuf>,
}

impl ReceiptArgs {
    /// Log key, witnesses and roots of authorities, which a bundle is checked with as well.
    pub fn known(&self) -> (Option<&str>, &[String], &[PathBuf]) {
        (self.key.as_deref(), &self.witness, &self.tsa)
    }
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
    let key = log_key::given(key)?;
    let witnesses = args.witness.iter().map(|witness| WitnessKey::parse(witness));
    let witnesses = witnesses.collect::<std::result::Result<Vec<_>, _>>();
    let witnesses = witnesses.map_err(|error| Failure::usage(format!("--witness: {error}")))?;
    let record = args.record.as_ref().map(|path| read("--record", path)).transpose()?;
    let stamped = args.timestamp.as_ref().map(|path| stamped(path, &text, &args.tsa)).transpose()?;
    let checked = Receipt::parse(&text).and_then(|receipt| {
        let (header, checkpoint) = receipt.verify(&key)?;
        record.as_ref().map_or(Ok(()), |record| check_record(&header, record))?;
        let seen = cosignatures(&receipt.checkpoint, &witnesses);
        Ok((header, checkpoint, seen))
    });
    match checked {
        Ok((_, _, seen)) if seen.len() < witnesses.len() => {
            let missing =
                witnesses.iter().find(|witness| seen.iter().all(|found| found.witness != witness.name));
            let name = missing.map_or("", |witness| witness.name.as_str());
            Err(Failure::new(Exit::No, format!("the receipt holds no cosignature of the witness {name}")))
        }
        Ok((header, checkpoint, seen)) => {
            print(&header, (&checkpoint, &seen, stamped), record.as_deref(), format);
            Ok(Exit::Ok)
        }
        Err(error) => Err(Failure::new(Exit::No, format!("the receipt does not hold: {error}"))),
    }
}

/// When the receipt's checkpoint was stamped, by the first root that verifies it.
fn stamped(path: &Path, receipt: &str, roots: &[PathBuf]) -> Result<Micros> {
    let answer = read("--timestamp", path)?;
    let does_not_hold = |why: String| Failure::new(Exit::No, format!("the time-stamp does not hold: {why}"));
    let receipt = Receipt::parse(receipt).map_err(|error| does_not_hold(error.to_string()))?;
    let mut why = String::new();
    for path in roots {
        match timestamp::verify(&answer, &receipt.checkpoint, &verify_bundle::root(path)?) {
            Ok(time) => return Ok(time),
            Err(error) => why = error.to_string(),
        }
    }
    Err(does_not_hold(why))
}

fn print(
    header: &Header,
    (checkpoint, seen, stamped): (&Checkpoint, &[Cosignature], Option<Micros>),
    record: Option<&[u8]>,
    format: Format,
) {
    let body = record.and_then(|record| canonical::decode(record).ok()).map(|record| record.body);
    if format == Format::Json {
        output::json(&serde_json::json!({
            "verified": true, "header": event_json::header(header), "body": body,
            "seen_by": seen.iter().map(|seen| serde_json::json!({ "witness": seen.witness, "seconds": seen.seconds })).collect::<Vec<_>>(),
            "stamped_at": stamped, "checkpoint": { "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.to_string() },
        }));
        return;
    }
    let kind = header.kind.map_or("unreadable record", |kind| kind.name());
    say!("{}", coloured("32", "The receipt holds."));
    say!("  entry         {} of {}: {kind}, {}", header.seq, checkpoint.origin, header.outcome);
    say!("  recorded at   {}", output::utc(header.recorded_at));
    say!("  event digest  {}", header.event_digest);
    say!("  checkpoint    size {}, root {}", checkpoint.size, checkpoint.root);
    for seen in seen {
        let time = output::utc(seen.seconds.saturating_mul(1_000_000));
        say!("  seen by       {} at {time}: the entry is not younger than that", seen.witness);
    }
    if let Some(time) = stamped {
        say!("  stamped       {}: the entry is not younger than that", output::utc(time));
    }
    if seen.is_empty() && stamped.is_none() {
        say!(
            "  seen by       nobody else: how old it is rests on the operator's word (name a witness with --witness)"
        );
    }
    match body {
        Some(_) => say!("  record        is the one that the entry commits to"),
        None => say!("  record        not given; compare the event digest with SHA-256 of the event's body"),
    }
}
