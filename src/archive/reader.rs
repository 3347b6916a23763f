//! Finds and reads the pieces of an archive without a list of names: every name follows from a position.

use std::sync::Arc;

use crate::{
    event::{Digest, header::HEADER_LEN},
    ledger::{Ledger, store},
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        tile,
        verify::StoredEntry,
    },
};

use super::{
    pieces::{self, BUNDLE_LEN, Piece},
    store::{Error as StoreError, PieceStore},
};

/// Bundles that are looked for one by one after one that is not there, and then at doubling distances.
const LOOK_AHEAD: u64 = 16;
/// The farthest of those distances: 2^24 bundles are four thousand million entries.
const LOOK_AHEAD_DOUBLINGS: u32 = 24;

/// Why an archive cannot be read, naming the piece.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A piece is not there, and others show that it must be.
    #[error("the archive's piece {name} is missing: {why}")]
    Missing {
        /// Its name.
        name: String,
        /// What shows that it must be there.
        why: String,
    },
    /// A piece is not what its name says.
    #[error("the archive's piece {name} is damaged: {why}")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What an archive says against a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Conflict {
    /// It cannot be read.
    #[error("{0}")]
    Unread(#[from] Error),
    /// The ledger cannot be read.
    #[error("{0}")]
    Ledger(#[from] store::Error),
    /// The archive goes on where the ledger ends.
    #[error(
        "the archive in the evidence store holds {archived} entries, but this ledger has {size}: its end was lost or cut off; rebuild it with `rebuild --from-archive`"
    )]
    Behind {
        /// Size of the archive's checkpoint.
        archived: u64,
        /// Entries in the ledger.
        size: u64,
    },
    /// The archive holds another ledger's entries under the same genesis.
    #[error(
        "at size {size} the archive in the evidence store has the root {archived}, but this ledger has {found}: one of them was replaced; keep both and compare them"
    )]
    Fork {
        /// Size of the archive's checkpoint.
        size: u64,
        /// Its root.
        archived: Digest,
        /// The ledger's root at that size.
        found: Digest,
    },
}

/// The archive of one ledger.
#[derive(Clone)]
pub struct Archive {
    /// Where its pieces are.
    pub store: Arc<dyn PieceStore>,
    /// Whose they are.
    pub ledger_id: Digest,
}

impl Archive {
    /// Name of a piece.
    pub fn name(&self, piece: Piece) -> String {
        piece.name(&self.ledger_id)
    }

    fn missing(&self, piece: Piece, why: impl ToString) -> Error {
        Error::Missing { name: self.name(piece), why: why.to_string() }
    }

    fn damaged(&self, piece: Piece, why: impl ToString) -> Error {
        Error::Damaged { name: self.name(piece), why: why.to_string() }
    }

    async fn get(&self, piece: Piece) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store.get(&self.name(piece)).await?)
    }

    /// The checkpoint of a size, if the archive has one. Its signature is not looked at.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn checkpoint(&self, size: u64) -> Result<Option<String>, Error> {
        let piece = Piece::Checkpoint { size };
        let Some(bytes) = self.get(piece).await? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| self.damaged(piece, "it is no text"))
    }

    /// A checkpoint, opened with the log key.
    ///
    /// # Errors
    /// [`Error::Damaged`] if that key did not sign exactly this size.
    pub fn opened(&self, size: u64, note: &str, key: &LogKey) -> Result<Checkpoint, Error> {
        let piece = Piece::Checkpoint { size };
        let found = checkpoint::open(note, key).map_err(|error| self.damaged(piece, error))?;
        if found.size != size {
            return Err(self.damaged(piece, format!("it was signed for {} entries", found.size)));
        }
        Ok(found)
    }

    /// The checkpoint that comes after the end of a bundle, and its size: of the end of the next bundle, or the largest
    /// before it. `None`: the archive ends here.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none although a later bundle has one.
    pub async fn next_checkpoint(&self, from: u64) -> Result<Option<(u64, String)>, Error> {
        let full = from + BUNDLE_LEN;
        if let Some(note) = self.checkpoint(full).await? {
            return Ok(Some((full, note)));
        }
        if let Some(later) = self.later(full).await? {
            let why = format!("{} is there", self.name(Piece::Checkpoint { size: later }));
            return Err(self.missing(Piece::Checkpoint { size: full }, why));
        }
        self.partial(from, from).await
    }

    /// Size of a checkpoint that is there behind the one of a full bundle, which is not.
    async fn later(&self, full: u64) -> Result<Option<u64>, Error> {
        let near = 1..=LOOK_AHEAD;
        let far = (LOOK_AHEAD.ilog2() + 1..=LOOK_AHEAD_DOUBLINGS).map(|doubling| 1 << doubling);
        for ahead in near.chain(far) {
            let size = full + ahead * BUNDLE_LEN;
            if self.get(Piece::Checkpoint { size }).await?.is_some() {
                return Ok(Some(size));
            }
        }
        Ok(self.partial(full, full).await?.map(|(size, _)| size))
    }

    /// The checkpoint of the largest size above `above` and inside the bundle that begins at `from`.
    async fn partial(&self, from: u64, above: u64) -> Result<Option<(u64, String)>, Error> {
        for size in (above + 1..from + BUNDLE_LEN).rev() {
            if let Some(note) = self.checkpoint(size).await? {
                return Ok(Some((size, note)));
            }
        }
        Ok(None)
    }

    /// Entries `[from, to)` of one bundle; `from` is where it begins, `to` the size of a checkpoint.
    ///
    /// # Errors
    /// [`Error`], with the first bad piece.
    pub async fn entries(&self, from: u64, to: u64) -> Result<Vec<StoredEntry>, Error> {
        let why = format!("the checkpoint of {to} entries is there");
        let piece = Piece::Entries { bundle: from / BUNDLE_LEN, len: to - from };
        let bytes = self.get(piece).await?.ok_or_else(|| self.missing(piece, &why))?;
        let headers =
            tile::parse_bundle(&bytes, from).map_err(|error| self.damaged(piece, error.to_string()))?;
        if headers.len() as u64 != to - from {
            let why = format!("it holds {} entries, not {}", headers.len(), to - from);
            return Err(self.damaged(piece, why));
        }
        let mut records = Vec::with_capacity(headers.len());
        let mut at = from;
        while at < to {
            let (len, found) = self.records(at, to).await?.ok_or_else(|| {
                let longest = pieces::lengths_at(at, to).next().unwrap_or(1);
                self.missing(
                    Piece::Records { first: at, len: longest },
                    format!("nor is a shorter one, but {why}"),
                )
            })?;
            records.extend(found);
            at += len;
        }
        let entry = |(header, record): ([u8; HEADER_LEN], _)| StoredEntry { header: header.to_vec(), record };
        Ok(headers.into_iter().zip(records).map(entry).collect())
    }

    /// The longest piece of records that begins at a position.
    async fn records(&self, at: u64, to: u64) -> Result<Option<(u64, Vec<Vec<u8>>)>, Error> {
        for len in pieces::lengths_at(at, to) {
            let piece = Piece::Records { first: at, len };
            let Some(bytes) = self.get(piece).await? else { continue };
            let found = pieces::read_records(&bytes, len).map_err(|why| self.damaged(piece, why))?;
            return Ok(Some((len, found)));
        }
        Ok(None)
    }

    /// Where its last full bundle ends, found in steps that double: right if none is missing, never too much.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn end_at_least(&self) -> Result<u64, Error> {
        let (mut there, mut absent) = (0, 1);
        while self.checkpoint(absent * BUNDLE_LEN).await?.is_some() {
            (there, absent) = (absent, absent * 2);
        }
        while absent - there > 1 {
            let middle = there + (absent - there) / 2;
            match self.checkpoint(middle * BUNDLE_LEN).await? {
                Some(_) => there = middle,
                None => absent = middle,
            }
        }
        Ok(there * BUNDLE_LEN)
    }

    /// Size of the newest checkpoint in the last bundle of a ledger of so many entries; without one, where that bundle begins.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_inside(&self, size: u64) -> Result<u64, StoreError> {
        let from = size.saturating_sub(1) / BUNDLE_LEN * BUNDLE_LEN;
        for size in (from + 1..=size).rev() {
            if self.store.stat(&self.name(Piece::Checkpoint { size })).await?.is_some() {
                return Ok(size);
            }
        }
        Ok(from)
    }

    /// Compares what is archived with a ledger: the archive must not hold more, nor something else. The size from which
    /// on this ledger is not archived.
    ///
    /// # Errors
    /// [`Conflict`].
    pub async fn compare(&self, ledger: &Ledger, key: &LogKey) -> Result<u64, Conflict> {
        let full = self.end_at_least().await?;
        let size = ledger.head().state.size();
        let end = self.partial(full, full.max(size)).await?.map_or(full, |(size, _)| size);
        let here = self.checkpoint(size).await?.map(|_| size);
        for compared in [Some(end), here].into_iter().flatten().filter(|compared| *compared > 0) {
            let note = self.checkpoint(compared).await?.unwrap_or_default();
            let checkpoint = self.opened(compared, &note, key)?;
            if compared > size {
                return Err(Conflict::Behind { archived: compared, size });
            }
            let found = ledger.root_at(compared)?;
            if found != checkpoint.root {
                return Err(Conflict::Fork { size: compared, archived: checkpoint.root, found });
            }
        }
        Ok(here.unwrap_or(full))
    }
}
