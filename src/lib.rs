//! placeholder codemap
#![forbid(unsafe_code)]
pub mod event;
pub mod ledger;
pub mod proof;
