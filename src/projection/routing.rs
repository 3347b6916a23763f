//! Routes every promotion again, on every node: what another front door recorded must follow from what it froze.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    event::Seq,
    ledger::{Ledger, store::Error},
    policy::audit::Audit,
};

use super::worker::entries;

/// Entries looked at in one step.
const BATCH_LEN_MAX: u64 = 512;
/// How often an idle audit looks whether there is something new.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// What the audit found so far.
#[derive(Debug, Default)]
pub struct Found {
    /// Entries looked at; from genesis at each start.
    pub size: AtomicU64,
    /// Promotions whose tier or requirements do not follow from their frozen inputs.
    pub findings: AtomicU64,
}

/// The running audit.
pub struct RoutingAudit {
    /// What it found.
    pub found: Arc<Found>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RoutingAudit {
    /// Starts at genesis and follows the head. It decides nothing: a finding is for people.
    pub fn start(ledger: &Arc<Ledger>) -> Self {
        let (found, stop) = (Arc::new(Found::default()), Arc::new(AtomicBool::new(false)));
        let (ledger, noted, stopped) = (ledger.clone(), found.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            if let Err(error) = follow(&ledger, &noted, &stopped) {
                tracing::error!(%error, "the routing audit stopped");
            }
        });
        Self { found, stop, thread: Mutex::new(Some(thread)) }
    }

    /// Stops it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().expect("no code panics while holding this lock").take();
        // A panicked audit has said so.
        let _ = thread.map(JoinHandle::join);
    }
}

fn follow(ledger: &Ledger, found: &Found, stop: &AtomicBool) -> Result<(), Error> {
    let mut audit = Audit::default();
    let mut from: Seq = 0;
    while !stop.load(Ordering::SeqCst) {
        let to = ledger.head().state.size().min(from + BATCH_LEN_MAX);
        if from >= to {
            std::thread::sleep(IDLE_WAIT);
            continue;
        }
        for entry in entries(ledger, from, to)? {
            let Some(body) = &entry.body else { continue };
            let Some(audited) = audit.push(&entry.header, body) else { continue };
            if let Some(first) = audited.findings.first() {
                found.findings.fetch_add(1, Ordering::Relaxed);
                tracing::error!(seq = audited.seq, finding = %first, "a recorded route does not follow from its inputs");
            }
        }
        from = to;
        found.size.store(from, Ordering::Relaxed);
    }
    Ok(())
}
