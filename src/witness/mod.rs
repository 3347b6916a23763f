//! Witnesses (C2SP tlog-witness): others who see every checkpoint, and sign that each continues the one before.
//!
//! One round at a time: the newest synced checkpoint goes to every witness, so that all cosign the same size; what was
//! recorded meanwhile waits for the next round. A checkpoint with enough cosignatures is what `/checkpoint` and receipts
//! show. `anchor` puts checkpoints into write-once storage of somebody else's, `stamps` has those time-stamped that cover a
//! human approval. NOT the writer: nothing here is asked before an entry is synced.

mod anchor;
pub mod anchored;
mod client;
mod config;
pub mod kept;
mod peers;
mod split_view;
pub mod stamps;
mod worker;

pub use config::{AnchorConfig, Authority, Config, Witness};
pub use worker::{Error, Parts, Witnesses};
