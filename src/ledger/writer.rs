//! The writer: log -> decide -> store -> sync -> tell. The only code that advances a ledger.
//!
//! Two threads. One takes deliveries, decides them and writes them to RocksDB, where the next batch already
//! sees them; the other syncs whatever has been written by then, signs a checkpoint over exactly that, and only
//! then lets anybody see it. One sync serves all calls that wait. Where nobody else is on the way, the first thread
//! syncs by itself, and nobody waits for the other one to wake.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;
use tokio::sync::watch;

use crate::{
    event::{Digest, Header, Micros, Seq},
    log::{self, Delivery, Tail},
};

use super::{
    decide::{Prepared, RULES_KNOWN},
    gathering::Gathering,
    inflight::Inflight,
    ledger::{CheckpointFile, Head, Ledger},
    node_key::NodeKey,
    plan::{self, Delivered, WriteSet},
    state::State,
    store,
};

/// Records in one batch.
const BATCH_LEN_MAX: usize = 1024;
/// Values to decode from which on it is done in parallel.
const IN_PARALLEL_FROM: usize = 32;
/// Batches that are written but not synced.
const UNSYNCED_BATCHES_MAX: usize = 64;
/// How long the writer waits for the log before it looks whether it should stop.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// Why the writer has stopped. It does not go on; the node exits and recovers when it is started again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The log is not this ledger's any more.
    #[error("log: {0}")]
    Log(#[from] log::Error),
    /// The database failed; whether the last batch landed is unknown.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// A rule that stops the writer.
    #[error("{0}")]
    Rules(String),
    /// The log holds other records than this node; both are named.
    #[error("{0}")]
    Diverged(String),
    /// The files beside the database failed.
    #[error("writing the checkpoint file: {0}")]
    Checkpoint(String),
}

/// How the writer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It follows the log.
    Running,
    /// It was asked to stop, and has.
    Stopped,
    /// It has stopped by itself.
    Halted(Error),
}

/// Counters since the writer started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Syncs.
    pub syncs: AtomicU64,
    /// Entries that they made durable.
    pub entries: AtomicU64,
    /// Entries that the last one made durable.
    pub last_sync: AtomicU64,
    /// Offset after the newest delivery.
    pub delivered: AtomicU64,
}

/// A running writer.
pub struct Writer {
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    health: watch::Receiver<Health>,
    brake: Brake,
}

/// Halts a writer from outside.
#[derive(Clone)]
pub struct Brake {
    stop: Arc<AtomicBool>,
    health: watch::Sender<Health>,
}

impl Brake {
    /// Halts the writer after the batch in hand. The first reason is the one that is kept.
    pub fn halt(&self, why: Error) {
        finish(&self.health, Err(why));
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Writer {
    /// Starts the writer's threads on a tail that begins at the ledger's size.
    pub fn start(
        ledger: Arc<Ledger>,
        inflight: Arc<Inflight>,
        tail: Box<dyn Tail>,
        log_key: NodeKey,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (health_tx, health) = watch::channel(Health::Running);
        let brake = Brake { stop: stop.clone(), health: health_tx.clone() };
        let (batches_tx, batches) = bounded(UNSYNCED_BATCHES_MAX);
        let syncing = Arc::new(Syncing {
            ledger,
            inflight,
            log_key,
            unsynced: AtomicUsize::new(0),
            file: Mutex::default(),
        });
        let deciding = {
            let (syncing, stop, health) = (syncing.clone(), stop.clone(), health_tx.clone());
            std::thread::spawn(move || {
                let end = decide_loop(&syncing, tail, &stop, &batches_tx);
                drop(batches_tx);
                finish(&health, end);
            })
        };
        let syncing = std::thread::spawn(move || {
            let end = sync_loop(&syncing, &batches);
            if end.is_err() {
                finish(&health_tx, end);
            }
            syncing.inflight.abandon();
        });
        Self { stop, threads: Mutex::new(vec![deciding, syncing]), health, brake }
    }

    /// Changes when the writer stops.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Halts this writer, whoever holds it.
    pub fn brake(&self) -> Brake {
        self.brake.clone()
    }

    /// Stops after the batch in hand, with everything that was written synced. Blocking.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let threads =
            std::mem::take(&mut *self.threads.lock().expect("no code panics while holding this lock"));
        for thread in threads {
            // A panicked writer has said so already.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn finish(health: &watch::Sender<Health>, end: Result<(), Error>) {
    health.send_if_modified(|health| {
        let first = *health == Health::Running;
        if first {
            *health = end.map_or_else(Health::Halted, |()| Health::Stopped);
        }
        first
    });
}

struct Batch {
    state: State,
    headers: Vec<Header>,
}

/// What makes written batches durable and shows them.
struct Syncing {
    ledger: Arc<Ledger>,
    inflight: Arc<Inflight>,
    log_key: NodeKey,
    /// Batches that were handed over and are not shown yet. Only the deciding thread adds.
    unsynced: AtomicUsize,
    /// Opened with the first checkpoint.
    file: Mutex<Option<CheckpointFile>>,
}

impl Syncing {
    /// One sync for all these batches, one checkpoint over them, and only then does anybody see them.
    fn show(&self, together: Vec<Batch>) -> Result<(), Error> {
        let Self { ledger, inflight, .. } = self;
        ledger.store.sync()?;
        let entries: usize = together.iter().map(|batch| batch.headers.len()).sum();
        ledger.counters.syncs.fetch_add(1, Ordering::Relaxed);
        ledger.counters.entries.fetch_add(entries as u64, Ordering::Relaxed);
        ledger.counters.last_sync.store(entries as u64, Ordering::Relaxed);
        let (states, headers): (Vec<_>, Vec<_>) =
            together.into_iter().map(|batch| (batch.state, batch.headers)).unzip();
        let Some(state) = states.into_iter().next_back() else { return Ok(()) };
        let head = Head::new(state, &self.log_key);
        let failed = |error: std::io::Error| Error::Checkpoint(error.to_string());
        let mut file = self.file.lock().expect("no code panics while holding this lock");
        if file.is_none() {
            *file = Some(CheckpointFile::open(&ledger.dir).map_err(failed)?);
        }
        if let Some(file) = file.as_mut() {
            file.write(&head.checkpoint).map_err(failed)?;
        }
        if !ledger.publish(head) {
            return Err(Error::Rules("a head would go back".into()));
        }
        inflight.resolve(headers.iter().flatten());
        Ok(())
    }

    /// Whether the deciding thread may sync by itself: everything before is shown already, so that heads never go back,
    /// and nobody's record would wait meanwhile.
    fn alone(&self) -> bool {
        self.unsynced.load(Ordering::Acquire) == 0 && self.inflight.on_their_way() == 0
    }
}

fn decide_loop(
    syncing: &Syncing,
    mut tail: Box<dyn Tail>,
    stop: &AtomicBool,
    batches: &Sender<Batch>,
) -> Result<(), Error> {
    let Syncing { ledger, inflight, .. } = syncing;
    let mut state = ledger.store.state()?;
    let mut gathering = Gathering::default();
    while !stop.load(Ordering::SeqCst) {
        let mut deliveries = tail.next(BATCH_LEN_MAX, IDLE_WAIT)?;
        if deliveries.is_empty() {
            continue;
        }
        gathering.gather(&mut *tail, inflight, &ledger.counters, BATCH_LEN_MAX, &mut deliveries)?;
        note_delivery(ledger, &deliveries);
        let delivered = prepare(inflight, deliveries);
        let (set, halt) = plan::plan(&mut state, &ledger.store, &ledger.pinned, RULES_KNOWN, delivered);
        if let (Some(state), false) = (&state, set.entries.is_empty()) {
            ledger.store.write(&set, state)?;
            ledger.recent.add(&set);
            let headers = set.entries.iter().map(|(decided, _)| decided.header.clone()).collect();
            ledger.recent_entries.add(set);
            let batch = Batch { state: state.clone(), headers };
            if syncing.alone() {
                syncing.show(vec![batch])?;
            } else {
                syncing.unsynced.fetch_add(1, Ordering::Release);
                if batches.send(batch).is_err() {
                    return Ok(());
                }
            }
        }
        if let Some(halt) = halt {
            return Err(Error::Rules(halt.to_string()));
        }
    }
    Ok(())
}

fn note_delivery(ledger: &Ledger, deliveries: &[Delivery]) {
    if let Some(last) = deliveries.last() {
        ledger.counters.delivered.store(last.offset + 1, Ordering::Relaxed);
    }
}

/// Reads values: those that this process made are decoded already, the others are decoded in parallel.
fn prepare(inflight: &Inflight, deliveries: Vec<Delivery>) -> Vec<Delivered> {
    let known = deliveries.into_iter().map(|delivery| {
        let digest = crate::event::digest::record_digest(&delivery.value);
        let own = inflight.take_prepared(&digest, delivery.appended_at);
        (delivery.offset, own.ok_or((delivery.value, digest)))
    });
    let known: Vec<_> = known.collect();
    let read = |(offset, known): (Seq, Result<Prepared, (Vec<u8>, Digest)>)| Delivered {
        offset,
        prepared: known.unwrap_or_else(|(value, digest)| Prepared::of(value, digest)),
    };
    // Waking other threads is worth it for a batch of what others made.
    if known.iter().filter(|(_, known)| known.is_err()).count() < IN_PARALLEL_FROM {
        known.into_iter().map(read).collect()
    } else {
        known.into_par_iter().map(read).collect()
    }
}

fn sync_loop(syncing: &Syncing, batches: &Receiver<Batch>) -> Result<(), Error> {
    while let Ok(first) = batches.recv() {
        let mut together = vec![first];
        together.extend(batches.try_iter());
        let batches = together.len();
        syncing.show(together)?;
        syncing.unsynced.fetch_sub(batches, Ordering::Release);
    }
    Ok(())
}

/// Applies deliveries without a log: how `init`, `rebuild` and tests write. Everything is synced when this returns.
///
/// # Errors
/// [`Error`]; the store must then be reopened.
pub fn apply(
    store: &store::Store,
    pinned: &Digest,
    state: &mut Option<State>,
    values: impl IntoIterator<Item = (Seq, Vec<u8>)>,
) -> Result<WriteSet, Error> {
    let delivered =
        values.into_iter().map(|(offset, value)| Delivered { offset, prepared: Prepared::new(value) });
    let (set, halt) = plan::plan(state, store, pinned, RULES_KNOWN, delivered);
    if let (Some(state), false) = (&state, set.entries.is_empty()) {
        store.write(&set, state)?;
        store.sync()?;
    }
    match halt {
        Some(halt) => Err(Error::Rules(halt.to_string())),
        None => Ok(set),
    }
}

/// How far a clock may be from the ledger's own time before a node stops admitting, microseconds (rule 8).
pub const CLOCK_DISTANCE_MAX: Micros = 60 * 1_000_000;
