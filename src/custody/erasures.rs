//! Recorded means erased: every node destroys the subject records that the ledger says are destroyed.
//!
//! The front door that recorded an erasure destroys the record before it answers. Where it crashed in between, or a
//! backup of the key store was put back, any node does it: at its start, and soon after.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    event::{Digest, Seq},
    identity::subjects::{self, Subjects},
    ledger::{Ledger, store},
    projection::reliance,
};

/// Between two looks.
const WAIT: Duration = Duration::from_millis(500);
/// Before the same record is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(5);
/// Erasures looked at in one step.
const BATCH_LEN_MAX: usize = 256;

/// Why an erasure was not carried out.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Ledger(#[from] store::Error),
    #[error("{0}")]
    Subjects(#[from] subjects::Error),
}

/// The running thread.
pub struct Erasures {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Erasures {
    /// Starts with the first erasure of the ledger and follows its head.
    pub fn start(ledger: &Arc<Ledger>, subjects: &Arc<Subjects>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ledger, subjects, stopped) = (ledger.clone(), subjects.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut next = 0;
            while !stopped.load(Ordering::SeqCst) {
                match step(&ledger, &subjects, next) {
                    Ok(Some(last)) => next = last + 1,
                    Ok(None) => pause(WAIT, &stopped),
                    Err(error) => {
                        tracing::error!(%error, "a subject record that is recorded as destroyed may still be there");
                        pause(RETRY_WAIT, &stopped);
                    }
                }
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

fn pause(length: Duration, stopped: &AtomicBool) {
    const LOOK: Duration = Duration::from_millis(50);
    let mut left = length;
    while !left.is_zero() && !stopped.load(Ordering::SeqCst) {
        std::thread::sleep(left.min(LOOK));
        left = left.saturating_sub(LOOK);
    }
}

/// Carries out erasures from a position on. The last one looked at.
fn step(ledger: &Ledger, subjects: &Subjects, from: Seq) -> Result<Option<Seq>, Error> {
    let erased: Vec<(Seq, Digest)> = reliance::erasures(ledger, &ledger.head(), from, BATCH_LEN_MAX)?;
    for (seq, subject) in &erased {
        if subjects.destroy(subject)? {
            tracing::warn!(seq, "destroyed a subject record that the ledger says was destroyed");
        }
    }
    Ok(erased.last().map(|(seq, _)| *seq))
}
