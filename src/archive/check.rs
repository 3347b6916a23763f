//! Looks at archived pieces again: each must be there, hold what the ledger gives, and be locked for long enough.

use ed25519_dalek::SigningKey;

use crate::{
    event::{Digest, Micros, digest::sha256, proto::EvidenceProblem},
    ledger::{Ledger, store},
};

use super::{
    archiver,
    pieces::{self, BUNDLE_LEN, Piece},
    reader::Archive,
    store::{Error as StoreError, Kept},
};

/// A piece that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// SHA-256 of the bytes that it must have.
    pub sha256: Digest,
    /// Where it is.
    pub uri: String,
    /// What is wrong.
    pub problem: EvidenceProblem,
    /// In words.
    pub detail: String,
}

/// What looking at some pieces gave.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// SHA-256 of the pieces that are as they must be.
    pub sound: Vec<Digest>,
    /// Bytes that were read.
    pub read: u64,
}

/// How closely pieces are looked at, and what is done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// All bytes are read; what is missing is written again, and locks are made to end at [`Against::until`] or later.
    Mend,
    /// Nothing is changed. A lock that ends more than `tolerance` microseconds before [`Against::until`] is a finding: who
    /// makes locks longer comes by as often.
    Look {
        /// Whether bytes are read where the store's own checksum would do.
        deep: bool,
        /// See above.
        tolerance: Micros,
    },
}

/// Why pieces could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger.
    #[error("{0}")]
    Ledger(#[from] store::Error),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// What pieces are compared with.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// Signs checkpoints.
    pub log_key: &'a SigningKey,
    /// Until when every piece must be held, microseconds.
    pub until: Micros,
    /// How closely.
    pub care: Care,
}

/// How many bundles there are in an archive of so many entries; the last one need not be full.
pub const fn bundles(size: u64) -> u64 {
    size.div_ceil(BUNDLE_LEN)
}

impl Against<'_> {
    /// Looks at the pieces of a bundle, of an archive of so many entries. A piece that is missing is a finding also if it is
    /// written again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bundle(&self, bundle: u64, size: u64) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let first = bundle * BUNDLE_LEN;
        for piece in pieces::next_step(first, size) {
            match piece {
                Piece::Records { first, len } if len < BUNDLE_LEN => {
                    self.records(first, first + len, &mut checked).await?;
                }
                piece => self.piece(piece, &mut checked).await?,
            }
        }
        Ok(checked)
    }

    /// Whether a piece, by where it is, is one of a bundle: also one that a longer piece has taken the place of.
    pub fn is_of(&self, uri: &str, bundle: u64) -> bool {
        let first = bundle * BUNDLE_LEN;
        let at = |piece| self.archive.store.uri(&self.archive.name(piece));
        let full = [Piece::Entries { bundle, len: BUNDLE_LEN }, Piece::Records { first, len: BUNDLE_LEN }];
        let inside = |piece| {
            let rest = uri.strip_prefix(&at(piece));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(".p/"))
        };
        let sizes = first + 1..=first + BUNDLE_LEN;
        full.into_iter().any(inside) || sizes.into_iter().any(|size| at(Piece::Checkpoint { size }) == uri)
    }

    /// Records of a bundle that is not full are in pieces as they came: the longest at each place.
    async fn records(&self, first: u64, to: u64, checked: &mut Checked) -> Result<(), Error> {
        let mut at = first;
        while at < to {
            let mut there = pieces::lengths_at(at, to).next().unwrap_or(1);
            for len in pieces::lengths_at(at, to) {
                let name = self.archive.name(Piece::Records { first: at, len });
                if !matches!(self.archive.store.get(&name).await, Ok(None)) {
                    there = len;
                    break;
                }
            }
            self.piece(Piece::Records { first: at, len: there }, checked).await?;
            at += there;
        }
        Ok(())
    }

    async fn piece(&self, piece: Piece, checked: &mut Checked) -> Result<(), Error> {
        let name = self.archive.name(piece);
        let expected = archiver::bytes(piece, self.ledger, self.log_key)?;
        let digest = sha256(&expected);
        let found = match self.care {
            Care::Mend => self.mended(&name, expected, checked).await?,
            Care::Look { deep, tolerance } => self.seen(&name, &expected, deep, tolerance, checked).await?,
        };
        match found {
            None => checked.sound.push(digest),
            Some((problem, detail)) => {
                let uri = self.archive.store.uri(&name);
                checked.findings.push(Finding { sha256: digest, uri, problem, detail });
            }
        }
        Ok(())
    }

    async fn mended(&self, name: &str, expected: Vec<u8>, checked: &mut Checked) -> Result<Wrong, Error> {
        let store = &self.archive.store;
        let found = store.get(name).await;
        let missing = found == Ok(None);
        Ok(match problem(&expected, found, checked)? {
            None => match store.hold(name, self.until).await {
                Ok(_) => None,
                Err(StoreError::Unlocked { why, .. }) => Some((EvidenceProblem::Unlocked, why)),
                Err(error) => return Err(error.into()),
            },
            Some((problem, detail)) if missing => Some(match store.put(name, expected).await {
                Ok(()) => (problem, format!("{detail}; it is written again")),
                Err(error) => (problem, format!("{detail}, and could not be written again: {error}")),
            }),
            problem => problem,
        })
    }

    async fn seen(
        &self,
        name: &str,
        expected: &[u8],
        deep: bool,
        tolerance: Micros,
        checked: &mut Checked,
    ) -> Result<Wrong, Error> {
        let store = &self.archive.store;
        let Some(kept) = store.stat(name).await? else { return Ok(problem(expected, Ok(None), checked)?) };
        if let Some(problem) = described(expected, &kept) {
            return Ok(Some(problem));
        }
        if deep || kept.sha256.is_none() {
            let found = problem(expected, store.get(name).await, checked)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(match kept.lock {
            Some(Err(why)) => Some((EvidenceProblem::Unlocked, why)),
            Some(Ok(ends)) if ends.saturating_add(tolerance) < self.until => {
                let (ends, until) = (ends / 1_000_000, self.until / 1_000_000);
                let words = format!(
                    "its lock ends at {ends}, it must hold until {until}, and nothing made it longer"
                );
                Some((EvidenceProblem::Retention, words))
            }
            _ => None,
        })
    }
}

/// What is wrong with a piece, if anything is: what, and in words.
type Wrong = Option<(EvidenceProblem, String)>;

/// What the store's own words show to be wrong.
fn described(expected: &[u8], kept: &Kept) -> Wrong {
    if kept.length != expected.len() as u64 {
        let lengths = format!("it has {} bytes, the ledger gives {}", kept.length, expected.len());
        return Some((EvidenceProblem::Length, lengths));
    }
    let other = kept.sha256.filter(|found| *found != sha256(expected))?;
    Some((EvidenceProblem::Digest, format!("its bytes have the SHA-256 {other}")))
}

/// What is wrong with the bytes that are there; an error if that is not known.
fn problem(
    expected: &[u8],
    found: Result<Option<Vec<u8>>, StoreError>,
    checked: &mut Checked,
) -> Result<Wrong, StoreError> {
    if let Ok(Some(bytes)) = &found {
        checked.read += bytes.len() as u64;
    }
    Ok(match found {
        Ok(Some(found)) if found == expected => None,
        Ok(Some(found)) if found.len() != expected.len() => {
            let lengths = format!("it has {} bytes, the ledger gives {}", found.len(), expected.len());
            Some((EvidenceProblem::Length, lengths))
        }
        Ok(Some(found)) => {
            Some((EvidenceProblem::Digest, format!("its bytes have the SHA-256 {}", sha256(&found))))
        }
        Ok(None) => Some((EvidenceProblem::Missing, "it is not there".into())),
        Err(StoreError::TooLong { .. }) => {
            Some((EvidenceProblem::Length, "it is longer than any piece".into()))
        }
        Err(error) => return Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bundle_counts_as_soon_as_it_has_an_entry() {
        assert_eq!([0, 1, 256, 257].map(bundles), [0, 1, 1, 2]);
    }

    #[test]
    fn what_is_wrong_with_a_piece_is_named_and_an_outage_is_no_finding() {
        let of = |found| {
            problem(b"right", found, &mut Checked::default())
                .map(|problem| problem.map(|(problem, _)| problem))
        };
        assert_eq!(of(Ok(Some(b"right".to_vec()))), Ok(None));
        assert_eq!(of(Ok(Some(b"wrong".to_vec()))), Ok(Some(EvidenceProblem::Digest)));
        assert_eq!(of(Ok(Some(b"righ".to_vec()))), Ok(Some(EvidenceProblem::Length)));
        assert_eq!(of(Ok(None)), Ok(Some(EvidenceProblem::Missing)));
        let away = StoreError::Unavailable("away".into());
        assert_eq!(of(Err(away.clone())), Err(away));
        let kept = |length, sha256| described(b"right", &Kept { length, sha256, lock: None }).map(|it| it.0);
        assert_eq!(kept(5, None), None);
        assert_eq!(kept(5, Some(sha256(b"right"))), None);
        assert_eq!(kept(5, Some(sha256(b"wrong"))), Some(EvidenceProblem::Digest));
        assert_eq!(kept(4, None), Some(EvidenceProblem::Length));
    }
}
