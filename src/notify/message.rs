//! What is told: a message is a pure function of an entry, so every node and every retry makes the same one.

use serde_json::{Value, json};

use super::reviews;
use crate::{
    event::{
        Header, Outcome, Seq, canonical,
        proto::{AttemptRefused, Body, BreakGlass, EvidenceProblem, Promoted, Slot, body::Event},
    },
    page::words::{slot, slot_role, utc},
};

/// Types of messages, as configuration names them.
pub const EVENTS: [&str; 16] = [
    "review.asked",
    "review.reminder",
    "review.escalation",
    "review.decided",
    "review.closed",
    "promotion.recorded",
    "promotion.refused",
    "promotion.rolled_back",
    "promotion.revoked",
    "promotion.retired",
    "emergency.opened",
    "evidence.tainted",
    "evidence.finding",
    "registry.finding",
    "alert.raised",
    "alert.cleared",
];

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The same for every attempt and node.
    pub id: String,
    /// When it happened, microseconds.
    pub time: u64,
    /// What is told.
    pub told: Told,
}

/// What is told, whenever.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// One of [`EVENTS`].
    pub event: &'static str,
    /// One line.
    pub title: String,
    /// Some lines more; may be empty.
    pub text: String,
    /// Address of the page about it, below the node's own; empty where there is none.
    pub link: String,
    /// Groups that are asked.
    pub groups: Vec<String>,
    /// For programs: an object.
    pub data: Value,
}

/// The ledger that messages are about.
#[derive(Debug, Clone)]
pub struct From {
    /// Its name.
    pub origin: String,
    /// Its id, hexadecimal.
    pub ledger_id: String,
}

impl From {
    /// An id of a message of this ledger.
    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.ledger_id.get(..16).unwrap_or_default())
    }
}

/// The message for an entry; `None` for most kinds. `record_of` reads the record of an earlier entry.
pub fn of_entry(
    from: &From,
    header: &Header,
    record: &[u8],
    date: u64,
    record_of: &dyn Fn(Seq) -> Option<Vec<u8>>,
) -> Option<Message> {
    if header.outcome != Outcome::Accepted {
        return None;
    }
    let body: Body = canonical::decode(record).ok()?.body;
    let sealed = |seq| match canonical::decode(&record_of(seq)?).ok()?.body.event {
        Some(Event::ReviewSealed(review)) => Some(review),
        _ => None,
    };
    let event = body.event.as_ref()?;
    let told = told(event, header.seq).or_else(|| reviews::told(event, header.seq, &sealed))?;
    let entry = json!({ "seq": header.seq, "event_digest": header.event_digest.to_string() });
    Some(message(from, &header.seq.to_string(), date, told, entry))
}

/// The message for an alert that was raised or cleared.
pub fn of_alert(from: &From, name: &str, words: &str, since: u64, raised: bool) -> Message {
    let (event, title) = match raised {
        true => ("alert.raised", format!("Alert on {}: {name}", from.origin)),
        false => ("alert.cleared", format!("Over on {}: {name}", from.origin)),
    };
    let data = json!({ "alert": name, "description": words, "since": utc(since) });
    let told = Told { event, title, text: words.to_owned(), data, ..Told::default() };
    message(from, &format!("{event}-{name}-{since}"), since, told, Value::Null)
}

/// A message of this ledger, with what every message says.
pub(super) fn message(from: &From, name: &str, time: u64, mut told: Told, more: Value) -> Message {
    let mut data = json!({ "ledger": from.origin, "ledger_id": from.ledger_id, "title": told.title });
    merge(&mut data, more);
    merge(&mut data, std::mem::take(&mut told.data));
    told.data = data;
    Message { id: from.id(name), time, told }
}

fn told(event: &Event, seq: Seq) -> Option<Told> {
    let act = |event, title: String, slot: Option<&Slot>, promotion: Seq, request_id: &str| Told {
        event,
        title,
        link: format!("/promotions/{promotion}/"),
        data: json!({ "promotion": promotion, "request_id": request_id, "slot": slot_json(slot) }),
        ..Told::default()
    };
    Some(match event {
        Event::Promoted(promoted) => recorded(promoted, seq),
        Event::AttemptRefused(attempt) => refused(attempt),
        Event::RolledBack(e) => {
            let title = format!("{} was rolled back to entry {}", slot(e.slot.as_ref()), e.to_seq);
            act("promotion.rolled_back", title, e.slot.as_ref(), e.to_seq, &e.request_id)
        }
        Event::Revoked(e) => {
            let title =
                format!("The promotion of entry {} was revoked: {}", e.promoted_seq, slot(e.slot.as_ref()));
            act("promotion.revoked", title, e.slot.as_ref(), e.promoted_seq, &e.request_id)
        }
        Event::Retired(e) => {
            let title = format!("{} was taken out of service", slot(e.slot.as_ref()));
            act("promotion.retired", title, e.slot.as_ref(), e.promoted_seq, &e.request_id)
        }
        Event::BreakGlass(e) => emergency(e),
        Event::Tainted(e) => {
            let sha256 = hex::encode(&e.sha256);
            Told {
                event: "evidence.tainted",
                title: format!("Evidence {} must not be relied on any more", short(&sha256)),
                text: format!("What relies on it: promotion-ledger evidence relies {sha256}"),
                data: json!({ "sha256": sha256, "request_id": e.request_id }),
                ..Told::default()
            }
        }
        Event::EvidenceFinding(e) => {
            let (sha256, over) = (hex::encode(&e.sha256), e.problem() == EvidenceProblem::Over);
            let state = if over { "is as it must be again" } else { "is not what the ledger says" };
            Told {
                event: "evidence.finding",
                title: format!("Evidence {} {state}", short(&sha256)),
                text: format!("{}\n{}", e.uri, e.detail),
                data: json!({ "sha256": sha256, "uri": e.uri, "detail": e.detail, "over": over }),
                ..Told::default()
            }
        }
        Event::RegistryFinding(e) => Told {
            event: "registry.finding",
            title: format!("{} in {} is not as its promotion left it", e.name, e.registry_uri),
            text: e.detail.clone(),
            data: json!({
                "registry_uri": e.registry_uri, "name": e.name, "version": e.version, "alias": e.alias,
                "promotion": e.promoted_seq, "detail": e.detail,
            }),
            ..Told::default()
        },
        _ => return None,
    })
}

fn recorded(promoted: &Promoted, seq: Seq) -> Told {
    let model = promoted.model_version.clone().unwrap_or_default();
    let request = promoted.approval_request.clone().unwrap_or_default();
    let tier = promoted.routing.as_ref().map(|routing| routing.tier.clone()).unwrap_or_default();
    let artifact = hex::encode(&model.artifact_sha256);
    let approvers = promoted.approvals.len();
    Told {
        event: "promotion.recorded",
        title: format!("{} {} was promoted to {}", model.name, model.version, slot(promoted.slot.as_ref())),
        text: format!(
            "Request {} {}, tier {tier}, approved by {approvers}.\nArtefact {artifact}",
            request.system, request.id
        ),
        link: format!("/promotions/{seq}/"),
        groups: request.asked_groups,
        data: json!({
            "request": { "system": request.system, "id": request.id }, "tier": tier,
            "model_version": { "name": model.name, "version": model.version, "artifact_sha256": artifact },
            "slot": slot_json(promoted.slot.as_ref()),
        }),
    }
}

fn refused(attempt: &AttemptRefused) -> Told {
    let lacks: Vec<_> = attempt.shortfalls.iter().map(|s| format!("{} {}", s.field, s.description)).collect();
    Told {
        event: "promotion.refused",
        title: format!("A promotion to {} was refused", slot(attempt.slot.as_ref())),
        text: format!("Tier {}. {}", attempt.tier, lacks.join("; ")),
        data: json!({
            "tier": attempt.tier, "artifact_sha256": hex::encode(&attempt.artifact_sha256), "lacks": lacks,
            "slot": slot_json(attempt.slot.as_ref()),
        }),
        ..Told::default()
    }
}

fn emergency(e: &BreakGlass) -> Told {
    Told {
        event: "emergency.opened",
        title: format!("{}: an artefact was let in without a promotion", slot(e.slot.as_ref())),
        text: format!("Artefact {}, until {}", hex::encode(&e.artifact_sha256), utc(e.expires_at)),
        data: json!({
            "artifact_sha256": hex::encode(&e.artifact_sha256), "expires_at": utc(e.expires_at),
            "slot": slot_json(e.slot.as_ref()),
        }),
        ..Told::default()
    }
}

fn merge(whole: &mut Value, more: Value) {
    if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), more) {
        whole.extend(more);
    }
}

fn short(sha256: &str) -> String {
    format!("{}\u{2026}", sha256.get(..12).unwrap_or_default())
}

pub(super) fn slot_json(slot: Option<&Slot>) -> Value {
    let slot = slot.cloned().unwrap_or_default();
    let role = slot_role(slot.role);
    json!({ "model": slot.model, "environment": slot.environment, "region": slot.region, "role": role })
}

impl Message {
    /// The body of a webhook: `{type, timestamp, data}`; `link` is whole if the node's address is known.
    pub fn payload(&self, public_url: &str) -> Vec<u8> {
        let mut data = self.told.data.clone();
        if let Some(link) = self.absolute(public_url) {
            merge(&mut data, json!({ "link": link }));
        }
        json!({ "type": self.told.event, "timestamp": utc(self.time), "data": data }).to_string().into_bytes()
    }

    /// The link, if the node's address is known.
    pub fn absolute(&self, public_url: &str) -> Option<String> {
        (!public_url.is_empty() && !self.told.link.is_empty())
            .then(|| format!("{}{}", public_url.trim_end_matches('/'), self.told.link))
    }
}
