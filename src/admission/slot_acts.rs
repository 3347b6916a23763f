//! Roll-back, revocation, retirement: acts on a slot that name an earlier promotion.

use crate::{
    event::{
        Kind, Outcome, Seq, canonical,
        content::content_digest,
        digest,
        promotion::{Problem, Problems},
        proto::{
            Body, Person, PersonRef, Preconditions, Receipt, Retired, Revoked, RolledBack, SealedClaims,
            Slot, Statement, body::Event,
        },
        text::{free_text_problem, name_problem},
    },
    ledger::{decide::expected_key, state::Lookup},
};

use super::{
    Error, draft,
    gateway::{ATTEMPTS_MAX, Gateway},
};

/// Revoke, retire and roll back: which promotion, who, why.
#[derive(Debug, Clone)]
pub struct SlotAct {
    /// seq of the Promoted entry.
    pub promoted: Seq,
    /// Who asks.
    pub actor: Option<Person>,
    /// Why, in words; sealed.
    pub reason: String,
    /// Chosen by the caller; retries repeat it.
    pub request_id: String,
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
        draft::person_rules(&mut p, "actor", act.actor.as_ref());
        p.add_some("reason", free_text_problem(&act.reason));
        p.add_some("request_id", name_problem(&act.request_id));
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let slot = self.slot_of(act.promoted)?;
        if act.slot.as_ref().is_some_and(|stated| *stated != slot) {
            let description = format!("is not the slot of entry {}", act.promoted);
            return Err(Error::Invalid(vec![Problem { field: "slot".into(), description }]));
        }
        let person = act.actor.clone().unwrap_or_default();
        let identity = (person.issuer.clone(), person.subject.clone());
        let claims = SealedClaims {
            issuer: person.issuer.clone(),
            subject: person.subject.clone(),
            name: person.name.clone(),
            statements: vec![Statement { path: "reason".into(), text: act.reason.clone() }],
            ..SealedClaims::default()
        };
        let claims: draft::Claims = [(identity.clone(), claims)].into();
        let subject_id = self.pseudonyms(&claims)?.remove(&identity).unwrap_or_default();
        let actor = Some(PersonRef { issuer: person.issuer, subject_id });
        let (some_slot, seq, request_id) = (Some(slot.clone()), act.promoted, act.request_id.clone());
        let event = match kind {
            Kind::RolledBack => {
                Event::RolledBack(RolledBack { slot: some_slot, to_seq: seq, actor, request_id })
            }
            Kind::Revoked => {
                Event::Revoked(Revoked { slot: some_slot, promoted_seq: seq, actor, request_id })
            }
            _ => Event::Retired(Retired { slot: some_slot, promoted_seq: seq, actor, request_id }),
        };
        let key = expected_key(&event).unwrap_or_default();
        let mut body = Body { idempotency_key: key.0.to_vec(), event: Some(event), ..Body::default() };
        let content = content_digest(&body);
        for _ in 0..ATTEMPTS_MAX {
            if let Some(receipt) = self.recorded(&body, &content)? {
                return Ok(receipt);
            }
            body.preconditions = Some(self.eligible(kind, seq, &slot)?);
            body.sealed = self.seal(claims.clone())?;
            if let Some(receipt) = self.submit(&body, content, &slot.model).await? {
                return Ok(receipt);
            }
        }
        Err(Error::Raced)
    }

    /// The slot of a promotion.
    fn slot_of(&self, seq: Seq) -> Result<Slot, Error> {
        let promoted = self
            .ledger
            .header(seq)?
            .filter(|header| header.kind == Some(Kind::Promoted) && header.outcome == Outcome::Accepted);
        let record = promoted.map(|_| self.ledger.store.record(seq)).transpose()?.flatten();
        let event =
            record.and_then(|value| canonical::decode(&value).ok()).and_then(|record| record.body.event);
        match event {
            Some(Event::Promoted(promoted)) => Ok(promoted.slot.unwrap_or_default()),
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
        let is_current = state.and_then(|state| state.current) == Some(seq);
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
