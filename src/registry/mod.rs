//! The model registry follows the ledger, and is compared with it.
//!
//! - `follow`: after a promotion the pointer is set as a tag of the version, then the alias moves; with a cursor of its own,
//!   so that a registry that is away delays the pointer and never the event.
//! - `sweep`: the control. Aliases that moved without a promotion, pointers changed or removed, bytes that are not the
//!   promoted ones: each an entry and an alert.
//! - `webhook`: the speed-up. A registry says that something changed, and that model is swept at once.
//! - `expected`, `pointer`, `comparison`: what the registry should say, and how it differs; pure.
//!
//! NOT the gate: what a registry says lets nothing into production.

mod comparison;
mod config;
mod expected;
mod follow;
mod pointer;
mod sweep;
pub mod webhook;
mod worker;

pub use config::{Config, Target};
pub use sweep::Swept;
pub use webhook::{Headers, Refusal};
pub use worker::{Error, Parts, Registries, Registry, Status};
