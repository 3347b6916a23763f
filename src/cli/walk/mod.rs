//! `walk`: one model through the six fields, on one page: what is frozen, and what would have to be reconstructed.

mod command;
mod findings;
mod from_ledger;
mod from_registry;
mod html;

pub use command::{Args, run};
