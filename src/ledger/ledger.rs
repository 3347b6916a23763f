//! The shared, read-only side of a ledger: its synced head, its entries, its receipts.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, OnceLock},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    event::{Digest, Header, Seq},
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        receipt::Receipt,
    },
};

use super::{
    node_key::NodeKey,
    nodes::RecentNodes,
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
    pub fn new(state: State, log_key: &NodeKey) -> Self {
        let (size, root) = (state.size(), state.frontier.root());
        let checkpoint = checkpoint::sign(&Checkpoint { origin: state.origin.clone(), size, root }, log_key);
        Self { state, checkpoint }
    }
}

/// A checkpoint that enough witnesses cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Entries.
    pub size: u64,
    /// The signed note with their lines.
    pub note: String,
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
    /// For threads that wait for a head; tasks have [`Ledger::heads`].
    grown: (Mutex<()>, Condvar),
    witnessed: watch::Sender<Option<Arc<Witnessed>>>,
    contradiction: OnceLock<String>,
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
            grown: Default::default(),
            witnessed: watch::channel(None).0,
            contradiction: OnceLock::new(),
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

    /// Waits until an entry is synced; `false` if that did not happen within some time.
    ///
    /// Rows of the state are written some milliseconds before their entries are synced: who shows them waits here first.
    pub async fn is_synced(&self, seq: Seq, within: Duration) -> bool {
        includes(self.heads(), seq, within).await
    }

    /// The newest checkpoint that enough witnesses cosigned; changes with every one.
    pub fn witnessed(&self) -> watch::Receiver<Option<Arc<Witnessed>>> {
        self.witnessed.subscribe()
    }

    /// Shows a checkpoint with cosignatures from now on, unless a larger one is shown already.
    pub fn publish_witnessed(&self, witnessed: Witnessed) {
        self.witnessed.send_if_modified(|shown| {
            let newer = shown.as_ref().is_none_or(|shown| shown.size <= witnessed.size);
            if newer {
                *shown = Some(Arc::new(witnessed));
            }
            newer
        });
    }

    /// The checkpoint that is shown to others: the newest one with enough cosignatures, if there is one.
    pub fn shown(&self) -> (u64, String) {
        let witnessed = self.witnessed.borrow().clone();
        let head = self.head();
        witnessed.map_or_else(
            || (head.state.size(), head.checkpoint.clone()),
            |witnessed| (witnessed.size, witnessed.note.clone()),
        )
    }

    /// Somebody holds another history of this ledger: nothing is admitted any more. The first word stands.
    pub fn contradicted(&self, why: &str) {
        if self.contradiction.set(why.to_owned()).is_ok() {
            tracing::error!(why, "split view: this node stops admitting");
        }
    }

    /// Why nothing may be admitted any more, if so.
    pub fn contradiction(&self) -> Option<&str> {
        self.contradiction.get().map(String::as_str)
    }

    /// The receipt of a synced entry: under a checkpoint with cosignatures where one covers it, else under the newest.
    ///
    /// # Errors
    /// [`Error`].
    pub fn newest_receipt(&self, seq: Seq) -> Result<Receipt, Error> {
        let witnessed = self.witnessed.borrow().clone().filter(|witnessed| witnessed.size > seq);
        let Some(witnessed) = witnessed else { return self.receipt(seq, &self.head()) };
        let missing = || Error::Row(format!("entries/{seq}"));
        let header = self.store.header(seq)?.ok_or_else(missing)?;
        let path = self.inclusion(seq, witnessed.size)?;
        Ok(Receipt { header, index: seq, path, checkpoint: witnessed.note.clone() })
    }

    /// Shows a head from now on. `false`: it would go back, and is not shown.
    pub(super) fn publish(&self, head: Head) -> bool {
        let forward = self.head.send_if_modified(|shown| {
            let forward = shown.state.size() <= head.state.size();
            if forward {
                *shown = Arc::new(head);
            }
            forward
        });
        // Under the lock: who has just seen the head before this one is waiting by then.
        let _grown = self.grown.0.lock().expect("no code panics while holding this lock");
        self.grown.1.notify_all();
        forward
    }

    /// Waits until more than so many entries are synced, or for some time. Blocking; how many are synced then.
    pub fn grown(&self, beyond: u64, within: Duration) -> u64 {
        let (lock, published) = &self.grown;
        let waiting = lock.lock().expect("no code panics while holding this lock");
        let size = || self.head().state.size();
        let waited = published.wait_timeout_while(waiting, within, |()| size() <= beyond);
        drop(waited.expect("no code panics while holding this lock"));
        size()
    }

    /// The receipt of an entry under a head.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Row`] if the head does not have that entry.
    pub fn receipt(&self, seq: Seq, head: &Head) -> Result<Receipt, Error> {
        let missing = || Error::Row(format!("entries/{seq}"));
        let header = self.store.header(seq)?.filter(|_| seq < head.state.size()).ok_or_else(missing)?;
        let path = self.inclusion(seq, head.state.size())?;
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

/// Whether a head includes an entry, now or within some time.
async fn includes(mut heads: watch::Receiver<Arc<Head>>, seq: Seq, within: Duration) -> bool {
    let reached = tokio::time::timeout(within, heads.wait_for(|head| head.state.size() > seq)).await;
    matches!(reached, Ok(Ok(_)))
}

/// The last published checkpoints, beside the database: after a crash the database must not be behind them.
///
/// Two slots are written in turn and in place, so that one is whole whatever happens to the other. Not synced:
/// they catch a database that lost its tail, not a disk that lost both.
pub struct CheckpointFile {
    slots: [File; 2],
    /// Bytes in each; `None` if that is not known.
    lens: [Option<usize>; 2],
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
        Ok(Self { slots: [open(first)?, open(second)?], lens: [None; 2], next: 0 })
    }

    /// Writes a checkpoint into the older slot.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&mut self, checkpoint: &str) -> io::Result<()> {
        let ([first, second], [first_len, second_len]) = (&self.slots, &mut self.lens);
        let (slot, len) = if self.next == 0 { (first, first_len) } else { (second, second_len) };
        self.next ^= 1;
        slot.write_all_at(checkpoint.as_bytes(), 0)?;
        if *len != Some(checkpoint.len()) {
            slot.set_len(checkpoint.len() as u64)?;
            *len = Some(checkpoint.len());
        }
        Ok(())
    }

    /// The largest whole checkpoint in these slots, with its signed note.
    ///
    /// # Errors
    /// Of the file system; slots that are absent, torn or of another key count as empty.
    pub fn largest(dir: &Path, key: &LogKey) -> io::Result<Option<(String, checkpoint::Checkpoint)>> {
        let mut largest: Option<(String, checkpoint::Checkpoint)> = None;
        for name in SLOTS {
            let mut text = String::new();
            match File::open(dir.join(name)).and_then(|mut file| file.read_to_string(&mut text)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                Err(error) => return Err(error),
            }
            if let Ok(found) = checkpoint::open(&text, key)
                && largest.as_ref().is_none_or(|(_, largest)| largest.size < found.size)
            {
                largest = Some((text, found));
            }
        }
        Ok(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(size: u64) -> Arc<Head> {
        let mut state = State {
            rules: 1,
            ledger_id: Digest::ZERO,
            origin: "ledger.example".into(),
            time_zone: "UTC".into(),
            log_key: [0; 32],
            link: Digest::ZERO,
            recorded_at: 0,
            date: 0,
            admin_seq: 0,
            admin_keys: Default::default(),
            admin_quorum: 1,
            keys: Default::default(),
            policy: None,
            issuers: Default::default(),
            gate_modes: Default::default(),
            holds: Default::default(),
            clock_resets: Vec::new(),
            frontier: Default::default(),
        };
        (0..size).for_each(|_| state.frontier.push(Digest::ZERO, |_, _, _| {}));
        Arc::new(Head { state, checkpoint: String::new() })
    }

    fn ledger(size: u64) -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("ledger")).expect("a store");
        let ledger = Ledger::new(store, dir.path().into(), Digest::ZERO, Arc::unwrap_or_clone(head(size)));
        (dir, ledger)
    }

    #[test]
    fn a_head_never_goes_back() {
        let (_dir, ledger) = ledger(2);
        let shown = [3, 2, 3, 4, 0]
            .map(|size| (ledger.publish(Arc::unwrap_or_clone(head(size))), ledger.head().state.size()));
        assert_eq!(shown, [(true, 3), (false, 3), (true, 3), (true, 4), (false, 4)]);
    }

    #[test]
    fn a_thread_waits_for_the_next_head_and_not_for_ever() {
        let (_dir, ledger) = ledger(2);
        assert_eq!(ledger.grown(1, Duration::from_secs(60)), 2, "it is there");
        assert_eq!(ledger.grown(2, Duration::from_millis(20)), 2, "there is no more");
        std::thread::scope(|threads| {
            let waits = threads.spawn(|| ledger.grown(3, Duration::from_secs(60)));
            for size in [3, 4] {
                std::thread::sleep(Duration::from_millis(20));
                ledger.publish(Arc::unwrap_or_clone(head(size)));
            }
            assert_eq!(waits.join().expect("no panic"), 4);
        });
    }

    #[tokio::test]
    async fn what_names_an_entry_waits_for_its_sync_and_not_for_ever() {
        let (heads, seen) = watch::channel(head(7));
        assert!(includes(seen.clone(), 6, Duration::ZERO).await, "it is there");
        assert!(!includes(seen.clone(), 7, Duration::from_millis(20)).await, "the next one is not");
        let waits = tokio::spawn(includes(seen, 7, Duration::from_secs(60)));
        heads.send_replace(head(8));
        assert!(waits.await.expect("an answer"));
    }
}
