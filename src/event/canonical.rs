//! The only code between an event and its bytes: envelope, body, signature.
//!
//! Canonical means that decoding and encoding again gives the same bytes, so that one event has one
//! encoding and a hash over received bytes is a hash over the event.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use prost::Message;

use super::{
    digest::{self, TAG_ADMIN_STATEMENT, TAG_RECORD_SIGNATURE},
    model::{Digest, Kind, Reason},
    proto::{AdminAct, AdminStatement, Body, SignedRecord, body::Event},
};

/// Largest topic value, bytes. Both logs refuse more.
pub const RECORD_LEN_MAX: usize = 256 * 1024;

/// A record whose envelope and body were read; its signature is not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// As received.
    pub envelope: SignedRecord,
    /// Decoded from `envelope.body`.
    pub body: Body,
    /// Of the body's event.
    pub kind: Kind,
}

/// Reads a topic value: framing, size, canonical form, kind, in that order (design section 3, rule 5).
///
/// # Errors
/// The reason for which the entry is malformed.
pub fn decode(value: &[u8]) -> Result<Record, Reason> {
    if value.is_empty() {
        return Err(Reason::Hole);
    }
    let envelope = SignedRecord::decode(value).map_err(|_| Reason::Framing)?;
    if value.len() > RECORD_LEN_MAX {
        return Err(Reason::Size);
    }
    let sized = envelope.key_id.len() == 32 && envelope.signature.len() == 64;
    if !sized || envelope.encode_to_vec() != value {
        return Err(Reason::Canonical);
    }
    if reserved_kind(&envelope.body) {
        return Err(Reason::Kind);
    }
    let body = decode_exact::<Body>(&envelope.body).ok_or(Reason::Canonical)?;
    let kind = body.event.as_ref().map(kind_of).ok_or(Reason::Kind)?;
    Ok(Record { envelope, body, kind })
}

/// Decodes a message, and only if encoding it again gives the same bytes.
pub fn decode_exact<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    (message.encode_to_vec() == bytes).then_some(message)
}

/// Kind of a body's event.
pub fn kind_of(event: &Event) -> Kind {
    match event {
        Event::LedgerOpened(_) => Kind::LedgerOpened,
        Event::RulesActivated(_) => Kind::RulesActivated,
        Event::KeyAdded(_) => Kind::KeyAdded,
        Event::KeyRetired(_) => Kind::KeyRetired,
        Event::KeyCompromised(_) => Kind::KeyCompromised,
        Event::IssuerListed(_) => Kind::IssuerListed,
        Event::IssuerKeys(_) => Kind::IssuerKeys,
        Event::PolicyActivated(_) => Kind::PolicyActivated,
        Event::GateModeSet(_) => Kind::GateModeSet,
        Event::ClockReset(_) => Kind::ClockReset,
        Event::ReviewSealed(_) => Kind::ReviewSealed,
        Event::Approved(_) => Kind::Approved,
        Event::Declined(_) => Kind::Declined,
        Event::ChangesRequested(_) => Kind::ChangesRequested,
        Event::ReviewClosed(_) => Kind::ReviewClosed,
        Event::Delegated(_) => Kind::Delegated,
        Event::ConditionClosed(_) => Kind::ConditionClosed,
        Event::Promoted(_) => Kind::Promoted,
        Event::RolledBack(_) => Kind::RolledBack,
        Event::Revoked(_) => Kind::Revoked,
        Event::Retired(_) => Kind::Retired,
        Event::BreakGlass(_) => Kind::BreakGlass,
        Event::Undocumented(_) => Kind::Undocumented,
        Event::AttemptRefused(_) => Kind::AttemptRefused,
        Event::EvidenceFinding(_) => Kind::EvidenceFinding,
        Event::StoreProbed(_) => Kind::StoreProbed,
        Event::Tainted(_) => Kind::Tainted,
        Event::LegalHoldSet(_) => Kind::LegalHoldSet,
        Event::LegalHoldReleased(_) => Kind::LegalHoldReleased,
        Event::KeyShredded(_) => Kind::KeyShredded,
        Event::RegistryFinding(_) => Kind::RegistryFinding,
    }
}

/// The event of an admin kind, or `None` for kinds that are not admin acts.
pub fn admin_event(kind: Kind, act: AdminAct) -> Option<Event> {
    Some(match kind {
        Kind::RulesActivated => Event::RulesActivated(act),
        Kind::KeyAdded => Event::KeyAdded(act),
        Kind::KeyRetired => Event::KeyRetired(act),
        Kind::KeyCompromised => Event::KeyCompromised(act),
        Kind::IssuerListed => Event::IssuerListed(act),
        Kind::PolicyActivated => Event::PolicyActivated(act),
        Kind::GateModeSet => Event::GateModeSet(act),
        Kind::ClockReset => Event::ClockReset(act),
        _ => return None,
    })
}

/// The admin act in an event, if it is one.
pub fn admin_act(event: &Event) -> Option<&AdminAct> {
    match event {
        Event::RulesActivated(act)
        | Event::KeyAdded(act)
        | Event::KeyRetired(act)
        | Event::KeyCompromised(act)
        | Event::IssuerListed(act)
        | Event::PolicyActivated(act)
        | Event::GateModeSet(act)
        | Event::ClockReset(act) => Some(act),
        _ => None,
    }
}

/// The admin act in an event, to be changed.
pub(super) fn admin_act_mut(event: &mut Event) -> Option<&mut AdminAct> {
    match event {
        Event::RulesActivated(act)
        | Event::KeyAdded(act)
        | Event::KeyRetired(act)
        | Event::KeyCompromised(act)
        | Event::IssuerListed(act)
        | Event::PolicyActivated(act)
        | Event::GateModeSet(act)
        | Event::ClockReset(act) => Some(act),
        _ => None,
    }
}

/// Whether the body carries an event whose kind number is reserved: pinned, but without a message yet.
fn reserved_kind(body: &[u8]) -> bool {
    use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
    let mut rest = body;
    while !rest.is_empty() {
        let Ok((number, wire)) = decode_key(&mut rest) else { return false };
        let kind = number.checked_sub(16).and_then(|n| u8::try_from(n).ok()).and_then(Kind::from_number);
        let known = matches!(number, 17..=47);
        if kind.is_some() && !known && wire == WireType::LengthDelimited {
            return true;
        }
        if skip_field(wire, number, &mut rest, DecodeContext::default()).is_err() {
            return false;
        }
    }
    false
}

fn signed_bytes(tag: &[u8], ledger_id: &Digest, body: &[u8]) -> Vec<u8> {
    [tag, &ledger_id.0, body].concat()
}

/// Signs a body. `ledger_id` is zero for genesis.
pub fn sign_record<K: Signer<Signature> + AsRef<VerifyingKey>>(
    body: &Body,
    rules: u16,
    ledger_id: &Digest,
    key: &K,
) -> SignedRecord {
    let body = body.encode_to_vec();
    let signature = key.sign(&signed_bytes(TAG_RECORD_SIGNATURE, ledger_id, &body));
    SignedRecord {
        version: rules.into(),
        key_id: digest::key_id(key.as_ref()).0.to_vec(),
        signature: signature.to_bytes().to_vec(),
        body,
    }
}

/// Signs a body into a topic value. `ledger_id` is zero for genesis.
pub fn seal_record(body: &Body, rules: u16, ledger_id: &Digest, key: &SigningKey) -> Vec<u8> {
    sign_record(body, rules, ledger_id, key).encode_to_vec()
}

/// Whether a record's signature holds: Ed25519 verify_strict.
pub fn signature_holds(body: &[u8], signature: &[u8], ledger_id: &Digest, key: &VerifyingKey) -> bool {
    strict(key, &signed_bytes(TAG_RECORD_SIGNATURE, ledger_id, body), signature)
}

/// Signs an admin statement (its canonical bytes).
pub fn sign_statement(statement: &[u8], key: &SigningKey) -> [u8; 64] {
    key.sign(&[TAG_ADMIN_STATEMENT, statement].concat()).to_bytes()
}

/// Whether an admin signature over a statement holds.
pub fn statement_signature_holds(statement: &[u8], key: &VerifyingKey, signature: &[u8]) -> bool {
    strict(key, &[TAG_ADMIN_STATEMENT, statement].concat(), signature)
}

/// The statement in an admin act, if its bytes are canonical.
pub fn statement(act: &AdminAct) -> Option<AdminStatement> {
    decode_exact(&act.statement)
}

fn strict(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

/// The Ed25519 public key in 32 bytes; `None` for bytes that are no point, or a weak one.
pub fn public_key(bytes: &[u8]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}
