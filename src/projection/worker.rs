//! One thread for each view: follows the synced head, folds, keeps its cursor.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rocksdb::Direction;
use tokio::sync::watch;

use crate::{
    event::{Digest, Header, Outcome, Seq, canonical, header::HEADER_LEN},
    ledger::{
        Ledger,
        recent::RecentEntry,
        rows,
        store::{Error, Store},
    },
};

use super::{
    fold::{self, SlotChange, View},
    keys,
};

/// Entries folded in one write.
const BATCH_LEN_MAX: u64 = 512;
/// How often an idle worker looks whether it should stop.
const IDLE_WAIT: Duration = Duration::from_millis(20);
/// Between two writes of a worker that has caught up: what is synced meanwhile is folded together.
const BREATH: Duration = Duration::from_millis(2);

/// The running workers.
pub struct Workers {
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    cursors: Vec<(View, watch::Receiver<u64>)>,
}

impl Workers {
    /// Starts a worker for each view.
    ///
    /// # Errors
    /// [`Error`] if a cursor cannot be read.
    pub fn start(ledger: &Arc<Ledger>) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut threads, mut cursors) = (Vec::new(), Vec::new());
        for view in View::ALL {
            let (cursor_tx, cursor) = watch::channel(read_cursor(&ledger.store, view)?);
            let (ledger, stop) = (ledger.clone(), stop.clone());
            threads.push(std::thread::spawn(move || follow(&ledger, view, &stop, &cursor_tx)));
            cursors.push((view, cursor));
        }
        Ok(Self { stop, threads: Mutex::new(threads), cursors })
    }

    /// Entries folded, by view.
    pub fn sizes(&self) -> Vec<(View, u64)> {
        self.cursors.iter().map(|(view, cursor)| (*view, *cursor.borrow())).collect()
    }

    /// Waits until every view has folded this many entries; false if they have not within `wait`.
    pub async fn reach(&self, size: u64, wait: Duration) -> bool {
        let all = async {
            for (_, cursor) in &self.cursors {
                if cursor.clone().wait_for(|folded| *folded >= size).await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(wait, all).await.unwrap_or(false)
    }

    /// Stops the workers and makes their rows durable.
    pub fn stop(&self, store: &Store) {
        self.stop.store(true, Ordering::SeqCst);
        let threads =
            std::mem::take(&mut *self.threads.lock().expect("no code panics while holding this lock"));
        for thread in threads {
            // A panicked worker has said so; its rows are folded again from its cursor.
            let _ = thread.join();
        }
        if let Err(error) = store.flush_views() {
            tracing::warn!(%error, "the projections could not be flushed; they are folded again at the next start");
        }
    }
}

fn follow(ledger: &Ledger, view: View, stop: &AtomicBool, cursor: &watch::Sender<u64>) {
    while !stop.load(Ordering::SeqCst) {
        let from = *cursor.borrow();
        let size = ledger.grown(from, IDLE_WAIT);
        if from >= size {
            continue;
        }
        let to = size.min(from + BATCH_LEN_MAX);
        match entries(ledger, from, to).and_then(|entries| fold_entries(&ledger.store, view, &entries, to)) {
            Ok(()) => {
                cursor.send_replace(to);
                if to == size {
                    std::thread::sleep(BREATH);
                }
            }
            Err(error) => {
                tracing::error!(view = view.name(), %error, "projection stopped; queries answer from before it");
                return;
            }
        }
    }
}

fn read_cursor(store: &Store, view: View) -> Result<u64, Error> {
    let bytes = store.view(&keys::cursor(view.name()))?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
}

/// Entries `[from, to)`: the newest ones from memory, older ones from the store.
pub(super) fn entries(ledger: &Ledger, from: Seq, to: Seq) -> Result<Vec<Arc<RecentEntry>>, Error> {
    ledger.recent_entries.range(from, to).map_or_else(|| stored(&ledger.store, from, to), Ok)
}

/// Entries `[from, to)` from the store.
fn stored(store: &Store, from: Seq, to: Seq) -> Result<Vec<Arc<RecentEntry>>, Error> {
    let read = |(bytes, value): (&[u8; HEADER_LEN], Vec<u8>)| {
        let header = Header::decode(bytes).map_err(|error| Error::Row(error.to_string()))?;
        let body = match header.outcome {
            Outcome::Malformed => None,
            _ => {
                let record = canonical::decode(&value);
                Some(record.map_err(|_| Error::Row(format!("records/{}", header.seq)))?.body)
            }
        };
        Ok(Arc::new(RecentEntry { header, body }))
    };
    store.headers(from, to)?.iter().zip(store.records(from, to)?).map(read).collect()
}

/// Folds entries, which end before `to`, into rows and moves the cursor, in one write.
fn fold_entries(store: &Store, view: View, entries: &[Arc<RecentEntry>], to: Seq) -> Result<(), Error> {
    let mut written = Vec::new();
    let mut newest: HashMap<Vec<u8>, SlotChange> = HashMap::new();
    for entry in entries {
        let header = &entry.header;
        let (Some(body), true) = (&entry.body, header.outcome != Outcome::Malformed) else { continue };
        let before = |prefix: &[u8]| match newest.get(prefix) {
            Some(change) => Ok(Some(change.clone())),
            None => newest_change(store, prefix),
        };
        for (key, row) in fold::fold(view, header, body, before)? {
            if let (View::History, Some(change)) = (view, rows::decode(&row)) {
                let prefix = key.strip_suffix(&header.seq.to_be_bytes()).unwrap_or(&key).to_vec();
                newest.insert(prefix, change);
            }
            written.push((key, row));
        }
    }
    written.push((keys::cursor(view.name()), to.to_be_bytes().to_vec()));
    store.write_views(&written)
}

/// The newest change of a slot.
fn newest_change(store: &Store, prefix: &[u8]) -> Result<Option<SlotChange>, Error> {
    let mut found = None;
    store.view_scan(prefix, &keys::at(prefix, u64::MAX), Direction::Reverse, |_, row| {
        found = rows::decode(row);
        false
    })?;
    Ok(found)
}

/// Folds what a stopped node had not folded yet, in memory only: its directory is not written to.
///
/// # Errors
/// [`Error`].
pub fn fold_rest(store: &Store, size: u64) -> Result<(), Error> {
    for view in View::ALL {
        let mut from = read_cursor(store, view)?;
        while from < size {
            let to = size.min(from + BATCH_LEN_MAX);
            fold_entries(store, view, &stored(store, from, to)?, to)?;
            from = to;
        }
    }
    Ok(())
}

/// Drops all rows and folds everything again. Blocking; `progress` is told how far it is.
///
/// # Errors
/// [`Error`].
pub fn rebuild(store: &Store, size: u64, mut progress: impl FnMut(View, u64)) -> Result<(), Error> {
    store.clear_views()?;
    for view in View::ALL {
        let mut from = 0;
        while from < size {
            let to = size.min(from + BATCH_LEN_MAX);
            fold_entries(store, view, &stored(store, from, to)?, to)?;
            progress(view, to);
            from = to;
        }
    }
    store.flush_views()
}

/// Rows of a view, and one digest over all of them: equal rows give equal digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The view.
    pub view: View,
    /// Rows.
    pub rows: u64,
    /// BLAKE3 over keys and values in order, each with its length before it. Not part of any format.
    pub digest: Digest,
}

/// The extent of every view.
///
/// # Errors
/// [`Error`].
pub fn extents(store: &Store) -> Result<Vec<Extent>, Error> {
    let mut views: Vec<_> = View::ALL.into_iter().map(|view| (view, 0, blake3::Hasher::new())).collect();
    store.view_scan(&[], &[], Direction::Forward, |key, row| {
        if let Some((_, rows, hasher)) = views.iter_mut().find(|(view, ..)| keys::view_of(key) == Some(*view))
        {
            *rows += 1;
            for part in [key, row] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
        true
    })?;
    let extent = |(view, rows, hasher): (View, u64, blake3::Hasher)| Extent {
        view,
        rows,
        digest: Digest(*hasher.finalize().as_bytes()),
    };
    Ok(views.into_iter().map(extent).collect())
}
