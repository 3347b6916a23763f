//! Evidence about one person, encrypted under that person's subject record: FORMAT.md, section 14.
//!
//! What is stored, locked and named by its SHA-256 is the ciphertext. So everything about it still verifies after the
//! person was erased, and nothing that an event or the store holds says anything about its content any more.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::subjects::{Error, NONCE_LEN, Subject, Subjects, decrypt, encrypt};
use crate::event::{Digest, digest::TAG_SEALED_EVIDENCE};

/// Bytes before the ciphertext.
pub const HEADER_LEN: usize = TAG_SEALED_EVIDENCE.len() + 32 + NONCE_LEN;
/// Largest content, bytes: documents about one person, held in memory.
pub const CONTENT_LEN_MAX: usize = 16 << 20;
/// Bytes that the ciphertext is longer than the content.
const AUTHENTICATOR_LEN: usize = 16;
/// Largest sealed evidence, bytes.
pub const SEALED_LEN_MAX: usize = HEADER_LEN + CONTENT_LEN_MAX + AUTHENTICATOR_LEN;

fn associated(ledger_id: &Digest, subject_id: &Digest) -> Vec<u8> {
    [TAG_SEALED_EVIDENCE, &ledger_id.0, &subject_id.0].concat()
}

/// Whom sealed evidence is about, by its first bytes; `None` if they are no sealed evidence.
pub fn about(sealed: &[u8]) -> Option<Digest> {
    sealed.strip_prefix(TAG_SEALED_EVIDENCE)?.get(..32).and_then(Digest::from_slice)
}

impl Subject {
    /// Seals evidence about this person. The same content gives the same bytes: a retry is the same evidence.
    pub fn seal_evidence(&self, content: &[u8], ledger_id: &Digest) -> Vec<u8> {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.key[..])
            .expect("HMAC takes keys of any length");
        mac.update(TAG_SEALED_EVIDENCE);
        mac.update(content);
        let nonce = mac.finalize().into_bytes();
        let nonce: [u8; NONCE_LEN] = std::array::from_fn(|i| nonce.get(i).copied().unwrap_or_default());
        let cipher = encrypt(&self.key, &nonce, content, &associated(ledger_id, &self.id));
        [TAG_SEALED_EVIDENCE, &self.id.0, &nonce, &cipher].concat()
    }
}

impl Subjects {
    /// Opens sealed evidence; `None` if the person's record was destroyed.
    ///
    /// # Errors
    /// [`Error::Sealed`] if it was changed, or belongs to another ledger.
    pub fn open_evidence(
        &self,
        sealed: &[u8],
        ledger_id: &Digest,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let id = about(sealed).ok_or(Error::Sealed(Digest::ZERO))?;
        let Some(key) = self.key_of(&id)? else { return Ok(None) };
        let nonce = sealed.get(HEADER_LEN - NONCE_LEN..HEADER_LEN).ok_or(Error::Sealed(id))?;
        let cipher = sealed.get(HEADER_LEN..).unwrap_or_default();
        let content = decrypt(&key, nonce, cipher, &associated(ledger_id, &id)).ok_or(Error::Sealed(id))?;
        Ok(Some(content))
    }

    /// Whether the record behind a pseudonym is there: what is sealed under it can be opened.
    ///
    /// # Errors
    /// [`Error`].
    pub fn is_there(&self, id: &Digest) -> Result<bool, Error> {
        Ok(self.key_of(id)?.is_some())
    }
}
