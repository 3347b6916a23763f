//! The log on Apache Kafka: one partition of one topic, whose offsets are the ledger's sequence numbers.
//!
//! This is not a general client. Everything that could reorder, lose or invent a record is pinned, checked when
//! the log is opened, or refused; what cannot be known (whether a timed-out append was kept) is said so and
//! left to the ledger's writer, who sees duplicates by their digest.
//!
//! `config` (what an operator says, and what is pinned) -> `topic` (is this topic fit?) -> `partition` (the
//! log) -> `producer` (values out), `tail` (values in, `fate` of an error); `client` holds what all clients share.

mod client;
mod config;
mod fate;
pub mod output;
mod partition;
mod producer;
mod tail;
mod topic;

pub use client::wait_until_closed;
pub use config::{Config, property};
pub use partition::Kafka;
