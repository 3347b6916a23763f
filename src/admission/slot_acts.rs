//! Roll-back, revocation, retirement: acts on a slot that name an earlier promotion.

use crate::{
    event::{
        Kind, Outcome, Seq, canonical, digest,
        promotion::{Problem, Problems},
        proto::{Preconditions, Receipt, Retired, Revoked, RolledBack, Slot, body::Event},
    },
    ledger::state::Lookup,
};

use super::{Error, acts::Asked, gateway::Gateway};

/// Revoke, retire and roll back: which promotion, who, why.
#[derive(Debug, Clone)]
pub struct SlotAct {
    /// seq of the Promoted entry.
    pub promoted: Seq,
    /// Who asks, why.
    pub asked: Asked,
    /// The slot, where the caller names it; must be the promotion's.
    pub slot: Option<Slot>,
}

impl Gateway {
    /// Takes a promotion back for good.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn revoke(&self, act: SlotAct) -> Result<Receipt, Error> {
        self.slot_act(act, Kind::Revoked).await
    }

    /// Takes the current promotion out of service.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn retire(&self, act: SlotAct) -> Result<Receipt, Error> {
        self.slot_act(act, Kind::Retired).await
    }

    /// Makes an earlier promotion current again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn roll_back(&self, act: SlotAct) -> Result<Receipt, Error> {
        self.slot_act(act, Kind::RolledBack).await
    }

    async fn slot_act(&self, act: SlotAct, kind: Kind) -> Result<Receipt, Error> {
        self.admitting()?;
        let mut p = Problems::default();
        act.asked.problems(&mut p, "actor");
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let slot = self.slot_of(kind, act.promoted)?;
        if act.slot.as_ref().is_some_and(|stated| *stated != slot) {
            let description = format!("is not the slot of entry {}", act.promoted);
            return Err(Error::Invalid(vec![Problem { field: "slot".into(), description }]));
        }
        let (model, seq) = (slot.model.clone(), act.promoted);
        let make = |actor, request_id| {
            let (slot, actor) = (Some(slot.clone()), Some(actor));
            match kind {
                Kind::RolledBack => Event::RolledBack(RolledBack { slot, to_seq: seq, actor, request_id }),
                Kind::Revoked => Event::Revoked(Revoked { slot, promoted_seq: seq, actor, request_id }),
                _ => Event::Retired(Retired { slot, promoted_seq: seq, actor, request_id }),
            }
        };
        let eligible = || self.eligible(kind, seq, &slot).map(Some);
        self.acted(Problems::default(), act.asked, &model, make, eligible).await
    }

    /// The slot of a promotion; an undocumented model can be retired as well.
    fn slot_of(&self, kind: Kind, seq: Seq) -> Result<Slot, Error> {
        let promoted = self.ledger.header(seq)?.filter(|header| header.outcome == Outcome::Accepted);
        let record = promoted.map(|_| self.ledger.store.record(seq)).transpose()?.flatten();
        let event =
            record.and_then(|value| canonical::decode(&value).ok()).and_then(|record| record.body.event);
        match event {
            Some(Event::Promoted(promoted)) => Ok(promoted.slot.unwrap_or_default()),
            Some(Event::Undocumented(e)) if kind == Kind::Retired => Ok(e.slot.unwrap_or_default()),
            _ => Err(Error::NotFound(format!("entry {seq} is not an accepted promotion"))),
        }
    }

    /// Whether a promotion may be rolled back to, revoked or retired; the slot as the writer will compare it.
    fn eligible(&self, kind: Kind, seq: Seq, slot: &Slot) -> Result<Preconditions, Error> {
        let problem = |description: String| {
            Err(Error::Precondition(Problem { field: "promoted_seq".into(), description }))
        };
        if self.ledger.store.promotion(seq)?.is_some_and(|promotion| promotion.revoked) {
            return problem(format!("entry {seq} was revoked"));
        }
        let state = self.ledger.store.slot(&digest::slot(slot))?;
        let fills = state.and_then(|state| state.baseline).is_some_and(|it| it.seq == seq);
        let is_current = fills || state.and_then(|state| state.current) == Some(seq);
        match kind {
            Kind::RolledBack if is_current => problem(format!("entry {seq} is current already")),
            Kind::Retired if !is_current => problem(format!("entry {seq} is not current; nothing to retire")),
            _ => Ok(Preconditions {
                slot_changed_at: state.map(|state| state.changed_at),
                policy_activated_at: None,
            }),
        }
    }
}
