//! Rules of reviews, as far as they need no state: what is sealed, decided, closed, delegated.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message as _;

use super::{
    approvals::identity_rules,
    canonical::decode_exact,
    digest,
    model::{Digest, Kind, Micros},
    problem::Problems,
    promotion::{
        CLOCK_SKEW_MAX, LIST_LEN_MAX, actor_is_whole, evidence, list_rule, package_problems, past, person,
        sha256_rule, slot_rules,
    },
    proto::{
        ArtefactRole, CloseReason, Condition, ConditionClosed, Decision, DecisionStatement, Delegated,
        EvidenceRef, IncumbentChange, Promoted, RequiredApproval, ReviewClosed, ReviewDecision, ReviewSealed,
        SealedClaims, body::Event,
    },
    text::{free_text_problem, media_type_problem, name_problem},
};

/// Largest record of a ReviewSealed, bytes: its Promoted adds the approvals and must fit as well.
pub const REVIEW_LEN_MAX: usize = 160 * 1024;
/// Most people that a review may require, over all groups: their approvals must fit into the Promoted.
pub const PLACES_MAX: u32 = 32;
/// Most conditions of one approval.
pub const CONDITIONS_MAX: usize = 16;

/// Whether such an event by itself says all that its kind needs; `None` for other kinds.
pub fn is_whole(event: &Event, recorded_at: Micros) -> Option<bool> {
    let mut p = Problems::default();
    match event {
        Event::ReviewSealed(e) => sealed(&mut p, e, recorded_at),
        Event::Approved(e) => decided(&mut p, Kind::Approved, e, recorded_at),
        Event::Declined(e) => decided(&mut p, Kind::Declined, e, recorded_at),
        Event::ChangesRequested(e) => decided(&mut p, Kind::ChangesRequested, e, recorded_at),
        Event::ReviewClosed(e) => closed(&mut p, e),
        Event::Delegated(e) => delegated(&mut p, e),
        Event::ConditionClosed(e) => condition_closed(&mut p, e),
        _ => return None,
    }
    Some(p.into_sorted().is_empty())
}

/// The statement in a decision, if its bytes are canonical.
pub fn statement(decision: &ReviewDecision) -> Option<DecisionStatement> {
    decode_exact(&decision.statement)
}

/// Where a decision and what its decider sealed do not hold each other: a front door that swapped the decision, the
/// answers or the login afterwards. The signature of the assertion itself is verified with the issuer's keys.
pub fn decision_findings(decision: &ReviewDecision, claims: &SealedClaims) -> Vec<String> {
    let Some(statement) = statement(decision) else { return vec!["its statement cannot be read".into()] };
    let decider = decision.decider.clone().unwrap_or_default();
    let nonce = BASE64_URL_SAFE_NO_PAD.encode(digest::decision_nonce(&decision.statement, &decision.salt).0);
    let payload =
        claims.assertion.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let stated = payload.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let states = |claim: &str, expected: &str| {
        stated.as_ref().and_then(|all| all.get(claim)).and_then(|it| it.as_str()) == Some(expected)
    };
    let checks = [
        (
            statement.answers_digest == digest::decision_answers(&claims.answers).0,
            "the sealed answers are not those of its statement",
        ),
        (
            decider.assertion_sha256 == digest::sha256(claims.assertion.as_bytes()).0,
            "the sealed assertion is another one than the entry names",
        ),
        (
            states("nonce", &nonce),
            "the nonce of the assertion is not that of this statement: the login was for another one",
        ),
        (
            states("iss", &claims.issuer) && states("sub", &claims.subject),
            "the assertion is of another person",
        ),
    ];
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, words)| words.to_owned()).collect()
}

/// Questions of a package's form that must be answered.
pub fn required_questions(package: &Promoted) -> Vec<String> {
    let form = package.approval_request.as_ref().and_then(|request| request.form.as_ref());
    let required = form.iter().flat_map(|form| &form.questions).filter(|question| question.required);
    required.map(|question| question.id.clone()).collect()
}

/// Everybody who may not approve a package: who requested, triggered or contributed.
pub fn excluded(package: &Promoted) -> Vec<Digest> {
    let Some(request) = &package.approval_request else { return Vec::new() };
    let involved = request.requested_by.iter().chain(&request.triggered_by).chain(&request.contributors);
    involved.filter_map(|person| Digest::from_slice(&person.subject_id)).collect()
}

fn sealed(p: &mut Problems, e: &ReviewSealed, recorded_at: Micros) {
    match &e.package {
        Some(package) => package_problems(p, package, recorded_at),
        None => p.add("package", "is missing"),
    }
    p.require(e.round > 0, "round", "is missing");
    evidence(p, "screen", e.screen.as_ref());
    list_rule(p, "artefacts", e.artefacts.len());
    let mut seen = BTreeSet::new();
    for (i, artefact) in e.artefacts.iter().enumerate() {
        let at = format_args!("artefacts[{i}]");
        let role = ArtefactRole::try_from(artefact.role).unwrap_or_default();
        p.require(role != ArtefactRole::Unspecified, format_args!("{at}.role"), "is missing");
        p.add_some(format_args!("{at}.name"), name_problem(&artefact.name));
        sha256_rule(p, format_args!("{at}.sha256"), &artefact.sha256);
        p.add_some(format_args!("{at}.media_type"), media_type_problem(&artefact.media_type));
        p.require(artefact.length > 0, format_args!("{at}.length"), "is 0");
        let rendition = role == ArtefactRole::StaticRendition;
        let renders = e.artefacts.iter().any(|other| other.sha256 == artefact.renders);
        let says = if rendition { renders } else { artefact.renders.is_empty() };
        p.require(says, format_args!("{at}.renders"), "is not an artefact of this review");
        p.require(seen.insert(&artefact.sha256), format_args!("{at}.sha256"), "is listed twice");
    }
    required(p, &e.required);
    p.require(
        e.conditions.len() <= LIST_LEN_MAX * CONDITIONS_MAX,
        "conditions",
        "has too many items; close some first",
    );
    p.add_some("words", free_text_problem(&e.words));
    let known =
        IncumbentChange::try_from(e.on_incumbent_change).is_ok_and(|it| it != IncumbentChange::Unspecified);
    p.require(known, "on_incumbent_change", "is missing");
}

fn required(p: &mut Problems, required: &[RequiredApproval]) {
    list_rule(p, "required", required.len());
    let mut groups = BTreeSet::new();
    let mut places = 0_u32;
    for (i, RequiredApproval { group, count }) in required.iter().enumerate() {
        p.add_some(format_args!("required[{i}].group"), name_problem(group));
        p.require(groups.insert(group), format_args!("required[{i}].group"), "is listed twice");
        p.require(*count > 0, format_args!("required[{i}].count"), "is 0");
        places = places.saturating_add(*count);
    }
    p.require(places <= PLACES_MAX, "required", format_args!("asks for more than {PLACES_MAX} people"));
}

fn decided(p: &mut Problems, kind: Kind, e: &ReviewDecision, recorded_at: Micros) {
    let Some(statement) = statement(e) else { return p.add("statement", "cannot be read") };
    sha256_rule(p, "salt", &e.salt);
    sha256_rule(p, "statement.ledger_id", &statement.ledger_id);
    sha256_rule(p, "statement.review_digest", &statement.review_digest);
    sha256_rule(p, "statement.answers_digest", &statement.answers_digest);
    p.add_some("statement.words", free_text_problem(&statement.words));
    let decision = Decision::try_from(statement.decision).unwrap_or_default();
    p.require(kind_of(decision) == Some(kind), "statement.decision", "is another one than the event's");
    let conditional = decision == Decision::ApproveWithConditions;
    p.require(
        conditional != statement.conditions.is_empty(),
        "statement.conditions",
        "do not fit the decision",
    );
    conditions(p, &statement.conditions);
    list_rule(p, "statement.answered", statement.answered.len());
    list_rule(p, "statement.served", statement.served.len());
    for (i, served) in statement.served.iter().enumerate() {
        sha256_rule(p, format_args!("statement.served[{i}].sha256"), &served.sha256);
        past(p, format_args!("statement.served[{i}].at"), served.at, recorded_at);
    }
    let Some(decider) = &e.decider else { return p.add("decider", "is missing") };
    identity_rules(p, "decider", decider, recorded_at);
    p.add_some("decider.verified_by", name_problem(&decider.verified_by));
    let person =
        decider.standing_policy.is_empty() && decider.accountable.is_none() && decider.decided.is_none();
    p.require(person, "decider", "is no person's approval");
    let same = decider.answered == statement.answered;
    p.require(same, "decider.answered", "is not what the statement says");
}

/// The kind of entry that a decision makes.
pub const fn kind_of(decision: Decision) -> Option<Kind> {
    match decision {
        Decision::Unspecified => None,
        Decision::Approve | Decision::ApproveWithConditions => Some(Kind::Approved),
        Decision::RequestChanges => Some(Kind::ChangesRequested),
        Decision::Decline => Some(Kind::Declined),
    }
}

/// Rules of an approval's conditions.
pub fn conditions(p: &mut Problems, conditions: &[Condition]) {
    p.require(
        conditions.len() <= CONDITIONS_MAX,
        "conditions",
        format_args!("has more than {CONDITIONS_MAX} items"),
    );
    let mut ids = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let at = format_args!("conditions[{i}]");
        p.add_some(format_args!("{at}.id"), name_problem(&condition.id));
        p.require(ids.insert(&condition.id), format_args!("{at}.id"), "is listed twice");
        p.add_some(format_args!("{at}.title"), name_problem(&condition.title));
        person(p, format_args!("{at}.owner"), condition.owner.as_ref());
        p.require(condition.due_at > 0, format_args!("{at}.due_at"), "is missing; until when must it be met");
        match (condition.evidence_kind.is_empty(), condition.slice.is_empty()) {
            (false, true) => {
                p.add_some(format_args!("{at}.evidence_kind"), name_problem(&condition.evidence_kind))
            }
            (true, false) => p.add_some(format_args!("{at}.slice"), name_problem(&condition.slice)),
            _ => p.add(at, "needs either a kind of evidence or a slice that must be given"),
        }
    }
}

fn closed(p: &mut Problems, e: &ReviewClosed) {
    let reason = CloseReason::try_from(e.reason).unwrap_or_default();
    p.require(reason != CloseReason::Unspecified, "reason", "is missing");
    match (reason, &e.actor) {
        (CloseReason::Withdrawn, actor) => person(p, "actor", actor.as_ref()),
        (_, Some(_)) => p.add("actor", "stands there, but a node found this reason"),
        _ => {}
    }
    if !e.detail.is_empty() {
        p.add_some("detail", free_text_problem(&e.detail));
    }
}

fn delegated(p: &mut Problems, e: &Delegated) {
    if e.ends_seq.is_some() {
        return delegation_ended(p, e);
    }
    p.require(e.actor.is_none(), "actor", "stands there, but nothing is ended");
    p.require(
        actor_is_whole(e.delegator.as_ref(), &e.request_id),
        "delegator",
        "is missing, or no request_id",
    );
    person(p, "delegate", e.delegate.as_ref());
    p.require(e.delegator != e.delegate, "delegate", "is the delegator");
    p.add_some("group", name_problem(&e.group));
    p.require(e.from_at < e.until, "until", "is not after from_at");
}

fn delegation_ended(p: &mut Problems, e: &Delegated) {
    p.require(actor_is_whole(e.actor.as_ref(), &e.request_id), "actor", "is missing, or no request_id");
    let alone = Delegated {
        ends_seq: e.ends_seq,
        actor: e.actor.clone(),
        request_id: e.request_id.clone(),
        ..Delegated::default()
    };
    p.require(*e == alone, "ends_seq", "stands beside a delegation");
}

fn condition_closed(p: &mut Problems, e: &ConditionClosed) {
    match &e.slot {
        Some(slot) => slot_rules(p, "slot", slot),
        None => p.add("slot", "is missing"),
    }
    p.add_some("condition_id", name_problem(&e.condition_id));
    evidence(p, "evidence", e.evidence.as_ref());
    p.require(actor_is_whole(e.actor.as_ref(), &e.request_id), "actor", "is missing, or no request_id");
}

/// Every evidence reference that an event of a review holds beyond those of its package.
pub fn evidence_of(event: &Event) -> Vec<&EvidenceRef> {
    match event {
        Event::ReviewSealed(e) => e.screen.iter().collect(),
        Event::ConditionClosed(e) => e.evidence.iter().collect(),
        _ => Vec::new(),
    }
}

/// What a state keeps of an approval: SHA-256 of its canonical bytes, without the entry that a Promoted names.
pub fn approval_digest(approval: &super::proto::Approval) -> Digest {
    let stated = super::proto::Approval { decided: None, ..approval.clone() };
    digest::sha256(&stated.encode_to_vec())
}

/// How much later than the review's own time a login may seem to be earlier: clocks differ.
pub const LOGIN_SKEW_MAX: Micros = CLOCK_SKEW_MAX;
