//! Keys of the projections' rows, in the column family `views`.
//!
//! | key | value |
//! |---|---|
//! | `!` view name | cursor: entries folded, u64 big-endian |
//! | `e` event digest, seq | empty |
//! | `m` SHA-256(model), SHA-256(environment), seq | empty |
//! | `a` subject_id of an approver, seq | empty |
//! | `g` artefact SHA-256, seq | empty |
//! | `v` evidence SHA-256, seq | empty |
//! | `c` SHA-256(model), SHA-256(environment), slot digest, seq | `SlotChange` |
//!
//! Hashed parts make keys of one length, so that a prefix never runs into another name.

use super::fold::View;
use crate::event::{Digest, Seq, digest::sha256};

/// The view that a row belongs to; `None` for cursors.
pub fn view_of(key: &[u8]) -> Option<View> {
    match key.first()? {
        b'e' | b'm' | b'a' | b'g' | b'v' => Some(View::Index),
        b'c' => Some(View::History),
        _ => None,
    }
}

/// Cursor of a view.
pub fn cursor(view: &str) -> Vec<u8> {
    [b"!", view.as_bytes()].concat()
}

/// Entries with this event digest.
pub fn by_event(digest: &Digest) -> Vec<u8> {
    [b"e", &digest.0[..]].concat()
}

/// Entries about a model, or about a model in an environment.
pub fn by_model(model: &str, environment: Option<&str>) -> Vec<u8> {
    model_prefix(b'm', model, environment)
}

fn model_prefix(tag: u8, model: &str, environment: Option<&str>) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend(sha256(model.as_bytes()).0);
    if let Some(environment) = environment {
        key.extend(sha256(environment.as_bytes()).0);
    }
    key
}

/// Promotions approved by a person.
pub fn by_approver(subject_id: &[u8]) -> Vec<u8> {
    [b"a", subject_id].concat()
}

/// Promotions of an artefact.
pub fn by_artifact(sha256: &[u8]) -> Vec<u8> {
    [b"g", sha256].concat()
}

/// Promotions that rely on a piece of evidence.
pub fn by_evidence(sha256: &[u8]) -> Vec<u8> {
    [b"v", sha256].concat()
}

/// Changes of all slots of a model in an environment.
pub fn slots(model: &str, environment: &str) -> Vec<u8> {
    model_prefix(b'c', model, Some(environment))
}

/// Changes of one slot.
pub fn slot(model: &str, environment: &str, slot: &Digest) -> Vec<u8> {
    [slots(model, environment), slot.0.to_vec()].concat()
}

/// A row's key: its prefix and the entry.
pub fn at(prefix: &[u8], seq: Seq) -> Vec<u8> {
    [prefix, &seq.to_be_bytes()].concat()
}

/// The entry in a row's key.
pub fn seq_of(key: &[u8]) -> Option<Seq> {
    key.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq))
}
