//! What a caller states -> the event's fields. Pure: people and evidence arrive resolved.

use std::{collections::BTreeMap, fmt::Display};

use crate::{
    event::{
        digest::sha256,
        promotion::{Problem, Problems},
        proto::{
            Answer, Approval, ApprovalDraft, ApprovalRequest, ApprovalRequestDraft, Person, PersonRef,
            Promoted, PromotionDraft, SealedClaims, Statement,
        },
        text::{free_text_problem, name_problem, uri_problem},
    },
    policy,
};

use super::routing::Approver;

/// A person's identity, as the key by which their data is gathered.
pub type Identity = (String, String);

/// Everything in a draft that becomes sealed, by person.
pub type Claims = BTreeMap<Identity, SealedClaims>;

fn identity(person: &Person) -> Identity {
    (person.issuer.clone(), person.subject.clone())
}

/// Problems of what only the draft holds: people, assertions, answers, free text.
pub fn problems(draft: &PromotionDraft) -> Vec<Problem> {
    let mut p = Problems::default();
    let empty = ApprovalRequestDraft::default();
    let request = draft.approval_request.as_ref().unwrap_or(&empty);
    if draft.approval_request.is_some() {
        for (i, person) in request.contributors.iter().enumerate() {
            person_rules(&mut p, format_args!("approval_request.contributors[{i}]"), Some(person));
        }
        for (i, person) in request.asked_people.iter().enumerate() {
            person_rules(&mut p, format_args!("approval_request.asked_people[{i}]"), Some(person));
        }
        person_rules(&mut p, "approval_request.requested_by", request.requested_by.as_ref());
        person_rules(&mut p, "approval_request.triggered_by", request.triggered_by.as_ref());
        p.add_some("approval_request.justification", free_text_problem(&request.justification));
        p.add_some("approval_request.residual_risk", free_text_problem(&request.residual_risk));
    }
    for (i, approval) in draft.approvals.iter().enumerate() {
        approval_rules(&mut p, format_args!("approvals[{i}]"), approval);
    }
    p.into_sorted()
}

/// Rules for a person that a caller names.
pub fn person_rules(p: &mut Problems, at: impl Display, person: Option<&Person>) {
    let Some(person) = person else {
        return p.add(at, "is missing");
    };
    p.add_some(format_args!("{at}.issuer"), uri_problem(&person.issuer));
    p.add_some(format_args!("{at}.subject"), name_problem(&person.subject));
    if !person.name.is_empty() {
        p.add_some(format_args!("{at}.name"), name_problem(&person.name));
    }
}

fn approval_rules(p: &mut Problems, at: impl Display, approval: &ApprovalDraft) {
    person_rules(p, format_args!("{at}.approver"), approval.approver.as_ref());
    if approval.accountable.is_some() {
        person_rules(p, format_args!("{at}.accountable"), approval.accountable.as_ref());
    }
    p.require(
        !approval.assertion.is_empty(),
        format_args!("{at}.assertion"),
        "is missing; an approval needs the identity provider's signed assertion",
    );
    for (i, group) in approval.groups.iter().enumerate() {
        p.add_some(format_args!("{at}.groups[{i}]"), name_problem(group));
    }
    for (i, group) in approval.matched_groups.iter().enumerate() {
        let member = approval.groups.contains(group);
        p.require(
            member,
            format_args!("{at}.matched_groups[{i}]"),
            format_args!("{group:?} is not among the approver's groups"),
        );
    }
    let mut seen = std::collections::BTreeSet::new();
    for (i, answer) in approval.answers.iter().enumerate() {
        p.add_some(format_args!("{at}.answers[{i}].text"), free_text_problem(&answer.text));
        p.require(
            seen.insert(&answer.question),
            format_args!("{at}.answers[{i}].question"),
            "is answered twice",
        );
    }
}

/// The draft as an event: everybody by pseudonym, nothing personal in clear.
///
/// `pseudonym` gives a person's subject_id. The route is not known yet.
pub fn promoted(draft: PromotionDraft, pseudonym: &impl Fn(&Identity) -> Vec<u8>) -> Promoted {
    let reference =
        |person: Person| PersonRef { subject_id: pseudonym(&identity(&person)), issuer: person.issuer };
    let references = |people: Vec<Person>| people.into_iter().map(reference).collect::<Vec<_>>();
    Promoted {
        slot: draft.slot,
        model_version: draft.model_version,
        challenger_comparison: draft.challenger_comparison,
        approval_request: draft.approval_request.map(|request| ApprovalRequest {
            system: request.system,
            id: request.id,
            requested_by: request.requested_by.map(reference),
            triggered_by: request.triggered_by.map(reference),
            contributors: references(request.contributors),
            asked_people: references(request.asked_people),
            asked_groups: request.asked_groups,
            asked_at: request.asked_at,
            due_at: request.due_at,
            form: request.form,
        }),
        approvals: draft.approvals.into_iter().map(|approval| approval_event(approval, &reference)).collect(),
        explanations: draft.explanations,
        dataset: draft.dataset,
        profile: draft.profile,
        routing: None,
        profile_attestation: draft.profile_attestation,
        review: None,
    }
}

fn approval_event(approval: ApprovalDraft, reference: &impl Fn(Person) -> PersonRef) -> Approval {
    let answered = approval.answers.into_iter().filter(|answer| !answer.text.trim().is_empty());
    Approval {
        approver: approval.approver.map(reference),
        decided_at: approval.decided_at,
        matched_groups: approval.matched_groups,
        groups_complete: approval.groups_complete,
        auth_time: approval.auth_time,
        acr: approval.acr,
        amr: approval.amr,
        assertion_sha256: sha256(approval.assertion.as_bytes()).0.to_vec(),
        answered: answered.map(|answer| answer.question).collect(),
        verified_by: String::new(),
        standing_policy: approval.standing_policy,
        accountable: approval.accountable.map(reference),
        decided: None,
    }
}

/// Everybody in a promotion.
pub fn people_mut(promoted: &mut Promoted) -> Vec<&mut PersonRef> {
    let mut people = Vec::new();
    if let Some(request) = &mut promoted.approval_request {
        people.extend(request.requested_by.iter_mut().chain(&mut request.triggered_by));
        people.extend(request.contributors.iter_mut().chain(&mut request.asked_people));
    }
    for approval in &mut promoted.approvals {
        people.extend(approval.approver.iter_mut().chain(&mut approval.accountable));
    }
    people
}

/// Puts real pseudonyms where provisional ones stand; who has none keeps the provisional one.
pub fn rename(promoted: &mut Promoted, real: &BTreeMap<Vec<u8>, Vec<u8>>) {
    for person in people_mut(promoted) {
        if let Some(id) = real.get(&person.subject_id) {
            person.subject_id.clone_from(id);
        }
    }
}

/// Who approved, in the order of the approvals.
pub(super) fn approvers(draft: &PromotionDraft) -> Vec<Approver> {
    let known = |person: &Person| policy::file::Identity {
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
    };
    let one = |approval: &ApprovalDraft| Approver {
        approver: known(&approval.approver.clone().unwrap_or_default()),
        accountable: approval.accountable.as_ref().map(known),
    };
    draft.approvals.iter().map(one).collect()
}

/// What is sealed about each person of a draft.
pub fn claims(draft: &PromotionDraft) -> Claims {
    let mut all = Claims::new();
    let mut note = |person: Option<&Person>, change: &mut dyn FnMut(&mut SealedClaims)| {
        let Some(person) = person else { return };
        let claims = all.entry(identity(person)).or_default();
        claims.issuer = person.issuer.clone();
        claims.subject = person.subject.clone();
        if !person.name.is_empty() {
            claims.name = person.name.clone();
        }
        change(claims);
    };
    if let Some(request) = &draft.approval_request {
        note(request.requested_by.as_ref(), &mut |claims| {
            claims.statements.extend([
                statement("approval_request.justification", &request.justification),
                statement("approval_request.residual_risk", &request.residual_risk),
            ]);
        });
        note(request.triggered_by.as_ref(), &mut |_| {});
        for person in request.contributors.iter().chain(&request.asked_people) {
            note(Some(person), &mut |_| {});
        }
    }
    for (i, approval) in draft.approvals.iter().enumerate() {
        note(approval.approver.as_ref(), &mut |claims| {
            claims.groups = approval.groups.clone();
            claims.assertion = approval.assertion.clone();
            claims.statements.extend(approval.answers.iter().map(|answer| answer_statement(i, answer)));
        });
        note(approval.accountable.as_ref(), &mut |_| {});
    }
    all
}

fn statement(path: &str, text: &str) -> Statement {
    Statement { path: path.into(), text: text.into() }
}

fn answer_statement(approval: usize, answer: &Answer) -> Statement {
    statement(&format!("approvals[{approval}].answers.{}", answer.question), &answer.text)
}
