//! Admission: what a caller asks for -> a signed record on the log -> a receipt.
//!
//! Everything that needs a clock, a network or a secret happens here, once, and its result is in the record; the
//! ledger's rules then decide from the record alone.

pub mod acts;
pub mod break_glass;
pub mod check;
pub mod custody;
pub mod draft;
mod evidence;
mod gates;
pub mod gateway;
pub mod logins;
mod observe;
pub mod promote;
pub mod reviews;
pub mod routing;
mod sealed_evidence;
pub mod slot_acts;
mod submit;

use crate::event::{Reason, promotion::Problem};

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
    /// The slot, or a legal hold, changed while the request was on its way. Look at it and decide anew.
    #[error(
        "what this request relied on changed while it was on its way; compare with the current model and decide again"
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
    /// Recorded, but not cosigned in time.
    #[error(
        "recorded as entry {seq}, but not enough witnesses cosigned a checkpoint over it within {seconds} s; ask again with the same request: it stays one event"
    )]
    Unwitnessed {
        /// The entry.
        seq: crate::event::Seq,
        /// How long was waited.
        seconds: u64,
    },
    /// The ledger's rules refused what admission let through: a fault of this node, or an administrator was faster.
    #[error("the ledger refused the record: {}{}", .0, advice(*.0))]
    Refused(Reason),
    /// A fault of this node.
    #[error("{0}")]
    Internal(String),
}

/// What somebody who meets a refusal of an administrators' act can do.
const fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::Quorum => {
            ", too few administrators signed it; sign with admin keys of this ledger (made by `init`), not with a node's"
        }
        Reason::AdminSeq => {
            ", another act of the administrators was recorded since it was prepared; prepare it again and sign that"
        }
        Reason::Statement => ", the statement is for another ledger or another kind of act",
        Reason::AdminAct => {
            ", it does not fit what is in force: it is in force already, or names a key, version or entry that is not there"
        }
        _ => "",
    }
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
