//! The log: one ordered, durable sequence of values that every node reads from its start.
//!
//! Two implementations: [`embedded`], where the ledger itself is the durable log, and [`kafka`], one partition
//! of a topic. The ledger's rules decide what a value means; a log only orders and keeps bytes.

pub mod embedded;
pub mod kafka;

use std::time::Duration;

use crate::event::{Digest, Kind, Micros, Seq};

/// A value to append, and what consumers of the topic see around it. Only the value is the record.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The signed record.
    pub value: Vec<u8>,
    /// Topic key: the model's name; empty for acts that concern no model.
    pub model: String,
    /// CloudEvents id.
    pub idempotency_key: Digest,
    /// CloudEvents type.
    pub kind: Kind,
    /// CloudEvents source: the ledger's origin. Empty for a value that is no event: then nothing stands around it.
    pub origin: String,
    /// CloudEvents time.
    pub recorded_at: Micros,
}

/// A value that the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its offset.
    pub offset: Seq,
    /// Its bytes; empty for a null or empty value.
    pub value: Vec<u8>,
    /// The log's own time of the append, where it keeps one.
    pub appended_at: Option<Micros>,
}

/// Why a log did not do what it was asked. Three fates: the caller waits, the caller asks again, the node halts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was appended: too many values are on their way already.
    #[error("the log's queue is full; try again")]
    Full,
    /// Nothing was appended, and never will be: the value is larger than the log takes.
    #[error("the record has {len} bytes; the log takes {max}")]
    TooLarge {
        /// Bytes of the value.
        len: usize,
        /// Most that the log takes.
        max: usize,
    },
    /// Whether it was appended is not known: only the ledger's entries tell. Retryable.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The log is not the one that this ledger was built from, or its settings do not keep what it acknowledges.
    #[error("{0}")]
    Unfit(String),
}

/// An ordered, durable log. Shared by all tasks of a node.
///
/// - **Order**: offsets grow by at least one; a value keeps its offset and bytes for ever.
/// - **Durability**: when `append` returns `Ok`, the log will deliver the value, exactly these bytes, at least
///   once, and nothing short of losing the log undoes that. An embedded log adds no durability of its own: there
///   the caller is told only after the ledger synced the entry, which is so for every log.
/// - **Concurrency**: `append` may be called from many tasks at once; the log chooses the order. Queues are
///   bounded: [`Error::Full`] comes at once, it does not wait.
/// - **Cancellation**: dropping the future of `append` does not take the value back.
#[tonic::async_trait]
pub trait Log: Send + Sync {
    /// Appends a value.
    async fn append(&self, outgoing: Outgoing) -> Result<(), Error>;

    /// Reads from an offset on. One tail is for the thread that writes the ledger; others may read again what stands
    /// before [`Log::end`], of a log that has one.
    fn tail(&self, from: Seq) -> Result<Box<dyn Tail>, Error>;

    /// The offset after the last value, asked of the log now. `None`: the ledger itself is the log.
    async fn end(&self) -> Result<Option<Seq>, Error>;
}

/// A reader of a log. Blocking.
pub trait Tail: Send {
    /// The next values in order, at most `max`; empty if none came within `wait`. Offsets may skip (transaction
    /// markers), never repeat or go back: that is [`Error::Unfit`].
    fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error>;
}
