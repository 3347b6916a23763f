//! Reviews: what was sealed, where it stands, and the entries that decided it.

use crate::{
    event::{
        Header, Kind, Micros, Seq, canonical,
        proto::{ReviewSealed, body::Event},
    },
    ledger::{
        Head, Ledger,
        review_rows::{self, ReviewState, ReviewStatus},
        store::Error,
    },
};

use super::query::{self, Filter};

/// A review.
#[derive(Debug, Clone)]
pub struct Review {
    /// Its ReviewSealed entry.
    pub header: Header,
    /// Its date.
    pub date: Micros,
    /// What was sealed.
    pub sealed: ReviewSealed,
    /// Where it stands.
    pub state: ReviewState,
}

impl Review {
    /// Entries that decided it, or ended it, in their order.
    pub fn decisions(&self) -> Vec<Seq> {
        let mut seqs: Vec<_> = self.state.approvals.iter().map(|approval| approval.seq).collect();
        match self.state.status {
            ReviewStatus::Promoted(seq) | ReviewStatus::Ended(seq) => seqs.push(seq),
            ReviewStatus::Open | ReviewStatus::Quorum(_) => {}
        }
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }

    /// Until when it was asked for, or decisions are taken: whichever is earlier; 0: no end.
    pub fn due_at(&self) -> Micros {
        let request = self.sealed.package.as_ref().and_then(|package| package.approval_request.as_ref());
        let due = [request.map_or(0, |request| request.due_at), self.sealed.expires_at];
        due.into_iter().filter(|due| *due > 0).min().unwrap_or(0)
    }
}

/// A review by its ReviewSealed entry.
///
/// # Errors
/// [`Error`].
pub fn review(ledger: &Ledger, head: &Head, seq: Seq) -> Result<Option<Review>, Error> {
    let Some(found) = query::entry(ledger, head, seq)? else { return Ok(None) };
    let event = canonical::decode(&found.record).ok().and_then(|record| record.body.event);
    let (Some(Event::ReviewSealed(sealed)), Some(state)) = (event, review_rows::review(&ledger.store, seq)?)
    else {
        return Ok(None);
    };
    Ok(Some(Review { header: found.header, date: found.date, sealed, state }))
}

/// The newest reviews, at most `max`.
///
/// # Errors
/// [`Error`].
pub fn newest(ledger: &Ledger, head: &Head, max: usize) -> Result<Vec<Review>, Error> {
    let filter = Filter { kind: Some(Kind::ReviewSealed), ..Filter::default() };
    let (found, _) = query::list(ledger, head, &filter, None, max)?;
    let mut reviews = Vec::new();
    for entry in found {
        reviews.extend(review(ledger, head, entry.header.seq)?);
    }
    Ok(reviews)
}
