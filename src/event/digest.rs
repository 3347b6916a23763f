//! Every hash in the project, with its domain separation. No other file names a tag or a context string.

use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha256};

use super::{
    model::{Digest, KeyId},
    proto::{Slot, SlotRole},
};

/// What a record's signature covers starts with this.
pub const TAG_RECORD_SIGNATURE: &[u8] = b"promotion-ledger v1 record signature\0";
/// What an administrator's signature covers starts with this.
pub const TAG_ADMIN_STATEMENT: &[u8] = b"promotion-ledger v1 admin statement\0";
/// Associated data of a sealed item starts with this.
pub const TAG_SEAL: &[u8] = b"promotion-ledger v1 seal\0";

const TAG_KEY_ID: &[u8] = b"promotion-ledger v1 key id\0";
const TAG_PROMOTION_KEY: &[u8] = b"promotion-ledger v1 promotion key\0";
const TAG_REQUEST_KEY: &[u8] = b"promotion-ledger v1 request key\0";
const TAG_CONTENT: &[u8] = b"promotion-ledger v1 content\0";
const TAG_SLOT: &[u8] = b"promotion-ledger v1 slot\0";
const TAG_SUBJECT: &[u8] = b"promotion-ledger v1 subject\0";
const TAG_COMMITMENT: &[u8] = b"promotion-ledger v1 commitment\0";
const CONTEXT_RECORD: &str = "promotion-ledger v1 record";
const CONTEXT_LINK: &str = "promotion-ledger v1 link";

/// SHA-256 of bytes, untagged: evidence, artefacts, event bodies. Comparable with sha256sum.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// SHA-256(tag || for each part: its length as u64 big-endian || the part).
fn tagged<'a>(tag: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = Sha256::new_with_prefix(tag);
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// BLAKE3 derive_key over a topic value.
pub fn record_digest(value: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT_RECORD);
    hasher.update(value);
    Digest(*hasher.finalize().as_bytes())
}

/// BLAKE3 derive_key over an encoded header: what the next entry's `prev_link` holds.
pub fn link(header: &[u8; super::header::HEADER_LEN]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT_LINK);
    hasher.update(header);
    Digest(*hasher.finalize().as_bytes())
}

/// Names a signing key.
pub fn key_id(key: &VerifyingKey) -> KeyId {
    Digest(Sha256::new_with_prefix(TAG_KEY_ID).chain_update(key.as_bytes()).finalize().into())
}

fn slot_parts(slot: &Slot) -> [Vec<u8>; 4] {
    let role = SlotRole::try_from(slot.role).map_or(0, |role| role as i32);
    [
        slot.model.clone().into_bytes(),
        slot.environment.clone().into_bytes(),
        slot.region.clone().into_bytes(),
        role.to_be_bytes().to_vec(),
    ]
}

/// Names a slot in the writer's state.
pub fn slot(slot: &Slot) -> Digest {
    let parts = slot_parts(slot);
    tagged(TAG_SLOT, parts.iter().map(Vec::as_slice))
}

/// The promotion key: idempotency key of a promotion (design section 2).
pub fn promotion_key(
    slot: &Slot,
    artifact: &[u8],
    registry_uri: &str,
    version: &str,
    system: &str,
    id: &str,
) -> Digest {
    let slot = slot_parts(slot);
    let rest = [artifact, registry_uri.as_bytes(), version.as_bytes(), system.as_bytes(), id.as_bytes()];
    tagged(TAG_PROMOTION_KEY, slot.iter().map(Vec::as_slice).chain(rest))
}

/// The idempotency key of every other call.
pub fn request_key(kind: super::model::Kind, principal: &[u8], request_id: &[u8]) -> Digest {
    tagged(TAG_REQUEST_KEY, [&[kind.number()][..], principal, request_id])
}

/// Digest of the canonical encoding of an event's content.
pub fn content(canonical: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix(TAG_CONTENT).chain_update(canonical).finalize().into())
}

/// Pseudonym of a person: meaningless once the salt is destroyed.
pub fn subject_id(salt: &[u8; 32], issuer: &str, subject: &str) -> Digest {
    tagged(TAG_SUBJECT, [&salt[..], issuer.as_bytes(), subject.as_bytes()])
}

/// Commitment to the plaintext of a sealed item, which carries its own blind.
pub fn commitment(plaintext: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix(TAG_COMMITMENT).chain_update(plaintext).finalize().into())
}
