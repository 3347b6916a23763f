//! Entries as JSON: header fields by name, digests in hex, the event whole.

use serde_json::{Value, json};

use crate::event::{
    Header, Kind, Seq, canonical,
    proto::{Body, Opened, PersonRef, SealedClaims, Slot, body::Event},
};

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

/// An event: idempotency key, basis, preconditions, and its fields by name.
pub fn event(body: &Body) -> Value {
    let mut whole = json!(body);
    if let (Some(object), Some(event)) = (whole.as_object_mut(), &body.event) {
        object.insert("event".into(), event_only(event));
    }
    whole
}

/// An event's own fields; an admin act with its statement and payload decoded.
pub fn event_only(event: &Event) -> Value {
    let mut whole = json!(event);
    // serde names the variant; the kind stands in the header already.
    if let Some(object) = whole.as_object_mut()
        && object.len() == 1
        && let Some((_, inner)) = std::mem::take(object).into_iter().next()
    {
        whole = inner;
    }
    if let Some(statement) = canonical::admin_act(event).and_then(canonical::statement)
        && let Some(object) = whole.as_object_mut()
    {
        object.insert(
            "decoded".into(),
            json!({
                "ledger_id": hex::encode(&statement.ledger_id),
                "kind": u8::try_from(statement.kind).ok().and_then(Kind::from_number).map(Kind::name),
                "admin_seq": statement.admin_seq,
                "payload": payload(canonical::kind_of(event), &statement.payload),
            }),
        );
    }
    whole
}

fn payload(kind: Kind, bytes: &[u8]) -> Option<Value> {
    use crate::event::proto::{
        ClockReset, GateModeSet, IssuerListed, KeyAdded, KeyCompromised, KeyRetired, PolicyActivated,
        RulesActivated,
    };
    match kind {
        Kind::RulesActivated => {
            canonical::decode_exact::<RulesActivated>(bytes).map(|payload| json!(payload))
        }
        Kind::KeyAdded => canonical::decode_exact::<KeyAdded>(bytes).map(|payload| json!(payload)),
        Kind::KeyRetired => canonical::decode_exact::<KeyRetired>(bytes).map(|payload| json!(payload)),
        Kind::KeyCompromised => {
            canonical::decode_exact::<KeyCompromised>(bytes).map(|payload| json!(payload))
        }
        Kind::PolicyActivated => {
            canonical::decode_exact::<PolicyActivated>(bytes).map(|payload| json!(payload))
        }
        Kind::IssuerListed => canonical::decode_exact::<IssuerListed>(bytes).map(|payload| json!(payload)),
        Kind::GateModeSet => canonical::decode_exact::<GateModeSet>(bytes).map(|payload| json!(payload)),
        Kind::ClockReset => canonical::decode_exact::<ClockReset>(bytes).map(|payload| json!(payload)),
        _ => None,
    }
}

/// Sealed items that were opened.
pub fn opened(items: &[Opened]) -> Vec<Value> {
    let one = |item: &Opened| {
        let claims = canonical::decode_exact::<SealedClaims>(&item.claims).filter(|_| !item.erased);
        json!({
            "subject_id": hex::encode(&item.subject_id), "erased": item.erased, "claims": claims,
            "erased_by": item.erased_by_seq, "erased_at_utc": (item.erased_at > 0).then(|| output::utc(item.erased_at)),
        })
    };
    items.iter().map(one).collect()
}

/// Slot, promotion, actor and request of a roll-back, revocation or retirement.
pub fn slot_act(event: &Event) -> Option<(Option<&Slot>, Seq, Option<&PersonRef>, &str)> {
    match event {
        Event::RolledBack(e) => Some((e.slot.as_ref(), e.to_seq, e.actor.as_ref(), &e.request_id)),
        Event::Revoked(e) => Some((e.slot.as_ref(), e.promoted_seq, e.actor.as_ref(), &e.request_id)),
        Event::Retired(e) => Some((e.slot.as_ref(), e.promoted_seq, e.actor.as_ref(), &e.request_id)),
        _ => None,
    }
}
