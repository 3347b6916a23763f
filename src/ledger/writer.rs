//! The writer: log -> decide -> store -> sync -> tell. The only code that advances a ledger.
//!
//! Two threads. One takes deliveries, decides them and writes them to RocksDB, where the next batch already
//! sees them; the other syncs whatever has been written by then, signs a checkpoint over exactly that, and only
//! then lets anybody see it. One sync serves all calls that wait.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use ed25519_dalek::SigningKey;
use rayon::prelude::*;
use tokio::sync::watch;

use crate::{
    event::{Digest, Header, Micros, Seq},
    log::{self, Delivery, Tail},
    proof::checkpoint::{self, Checkpoint},
};

use super::{
    decide::{Prepared, RULES_KNOWN},
    inflight::Inflight,
    ledger::{CheckpointFile, Head, Ledger},
    plan::{self, Delivered, WriteSet},
    state::State,
    store,
};

/// Records in one batch.
const BATCH_LEN_MAX: usize = 1024;
/// Batches that are written but not synced.
const UNSYNCED_BATCHES_MAX: usize = 64;
/// How long the writer waits for the log before it looks whether it should stop.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// One write, one sync and one checkpoint for one part in this many of the calls that are on their way: few of them wait
/// for nobody, many share what each would pay alone.
const GATHERED_SHARE: usize = 3;
/// But no longer than this, nor for more than so many.
const GATHERING_MAX: Duration = Duration::from_millis(8);
const GATHERED_MAX: usize = 64;

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
        log_key: SigningKey,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (health_tx, health) = watch::channel(Health::Running);
        let brake = Brake { stop: stop.clone(), health: health_tx.clone() };
        let (batches_tx, batches) = bounded(UNSYNCED_BATCHES_MAX);
        let deciding = {
            let (ledger, inflight, stop, health) =
                (ledger.clone(), inflight.clone(), stop.clone(), health_tx.clone());
            std::thread::spawn(move || {
                let end = decide_loop(&ledger, &inflight, tail, &stop, &batches_tx);
                drop(batches_tx);
                finish(&health, end);
            })
        };
        let syncing = std::thread::spawn(move || {
            let end = sync_loop(&ledger, &inflight, &batches, &log_key);
            if end.is_err() {
                finish(&health_tx, end);
            }
            inflight.abandon();
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

fn decide_loop(
    ledger: &Ledger,
    inflight: &Inflight,
    mut tail: Box<dyn Tail>,
    stop: &AtomicBool,
    batches: &Sender<Batch>,
) -> Result<(), Error> {
    let mut state = ledger.store.state()?;
    while !stop.load(Ordering::SeqCst) {
        let mut deliveries = tail.next(BATCH_LEN_MAX, IDLE_WAIT)?;
        if deliveries.is_empty() {
            continue;
        }
        gather(&mut *tail, inflight, &mut deliveries)?;
        note_delivery(ledger, &deliveries);
        let delivered = prepare(inflight, deliveries);
        let (set, halt) = plan::plan(&mut state, &ledger.store, &ledger.pinned, RULES_KNOWN, delivered);
        if let (Some(state), false) = (&state, set.entries.is_empty()) {
            ledger.store.write(&set, state)?;
            ledger.recent.add(&set);
            let headers = set.entries.iter().map(|(decided, _)| decided.header.clone()).collect();
            ledger.recent_entries.add(set);
            if batches.send(Batch { state: state.clone(), headers }).is_err() {
                return Ok(());
            }
        }
        if let Some(halt) = halt {
            return Err(Error::Rules(halt.to_string()));
        }
    }
    Ok(())
}

/// Waits a moment for records of calls that have begun already.
fn gather(
    tail: &mut dyn Tail,
    inflight: &Inflight,
    deliveries: &mut Vec<Delivery>,
) -> Result<(), log::Error> {
    let until = Instant::now() + GATHERING_MAX;
    loop {
        let calls = inflight.on_their_way() + deliveries.len();
        if deliveries.len() >= (calls / GATHERED_SHARE).min(GATHERED_MAX) {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        let more = tail.next(BATCH_LEN_MAX - deliveries.len(), left)?;
        if more.is_empty() {
            return Ok(());
        }
        deliveries.extend(more);
    }
}

fn note_delivery(ledger: &Ledger, deliveries: &[Delivery]) {
    if let Some(last) = deliveries.last() {
        ledger.counters.delivered.store(last.offset + 1, Ordering::Relaxed);
    }
}

/// Reads values: those that this process made are decoded already, the others are decoded in parallel.
fn prepare(inflight: &Inflight, deliveries: Vec<Delivery>) -> Vec<Delivered> {
    let one = |delivery: Delivery| {
        let digest = crate::event::digest::record_digest(&delivery.value);
        let own = inflight.take_prepared(&digest, delivery.appended_at);
        Delivered { offset: delivery.offset, prepared: own.unwrap_or_else(|| Prepared::new(delivery.value)) }
    };
    if deliveries.len() < 32 {
        deliveries.into_iter().map(one).collect()
    } else {
        deliveries.into_par_iter().map(one).collect()
    }
}

fn sync_loop(
    ledger: &Ledger,
    inflight: &Inflight,
    batches: &Receiver<Batch>,
    log_key: &SigningKey,
) -> Result<(), Error> {
    let mut file = CheckpointFile::open(&ledger.dir).map_err(|error| Error::Checkpoint(error.to_string()))?;
    while let Ok(first) = batches.recv() {
        let mut together = vec![first];
        together.extend(batches.try_iter());
        ledger.store.sync()?;
        let entries: usize = together.iter().map(|batch| batch.headers.len()).sum();
        ledger.counters.syncs.fetch_add(1, Ordering::Relaxed);
        ledger.counters.entries.fetch_add(entries as u64, Ordering::Relaxed);
        let (states, headers): (Vec<_>, Vec<_>) =
            together.into_iter().map(|batch| (batch.state, batch.headers)).unzip();
        let Some(state) = states.into_iter().next_back() else { continue };
        let head = Head::new(state, log_key);
        file.write(&head.checkpoint).map_err(|error| Error::Checkpoint(error.to_string()))?;
        ledger.publish(head);
        inflight.resolve(headers.iter().flatten());
    }
    Ok(())
}

/// Signs the checkpoint of a state.
pub(super) fn checkpoint_of(state: &State, log_key: &SigningKey) -> String {
    let checkpoint =
        Checkpoint { origin: state.origin.clone(), size: state.size(), root: state.frontier.root() };
    checkpoint::sign(&checkpoint, log_key)
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
