//! Verification of a whole ledger from genesis: links, tree, record digests, signatures, key roles.
//!
//! Feed entries in order; memory stays flat. What the writer's rules decided is re-derived elsewhere
//! (`ledger::replay`), because that needs look-ups; everything that needs only the entries is here.

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::{Checkpoint, LogKey},
    keys::{KeyUse, Keys},
    signed::{self, Chained, Known, Recomputed, Signed, envelope},
    tree::Frontier,
};
use crate::event::{
    Digest, Header, KeyId, Kind, Outcome, Reason, Seq, canonical, digest, header, proto::body::Event,
};

/// How much is recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Depth {
    /// Links, tree, record and event digests.
    Hashes,
    /// Also every record's signature (verify_strict), under a key that was good at that position.
    Signatures,
}

/// The first entry that is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {what}")]
pub struct Fault {
    /// The first bad entry.
    pub seq: Seq,
    /// What is wrong with it.
    pub what: What,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// The 168 bytes are not a header.
    #[error("{0}")]
    Header(#[from] header::Error),
    /// The header says another seq.
    #[error("its header says that it is entry {0}")]
    Seq(Seq),
    /// The chain is broken.
    #[error(
        "its prev_link is {found}, but the link of its predecessor is {expected}: one of these two headers was changed"
    )]
    PrevLink {
        /// In the header.
        found: Digest,
        /// Recomputed.
        expected: Digest,
    },
    /// A header field disagrees with the record or with the format.
    #[error("{field} in its header does not fit its record: found {found}, expected {expected}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// In the header.
        found: String,
        /// Recomputed.
        expected: String,
    },
    /// A record that was not malformed cannot be read.
    #[error("its record cannot be read ({0}), but its header says that it could")]
    Record(Reason),
    /// Signed by a key that this ledger did not have then.
    #[error("it is signed by the key {0}, which could not sign at that position")]
    Key(KeyId),
    /// Signed by a key whose role does not allow it, though the outcome says that it does.
    #[error("it is signed by the key {key}, which has not the role for a record of kind {kind}")]
    Role {
        /// The key.
        key: KeyId,
        /// What it signed.
        kind: Kind,
    },
    /// An accepted act of the administrators without their signatures.
    #[error("it is an act of the administrators, accepted, but {found} of them signed it and {needed} must")]
    Quorum {
        /// Administrators whose signature verifies.
        found: u32,
        /// How many must.
        needed: u32,
    },
    /// The signature does not verify.
    #[error("its signature does not verify under the key {0}")]
    Signature(KeyId),
    /// Genesis is not the pinned one, or not a genesis.
    #[error("it is not the genesis of this ledger: ledger_id {found}, expected {expected}")]
    Genesis {
        /// Of this record.
        found: Digest,
        /// Pinned.
        expected: Digest,
    },
    /// The writer's rules give another header.
    #[error("the rules give {field} = {expected}, but its header says {found}")]
    Rules {
        /// First differing field.
        field: &'static str,
        /// In the header.
        found: String,
        /// By the rules.
        expected: String,
    },
}

/// What was checked, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Entries.
    pub entries: u64,
    /// Bytes of records hashed.
    pub record_bytes: u64,
    /// Signatures of records that verified.
    pub signatures: u64,
    /// Signatures of administrators over their acts that verified.
    pub admin_signatures: u64,
    /// Entries by outcome: accepted, duplicate, refused, malformed.
    pub outcomes: [u64; 4],
    /// Front-door keys: roles, retirement, since when in wrong hands, and how many entries each signed.
    pub keys: Vec<KeyUse>,
}

impl Summary {
    /// Keys that were marked as compromised, and since which entry: what they signed from there on is in doubt.
    pub fn compromised(&self) -> impl Iterator<Item = (KeyId, Seq)> + '_ {
        self.keys.iter().filter_map(|key| Some((key.key_id, key.compromised_from?)))
    }
}

/// Recomputes a ledger, entry after entry.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(super) depth: Depth,
    pub(super) ledger_id: Option<Digest>,
    pub(super) pinned: Option<Digest>,
    pub(super) log_key: Option<LogKey>,
    pub(super) keys: Keys,
    pub(super) frontier: Frontier,
    pub(super) link: Digest,
    pub(super) recorded_at: u64,
    pub(super) summary: Summary,
}

/// An entry as it was stored or sent.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// 168 bytes.
    pub header: Vec<u8>,
    /// Topic value; empty for a hole.
    pub record: Vec<u8>,
}

impl Verifier {
    /// Starts at genesis. `pinned` is the ledger_id that the auditor knows; without one the genesis found is taken.
    pub fn new(depth: Depth, pinned: Option<Digest>) -> Self {
        Self {
            depth,
            ledger_id: None,
            pinned,
            log_key: None,
            keys: Keys::default(),
            frontier: Frontier::default(),
            link: Digest::ZERO,
            recorded_at: 0,
            summary: Summary::default(),
        }
    }

    /// Entries verified so far.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Link of the last entry.
    pub fn link(&self) -> Digest {
        self.link
    }

    /// Root over all headers so far.
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// The ledger's id, once genesis was verified.
    pub fn ledger_id(&self) -> Option<Digest> {
        self.ledger_id
    }

    /// The key that signs this ledger's checkpoints, as genesis names it, once genesis was verified.
    pub fn log_key(&self) -> Option<&LogKey> {
        self.log_key.as_ref()
    }

    /// What was checked so far.
    pub fn summary(&self) -> Summary {
        let (keys, admin_signatures) = (self.keys.uses(), self.keys.admin_signatures);
        Summary { keys, admin_signatures, ..self.summary.clone() }
    }

    /// Whether a checkpoint of the size reached so far has this root.
    pub fn agrees_with(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.size == self.size() && checkpoint.root == self.root()
    }

    /// Verifies the next entries, hashing and checking signatures on `threads` threads.
    ///
    /// # Errors
    /// The first [`Fault`]; the verifier must not be used after it.
    pub fn push(&mut self, entries: &[StoredEntry], threads: usize) -> Result<Vec<Header>, Fault> {
        let mut headers = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while !rest.is_empty() {
            // Genesis alone: it names the keys that the others are signed by.
            let (now, later) = rest.split_at(if self.ledger_id.is_none() { 1 } else { rest.len() });
            let known = self.known();
            let recompute = |entry| signed::recomputed(entry, known.as_ref());
            signed::in_order(now, threads, recompute, |entry, recomputed| {
                let seq = self.size();
                headers.push(self.chain(seq, entry, &recomputed).map_err(|what| Fault { seq, what })?);
                Ok(())
            })?;
            rest = later;
        }
        Ok(headers)
    }

    /// The keys that signatures are checked under before it is their entry's turn; `None` at a depth that checks none.
    fn known(&self) -> Option<Known> {
        let ledger_id = self.ledger_id.filter(|_| self.depth >= Depth::Signatures)?;
        Some(Known { ledger_id, keys: self.keys.decoded().clone() })
    }

    /// The serial part: one header against its predecessor and its record, and the key that its record needs.
    fn chain(&mut self, seq: Seq, entry: &StoredEntry, recomputed: &Recomputed<'_>) -> Result<Header, What> {
        let header = self.next_header(seq, &entry.header)?;
        let chained = recomputed.chained.as_ref().expect("decode checked the length");
        if header.record_digest != recomputed.record_digest {
            return Err(field("record_digest", &header.record_digest, &recomputed.record_digest));
        }
        if header.record_len as usize != entry.record.len() {
            return Err(field("record_len", &header.record_len, &entry.record.len()));
        }
        let malformed = header.outcome == Outcome::Malformed;
        if malformed {
            if header.event_digest != Digest::ZERO {
                return Err(field("event_digest", &header.event_digest, &Digest::ZERO));
            }
            if header.recorded_at != self.recorded_at {
                return Err(field("recorded_at", &header.recorded_at, &self.recorded_at));
            }
        } else {
            let signed = recomputed.signed.as_ref().ok_or(What::Record(Reason::Framing))?;
            self.signed(&header, entry, signed)?;
        }
        if seq == 0 && (malformed || self.ledger_id.is_none()) {
            return Err(What::Genesis {
                found: header.event_digest,
                expected: self.pinned.unwrap_or_default(),
            });
        }
        self.advance(&header, chained);
        self.summary.record_bytes += entry.record.len() as u64;
        Ok(header)
    }

    /// Verifies the next entry as far as its header alone shows: order, link, leaf. What its record holds, and who signed
    /// it, is not checked; where keys change, records must be there.
    ///
    /// # Errors
    /// The [`Fault`]; the verifier must not be used after it.
    pub fn push_header(&mut self, header: &[u8]) -> Result<Header, Fault> {
        let seq = self.size();
        let decoded = self.next_header(seq, header).map_err(|what| Fault { seq, what })?;
        let chained = Chained::of(header).expect("decode checked the length");
        self.advance(&decoded, &chained);
        Ok(decoded)
    }

    fn next_header(&self, seq: Seq, bytes: &[u8]) -> Result<Header, What> {
        let header = Header::decode(bytes)?;
        if header.seq != seq {
            return Err(What::Seq(header.seq));
        }
        if header.prev_link != self.link {
            return Err(What::PrevLink { found: header.prev_link, expected: self.link });
        }
        Ok(header)
    }

    fn advance(&mut self, header: &Header, chained: &Chained) {
        self.link = chained.link;
        self.recorded_at = header.recorded_at;
        self.frontier.push(chained.leaf, |_, _, _| {});
        self.summary.entries += 1;
        let outcome = usize::from(header.outcome.number()) - 1;
        if let Some(count) = self.summary.outcomes.get_mut(outcome) {
            *count += 1;
        }
    }

    /// What a record that can be read must have: a signature, at a depth that checks any, by a key that was good then.
    fn signed(&mut self, header: &Header, entry: &StoredEntry, signed: &Signed<'_>) -> Result<(), What> {
        let Signed { envelope, event_digest, recorded_at, holds } = signed;
        let ledger_id = self.ledger_id.unwrap_or(Digest::ZERO);
        if header.seq == 0 {
            self.genesis(envelope.body)?;
        }
        let key_id = Digest::from_slice(envelope.key_id).ok_or(What::Record(Reason::Canonical))?;
        let key = self.keys.signer(key_id, header)?;
        let signatures = self.depth >= Depth::Signatures;
        self.keys.follow(header, &entry.record, signatures)?;
        if header.event_digest != *event_digest {
            return Err(field("event_digest", &header.event_digest, event_digest));
        }
        if Some(header.recorded_at) != *recorded_at {
            return Err(field("recorded_at", &header.recorded_at, &recorded_at.unwrap_or_default()));
        }
        if signatures {
            // Not looked at: of genesis, and of a key that an entry just before this one added.
            if !holds.unwrap_or_else(|| envelope.holds(&ledger_id, &key)) {
                return Err(What::Signature(key_id));
            }
            self.summary.signatures += 1;
        }
        Ok(())
    }

    fn genesis(&mut self, body: &[u8]) -> Result<(), What> {
        let found = digest::sha256(body);
        let expected = self.pinned.unwrap_or(found);
        let decoded = canonical::decode_exact::<crate::event::proto::Body>(body).and_then(|body| body.event);
        let Some(Event::LedgerOpened(opened)) = decoded.filter(|_| found == expected) else {
            return Err(What::Genesis { found, expected });
        };
        self.keys = Keys::genesis(&opened);
        let log_key = canonical::public_key(&opened.log_key).ok_or(What::Genesis { found, expected })?;
        self.log_key = Some(LogKey { origin: opened.origin.clone(), key: log_key });
        self.ledger_id = Some(found);
        Ok(())
    }
}

fn field(field: &'static str, found: &dyn ToString, expected: &dyn ToString) -> What {
    What::Field { field, found: found.to_string(), expected: expected.to_string() }
}

/// The key that a record says it is signed by; `None` if the record cannot be read.
pub fn signer(record: &[u8]) -> Option<KeyId> {
    envelope(record).and_then(|envelope| Digest::from_slice(envelope.key_id))
}
