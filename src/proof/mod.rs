//! Proofs that need no trust in the server: the Merkle tree, checkpoints, receipts, verification.
//!
//! Pure, and all of it in the verify-only build. Not here: where hashes are stored (`ledger`), how proofs
//! travel (`api`).

pub mod bracket;
pub mod checkpoint;
pub mod cosignature;
pub mod keys;
pub mod position;
pub mod receipt;
mod signed;
pub mod status_list;
pub mod tile;
pub mod timestamp;
pub mod tree;
pub mod verify;
