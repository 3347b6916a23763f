//! Content of an event: what two submissions must share to be one decision (design section 2).
//!
//! Content leaves out what differs between a request and its retry: basis, times of the node, preconditions,
//! sealed items, tokens and their auth times, lock proofs, routing, administrators' signatures.

use std::borrow::Cow;

use prost::Message;

use super::{
    canonical, digest,
    model::Digest,
    proto::{Approval, Artefact, Body, EvidenceRef, LockProof, Promoted, ReviewSealed, Routing, body::Event},
};

/// Digest of a body's content.
pub fn content_digest(body: &Body) -> Digest {
    digest::content(&content(body).encode_to_vec())
}

/// The same for a body that may be changed meanwhile: what is no content is set aside and put back, and nothing is copied.
/// For whoever needs it of every promotion: front door, writer, verification.
pub fn content_digest_in_place(body: &mut Body) -> Digest {
    let Some(Event::Promoted(promoted)) = &mut body.event else { return content_digest(body) };
    let aside = Aside::take(promoted);
    let content = Body {
        idempotency_key: std::mem::take(&mut body.idempotency_key),
        event: body.event.take(),
        ..Body::default()
    };
    let digest = digest::content(&content.encode_to_vec());
    (body.idempotency_key, body.event) = (content.idempotency_key, content.event);
    if let Some(Event::Promoted(promoted)) = &mut body.event {
        aside.put_back(promoted);
    }
    digest
}

/// What a promotion holds that is no content, in the order of its approvals and of [`evidence_mut`].
struct Aside {
    routing: Option<Routing>,
    logins: Vec<(Vec<u8>, String, u64)>,
    locks: Vec<Option<LockProof>>,
}

impl Aside {
    fn take(promoted: &mut Promoted) -> Self {
        let login = |approval: &mut Approval| {
            let auth_time = std::mem::take(&mut approval.auth_time);
            (
                std::mem::take(&mut approval.assertion_sha256),
                std::mem::take(&mut approval.verified_by),
                auth_time,
            )
        };
        Self {
            routing: promoted.routing.take(),
            logins: promoted.approvals.iter_mut().map(login).collect(),
            locks: evidence_mut(promoted).into_iter().map(|evidence| evidence.lock.take()).collect(),
        }
    }

    fn put_back(self, promoted: &mut Promoted) {
        promoted.routing = self.routing;
        for (approval, login) in promoted.approvals.iter_mut().zip(self.logins) {
            (approval.assertion_sha256, approval.verified_by, approval.auth_time) = login;
        }
        for (evidence, lock) in evidence_mut(promoted).into_iter().zip(self.locks) {
            evidence.lock = lock;
        }
    }
}

/// The body with everything cleared that is not content.
pub fn content(body: &Body) -> Body {
    let mut event = body.event.clone();
    match &mut event {
        Some(Event::Promoted(promoted)) => clear(promoted),
        Some(Event::BreakGlass(e)) => {
            e.assertion_sha256.clear();
            e.verified_by.clear();
            e.auth_time = 0;
        }
        Some(Event::ReviewSealed(sealed)) => clear_review(sealed),
        Some(Event::Approved(e) | Event::Declined(e) | Event::ChangesRequested(e)) => {
            e.decider.iter_mut().for_each(|decider| {
                clear_login(decider);
                decider.decided_at = 0;
            });
        }
        Some(Event::ConditionClosed(closed)) => {
            closed.evidence.iter_mut().for_each(|evidence| evidence.lock = None);
        }
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
    promoted.approvals.iter_mut().for_each(clear_login);
    for evidence in evidence_mut(promoted) {
        evidence.lock = None;
    }
}

fn clear_login(approval: &mut Approval) {
    approval.assertion_sha256.clear();
    approval.verified_by.clear();
    approval.auth_time = 0;
}

/// What the server derives is no content: the page, who must approve, open conditions, words, and until when.
fn clear_review(sealed: &mut ReviewSealed) {
    sealed.package.iter_mut().for_each(clear);
    sealed.screen = None;
    sealed.required.clear();
    sealed.conditions.clear();
    sealed.words.clear();
    sealed.expires_at = 0;
    sealed.on_incumbent_change = 0;
}

/// Digest of what a review and its promotion share: the six fields without approvals, review, route and lock proofs.
pub fn package_digest(promoted: &Promoted) -> Digest {
    let mut package = promoted.clone();
    package.approvals.clear();
    package.review = None;
    clear(&mut package);
    digest::content(&package.encode_to_vec())
}

/// Where in an event something stands, for instance `explanations[0].content`.
pub type Path = Cow<'static, str>;

/// Every evidence reference of a promotion, with its field path.
pub fn evidence(promoted: &Promoted) -> Vec<(Path, &EvidenceRef)> {
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
        ("review.screen", promoted.review.as_ref().and_then(|review| review.screen.as_ref())),
    ];
    for (path, reference) in single {
        found.extend(reference.map(|reference| (Path::Borrowed(path), reference)));
    }
    for (i, explanation) in promoted.explanations.iter().enumerate() {
        let content = explanation.content.as_ref();
        found.extend(content.map(|r| (format!("explanations[{i}].content").into(), r)));
        found.extend(
            explanation
                .sample_manifest
                .as_ref()
                .map(|r| (format!("explanations[{i}].sample_manifest").into(), r)),
        );
    }
    found
}

/// Every evidence reference of an event of any kind, with its field path.
pub fn references(event: &Event) -> Vec<(Path, Cow<'_, EvidenceRef>)> {
    match event {
        Event::Promoted(promoted) => {
            evidence(promoted).into_iter().map(|(path, it)| (path, Cow::Borrowed(it))).collect()
        }
        Event::ReviewSealed(sealed) => {
            let package = sealed.package.iter().flat_map(evidence);
            let package = package.map(|(path, it)| (format!("package.{path}").into(), Cow::Borrowed(it)));
            let screen = sealed.screen.iter().map(|screen| (Path::Borrowed("screen"), Cow::Borrowed(screen)));
            package.chain(screen).chain(renditions(sealed)).collect()
        }
        Event::ConditionClosed(closed) => {
            closed.evidence.iter().map(|it| (Path::Borrowed("evidence"), Cow::Borrowed(it))).collect()
        }
        _ => Vec::new(),
    }
}

/// Static renditions that a review shows: evidence without a proof of its own.
fn renditions(sealed: &ReviewSealed) -> impl Iterator<Item = (Path, Cow<'_, EvidenceRef>)> {
    let shown = sealed.artefacts.iter().enumerate().filter(|(_, artefact)| !artefact.renders.is_empty());
    shown.map(|(i, artefact)| {
        let Artefact { sha256, length, media_type, .. } = artefact.clone();
        let reference = EvidenceRef { sha256, length, media_type, ..EvidenceRef::default() };
        (format!("artefacts[{i}]").into(), Cow::Owned(reference))
    })
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
    found.extend(promoted.review.as_mut().and_then(|review| review.screen.as_mut()));
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
