//! Break-glass: listed, and an alert on every node, until a promotion of that artefact in that slot covers it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    alert::Alerts,
    clock::Clock,
    event::{
        Kind, Micros, Seq,
        proto::{BreakGlass, body::Event},
    },
    ledger::{Ledger, store::Error},
    projection::keys,
};

use super::{question::words, slots};

/// Emergencies looked at, newest first.
const ENTRIES_MAX: usize = 1_000;
/// Between two looks; an alert need not come faster than a person reads it.
const WAIT: Duration = Duration::from_millis(500);

/// Emergencies that no promotion covers, newest first.
///
/// # Errors
/// [`Error`].
pub fn uncovered(ledger: &Ledger) -> Result<Vec<(Seq, BreakGlass)>, Error> {
    let mut found = Vec::new();
    for seq in slots::newest(ledger, &keys::by_kind(Kind::BreakGlass), ENTRIES_MAX)? {
        if let Some(Event::BreakGlass(e)) = slots::accepted(ledger, seq)?.map(|found| found.event)
            && !is_covered(ledger, seq, &e)?
        {
            found.push((seq, e));
        }
    }
    Ok(found)
}

/// Whether the artefact was promoted in that slot afterwards.
fn is_covered(ledger: &Ledger, seq: Seq, e: &BreakGlass) -> Result<bool, Error> {
    let later = slots::newest(ledger, &keys::by_artifact(&e.artifact_sha256), ENTRIES_MAX)?;
    for promotion in later.into_iter().take_while(|later| *later > seq) {
        if let Some(Event::Promoted(promoted)) = slots::accepted(ledger, promotion)?.map(|found| found.event)
            && promoted.slot == e.slot
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The running thread.
pub struct Emergencies {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Emergencies {
    /// Follows the head, and raises and clears alerts.
    pub fn start(ledger: &Arc<Ledger>, alerts: &Arc<Alerts>, clock: &Arc<dyn Clock>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ledger, alerts, clock, stopped) = (ledger.clone(), alerts.clone(), clock.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut raised = BTreeSet::new();
            while !stopped.load(Ordering::SeqCst) {
                match uncovered(&ledger) {
                    Ok(found) => note(&alerts, &mut raised, &found, clock.now()),
                    Err(error) => tracing::error!(%error, "emergencies cannot be looked up"),
                }
                pause(&stopped);
            }
        });
        Self { stop, thread: Mutex::new(Some(thread)) }
    }

    /// Stops it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().expect("no code panics while holding this lock").take();
        // A panicked thread has said so.
        let _ = thread.map(JoinHandle::join);
    }
}

fn pause(stopped: &AtomicBool) {
    const LOOK: Duration = Duration::from_millis(50);
    let mut left = WAIT;
    while !left.is_zero() && !stopped.load(Ordering::SeqCst) {
        std::thread::sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
}

fn note(alerts: &Alerts, raised: &mut BTreeSet<Seq>, found: &[(Seq, BreakGlass)], now: Micros) {
    let open: BTreeSet<_> = found.iter().map(|(seq, _)| *seq).collect();
    for seq in raised.difference(&open) {
        alerts.clear(&name(*seq));
    }
    for (seq, e) in found {
        let slot = e.slot.as_ref().map(words).unwrap_or_default();
        let artifact = hex::encode(&e.artifact_sha256);
        let state = if e.expires_at <= now { "expired, and" } else { "in force;" };
        alerts.raise(
            &name(*seq),
            &format!(
                "an emergency let {artifact} into {slot} (entry {seq}): {state} no promotion covers it yet"
            ),
            now,
        );
    }
    *raised = open;
}

fn name(seq: Seq) -> String {
    format!("break-glass {seq}")
}
