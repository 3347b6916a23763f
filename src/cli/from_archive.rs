//! `rebuild --from-archive`: a ledger from its archive in the evidence store alone, after topic and directories are gone.
//!
//! Nothing in the archive is believed: genesis must be the one that the ledger_id names, links, tree, digests and
//! signatures are verified, every outcome is derived again by the writer's rules, and each checkpoint on the way must be
//! signed by the log key of genesis over exactly these entries.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    archive::{filesystem::Filesystem, reader, reader::Archive, store},
    config::{Config, FILE_NAME},
    durable,
    event::Digest,
    ledger::{
        decide::{Prepared, RULES_KNOWN},
        plan::{self, Delivered},
        state::State,
        store::Store,
    },
    node,
    projection::worker,
    proof::verify::{Depth, StoredEntry, Verifier},
};

use super::{
    output::{self, Exit, Failure, Format, Result, say},
    progress,
};

/// Where it is built; it gets its name when it is whole.
const UNFINISHED: &str = "ledger.rebuilding";

/// `rebuild --from-archive` and what belongs to it.
#[derive(Debug, clap::Args)]
pub struct FromArchiveArgs {
    /// Make the ledger anew from its archive in the evidence store, and from nothing else
    #[arg(long)]
    pub from_archive: bool,
    /// Directory of the evidence store; without it, the store in the configuration file in --dir
    #[arg(long, value_name = "DIR", requires = "from_archive")]
    evidence: Option<PathBuf>,
    /// The ledger_id (64 hexadecimal digits); without it, the one in the configuration file in --dir
    #[arg(long, value_name = "HEX", requires = "from_archive")]
    ledger_id: Option<String>,
}

/// What was rebuilt.
struct Rebuilt {
    verifier: Verifier,
    /// Checkpoints that were compared.
    checkpoints: u64,
}

/// Runs the command.
pub async fn run(dir: &Path, args: &FromArchiveArgs, format: Format) -> Result {
    let (final_place, unfinished) = (dir.join("ledger"), dir.join(UNFINISHED));
    if final_place.exists() {
        return Err(Failure::usage(format!(
            "{} exists already; give a new directory, or move that one away",
            final_place.display()
        )));
    }
    let archive = archive(dir, args).await?;
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    // Left behind by an earlier run that was interrupted.
    remove(&unfinished).map_err(failed)?;
    fs::create_dir_all(dir).map_err(failed)?;
    let rebuilt = match rebuild(&archive, &unfinished).await {
        Ok(rebuilt) => rebuilt,
        Err(failure) => {
            remove(&unfinished).map_err(failed)?;
            return Err(failure);
        }
    };
    fs::rename(&unfinished, &final_place).and_then(|()| durable::sync(dir)).map_err(failed)?;
    print(dir, &rebuilt, format);
    Ok(Exit::Ok)
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn archive(dir: &Path, args: &FromArchiveArgs) -> Result<Archive> {
    let given = args.ledger_id.as_deref().map(|text| {
        Digest::from_hex(text)
            .ok_or_else(|| Failure::usage(format!("--ledger-id {text} is not 64 hexadecimal digits")))
    });
    let given = given.transpose()?;
    if let (Some(evidence), Some(ledger_id)) = (&args.evidence, given) {
        if !evidence.is_dir() {
            return Err(Failure::usage(format!("--evidence {} is no directory", evidence.display())));
        }
        return Ok(Archive { store: Arc::new(Filesystem::new(evidence)), ledger_id });
    }
    if !dir.join(FILE_NAME).exists() {
        return Err(Failure::usage(format!(
            "{} holds no {FILE_NAME}; put the ledger's configuration there, or give --evidence and --ledger-id",
            dir.display()
        )));
    }
    let usage = |error: crate::config::Error| Failure::usage(error.to_string());
    let config = Config::load(dir, serde_json::Map::new()).map_err(usage)?;
    let pinned = config.pinned().map_err(usage)?;
    let ledger_id = given.unwrap_or(pinned);
    if let Some(evidence) = &args.evidence {
        return Ok(Archive { store: Arc::new(Filesystem::new(evidence)), ledger_id });
    }
    let configured = node::archive(dir, &config).await;
    let configured = configured.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    Ok(Archive { ledger_id, ..configured })
}

async fn rebuild(archive: &Archive, into: &Path) -> Result<Rebuilt> {
    let failed = |error: crate::ledger::store::Error| Failure::new(Exit::Internal, error.to_string());
    let store = Store::open(into).map_err(failed)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rebuilt =
        Rebuilt { verifier: Verifier::new(Depth::Signatures, Some(archive.ledger_id)), checkpoints: 0 };
    let (mut state, mut at) = (None, 0);
    let bar = progress::bar(archive.end_at_least().await.map_err(unread)?, "rebuilding");
    while let Some((size, note)) = archive.next_checkpoint(at).await.map_err(unread)? {
        let entries = archive.entries(at, size).await.map_err(unread)?;
        tokio::task::block_in_place(|| {
            let verified = rebuilt.verifier.push(&entries, threads);
            verified.map_err(|fault| Failure::new(Exit::No, format!("in the archive, {fault}")))?;
            append(&store, &archive.ledger_id, &mut state, entries)
        })?;
        let key = rebuilt.verifier.log_key().ok_or_else(|| empty(archive))?;
        let checkpoint = archive.opened(size, &note, key).map_err(unread)?;
        if !rebuilt.verifier.agrees_with(&checkpoint) {
            return Err(Failure::new(
                Exit::No,
                format!(
                    "the archive's entries up to {size} have the root {}, but its checkpoint was signed for {}",
                    rebuilt.verifier.root(),
                    checkpoint.root
                ),
            ));
        }
        rebuilt.checkpoints += 1;
        at = size;
        bar.set_position(at);
        if !at.is_multiple_of(crate::archive::pieces::BUNDLE_LEN) {
            break;
        }
    }
    bar.finish_and_clear();
    if at == 0 {
        return Err(empty(archive));
    }
    tokio::task::block_in_place(|| {
        store.sync()?;
        worker::rebuild(&store, at, |_, _| {})
    })
    .map_err(failed)?;
    Ok(rebuilt)
}

fn empty(archive: &Archive) -> Failure {
    let place = archive.store.uri(&format!("archive/{}", archive.ledger_id));
    Failure::new(Exit::No, format!("{place} holds no archive of this ledger; compare store and ledger_id"))
}

fn unread(error: reader::Error) -> Failure {
    let exit = match &error {
        reader::Error::Store(store::Error::Unavailable(_)) => Exit::Unreachable,
        _ => Exit::No,
    };
    Failure::new(exit, error.to_string())
}

/// Derives verified entries again and writes them. What the rules give must be what the archive holds, byte for byte.
fn append(
    store: &Store,
    ledger_id: &Digest,
    state: &mut Option<State>,
    entries: Vec<StoredEntry>,
) -> Result<()> {
    let base = state.as_ref().map_or(0, State::size);
    let headers: Vec<_> = entries.iter().map(|entry| entry.header.clone()).collect();
    // Their signatures were verified a moment ago; those of malformed entries were not, and decide about them.
    let prepare = |entry: StoredEntry| {
        let malformed = entry.header.get(2) == Some(&crate::event::Outcome::Malformed.number());
        Prepared { own: !malformed, ..Prepared::new(entry.record) }
    };
    let delivered =
        (base..).zip(entries).map(|(offset, entry)| Delivered { offset, prepared: prepare(entry) });
    let (set, stop) = plan::plan(state, store, ledger_id, RULES_KNOWN, delivered);
    if let Some(stop) = stop {
        return Err(Failure::new(Exit::Internal, stop.to_string()));
    }
    for ((decided, _), archived) in set.entries.iter().zip(&headers) {
        if decided.bytes != archived.as_slice() {
            let seq = decided.header.seq;
            let message = format!(
                "in the archive, entry {seq}: the rules of this program give another header ({}, {})",
                decided.header.outcome, decided.header.reason
            );
            return Err(Failure::new(Exit::No, message));
        }
    }
    let Some(state) = state else { return Ok(()) };
    store.write(&set, state).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
}

fn print(dir: &Path, rebuilt: &Rebuilt, format: Format) {
    let Rebuilt { verifier, checkpoints } = rebuilt;
    let (size, link, root) = (verifier.size(), verifier.link(), verifier.root());
    match format {
        Format::Json => output::json(&serde_json::json!({
            "entries": size, "head_link": link.to_string(), "root": root.to_string(),
            "checkpoints": checkpoints, "signatures": verifier.summary().signatures,
            "log_vkey": verifier.log_key().map(|key| key.vkey()),
        })),
        Format::Text => {
            say!(
                "Rebuilt {size} entries from the archive alone: links, tree, signatures and rules hold, and"
            );
            say!("{checkpoints} checkpoints, the last one of {size} entries, are signed over exactly these.");
            say!("  root         {root}");
            say!("  head link    {link}");
            say!(
                "Compare with what you kept elsewhere: promotion-ledger verify --dir {0} --checkpoint FILE",
                dir.display()
            );
            say!(
                "On Kafka, write it onto a new topic first: promotion-ledger republish --dir {} …",
                dir.display()
            );
        }
    }
}
