//! A value from the topic, read: everything about it that needs no state.

use prost::Message as _;

use crate::event::{
    Digest, Reason,
    canonical::{self, Record},
    content::content_digest_in_place,
    custody as shape, digest, gate, issuer, promotion,
    proto::{Body, PersonRef, body::Event},
    review,
};

use super::node_key::NodeKey;

/// A value from the topic, with everything that needs no state worked out (and, by the caller, in parallel).
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The topic value, verbatim; empty for a hole.
    pub value: Vec<u8>,
    /// BLAKE3 of the value.
    pub record_digest: Digest,
    /// The record, or why it is malformed.
    pub record: Result<Record, Reason>,
    /// SHA-256 of the body; zero if malformed.
    pub event_digest: Digest,
    /// Content digest of the body; zero if malformed.
    pub content: Digest,
    /// Whether the event by itself, without any state, has all that its kind needs.
    pub whole: bool,
    /// Whether this process made the signature itself a moment ago; then it is not verified again.
    pub own: bool,
}

impl Prepared {
    /// Reads a topic value.
    pub fn new(value: Vec<u8>) -> Self {
        let record_digest = digest::record_digest(&value);
        Self::of(value, record_digest)
    }

    /// The same, of a value whose digest is known.
    pub(super) fn of(value: Vec<u8>, record_digest: Digest) -> Self {
        let mut record = canonical::decode(&value);
        let (event_digest, content, whole) = match &mut record {
            Ok(record) => {
                let whole = is_whole(&record.body);
                let content = content_digest_in_place(&mut record.body);
                (digest::sha256(&record.envelope.body), content, whole)
            }
            Err(_) => (Digest::ZERO, Digest::ZERO, false),
        };
        Self { value, record_digest, record, event_digest, content, whole, own: false }
    }

    /// Signs a body: the same as reading the value that this makes, without reading it.
    ///
    /// `content` is the body's content digest, `ledger_id` that of the ledger it is for.
    pub fn sign(body: Body, content: Digest, rules: u16, ledger_id: &Digest, key: &NodeKey) -> Self {
        let envelope = canonical::sign_record(&body, rules, ledger_id, key);
        let value = envelope.encode_to_vec();
        let kind = body.event.as_ref().map(canonical::kind_of).ok_or(Reason::Kind);
        Self {
            record_digest: digest::record_digest(&value),
            value,
            event_digest: digest::sha256(&envelope.body),
            content,
            whole: is_whole(&body),
            record: kind.map(|kind| Record { envelope, body, kind }),
            own: true,
        }
    }
}

/// Whether an event by itself has all that its kind needs: rules that need no state.
fn is_whole(body: &Body) -> bool {
    let acted =
        |actor: &Option<PersonRef>, request_id: &str| promotion::actor_is_whole(actor.as_ref(), request_id);
    match &body.event {
        Some(Event::Promoted(promoted)) => promotion::problems(promoted, body.recorded_at).is_empty(),
        Some(Event::RolledBack(e)) => acted(&e.actor, &e.request_id),
        Some(Event::Revoked(e)) => acted(&e.actor, &e.request_id),
        Some(Event::Retired(e)) => acted(&e.actor, &e.request_id),
        Some(Event::AttemptRefused(refused)) => promotion::attempt_is_whole(refused),
        Some(event) => shape::is_whole(event)
            .or_else(|| gate::is_whole(event, body.recorded_at))
            .or_else(|| review::is_whole(event, body.recorded_at))
            .or_else(|| issuer::is_whole(event))
            .unwrap_or(true),
        None => true,
    }
}
