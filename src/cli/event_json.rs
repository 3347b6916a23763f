//! Entries as JSON: header fields by name, digests in hex, the event whole.

use serde_json::{Value, json};

use crate::event::{Header, Kind, canonical, proto::Body};

use super::output;

/// A header.
pub fn header(header: &Header) -> Value {
    json!({
        "seq": header.seq,
        "kind": header.kind.map(Kind::name),
        "outcome": header.outcome.name(),
        "reason": header.reason.name(),
        "flags": header.flags,
        "rules": header.rules,
        "record_len": header.record_len,
        "recorded_at": header.recorded_at,
        "recorded_at_utc": output::utc(header.recorded_at),
        "refers_to": header.refers_to,
        "prev_link": header.prev_link.to_string(),
        "record_digest": header.record_digest.to_string(),
        "event_digest": header.event_digest.to_string(),
        "state_root": header.state_root.to_string(),
    })
}

/// The body in a record; `None` where it cannot be read.
pub fn body(record: &[u8]) -> Option<Body> {
    canonical::decode(record).ok().map(|record| record.body)
}
