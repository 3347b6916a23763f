//! The verify-only build's commands: examiner bundles, receipts, and a gate's decision, checked offline.
//!
//! No database, broker or network code is in this build, so what it says needs no trust in a server.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;

use crate::{
    bundle::{
        verify::{self, Known},
        words,
    },
    event::{Digest, Micros, canonical, digest},
    proof::{
        checkpoint::LogKey,
        cosignature::{WitnessKey, cosignatures},
        receipt::{self, Receipt},
        status_list::{self, Target},
        timestamp::Root,
    },
};

/// Verifies bundles and receipts of a promotion ledger, and decides as its gate does, offline.
#[derive(Debug, Parser)]
#[command(name = "promotion-ledger", version)]
enum Command {
    /// May this artefact run there? By a signed status list and a receipt
    GateCheck {
        /// SHA-256 of the artefact, 64 hexadecimal digits
        #[arg(long)]
        artifact: String,
        /// Environment, for instance production
        #[arg(long)]
        environment: String,
        /// Region, where there are several
        #[arg(long, default_value = "")]
        region: String,
        /// Model; without it every model's slot there counts
        #[arg(long, default_value = "")]
        model: String,
        /// Role of the slot
        #[arg(long, default_value = "champion")]
        role: String,
        /// The list, from `gate status-list`
        #[arg(long)]
        status_list: PathBuf,
        /// Receipt of the entry that allows it
        #[arg(long)]
        receipt: PathBuf,
        /// The ledger's log key: a file with it, or the line itself
        #[arg(long)]
        key: String,
    },
    /// Check an examiner bundle, or a receipt and the record that it is for
    Verify {
        /// An examiner bundle, as `export` writes it
        bundle: Option<PathBuf>,
        /// The receipt, a C2SP tlog-proof
        #[arg(long, conflicts_with = "bundle", required_unless_present = "bundle", requires = "key")]
        receipt: Option<PathBuf>,
        /// The ledger's log key: a file with it, or the line itself (`<name>+<hash>+<base64>`)
        #[arg(long)]
        key: Option<String>,
        /// The ledger_id that you know, 64 hexadecimal digits: the bundle must be about that ledger
        #[arg(long, conflicts_with = "receipt")]
        ledger_id: Option<String>,
        /// A witness that must have cosigned it, by its C2SP verifier key; repeat for each
        #[arg(long)]
        witness: Vec<String>,
        /// The root of a time-stamp authority (PEM) that must verify the bundle's stamps; repeat for each
        #[arg(long, conflicts_with = "receipt")]
        tsa: Vec<PathBuf>,
        /// The record, as stored on the topic
        #[arg(long, requires = "receipt")]
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
    let done = match &command {
        Command::Verify { bundle: Some(bundle), key, ledger_id, witness, tsa, .. } => {
            check_bundle(bundle, (key.as_deref(), ledger_id.as_deref()), witness, tsa)
        }
        Command::Verify { receipt: Some(receipt), key: Some(key), witness, record, .. } => {
            check(receipt, key, witness, record.as_deref())
        }
        gate => gate_check(gate),
    };
    match done {
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

fn read(path: &std::path::Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn log_key(given: &str) -> anyhow::Result<LogKey> {
    let text = fs::read_to_string(given).unwrap_or_else(|_| given.to_owned());
    Ok(LogKey::parse(&text)?)
}

fn gate_check(command: &Command) -> anyhow::Result<String> {
    let Command::GateCheck { artifact, environment, region, model, role, status_list, receipt, key } =
        command
    else {
        anyhow::bail!("not a question for a gate");
    };
    let key = log_key(key)?;
    let digits = artifact.strip_prefix("sha256:").unwrap_or(artifact);
    let digest = Digest::from_hex(digits).context("--artifact is not 64 hexadecimal digits")?;
    let [model, environment, region, role] = [model, environment, region, role].map(String::clone);
    let target = Target { model, environment, region, role };
    let list = status_list::open(&read(status_list)?, &key)?;
    let receipt = Receipt::parse(&read(receipt)?)?;
    let line = list.decide(&digest, &target, &receipt, &key, now())?;
    Ok(format!(
        "allowed: the artefact {} (entry {}, {} entries)",
        line.status.words(),
        line.seq,
        list.head.size
    ))
}

/// Now, microseconds since the Unix epoch: whether the list is fresh.
#[expect(
    clippy::disallowed_methods,
    reason = "this build has no clock of its own; this is its only use of time"
)]
fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Before 1970 no list is fresh, which is what a clock like that deserves.
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

fn check_bundle(
    path: &std::path::Path,
    (key, ledger_id): (Option<&str>, Option<&str>),
    witnesses: &[String],
    roots: &[PathBuf],
) -> anyhow::Result<String> {
    let ledger_id = ledger_id
        .map(|text| Digest::from_hex(text).context("--ledger-id is not 64 hexadecimal digits"))
        .transpose()?;
    let witnesses = witnesses.iter().map(|witness| WitnessKey::parse(witness)).collect::<Result<_, _>>()?;
    let root = |path: &PathBuf| {
        anyhow::Ok(Root::from_pem(&fs::read(path).with_context(|| path.display().to_string())?)?)
    };
    let roots = roots.iter().map(root).collect::<Result<_, _>>()?;
    let known = Known { ledger_id, key: key.map(log_key).transpose()?, witnesses, roots };
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let bundle = verify::verify(&mut std::io::BufReader::new(file), &known)?;
    Ok([vec!["The bundle holds.".to_owned()], words::report(&bundle, &known)].concat().join("\n"))
}

fn check(
    receipt: &std::path::Path,
    key: &str,
    witnesses: &[String],
    record: Option<&std::path::Path>,
) -> anyhow::Result<String> {
    let receipt = Receipt::parse(&read(receipt)?)?;
    let (header, checkpoint) = receipt.verify(&log_key(key)?)?;
    let mut lines = format!(
        "entry {} of {} is in the checkpoint over {} entries\nevent digest {}",
        header.seq, checkpoint.origin, checkpoint.size, header.event_digest
    );
    for witness in witnesses {
        let witness = WitnessKey::parse(witness)?;
        let seen = cosignatures(&receipt.checkpoint, std::slice::from_ref(&witness));
        let seen = seen.first().with_context(|| format!("it has no cosignature of {}", witness.name))?;
        lines.push_str(&format!("\nseen by {} at {} s after 1970: not younger", seen.witness, seen.seconds));
    }
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
