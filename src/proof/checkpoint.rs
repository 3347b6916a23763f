//! Checkpoints: C2SP tlog-checkpoint, a signed note with the ledger's origin, size and root.
//!
//! The note format is the crate `signed_note`'s; the key is our own Ed25519 key, checked with verify_strict.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use signed_note::{Note, VerificationError, Verifiers};

use crate::event::Digest;

/// Size and root that a log key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over their headers.
    pub root: Digest,
}

/// Why a checkpoint is not one of this ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a signed note with origin, size and root.
    #[error("not a checkpoint: {0}")]
    Format(&'static str),
    /// No signature by the log key, or a wrong one.
    #[error("the checkpoint is not signed by the log key {0}")]
    Signature(String),
    /// Another ledger's.
    #[error("the checkpoint is for {found}, not {expected}")]
    Origin {
        /// Origin in the checkpoint.
        found: String,
        /// Origin of the key.
        expected: String,
    },
    /// Not `<name>+<8 hex digits>+<base64>`, or not an Ed25519 key.
    #[error("not a C2SP verifier key (<origin>+<hash>+<base64>): {0}")]
    VerifierKey(&'static str),
}

/// The key that checkpoints are verified with, and the name that it signs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// Origin of the ledger.
    pub origin: String,
    /// Ed25519.
    pub key: VerifyingKey,
}

const ALGORITHM_ED25519: u8 = 1;

impl LogKey {
    fn encoded(&self) -> Vec<u8> {
        [&[ALGORITHM_ED25519][..], self.key.as_bytes()].concat()
    }

    fn id(&self) -> u32 {
        signed_note::key_id(&self.origin, &self.encoded())
    }

    /// The C2SP signed-note verifier key, one line that is handed to auditors.
    pub fn vkey(&self) -> String {
        format!("{}+{:08x}+{}", self.origin, self.id(), BASE64_STANDARD.encode(self.encoded()))
    }

    /// Reads a verifier key.
    ///
    /// # Errors
    /// [`Error::VerifierKey`].
    pub fn parse(vkey: &str) -> Result<Self, Error> {
        let mut parts = vkey.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::VerifierKey("it has fewer than three parts"));
        };
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| Error::VerifierKey("the key is not base64"))?;
        let Some((&ALGORITHM_ED25519, key)) = bytes.split_first() else {
            return Err(Error::VerifierKey("the key is not an Ed25519 key"));
        };
        let key =
            crate::event::canonical::public_key(key).ok_or(Error::VerifierKey("the key is not valid"))?;
        if !signed_note::is_key_name_valid(name) {
            return Err(Error::VerifierKey("the name is empty or has spaces"));
        }
        let parsed = Self { origin: name.to_owned(), key };
        if format!("{:08x}", parsed.id()) != hash {
            return Err(Error::VerifierKey("the hash does not belong to name and key"));
        }
        Ok(parsed)
    }
}

/// Signs a checkpoint: the whole note, as it is served.
pub fn sign<K: Signer<Signature> + AsRef<VerifyingKey>>(checkpoint: &Checkpoint, key: &K) -> String {
    let root = BASE64_STANDARD.encode(checkpoint.root.0);
    let text = format!("{}\n{}\n{root}\n", checkpoint.origin, checkpoint.size);
    signed_note(&text, &checkpoint.origin, key)
}

/// A signed note over a text that ends with a line feed, under a ledger's name.
pub(super) fn signed_note<K: Signer<Signature> + AsRef<VerifyingKey>>(
    text: &str,
    origin: &str,
    key: &K,
) -> String {
    let id = LogKey { origin: origin.to_owned(), key: *key.as_ref() }.id();
    let signature = [&id.to_be_bytes()[..], &key.sign(text.as_bytes()).to_bytes()].concat();
    format!("{text}\n\u{2014} {origin} {}\n", BASE64_STANDARD.encode(signature))
}

/// Reads a checkpoint and checks its signature and origin.
///
/// # Errors
/// [`Error`]. Signatures of other keys (witnesses) are ignored, as the specification asks.
pub fn open(note: &str, key: &LogKey) -> Result<Checkpoint, Error> {
    let note = Note::from_bytes(note.as_bytes()).map_err(|_| Error::Format("it is not a signed note"))?;
    note.verify(key).map_err(|_| Error::Signature(key.vkey()))?;
    let checkpoint = parse(note.text())?;
    if checkpoint.origin != key.origin {
        return Err(Error::Origin { found: checkpoint.origin, expected: key.origin.clone() });
    }
    Ok(checkpoint)
}

fn parse(text: &[u8]) -> Result<Checkpoint, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::Format("it is not UTF-8"))?;
    let mut lines = text.lines();
    let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(Error::Format("it has fewer than three lines"));
    };
    let number: u64 = size.parse().map_err(|_| Error::Format("the size is not a number"))?;
    if number.to_string() != size {
        return Err(Error::Format("the size has a sign or leading zeroes"));
    }
    let root = BASE64_STANDARD.decode(root).ok().and_then(|root| Digest::from_slice(&root));
    let root = root.ok_or(Error::Format("the root is not the base64 of 32 bytes"))?;
    if origin.is_empty() || lines.any(str::is_empty) {
        return Err(Error::Format("it has an empty line"));
    }
    Ok(Checkpoint { origin: origin.to_owned(), size: number, root })
}

impl signed_note::Verifier for LogKey {
    fn name(&self) -> &str {
        &self.origin
    }

    fn key_id(&self) -> u32 {
        self.id()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl Verifiers for LogKey {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn signed_note::Verifier, VerificationError> {
        if name == self.origin && id == self.id() {
            Ok(self)
        } else {
            Err(VerificationError::UnknownKey { name: name.to_owned(), id })
        }
    }
}
