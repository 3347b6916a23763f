//! An accepted entry as a CloudEvent (1.0) in the binary mode of its Kafka binding. Pure.
//!
//! | header | what |
//! |---|---|
//! | `ce_id` | the entry's idempotency key, hex: as on the intake topic |
//! | `ce_source` | the ledger's name |
//! | `ce_type` | `promotion.v1.` and the kind |
//! | `ce_time` | recorded_at |
//! | `ce_sequence` | seq in 20 digits (CloudEvents' extension *sequence*): the position that a relay derives |
//! | `ce_ledgerid` | whose entries they are |
//! | `ce_eventdigest` | SHA-256 of the event's body, hex: what a registry points to |
//! | `content-type` | `application/json`, or `application/protobuf`: the body itself, whose sha256sum is the digest |

use serde_json::json;

use crate::{
    cli::{event_json, output},
    event::{Header, Outcome, Seq, canonical, promotion::slot_of},
    log::kafka::output::{ReadHeaders, Record},
};

/// What a consumer gets as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Data {
    /// The event, fields by name.
    #[default]
    Json,
    /// The event's canonical body (proto/promotion/v1/record.proto, Body).
    Protobuf,
}

/// Whose entries they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Name.
    pub origin: String,
    /// Hex.
    pub ledger_id: String,
}

/// The record of an entry; `None`: it is not accepted, and nobody is told.
pub fn record(ledger: &Ledger, header: &Header, record: &[u8], data: Data) -> Option<Record> {
    let kind = header.kind.filter(|_| header.outcome == Outcome::Accepted)?;
    let decoded = canonical::decode(record).ok()?;
    let event = decoded.body.event.as_ref()?;
    let slot = slot_of(event);
    let (content_type, value) = match data {
        Data::Protobuf => ("application/protobuf", decoded.envelope.body.clone()),
        Data::Json => {
            let value = json!({
                "seq": header.seq, "kind": kind.name(), "recorded_at": output::utc(header.recorded_at),
                "event_digest": header.event_digest.to_string(), "refers_to": header.refers_to,
                "idempotency_key": hex::encode(&decoded.body.idempotency_key),
                "event": event_json::event_only(event),
            });
            ("application/json", value.to_string().into_bytes())
        }
    };
    let headers = vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", hex::encode(&decoded.body.idempotency_key)),
        ("ce_type", format!("promotion.v1.{}", kind.name())),
        ("ce_source", ledger.origin.clone()),
        ("ce_time", output::utc(header.recorded_at)),
        (SEQUENCE, format!("{:020}", header.seq)),
        (LEDGER_ID, ledger.ledger_id.clone()),
        ("ce_eventdigest", header.event_digest.to_string()),
        ("content-type", content_type.to_owned()),
    ];
    Some(Record { key: slot.map(|slot| slot.model.clone()).unwrap_or_default(), headers, value })
}

const SEQUENCE: &str = "ce_sequence";
const LEDGER_ID: &str = "ce_ledgerid";

/// The entry that comes after the last one on a topic.
///
/// # Errors
/// In words: the topic is another ledger's, or nobody's.
pub fn next(ledger: &Ledger, last: &ReadHeaders) -> Result<Seq, String> {
    let text = |name: &str| last.get(name).map(String::as_str).unwrap_or_default();
    match text(LEDGER_ID) {
        id if id == ledger.ledger_id => {}
        "" => return Err("its last record was not published by a relay".into()),
        id => return Err(format!("its last record is of ledger {id}, not of {}", ledger.ledger_id)),
    }
    let seq: Seq = text(SEQUENCE).parse().map_err(|_| format!("its last record has no {SEQUENCE}"))?;
    Ok(seq + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger { origin: "ledger.example/a".into(), ledger_id: "ab".repeat(32) }
    }

    #[test]
    fn the_position_is_read_from_the_last_record_of_this_ledger_alone() {
        let headers = |id: &str, sequence: &str| {
            ReadHeaders::from([(LEDGER_ID.into(), id.into()), (SEQUENCE.into(), sequence.into())])
        };
        assert_eq!(next(&ledger(), &headers(&"ab".repeat(32), "00000000000000000041")), Ok(42));
        assert!(next(&ledger(), &headers(&"cd".repeat(32), "00000000000000000041")).is_err());
        assert!(next(&ledger(), &headers(&"ab".repeat(32), "x")).is_err());
        assert!(next(&ledger(), &ReadHeaders::new()).is_err());
    }
}
