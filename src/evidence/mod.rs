//! Evidence: the exact bytes that were shown, by their SHA-256, where they cannot be quietly replaced.
//!
//! - `store`: what every store promises; `filesystem` and `s3` keep it.
//! - `spool`: an upload on its way, which goes on where it broke off.
//! - `standing`: what a node found out about its store by trying to break it.

pub mod filesystem;
pub mod personal;
pub mod s3;
pub mod spool;
pub mod standing;
mod store;

pub use store::{Attempt, Chunks, Description, Error, EvidenceStore, Probe, Stored};
