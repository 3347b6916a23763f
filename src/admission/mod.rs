//! Admission: what a caller asks for -> a signed record on the log -> a receipt.
//!
//! Everything that needs a clock, a network or a secret happens here, once, and its result is in the record; the
//! ledger's rules then decide from the record alone.

pub mod check;
pub mod draft;
pub mod gateway;
pub mod promote;
pub mod routing;
pub mod slot_acts;
mod submit;

use crate::event::promotion::Problem;

/// Why a call was not done. One variant for each thing that a caller does next.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Mend the request: all problems at once.
    #[error("{} in the request", count(.0))]
    Invalid(Vec<Problem>),
    /// Another event holds this idempotency key; these fields differ from it. Final.
    #[error("entry {seq} already records this promotion with other content: {}", .fields.join(", "))]
    Conflict {
        /// The event that holds the key.
        seq: u64,
        /// Field paths in which the content differs.
        fields: Vec<String>,
    },
    /// The state does not allow it; look at the slot and decide anew. Final for this request.
    #[error("{} {}", .0.field, .0.description)]
    Precondition(Problem),
    /// The slot changed while the request was on its way. Look at the slot and decide anew.
    #[error(
        "the slot changed while this request was on its way; compare with its current model and decide again"
    )]
    Raced,
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Too much is on its way; ask again soon.
    #[error("{0}")]
    Exhausted(String),
    /// Something that is needed is not there; ask again with the same request.
    #[error("{0}")]
    Unavailable(String),
    /// It may or may not have happened; ask again with the same request to learn which.
    #[error("not confirmed within {0} s; send the same request again to learn whether it was recorded")]
    Unconfirmed(u64),
    /// The ledger's rules refused what admission let through: a fault of this node, or an administrator was faster.
    #[error("the ledger refused the record: {0}")]
    Refused(crate::event::Reason),
    /// A fault of this node.
    #[error("{0}")]
    Internal(String),
}

fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "1 problem".into(),
        n => format!("{n} problems"),
    }
}

impl From<crate::ledger::store::Error> for Error {
    fn from(error: crate::ledger::store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
