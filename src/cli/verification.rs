//! One verification: batches in, a report out. Stops at the first entry that is wrong.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::sync::mpsc::Receiver;

use crate::{
    event::{Digest, Header, KeyId, Micros, Outcome, Seq, canonical},
    ledger::replay::{Fault, Past, Replay},
    policy::audit::Audit,
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        position::Position,
        verify::{Depth as Hashing, StoredEntry, Summary, Verifier, signer},
    },
};

use super::{
    chain::{Batch, Unread},
    kept_logins::KeptLogins,
    output::{Exit, Failure, Result},
};

/// Findings about routing that are listed, at most.
const FINDINGS_MAX: usize = 10_000;
/// Entries of compromised keys that are listed, at most.
const IN_DOUBT_MAX: usize = 10_000;

/// How much is recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Links, tree, record and event digests
    Hashes,
    /// Also every record's signature
    Signatures,
    /// Also every outcome by the writer's rules, and a directory's tables
    Rules,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Found {
    /// The entry; absent where it is the end or a checkpoint that does not fit.
    pub seq: Option<Seq>,
    /// What is wrong, in words.
    pub what: String,
}

/// An entry that a compromised key signed after it was in wrong hands.
#[derive(Debug, Clone, serde::Serialize)]
pub struct InDoubt {
    /// The entry.
    pub seq: Seq,
    /// The key.
    pub key_id: String,
    /// What the rules said.
    pub outcome: Outcome,
    /// What it records.
    pub kind: String,
}

/// A checkpoint to compare with, and where it came from.
#[derive(Debug, Clone)]
pub struct Named {
    /// In words.
    pub from: String,
    /// As it was signed.
    pub note: String,
    /// Its signature was verified.
    pub checkpoint: Checkpoint,
    /// When somebody was shown it, and who, besides the cosignatures in it.
    pub dated: Vec<(Micros, String)>,
    /// One of many that are not listed one by one; what an earlier run checked is not compared with it again.
    pub silent: bool,
}

/// Checkpoints of one kind that somebody vouches for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Which, in words.
    pub kind: &'static str,
    /// How many there are.
    pub there: u64,
    /// How many of them were read: of very many only some, evenly spread, and always the newest.
    pub read: u64,
}

/// A verification under way.
pub struct Verification {
    /// How much is recomputed.
    pub depth: Depth,
    /// The part that needs the entries alone.
    pub verifier: Verifier,
    /// To compare with, on the way or at the end.
    pub checkpoints: Vec<Named>,
    /// Those that agreed.
    pub agreed: Vec<Named>,
    /// The first thing that is wrong.
    pub found: Option<Found>,
    /// What compromised keys signed.
    pub in_doubt: Vec<InDoubt>,
    /// Promotions whose tier or requirements do not follow from their frozen inputs.
    pub routing: Vec<Found>,
    /// Promotions that were routed again.
    pub routed: u64,
    /// The logins that entries rely on.
    pub logins: KeptLogins,
    /// The ledger, once its genesis was read.
    pub ledger_id: Option<Digest>,
    /// Where two checkpoints that contradict each other were kept.
    pub split_view: Option<String>,
    /// Entries that an earlier run checked, and that this one did not read again.
    pub checked_before: u64,
    /// Time-stamps of authorities that nobody named.
    pub unread_stamps: u64,
    /// What was there of checkpoints that others vouch for.
    pub vouched: Vec<Tally>,
    audit: Audit,
    threads: usize,
    begun: Instant,
}

/// Id and log key in a genesis, if it is one (and the one that is expected).
pub fn genesis(first: Option<Batch>, pinned: Option<Digest>) -> Option<(Digest, LogKey)> {
    let Some(Ok(entries)) = first else { return None };
    let mut verifier = Verifier::new(Hashing::Hashes, pinned);
    verifier.push(&entries, 1).ok()?;
    verifier.ledger_id().zip(verifier.log_key().cloned())
}

impl Verification {
    /// Starts at genesis.
    pub fn new(depth: Depth, pinned: Option<Digest>, threads: usize) -> Self {
        let hashing = if depth == Depth::Hashes { Hashing::Hashes } else { Hashing::Signatures };
        Self {
            depth,
            verifier: Verifier::new(hashing, pinned),
            checkpoints: Vec::new(),
            agreed: Vec::new(),
            found: None,
            in_doubt: Vec::new(),
            routing: Vec::new(),
            routed: 0,
            logins: KeptLogins::default(),
            ledger_id: None,
            split_view: None,
            checked_before: 0,
            unread_stamps: 0,
            vouched: Vec::new(),
            audit: Audit::default(),
            threads,
            begun: Instant::now(),
        }
    }

    /// Goes on from where an earlier run ended, if everything that is to be compared comes after that.
    pub fn resume(&mut self, position: Position) -> bool {
        let (size, hashing) = (position.size(), position.depth());
        let fits = self.depth != Depth::Rules
            && (self.depth == Depth::Hashes) == (hashing == Hashing::Hashes)
            && self.checkpoints.iter().all(|named| named.silent || named.checkpoint.size >= size);
        let Some(verifier) = Some(position).filter(|_| fits).and_then(Verifier::resume) else { return false };
        self.checkpoints.retain(|named| named.checkpoint.size >= size);
        self.verifier = verifier;
        self.logins.resumed();
        self.checked_before = size;
        self.checkpoints_here();
        true
    }

    /// How long it has taken.
    pub fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What was checked.
    pub fn summary(&self) -> Summary {
        self.verifier.summary()
    }

    /// Notes something wrong, unless something was found before.
    pub fn note(&mut self, seq: Option<Seq>, what: impl ToString) {
        self.found.get_or_insert(Found { seq, what: what.to_string() });
    }

    /// A signed note to compare with; one that the ledger's log key did not sign is a finding.
    pub fn compare_with(&mut self, from: &str, note: &str, key: &LogKey) {
        self.compare_dated(from, note.to_owned(), key, Vec::new());
    }

    /// The same, of one that somebody was shown.
    pub fn compare_dated(&mut self, from: &str, note: String, key: &LogKey, dated: Vec<(Micros, String)>) {
        self.compare(from, note, key, dated, false);
    }

    /// The same, of one of many.
    pub fn compare_silently(&mut self, from: &str, note: String, key: &LogKey, dated: Vec<(Micros, String)>) {
        self.compare(from, note, key, dated, true);
    }

    fn compare(
        &mut self,
        from: &str,
        note: String,
        key: &LogKey,
        dated: Vec<(Micros, String)>,
        silent: bool,
    ) {
        match checkpoint::open(&note, key) {
            Ok(checkpoint) => {
                self.checkpoints.push(Named { from: from.to_owned(), note, checkpoint, dated, silent });
            }
            Err(error) => self.note(None, format!("the checkpoint from {from}: {error}")),
        }
    }

    /// Verifies the whole chain; says how far it has come after each batch that holds.
    ///
    /// # Errors
    /// If it cannot be read for a reason that is not tampering.
    pub fn run<P: Past>(
        &mut self,
        mut batches: Receiver<Batch>,
        mut replay: Option<Replay<P>>,
        bar: &ProgressBar,
        mut reached: impl FnMut(&Verifier) -> Result<()>,
    ) -> Result<()> {
        while let Some(batch) = batches.blocking_recv() {
            match batch {
                Ok(entries) => self.batch(entries, &mut replay)?,
                Err(Unread::Failed(failure)) => return Err(failure),
                Err(Unread::Damaged { seq, why }) => {
                    self.note(Some(seq), format!("it cannot be read: {why}"))
                }
            }
            bar.set_position(self.verifier.size());
            if self.found.is_some() {
                break;
            }
            reached(&self.verifier)?;
        }
        bar.finish_and_clear();
        if self.found.is_some() {
            return Ok(());
        }
        let size = self.verifier.size();
        if let Some(ahead) = self.checkpoints.iter().find(|named| named.checkpoint.size > size) {
            let (from, signed) = (&ahead.from, ahead.checkpoint.size);
            let what = format!(
                "the ledger ends after {size} entries, but the checkpoint from {from} was signed for {signed}: its end was cut off"
            );
            self.note(None, what);
        }
        match replay.map_or(Ok(()), |replay| replay.finish()) {
            Ok(()) => Ok(()),
            Err(fault) => self.fault(fault),
        }
    }

    /// One batch, in parts that end where a checkpoint does.
    fn batch<P: Past>(&mut self, mut rest: Vec<StoredEntry>, replay: &mut Option<Replay<P>>) -> Result<()> {
        while !rest.is_empty() && self.found.is_none() {
            let base = self.verifier.size();
            let sizes =
                self.checkpoints.iter().map(|named| named.checkpoint.size).filter(|size| *size > base);
            let len = sizes.min().map_or(rest.len(), |size| rest.len().min((size - base) as usize));
            let later = rest.split_off(len);
            self.part(std::mem::replace(&mut rest, later), replay)?;
            self.checkpoints_here();
        }
        Ok(())
    }

    fn part<P: Past>(&mut self, mut entries: Vec<StoredEntry>, replay: &mut Option<Replay<P>>) -> Result<()> {
        let base = self.verifier.size();
        let fault = self.verifier.push(&entries, self.threads).err();
        if let Some(fault) = &fault {
            // The rules may name an earlier one.
            entries.truncate(usize::try_from(fault.seq - base).unwrap_or(usize::MAX));
        }
        if self.depth != Depth::Hashes {
            self.logins.entries(&entries)?;
        }
        if let Some(replay) = replay {
            self.route_again(&entries);
            if let Err(earlier) = replay.push(entries) {
                self.fault(earlier)?;
            }
        }
        if let Some(fault) = fault {
            self.note(Some(fault.seq), fault.what);
        }
        Ok(())
    }

    fn route_again(&mut self, entries: &[StoredEntry]) {
        for entry in entries {
            let Ok(header) = Header::decode(&entry.header) else { continue };
            if header.outcome != Outcome::Accepted {
                continue;
            }
            let Ok(record) = canonical::decode(&entry.record) else { continue };
            let Some(audited) = self.audit.push(&header, &record.body) else { continue };
            self.routed += 1;
            let room = FINDINGS_MAX.saturating_sub(self.routing.len());
            let found = audited.findings.into_iter().take(room);
            self.routing.extend(found.map(|what| Found { seq: Some(audited.seq), what }));
        }
    }

    fn fault(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Entry(fault) => self.note(Some(fault.seq), fault.what),
            Fault::Row { seq, .. } => self.note(Some(seq), fault),
            Fault::Store(error) => self.note(None, error),
            Fault::Rules(why) => return Err(Failure::new(Exit::Internal, why)),
        }
        Ok(())
    }

    fn checkpoints_here(&mut self) {
        let size = self.verifier.size();
        let here: Vec<_> =
            self.checkpoints.iter().filter(|named| named.checkpoint.size == size).cloned().collect();
        for named in here {
            if self.verifier.agrees_with(&named.checkpoint) {
                self.agreed.push(named);
            } else {
                let (from, found, signed) = (&named.from, self.verifier.root(), named.checkpoint.root);
                let what = format!(
                    "at size {size} the root is {found}, but the checkpoint from {from} was signed for {signed}: an entry before it was changed"
                );
                self.note(None, what);
            }
        }
    }

    /// Two signed checkpoints of which one held, or is of the same size, and the other did not.
    pub fn contradicting(&self) -> Option<[&Named; 2]> {
        let of = |named: &Named| (named.checkpoint.size, named.checkpoint.root);
        let held = |named: &&Named| self.agreed.iter().any(|agreed| of(agreed) == of(named));
        let failed = self
            .checkpoints
            .iter()
            .find(|named| named.checkpoint.size <= self.verifier.size() && !held(named))?;
        let other = self.checkpoints.iter().find(|other| of(other) != of(failed))?;
        Some([failed, other])
    }

    /// The first entry from which a key was in wrong hands, if there is such a key.
    pub fn doubtful_from(&self) -> Option<Seq> {
        self.summary().compromised().map(|(_, from)| from).min()
    }

    /// Second pass: lists what compromised keys signed since.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn doubt(&mut self, mut batches: Receiver<Batch>) -> Result<()> {
        let compromised: std::collections::BTreeMap<KeyId, Seq> = self.summary().compromised().collect();
        while let Some(batch) = batches.blocking_recv() {
            let entries = match batch {
                Ok(entries) => entries,
                Err(Unread::Failed(failure)) => return Err(failure),
                Err(Unread::Damaged { seq, why }) => {
                    self.note(Some(seq), why);
                    return Ok(());
                }
            };
            for entry in entries {
                let Ok(header) = Header::decode(&entry.header) else { continue };
                let key = signer(&entry.record).filter(|_| header.outcome != Outcome::Malformed);
                let Some((key, since)) = key.and_then(|key| Some((key, *compromised.get(&key)?))) else {
                    continue;
                };
                if header.seq >= since && self.in_doubt.len() < IN_DOUBT_MAX {
                    let kind = header.kind.map_or("none", |kind| kind.name()).to_owned();
                    let (seq, outcome) = (header.seq, header.outcome);
                    self.in_doubt.push(InDoubt { seq, key_id: key.to_string(), outcome, kind });
                }
            }
        }
        Ok(())
    }
}
