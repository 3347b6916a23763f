//! Cosignatures: C2SP tlog-cosignature v1 (Ed25519), and the requests of C2SP tlog-witness.
//!
//! A witness that cosigned a checkpoint says that it saw this tree at that time, and that it continues every tree of
//! this ledger that it saw before. It says nothing about what the entries hold.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::VerifyingKey;
use signed_note::{Note, Signature};

use crate::event::{Digest, canonical};

const ALGORITHM_COSIGNATURE: u8 = 4;
/// A timestamp and an Ed25519 signature.
const COSIGNATURE_LEN: usize = 72;
/// Longest answer of a witness that is read, bytes.
pub const ANSWER_LEN_MAX: usize = 16 * 1024;

/// A witness that is trusted to have looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    /// Its name.
    pub name: String,
    /// Ed25519.
    pub key: VerifyingKey,
}

/// Why a line is no verifier key of a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the C2SP verifier key of a witness (<name>+<hash>+<base64>, type 4): {0}")]
pub struct KeyError(&'static str);

/// A cosignature that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the witness.
    pub witness: String,
    /// When it cosigned, seconds since the Unix epoch.
    pub seconds: u64,
}

impl WitnessKey {
    fn encoded(&self) -> Vec<u8> {
        [&[ALGORITHM_COSIGNATURE][..], self.key.as_bytes()].concat()
    }

    fn id(&self) -> u32 {
        signed_note::key_id(&self.name, &self.encoded())
    }

    /// The verifier key, one line.
    pub fn vkey(&self) -> String {
        format!("{}+{:08x}+{}", self.name, self.id(), BASE64_STANDARD.encode(self.encoded()))
    }

    /// Reads a verifier key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let mut parts = vkey.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError("it has fewer than three parts"));
        };
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| KeyError("the key is not base64"))?;
        let Some((&ALGORITHM_COSIGNATURE, key)) = bytes.split_first() else {
            return Err(KeyError("it is not of type 4, the key of an Ed25519 cosignature"));
        };
        let key = canonical::public_key(key).ok_or(KeyError("the key is not valid"))?;
        if !signed_note::is_key_name_valid(name) {
            return Err(KeyError("the name is empty or has spaces"));
        }
        let parsed = Self { name: name.to_owned(), key };
        if format!("{:08x}", parsed.id()) == hash {
            Ok(parsed)
        } else {
            Err(KeyError("the hash does not belong to name and key"))
        }
    }

    /// The cosignature in a signature line over a note's text, if it is this witness' and holds.
    fn verify(&self, text: &[u8], line: &Signature) -> Option<Cosignature> {
        if line.name() != self.name || line.id() != self.id() || line.signature().len() != COSIGNATURE_LEN {
            return None;
        }
        let (seconds, signature) = line.signature().split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        let message = [format!("cosignature/v1\ntime {seconds}\n").as_bytes(), text].concat();
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        self.key.verify_strict(&message, &signature).ok()?;
        Some(Cosignature { witness: self.name.clone(), seconds })
    }
}

/// The cosignatures on a checkpoint by witnesses that are known, one for each; all other signatures are ignored.
pub fn cosignatures(note: &str, witnesses: &[WitnessKey]) -> Vec<Cosignature> {
    let Some((text, lines)) = note.split_once("\n\n") else { return Vec::new() };
    let text = format!("{text}\n");
    if Note::from_bytes(note.as_bytes()).is_err() {
        return Vec::new();
    }
    let lines: Vec<_> =
        lines.lines().filter_map(|line| Signature::from_bytes(line.as_bytes()).ok()).collect();
    let of = |witness: &WitnessKey| lines.iter().find_map(|line| witness.verify(text.as_bytes(), line));
    witnesses.iter().filter_map(of).collect()
}

/// The bytes of a known witness's cosignature on a checkpoint: time and signature. Nobody but the witness can make them.
pub fn cosignature_bytes(note: &str, witness: &WitnessKey) -> Option<Vec<u8>> {
    let (text, lines) = note.split_once("\n\n")?;
    let text = format!("{text}\n");
    let mut lines = lines.lines().filter_map(|line| Signature::from_bytes(line.as_bytes()).ok());
    lines.find(|line| witness.verify(text.as_bytes(), line).is_some()).map(|line| line.signature().to_vec())
}

/// A checkpoint with the first valid cosignature that an answer of a witness holds; `None` if it holds none.
pub fn cosigned(note: &str, answer: &str, witness: &WitnessKey) -> Option<(String, Cosignature)> {
    let (text, _) = note.split_once("\n\n")?;
    let text = format!("{text}\n");
    answer.lines().find_map(|line| {
        let signature = Signature::from_bytes(line.as_bytes()).ok()?;
        let cosignature = witness.verify(text.as_bytes(), &signature)?;
        Some((format!("{note}{line}\n"), cosignature))
    })
}

/// The body of add-checkpoint: a checkpoint, and the proof that it continues what the witness cosigned last.
pub fn request(old_size: u64, proof: &[Digest], checkpoint: &str) -> String {
    let proof: String = proof.iter().map(|hash| BASE64_STANDARD.encode(hash.0) + "\n").collect();
    format!("old {old_size}\n{proof}\n{checkpoint}")
}

/// The size in the answer to a wrong old size (409): decimal, and a line feed.
pub fn conflict(answer: &str) -> Option<u64> {
    let number = answer.strip_suffix('\n')?;
    number.parse().ok().filter(|size: &u64| size.to_string() == number)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;

    use super::*;
    use crate::proof::checkpoint::{self, Checkpoint, LogKey};

    fn witness(n: u8) -> (SigningKey, WitnessKey) {
        let key = SigningKey::from_bytes(&[n; 32]);
        let public = WitnessKey { name: format!("witness.example/w{n}"), key: key.verifying_key() };
        (key, public)
    }

    fn line(key: &SigningKey, by: &WitnessKey, note: &str, seconds: u64) -> String {
        let text = note.split_once("\n\n").expect("a note").0;
        let signature = key.sign(format!("cosignature/v1\ntime {seconds}\n{text}\n").as_bytes());
        let bytes = [&by.id().to_be_bytes()[..], &seconds.to_be_bytes(), &signature.to_bytes()].concat();
        format!("\u{2014} {} {}\n", by.name, BASE64_STANDARD.encode(bytes))
    }

    fn note() -> (String, LogKey) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let checkpoint = Checkpoint { origin: "ledger.example/x".into(), size: 5, root: Digest([3; 32]) };
        let log = LogKey { origin: "ledger.example/x".into(), key: key.verifying_key() };
        (checkpoint::sign(&checkpoint, &key), log)
    }

    #[test]
    fn cosignatures_are_added_and_counted_once_for_each_known_witness() {
        let (note, log) = note();
        let ((one, one_key), (two, two_key)) = (witness(1), witness(2));
        let answer = line(&two, &two_key, &note, 9) + &line(&one, &one_key, &note, 1_700_000_000);
        let (both, cosignature) = cosigned(&note, &answer, &one_key).expect("a cosignature");
        assert_eq!(cosignature, Cosignature { witness: one_key.name.clone(), seconds: 1_700_000_000 });
        let (both, _) = cosigned(&both, &answer, &two_key).expect("another");
        assert_eq!(cosignatures(&both, &[one_key.clone(), two_key.clone()]).len(), 2);
        assert_eq!(cosignatures(&both, std::slice::from_ref(&one_key)).len(), 1);
        assert_eq!(cosignatures(&note, &[one_key]), []);
        // The log's own signature is still found among them.
        assert_eq!(checkpoint::open(&both, &log).expect("a checkpoint").size, 5);
    }

    #[test]
    fn damaged_and_foreign_cosignatures_are_refused() {
        let (note, _) = note();
        let ((one, one_key), (two, two_key)) = (witness(1), witness(2));
        let good = line(&one, &one_key, &note, 100);
        assert!(cosigned(&note, &good, &one_key).is_some());
        assert!(cosigned(&note, &good, &two_key).is_none());
        assert!(cosigned(&note, &line(&two, &one_key, &note, 100), &one_key).is_none(), "another's key");
        assert!(cosigned(&note.replace("\n5\n", "\n6\n"), &good, &one_key).is_none(), "another checkpoint");
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let bad = String::from_utf8_lossy(&bytes).into_owned();
            let found = cosigned(&note, &bad, &one_key);
            // Base64 has spare bits in its last digit; they change nothing only where they decode to the same.
            assert!(found.is_none() || bad.trim_end() == good.trim_end(), "byte {at}");
        }
    }

    #[test]
    fn keys_roundtrip_and_others_are_refused() {
        let (_, key) = witness(1);
        assert_eq!(WitnessKey::parse(&key.vkey()), Ok(key.clone()));
        let (_, log) = note();
        assert!(WitnessKey::parse(&log.vkey()).is_err(), "a log's key");
        assert!(WitnessKey::parse(&key.vkey().replace('+', "-")).is_err());
        assert!(WitnessKey::parse(&key.vkey().replacen("w1", "w2", 1)).is_err());
    }

    #[test]
    fn requests_and_conflicts_are_those_of_the_specification() {
        let body = request(20, &[Digest([1; 32]), Digest([2; 32])], "text\n");
        let lines: Vec<_> = body.split('\n').collect();
        assert_eq!((lines[0], lines[3], lines[4]), ("old 20", "", "text"));
        assert_eq!(request(0, &[], "text\n"), "old 0\n\ntext\n");
        assert_eq!(conflict("17\n"), Some(17));
        for bad in ["17", "", "\n", "017\n", "+1\n", "-1\n", "1\n\n", "99999999999999999999\n"] {
            assert_eq!(conflict(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_is_no_cosignature(text in "\\PC{0,200}", answer in "(\u{2014} [a-z/.]{1,20} [A-Za-z0-9+/=]{0,120}\n?){0,3}") {
            let (note, _) = note();
            let (_, key) = witness(1);
            let _ = WitnessKey::parse(&text);
            let _ = conflict(&text);
            prop_assert_eq!(cosignatures(&text, std::slice::from_ref(&key)), []);
            prop_assert!(cosigned(&note, &answer, &key).is_none());
            prop_assert!(cosigned(&text, &answer, &key).is_none());
            prop_assert!(cosignature_bytes(&text, &key).is_none());
        }
    }
}
