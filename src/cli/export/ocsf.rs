//! An entry as an OCSF 1.3.0 event (<https://schema.ocsf.io>). Pure.
//!
//! What people and nodes do is *Entity Management* (3004) of a promotion, an approval, a key, a rule; what nodes find is a
//! *Detection Finding* (2004). Entries that are refused or malformed are there as failures: somebody tried. The whole event
//! stands under `unmapped`.

use serde_json::{Value, json};

use crate::{
    cli::{event_json, list},
    event::{Header, Kind, Outcome, canonical, promotion::slot_of},
};

const VERSION: &str = "1.3.0";
/// Microseconds of a millisecond.
const MILLI: u64 = 1_000;

/// Activity, its name, and what the entity is.
struct Act(u32, &'static str, &'static str);

/// Severity, its name.
struct Severity(u32, &'static str);

const INFORMATIONAL: Severity = Severity(1, "Informational");
const LOW: Severity = Severity(2, "Low");
const MEDIUM: Severity = Severity(3, "Medium");
const HIGH: Severity = Severity(4, "High");
const CRITICAL: Severity = Severity(5, "Critical");

/// The event for an entry, on one line when printed.
pub fn event(origin: &str, header: &Header, record: &[u8]) -> Value {
    let (slot, what) = list::summary(header, record);
    let kind = header.kind.map_or("malformed", Kind::name);
    let accepted = header.outcome == Outcome::Accepted;
    let severity = severity(header);
    let title = format!("{kind} {}: {slot} {what}", header.outcome);
    let (status_id, status) =
        if accepted || header.outcome == Outcome::Duplicate { (1, "Success") } else { (2, "Failure") };
    let finding = accepted && is_finding(header.kind);
    let Act(activity_id, activity_name, entity) = act(header.kind);
    let (class_uid, class_name, category_uid, category_name) = match finding {
        true => (2004, "Detection Finding", 2, "Findings"),
        false => (3004, "Entity Management", 3, "Identity & Access Management"),
    };
    let (activity_id, activity_name) = if finding { (1, "Create") } else { (activity_id, activity_name) };
    let mut event = json!({
        "class_uid": class_uid, "class_name": class_name, "category_uid": category_uid, "category_name": category_name,
        "activity_id": activity_id, "activity_name": activity_name, "type_uid": class_uid * 100 + activity_id,
        "time": header.recorded_at / MILLI, "severity_id": severity.0, "severity": severity.1,
        "status_id": status_id, "status": status, "status_detail": header.reason.name(), "message": title,
        "metadata": {
            "version": VERSION, "uid": format!("{origin}/{}", header.seq), "sequence": header.seq, "log_name": origin,
            "event_code": kind, "original_time": crate::cli::output::utc(header.recorded_at),
            "product": { "name": "promotion-ledger", "vendor_name": "promotion-ledger", "version": env!("CARGO_PKG_VERSION") },
        },
        "unmapped": { "header": event_json::header(header), "event": event_json::body(record).as_ref().map(event_json::event) },
    });
    let uid = header.event_digest.to_string();
    let name = entity_name(record).unwrap_or_else(|| format!("entry {}", header.seq));
    let own = match finding {
        true => ("finding_info", json!({ "uid": uid, "title": title, "types": [kind] })),
        false => ("entity", json!({ "uid": uid, "name": name, "type": entity })),
    };
    if let Some(object) = event.as_object_mut() {
        object.insert(own.0.to_owned(), own.1);
    }
    event
}

/// The model that the entry is about.
fn entity_name(record: &[u8]) -> Option<String> {
    let event = canonical::decode(record).ok()?.body.event?;
    Some(slot_of(&event)?.model.clone()).filter(|model| !model.is_empty())
}

const fn is_finding(kind: Option<Kind>) -> bool {
    matches!(
        kind,
        Some(
            Kind::EvidenceFinding
                | Kind::StoreProbed
                | Kind::RegistryFinding
                | Kind::AuditFinding
                | Kind::AttemptRefused
        )
    )
}

const fn severity(header: &Header) -> Severity {
    match (header.outcome, header.kind) {
        (Outcome::Malformed, _) => MEDIUM,
        (Outcome::Refused, _) => LOW,
        (_, Some(Kind::KeyCompromised)) => CRITICAL,
        (_, Some(Kind::BreakGlass | Kind::EvidenceFinding | Kind::RegistryFinding | Kind::AuditFinding)) => {
            HIGH
        }
        (
            _,
            Some(
                Kind::Revoked
                | Kind::Tainted
                | Kind::ClockReset
                | Kind::RulesActivated
                | Kind::GateModeSet
                | Kind::AttemptRefused
                | Kind::KeyShredded,
            ),
        ) => MEDIUM,
        _ => INFORMATIONAL,
    }
}

const fn act(kind: Option<Kind>) -> Act {
    match kind {
        None => Act(0, "Unknown", "record"),
        Some(kind) => match kind {
            Kind::LedgerOpened => Act(1, "Create", "ledger"),
            Kind::RulesActivated => Act(10, "Activate", "rules"),
            Kind::KeyAdded => Act(1, "Create", "key"),
            Kind::KeyRetired | Kind::KeyCompromised => Act(11, "Deactivate", "key"),
            Kind::IssuerListed | Kind::IssuerKeys => Act(3, "Update", "issuer"),
            Kind::PolicyActivated => Act(10, "Activate", "policy"),
            Kind::GateModeSet => Act(3, "Update", "gate mode"),
            Kind::ClockReset => Act(3, "Update", "clock"),
            Kind::ReviewSealed => Act(1, "Create", "review"),
            Kind::Approved | Kind::Declined | Kind::ChangesRequested => Act(3, "Update", "review"),
            Kind::ReviewClosed => Act(11, "Deactivate", "review"),
            Kind::Delegated => Act(3, "Update", "approver"),
            Kind::ConditionClosed => Act(3, "Update", "condition"),
            Kind::Promoted => Act(10, "Activate", "model"),
            Kind::RolledBack => Act(10, "Activate", "model"),
            Kind::Revoked | Kind::Retired => Act(11, "Deactivate", "model"),
            Kind::BreakGlass => Act(8, "Enable", "model"),
            Kind::Undocumented => Act(6, "Enroll", "model"),
            Kind::Tainted => Act(9, "Disable", "evidence"),
            Kind::LegalHoldSet => Act(8, "Enable", "legal hold"),
            Kind::LegalHoldReleased => Act(9, "Disable", "legal hold"),
            Kind::KeyShredded => Act(4, "Delete", "personal data"),
            Kind::AttemptRefused
            | Kind::EvidenceFinding
            | Kind::StoreProbed
            | Kind::RegistryFinding
            | Kind::AuditFinding => Act(99, "Other", "finding"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Digest, Reason};

    fn header(kind: Option<Kind>, outcome: Outcome) -> Header {
        Header {
            kind,
            outcome,
            flags: 0,
            reason: Reason::None,
            rules: 1,
            record_len: 0,
            seq: 7,
            recorded_at: 1_700_000_000_000_000,
            refers_to: None,
            prev_link: Digest::ZERO,
            record_digest: Digest::ZERO,
            event_digest: Digest::ZERO,
            state_root: Digest::ZERO,
        }
    }

    #[test]
    fn every_kind_has_a_class_and_its_required_attributes() {
        let all = Kind::ALL.iter().map(|kind| header(Some(*kind), Outcome::Accepted));
        for header in
            all.chain([header(None, Outcome::Malformed), header(Some(Kind::Promoted), Outcome::Refused)])
        {
            let event = event("ledger.example/a", &header, b"");
            let number = |name: &str| event[name].as_u64().unwrap();
            assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"), "{event}");
            assert_eq!(number("time"), 1_700_000_000_000);
            assert_eq!(event["entity"].is_null(), number("class_uid") == 2004, "{event}");
            assert_ne!(event["entity"].is_null(), event["finding_info"].is_null());
            assert_eq!(number("status_id") == 2, header.outcome != Outcome::Accepted);
        }
    }
}
