//! Materiality routing: from what changed, and not from what anybody says of it, to how much evidence a promotion
//! needs and whose approval (design section 5).
//!
//! ```text
//! profile.json ─ profile ┐
//! artefact ── mlmodel ───┼─ provenance ─┐
//! attestation ── dsse ───┘              ├─ inputs (change, since_human) ─ route ─ requirements
//! the slot's earlier profiles ──────────┘                                  │
//! policy.yaml ─ file ─ structure, expression ─ check ─ cases ──────────────┤
//!                                                               floor ─────┘
//! ```
//!
//! Pure: bytes and values in, values out. The front door derives [`Inputs`] once and freezes them in the event;
//! every node, and everyone who verifies, routes them again with the policy that the ledger holds, and must come
//! to the same [`Route`] and the same shortfalls.
//!
//! What this is not: a judgement whether a model is good. It says who has to judge, and on what.

pub mod audit;
mod band;
mod calendar;
pub mod cases;
pub mod change;
pub mod check;
mod document;
pub mod dsse;
mod expression;
pub mod file;
pub mod floor;
pub mod followed;
pub mod inputs;
pub mod mlmodel;
pub mod profile;
mod profile_reading;
pub mod provenance;
pub mod recheck;
pub mod requirements;
pub mod route;
pub mod schema;
mod structure;
pub mod table;
#[cfg(test)]
mod tests;
pub mod types;
mod values;

pub use check::{Finding, Policy, compile, load};
pub use floor::{BelowFloor, below_floor};
pub use inputs::{Facts, Inputs, Previous, derive};
pub use profile::ModelProfile;
pub use provenance::{Established, Provenance, Source, establish};
pub use requirements::Submitted;
pub use route::{ENGINE, Route};
