//! What every store of evidence promises. `tests/it/evidence_contract.rs` holds each implementation to it.

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
    /// Bytes that the store received before an upload broke off; the chunks start there. 0: from the beginning.
    pub offset: u64,
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The stream of chunks broke off. What came is kept for a day; ask how much, and go on from there.
    #[error("the upload broke off: {0}")]
    BrokenOff(String),
    /// The store holds bytes under this digest that do not have it.
    #[error("the stored bytes of {0} were changed: they no longer have that digest")]
    Damaged(Digest),
    /// The store has the bytes, but does not hold them as it must.
    #[error("the stored bytes of {sha256} are not locked as they must be: {why}")]
    Unlocked {
        /// Which.
        sha256: Digest,
        /// What the store said.
        why: String,
    },
    /// The store cannot be reached, refuses the node's credentials, or its disk is full. Retryable.
    #[error("the evidence store is unavailable: {0}")]
    Unavailable(String),
}

/// What a store let happen when a node tried to break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The store, as its evidence URIs start.
    pub uri: String,
    /// In the order in which they were tried.
    pub attempts: Vec<Attempt>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `lock`, `shorten`, `weaken`, `overwrite`, `delete`, `change`.
    pub attempt: &'static str,
    /// Whether the store let it happen.
    pub allowed: bool,
    /// What it answered.
    pub answer: String,
}

impl Probe {
    /// Whether everything that was tried was refused.
    pub fn write_once(&self) -> bool {
        !self.attempts.is_empty() && self.attempts.iter().all(|attempt| !attempt.allowed)
    }
}

/// Chunks of an upload.
pub type Chunks<'a> = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send + 'a>>;

/// A content-addressed store. Shared by all nodes of a ledger.
///
/// - **Integrity**: `put` keeps nothing unless length and SHA-256 are as described. What `stat` finds has that digest:
///   by the store's own checksum of the whole object, or because this process has read it since it last changed.
/// - **Lock**: a store whose proof says `compliance` proves it for each answer: that version, locked, until when.
/// - **Durability**: when `put` returns `Ok`, the bytes survive a power loss. A half-written upload is never visible.
/// - **Concurrency**: any number of `put` of the same bytes; all succeed, and none of them replaces what is kept.
/// - **Memory**: none of these calls holds more than `max` bytes, or a few chunks, in memory.
#[tonic::async_trait]
pub trait EvidenceStore: Send + Sync {
    /// Keeps bytes.
    async fn put(&self, description: &Description, chunks: Chunks<'_>, now: Micros) -> Result<Stored, Error>;
    /// Bytes of an upload that broke off on this node, from which a `put` may go on.
    fn received(&self, sha256: &Digest) -> u64;
    /// What the store has under a digest, its lock asked for now. `version_id`: of that version only; empty: of any.
    async fn stat(&self, sha256: &Digest, version_id: &str, now: Micros) -> Result<Option<Stored>, Error>;
    /// Holds such a version at least until a time; `None` if the store does not have it.
    async fn retain(
        &self,
        sha256: &Digest,
        version_id: &str,
        until: Micros,
        now: Micros,
    ) -> Result<Option<Stored>, Error>;
    /// Tries to delete, weaken and replace what must not be, with the credentials that the node has, on an object
    /// made for that. `None`: a store that promises nothing. An error: it could not be found out.
    async fn probe(&self, now: Micros) -> Result<Option<Probe>, Error>;
    /// Bytes `[offset, offset + max)` of that version, or of any if it is empty, fewer at the end; `None` if the store
    /// does not have them. They are as stored: who relies on them hashes them.
    async fn read(
        &self,
        sha256: &Digest,
        version_id: &str,
        offset: u64,
        max: usize,
    ) -> Result<Option<Vec<u8>>, Error>;
}
