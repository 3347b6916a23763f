//! The ledger: decides every record, chains it, stores it, answers from what is synced.
//!
//! `state`, `decide` (with `genesis`, `slots`, `gates`, `custody`, `reviews` and `admin`), `plan` and `keys` are pure. `store` is
//! the only file that talks to RocksDB (`first_failure` finds the reason where one fault ends two of its calls), `writer` the
//! only one that advances a ledger, `ledger` what everybody else reads.

mod admin;
pub mod comparison;
pub mod custody;
pub mod decide;
mod first_failure;
pub mod gates;
mod gathering;
mod genesis;
pub mod inflight;
pub mod issuers;
pub mod keys;
#[expect(clippy::module_inception, reason = "the ledger's read side is what the module is about")]
pub mod ledger;
pub mod node_key;
pub mod nodes;
pub mod plan;
pub mod prepared;
mod proofs;
pub mod recent;
pub mod recover;
pub mod remembered;
pub mod replay;
pub mod review_rows;
pub mod reviews;
pub mod rows;
mod slots;
pub mod state;
pub mod store;
mod views;
pub mod writer;

pub use ledger::{Head, Ledger};
