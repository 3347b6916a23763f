//! Decide: freeze what is decided, then take the login that signs it.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message as _;

use crate::{
    event::{
        Digest, Seq,
        content::content_digest,
        digest,
        promotion::Problem,
        proto::{
            Answer, Approval, Body, Condition, ConditionDraft, Decision, DecisionAnswers, DecisionStatement,
            PersonRef, Receipt, ReviewDecision, SealedClaims, Served, Statement, body::Event,
        },
    },
    identity::{logins::Asked, principal::Principal},
    ledger::{
        decide::expected_key,
        review_rows::{self, DelegationState, ReviewStatus},
    },
    review::screen::WORDS,
};

use super::{
    super::{
        Error,
        acts::claims_of,
        draft::{Claims, Identity},
        gateway::{ATTEMPTS_MAX, Gateway},
    },
    complete::problems,
    sessions::{Frozen, SESSION_LIFE, blind},
    standing::Known,
};

/// A decision as it comes from a form or a call.
#[derive(Debug, Clone, Default)]
pub struct DecisionDraft {
    /// The review.
    pub review: Seq,
    /// In which its artefacts were served.
    pub session: String,
    /// What is decided.
    pub decision: Decision,
    /// To the form's questions.
    pub answers: Vec<Answer>,
    /// Why; needed to decline and to request changes.
    pub reason: String,
    /// Of an approval with conditions.
    pub conditions: Vec<ConditionDraft>,
    /// For somebody else.
    pub delegation: Option<Seq>,
    /// To whom the artefacts were served, where the session knows: nobody else may sign the decision.
    pub person: Option<Identity>,
}

/// A frozen decision.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// For the login.
    pub nonce: String,
    /// Canonical DecisionStatement.
    pub statement: Vec<u8>,
    /// Until when it may be submitted.
    pub expires_at: u64,
}

/// A recorded decision.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Its receipt.
    pub receipt: Receipt,
    /// Whether it completed the quorum.
    pub quorum: bool,
    /// The promotion, if it is recorded already.
    pub promotion: Option<Receipt>,
}

fn refused(field: &str, description: impl Into<String>) -> Error {
    Error::Precondition(Problem { field: field.into(), description: description.into() })
}

impl Gateway {
    /// Freezes a decision. Writes nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prepare_decision(&self, draft: DecisionDraft) -> Result<Prepared, Error> {
        self.admitting()?;
        let now = self.clock.now();
        let known = self.review(draft.review)?;
        self.decidable(&known).await?;
        if !self.reviews.is_open(&draft.session, now) {
            return Err(refused("session", "is unknown or over; open the review again"));
        }
        let served = self.reviews.served(&draft.session, draft.review);
        let problems = problems(&draft, &known, &served);
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let owners: Claims = draft
            .conditions
            .iter()
            .filter_map(|condition| condition.owner.as_ref())
            .map(|owner| ((owner.issuer.clone(), owner.subject.clone()), claims_of(owner)))
            .collect();
        let ids = self.pseudonyms(&owners)?;
        let given = |answer: &&Answer| !answer.text.trim().is_empty();
        let answers = DecisionAnswers {
            blind: blind()?.to_vec(),
            answers: draft
                .answers
                .iter()
                .filter(given)
                .map(|answer| Statement { path: answer.question.clone(), text: answer.text.clone() })
                .collect(),
            reason: draft.reason.clone(),
        };
        let answers = answers.encode_to_vec();
        let statement = DecisionStatement {
            ledger_id: self.ledger.pinned.0.to_vec(),
            review_digest: known.state.event_digest.0.to_vec(),
            decision: draft.decision.into(),
            answers_digest: digest::decision_answers(&answers).0.to_vec(),
            answered: draft.answers.iter().filter(given).map(|answer| answer.question.clone()).collect(),
            words: WORDS.into(),
            conditions: conditions(&draft.conditions, &ids),
            served: served.into_iter().map(|(sha256, at)| Served { sha256: sha256.0.to_vec(), at }).collect(),
            delegation_seq: draft.delegation,
        };
        let (statement, salt) = (statement.encode_to_vec(), blind()?);
        let nonce = BASE64_URL_SAFE_NO_PAD.encode(digest::decision_nonce(&statement, &salt).0);
        let frozen = Frozen {
            review: draft.review,
            statement: statement.clone(),
            answers,
            salt,
            owners,
            person: draft.person,
            at: now,
        };
        if !self.reviews.freeze(nonce.clone(), frozen) {
            return Err(Error::Exhausted("too many decisions wait for their login; try again".into()));
        }
        Ok(Prepared { nonce, statement, expires_at: now + SESSION_LIFE })
    }

    /// Records a frozen decision under the login that signs it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn submit_decision(&self, nonce: &str, token: &str) -> Result<Decided, Error> {
        self.admitting()?;
        let now = self.clock.now();
        let frozen = self.reviews.frozen(nonce, now);
        let frozen = frozen.ok_or_else(|| {
            refused(
                "nonce",
                "is of no decision that this node has frozen; open the review again and decide anew",
            )
        })?;
        // Whole seconds: what issuers state.
        let after = frozen.at / 1_000_000 * 1_000_000;
        let asked = Asked { nonce: Some(nonce), after: Some(after), at: now };
        let verified = self.login(token, asked).await?.map_err(|why| refused("id_token", why))?;
        let principal = &verified.principal;
        if let Some((issuer, subject)) = &frozen.person
            && (issuer, subject) != (&principal.issuer, &principal.subject)
        {
            return Err(refused(
                "id_token",
                "is of somebody else than the person to whom this review was shown; log in as that person, or open the review yourself",
            ));
        }
        let known = self.review(frozen.review)?;
        let decider = self.decider(&known, &frozen, principal, token)?;
        let statement: DecisionStatement =
            crate::event::canonical::decode_exact(&frozen.statement).unwrap_or_default();
        let decision = ReviewDecision {
            review_seq: frozen.review,
            statement: frozen.statement.clone(),
            salt: frozen.salt.to_vec(),
            decider: Some(decider.clone()),
        };
        let event = match Decision::try_from(statement.decision).unwrap_or_default() {
            Decision::Decline => Event::Declined(decision),
            Decision::RequestChanges => Event::ChangesRequested(decision),
            _ => Event::Approved(decision),
        };
        let idempotency_key = expected_key(&event).unwrap_or_default().0.to_vec();
        let mut body = Body { idempotency_key, event: Some(event), ..Body::default() };
        let content = content_digest(&body);
        let model = known.sealed.package.as_ref().and_then(|package| package.slot.as_ref());
        let model = model.map(|slot| slot.model.clone()).unwrap_or_default();
        let tier = known.sealed.package.as_ref().and_then(|package| package.routing.as_ref());
        self.login_suffices(tier.map_or("", |routing| &routing.tier), &decider).await?;
        self.record_keys(&verified).await?;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(receipt) = self.recorded(&body, &content).map_err(decided_already)? {
                return self.after_decision(&known, receipt).await;
            }
            let known = self.review(frozen.review)?;
            self.decidable(&known).await?;
            may_decide(&known, &decider, self.delegation(&statement).await?.as_ref())?;
            body.sealed = self.seal(sealed_claims(&frozen, principal, token))?;
            match self.submit(&mut body, content, &model).await {
                Ok(Some(receipt)) => return self.after_decision(&known, receipt).await,
                Ok(None) => {}
                // Somebody was faster: the state now says in which way.
                Err(Error::Raced) => {
                    self.decidable(&self.review(frozen.review)?).await?;
                    return Err(Error::Raced);
                }
                Err(error) => return Err(decided_already(error)),
            }
        }
        Err(Error::Raced)
    }

    async fn after_decision(&self, known: &Known, receipt: Receipt) -> Result<Decided, Error> {
        let state = self.review(known.seq)?.state;
        let quorum = match state.status {
            ReviewStatus::Quorum(seq) => seq == receipt.seq,
            ReviewStatus::Promoted(_) => state.approvals.last().is_some_and(|last| last.seq == receipt.seq),
            _ => false,
        };
        // The decision stands, whatever becomes of the promotion now: finishers go on.
        let promotion = if quorum { self.finish_review(known.seq).await.ok().flatten() } else { None };
        Ok(Decided { receipt, quorum, promotion })
    }

    async fn delegation(&self, statement: &DecisionStatement) -> Result<Option<DelegationState>, Error> {
        let Some(seq) = statement.delegation_seq else { return Ok(None) };
        let delegation = review_rows::delegation(&self.ledger.store, seq)?;
        let delegation = delegation.ok_or_else(|| refused("delegation_seq", "is no delegation"))?;
        self.until_synced(delegation.ended).await?;
        Ok(Some(delegation))
    }

    /// Who decides, as the entry says it.
    fn decider(
        &self,
        known: &Known,
        frozen: &Frozen,
        principal: &Principal,
        token: &str,
    ) -> Result<Approval, Error> {
        let person = (principal.issuer.clone(), principal.subject.clone());
        let claims: Claims = [(person.clone(), SealedClaims::default())].into();
        let subject_id = self.pseudonyms(&claims)?.remove(&person).unwrap_or_default();
        let asked = known.sealed.package.as_ref().and_then(|package| package.approval_request.as_ref());
        let required = known.state.required.iter().map(|(group, _)| group);
        let groups: Vec<_> = match known.state.required.is_empty() {
            true => asked.into_iter().flat_map(|request| &request.asked_groups).collect(),
            false => required.collect(),
        };
        let statement: DecisionStatement =
            crate::event::canonical::decode_exact(&frozen.statement).unwrap_or_default();
        if !principal.groups_complete {
            return Err(refused(
                "id_token",
                "does not hold all groups of this person, so that membership is not proven",
            ));
        }
        Ok(Approval {
            approver: Some(PersonRef { issuer: principal.issuer.clone(), subject_id }),
            decided_at: self.clock.now(),
            matched_groups: groups
                .into_iter()
                .filter(|group| principal.groups.contains(group))
                .cloned()
                .collect(),
            groups_complete: principal.groups_complete,
            auth_time: principal.auth_time.unwrap_or_default(),
            acr: if principal.acr.is_empty() { "unstated".into() } else { principal.acr.clone() },
            amr: principal.amr.clone(),
            assertion_sha256: digest::sha256(token.as_bytes()).0.to_vec(),
            answered: statement.answered,
            verified_by: principal.verified_by.clone(),
            ..Approval::default()
        })
    }
}

/// What the writer would refuse, in words.
fn may_decide(known: &Known, decider: &Approval, delegation: Option<&DelegationState>) -> Result<(), Error> {
    let delegator = delegation.map(|delegation| delegation.delegator);
    let id = decider
        .approver
        .as_ref()
        .and_then(|person| Digest::from_slice(&person.subject_id))
        .unwrap_or_default();
    let acts = |person: &Digest| *person == id || Some(*person) == delegator;
    let state = &known.state;
    if state.excluded.iter().any(acts) {
        return Err(refused(
            "approver",
            "requested, triggered or contributed to this promotion; somebody else must decide",
        ));
    }
    if state.approvals.iter().any(|a| acts(&a.subject) || a.delegator.as_ref().is_some_and(acts)) {
        return Err(refused("approver", "has decided in this review already"));
    }
    if !state.required.is_empty() && decider.matched_groups.is_empty() {
        let groups: Vec<_> = state.required.iter().map(|(group, _)| group.as_str()).collect();
        return Err(refused(
            "approver",
            format!("is in none of the groups that must decide: {}", groups.join(", ")),
        ));
    }
    let Some(delegation) = delegation else { return Ok(()) };
    let during = delegation.from_at..delegation.until;
    let ended = delegation.ended.map(|seq| format!("was ended by entry {seq}"));
    let checks = [
        (ended.is_none(), ended.unwrap_or_default()),
        (delegation.delegate == id, "is for somebody else than the one who logged in".to_owned()),
        (during.contains(&decider.decided_at), "is not in force now".to_owned()),
        (
            decider.matched_groups.contains(&delegation.group),
            format!(
                "is for the group {}, which the delegate is not in or which does not decide here",
                delegation.group
            ),
        ),
    ];
    let wrong = checks.into_iter().find(|(holds, _)| !holds);
    wrong.map_or(Ok(()), |(_, words)| Err(refused("delegation_seq", words)))
}

/// A second, other decision of the same person is a conflict of keys: say it in words.
fn decided_already(error: Error) -> Error {
    match error {
        Error::Conflict { seq, .. } => {
            refused("approver", format!("has decided in this review already, as entry {seq}"))
        }
        other => other,
    }
}

fn sealed_claims(frozen: &Frozen, principal: &Principal, token: &str) -> Claims {
    let mut claims = frozen.owners.clone();
    let own = claims.entry((principal.issuer.clone(), principal.subject.clone())).or_default();
    own.issuer.clone_from(&principal.issuer);
    own.subject.clone_from(&principal.subject);
    own.name.clone_from(&principal.name);
    own.groups.clone_from(&principal.groups);
    own.assertion = token.to_owned();
    own.answers.clone_from(&frozen.answers);
    claims
}

fn conditions(drafts: &[ConditionDraft], ids: &BTreeMap<Identity, Vec<u8>>) -> Vec<Condition> {
    let one = |(i, draft): (usize, &ConditionDraft)| {
        let owner = draft.owner.clone().unwrap_or_default();
        let subject_id = ids.get(&(owner.issuer.clone(), owner.subject)).cloned().unwrap_or_default();
        Condition {
            id: format!("c{}", i + 1),
            title: draft.title.clone(),
            owner: Some(PersonRef { issuer: owner.issuer, subject_id }),
            due_at: draft.due_at,
            evidence_kind: draft.evidence_kind.clone(),
            slice: draft.slice.clone(),
        }
    };
    drafts.iter().enumerate().map(one).collect()
}
