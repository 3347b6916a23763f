//! Projections: rows for look-ups, folded from synced entries, rebuilt at will.
//!
//! `fold` and `keys` are pure. Nothing here decides anything: dropping every row and folding again gives the same
//! rows, and no proof depends on them.

pub mod dates;
pub mod fold;
pub mod held;
pub mod keys;
pub mod query;
pub mod reliance;
pub mod reviews;
pub mod routing;
pub mod worker;
