//! An answer of a gate is worth what its node knows: it asks the log for its end, and answers only when it has that much.
//!
//! A log that ends with offsets which hold no record (transaction markers of somebody else's producer) can't be
//! confirmed until the next record comes: fail closed, and say so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    event::{Micros, Seq},
    ledger::{Head, Ledger},
    log::Log,
    projection::worker::Workers,
};

/// How long a node tries.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// Why a node cannot say that it is up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this node cannot confirm within 10 s that it has all that the log has: {0}")]
pub struct Unconfirmed(String);

/// A head that is as new as the log's end, and when that was asked.
#[derive(Clone)]
pub struct Confirmed {
    /// The head; the projections have reached it.
    pub head: Arc<Head>,
    /// When the log had been asked.
    pub at: Micros,
}

/// Asks the log, once for all questions that wait.
pub struct Confirmer {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Its projections.
    pub workers: Arc<Workers>,
    /// Its log.
    pub log: Arc<dyn Log>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    begun: AtomicU64,
    newest: Mutex<(u64, Seq)>,
}

impl Confirmer {
    /// Of a running node.
    pub fn new(ledger: Arc<Ledger>, workers: Arc<Workers>, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        Self { ledger, workers, log, clock, begun: AtomicU64::new(0), newest: Mutex::default() }
    }

    /// A head that has everything that the log had when this was called.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn confirm(&self) -> Result<Confirmed, Unconfirmed> {
        let reached = tokio::time::timeout(CONFIRM_WITHIN, self.reach()).await;
        reached.map_err(|_| Unconfirmed(self.why()))
    }

    async fn reach(&self) -> Confirmed {
        let end = loop {
            match self.end().await {
                Ok(end) => break end,
                Err(error) => {
                    tracing::warn!(%error, "the end of the log is not known; a gate waits");
                    tokio::time::sleep(RETRY_WAIT).await;
                }
            }
        };
        let at = self.clock.now();
        let mut heads = self.ledger.heads();
        // The sender lives as long as the ledger.
        let _ = heads.wait_for(|head| head.state.size() >= end).await;
        let head = self.ledger.head();
        while !self.workers.reach(head.state.size(), CONFIRM_WITHIN).await {
            tokio::time::sleep(RETRY_WAIT).await;
        }
        Confirmed { head, at }
    }

    /// The end of the log, asked after this was called. Who waits while another one asks shares the next answer.
    async fn end(&self) -> Result<Seq, crate::log::Error> {
        let seen = self.begun.load(Ordering::SeqCst);
        let mut newest = self.newest.lock().await;
        if newest.0 <= seen {
            let round = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            // An embedded log has no end of its own: what the ledger has is all there is.
            let end = self.log.end().await?.unwrap_or_else(|| self.ledger.head().state.size());
            *newest = (round, end);
        }
        Ok(newest.1)
    }

    fn why(&self) -> String {
        let size = self.ledger.head().state.size();
        match self.newest.try_lock().map(|newest| newest.1) {
            Ok(end) if end > size => format!(
                "the log ends at {end}, this node has {size} entries; if nothing moves, the log ends with offsets that hold no record, which the next record clears"
            ),
            _ => "the log does not answer, or the projections are behind".into(),
        }
    }
}
