//! What the writer knows of reviews: rows of one kind, looked up by one key.

use serde::{Deserialize, Serialize};

use crate::event::{Digest, Micros, Seq};

use super::state::Lookup;

/// Key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReviewKey {
    /// A review, by its ReviewSealed entry.
    Review(Seq),
    /// The last review of a promotion key.
    Last(Digest),
    /// Open conditions of a slot, by its digest.
    Conditions(Digest),
    /// A delegation, by its entry.
    Delegation(Seq),
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReviewRow {
    /// Of [`ReviewKey::Review`].
    Review(ReviewState),
    /// Of [`ReviewKey::Last`].
    Last(Seq),
    /// Of [`ReviewKey::Conditions`].
    Conditions(Vec<ConditionState>),
    /// Of [`ReviewKey::Delegation`].
    Delegation(DelegationState),
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewState {
    /// Promotion key of its package.
    pub promotion_key: Digest,
    /// event_digest of the ReviewSealed entry.
    pub event_digest: Digest,
    /// Digest of the slot.
    pub slot: Digest,
    /// Digest of the package: what its Promoted must hold.
    pub package: Digest,
    /// SHA-256 of the page.
    pub screen: Digest,
    /// Which review of this promotion key it is.
    pub round: u32,
    /// recorded_at of the ReviewSealed entry.
    pub sealed_at: Micros,
    /// No decision counts that was taken later; 0: no end.
    pub expires_at: Micros,
    /// Groups, and how many members of each.
    pub required: Vec<(String, u32)>,
    /// Questions that an approver must answer.
    pub questions: Vec<String>,
    /// Who may not decide.
    pub excluded: Vec<Digest>,
    /// In the order of their entries.
    pub approvals: Vec<ApprovalState>,
    /// Where it is.
    pub status: ReviewStatus,
}

/// Where a review is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReviewStatus {
    /// Decisions are taken.
    Open,
    /// Enough people approved, since this Approved entry: only its Promoted or ReviewClosed is accepted.
    Quorum(Seq),
    /// Its Promoted entry.
    Promoted(Seq),
    /// The Declined, ChangesRequested or ReviewClosed entry that ended it.
    Ended(Seq),
}

/// An approval of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalState {
    /// The Approved entry.
    pub seq: Seq,
    /// Its event_digest.
    pub event_digest: Digest,
    /// Digest of the approval as the Promoted must repeat it.
    pub approval: Digest,
    /// Who.
    pub subject: Digest,
    /// For whom, under a delegation.
    pub delegator: Option<Digest>,
    /// Groups of the approver that count.
    pub groups: Vec<String>,
    /// Conditions: id and owner.
    pub conditions: Vec<(String, Digest)>,
}

/// A condition in force in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionState {
    /// The Approved entry that set it.
    pub approved: Seq,
    /// Its id there.
    pub id: String,
    /// Who must meet it, and may not close it.
    pub owner: Digest,
}

/// A delegation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegationState {
    /// Who lets decide.
    pub delegator: Digest,
    /// Who decides.
    pub delegate: Digest,
    /// For which group.
    pub group: String,
    /// From when.
    pub from_at: Micros,
    /// Until when.
    pub until: Micros,
    /// The entry that ended it early.
    pub ended: Option<Seq>,
}

impl ReviewState {
    /// Whether decisions are taken.
    pub const fn is_open(&self) -> bool {
        matches!(self.status, ReviewStatus::Open)
    }

    /// The newest entry that this state names; `None`: nothing happened since it was sealed.
    pub fn newest(&self) -> Option<Seq> {
        let status = match self.status {
            ReviewStatus::Open => None,
            ReviewStatus::Quorum(seq) | ReviewStatus::Promoted(seq) | ReviewStatus::Ended(seq) => Some(seq),
        };
        self.approvals.iter().map(|approval| approval.seq).chain(status).max()
    }

    /// Whether it is not over: open, or approved and not promoted yet.
    pub const fn is_pending(&self) -> bool {
        matches!(self.status, ReviewStatus::Open | ReviewStatus::Quorum(_))
    }
}

/// A review.
///
/// # Errors
/// Of the look-up.
pub fn review<L: Lookup>(look: &L, seq: Seq) -> Result<Option<ReviewState>, L::Error> {
    Ok(match look.review_row(&ReviewKey::Review(seq))? {
        Some(ReviewRow::Review(review)) => Some(review),
        _ => None,
    })
}

/// The last review of a promotion key, and its seq.
///
/// # Errors
/// Of the look-up.
pub fn last<L: Lookup>(look: &L, promotion_key: &Digest) -> Result<Option<(Seq, ReviewState)>, L::Error> {
    match look.review_row(&ReviewKey::Last(*promotion_key))? {
        Some(ReviewRow::Last(seq)) => Ok(review(look, seq)?.map(|review| (seq, review))),
        _ => Ok(None),
    }
}

/// Conditions that are open in a slot.
///
/// # Errors
/// Of the look-up.
pub fn conditions<L: Lookup>(look: &L, slot: &Digest) -> Result<Vec<ConditionState>, L::Error> {
    Ok(match look.review_row(&ReviewKey::Conditions(*slot))? {
        Some(ReviewRow::Conditions(conditions)) => conditions,
        _ => Vec::new(),
    })
}

/// A delegation.
///
/// # Errors
/// Of the look-up.
pub fn delegation<L: Lookup>(look: &L, seq: Seq) -> Result<Option<DelegationState>, L::Error> {
    Ok(match look.review_row(&ReviewKey::Delegation(seq))? {
        Some(ReviewRow::Delegation(delegation)) => Some(delegation),
        _ => None,
    })
}
