//! The ledger: decides every record, chains it, stores it, answers from what is synced.
//!
//! `state`, `decide`, `plan` and `keys` are pure. `store` is the only file that talks to RocksDB's entries,
//! `writer` the only one that advances the ledger.

pub mod decide;
pub mod plan;
pub mod state;
