//! A body -> sealed -> signed -> on the log -> its entry -> a receipt.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    event::{
        Digest, Header, Micros, Outcome, Reason, Seq, canonical,
        content::{content_digest, differing_fields},
        promotion::Problem,
        proto::{Basis, Body, Receipt, SealedClaims},
    },
    ledger::{
        decide::Prepared,
        inflight,
        ledger::Witnessed,
        state::{Binding, Lookup},
    },
    log::{self, Outgoing},
};

use super::{
    Error,
    draft::{self, Identity},
    gateway::Gateway,
};

impl Gateway {
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
    pub(super) fn recorded(&self, body: &Body, content: &Digest) -> Result<Option<Receipt>, Error> {
        let Some(key) = Digest::from_slice(&body.idempotency_key) else { return Ok(None) };
        let Some(bound) = self.ledger.store.bound(&key)? else { return Ok(None) };
        if bound.content != *content {
            return Err(self.conflict(bound.seq, body));
        }
        // Bound but not synced yet: the caller asks again and gets the receipt then.
        if bound.seq >= self.ledger.head().state.size() {
            return Err(Error::Unavailable("the same request is being recorded; ask again".into()));
        }
        let covered =
            |shown: &Option<Arc<Witnessed>>| shown.as_ref().is_some_and(|shown| shown.size > bound.seq);
        if self.witnessed_within.is_some() && !covered(&self.ledger.witnessed().borrow()) {
            return Err(Error::Unwitnessed { seq: bound.seq, seconds: 0 });
        }
        self.receipt(bound.seq, &key, true).map(Some)
    }

    /// What a dry run says of a promotion whose key is bound already: every field in which it differs.
    pub(super) fn differences(&self, bound: &Binding, body: &Body) -> Vec<Problem> {
        if bound.content == content_digest(body) {
            return Vec::new();
        }
        let seq = bound.seq;
        let fields = self.body_of(seq).map(|other| differing_fields(&other, body)).unwrap_or_default();
        let problem = |field| Problem {
            field,
            description: format!("differs from entry {seq}, which already records this promotion"),
        };
        fields.into_iter().map(problem).collect()
    }

    fn conflict(&self, seq: Seq, body: &Body) -> Error {
        let fields = self.body_of(seq).map(|other| differing_fields(&other, body)).unwrap_or_default();
        Error::Conflict { seq, fields }
    }

    /// Signs a body, appends it and waits for its entry. `None`: it lost a race that making it anew may win.
    ///
    /// The body is taken, not copied. Who may make it anew, after `None` or [`Error::Raced`], finds it as it was recorded.
    pub(super) async fn submit(
        &self,
        body: &mut Body,
        content: Digest,
        model: &str,
    ) -> Result<Option<Receipt>, Error> {
        let head = self.ledger.head();
        let basis = Basis { size: head.state.size(), link: head.state.link.0.to_vec() };
        let recorded_at = self.clock.now();
        let record = Body { basis: Some(basis), recorded_at, ..std::mem::take(body) };
        let key = Digest::from_slice(&record.idempotency_key).unwrap_or_default();
        let kind = record.event.as_ref().map(canonical::kind_of);
        let kind = kind.ok_or_else(|| Error::Internal("this node made a record without an event".into()))?;
        let prepared = Prepared::sign(record, content, head.state.rules, &self.ledger.pinned, &self.key);
        let len = prepared.value.len();
        if len > canonical::RECORD_LEN_MAX {
            let description = format!("the event has {len} bytes; at most {}", canonical::RECORD_LEN_MAX);
            return Err(Error::Invalid(vec![Problem { field: String::new(), description }]));
        }
        let outgoing = Outgoing {
            value: prepared.value.clone(),
            model: model.to_owned(),
            idempotency_key: key,
            kind,
            origin: head.state.origin.clone(),
            recorded_at,
        };
        let record_digest = prepared.record_digest;
        let done = self.inflight.wait(prepared).map_err(|error| match error {
            inflight::Error::Full | inflight::Error::Same => Error::Exhausted(error.to_string()),
        })?;
        let appended = self.log.append(outgoing).await;
        if let Err(error @ (log::Error::Full | log::Error::TooLarge { .. })) = appended {
            self.inflight.forget(&record_digest);
            return Err(Error::Exhausted(error.to_string()));
        }
        appended.map_err(|error| Error::Unavailable(error.to_string()))?;
        match tokio::time::timeout(self.confirm_within, done).await {
            Ok(Ok(confirmed)) => {
                self.compare_clocks(recorded_at, confirmed.appended_at);
                let answer = self.answer(&confirmed.header, &key, body)?;
                self.when_witnessed(answer, &key).await
            }
            Ok(Err(_)) => Err(Error::Unavailable(
                "this node's writer has stopped; ask another node, or again later".into(),
            )),
            Err(_) => Err(Error::Unconfirmed(self.confirm_within.as_secs())),
        }
    }

    /// Waits until enough witnesses have cosigned a checkpoint over the entry, where promotions wait for that.
    async fn when_witnessed(&self, answer: Option<Receipt>, key: &Digest) -> Result<Option<Receipt>, Error> {
        let (Some(receipt), Some(within)) = (&answer, self.witnessed_within) else { return Ok(answer) };
        let mut witnessed = self.ledger.witnessed();
        let covers = witnessed.wait_for(|shown| shown.as_ref().is_some_and(|shown| shown.size > receipt.seq));
        match tokio::time::timeout(within, covers).await {
            Ok(Ok(_)) => self.receipt(receipt.seq, key, receipt.duplicate).map(Some),
            _ => Err(Error::Unwitnessed { seq: receipt.seq, seconds: within.as_secs() }),
        }
    }

    /// The log's time of a record of this node lies between its signing and its confirmation, or one of the two
    /// clocks is wrong (design section 3, rule 8).
    fn compare_clocks(&self, recorded_at: Micros, appended_at: Option<Micros>) {
        let Some(appended_at) = appended_at else { return };
        let away = recorded_at.saturating_sub(appended_at).max(appended_at.saturating_sub(self.clock.now()));
        self.clock_away.store(away, Ordering::Relaxed);
    }

    fn answer(&self, header: &Header, key: &Digest, body: &mut Body) -> Result<Option<Receipt>, Error> {
        if matches!(header.reason, Reason::Precondition | Reason::Stale | Reason::Version) {
            let unreadable = || Error::Unavailable(format!("entry {} cannot be read; ask again", header.seq));
            *body = self.body_of(header.seq).ok_or_else(unreadable)?;
        }
        match (header.outcome, header.reason) {
            (Outcome::Accepted, _) => self.receipt(header.seq, key, false).map(Some),
            (Outcome::Duplicate, _) => {
                self.receipt(header.refers_to.unwrap_or(header.seq), key, true).map(Some)
            }
            (_, Reason::Precondition) => Err(Error::Raced),
            (_, Reason::Stale | Reason::Version) => Ok(None),
            (_, Reason::Conflict) => {
                let seq = self.ledger.store.bound(key)?.map_or(0, |bound| bound.seq);
                let body = self.body_of(header.seq).unwrap_or_default();
                Err(self.conflict(seq, &body))
            }
            (_, reason) => Err(Error::Refused(reason)),
        }
    }

    fn body_of(&self, seq: Seq) -> Option<Body> {
        let value = self.ledger.store.record(seq).ok().flatten()?;
        canonical::decode(&value).ok().map(|record| record.body)
    }

    /// The receipt of a synced entry, which holds this idempotency key, under the newest checkpoint.
    pub(super) fn receipt(&self, seq: Seq, key: &Digest, duplicate: bool) -> Result<Receipt, Error> {
        let proof = self.ledger.newest_receipt(seq)?;
        let header = Header::decode(&proof.header).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Receipt {
            seq,
            event_digest: header.event_digest.0.to_vec(),
            idempotency_key: key.0.to_vec(),
            tlog_proof: proof.to_text(),
            duplicate,
        })
    }
}
