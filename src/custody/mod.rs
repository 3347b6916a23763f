//! What a running node does for evidence and people besides answering.
//!
//! - `erasures`: it erases whom the ledger says to erase.
//! - `probing`: it tries to break its evidence store.
//! - `records`: subject records in a bucket.
//! - `rechecks`: it looks at all evidence and its archive again, within a period; `examination` is one look, `round` where
//!   the walk is, and `reached` what of that is told.

pub mod erasures;
pub mod examination;
pub mod probing;
pub mod reached;
pub mod rechecks;
pub mod records;
pub mod round;
