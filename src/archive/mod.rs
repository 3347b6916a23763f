//! The ledger's own archive: headers, records and checkpoints in the evidence store, where nobody can delete or
//! replace them. Whoever deletes topic and directories has deleted nothing (design section 8).
//!
//! - `pieces`: names and bytes, pure; every node writes the same ones, so races between nodes are harmless.
//! - `store`: where pieces are kept, put-if-absent; `filesystem`, and `s3` under Object Lock.
//! - `archiver`: writes what is new; says how far it is.
//! - `check`: looks at what was archived before, in turns.
//! - `reader`: finds and reads what is there, and compares it with a ledger.

pub mod archiver;
pub mod check;
pub mod filesystem;
pub mod pieces;
pub mod reader;
pub mod s3;
pub mod store;
