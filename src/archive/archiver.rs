//! Writes what is new in the ledger into its archive: every bundle of 256 entries as soon as it is full, and what is
//! not archived some seconds after it was recorded.
//!
//! Promotions do not wait for it. What waits too long raises an alert; what waits longer still, and an archive that says
//! something else than the ledger, stop the node from admitting: an event that only topic and directories hold could
//! be deleted by whoever administers them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use ed25519_dalek::SigningKey;
use tokio::runtime::Handle;

use crate::{
    alert::Alerts,
    clock::Clock,
    event::Micros,
    ledger::{Ledger, store},
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        tile,
    },
};

use super::{
    pieces::{self, BUNDLE_LEN, Piece},
    reader::{Archive, Conflict},
    store::Error as StoreError,
};

/// Between two looks at the ledger's head.
const LOOK: Duration = Duration::from_millis(50);
/// Before a step that failed is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// How long a node that stops may take for what is not archived yet.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Name of the alerts.
const ALERT: &str = "archive";

/// When entries are archived, and what happens while they are not.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long an entry may wait for its bundle to become full.
    pub every: Duration,
    /// How long it may wait before an alert is raised.
    pub alert_after: Duration,
    /// How long it may wait before the node stops admitting.
    pub refuse_after: Duration,
}

/// How far the archive is: for `status`, and for the front door.
#[derive(Debug)]
pub struct Progress {
    refuse_after: Duration,
    reached: Mutex<Reached>,
}

/// How far an archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Entries that are archived.
    pub size: u64,
    /// Since when the oldest of the others waits, microseconds.
    pub waiting_since: Option<Micros>,
    /// Why nothing is archived now; empty if nothing is wrong.
    pub trouble: String,
    /// Whether the archive was compared with the ledger, and agrees.
    pub agrees: bool,
}

impl Progress {
    /// How far the archive is.
    pub fn reached(&self) -> Reached {
        self.lock().clone()
    }

    /// Why the node must not admit anything now; `None` if the archive does not stand against it.
    pub fn stands_against(&self, now: Micros) -> Option<String> {
        let reached = self.lock();
        if !reached.agrees {
            let why = if reached.trouble.is_empty() { "that is under way" } else { &reached.trouble };
            return Some(format!(
                "the archive in the evidence store has not been compared with this ledger: {why}"
            ));
        }
        let waits = Duration::from_micros(now.saturating_sub(reached.waiting_since?));
        (waits > self.refuse_after).then(|| {
            let why = if reached.trouble.is_empty() { "it is slow" } else { &reached.trouble };
            format!("entries have waited {} s for the archive in the evidence store: {why}", waits.as_secs())
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reached> {
        self.reached.lock().expect("no code panics while holding this lock")
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Ledger(#[from] store::Error),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Conflict(#[from] Conflict),
}

/// The running thread.
pub struct Archiver {
    /// How far it is.
    pub progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread works with.
pub struct Parts {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Its archive.
    pub archive: Archive,
    /// Signs checkpoints.
    pub log_key: SigningKey,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it says that it is behind.
    pub alerts: Arc<Alerts>,
    /// When.
    pub timing: Timing,
}

/// Bytes of a piece of a ledger. The ledger must have all of its entries, synced.
///
/// # Errors
/// [`store::Error`].
pub fn bytes(piece: Piece, ledger: &Ledger, log_key: &SigningKey) -> Result<Vec<u8>, store::Error> {
    let cut = |seq| store::Error::Row(format!("entries/{seq}"));
    match piece {
        Piece::Entries { bundle, len } => {
            let first = bundle * BUNDLE_LEN;
            let headers = ledger.store.headers(first, first + len)?;
            if headers.len() as u64 != len {
                return Err(cut(first + headers.len() as u64));
            }
            Ok(tile::bundle(&headers))
        }
        Piece::Records { first, len } => {
            let records = ledger.store.records(first, first + len)?;
            if records.len() as u64 != len {
                return Err(cut(first + records.len() as u64));
            }
            Ok(pieces::records(records.iter().map(Vec::as_slice)))
        }
        Piece::Checkpoint { size } => {
            let origin = ledger.head().state.origin.clone();
            let checkpoint = Checkpoint { origin, size, root: ledger.root_at(size)? };
            Ok(checkpoint::sign(&checkpoint, log_key).into_bytes())
        }
    }
}

impl Archiver {
    /// Starts. `archived` is what a comparison of ledger and archive gave; without one, that comes first.
    pub fn start(parts: Parts, archived: Option<u64>) -> Self {
        let reached =
            Reached { size: archived.unwrap_or(0), agrees: archived.is_some(), ..Reached::default() };
        let progress =
            Arc::new(Progress { refuse_after: parts.timing.refuse_after, reached: Mutex::new(reached) });
        let stop = Arc::new(AtomicBool::new(false));
        let handle = Handle::current();
        let (kept, stopped) = (progress.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let archived = handle.block_on(parts.look(&kept, false));
                pause(if archived { LOOK } else { RETRY_WAIT }, &stopped);
            }
            let rest = async { tokio::time::timeout(STOP_WITHIN, parts.look(&kept, true)).await };
            if handle.block_on(rest).is_err() {
                tracing::warn!("the newest entries are not archived yet; this or another node does it later");
            }
        });
        Self { progress, stop, thread: Mutex::new(Some(thread)) }
    }

    /// Archives what is left, under a deadline, and stops. Blocking.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().expect("no code panics while holding this lock").take();
        // A panicked thread has said so.
        let _ = thread.map(JoinHandle::join);
    }
}

fn pause(length: Duration, stopped: &AtomicBool) {
    let mut left = length;
    while !left.is_zero() && !stopped.load(Ordering::SeqCst) {
        std::thread::sleep(left.min(LOOK));
        left = left.saturating_sub(LOOK);
    }
}

impl Parts {
    /// Looks at the head, and archives what is due. False if it failed.
    async fn look(&self, progress: &Progress, now_due: bool) -> bool {
        let head = self.ledger.head().state.size();
        let now = self.clock.now();
        let (archived, agrees, waiting_since) = {
            let mut reached = progress.lock();
            if head > reached.size {
                reached.waiting_since.get_or_insert(now);
            }
            (reached.size, reached.agrees, reached.waiting_since)
        };
        let waits = Duration::from_micros(now.saturating_sub(waiting_since.unwrap_or(now)));
        let full = archived / BUNDLE_LEN < head / BUNDLE_LEN;
        let due = head > archived && (now_due || waits >= self.timing.every);
        let done = if !agrees {
            self.compare(progress).await
        } else if full || due {
            // A bundle that is not full waits for its time even if others are full.
            let to = if due { head } else { head / BUNDLE_LEN * BUNDLE_LEN };
            self.archive(progress, to).await
        } else {
            Ok(())
        };
        self.judge(progress, &done);
        done.is_ok()
    }

    async fn compare(&self, progress: &Progress) -> Result<(), Error> {
        let key =
            LogKey { origin: self.ledger.head().state.origin.clone(), key: self.log_key.verifying_key() };
        let size = self.archive.compare(&self.ledger, &key).await?;
        let mut reached = progress.lock();
        (reached.size, reached.agrees) = (size, true);
        Ok(())
    }

    async fn archive(&self, progress: &Progress, to: u64) -> Result<(), Error> {
        let mut archived = progress.lock().size;
        while archived < to {
            // When these pieces were begun: what is recorded meanwhile waits from here on at the earliest.
            let begun = self.clock.now();
            let step = pieces::next_step(archived, to);
            for piece in &step {
                let bytes = bytes(*piece, &self.ledger, &self.log_key)?;
                self.archive.store.put(&self.archive.name(*piece), bytes).await?;
            }
            archived = pieces::reached(&step).unwrap_or(to);
            let waits = self.ledger.head().state.size() > archived;
            let mut reached = progress.lock();
            reached.size = archived;
            reached.waiting_since = waits.then_some(begun);
        }
        Ok(())
    }

    /// Raises an alert where something is wrong for good or for too long, and clears it where nothing is.
    fn judge(&self, progress: &Progress, done: &Result<(), Error>) {
        let now = self.clock.now();
        let trouble = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let reached = {
            let mut reached = progress.lock();
            reached.trouble = trouble;
            reached.clone()
        };
        let waits = Duration::from_micros(now.saturating_sub(reached.waiting_since.unwrap_or(now)));
        let for_good = matches!(
            done,
            Err(Error::Store(StoreError::Occupied(_) | StoreError::Unlocked { .. })
                | Error::Conflict(_)
                | Error::Ledger(_))
        );
        if for_good {
            self.alerts.raise(ALERT, &reached.trouble, now);
        } else if waits > self.timing.alert_after {
            let why = if reached.trouble.is_empty() { "it is slow" } else { &reached.trouble };
            let minutes = waits.as_secs() / 60;
            let (size, head) = (reached.size, self.ledger.head().state.size());
            let words = format!(
                "entries {size} to {} have waited {minutes} minutes for the archive: {why}",
                head - 1
            );
            self.alerts.raise(ALERT, &words, now);
        } else if done.is_ok() {
            self.alerts.clear(ALERT);
        }
    }
}
