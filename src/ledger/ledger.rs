//! The shared, read-only side of a ledger: its synced head, its entries, its receipts.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ed25519_dalek::SigningKey;
use tokio::sync::watch;

use crate::{
    event::{Digest, Header, Seq},
    proof::{
        checkpoint::{self, LogKey},
        receipt::Receipt,
        tree,
    },
};

use super::{
    nodes::{LedgerNodes, RecentNodes},
    recent::RecentEntries,
    state::State,
    store::{Error, Store},
    writer::Counters,
};

/// A synced position.
#[derive(Debug, Clone)]
pub struct Head {
    /// State after its last entry.
    pub state: State,
    /// Signed over exactly this size.
    pub checkpoint: String,
}

impl Head {
    /// Signs the checkpoint of a state whose entries are synced.
    pub fn new(state: State, log_key: &SigningKey) -> Self {
        let checkpoint = super::writer::checkpoint_of(&state, log_key);
        Self { state, checkpoint }
    }
}

/// A ledger that is being written by this process or was opened read-only.
pub struct Ledger {
    /// The database.
    pub store: Store,
    /// Its directory.
    pub dir: PathBuf,
    /// ledger_id that the configuration pins.
    pub pinned: Digest,
    /// Counters of the writer.
    pub counters: Counters,
    /// Newest entries, decoded.
    pub recent_entries: RecentEntries,
    pub(super) recent: RecentNodes,
    head: watch::Sender<Arc<Head>>,
}

impl Ledger {
    /// A ledger at a synced head.
    pub fn new(store: Store, dir: PathBuf, pinned: Digest, head: Head) -> Self {
        let (head, _) = watch::channel(Arc::new(head));
        Self {
            store,
            dir,
            pinned,
            counters: Counters::default(),
            recent_entries: RecentEntries::default(),
            recent: RecentNodes::default(),
            head,
        }
    }

    /// The newest synced head.
    pub fn head(&self) -> Arc<Head> {
        self.head.borrow().clone()
    }

    /// Changes with every sync.
    pub fn heads(&self) -> watch::Receiver<Arc<Head>> {
        self.head.subscribe()
    }

    pub(super) fn publish(&self, head: Head) {
        self.head.send_replace(Arc::new(head));
    }

    /// The receipt of an entry under a head.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Row`] if the head does not have that entry.
    pub fn receipt(&self, seq: Seq, head: &Head) -> Result<Receipt, Error> {
        let missing = || Error::Row(format!("entries/{seq}"));
        let header = self.store.header(seq)?.filter(|_| seq < head.state.size()).ok_or_else(missing)?;
        let mut nodes = LedgerNodes { store: &self.store, recent: &self.recent };
        let path = tree::inclusion(&mut nodes, seq, head.state.size())?;
        Ok(Receipt { header, index: seq, path, checkpoint: head.checkpoint.clone() })
    }

    /// Header of a synced entry.
    ///
    /// # Errors
    /// [`Error`].
    pub fn header(&self, seq: Seq) -> Result<Option<Header>, Error> {
        if seq >= self.head.borrow().state.size() {
            return Ok(None);
        }
        let Some(bytes) = self.store.header(seq)? else { return Ok(None) };
        Header::decode(&bytes).map(Some).map_err(|_| Error::Row(format!("entries/{seq}")))
    }
}

/// The last published checkpoints, beside the database: after a crash the database must not be behind them.
///
/// Two slots are written in turn and in place, so that one is whole whatever happens to the other. Not synced:
/// they catch a database that lost its tail, not a disk that lost both.
pub struct CheckpointFile {
    slots: [File; 2],
    next: usize,
}

const SLOTS: [&str; 2] = ["checkpoint.0", "checkpoint.1"];

impl CheckpointFile {
    /// Opens both slots.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let open = |name| OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(name));
        let [first, second] = SLOTS;
        Ok(Self { slots: [open(first)?, open(second)?], next: 0 })
    }

    /// Writes a checkpoint into the older slot.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&mut self, checkpoint: &str) -> io::Result<()> {
        let [first, second] = &self.slots;
        let slot = if self.next == 0 { first } else { second };
        self.next ^= 1;
        slot.write_all_at(checkpoint.as_bytes(), 0)?;
        slot.set_len(checkpoint.len() as u64)
    }

    /// The largest size that a whole checkpoint in these slots has.
    ///
    /// # Errors
    /// Of the file system; slots that are absent, torn or of another key count as empty.
    pub fn largest(dir: &Path, key: &LogKey) -> io::Result<Option<checkpoint::Checkpoint>> {
        let mut largest: Option<checkpoint::Checkpoint> = None;
        for name in SLOTS {
            let mut text = String::new();
            match File::open(dir.join(name)).and_then(|mut file| file.read_to_string(&mut text)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                Err(error) => return Err(error),
            }
            if let Ok(found) = checkpoint::open(&text, key)
                && largest.as_ref().is_none_or(|largest| largest.size < found.size)
            {
                largest = Some(found);
            }
        }
        Ok(largest)
    }
}
