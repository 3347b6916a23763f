//! Every key in the ledger's database. Numbers are big-endian, so that order of keys is order of entries.
//!
//! | column family | key | value |
//! |---|---|---|
//! | `entries` | seq | header, 168 bytes |
//! | `records` | seq | topic value, verbatim |
//! | `tree`    | level u8, index u64 | root of that complete subtree; levels 8 and up |
//! | `state`   | `r` record digest | seq of its first entry |
//! | `state`   | `k` idempotency key | binding |
//! | `state`   | `s` slot digest | slot state |
//! | `state`   | `p` seq | promotion state |
//! | `state`   | `v` kind of row, seq or digest | review, conditions of a slot, delegation |
//! | `state`   | `d` seq | date of the entry (running maximum) |
//! | `state`   | `h` | head: the small state, whole |
//! | `views`   | see `projection::keys` | rows that can be rebuilt |

use crate::event::{Digest, Seq};

use super::review_rows::ReviewKey;

/// Headers.
pub const CF_ENTRIES: &str = "entries";
/// Topic values.
pub const CF_RECORDS: &str = "records";
/// Subtree roots.
pub const CF_TREE: &str = "tree";
/// The writer's state.
pub const CF_STATE: &str = "state";
/// Projections.
pub const CF_VIEWS: &str = "views";
/// All column families.
pub const CFS: [&str; 5] = [CF_ENTRIES, CF_RECORDS, CF_TREE, CF_STATE, CF_VIEWS];

/// The small state, whole.
pub const HEAD: &[u8] = b"h";

/// Lowest tree level that is stored; the hashes below come from at most 256 headers.
pub const TREE_LEVEL_STORED: u8 = 8;

/// Key of an entry or a record.
pub fn seq(seq: Seq) -> [u8; 8] {
    seq.to_be_bytes()
}

/// Seq in a key of an entry or a record.
pub fn parse_seq(key: &[u8]) -> Option<Seq> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Key of a subtree root.
pub fn tree(level: u8, index: u64) -> [u8; 9] {
    let mut key = [level; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

fn tagged<const N: usize>(tag: u8, rest: &[u8]) -> [u8; N] {
    let mut key = [tag; N];
    key[1..].copy_from_slice(rest);
    key
}

/// Key of a record digest.
pub fn replay(digest: &Digest) -> [u8; 33] {
    tagged(b'r', &digest.0)
}

/// Key of an idempotency key.
pub fn binding(key: &Digest) -> [u8; 33] {
    tagged(b'k', &key.0)
}

/// Key of a slot.
pub fn slot(digest: &Digest) -> [u8; 33] {
    tagged(b's', &digest.0)
}

/// Key of a promotion.
pub fn promotion(seq: Seq) -> [u8; 9] {
    tagged(b'p', &seq.to_be_bytes())
}

/// Key of what is known of a review, of a slot's conditions, or of a delegation.
pub fn review(key: &ReviewKey) -> Vec<u8> {
    let (kind, rest): (u8, Vec<u8>) = match key {
        ReviewKey::Review(seq) => (b'r', seq.to_be_bytes().to_vec()),
        ReviewKey::Last(key) => (b'l', key.0.to_vec()),
        ReviewKey::Conditions(slot) => (b'c', slot.0.to_vec()),
        ReviewKey::Delegation(seq) => (b'd', seq.to_be_bytes().to_vec()),
    };
    [&[b'v', kind][..], &rest].concat()
}

/// Key of an entry's date.
pub fn date(seq: Seq) -> [u8; 9] {
    tagged(b'd', &seq.to_be_bytes())
}
