//! Outcomes and reasons in words.

use crate::event::{Header, Outcome, Reason};

pub use crate::page::{people::People, words::bytes};

/// What the ledger decided, in words.
pub fn outcome(header: &Header) -> String {
    let refers = header.refers_to.map(|seq| format!(" (entry {seq})")).unwrap_or_default();
    match header.outcome {
        Outcome::Accepted => format!("accepted{refers}"),
        Outcome::Duplicate => format!("duplicate{refers}: this had been recorded already"),
        Outcome::Refused => format!("refused ({}): {}", header.reason, reason(header.reason)),
        Outcome::Malformed => format!("malformed ({}): {}", header.reason, reason(header.reason)),
    }
}

/// A reason in words.
pub const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::None => "",
        Reason::Hole => "there is no value at this offset of the log",
        Reason::Framing => "the value is not a signed record",
        Reason::Size => "the value is larger than 256 KiB",
        Reason::Canonical => "encoding the record again gives other bytes",
        Reason::Kind => "the record is of a kind that these rules do not have",
        Reason::Version => "the record was made under another version of the rules",
        Reason::Key => "the signing key is not, or no longer, one of this ledger's",
        Reason::Signature => "the signature does not verify",
        Reason::Role => "the signing key may not sign this kind of record",
        Reason::Conflict => "this promotion is recorded already, with other content",
        Reason::Fork => "it was made on a chain that is not this one",
        Reason::Stale => "it was made too long ago",
        Reason::Precondition => "what it relied on had changed since it was checked",
        Reason::IdempotencyKey => "its idempotency key is not the one that its content gives",
        Reason::Genesis => "a ledger is opened once",
        Reason::Statement => {
            "the administrators' statement is not for this ledger and kind, or cannot be read"
        }
        Reason::Quorum => "too few administrators signed it",
        Reason::AdminSeq => "the administrators' statement is not the next one",
        Reason::AdminAct => "what the administrators ask for does not fit the ledger's state",
        Reason::Incomplete => "something that its kind needs is missing or does not agree with the rest",
        Reason::Target => "the entry that it is about cannot be chosen for this",
    }
}
