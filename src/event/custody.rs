//! Rules of the kinds that keep evidence, registries and personal data, as far as they need no state.

use super::{
    promotion::{Problems, person, sha256_rule},
    proto::{
        EvidenceFinding, EvidenceProblem, KeyShredded, LegalHoldReleased, LegalHoldSet, PersonRef,
        ProbeAttempt, RegistryFinding, RegistryProblem, StoreProbed, Tainted, body::Event,
    },
    text::{name_problem, uri_problem},
};

/// Most attempts of one probe.
pub const ATTEMPTS_MAX: usize = 16;
/// Longest answer of a store that is kept, bytes.
pub const ANSWER_LEN_MAX: usize = 1_024;

/// Whether such an event by itself says all that its kind needs; `None` for other kinds.
pub fn is_whole(event: &Event) -> Option<bool> {
    let mut p = Problems::default();
    match event {
        Event::EvidenceFinding(e) => finding(&mut p, e),
        Event::StoreProbed(e) => probed(&mut p, e),
        Event::RegistryFinding(e) => registry(&mut p, e),
        Event::Tainted(e) => tainted(&mut p, e),
        Event::LegalHoldSet(e) => hold_set(&mut p, e),
        Event::LegalHoldReleased(e) => hold_released(&mut p, e),
        Event::KeyShredded(e) => shredded(&mut p, e),
        _ => return None,
    }
    Some(p.into_sorted().is_empty())
}

fn finding(p: &mut Problems, e: &EvidenceFinding) {
    sha256_rule(p, "sha256", &e.sha256);
    p.add_some("uri", uri_problem(&e.uri));
    if !e.version_id.is_empty() {
        p.add_some("version_id", name_problem(&e.version_id));
    }
    let known = EvidenceProblem::try_from(e.problem).is_ok_and(|it| it != EvidenceProblem::Unspecified);
    p.require(known, "problem", "is missing");
    answer(p, "detail", &e.detail);
    p.require(e.day > 0, "day", "is missing");
}

fn probed(p: &mut Problems, e: &StoreProbed) {
    p.add_some("uri", uri_problem(&e.uri));
    p.require(!e.attempts.is_empty(), "attempts", "is empty");
    p.require(
        e.attempts.len() <= ATTEMPTS_MAX,
        "attempts",
        format_args!("has more than {ATTEMPTS_MAX} items"),
    );
    for (i, ProbeAttempt { attempt, answer: answered, .. }) in e.attempts.iter().enumerate() {
        p.add_some(format_args!("attempts[{i}].attempt"), name_problem(attempt));
        answer(p, &format!("attempts[{i}].answer"), answered);
    }
    let refused_all = e.attempts.iter().all(|attempt| !attempt.allowed);
    p.require(!e.write_once || refused_all, "write_once", "contradicts an attempt that was allowed");
    p.require(e.day > 0, "day", "is missing");
}

fn registry(p: &mut Problems, e: &RegistryFinding) {
    p.add_some("registry_uri", uri_problem(&e.registry_uri));
    p.add_some("name", name_problem(&e.name));
    for (field, text) in [("version", &e.version), ("alias", &e.alias)] {
        if !text.is_empty() {
            p.add_some(field, name_problem(text));
        }
    }
    let known = RegistryProblem::try_from(e.problem).is_ok_and(|it| it != RegistryProblem::Unspecified);
    p.require(known, "problem", "is missing");
    answer(p, "detail", &e.detail);
    p.require(e.day > 0, "day", "is missing");
}

fn answer(p: &mut Problems, field: &str, text: &str) {
    p.require(text.len() <= ANSWER_LEN_MAX, field, format_args!("has more than {ANSWER_LEN_MAX} bytes"));
}

fn tainted(p: &mut Problems, e: &Tainted) {
    sha256_rule(p, "sha256", &e.sha256);
    acted(p, e.actor.as_ref(), &e.request_id);
}

fn hold_set(p: &mut Problems, e: &LegalHoldSet) {
    p.add_some("matter", name_problem(&e.matter));
    if !e.subject_id.is_empty() {
        sha256_rule(p, "subject_id", &e.subject_id);
    }
    acted(p, e.actor.as_ref(), &e.request_id);
}

fn hold_released(p: &mut Problems, e: &LegalHoldReleased) {
    acted(p, e.actor.as_ref(), &e.request_id);
}

/// Two people, neither of them the one whose data is destroyed: what they wrote would be destroyed with it.
fn shredded(p: &mut Problems, e: &KeyShredded) {
    sha256_rule(p, "subject_id", &e.subject_id);
    acted(p, e.requested_by.as_ref(), &e.request_id);
    person(p, "approved_by", e.approved_by.as_ref());
    let ids =
        [&e.requested_by, &e.approved_by].map(|person| person.as_ref().map(|person| &person.subject_id));
    let [requested, approved] = ids;
    p.require(requested != approved, "approved_by", "is the one who requested it");
    p.require(!ids.contains(&Some(&e.subject_id)), "subject_id", "is one of the two who act");
}

fn acted(p: &mut Problems, actor: Option<&PersonRef>, request_id: &str) {
    person(p, "actor", actor);
    p.add_some("request_id", name_problem(request_id));
}
