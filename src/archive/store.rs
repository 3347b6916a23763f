//! Where pieces of the archive are kept: write-once, by name.

use crate::event::{Digest, Micros};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else is kept under this name; it is not replaced. Not retryable.
    #[error(
        "{0} holds other bytes than this ledger's: another writer was there first, or the ledgers differ"
    )]
    Occupied(String),
    /// What is kept there is longer than any piece.
    #[error("{name} has {length} bytes; a piece has at most {max}")]
    TooLong {
        /// The piece.
        name: String,
        /// Found.
        length: u64,
        /// Most that a piece has.
        max: usize,
    },
    /// The store has it, but does not hold it as it must.
    #[error("the archive's piece {name} is not locked as it must be: {why}")]
    Unlocked {
        /// The piece.
        name: String,
        /// What the store said.
        why: String,
    },
    /// The store cannot be reached, or is full. Retryable.
    #[error("the archive's store is unavailable: {0}")]
    Unavailable(String),
}

/// What a store says of what it keeps, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the whole, where the store keeps one.
    pub sha256: Option<Digest>,
    /// Until when it is locked, microseconds, or what is wrong with its lock, in words; `None` where the store locks nothing.
    pub lock: Option<Result<Micros, String>>,
}

/// Pieces by name. Names are relative paths of ASCII letters, digits, `-`, `.` and `/`. Shared by all nodes.
///
/// - **Write-once**: what is kept under a name is never replaced. `put` of the same bytes again is fine, of others is
///   [`Error::Occupied`].
/// - **Durability**: when `put` returns `Ok`, the bytes survive a power loss. A half-written piece is never visible.
/// - **Concurrency**: any number of `put` of one name at a time; one of them is kept.
#[tonic::async_trait]
pub trait PieceStore: Send + Sync {
    /// Keeps bytes under a name.
    async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error>;
    /// What is kept under a name, the earliest where there are several versions.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;
    /// What the store says of what is kept under a name, the earliest where there are several versions. Changes nothing.
    async fn stat(&self, name: &str) -> Result<Option<Kept>, Error>;
    /// Holds what is kept under a name at least until a time, where the store locks anything. Whether it is there.
    async fn hold(&self, name: &str, until: Micros) -> Result<bool, Error>;
    /// Where a name is, as a URI.
    fn uri(&self, name: &str) -> String;
}
