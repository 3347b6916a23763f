//! Finish: an approved review becomes its promotion, whichever node is still there; a review that cannot any more is
//! closed, for a fact that was read back and never because something was unavailable.

use std::{sync::Weak, time::Duration};

use crate::{
    event::{
        Digest, Header, Kind, Micros, Outcome, Seq, content,
        proto::{
            Approval, CloseReason, DecisionRef, EvidenceRef, Preconditions, Promoted, Receipt, ReviewClosed,
            ReviewRef, body::Event,
        },
    },
    ledger::{
        review_rows::{ReviewRow, ReviewStatus},
        rows,
    },
};

use super::{
    super::{
        Error,
        draft::Claims,
        gateway::{ATTEMPTS_MAX, Gateway},
    },
    standing::{Known, Obstacle},
};

/// How long the node of the completing approval has, before others finish.
const GRACE: Micros = 10 * 1_000_000;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// After its end a review is closed, once clocks agree that it is over.
const EXPIRED_FOR: Micros = 60 * 1_000_000;

impl Gateway {
    /// Records the promotion of an approved review. `None`: it is not approved, or it was closed instead.
    ///
    /// # Errors
    /// [`Error`]; ask again.
    pub async fn finish_review(&self, seq: Seq) -> Result<Option<Receipt>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let known = self.review(seq)?;
            let ReviewStatus::Quorum(_) = known.state.status else {
                return match known.state.status {
                    ReviewStatus::Promoted(promoted) => {
                        self.receipt(promoted, &known.state.promotion_key, true).map(Some)
                    }
                    _ => Ok(None),
                };
            };
            if let Some(closed) = self.closing(&known).await? {
                self.close_review(closed, &Claims::new()).await?;
                return Ok(None);
            }
            let mut promoted = self.promotion_of(&known).await?;
            if let Some(because) = self.routed_again(&known, &mut promoted).await? {
                let reason = CloseReason::Superseded.into();
                let closed = ReviewClosed {
                    review_seq: seq,
                    reason,
                    because_seq: Some(because),
                    ..ReviewClosed::default()
                };
                self.close_review(closed, &Claims::new()).await?;
                return Ok(None);
            }
            let slot = promoted.slot.clone().unwrap_or_default();
            let policy_activated_at = self.ledger.head().state.policy.as_ref().map(|policy| policy.seq);
            let slot_changed_at = crate::ledger::state::Lookup::slot(&self.ledger.store, &known.state.slot)?
                .map(|it| it.changed_at);
            let (mut body, content) = Self::fact(Event::Promoted(promoted));
            if let Some(receipt) = self.recorded(&body, &content)? {
                return Ok(Some(receipt));
            }
            body.preconditions = Some(Preconditions { slot_changed_at, policy_activated_at });
            match self.submit(&mut body, content, &slot.model).await {
                Ok(Some(receipt)) => return Ok(Some(receipt)),
                Ok(None) | Err(Error::Raced) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Raced)
    }

    /// The promotion that a review and its approvals make.
    async fn promotion_of(&self, known: &Known) -> Result<Promoted, Error> {
        let mut approvals = Vec::new();
        for approved in &known.state.approvals {
            let Some(Event::Approved(decision)) = self.event_body(approved.seq)?.event else {
                return Err(Error::Internal(format!("entry {} is no approval", approved.seq)));
            };
            let event_digest = approved.event_digest.0.to_vec();
            let decided = Some(DecisionRef { seq: approved.seq, event_digest });
            approvals.push(Approval { decided, ..decision.decider.unwrap_or_default() });
        }
        let mut promoted = Promoted {
            approvals,
            review: Some(ReviewRef {
                seq: known.seq,
                event_digest: known.state.event_digest.0.to_vec(),
                screen: known.sealed.screen.clone(),
            }),
            ..known.sealed.package.clone().unwrap_or_default()
        };
        for reference in content::evidence_mut(&mut promoted) {
            *reference = self.evidence_now(reference.clone()).await?;
        }
        Ok(promoted)
    }

    /// Where the slot changed meanwhile in a way that the policy lets pass, the promotion is routed again, since its
    /// inputs name what it replaces. The entry that changed the slot, if people would now have to approve something else.
    async fn routed_again(&self, known: &Known, promoted: &mut Promoted) -> Result<Option<Seq>, Error> {
        let slot = crate::ledger::state::Lookup::slot(&self.ledger.store, &known.state.slot)?;
        let seen = known.body.preconditions.unwrap_or_default().slot_changed_at;
        let changed = slot.map(|slot| slot.changed_at).filter(|at| Some(*at) != seen);
        let Some(changed) = changed else { return Ok(None) };
        let routed = self.route(promoted, &[]).await?;
        let tier = promoted.routing.as_ref().map(|routing| routing.tier.clone());
        if !routed.shortfalls.is_empty() || tier.as_ref() != Some(&routed.routing.tier) {
            return Ok(Some(changed));
        }
        promoted.routing = Some(routed.routing);
        Ok(None)
    }

    /// Why a review must be closed; `None`: it need not, or nobody knows now.
    async fn closing(&self, known: &Known) -> Result<Option<ReviewClosed>, Error> {
        let closed = |reason: CloseReason, because_seq, detail: &str| {
            let detail = detail.to_owned();
            Some(ReviewClosed {
                review_seq: known.seq,
                reason: reason.into(),
                because_seq,
                detail,
                actor: None,
            })
        };
        let (expires_at, now) = (known.state.expires_at, self.clock.now());
        if known.state.is_open() && expires_at != 0 && now > expires_at.saturating_add(EXPIRED_FOR) {
            return Ok(closed(CloseReason::Expired, None, ""));
        }
        match self.changed_since(known)? {
            Some(Obstacle::Superseded(seq)) => return Ok(closed(CloseReason::Superseded, Some(seq), "")),
            Some(Obstacle::Policy(seq)) => return Ok(closed(CloseReason::Policy, Some(seq), "")),
            Some(Obstacle::Held(seq)) => {
                let words = format!("the slot changed with entry {seq}, and the policy holds this review");
                return if known.state.is_open() { Ok(None) } else { Err(Error::Unavailable(words)) };
            }
            _ => {}
        }
        if known.state.is_open() {
            return Ok(None);
        }
        let package = known.sealed.package.clone().unwrap_or_default();
        let references = content::evidence(&package).into_iter().map(|(_, reference)| reference);
        for reference in references.chain(known.sealed.screen.as_ref()) {
            if self.gone(reference).await? {
                let detail = format!("{} is gone", hex::encode(&reference.sha256));
                return Ok(closed(CloseReason::Evidence, None, &detail));
            }
        }
        Ok(None)
    }

    /// Whether the store says that it does not have these bytes any more.
    async fn gone(&self, reference: &EvidenceRef) -> Result<bool, Error> {
        let Some(sha256) = Digest::from_slice(&reference.sha256) else { return Ok(true) };
        match self.evidence.stat(&sha256, "", self.clock.now()).await {
            Ok(stored) => Ok(stored.is_none()),
            Err(crate::evidence::Error::Damaged(_)) => Ok(true),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    /// Reviews in order, by the writer's rows: those that are not over, or all.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn review_seqs(&self, pending_only: bool) -> Result<Vec<Seq>, Error> {
        let mut pending = Vec::new();
        self.ledger.store.state_rows(b'v', |key, row| {
            let review = key.get(1) == Some(&b'r');
            if let (true, Some(ReviewRow::Review(state))) = (review, rows::decode::<ReviewRow>(row))
                && (state.is_pending() || !pending_only)
            {
                pending.extend(key.get(2..).and_then(crate::ledger::keys::parse_seq));
            }
        })?;
        Ok(pending)
    }

    /// Looks at one pending review. Whether it is still pending.
    async fn look_after(&self, seq: Seq, at_start: bool) -> Result<bool, Error> {
        let known = self.review(seq)?;
        let since = match known.state.status {
            ReviewStatus::Open => {
                if let Some(closed) = self.closing(&known).await? {
                    self.close_review(closed, &Claims::new()).await?;
                    return Ok(false);
                }
                return Ok(true);
            }
            ReviewStatus::Quorum(approved) => self.event_body(approved)?.recorded_at,
            _ => return Ok(false),
        };
        if at_start || self.clock.now() > since.saturating_add(GRACE) {
            self.finish_review(seq).await?;
            return Ok(self.review(seq)?.state.is_pending());
        }
        Ok(true)
    }
}

/// Finishes and closes reviews until the gateway is gone.
pub async fn finishers(gateway: Weak<Gateway>) {
    let mut pending: Option<Vec<Seq>> = None;
    let mut next: Seq = 0;
    let mut at_start = true;
    loop {
        {
            let Some(gateway) = gateway.upgrade() else { return };
            let size = gateway.ledger.head().state.size();
            let known = match pending.take() {
                Some(mut known) => {
                    known.extend(sealed_in(&gateway, next, size));
                    known
                }
                None => gateway.review_seqs(true).unwrap_or_default(),
            };
            next = size;
            let mut left = Vec::new();
            for seq in known {
                match gateway.look_after(seq, at_start).await {
                    Ok(true) => left.push(seq),
                    Ok(false) => {}
                    Err(Error::NotFound(_)) => {}
                    Err(error) => {
                        tracing::warn!(seq, %error, "a review is not finished yet");
                        left.push(seq);
                    }
                }
            }
            pending = Some(left);
            at_start = false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Reviews that entries of a range sealed.
fn sealed_in(gateway: &Gateway, from: Seq, to: Seq) -> Vec<Seq> {
    let headers = gateway.ledger.store.headers(from, to).unwrap_or_default();
    let accepted = |header: &Header| header.outcome == Outcome::Accepted;
    let one = |bytes: &[u8; crate::event::header::HEADER_LEN]| Header::decode(bytes).ok().filter(accepted);
    let sealed = headers.iter().filter_map(one).filter(|header| header.kind == Some(Kind::ReviewSealed));
    sealed.map(|header| header.seq).collect()
}
