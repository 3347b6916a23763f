//! Content of an event: what two submissions must share to be one decision (design section 2).
//!
//! Content leaves out what differs between a request and its retry: basis, times of the node, preconditions,
//! sealed items, tokens and their auth times, lock proofs, routing, administrators' signatures.

use prost::Message;

use super::{
    canonical, digest,
    model::Digest,
    proto::{Body, EvidenceRef, Promoted, body::Event},
};

/// Digest of a body's content.
pub fn content_digest(body: &Body) -> Digest {
    digest::content(&content(body).encode_to_vec())
}

/// The body with everything cleared that is not content.
pub fn content(body: &Body) -> Body {
    let mut event = body.event.clone();
    match &mut event {
        Some(Event::Promoted(promoted)) => clear(promoted),
        Some(event) => {
            // One statement is one decision, whoever's signatures were collected for it.
            if let Some(act) = canonical::admin_act_mut(event) {
                act.signatures.clear();
            }
        }
        None => {}
    }
    Body { idempotency_key: body.idempotency_key.clone(), event, ..Body::default() }
}

fn clear(promoted: &mut Promoted) {
    promoted.routing = None;
    for approval in &mut promoted.approvals {
        approval.assertion_sha256.clear();
        approval.verified_by.clear();
        approval.auth_time = 0;
    }
    for evidence in evidence_mut(promoted) {
        evidence.lock = None;
    }
}

/// Every evidence reference of a promotion, with its field path.
pub fn evidence(promoted: &Promoted) -> Vec<(String, &EvidenceRef)> {
    let mut found = Vec::new();
    let model = promoted.model_version.as_ref();
    let comparison = promoted.challenger_comparison.as_ref();
    let form = promoted.approval_request.as_ref().and_then(|request| request.form.as_ref());
    let dataset = promoted.dataset.as_ref();
    let single = [
        ("model_version.copy", model.and_then(|m| m.copy.as_ref())),
        ("challenger_comparison.report", comparison.and_then(|c| c.report.as_ref())),
        ("challenger_comparison.metrics", comparison.and_then(|c| c.metrics.as_ref())),
        ("approval_request.form.content", form.and_then(|f| f.content.as_ref())),
        ("dataset.definition", dataset.and_then(|d| d.definition.as_ref())),
        ("dataset.copy", dataset.and_then(|d| d.copy.as_ref())),
        ("profile", promoted.profile.as_ref()),
        ("profile_attestation", promoted.profile_attestation.as_ref()),
    ];
    for (path, reference) in single {
        found.extend(reference.map(|reference| (path.to_owned(), reference)));
    }
    for (i, explanation) in promoted.explanations.iter().enumerate() {
        found.extend(explanation.content.as_ref().map(|r| (format!("explanations[{i}].content"), r)));
        found.extend(
            explanation.sample_manifest.as_ref().map(|r| (format!("explanations[{i}].sample_manifest"), r)),
        );
    }
    found
}

/// Every evidence reference of a promotion, to be filled in.
pub fn evidence_mut(promoted: &mut Promoted) -> Vec<&mut EvidenceRef> {
    let mut found = Vec::new();
    found.extend(promoted.model_version.as_mut().and_then(|m| m.copy.as_mut()));
    if let Some(comparison) = &mut promoted.challenger_comparison {
        found.extend(comparison.report.as_mut());
        found.extend(comparison.metrics.as_mut());
    }
    let form = promoted.approval_request.as_mut().and_then(|request| request.form.as_mut());
    found.extend(form.and_then(|form| form.content.as_mut()));
    if let Some(dataset) = &mut promoted.dataset {
        found.extend(dataset.definition.as_mut());
        found.extend(dataset.copy.as_mut());
    }
    found.extend(promoted.profile.as_mut());
    found.extend(promoted.profile_attestation.as_mut());
    for explanation in &mut promoted.explanations {
        found.extend(explanation.content.as_mut());
        found.extend(explanation.sample_manifest.as_mut());
    }
    found
}

/// Paths of the fields in which the content of two bodies differs, for instance `dataset.digest`.
pub fn differing_fields(a: &Body, b: &Body) -> Vec<String> {
    let json = |body: &Body| serde_json::to_value(content(body).event).unwrap_or_default();
    let mut paths = Vec::new();
    differences("", &json(a), &json(b), &mut paths);
    paths
}

fn differences(path: &str, a: &serde_json::Value, b: &serde_json::Value, out: &mut Vec<String>) {
    use serde_json::Value::{Array, Null, Object};
    match (a, b) {
        (Object(left), Object(right)) => {
            let mut names: Vec<_> = left.keys().chain(right.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                // The event's own name (`Promoted`) is not a field of the request.
                let child = match path {
                    "" if name.starts_with(char::is_uppercase) => String::new(),
                    "" => name.clone(),
                    _ => format!("{path}.{name}"),
                };
                differences(&child, left.get(name).unwrap_or(&Null), right.get(name).unwrap_or(&Null), out);
            }
        }
        (Array(left), Array(right)) if left.len() == right.len() => {
            for (i, (a, b)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, out);
            }
        }
        _ if a != b => out.push(path.to_owned()),
        _ => {}
    }
}
