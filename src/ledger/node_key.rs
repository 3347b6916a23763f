//! A key that a running node signs with all day: records, checkpoints.
//!
//! aws-lc makes the same bytes as ed25519-dalek (RFC 8032 leaves no choice) in two thirds to three quarters of the
//! time (`--bench limits`). Whatever
//! verifies stays with ed25519-dalek, whose `verify_strict` the formats name.

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::{Signature, SignatureError, Signer, SigningKey, VerifyingKey};

/// An Ed25519 key pair.
pub struct NodeKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl NodeKey {
    /// The same key, for aws-lc.
    pub fn new(key: &SigningKey) -> Self {
        let public = key.verifying_key();
        let pair = Ed25519KeyPair::from_seed_and_public_key(key.as_bytes(), public.as_bytes());
        Self { pair: pair.expect("both halves are of one key"), public }
    }
}

impl Signer<Signature> for NodeKey {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, SignatureError> {
        let signature = self.pair.try_sign(message).map_err(|_| SignatureError::new())?;
        Signature::from_slice(signature.as_ref())
    }
}

impl AsRef<VerifyingKey> for NodeKey {
    fn as_ref(&self) -> &VerifyingKey {
        &self.public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_signatures_are_those_of_ed25519_dalek() {
        for seed in 0..32_u8 {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let node_key = NodeKey::new(&key);
            for len in [0, 1, 111, 112, 127, 128, 4096] {
                let message = vec![seed; len];
                assert_eq!(node_key.sign(&message), key.sign(&message), "seed {seed}, {len} bytes");
            }
            assert_eq!(*node_key.as_ref(), key.verifying_key());
        }
    }
}
