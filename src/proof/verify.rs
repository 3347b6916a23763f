//! Verification of a whole ledger from genesis: links, tree, record digests, signatures, key roles.
//!
//! Feed entries in order; memory stays flat. What the writer's rules decided is re-derived elsewhere
//! (`ledger::replay`), because that needs look-ups; everything that needs only the entries is here.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;

use super::{
    checkpoint::{Checkpoint, LogKey},
    signed::{Job, envelope, parallel},
    tree::{self, Frontier},
};
use crate::event::{
    Digest, Header, KeyId, Kind, Outcome, Reason, Seq, canonical, digest,
    header::{self, HEADER_LEN},
    proto::{KeyAdded, KeyCompromised, KeyRetired, body::Event},
};

/// How much is recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

#[derive(Debug, Clone)]
struct SigningKeyState {
    key: VerifyingKey,
    retired: bool,
    compromised_from: Option<Seq>,
}

/// What was checked, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Entries.
    pub entries: u64,
    /// Bytes of records hashed.
    pub record_bytes: u64,
    /// Signatures that verified.
    pub signatures: u64,
    /// Entries by outcome: accepted, duplicate, refused, malformed.
    pub outcomes: [u64; 4],
    /// Keys that were marked as compromised, and since which entry: what they signed from there on is in doubt.
    pub compromised: Vec<(KeyId, u64)>,
}

/// Recomputes a ledger, entry after entry.
#[derive(Debug, Clone)]
pub struct Verifier {
    depth: Depth,
    ledger_id: Option<Digest>,
    pinned: Option<Digest>,
    log_key: Option<LogKey>,
    keys: BTreeMap<KeyId, SigningKeyState>,
    frontier: Frontier,
    link: Digest,
    recorded_at: u64,
    summary: Summary,
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
            keys: BTreeMap::new(),
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
        let compromised = self.keys.iter().filter_map(|(id, state)| Some((*id, state.compromised_from?)));
        Summary { compromised: compromised.collect(), ..self.summary.clone() }
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
        let base = self.size();
        let digests = parallel(entries, threads, |entry| digest::record_digest(&entry.record));
        let mut headers = Vec::with_capacity(entries.len());
        let mut jobs = Vec::new();
        let mut first_fault = None;
        for (i, (entry, record_digest)) in entries.iter().zip(&digests).enumerate() {
            let seq = base + i as u64;
            match self.chain(seq, entry, record_digest, &mut jobs) {
                Ok(header) => headers.push(header),
                Err(what) => {
                    first_fault = Some(Fault { seq, what });
                    break;
                }
            }
        }
        // A bad signature before the fault comes first.
        let bad = parallel(&jobs, threads, Job::run);
        match bad.into_iter().flatten().min_by_key(|fault| fault.seq).or(first_fault) {
            Some(fault) => Err(fault),
            None => {
                self.summary.signatures += jobs.len() as u64;
                Ok(headers)
            }
        }
    }

    /// The serial part: one header, its link and leaf, and the key that its record needs.
    fn chain<'a>(
        &mut self,
        seq: Seq,
        entry: &'a StoredEntry,
        record_digest: &Digest,
        jobs: &mut Vec<Job<'a>>,
    ) -> Result<Header, What> {
        let header = Header::decode(&entry.header)?;
        let bytes: &[u8; HEADER_LEN] = entry.header.as_slice().try_into().expect("decode checked the length");
        if header.seq != seq {
            return Err(What::Seq(header.seq));
        }
        if header.prev_link != self.link {
            return Err(What::PrevLink { found: header.prev_link, expected: self.link });
        }
        let field = |field, found: &dyn ToString, expected: &dyn ToString| {
            Err(What::Field { field, found: found.to_string(), expected: expected.to_string() })
        };
        if header.record_digest != *record_digest {
            return field("record_digest", &header.record_digest, record_digest);
        }
        if header.record_len as usize != entry.record.len() {
            return field("record_len", &header.record_len, &entry.record.len());
        }
        let malformed = header.outcome == Outcome::Malformed;
        if malformed {
            if header.event_digest != Digest::ZERO {
                return field("event_digest", &header.event_digest, &Digest::ZERO);
            }
            if header.recorded_at != self.recorded_at {
                return field("recorded_at", &header.recorded_at, &self.recorded_at);
            }
        } else {
            jobs.extend(self.signed(&header, entry)?);
        }
        if seq == 0 && (malformed || self.ledger_id.is_none()) {
            return Err(What::Genesis {
                found: header.event_digest,
                expected: self.pinned.unwrap_or_default(),
            });
        }
        self.link = digest::link(bytes);
        self.recorded_at = header.recorded_at;
        self.frontier.push(tree::leaf_hash(bytes), |_, _, _| {});
        self.summary.entries += 1;
        self.summary.record_bytes += entry.record.len() as u64;
        let outcome = usize::from(header.outcome.number()) - 1;
        if let Some(count) = self.summary.outcomes.get_mut(outcome) {
            *count += 1;
        }
        Ok(header)
    }

    fn signed<'a>(&mut self, header: &Header, entry: &'a StoredEntry) -> Result<Option<Job<'a>>, What> {
        let envelope = envelope(&entry.record).ok_or(What::Record(Reason::Framing))?;
        let ledger_id = self.ledger_id.unwrap_or(Digest::ZERO);
        if header.seq == 0 {
            self.genesis(envelope.body)?;
        }
        let key_id = Digest::from_slice(envelope.key_id).ok_or(What::Record(Reason::Canonical))?;
        let key = self.keys.get(&key_id).filter(|state| !state.retired).ok_or(What::Key(key_id))?.key;
        if header.outcome == Outcome::Accepted {
            self.key_act(header, &entry.record)?;
        }
        Ok(Some(Job {
            seq: header.seq,
            event_digest: header.event_digest,
            recorded_at: header.recorded_at,
            envelope,
            key,
            key_id,
            ledger_id,
            signature: self.depth >= Depth::Signatures,
        }))
    }

    fn genesis(&mut self, body: &[u8]) -> Result<(), What> {
        let found = digest::sha256(body);
        let expected = self.pinned.unwrap_or(found);
        let decoded = canonical::decode_exact::<crate::event::proto::Body>(body).and_then(|body| body.event);
        let Some(Event::LedgerOpened(opened)) = decoded.filter(|_| found == expected) else {
            return Err(What::Genesis { found, expected });
        };
        for front_door in &opened.keys {
            self.add_key(&front_door.public_key);
        }
        let log_key = canonical::public_key(&opened.log_key).ok_or(What::Genesis { found, expected })?;
        self.log_key = Some(LogKey { origin: opened.origin.clone(), key: log_key });
        self.ledger_id = Some(found);
        Ok(())
    }

    fn add_key(&mut self, public_key: &[u8]) {
        if let Some(key) = canonical::public_key(public_key) {
            let state = SigningKeyState { key, retired: false, compromised_from: None };
            self.keys.insert(digest::key_id(&key), state);
        }
    }

    /// Follows accepted key acts, so that later records are checked under the keys that were good then.
    fn key_act(&mut self, header: &Header, record: &[u8]) -> Result<(), What> {
        if !matches!(header.kind, Some(Kind::KeyAdded | Kind::KeyRetired | Kind::KeyCompromised)) {
            return Ok(());
        }
        let record = canonical::decode(record).map_err(What::Record)?;
        let act = record.body.event.as_ref().and_then(canonical::admin_act);
        let statement = act.and_then(canonical::statement).ok_or(What::Record(Reason::Statement))?;
        let unreadable = What::Record(Reason::Statement);
        match header.kind {
            Some(Kind::KeyAdded) => {
                let added: KeyAdded = canonical::decode_exact(&statement.payload).ok_or(unreadable)?;
                let key = added.key.unwrap_or_default();
                if key.roles & crate::event::model::role::ADMIN_SIGNER == 0 {
                    self.add_key(&key.public_key);
                }
            }
            Some(Kind::KeyRetired) => {
                let retired: KeyRetired = canonical::decode_exact(&statement.payload).ok_or(unreadable)?;
                self.retire(&retired.key_id, None);
            }
            _ => {
                let act: KeyCompromised = canonical::decode_exact(&statement.payload).ok_or(unreadable)?;
                self.retire(&act.key_id, Some(act.from_seq));
            }
        }
        Ok(())
    }

    fn retire(&mut self, key_id: &[u8], compromised_from: Option<Seq>) {
        let state = Digest::from_slice(key_id).and_then(|id| self.keys.get_mut(&id));
        if let Some(state) = state {
            state.retired = true;
            state.compromised_from = state.compromised_from.or(compromised_from);
        }
    }
}

/// The key that a record says it is signed by; `None` if the record cannot be read.
pub fn signer(record: &[u8]) -> Option<KeyId> {
    envelope(record).and_then(|envelope| Digest::from_slice(envelope.key_id))
}
