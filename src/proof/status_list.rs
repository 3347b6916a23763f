//! Signed status lists: what may run where, for gates that cannot reach a node.
//!
//! A C2SP signed note under the log key. Its first line has spaces, so that it can never pass as a checkpoint, whose
//! first line is an origin. How old the list may be decides, not how old a receipt is: an outage never blocks a
//! roll-back to an approved version.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use signed_note::Note;

use super::{
    checkpoint::{self, LogKey},
    receipt::Receipt,
};
use crate::event::{Digest, Header, Kind, Micros, Outcome, Seq};

/// First line of every list.
pub const FIRST_LINE: &str = "promotion-ledger status list v1";
/// Longest list, bytes: what readers of signed notes take.
pub const LEN_MAX: usize = 900_000;
/// How far ahead of the reader's clock a list may have been issued.
const SKEW_MAX: Micros = 60 * 1_000_000;

/// What an artefact is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The slot's current promotion.
    Current,
    /// An earlier promotion that was not revoked.
    RollbackEligible,
    /// Its promotion was taken back.
    Revoked,
    /// It, or evidence that its promotion relies on, must not be relied on.
    Tainted,
    /// What promoted it was signed by a stolen key.
    Compromised,
    /// In production before the ledger.
    Undocumented,
    /// Let in for a while by a named person.
    BreakGlass,
}

impl Status {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Current => "is current",
            Self::RollbackEligible => "was promoted earlier and may be rolled back to",
            Self::Revoked => "was revoked",
            Self::Tainted => "must not be relied on any more",
            Self::Compromised => "was promoted with a stolen key",
            Self::Undocumented => "was there before the ledger",
            Self::BreakGlass => "was let in by an emergency",
        }
    }

    const fn allows(self) -> bool {
        matches!(self, Self::Current | Self::RollbackEligible | Self::Undocumented | Self::BreakGlass)
    }
}

/// Where something runs, with roles by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Model; empty in a question means any.
    pub model: String,
    /// Environment.
    pub environment: String,
    /// Region; empty where there is one.
    pub region: String,
    /// `champion`, `challenger`, `shadow`, `canary`.
    pub role: String,
}

impl Target {
    fn is_asked_by(&self, asked: &Self) -> bool {
        (asked.model.is_empty() || asked.model == self.model)
            && (&asked.environment, &asked.region, &asked.role)
                == (&self.environment, &self.region, &self.role)
    }
}

/// One artefact in one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// 64 hexadecimal digits.
    pub artifact_sha256: String,
    /// The slot.
    pub target: Target,
    /// What it is there.
    pub status: Status,
    /// The entry that says so: Promoted, Undocumented or BreakGlass.
    pub seq: Seq,
    /// End of an undocumented model's or an emergency's time; 0: none.
    #[serde(default)]
    pub until: Micros,
}

/// Head of a list: which ledger, as of when, good until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The ledger's name.
    pub origin: String,
    /// Entries that the list takes into account.
    pub size: u64,
    /// Merkle root over them, 64 hexadecimal digits.
    pub root: String,
    /// When it was made.
    pub issued_at: Micros,
    /// Nobody decides with it from then on.
    pub fresh_until: Micros,
    /// What it lists: one environment.
    pub environment: String,
    /// And one model, or all (empty).
    pub model: String,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusList {
    /// Its head.
    pub head: Head,
    /// Artefacts in slots.
    pub lines: Vec<Line>,
}

/// Why a list is not one of this ledger, or does not allow what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a signed note with this layout.
    #[error("not a status list: {0}")]
    Format(String),
    /// No signature by the log key, or a wrong one.
    #[error("the status list is not signed by the log key {0}")]
    Signature(String),
    /// Another ledger's.
    #[error("the status list is of {found}, not {expected}")]
    Origin {
        /// Origin in the list.
        found: String,
        /// Origin of the key.
        expected: String,
    },
    /// Too old, or issued in the future.
    #[error("the status list may not be used now: {0}; fetch a new one with `gate status-list`")]
    Stale(String),
    /// The list does not take the target into account.
    #[error("the status list is for {0}")]
    OtherTarget(String),
    /// The receipt.
    #[error("the receipt does not hold: {0}")]
    Receipt(String),
    /// What was asked is not allowed; reasons in words.
    #[error("{0}")]
    Refused(String),
    /// More than a list holds.
    #[error("the list would have {0} bytes, at most {LEN_MAX}: ask for one model")]
    TooLong(usize),
}

/// Signs a list: the whole note.
///
/// # Errors
/// [`Error::TooLong`].
pub fn sign(list: &StatusList, key: &SigningKey) -> Result<String, Error> {
    let json = |value: serde_json::Result<String>| value.map_err(|error| Error::Format(error.to_string()));
    let mut text = format!("{FIRST_LINE}\n{}\n", json(serde_json::to_string(&list.head))?);
    for line in &list.lines {
        text.push_str(&json(serde_json::to_string(line))?);
        text.push('\n');
    }
    if text.len() > LEN_MAX {
        return Err(Error::TooLong(text.len()));
    }
    Ok(checkpoint::signed_note(&text, &list.head.origin, key))
}

/// Reads a list and checks its signature and origin. Whether it is fresh, [`StatusList::decide`] asks.
///
/// # Errors
/// [`Error`].
pub fn open(note: &str, key: &LogKey) -> Result<StatusList, Error> {
    let format = |why: &str| Error::Format(why.to_owned());
    let note = Note::from_bytes(note.as_bytes()).map_err(|_| format("it is not a signed note"))?;
    note.verify(key).map_err(|_| Error::Signature(key.vkey()))?;
    let text = std::str::from_utf8(note.text()).map_err(|_| format("it is not UTF-8"))?;
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(format("its first line is another one"));
    }
    let head: Head = serde_json::from_str(lines.next().unwrap_or_default())
        .map_err(|error| Error::Format(format!("its head: {error}")))?;
    if head.origin != key.origin {
        return Err(Error::Origin { found: head.origin, expected: key.origin.clone() });
    }
    let line = |text: &str| serde_json::from_str(text).map_err(|error| Error::Format(error.to_string()));
    Ok(StatusList { head, lines: lines.map(line).collect::<Result<_, _>>()? })
}

impl StatusList {
    /// The line that allows an artefact in a target now. `receipt`: of the entry by which it is allowed.
    ///
    /// # Errors
    /// [`Error`], in words for the person whose deployment stops here.
    pub fn decide(
        &self,
        artifact: &Digest,
        target: &Target,
        receipt: &Receipt,
        key: &LogKey,
        now: Micros,
    ) -> Result<&Line, Error> {
        self.fresh(now)?;
        let head = &self.head;
        let listed =
            target.environment == head.environment && (head.model.is_empty() || head.model == target.model);
        if !listed {
            let model = if head.model.is_empty() { "all models" } else { &head.model };
            return Err(Error::OtherTarget(format!("{model} in {}", head.environment)));
        }
        let (header, _) = receipt.verify(key).map_err(|error| Error::Receipt(error.to_string()))?;
        allowing(&header)?;
        let hex = artifact.to_string();
        let of_artifact: Vec<_> = self.lines.iter().filter(|line| line.artifact_sha256 == hex).collect();
        let here: Vec<_> = of_artifact.iter().filter(|line| line.target.is_asked_by(target)).collect();
        // What must not be relied on is refused, by whichever entry it came.
        if let Some(bad) = here.iter().find(|line| matches!(line.status, Status::Tainted)) {
            return Err(Error::Refused(format!("the artefact {} (entry {})", bad.status.words(), bad.seq)));
        }
        match here.iter().find(|line| line.seq == header.seq) {
            Some(line) if line.until != 0 && line.until <= now => {
                Err(Error::Refused(format!("the artefact {}, but its time is over", line.status.words())))
            }
            Some(line) if line.status.allows() => Ok(line),
            Some(line) => Err(Error::Refused(format!("the artefact {}", line.status.words()))),
            None if !here.is_empty() => Err(Error::Refused(format!(
                "the receipt is for entry {}, but the artefact stands in this target by entry {}",
                header.seq,
                here.first().map_or(0, |line| line.seq)
            ))),
            None if !of_artifact.is_empty() => {
                Err(Error::Refused("the artefact is promoted, but for another target".into()))
            }
            None => Err(Error::Refused(format!(
                "the artefact is not on the list of {} entries: it was never promoted there, or after the list was made",
                head.size
            ))),
        }
    }

    fn fresh(&self, now: Micros) -> Result<(), Error> {
        if now >= self.head.fresh_until {
            let hours = (now - self.head.fresh_until) / 3_600_000_000;
            return Err(Error::Stale(format!("its time was over {hours} h ago")));
        }
        if self.head.issued_at > now.saturating_add(SKEW_MAX) {
            return Err(Error::Stale("it was issued in the future; check this machine's clock".into()));
        }
        Ok(())
    }
}

fn allowing(header: &Header) -> Result<(), Error> {
    let kind = header.kind.filter(|_| header.outcome == Outcome::Accepted);
    match kind {
        Some(Kind::Promoted | Kind::Undocumented | Kind::BreakGlass) => Ok(()),
        _ => Err(Error::Receipt(format!("entry {} allows nothing to run", header.seq))),
    }
}
