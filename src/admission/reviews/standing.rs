//! Where a review stands: what it sealed, and whether anything since then forbids to decide it.

use crate::{
    event::{
        Digest, Seq, canonical, digest,
        promotion::Problem,
        proto::{Body, IncumbentChange, Promoted, ReviewSealed, body::Event},
    },
    ledger::{
        review_rows::{self, ReviewState, ReviewStatus},
        reviews::lacking,
        state::Lookup,
    },
};

use super::super::{Error, gateway::Gateway};

/// A review as it was sealed and as it is.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its entry.
    pub seq: Seq,
    /// What the writer knows.
    pub state: ReviewState,
    /// What was sealed.
    pub sealed: ReviewSealed,
    /// The record's body: its sealed items and preconditions.
    pub body: Body,
}

/// What stands in the way of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is over.
    Over(String),
    /// Its time is over.
    Expired,
    /// The slot changed: this entry did it.
    Superseded(Seq),
    /// The slot changed, and the policy says to wait.
    Held(Seq),
    /// Another policy is in force.
    Policy(Seq),
}

impl Obstacle {
    /// The entry that changed something, if one did.
    pub const fn entry(&self) -> Option<Seq> {
        match self {
            Self::Over(_) | Self::Expired => None,
            Self::Superseded(seq) | Self::Held(seq) | Self::Policy(seq) => Some(*seq),
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Over(words) => words.clone(),
            Self::Expired => "its time is over; ask for a new review".into(),
            Self::Superseded(seq) => {
                format!(
                    "entry {seq} changed the slot since this was sealed; a new review must compare with it"
                )
            }
            Self::Held(seq) => {
                format!(
                    "entry {seq} changed the slot since this was sealed, and the policy holds it; withdraw it and seal a new one"
                )
            }
            Self::Policy(seq) => {
                format!("entry {seq} put another policy in force; a new review must be routed by it")
            }
        }
    }
}

fn problem(description: String) -> Error {
    Error::Precondition(Problem { field: "review".into(), description })
}

impl Gateway {
    /// A review.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the entry is none.
    pub fn review(&self, seq: Seq) -> Result<Known, Error> {
        let none = || Error::NotFound(format!("entry {seq} is not an accepted review"));
        if seq >= self.ledger.head().state.size() {
            return Err(none());
        }
        let state = review_rows::review(&self.ledger.store, seq)?.ok_or_else(none)?;
        let body = self.event_body(seq)?;
        let Some(Event::ReviewSealed(sealed)) = body.event.clone() else { return Err(none()) };
        Ok(Known { seq, state, sealed, body })
    }

    /// The body of an entry.
    pub(super) fn event_body(&self, seq: Seq) -> Result<Body, Error> {
        let record = self.ledger.store.record(seq)?.and_then(|value| canonical::decode(&value).ok());
        record.map(|record| record.body).ok_or_else(|| Error::NotFound(format!("entry {seq} cannot be read")))
    }

    /// What stands in the way of deciding a review now; `None`: nothing.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn obstacle(&self, known: &Known) -> Result<Option<Obstacle>, Error> {
        let over = match known.state.status {
            ReviewStatus::Open => None,
            ReviewStatus::Quorum(seq) => {
                Some(format!("enough people have approved (entry {seq}); the promotion is being recorded"))
            }
            ReviewStatus::Promoted(seq) => Some(format!("it was approved and recorded as entry {seq}")),
            ReviewStatus::Ended(seq) => Some(format!("it ended with entry {seq}; ask for a new review")),
        };
        if let Some(words) = over {
            return Ok(Some(Obstacle::Over(words)));
        }
        if known.state.expires_at != 0 && self.clock.now() > known.state.expires_at {
            return Ok(Some(Obstacle::Expired));
        }
        self.changed_since(known)
    }

    /// What changed since a review was sealed that its policy does not let pass.
    pub(super) fn changed_since(&self, known: &Known) -> Result<Option<Obstacle>, Error> {
        let seen = known.body.preconditions.unwrap_or_default();
        let policy = self.ledger.head().state.policy.as_ref().map(|policy| policy.seq);
        if let Some(seq) = policy.filter(|seq| Some(*seq) != seen.policy_activated_at) {
            return Ok(Some(Obstacle::Policy(seq)));
        }
        let slot = self.ledger.store.slot(&known.state.slot)?;
        let Some(slot) = slot.filter(|slot| Some(slot.changed_at) != seen.slot_changed_at) else {
            return Ok(None);
        };
        let change = IncumbentChange::try_from(known.sealed.on_incumbent_change).unwrap_or_default();
        Ok(match change {
            IncumbentChange::Hold => Some(Obstacle::Held(slot.changed_at)),
            IncumbentChange::AllowInBand if self.came_in_band(slot.current)? => None,
            _ => Some(Obstacle::Superseded(slot.changed_at)),
        })
    }

    /// Whether the slot's current model was promoted inside its band.
    fn came_in_band(&self, current: Option<Seq>) -> Result<bool, Error> {
        let Some(seq) = current else { return Ok(false) };
        let Some(Event::Promoted(promoted)) = self.event_body(seq)?.event else { return Ok(false) };
        Ok(promoted.routing.is_some_and(|routing| routing.in_band))
    }

    pub(super) async fn decidable(&self, known: &Known) -> Result<(), Error> {
        let Some(obstacle) = self.shown_obstacle(known).await? else { return Ok(()) };
        // A refusal names the entry that ended it: not before that one is synced.
        self.until_synced(known.state.newest()).await?;
        Err(problem(format!("of entry {} takes no decision: {}", known.seq, obstacle.words())))
    }

    /// The last review of a promotion key, if one is there.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn last_review(&self, promotion_key: &Digest) -> Result<Option<(Seq, ReviewState)>, Error> {
        let last = review_rows::last(&self.ledger.store, promotion_key)?;
        Ok(last.filter(|(seq, _)| *seq < self.ledger.head().state.size()))
    }

    /// What a review still lacks, in words.
    pub fn lacks(&self, known: &Known) -> Vec<String> {
        lacking(&known.state)
    }
}

/// The slot of a package.
pub(super) fn slot_of(package: &Promoted) -> Digest {
    package.slot.as_ref().map(digest::slot).unwrap_or_default()
}
