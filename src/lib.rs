//! placeholder codemap
#![forbid(unsafe_code)]
pub mod event;
pub mod proof;

#[cfg(feature = "node")]
pub mod admission;
#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod clock;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
pub mod evidence;
#[cfg(feature = "node")]
pub mod identity;
#[cfg(feature = "node")]
pub mod keyfile;
#[cfg(feature = "node")]
pub mod ledger;
#[cfg(feature = "node")]
pub mod log;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod projection;
