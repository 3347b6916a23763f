//! Every hash in the project, with its domain separation. No other file names a tag or a context string.

use std::sync::LazyLock;

use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha256};

use super::{
    model::{Digest, KeyId},
    proto::{ModelVersion, Slot, SlotRole},
};

/// What a record's signature covers starts with this.
pub const TAG_RECORD_SIGNATURE: &[u8] = b"promotion-ledger v1 record signature\0";
/// What an administrator's signature covers starts with this.
pub const TAG_ADMIN_STATEMENT: &[u8] = b"promotion-ledger v1 admin statement\0";
/// Associated data of a sealed item starts with this.
pub const TAG_SEAL: &[u8] = b"promotion-ledger v1 seal\0";
/// Evidence that is sealed for one person starts with this.
pub const TAG_SEALED_EVIDENCE: &[u8] = b"promotion-ledger v1 sealed evidence\0";

const TAG_KEY_ID: &[u8] = b"promotion-ledger v1 key id\0";
const TAG_PROMOTION_KEY: &[u8] = b"promotion-ledger v1 promotion key\0";
const TAG_REQUEST_KEY: &[u8] = b"promotion-ledger v1 request key\0";
const TAG_CONTENT: &[u8] = b"promotion-ledger v1 content\0";
const TAG_SLOT: &[u8] = b"promotion-ledger v1 slot\0";
const TAG_SUBJECT: &[u8] = b"promotion-ledger v1 subject\0";
const TAG_COMMITMENT: &[u8] = b"promotion-ledger v1 commitment\0";
const TAG_DECISION_STATEMENT: &[u8] = b"promotion-ledger v1 decision statement\0";
const TAG_DECISION_NONCE: &[u8] = b"promotion-ledger v1 decision nonce\0";
const TAG_DECISION_ANSWERS: &[u8] = b"promotion-ledger v1 decision answers\0";
const TAG_BREAK_GLASS: &[u8] = b"promotion-ledger v1 break-glass\0";
const TAG_AUDIT_SAMPLE: &[u8] = b"promotion-ledger v1 audit sample\0";
// Deriving a key hashes its context, so it is done once.
static RECORD: LazyLock<blake3::Hasher> =
    LazyLock::new(|| blake3::Hasher::new_derive_key("promotion-ledger v1 record"));
static LINK: LazyLock<blake3::Hasher> =
    LazyLock::new(|| blake3::Hasher::new_derive_key("promotion-ledger v1 link"));

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
    Digest(*RECORD.clone().update(value).finalize().as_bytes())
}

/// BLAKE3 derive_key over an encoded header: what the next entry's `prev_link` holds.
pub fn link(header: &[u8; super::header::HEADER_LEN]) -> Digest {
    Digest(*LINK.clone().update(header).finalize().as_bytes())
}

/// Names a signing key.
pub fn key_id(key: &VerifyingKey) -> KeyId {
    Digest(Sha256::new_with_prefix(TAG_KEY_ID).chain_update(key.as_bytes()).finalize().into())
}

fn role(slot: &Slot) -> [u8; 4] {
    SlotRole::try_from(slot.role).map_or(0, |role| role as i32).to_be_bytes()
}

fn slot_parts<'a>(slot: &'a Slot, role: &'a [u8; 4]) -> [&'a [u8]; 4] {
    [slot.model.as_bytes(), slot.environment.as_bytes(), slot.region.as_bytes(), role]
}

/// Names a slot in the writer's state.
pub fn slot(slot: &Slot) -> Digest {
    tagged(TAG_SLOT, slot_parts(slot, &role(slot)))
}

/// The promotion key: idempotency key of a promotion (design section 2). `request`: its system and id.
pub fn promotion_key(slot: Option<&Slot>, model: Option<&ModelVersion>, request: (&str, &str)) -> Digest {
    let (no_slot, no_model) = (Slot::default(), ModelVersion::default());
    let (slot, model) = (slot.unwrap_or(&no_slot), model.unwrap_or(&no_model));
    let text = [&model.registry_uri, &model.version, request.0, request.1].map(str::as_bytes);
    let artifact = [&model.artifact_sha256[..]];
    tagged(TAG_PROMOTION_KEY, slot_parts(slot, &role(slot)).into_iter().chain(artifact).chain(text))
}

/// The promotion key of what a caller states. Calls are no part of the verify-only build.
#[cfg(feature = "node")]
pub fn draft_key(draft: &super::proto::PromotionDraft) -> Digest {
    let request = draft.approval_request.as_ref();
    let request = request.map_or(("", ""), |request| (&request.system, &request.id));
    promotion_key(draft.slot.as_ref(), draft.model_version.as_ref(), request)
}

/// The nonce of a login that commits to something: its digest, base64url. Inside a promotion that is the promotion key, in
/// a review the [`decision_nonce`].
pub fn login_nonce(committed: &Digest) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.encode(committed.0)
}

/// What the login of an emergency commits to: which artefact, where, until when, in which request.
pub fn break_glass(slot_of: &Slot, artifact_sha256: &[u8], expires_at: u64, request_id: &str) -> Digest {
    let (slot_of, until) = (slot(slot_of), expires_at.to_be_bytes());
    tagged(TAG_BREAK_GLASS, [&slot_of.0[..], artifact_sha256, &until, request_id.as_bytes()])
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

/// Place of a promotion in an auditor's sample: the smallest are drawn. `tree` is root and size of a checkpoint that was
/// made after the period; `cosignature` a witness's, or empty.
pub fn audit_sample(tree: (&Digest, u64), period: (u64, u64), cosignature: &[u8], seq: u64) -> Digest {
    let numbers = [tree.1, period.0, period.1, seq].map(u64::to_be_bytes);
    let parts = [&tree.0.0[..], cosignature].into_iter().chain(numbers.iter().map(|number| &number[..]));
    tagged(TAG_AUDIT_SAMPLE, parts)
}

/// Commitment to the canonical DecisionAnswers, which carry their own blind.
pub fn decision_answers(canonical: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix(TAG_DECISION_ANSWERS).chain_update(canonical).finalize().into())
}

/// What a login commits to: 32 bytes whose base64url is the nonce of the assertion. `statement` is the canonical
/// DecisionStatement, `salt` 32 bytes of the session that froze it.
pub fn decision_nonce(statement: &[u8], salt: &[u8]) -> Digest {
    let statement = Sha256::new_with_prefix(TAG_DECISION_STATEMENT).chain_update(statement).finalize();
    let hasher = Sha256::new_with_prefix(TAG_DECISION_NONCE);
    Digest(hasher.chain_update(statement).chain_update(salt).finalize().into())
}
