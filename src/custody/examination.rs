//! One piece of evidence, looked at again: is it there, with its length and digest, locked as it was, for long enough.

use sha2::{Digest as _, Sha256};

use crate::{
    archive,
    event::{
        Digest, Micros,
        proto::{EvidenceFinding, EvidenceProblem},
    },
    evidence::{Error, EvidenceStore, Stored},
    projection::held::{Held, Version},
};

use super::probing::{bounded, day};

/// Bytes that are read at a time.
const CHUNK: usize = 4 << 20;

/// How closely evidence is looked at, and what is done about locks that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Care {
    /// Reads the bytes and hashes them. Where a store locks nothing they are read anyway: nothing else shows them.
    pub deep: bool,
    /// What happens to locks.
    pub locks: Locks,
}

/// What happens to locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// A lock that ends less than half of this after it must hold is made to end so long after it, microseconds.
    Extend(Micros),
    /// They are only read. One that ends more than this before it must hold is a finding, microseconds: who extends
    /// locks comes by as often.
    Read(Micros),
}

/// What is wrong with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub version: Version,
    /// What.
    pub problem: EvidenceProblem,
    /// In words.
    pub detail: String,
}

/// What looking at a piece of evidence gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// What is wrong; nothing, if all is as it must be.
    pub found: Vec<Found>,
    /// Locks that were made longer.
    pub extended: u64,
    /// Bytes that were read.
    pub read: u64,
}

impl Found {
    /// The finding as an entry states it.
    pub fn event(&self, sha256: &Digest, now: Micros) -> EvidenceFinding {
        EvidenceFinding {
            sha256: sha256.0.to_vec(),
            uri: if self.version.uri.is_empty() {
                format!("evidence:sha256:{sha256}")
            } else {
                self.version.uri.clone()
            },
            version_id: self.version.version_id.clone(),
            problem: self.problem.into(),
            detail: bounded(&self.detail),
            day: day(now),
            follows: None,
        }
    }
}

/// A finding about the archive as an entry states it.
pub fn of_archive(finding: &archive::check::Finding, now: Micros) -> EvidenceFinding {
    EvidenceFinding {
        sha256: finding.sha256.0.to_vec(),
        uri: finding.uri.clone(),
        version_id: String::new(),
        problem: finding.problem.into(),
        detail: bounded(&format!("a piece of the ledger's archive: {}", finding.detail)),
        day: day(now),
        follows: None,
    }
}

/// Looks at every version that events name. Evidence whose time is over may be gone.
///
/// # Errors
/// [`Error::Unavailable`] if the store did not answer.
pub async fn examine(
    store: &dyn EvidenceStore,
    held: &Held,
    care: Care,
    now: Micros,
) -> Result<Examined, Error> {
    let mut examined = Examined::default();
    for version in &held.versions {
        let until = held.until.max(version.locked_until.unwrap_or(0));
        if until <= now {
            continue;
        }
        let look = Look { store, sha256: &held.sha256, version, until: held.until, care, now };
        look.at_version(&mut examined).await?;
    }
    Ok(examined)
}

struct Look<'a> {
    store: &'a dyn EvidenceStore,
    sha256: &'a Digest,
    version: &'a Version,
    until: Micros,
    care: Care,
    now: Micros,
}

impl Look<'_> {
    async fn at_version(&self, examined: &mut Examined) -> Result<(), Error> {
        let id = &self.version.version_id;
        let mut found = |problem, detail: String| {
            examined.found.push(Found { version: self.version.clone(), problem, detail });
        };
        let stored = match self.store.stat(self.sha256, id, self.now).await {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                found(EvidenceProblem::Missing, "the store does not have it".into());
                return Ok(());
            }
            Err(Error::Damaged(_)) => {
                found(EvidenceProblem::Digest, "the store's bytes have another SHA-256".into());
                return Ok(());
            }
            Err(Error::Unlocked { why, .. }) => {
                found(EvidenceProblem::Unlocked, why);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let length = self.version.length;
        if stored.length != length {
            let lengths = format!("the store has {} bytes, the event says {length}", stored.length);
            found(EvidenceProblem::Length, lengths);
        }
        match self.lock(&stored).await? {
            Lock::Fine => {}
            Lock::Extended => examined.extended += 1,
            Lock::Found(problem, detail) => {
                examined.found.push(Found { version: self.version.clone(), problem, detail });
            }
        }
        if self.care.deep || stored.lock.write_once == "none" {
            self.bytes(examined).await?;
        }
        Ok(())
    }

    async fn lock(&self, stored: &Stored) -> Result<Lock, Error> {
        // A static rendition is named without its proof: it is held for as long as the promotion of its review.
        let promised = self.version.locked_until;
        if stored.lock.write_once == "none" {
            if promised.is_none() {
                return Ok(Lock::Fine);
            }
            let why = format!("entry {} says that it was locked; the store locks nothing", self.version.seq);
            return Ok(Lock::Found(EvidenceProblem::Unlocked, why));
        }
        let (promised, ends) = (promised.unwrap_or(0), stored.lock.retain_until);
        let late = |until: Micros, why: &str| {
            Lock::Found(
                EvidenceProblem::Retention,
                format!(
                    "its lock ends at {}, it must hold until {}: {why}",
                    ends / 1_000_000,
                    until / 1_000_000
                ),
            )
        };
        if ends < promised {
            let why = format!("entry {} has the store's word for it", self.version.seq);
            return Ok(late(promised, &why));
        }
        let ahead = match self.care.locks {
            Locks::Read(tolerance) if ends.saturating_add(tolerance) < self.until => {
                return Ok(late(self.until, "and nothing made it longer"));
            }
            Locks::Extend(ahead) if ends < self.until.saturating_add(ahead / 2) => ahead,
            Locks::Read(_) | Locks::Extend(_) => return Ok(Lock::Fine),
        };
        let until = self.until.saturating_add(ahead);
        match self.store.retain(self.sha256, &self.version.version_id, until, self.now).await {
            Ok(Some(_)) => Ok(Lock::Extended),
            Ok(None) => {
                Ok(Lock::Found(EvidenceProblem::Missing, "it went away while it was looked at".into()))
            }
            Err(Error::Unavailable(why)) => Err(Error::Unavailable(why)),
            Err(error) => Ok(late(self.until, &error.to_string())),
        }
    }

    async fn bytes(&self, examined: &mut Examined) -> Result<(), Error> {
        let (mut hasher, mut length) = (Sha256::new(), 0);
        let problem = loop {
            let chunk = self.store.read(self.sha256, &self.version.version_id, length, CHUNK).await?;
            let Some(chunk) = chunk else {
                break Some((EvidenceProblem::Missing, "its bytes cannot be read any more".to_owned()));
            };
            hasher.update(&chunk);
            length += chunk.len() as u64;
            examined.read += chunk.len() as u64;
            // More than there may be is no evidence either, and must not be read for ever.
            if chunk.is_empty() || length > self.version.length {
                break None;
            }
        };
        let hashed = Digest(hasher.finalize().into());
        let problem = problem.or_else(|| {
            let words = format!("the {length} bytes that were read have the SHA-256 {hashed}");
            (hashed != *self.sha256).then_some((EvidenceProblem::Digest, words))
        });
        let known =
            |problem| examined.found.iter().any(|it| it.version == *self.version && it.problem == problem);
        if let Some((problem, detail)) = problem.filter(|(problem, _)| !known(*problem)) {
            examined.found.push(Found { version: self.version.clone(), problem, detail });
        }
        Ok(())
    }
}

enum Lock {
    Fine,
    Extended,
    Found(EvidenceProblem, String),
}
