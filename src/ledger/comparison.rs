//! Does the log still hold what this node read from it? Asked again and again while the node runs.
//!
//! A topic that is deleted, made anew and filled past our offset between two fetches goes unnoticed by its reader:
//! the broker's client reads on as if nothing had happened. So entries are read from the log once more and compared
//! by digest, always entries that an earlier round knew already: what the reader took since then may come from the
//! other topic, and would be equal.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time};

use crate::log::{self, Log};

use super::{
    ledger::Ledger,
    recover::{self, Error},
    writer::{self, Brake},
};

/// From one comparison to the next. A foreign topic is followed for two of these at most, and nothing on it that no
/// front door of this ledger signed, over this ledger's links, is ever accepted.
const EVERY: Duration = Duration::from_secs(10);

/// The comparisons of a running node.
pub struct Comparison(JoinHandle<()>);

impl Comparison {
    /// Compares until it is stopped, or until it halted the writer. The entries before `known` were compared when the
    /// node started.
    pub fn start(ledger: &Arc<Ledger>, log: &Arc<dyn Log>, brake: Brake, known: u64) -> Self {
        let (ledger, log) = (ledger.clone(), log.clone());
        Self(tokio::spawn(async move {
            if let Err(error) = follow(&ledger, &log, known, EVERY).await {
                brake.halt(writer::Error::Diverged(error.to_string()));
            }
        }))
    }

    /// Ends it; a comparison that is under way is forgotten.
    pub fn stop(&self) {
        self.0.abort();
    }
}

/// Compares every so often. Ends only if the log has no end of its own (`Ok`), or is not this ledger's any more.
///
/// # Errors
/// What [`recover::compare_with_log`] found; an unavailable log is asked again.
pub async fn follow(
    ledger: &Arc<Ledger>,
    log: &Arc<dyn Log>,
    mut known: u64,
    every: Duration,
) -> Result<(), Error> {
    if matches!(log.end().await, Ok(None)) {
        return Ok(());
    }
    loop {
        time::sleep(every).await;
        // Taken before the comparison: what is read while it runs is compared in the next round.
        let size = ledger.head().state.size();
        match recover::compare_with_log(ledger, log, known).await {
            Ok(()) => known = size,
            Err(Error::Log(log::Error::Unavailable(why))) => {
                tracing::warn!(why, "the log was not compared with this node's entries; it is tried again");
            }
            Err(error) => return Err(error),
        }
    }
}
