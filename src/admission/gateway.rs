//! The front door's path: check -> look up -> seal -> sign -> append -> wait -> receipt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;

use crate::{
    clock::Clock,
    event::{
        Digest, Header, Kind, Micros, Outcome, Reason, Seq, canonical,
        content::{self, content_digest, differing_fields},
        digest,
        promotion::{self, Problem, Problems},
        proto::{
            AdminAct, Basis, Body, ComparatorRole, Person, Preconditions, Promoted, PromotionDraft, Receipt,
            SealedClaims, Slot, body::Event,
        },
    },
    evidence::EvidenceStore,
    identity::subjects::Subjects,
    ledger::{
        Ledger,
        decide::{Prepared, expected_key},
        inflight::{self, Inflight},
        state::Lookup,
        writer::CLOCK_DISTANCE_MAX,
    },
    log::{self, Log, Outgoing},
};

use super::{
    Error,
    draft::{self, Identity},
};

/// How often a record that lost a harmless race (rules version, stale basis) is made anew.
pub(super) const ATTEMPTS_MAX: usize = 3;

/// Everything that admission needs.
pub struct Gateway {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Calls that wait.
    pub inflight: Arc<Inflight>,
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// Where evidence is.
    pub evidence: Arc<dyn EvidenceStore>,
    /// People.
    pub subjects: Arc<Subjects>,
    /// Signs records.
    pub key: SigningKey,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How long a call waits for its entry.
    pub confirm_within: Duration,
}

/// What a check finds, without writing anything.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// The promotion key.
    pub key: Digest,
    /// The event that holds that key already.
    pub recorded_as: Option<Seq>,
}

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
    /// Why this node admits no decisions now; `None` if it does (design section 3, rule 8).
    pub fn not_admitting(&self) -> Option<String> {
        let now = self.clock.now();
        let date = self.ledger.head().state.date;
        if date > now.saturating_add(CLOCK_DISTANCE_MAX) {
            let behind = (date - now) / 1_000_000;
            return Some(format!(
                "this node's clock is {behind} s behind the ledger's newest entry; set the clock"
            ));
        }
        None
    }

    pub(super) fn admitting(&self) -> Result<(), Error> {
        self.not_admitting().map_or(Ok(()), |why| Err(Error::Unavailable(why)))
    }

    /// Records a promotion.
    ///
    /// # Errors
    /// [`Error`]; nothing is written unless the call ended in [`Error::Unconfirmed`] or [`Error::Unavailable`].
    pub async fn promote(&self, draft: PromotionDraft) -> Result<Receipt, Error> {
        self.admitting()?;
        let (draft, problems) = self.examined(draft).await?;
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let claims = draft::claims(&draft);
        let ids = self.pseudonyms(&claims)?;
        let promoted = draft::promoted(&draft, &|person| ids.get(person).cloned().unwrap_or_default());
        let slot = promoted.slot.clone().unwrap_or_default();
        let body = Body {
            idempotency_key: promotion::promotion_key(&promoted).0.to_vec(),
            event: Some(Event::Promoted(promoted)),
            ..Body::default()
        };
        for _ in 0..ATTEMPTS_MAX {
            if let Some(receipt) = self.recorded(&body)? {
                return Ok(receipt);
            }
            let preconditions = Some(self.slot_for(&body, &slot)?);
            let sealed = self.seal(claims.clone())?;
            let body = Body { preconditions, sealed, ..body.clone() };
            if let Some(receipt) = self.submit(body, &slot.model).await? {
                return Ok(receipt);
            }
        }
        Err(Error::Raced)
    }

    /// All problems of a promotion, and whether it is recorded already. Writes nothing, makes no subject record.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if evidence or ledger cannot be asked.
    pub async fn check(&self, draft: PromotionDraft) -> Result<Checked, Error> {
        let (draft, mut problems) = self.examined(draft).await?;
        let promoted = draft::promoted(&draft, &provisional);
        let key = promotion::promotion_key(&promoted);
        let recorded_as = self.ledger.store.bound(&key)?.map(|bound| bound.seq);
        let slot = promoted.slot.clone().unwrap_or_default();
        let body = Body { event: Some(Event::Promoted(promoted)), ..Body::default() };
        match self.slot_for(&body, &slot) {
            // As Promote answers: the state of the slot matters once the request itself is whole.
            Err(Error::Precondition(problem)) if recorded_as.is_none() && problems.is_empty() => {
                problems.push(problem)
            }
            Err(Error::Precondition(_)) | Ok(_) => {}
            Err(other) => return Err(other),
        }
        Ok(Checked { problems, key, recorded_as })
    }

    /// The draft with its evidence looked up, and everything that is wrong with it.
    async fn examined(&self, draft: PromotionDraft) -> Result<(PromotionDraft, Vec<Problem>), Error> {
        let now = self.clock.now();
        // Evidence stands at the same paths in draft and event, so it is filled in on the event and copied back.
        let mut promoted = draft::promoted(&draft, &provisional);
        let mut problems = self.look_up_evidence(&mut promoted, now).await?;
        let draft = PromotionDraft {
            model_version: promoted.model_version.clone(),
            challenger_comparison: promoted.challenger_comparison.clone(),
            approval_request: draft.approval_request.map(|request| {
                let form = promoted.approval_request.as_ref().and_then(|request| request.form.clone());
                crate::event::proto::ApprovalRequestDraft { form, ..request }
            }),
            explanations: promoted.explanations.clone(),
            dataset: promoted.dataset.clone(),
            profile: promoted.profile.clone(),
            ..draft
        };
        let absent: Vec<_> = problems.iter().map(|problem| problem.field.clone()).collect();
        let rules = draft::problems(&draft).into_iter().chain(promotion::problems(&promoted, now));
        // Evidence that is not there has no URI and no lock: that is one problem, not three.
        problems.extend(
            rules.filter(|problem| {
                !absent.iter().any(|field| problem.field.starts_with(&format!("{field}.")))
            }),
        );
        problems.sort();
        problems.dedup();
        Ok((draft, problems))
    }

    /// Fills in what the store says about every piece of evidence; problems where it is absent or another length.
    async fn look_up_evidence(&self, promoted: &mut Promoted, now: Micros) -> Result<Vec<Problem>, Error> {
        let paths: Vec<_> = content::evidence(promoted).into_iter().map(|(path, _)| path).collect();
        let mut p = Problems::default();
        for (path, reference) in paths.into_iter().zip(content::evidence_mut(promoted)) {
            let Some(sha256) = Digest::from_slice(&reference.sha256) else { continue };
            match self.evidence.stat(&sha256, now).await {
                Ok(Some(stored)) => {
                    let same = reference.length == 0 || reference.length == stored.length;
                    p.require(
                        same,
                        format!("{path}.length"),
                        format!("is {}, but the stored bytes have {}", reference.length, stored.length),
                    );
                    reference.uri = stored.uri;
                    reference.version_id = stored.version_id;
                    reference.length = stored.length;
                    reference.lock = Some(stored.lock);
                }
                Ok(None) => {
                    p.add(path, format!("no bytes with the SHA-256 {sha256} are stored; upload them first"))
                }
                Err(crate::evidence::Error::Damaged(_)) => {
                    p.add(
                        path,
                        format!("the stored bytes no longer have the SHA-256 {sha256}; tell the operator"),
                    );
                }
                Err(error) => return Err(Error::Unavailable(error.to_string())),
            }
        }
        Ok(p.into_sorted())
    }

    /// The pseudonym of everybody in a draft, with their subject records made durable.
    pub(super) fn pseudonyms(&self, claims: &draft::Claims) -> Result<BTreeMap<Identity, Vec<u8>>, Error> {
        let one = |person: &Identity| {
            let subject =
                self.subjects.subject(&person.0, &person.1).map_err(|e| Error::Unavailable(e.to_string()))?;
            Ok((person.clone(), subject.id.0.to_vec()))
        };
        let known = claims.keys().all(|(issuer, subject)| self.subjects.is_cached(issuer, subject));
        let all = || claims.keys().map(one).collect();
        // Making a record syncs files; looking one up in memory must not pay for handing the thread over.
        if known { all() } else { tokio::task::block_in_place(all) }
    }

    pub(super) fn seal(&self, claims: draft::Claims) -> Result<Vec<crate::event::proto::Sealed>, Error> {
        let unavailable = |error: crate::identity::subjects::Error| Error::Unavailable(error.to_string());
        let seal_one = |(person, claims): (Identity, SealedClaims)| {
            let subject = self.subjects.subject(&person.0, &person.1).map_err(unavailable)?;
            subject.seal(claims, &self.ledger.pinned).map_err(unavailable)
        };
        claims.into_iter().map(seal_one).collect()
    }

    /// The receipt of the event that already holds this idempotency key, if it has the same content.
    pub(super) fn recorded(&self, body: &Body) -> Result<Option<Receipt>, Error> {
        let Some(key) = Digest::from_slice(&body.idempotency_key) else { return Ok(None) };
        let Some(bound) = self.ledger.store.bound(&key)? else { return Ok(None) };
        if bound.content != content_digest(body) {
            return Err(self.conflict(bound.seq, body));
        }
        // Bound but not synced yet: the caller asks again and gets the receipt then.
        if bound.seq >= self.ledger.head().state.size() {
            return Err(Error::Unavailable("the same request is being recorded; ask again".into()));
        }
        self.receipt(bound.seq, true).map(Some)
    }

    fn conflict(&self, seq: Seq, body: &Body) -> Error {
        let other =
            self.ledger.store.record(seq).ok().flatten().and_then(|value| canonical::decode(&value).ok());
        let fields = other.map(|other| differing_fields(&other.body, body)).unwrap_or_default();
        Error::Conflict { seq, fields }
    }

    /// The slot as it is now: what the writer will compare with.
    fn slot_for(&self, body: &Body, slot: &Slot) -> Result<Preconditions, Error> {
        let state = self.ledger.store.slot(&digest::slot(slot))?;
        if let Some(Event::Promoted(promoted)) = &body.event {
            let current = state.and_then(|state| state.current);
            let first =
                promoted.challenger_comparison.as_ref().is_some_and(|comparison| comparison.no_incumbent);
            let problem = |description: String| {
                let field = "challenger_comparison.no_incumbent".to_owned();
                Err(Error::Precondition(Problem { field, description }))
            };
            match (first, current) {
                (true, Some(seq)) => {
                    return problem(format!(
                        "is true, but entry {seq} is current in this slot; compare with it"
                    ));
                }
                (false, None) => {
                    return problem("is false, but nothing is current in this slot; say true".into());
                }
                (false, Some(seq)) => self.champion_is_current(promoted, seq)?,
                (true, None) => {}
            }
        }
        Ok(Preconditions { slot_changed_at: state.map(|state| state.changed_at) })
    }

    /// Whether the comparison is with the slot's current model: until policies route such a mismatch, an approver who
    /// saw another champion has not seen what would be replaced.
    fn champion_is_current(&self, promoted: &Promoted, current: Seq) -> Result<(), Error> {
        let record = self.ledger.store.record(current)?.and_then(|value| canonical::decode(&value).ok());
        let Some(Event::Promoted(incumbent)) = record.and_then(|record| record.body.event) else {
            return Err(Error::Unavailable(format!("entry {current} cannot be read")));
        };
        let artifact = incumbent.model_version.map(|model| model.artifact_sha256).unwrap_or_default();
        let comparison = promoted.challenger_comparison.as_ref();
        let champion = i32::from(ComparatorRole::Champion);
        let compared = comparison.is_some_and(|c| {
            c.comparators.iter().any(|c| c.role == champion && c.artifact_sha256 == artifact)
        });
        if compared {
            return Ok(());
        }
        let current = hex::encode(artifact);
        let field = "challenger_comparison.comparators".to_owned();
        let description = format!(
            "names another champion than the slot's current model (artefact {current}); compare with that one"
        );
        Err(Error::Precondition(Problem { field, description }))
    }

    /// Records an act of the administrators. The only call that a node with a wrong clock still takes.
    ///
    /// # Errors
    /// [`Error`]; the ledger's rules check statement and signatures.
    pub async fn admin(&self, act: AdminAct) -> Result<Receipt, Error> {
        let invalid = |description: &str| {
            Error::Invalid(vec![Problem { field: "act.statement".into(), description: description.into() }])
        };
        let statement =
            canonical::statement(&act).ok_or_else(|| invalid("is not a canonical AdminStatement"))?;
        let kind = u8::try_from(statement.kind).ok().and_then(Kind::from_number);
        let event = kind.and_then(|kind| canonical::admin_event(kind, act));
        let event = event.ok_or_else(|| invalid("has a kind that is not an admin act"))?;
        let key = expected_key(&event).unwrap_or_default();
        let body = Body { idempotency_key: key.0.to_vec(), event: Some(event), ..Body::default() };
        if let Some(receipt) = self.recorded(&body)? {
            return Ok(receipt);
        }
        self.submit(body, "").await?.ok_or(Error::Raced)
    }

    /// Signs a body, appends it and waits for its entry. `None`: it lost a race that making it anew may win.
    pub(super) async fn submit(&self, body: Body, model: &str) -> Result<Option<Receipt>, Error> {
        let head = self.ledger.head();
        let basis = Basis { size: head.state.size(), link: head.state.link.0.to_vec() };
        let body = Body { basis: Some(basis), recorded_at: self.clock.now(), ..body };
        let value = canonical::seal_record(&body, head.state.rules, &self.ledger.pinned, &self.key);
        if value.len() > canonical::RECORD_LEN_MAX {
            let description =
                format!("the event has {} bytes; at most {}", value.len(), canonical::RECORD_LEN_MAX);
            return Err(Error::Invalid(vec![Problem { field: String::new(), description }]));
        }
        let prepared = Prepared::new(value.clone());
        let record_digest = prepared.record_digest;
        let kind = prepared.record.as_ref().map(|record| record.kind).map_err(|reason| {
            Error::Internal(format!("this node made a record that is malformed ({reason})"))
        })?;
        let done = self.inflight.wait(prepared).map_err(|error| match error {
            inflight::Error::Full | inflight::Error::Same => Error::Exhausted(error.to_string()),
        })?;
        let outgoing = Outgoing {
            value,
            model: model.to_owned(),
            idempotency_key: Digest::from_slice(&body.idempotency_key).unwrap_or_default(),
            kind,
            origin: head.state.origin.clone(),
            recorded_at: body.recorded_at,
        };
        let appended = self.log.append(outgoing).await;
        if let Err(error @ (log::Error::Full | log::Error::TooLarge { .. })) = appended {
            self.inflight.forget(&record_digest);
            return Err(Error::Exhausted(error.to_string()));
        }
        appended.map_err(|error| Error::Unavailable(error.to_string()))?;
        let unconfirmed = Error::Unconfirmed(self.confirm_within.as_secs());
        match tokio::time::timeout(self.confirm_within, done).await {
            Ok(Ok(header)) => self.answer(&header, &body),
            Ok(Err(_)) => Err(Error::Unavailable(
                "this node's writer has stopped; ask another node, or again later".into(),
            )),
            Err(_) => Err(unconfirmed),
        }
    }

    fn answer(&self, header: &Header, body: &Body) -> Result<Option<Receipt>, Error> {
        match (header.outcome, header.reason) {
            (Outcome::Accepted, _) => self.receipt(header.seq, false).map(Some),
            (Outcome::Duplicate, _) => self.receipt(header.refers_to.unwrap_or(header.seq), true).map(Some),
            (_, Reason::Precondition) => Err(Error::Raced),
            (_, Reason::Stale | Reason::Version) => Ok(None),
            (_, Reason::Conflict) => {
                let key = Digest::from_slice(&body.idempotency_key).unwrap_or_default();
                let seq = self.ledger.store.bound(&key)?.map_or(0, |bound| bound.seq);
                Err(self.conflict(seq, body))
            }
            (_, reason) => Err(Error::Refused(reason)),
        }
    }

    /// The receipt of a synced entry under the newest checkpoint.
    fn receipt(&self, seq: Seq, duplicate: bool) -> Result<Receipt, Error> {
        let proof = self.ledger.receipt(seq, &self.ledger.head())?;
        let header = Header::decode(&proof.header).map_err(|error| Error::Internal(error.to_string()))?;
        let record = self.ledger.store.record(seq)?.unwrap_or_default();
        let key = canonical::decode(&record).map(|record| record.body.idempotency_key).unwrap_or_default();
        Ok(Receipt {
            seq,
            event_digest: header.event_digest.0.to_vec(),
            idempotency_key: key,
            tlog_proof: proof.to_text(),
            duplicate,
        })
    }
}

/// Stands in for a pseudonym where nothing is written: distinct people stay distinct.
fn provisional(person: &Identity) -> Vec<u8> {
    digest::subject_id(&[0; 32], &person.0, &person.1).0.to_vec()
}
