//! The promotion event: its types, its canonical bytes, its digests and the rules of the six fields.
//!
//! Pure: bytes and values in, values out. No I/O, no clock, no randomness; nothing in here knows where an
//! event is stored or how it travels. The byte layout is specified in [`mod@format`].

mod approvals;
pub mod canonical;
pub mod content;
pub mod custody;
pub mod digest;
pub mod gate;
pub mod header;
pub mod issuer;
pub mod json;
pub mod model;
mod problem;
pub mod promotion;
pub mod quorum;
pub mod review;
pub mod text;

#[doc = include_str!("FORMAT.md")]
pub mod format {}

/// Types generated from `proto/promotion/v1`: the model of everything that is stored or sent.
#[expect(missing_docs, reason = "documented in proto/; prost copies those comments")]
#[allow(clippy::all, clippy::unwrap_used, clippy::indexing_slicing, reason = "generated code")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/promotion.v1.rs"));
}

pub use header::Header;
pub use model::{Digest, KeyId, Kind, Micros, Outcome, Reason, Seq};
