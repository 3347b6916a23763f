//! Receipts: C2SP tlog-proof v1 whose extra data is the entry header. One verifies offline with the log key.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    checkpoint::{self, Checkpoint, LogKey},
    tree,
};
use crate::event::{Digest, Header, Seq, digest, header};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Longest receipt that is read, bytes: a proof has at most 64 hashes, a checkpoint a few signatures.
const RECEIPT_LEN_MAX: usize = 64 * 1024;

/// An entry's header, its inclusion proof, and the checkpoint that the proof leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// 168 bytes: the leaf.
    pub header: [u8; header::HEADER_LEN],
    /// Index of the leaf = seq of the entry.
    pub index: Seq,
    /// RFC 6962 inclusion proof.
    pub path: Vec<Digest>,
    /// Signed note, verbatim.
    pub checkpoint: String,
}

/// Why a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a tlog-proof with a header in it.
    #[error("receipt, line {line}: {problem}")]
    Format {
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The checkpoint in it does not hold.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The inclusion proof does not hold.
    #[error("inclusion proof: {0}")]
    Inclusion(#[from] tree::Error),
    /// The header in it is not one, or is another entry's.
    #[error("{0}")]
    Header(#[from] header::Error),
    /// The header's seq is not the index.
    #[error("the header is entry {seq}, but the proof is for entry {index}")]
    Index {
        /// In the header.
        seq: Seq,
        /// In the proof.
        index: Seq,
    },
    /// The record handed in is not the one that the header commits to.
    #[error("the record's digest is {found}, but the header commits to {expected}")]
    Record {
        /// Of the record.
        found: Digest,
        /// In the header.
        expected: Digest,
    },
}

impl Receipt {
    /// The receipt as text.
    pub fn to_text(&self) -> String {
        let mut text =
            format!("{FIRST_LINE}\nextra {}\nindex {}\n", BASE64_STANDARD.encode(self.header), self.index);
        for hash in &self.path {
            text.push_str(&BASE64_STANDARD.encode(hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a receipt; nothing is verified yet.
    ///
    /// # Errors
    /// [`Error::Format`], with the line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let format = |line, problem| Error::Format { line, problem };
        if text.len() > RECEIPT_LEN_MAX {
            return Err(format(1, "it is longer than 64 KiB"));
        }
        let (proof, checkpoint) =
            text.split_once("\n\n").ok_or(format(1, "there is no empty line before a checkpoint"))?;
        let mut lines = proof.split('\n').enumerate().map(|(i, line)| (i + 1, line));
        let mut next = |problem| lines.next().ok_or(format(0, problem));
        if next("it is empty")?.1 != FIRST_LINE {
            return Err(format(1, "it does not start with c2sp.org/tlog-proof@v1"));
        }
        let (line, extra) = next("the extra line is missing")?;
        let extra =
            extra.strip_prefix("extra ").ok_or(format(line, "there is no extra data (the entry header)"))?;
        let header =
            BASE64_STANDARD.decode(extra).map_err(|_| format(line, "the extra data is not base64"))?;
        let header =
            header.try_into().map_err(|_| format(line, "the extra data is not a header of 168 bytes"))?;
        let (line, index) = next("the index line is missing")?;
        let number = index.strip_prefix("index ").ok_or(format(line, "it does not start with index"))?;
        let index: Seq = number.parse().map_err(|_| format(line, "the index is not a number"))?;
        if index.to_string() != number {
            return Err(format(line, "the index has a sign or leading zeroes"));
        }
        let mut path = Vec::new();
        for (line, hash) in lines {
            let hash = BASE64_STANDARD.decode(hash).ok().and_then(|hash| Digest::from_slice(&hash));
            path.push(hash.ok_or(format(line, "it is not the base64 of a SHA-256 hash"))?);
            if path.len() > 64 {
                return Err(format(line, "the proof has more than 64 hashes"));
            }
        }
        Ok(Self { header, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Verifies the receipt: signature, origin, inclusion, header.
    ///
    /// # Errors
    /// [`Error`], with what was found and expected.
    pub fn verify(&self, key: &LogKey) -> Result<(Header, Checkpoint), Error> {
        let checkpoint = checkpoint::open(&self.checkpoint, key)?;
        let header = Header::decode(&self.header)?;
        if header.seq != self.index {
            return Err(Error::Index { seq: header.seq, index: self.index });
        }
        let leaf = tree::leaf_hash(&self.header);
        tree::check_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok((header, checkpoint))
    }
}

/// Checks that a record is the one that a (verified) header commits to.
///
/// # Errors
/// [`Error::Record`].
pub fn check_record(header: &Header, record: &[u8]) -> Result<(), Error> {
    let found = digest::record_digest(record);
    if found == header.record_digest {
        Ok(())
    } else {
        Err(Error::Record { found, expected: header.record_digest })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Kind, Outcome, Reason};

    fn header(seq: Seq) -> [u8; header::HEADER_LEN] {
        let header = Header {
            kind: Some(Kind::Promoted),
            outcome: Outcome::Accepted,
            flags: 0,
            reason: Reason::None,
            rules: 1,
            record_len: 3,
            seq,
            recorded_at: 7,
            refers_to: None,
            prev_link: Digest([seq as u8; 32]),
            record_digest: digest::record_digest(b"abc"),
            event_digest: Digest::ZERO,
            state_root: Digest::ZERO,
        };
        header.encode()
    }

    fn receipt(size: u64, index: u64) -> (Receipt, LogKey) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let leaves: Vec<_> = (0..size).map(|seq| tree::leaf_hash(&header(seq))).collect();
        let mut nodes = |level: u8, at: u64| {
            let mut frontier = tree::Frontier::default();
            let from = (at << level) as usize;
            leaves[from..from + (1 << level)].iter().for_each(|leaf| frontier.push(*leaf, |_, _, _| {}));
            Ok::<_, std::convert::Infallible>(frontier.root())
        };
        let root = tree::root(&mut nodes, size).unwrap();
        let path = tree::inclusion(&mut nodes, index, size).unwrap();
        let checkpoint = Checkpoint { origin: "ledger.example/x".into(), size, root };
        let checkpoint = checkpoint::sign(&checkpoint, &key);
        let log_key = LogKey { origin: "ledger.example/x".into(), key: key.verifying_key() };
        (Receipt { header: header(index), index, path, checkpoint }, log_key)
    }

    #[test]
    fn receipt_roundtrip_and_verification() {
        for size in 1..20 {
            for index in 0..size {
                let (receipt, key) = receipt(size, index);
                assert_eq!(Receipt::parse(&receipt.to_text()), Ok(receipt.clone()));
                let (header, checkpoint) = receipt.verify(&key).unwrap();
                assert_eq!((header.seq, checkpoint.size), (index, size));
                check_record(&header, b"abc").unwrap();
                assert!(check_record(&header, b"abd").is_err());
            }
        }
    }

    #[test]
    fn another_key_or_origin_is_refused() {
        let (receipt, key) = receipt(5, 2);
        let other = LogKey { key: SigningKey::from_bytes(&[8; 32]).verifying_key(), ..key.clone() };
        assert!(matches!(receipt.verify(&other), Err(Error::Checkpoint(checkpoint::Error::Signature(_)))));
        let other = LogKey { origin: "ledger.example/y".into(), ..key.clone() };
        assert!(receipt.verify(&other).is_err());
        assert_eq!(LogKey::parse(&key.vkey()), Ok(key));
    }

    #[test]
    fn checkpoints_open_with_the_crates_own_verifier() {
        let (receipt, key) = receipt(5, 2);
        let note = signed_note::Note::from_bytes(receipt.checkpoint.as_bytes()).unwrap();
        let verifier = signed_note::StandardVerifier::new(&key.vkey()).unwrap();
        let (verified, _) = note.verify(&signed_note::VerifierList::new(vec![Box::new(verifier)])).unwrap();
        assert_eq!(verified.len(), 1);
        let parsed = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        assert_eq!((parsed.origin(), parsed.size()), ("ledger.example/x", 5));
    }

    proptest! {
        /// Any one character changed: the receipt is refused, or it was not part of what is claimed.
        #[test]
        fn a_changed_character_is_never_accepted_as_another_claim(at in any::<prop::sample::Index>(), to in 32u8..127) {
            let (receipt, key) = receipt(9, 4);
            let mut text = receipt.to_text().into_bytes();
            let at = at.index(text.len());
            text[at] = to;
            let changed = String::from_utf8(text).ok().and_then(|text| Receipt::parse(&text).ok());
            if let Some(changed) = changed.filter(|changed| changed.verify(&key).is_ok()) {
                prop_assert_eq!(changed.header, receipt.header);
                prop_assert_eq!(changed.index, receipt.index);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
            let _ = Receipt::parse(&text);
            let _ = LogKey::parse(&text);
        }
    }
}
