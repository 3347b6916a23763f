//! The ledger: decides every record, chains it, stores it, answers from what is synced.
//!
//! `state`, `decide` (with `genesis`, `slots` and `admin`), `plan` and `keys` are pure. `store` is the only file
//! that talks to RocksDB, `writer` the only one that advances a ledger, `ledger` what everybody else reads.

mod admin;
pub mod decide;
mod genesis;
pub mod inflight;
pub mod keys;
#[expect(clippy::module_inception, reason = "the ledger's read side is what the module is about")]
pub mod ledger;
pub mod nodes;
pub mod plan;
pub mod recent;
pub mod recover;
pub mod replay;
pub mod rows;
mod slots;
pub mod state;
pub mod store;
mod views;
pub mod writer;

pub use ledger::{Head, Ledger};
