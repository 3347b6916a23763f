//! Opening a ledger: what must hold before a node follows its log or answers anybody (design section 3, rule 11).

use std::{path::Path, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use tokio::sync::watch;

use crate::{
    event::{Digest, Seq, digest},
    log::{self, Log},
    proof::{checkpoint::LogKey, tree},
};

use super::{
    decide::RULES_KNOWN,
    ledger::{CheckpointFile, Head, Ledger},
    node_key::NodeKey,
    nodes::{LedgerNodes, RecentNodes},
    store::{self, Store},
    writer::{self, Health},
};

/// Entries that are read again from the log and compared.
const COMPARED: u64 = 64;
/// How long the log may take to deliver them.
const COMPARE_WAIT: Duration = Duration::from_secs(20);

/// Why a ledger cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The log.
    #[error("log: {0}")]
    Log(#[from] log::Error),
    /// The writer stopped while it followed the log.
    #[error("{0}")]
    Writer(#[from] writer::Error),
    /// Files beside the database.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No genesis.
    #[error("{0} holds no ledger; make one with `promotion-ledger init`")]
    Empty(String),
    /// Another ledger than the configuration's.
    #[error("the directory holds the ledger {found}, but the configuration pins {expected}")]
    Pinned {
        /// In the directory.
        found: Digest,
        /// In the configuration.
        expected: Digest,
    },
    /// A newer binary has written here.
    #[error(
        "the ledger is under rules version {rules}, which this binary does not have (it knows up to {RULES_KNOWN}): start the newer binary again"
    )]
    Rules {
        /// In force.
        rules: u16,
    },
    /// The log key is not the one in genesis.
    #[error("the log key in the key file is not the ledger's log key; every node must hold the same one")]
    LogKey,
    /// The database lost entries that were published.
    #[error(
        "the database ends at {size} entries, but a checkpoint for {published} was published: it was cut or rolled back; rebuild it from the log"
    )]
    Behind {
        /// Entries in the database.
        size: u64,
        /// Size of the checkpoint.
        published: u64,
    },
    /// The database holds other entries than were published.
    #[error("at size {size} the database has the root {found}, but {published} was published")]
    Root {
        /// Size of the checkpoint.
        size: u64,
        /// Recomputed.
        found: Digest,
        /// In the checkpoint.
        published: Digest,
    },
    /// The log lost entries that this node has.
    #[error(
        "the log ends at offset {end}, but this node has {size} entries (head link {link}): the log was truncated or made anew; do not let it be refilled, restore it with `republish`"
    )]
    LogBehind {
        /// End of the log.
        end: Seq,
        /// Entries here.
        size: u64,
        /// Link of the last one.
        link: Digest,
    },
    /// The log holds other records than this node.
    #[error(
        "at offset {seq} the log has the record {found}, but this node has {expected}: one of them was replaced; keep both and compare them"
    )]
    Fork {
        /// Where they differ.
        seq: Seq,
        /// Digest of the log's record.
        found: Digest,
        /// Digest of this node's record.
        expected: Digest,
    },
}

/// Opens a ledger's database and checks it against what was published from this directory.
///
/// # Errors
/// [`Error`].
pub fn open(dir: &Path, pinned: Digest, log_key: &SigningKey, read_only: bool) -> Result<Ledger, Error> {
    let path = dir.join("ledger");
    let store = if read_only { Store::open_read_only(&path)? } else { Store::open(&path)? };
    let state = store.state()?.ok_or_else(|| Error::Empty(dir.display().to_string()))?;
    if state.ledger_id != pinned {
        return Err(Error::Pinned { found: state.ledger_id, expected: pinned });
    }
    if state.rules > RULES_KNOWN {
        return Err(Error::Rules { rules: state.rules });
    }
    if state.log_key != log_key.verifying_key().to_bytes() {
        return Err(Error::LogKey);
    }
    if !read_only {
        // What a crash left written but unsynced becomes visible below; make it durable first.
        store.sync()?;
    }
    let key = LogKey { origin: state.origin.clone(), key: log_key.verifying_key() };
    if let Some((_, published)) = CheckpointFile::largest(dir, &key)? {
        let size = state.size();
        if published.size > size {
            return Err(Error::Behind { size, published: published.size });
        }
        let recent = RecentNodes::default();
        let mut nodes = LedgerNodes { store: &store, recent: &recent };
        let found = tree::root(&mut nodes, published.size)?;
        if found != published.root {
            return Err(Error::Root { size: published.size, found, published: published.root });
        }
    }
    let head = Head::new(state, &NodeKey::new(log_key));
    Ok(Ledger::new(store, dir.to_path_buf(), pinned, head))
}

/// Checks that the log still holds what this node has: not shorter, and the same records before entry `size`.
///
/// # Errors
/// [`Error::LogBehind`] or [`Error::Fork`], with both sides; [`Error::Log`] if it cannot be asked.
pub async fn compare_with_log(ledger: &Arc<Ledger>, log: &Arc<dyn Log>, size: u64) -> Result<(), Error> {
    let head = ledger.head();
    let Some(end) = log.end().await? else { return Ok(()) };
    if end < head.state.size() {
        return Err(Error::LogBehind { end, size: head.state.size(), link: head.state.link });
    }
    let (ledger, log) = (ledger.clone(), log.clone());
    let compared = tokio::task::spawn_blocking(move || same_records(&ledger, log.as_ref(), size)).await;
    compared.map_err(|error| log::Error::Unavailable(format!("comparing with the log: {error}")))?
}

/// Reads the last records before entry `size` again. Blocking.
fn same_records(ledger: &Ledger, log: &dyn Log, size: u64) -> Result<(), Error> {
    let from = size.saturating_sub(COMPARED);
    let mut tail = log.tail(from)?;
    let deadline = std::time::Instant::now() + COMPARE_WAIT;
    let mut compared = from;
    while compared < size && std::time::Instant::now() < deadline {
        for delivery in tail.next(COMPARED as usize, Duration::from_millis(500))? {
            compared = delivery.offset + 1;
            let Some(header) = ledger.header(delivery.offset)? else { break };
            let found = digest::record_digest(&delivery.value);
            if found != header.record_digest {
                return Err(Error::Fork { seq: delivery.offset, found, expected: header.record_digest });
            }
        }
    }
    if compared < size && !holes_only(ledger, compared, size)? {
        let waited = COMPARE_WAIT.as_secs();
        return Err(log::Error::Unavailable(format!(
            "it did not deliver entry {compared} within {waited} s"
        ))
        .into());
    }
    Ok(())
}

/// Whether the rest are holes (transaction markers), which a log never delivers.
fn holes_only(ledger: &Ledger, from: Seq, to: Seq) -> Result<bool, store::Error> {
    for seq in from..to {
        if ledger.header(seq)?.is_some_and(|header| header.record_len != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes genesis from the log if the directory holds no ledger yet: how an empty node joins a topic.
///
/// # Errors
/// [`Error`].
pub async fn bootstrap(dir: &Path, pinned: &Digest, log: &dyn Log) -> Result<(), Error> {
    if log.end().await?.is_none_or(|end| end == 0) {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    let store = Store::open(&dir.join("ledger"))?;
    if store.state()?.is_some() {
        return Ok(());
    }
    let mut tail = log.tail(0)?;
    let deadline = std::time::Instant::now() + COMPARE_WAIT;
    while std::time::Instant::now() < deadline {
        if let Some(first) = tail.next(1, Duration::from_millis(500))?.into_iter().next() {
            let mut state = None;
            super::writer::apply(&store, pinned, &mut state, [(first.offset, first.value)])?;
            return Ok(());
        }
    }
    Err(log::Error::Unavailable("it did not deliver its first record".into()).into())
}

/// Waits until the ledger has everything that the log had when this was called.
///
/// # Errors
/// [`Error::Writer`] if the writer stops on the way.
pub async fn catch_up(
    ledger: &Ledger,
    log: &dyn Log,
    mut health: watch::Receiver<Health>,
) -> Result<(), Error> {
    let Some(end) = log.end().await? else { return Ok(()) };
    let mut heads = ledger.heads();
    loop {
        let size = heads.borrow_and_update().state.size();
        if size >= end {
            return Ok(());
        }
        tokio::select! {
            changed = heads.changed() => if changed.is_err() { return Ok(()) },
            _ = health.changed() => if let Health::Halted(error) = &*health.borrow() { return Err(error.clone().into()) },
            // Markers of transactions at the end occupy offsets that no delivery shows.
            () = tokio::time::sleep(Duration::from_secs(2)) => {
                let delivered = ledger.counters.delivered.load(std::sync::atomic::Ordering::Relaxed);
                tracing::info!(size, end, delivered, "following the log");
                if delivered <= ledger.head().state.size() && heads.borrow().state.size() == size {
                    return Ok(());
                }
            }
        }
    }
}
