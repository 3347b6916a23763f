//! What is said of a review to anybody: never ahead of the synced ledger, whose rows are written a moment earlier.

use std::time::Duration;

use crate::event::Seq;

use super::{
    super::{Error, gateway::Gateway},
    standing::{Known, Obstacle},
};

/// How long an answer waits for the sync of an entry that it names.
const SYNCED_WITHIN: Duration = Duration::from_secs(10);

impl Gateway {
    /// Waits until an entry that an answer names is synced.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it is not within 10 s.
    pub async fn until_synced(&self, seq: Option<Seq>) -> Result<(), Error> {
        let Some(seq) = seq else { return Ok(()) };
        if self.ledger.is_synced(seq, SYNCED_WITHIN).await {
            return Ok(());
        }
        let seconds = SYNCED_WITHIN.as_secs();
        Err(Error::Unavailable(format!("entry {seq} is not synced after {seconds} s; ask again")))
    }

    /// A review as it is shown.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the entry is none, [`Error::Unavailable`] if what it names is not synced.
    pub async fn shown_review(&self, seq: Seq) -> Result<Known, Error> {
        let known = self.review(seq)?;
        self.until_synced(known.state.newest()).await?;
        Ok(known)
    }

    /// What stands in the way of deciding a review now, as it is shown; `None`: nothing.
    ///
    /// # Errors
    /// Of the ledger, [`Error::Unavailable`] if what it names is not synced.
    pub async fn shown_obstacle(&self, known: &Known) -> Result<Option<Obstacle>, Error> {
        let obstacle = self.obstacle(known)?;
        self.until_synced(obstacle.as_ref().and_then(Obstacle::entry)).await?;
        Ok(obstacle)
    }
}
