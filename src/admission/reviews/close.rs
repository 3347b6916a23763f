//! Closing a review, delegating and ending that, closing a condition.

use crate::{
    event::{
        Digest, Seq,
        content::content_digest,
        promotion::{Problem, Problems},
        proto::{
            Body, CloseReason, ConditionClosed, Delegated, EvidenceRef, Person, PersonRef, Receipt,
            ReviewClosed, SealedClaims, body::Event,
        },
        text::name_problem,
    },
    ledger::{decide::expected_key, review_rows},
};

use super::super::{
    Error,
    acts::{Asked, claims_of},
    draft::{self, Claims},
    gateway::Gateway,
};

fn refused(field: &str, description: impl Into<String>) -> Error {
    Error::Precondition(Problem { field: field.into(), description: description.into() })
}

impl Gateway {
    /// Withdraws a review, by somebody who requested, triggered or contributed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn withdraw_review(
        &self,
        seq: Seq,
        actor: Option<Person>,
        detail: String,
    ) -> Result<Receipt, Error> {
        let mut p = Problems::default();
        draft::person_rules(&mut p, "actor", actor.as_ref());
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let known = self.review(seq)?;
        let person = actor.unwrap_or_default();
        let claims: Claims = [((person.issuer.clone(), person.subject.clone()), claims_of(&person))].into();
        let subject_id = self.pseudonyms(&claims)?.into_values().next().unwrap_or_default();
        let involved = Digest::from_slice(&subject_id).is_some_and(|id| known.state.excluded.contains(&id));
        if !involved {
            return Err(refused("actor", "did not request, trigger or contribute to this promotion"));
        }
        let actor = Some(PersonRef { issuer: person.issuer, subject_id });
        let event = ReviewClosed {
            review_seq: seq,
            reason: CloseReason::Withdrawn.into(),
            actor,
            detail,
            because_seq: None,
        };
        self.close_review(event, &claims).await
    }

    /// Closes a review for a fact that this node read back.
    pub(super) async fn close_review(&self, closed: ReviewClosed, claims: &Claims) -> Result<Receipt, Error> {
        let seq = closed.review_seq;
        let pending = || match self.review(seq)?.state.is_pending() {
            true => Ok(None),
            false => Err(refused("review", format!("of entry {seq} is over already"))),
        };
        self.act(Event::ReviewClosed(closed), claims, "", pending).await
    }

    /// Records that one person lets another decide.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delegate(
        &self,
        delegate: Option<Person>,
        group: String,
        during: std::ops::Range<u64>,
        asked: Asked,
    ) -> Result<Receipt, Error> {
        let mut p = Problems::default();
        asked.problems(&mut p, "delegator");
        draft::person_rules(&mut p, "delegate", delegate.as_ref());
        p.add_some("group", name_problem(&group));
        p.require(during.start < during.end, "until", "is not after from_at");
        let (from, to) = (asked.actor.clone().unwrap_or_default(), delegate.unwrap_or_default());
        let same = (&from.issuer, &from.subject) == (&to.issuer, &to.subject);
        p.require(!same, "delegate", "is the delegator");
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let mut claims = asked.claims();
        claims.insert((to.issuer.clone(), to.subject.clone()), claims_of(&to));
        let ids = self.pseudonyms(&claims)?;
        let reference = |person: &Person| {
            let subject_id =
                ids.get(&(person.issuer.clone(), person.subject.clone())).cloned().unwrap_or_default();
            Some(PersonRef { issuer: person.issuer.clone(), subject_id })
        };
        let event = Event::Delegated(Delegated {
            delegator: reference(&from),
            delegate: reference(&to),
            group,
            from_at: during.start,
            until: during.end,
            request_id: asked.request_id.clone(),
            ..Delegated::default()
        });
        self.act(event, &claims, "", || Ok(None)).await
    }

    /// Ends a delegation before its time, by one of its two people: nothing is decided under it any more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn end_delegation(&self, seq: Seq, asked: Asked) -> Result<Receipt, Error> {
        let mut p = Problems::default();
        asked.problems(&mut p, "actor");
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let known = || match review_rows::delegation(&self.ledger.store, seq)? {
            Some(delegation) => Ok(delegation),
            None => Err(Error::NotFound(format!("entry {seq} is no delegation"))),
        };
        self.until_synced(Some(known()?.ended.unwrap_or(seq))).await?;
        let claims = asked.claims();
        let Asked { actor, request_id, .. } = asked;
        let subject_id = self.pseudonyms(&claims)?.into_values().next().unwrap_or_default();
        let by = Digest::from_slice(&subject_id).unwrap_or_default();
        let actor = Some(PersonRef { issuer: actor.unwrap_or_default().issuer, subject_id });
        let event =
            Event::Delegated(Delegated { ends_seq: Some(seq), actor, request_id, ..Delegated::default() });
        let allowed = || {
            let delegation = known()?;
            match delegation.ended {
                _ if ![delegation.delegator, delegation.delegate].contains(&by) => {
                    Err(refused("actor", format!("is neither delegator nor delegate of entry {seq}")))
                }
                Some(by) => Err(refused("delegation_seq", format!("was ended by entry {by} already"))),
                None => Ok(None),
            }
        };
        self.act(event, &claims, "", allowed).await
    }

    /// Records that a condition is met. Not by its owner.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn close_condition(
        &self,
        approved: Seq,
        condition_id: String,
        evidence: Option<EvidenceRef>,
        asked: Asked,
    ) -> Result<Receipt, Error> {
        let Some(Event::Approved(decision)) = self.event_body(approved)?.event else {
            return Err(Error::NotFound(format!("entry {approved} is not an approval")));
        };
        let known = self.review(decision.review_seq)?;
        let slot = known.sealed.package.and_then(|package| package.slot).unwrap_or_default();
        let evidence = self.evidence_now(evidence.unwrap_or_default()).await?;
        let make = |actor, request_id| {
            Event::ConditionClosed(ConditionClosed {
                slot: Some(slot.clone()),
                approved_seq: approved,
                condition_id: condition_id.clone(),
                evidence: Some(evidence.clone()),
                actor: Some(actor),
                request_id,
            })
        };
        let open = self.open_conditions(&known.state.slot)?;
        let found = open.iter().find(|it| it.approved_seq == approved && it.condition.id == condition_id);
        let owner = found.and_then(|it| it.condition.owner.clone()).unwrap_or_default();
        let is_open = found.is_some();
        let person = asked.actor.clone().unwrap_or_default();
        let claims: Claims =
            [((person.issuer.clone(), person.subject.clone()), SealedClaims::default())].into();
        let mut p = Problems::default();
        asked.problems(&mut p, "actor");
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let id = self.pseudonyms(&claims)?.into_values().next().unwrap_or_default();
        let allowed = || match (is_open, id == owner.subject_id) {
            (false, _) => {
                Err(refused("condition_id", format!("{condition_id:?} of entry {approved} is not open")))
            }
            (true, true) => {
                Err(refused("actor", "is the owner of this condition; somebody else must close it"))
            }
            (true, false) => Ok(None),
        };
        self.acted(Problems::default(), asked, &slot.model, make, allowed).await
    }

    /// A reference as its store knows it now.
    pub(super) async fn evidence_now(&self, stated: EvidenceRef) -> Result<EvidenceRef, Error> {
        let invalid =
            |description: String| Error::Invalid(vec![Problem { field: "evidence".into(), description }]);
        let sha256 = Digest::from_slice(&stated.sha256).ok_or_else(|| invalid("is missing".into()))?;
        let stored = self.evidence.stat(&sha256, "", self.clock.now()).await;
        let stored = stored.map_err(|error| Error::Unavailable(error.to_string()))?;
        let stored = stored.ok_or_else(|| {
            invalid(format!("no bytes with the SHA-256 {sha256} are stored; upload them first"))
        })?;
        Ok(EvidenceRef {
            uri: stored.uri,
            version_id: stored.version_id,
            sha256: stated.sha256,
            length: stored.length,
            media_type: stated.media_type,
            lock: Some(stored.lock),
            subject_id: stated.subject_id,
        })
    }

    /// A body around an event that this node makes from a fact, and its content.
    pub(super) fn fact(event: Event) -> (Body, Digest) {
        let key = expected_key(&event).unwrap_or_default();
        let body = Body { idempotency_key: key.0.to_vec(), event: Some(event), ..Body::default() };
        let content = content_digest(&body);
        (body, content)
    }
}
