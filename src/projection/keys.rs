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
//! | `f` SHA-256 of evidence that a finding is about, seq | empty |
//! | `w` SHA-256 of registry URI, name and version, seq | empty |
//! | `u` artefact SHA-256 of an undocumented model, seq | empty |
//! | `b` artefact SHA-256 of a break-glass, seq | empty |
//! | `n` kind number, seq | empty |
//! | `t` tainted SHA-256, seq | empty |
//! | `k` subject_id of an erased person, seq | empty |
//! | `c` SHA-256(model), SHA-256(environment), slot digest, seq | `SlotChange` |
//!
//! Hashed parts make keys of one length, so that a prefix never runs into another name.

use super::fold::View;
use crate::event::{Digest, Kind, Seq, digest::sha256};

/// The view that a row belongs to; `None` for cursors.
pub fn view_of(key: &[u8]) -> Option<View> {
    match key.first()? {
        b'e' | b'm' | b'a' | b'g' | b'v' | b'w' | b'u' | b'b' | b'n' | b't' | b'k' | b'f' => {
            Some(View::Index)
        }
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

/// All evidence, by its digest.
pub const EVIDENCE: &[u8] = b"v";

/// Entries that hold a piece of evidence: promotions, reviews, closed conditions.
pub fn by_evidence(sha256: &[u8]) -> Vec<u8> {
    [b"v", sha256].concat()
}

/// All findings about evidence, by its digest.
pub const FINDINGS: &[u8] = b"f";

/// Findings about a piece of evidence.
pub fn by_finding(sha256: &[u8]) -> Vec<u8> {
    [FINDINGS, sha256].concat()
}

/// The digest in a row's key that begins with one letter and a digest.
pub fn digest_of(key: &[u8]) -> Option<Digest> {
    key.get(1..33).and_then(Digest::from_slice)
}

/// Promotions and undocumented models of a registry's version; `None` where there is none.
pub fn by_version(registry_uri: &str, name: &str, version: &str) -> Option<Vec<u8>> {
    let parts = [registry_uri, name, version].map(|part| sha256(part.as_bytes()).0);
    (!version.is_empty()).then(|| [b"w", &sha256(&parts.concat()).0[..]].concat())
}

/// Undocumented models with this artefact; `None` where it is not known.
pub fn by_undocumented(sha256: &[u8]) -> Option<Vec<u8>> {
    (!sha256.is_empty()).then(|| [b"u", sha256].concat())
}

/// Break-glass entries for an artefact.
pub fn by_break_glass(sha256: &[u8]) -> Vec<u8> {
    [b"b", sha256].concat()
}

/// Accepted entries of a kind, promotions left out: those are found by what they are about.
pub fn by_kind(kind: Kind) -> Vec<u8> {
    vec![b'n', kind.number()]
}

/// Entries that taint a digest.
pub fn by_tainted(sha256: &[u8]) -> Vec<u8> {
    [b"t", sha256].concat()
}

/// Entries by which a person was erased.
pub fn by_erased(subject_id: &[u8]) -> Vec<u8> {
    [b"k", subject_id].concat()
}

/// Changes of all slots.
pub const SLOTS: &[u8] = b"c";

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
