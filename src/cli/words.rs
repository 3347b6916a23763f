//! Outcomes, reasons, people and sizes in words.

use std::collections::BTreeMap;

use crate::event::{
    Header, Outcome, Reason, canonical,
    proto::{Opened, PersonRef, SealedClaims},
};

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
        Reason::Precondition => "the slot had changed since it was checked",
        Reason::IdempotencyKey => "its idempotency key is not the one that its content gives",
        Reason::Genesis => "a ledger is opened once",
        Reason::Statement => {
            "the administrators' statement is not for this ledger and kind, or cannot be read"
        }
        Reason::Quorum => "too few administrators signed it",
        Reason::AdminSeq => "the administrators' statement is not the next one",
        Reason::AdminAct => "what the administrators ask for does not fit the ledger's state",
        Reason::Incomplete => "one of the six fields is missing or does not agree with the others",
        Reason::Target => "the promotion that it is about cannot be chosen for this",
    }
}

/// People of an event: by pseudonym, or by name where the sealed items were opened.
pub struct People(Option<BTreeMap<Vec<u8>, Option<SealedClaims>>>);

impl People {
    /// From the opened items; `None` if opening them was not asked for.
    pub fn new(opened: Option<&[Opened]>) -> Self {
        let one = |item: &Opened| {
            let claims = (!item.erased).then(|| canonical::decode_exact(&item.claims)).flatten();
            (item.subject_id.clone(), claims)
        };
        Self(opened.map(|items| items.iter().map(one).collect()))
    }

    /// A person in words.
    pub fn name(&self, person: Option<&PersonRef>) -> String {
        let Some(person) = person else { return "nobody".into() };
        let short: String = hex::encode(&person.subject_id).chars().take(12).collect();
        match self.0.as_ref().map(|people| people.get(&person.subject_id)) {
            None => format!("person {short} of {} (sealed)", person.issuer),
            Some(None | Some(None)) => format!("person {short} of {} (erased)", person.issuer),
            Some(Some(Some(claims))) if claims.name.is_empty() => {
                format!("{} of {}", claims.subject, person.issuer)
            }
            Some(Some(Some(claims))) => format!("{} ({} of {})", claims.name, claims.subject, person.issuer),
        }
    }

    /// What a person wrote at a path, where it was opened.
    pub fn statements(&self, prefix: &str) -> Vec<(String, String)> {
        let all = self.0.iter().flat_map(BTreeMap::values).flatten().flat_map(|claims| &claims.statements);
        let under = all.filter(|statement| statement.path.starts_with(prefix));
        under.map(|s| (s.path.trim_start_matches(prefix).to_owned(), s.text.clone())).collect()
    }

    /// All groups of a person, where they were opened.
    pub fn groups(&self, person: Option<&PersonRef>) -> Option<&[String]> {
        let claims = self.0.as_ref()?.get(&person?.subject_id)?.as_ref()?;
        Some(&claims.groups)
    }
}

/// Bytes, as people read them.
pub fn bytes(length: u64) -> String {
    match length {
        0..10_000 => format!("{length} bytes"),
        10_000..10_000_000 => format!("{:.0} kB", length as f64 / 1e3),
        _ => format!("{:.1} MB", length as f64 / 1e6),
    }
}
