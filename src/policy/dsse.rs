//! Attestations of a build: a DSSE envelope around an in-toto statement, signed with Ed25519.
//!
//! The statement must name both digests, artefact and profile: a signature over either alone would let an old
//! profile travel with a new model.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{self, EncodePublicKey as _},
};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::event::Digest;

/// Longest envelope that is read, bytes.
const ENVELOPE_LEN_MAX: usize = 1024 * 1024;
/// Most signatures in an envelope that are tried.
const SIGNATURES_MAX: usize = 16;
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// A build whose word counts, as a policy lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildIdentity {
    /// What messages and reports call it.
    pub id: String,
    /// Ed25519 public key: 64 hexadecimal digits, or base64.
    pub public_key: String,
}

impl BuildIdentity {
    /// The key; `None` if it is not an Ed25519 key, or a weak one.
    pub fn key(&self) -> Option<VerifyingKey> {
        let bytes = hex::decode(&self.public_key).ok().or_else(|| base64_any(&self.public_key))?;
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
    }
}

/// Why an attestation does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Nothing that is so long is read.
    #[error("has {0} bytes; at most {ENVELOPE_LEN_MAX}")]
    Length(usize),
    /// Not a DSSE envelope, or not a statement inside.
    #[error("is not a DSSE envelope with an in-toto statement: {0}")]
    Shape(String),
    /// Another type of payload or statement.
    #[error("says its type is {found:?}; {needed:?} is needed")]
    Type {
        /// What stands there.
        found: String,
        /// What must stand there.
        needed: &'static str,
    },
    /// No listed build identity made any of its signatures.
    #[error("no build identity of the policy signed it; it lists {0:?}")]
    Signer(Vec<String>),
    /// A genuine statement about something else.
    #[error("does not name the {what} sha256:{sha256} as a subject")]
    Subject {
        /// `artefact` or `profile`.
        what: &'static str,
        /// The digest that was looked for.
        sha256: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: Option<String>,
}

/// The id of the build identity that vouches for this artefact and this profile together.
pub fn verify(
    envelope: &[u8],
    artifact_sha256: &Digest,
    profile_sha256: &Digest,
    identities: &[BuildIdentity],
) -> Result<String, Error> {
    if envelope.len() > ENVELOPE_LEN_MAX {
        return Err(Error::Length(envelope.len()));
    }
    let shape = |error: serde_json::Error| Error::Shape(error.to_string());
    let envelope: Envelope = serde_json::from_slice(envelope).map_err(shape)?;
    is_type(&envelope.payload_type, PAYLOAD_TYPE)?;
    let payload =
        base64_any(&envelope.payload).ok_or_else(|| Error::Shape("payload is not base64".into()))?;
    // The signature first: nothing inside is believed, or even parsed, before it.
    let signed = pre_authentication(&envelope.payload_type, &payload);
    let signer = signer(&envelope.signatures, &signed, identities)
        .ok_or_else(|| Error::Signer(identities.iter().map(|identity| identity.id.clone()).collect()))?;
    // Strings that nobody reads would otherwise pass with bytes that are no text.
    let payload = std::str::from_utf8(&payload).map_err(|error| Error::Shape(error.to_string()))?;
    let statement: Statement = serde_json::from_str(payload).map_err(shape)?;
    is_type(&statement.kind, STATEMENT_TYPE)?;
    for (what, digest) in [("artefact", artifact_sha256), ("profile", profile_sha256)] {
        let sha256 = digest.to_string();
        if !statement.subject.iter().any(|subject| subject.digest.sha256.as_ref() == Some(&sha256)) {
            return Err(Error::Subject { what, sha256 });
        }
    }
    Ok(signer.id.clone())
}

fn is_type(found: &str, needed: &'static str) -> Result<(), Error> {
    if found == needed { Ok(()) } else { Err(Error::Type { found: found.to_owned(), needed }) }
}

fn signer<'a>(
    signatures: &[EnvelopeSignature],
    signed: &[u8],
    identities: &'a [BuildIdentity],
) -> Option<&'a BuildIdentity> {
    // The envelope's keyid is only a hint that anybody can write; every listed key is tried instead.
    signatures.iter().take(SIGNATURES_MAX).find_map(|signature| {
        let signature = Signature::from_slice(&base64_any(&signature.sig)?).ok()?;
        identities
            .iter()
            .find(|identity| identity.key().is_some_and(|key| key.verify_strict(signed, &signature).is_ok()))
    })
}

/// Signs an in-toto statement: the envelope, as JSON. The key id is the SHA-256 of the key as SubjectPublicKeyInfo (DER),
/// which is how the field's tools name a key.
pub fn sign(statement: &[u8], key: &SigningKey) -> Result<String, pkcs8::spki::Error> {
    let public = key.verifying_key().to_public_key_der()?;
    let sig = STANDARD.encode(key.sign(&pre_authentication(PAYLOAD_TYPE, statement)).to_bytes());
    let envelope = serde_json::json!({
        "payload": STANDARD.encode(statement), "payloadType": PAYLOAD_TYPE,
        "signatures": [{ "keyid": hex::encode(Sha256::digest(public.as_bytes())), "sig": sig }],
    });
    Ok(format!("{envelope}\n"))
}

/// DSSE's pre-authentication encoding: what is really signed.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Base64 of either alphabet, as DSSE allows.
fn base64_any(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    fn identity(key: &SigningKey) -> BuildIdentity {
        BuildIdentity { id: "ci".into(), public_key: hex::encode(key.verifying_key().as_bytes()) }
    }

    fn envelope(key: &SigningKey, payload: &str, payload_type: &str) -> Vec<u8> {
        let sig = key.sign(&pre_authentication(PAYLOAD_TYPE, payload.as_bytes()));
        serde_json::json!({
            "payload": STANDARD.encode(payload), "payloadType": payload_type,
            "signatures": [{"keyid": "any", "sig": STANDARD.encode(sig.to_bytes())}]
        })
        .to_string()
        .into_bytes()
    }

    fn statement(artefact: u8, profile: u8) -> String {
        serde_json::json!({
            "_type": STATEMENT_TYPE, "predicateType": "https://example.bank/model-build/v1", "predicate": {},
            "subject": [
                {"name": "model", "digest": {"sha256": hex::encode([artefact; 32])}},
                {"name": "profile.json", "digest": {"sha256": hex::encode([profile; 32])}}
            ]
        })
        .to_string()
    }

    #[test]
    fn a_listed_build_vouches_for_artefact_and_profile_together() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let good = envelope(&key, &statement(1, 2), PAYLOAD_TYPE);
        let check = |bytes: &[u8], artefact: u8, profile: u8, identities: &[BuildIdentity]| {
            verify(bytes, &Digest([artefact; 32]), &Digest([profile; 32]), identities)
        };
        assert_eq!(check(&good, 1, 2, &[identity(&key)]), Ok("ci".into()));
        assert!(matches!(check(&good, 1, 3, &[identity(&key)]), Err(Error::Subject { what: "profile", .. })));
        assert!(matches!(
            check(&good, 3, 2, &[identity(&key)]),
            Err(Error::Subject { what: "artefact", .. })
        ));
        let other = identity(&SigningKey::from_bytes(&[8; 32]));
        assert_eq!(check(&good, 1, 2, &[other]), Err(Error::Signer(vec!["ci".into()])));
        assert!(matches!(check(&good, 1, 2, &[]), Err(Error::Signer(_))));
        let other_type = envelope(&key, &statement(1, 2), "application/json");
        assert!(matches!(check(&other_type, 1, 2, &[identity(&key)]), Err(Error::Type { .. })));
        assert!(matches!(check(b"{}", 1, 2, &[identity(&key)]), Err(Error::Shape(_))));
    }

    #[test]
    fn a_changed_payload_is_not_signed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut forged: serde_json::Value =
            serde_json::from_slice(&envelope(&key, &statement(1, 2), PAYLOAD_TYPE)).unwrap();
        forged["payload"] = STANDARD.encode(statement(1, 3)).into();
        let result =
            verify(forged.to_string().as_bytes(), &Digest([1; 32]), &Digest([3; 32]), &[identity(&key)]);
        assert!(matches!(result, Err(Error::Signer(_))), "{result:?}");
    }
}
