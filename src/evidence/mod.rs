//! Evidence: the exact bytes that were shown, by their SHA-256, where they cannot be quietly replaced.

pub mod filesystem;

use bytes::Bytes;
use tokio_stream::Stream;

use crate::event::{Digest, Micros, proto::LockProof};

/// What a store says about bytes that it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Where they are.
    pub uri: String,
    /// The store's version id; empty where it has none.
    pub version_id: String,
    /// Bytes.
    pub length: u64,
    /// What the store answered when it was asked for its lock.
    pub lock: LockProof,
}

/// What a caller says about bytes that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// SHA-256.
    pub sha256: Digest,
    /// Bytes.
    pub length: u64,
    /// RFC 6838.
    pub media_type: String,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not what was described; nothing was kept.
    #[error("the bytes have {found}, but {expected} was stated")]
    Mismatch {
        /// Digest or length found.
        found: String,
        /// Digest or length stated.
        expected: String,
    },
    /// More bytes than the store takes.
    #[error("evidence of {length} bytes is too large; at most {max}")]
    TooLarge {
        /// Stated or found.
        length: u64,
        /// Most that is taken.
        max: u64,
    },
    /// The stream of chunks broke off; nothing was kept.
    #[error("the upload broke off: {0}")]
    BrokenOff(String),
    /// The store holds bytes under this digest that do not have it.
    #[error("the stored bytes of {0} were changed: they no longer have that digest")]
    Damaged(Digest),
    /// The store cannot be reached, or its disk is full. Retryable.
    #[error("the evidence store is unavailable: {0}")]
    Unavailable(String),
}

/// Chunks of an upload.
pub type Chunks<'a> = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send + 'a>>;

/// A content-addressed store. Shared by all nodes of a ledger.
///
/// - **Integrity**: `put` keeps nothing unless length and SHA-256 are as described; what `stat` finds was hashed
///   by this process since its file last changed.
/// - **Durability**: when `put` returns `Ok`, the bytes survive a power loss. A half-written upload is never visible.
/// - **Concurrency**: any number of `put` of the same bytes; all succeed, one copy is kept, none is overwritten.
#[tonic::async_trait]
pub trait EvidenceStore: Send + Sync {
    /// Keeps bytes.
    async fn put(&self, description: &Description, chunks: Chunks<'_>, now: Micros) -> Result<Stored, Error>;
    /// What the store has under a digest, its lock asked for now.
    async fn stat(&self, sha256: &Digest, now: Micros) -> Result<Option<Stored>, Error>;
    /// Bytes `[offset, offset + max)`, fewer at the end; `None` if the store does not have them.
    async fn read(&self, sha256: &Digest, offset: u64, max: usize) -> Result<Option<Vec<u8>>, Error>;
}
