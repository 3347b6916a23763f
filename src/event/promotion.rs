//! The six fields: all present and consistent, or the promotion is refused (design section 2).
//!
//! One list of rules, used twice: admission shows every problem to the caller at once, and the writer refuses
//! a record that has any (`refused(incomplete)`), so that no front door can let one through.

use std::{collections::BTreeSet, fmt::Display};

pub use super::problem::{Problem, Problems};
use super::{
    approvals, digest,
    model::{Digest, Micros},
    proto::{
        ApprovalRequest, AttemptRefused, ChallengerComparison, ComparatorRole, Dataset, DatasetStrength,
        EvidenceRef, Explanation, ModelVersion, PersonRef, Promoted, Slot, SlotRole, body::Event,
    },
    text::{media_type_problem, name_problem, registry_uri_problem, uri_problem, version_problem},
};

/// Largest model profile, bytes.
pub const PROFILE_LEN_MAX: u64 = 8 * 1024 * 1024;
/// Most items in any list of an event.
pub const LIST_LEN_MAX: usize = 64;
/// How far a time in an event may lie after the event's own time: clocks of other systems.
pub const CLOCK_SKEW_MAX: Micros = 60 * 1_000_000;

/// The promotion key of a promotion.
pub fn promotion_key(promoted: &Promoted) -> Digest {
    let request = promoted.approval_request.as_ref();
    let request = request.map_or(("", ""), |request| (&request.system, &request.id));
    digest::promotion_key(promoted.slot.as_ref(), promoted.model_version.as_ref(), request)
}

/// Everything that is wrong with a promotion recorded at a time. Empty: all six fields are there and agree.
pub fn problems(promoted: &Promoted, recorded_at: Micros) -> Vec<Problem> {
    let mut p = Problems::default();
    package_rules(&mut p, promoted, recorded_at);
    approvals::rules(&mut p, promoted, recorded_at);
    if let Some(review) = &promoted.review {
        sha256_rule(&mut p, "review.event_digest", &review.event_digest);
        evidence(&mut p, "review.screen", review.screen.as_ref());
    }
    p.into_sorted()
}

/// Everything that is wrong with what is put before the approvers: a promotion without approvals and review.
pub(super) fn package_problems(p: &mut Problems, package: &Promoted, recorded_at: Micros) {
    package_rules(p, package, recorded_at);
    p.require(package.approvals.is_empty(), "approvals", "stand in a package that nobody has seen yet");
    p.require(package.review.is_none(), "review", "stands in its own package");
}

fn package_rules(p: &mut Problems, promoted: &Promoted, recorded_at: Micros) {
    let (no_model, no_dataset) = (ModelVersion::default(), Dataset::default());
    let model = promoted.model_version.as_ref().unwrap_or(&no_model);
    let dataset = promoted.dataset.as_ref().unwrap_or(&no_dataset);
    match &promoted.slot {
        Some(slot) => slot_rules(p, "slot", slot),
        None => p.add("slot", "is missing; say for which model, environment, region and role this is"),
    }
    match &promoted.model_version {
        Some(model) => model_version(p, model),
        None => p.add("model_version", "is missing; a promotion needs all six fields"),
    }
    match &promoted.challenger_comparison {
        Some(comparison) => challenger_comparison(p, comparison, model, dataset),
        None => p.add("challenger_comparison", "is missing; a promotion needs all six fields"),
    }
    match &promoted.approval_request {
        Some(request) => approval_request(p, request, recorded_at),
        None => p.add("approval_request", "is missing; a promotion needs all six fields"),
    }
    explanations(p, &promoted.explanations, model, dataset);
    match &promoted.dataset {
        Some(dataset) => dataset_rules(p, dataset),
        None => p.add("dataset", "is missing; a promotion needs all six fields"),
    }
    evidence(p, "profile", promoted.profile.as_ref());
    if let Some(profile) = &promoted.profile {
        p.require(profile.length <= PROFILE_LEN_MAX, "profile.length", "a model profile has 8 MiB or less");
    }
    if promoted.profile_attestation.is_some() {
        evidence(p, "profile_attestation", promoted.profile_attestation.as_ref());
    }
}

/// Rules of a slot's names.
pub fn slot_rules(p: &mut Problems, path: impl Display, slot: &Slot) {
    p.add_some(format_args!("{path}.model"), name_problem(&slot.model));
    p.add_some(format_args!("{path}.environment"), name_problem(&slot.environment));
    if !slot.region.is_empty() {
        p.add_some(format_args!("{path}.region"), name_problem(&slot.region));
    }
    let known = SlotRole::try_from(slot.role).is_ok_and(|role| role != SlotRole::Unspecified);
    p.require(known, format_args!("{path}.role"), "is missing; one of champion, challenger, shadow, canary");
}

/// Whether a roll-back, revocation or retirement says who did it, and in which request.
pub fn actor_is_whole(actor: Option<&PersonRef>, request_id: &str) -> bool {
    let mut p = Problems::default();
    person(&mut p, "actor", actor);
    p.add_some("request_id", name_problem(request_id));
    p.into_sorted().is_empty()
}

/// The slot that an event is about.
pub fn slot_of(event: &Event) -> Option<&Slot> {
    match event {
        Event::AttemptRefused(e) => e.slot.as_ref(),
        Event::BreakGlass(e) => e.slot.as_ref(),
        Event::ReviewSealed(e) => e.package.as_ref().and_then(|package| package.slot.as_ref()),
        Event::ConditionClosed(e) => e.slot.as_ref(),
        event => slot_changed_by(event),
    }
}

/// The slot that an accepted event changes.
pub fn slot_changed_by(event: &Event) -> Option<&Slot> {
    match event {
        Event::Promoted(e) => e.slot.as_ref(),
        Event::RolledBack(e) => e.slot.as_ref(),
        Event::Revoked(e) => e.slot.as_ref(),
        Event::Retired(e) => e.slot.as_ref(),
        Event::Undocumented(e) => e.slot.as_ref(),
        _ => None,
    }
}

/// The artefact that a promotion was compared with as the champion.
pub fn champion(promoted: &Promoted) -> Option<&[u8]> {
    let champion = i32::from(ComparatorRole::Champion);
    let comparators = promoted.challenger_comparison.iter().flat_map(|comparison| &comparison.comparators);
    comparators.filter(|it| it.role == champion).map(|it| it.artifact_sha256.as_slice()).next()
}

/// Whether people approved a promotion; otherwise services did, under a standing policy.
pub fn by_people(promoted: &Promoted) -> bool {
    promoted.approvals.iter().any(|approval| approval.standing_policy.is_empty())
}

/// Whether a refused attempt says what was refused, by which policy, and why.
pub fn attempt_is_whole(refused: &AttemptRefused) -> bool {
    let mut p = Problems::default();
    match &refused.slot {
        Some(slot) => slot_rules(&mut p, "slot", slot),
        None => p.add("slot", "is missing"),
    }
    for (field, bytes) in [
        ("promotion_key", &refused.promotion_key),
        ("content", &refused.content),
        ("artifact_sha256", &refused.artifact_sha256),
        ("policy_sha256", &refused.policy_sha256),
    ] {
        sha256_rule(&mut p, field, bytes);
    }
    p.add_some("tier", name_problem(&refused.tier));
    p.require(!refused.shortfalls.is_empty(), "shortfalls", "is empty");
    list_rule(&mut p, "shortfalls", refused.shortfalls.len());
    p.into_sorted().is_empty()
}

pub(super) fn sha256_rule(p: &mut Problems, field: impl Display, bytes: &[u8]) {
    match bytes.len() {
        32 => {}
        0 => p.add(field, "is missing"),
        n => p.add(field, format_args!("is {n} bytes; a SHA-256 has 32 (64 hexadecimal digits)")),
    }
}

pub(super) fn list_rule(p: &mut Problems, field: impl Display, len: usize) {
    p.require(len <= LIST_LEN_MAX, field, format_args!("has {len} items; at most {LIST_LEN_MAX}"));
}

pub(super) fn evidence(p: &mut Problems, path: impl Display, reference: Option<&EvidenceRef>) {
    let in_clear = reference.is_none_or(|reference| reference.subject_id.is_empty());
    p.require(
        in_clear,
        format_args!("{path}.subject_id"),
        "is set; only explanations and their samples may be sealed for a person",
    );
    sealable_evidence(p, path, reference);
}

fn sealable_evidence(p: &mut Problems, path: impl Display, reference: Option<&EvidenceRef>) {
    let Some(reference) = reference else {
        return p.add(path, "is missing");
    };
    let pseudonym = matches!(reference.subject_id.len(), 0 | 32);
    p.require(pseudonym, format_args!("{path}.subject_id"), "is not a pseudonym of 32 bytes");
    p.add_some(format_args!("{path}.uri"), uri_problem(&reference.uri));
    sha256_rule(p, format_args!("{path}.sha256"), &reference.sha256);
    p.require(reference.length > 0, format_args!("{path}.length"), "is 0; evidence has bytes");
    p.add_some(format_args!("{path}.media_type"), media_type_problem(&reference.media_type));
    let proven =
        reference.lock.as_ref().is_some_and(|lock| matches!(lock.write_once.as_str(), "none" | "compliance"));
    p.require(proven, format_args!("{path}.lock"), "is missing; the store was not asked for its lock");
}

fn model_version(p: &mut Problems, model: &ModelVersion) {
    sha256_rule(p, "model_version.artifact_sha256", &model.artifact_sha256);
    p.add_some("model_version.registry_uri", registry_uri_problem(&model.registry_uri));
    p.add_some("model_version.name", name_problem(&model.name));
    p.add_some("model_version.version", version_problem(&model.version));
    if let Some(copy) = &model.copy {
        evidence(p, "model_version.copy", Some(copy));
        let same = copy.sha256 == model.artifact_sha256;
        p.require(same, "model_version.copy.sha256", "is not the artefact's digest");
    }
}

fn challenger_comparison(
    p: &mut Problems,
    comparison: &ChallengerComparison,
    model: &ModelVersion,
    dataset: &Dataset,
) {
    let path = "challenger_comparison";
    list_rule(p, "challenger_comparison.comparators", comparison.comparators.len());
    list_rule(p, "challenger_comparison.band_checks", comparison.band_checks.len());
    let mut seen = BTreeSet::new();
    let mut champions = 0;
    for (i, comparator) in comparison.comparators.iter().enumerate() {
        let at = format_args!("{path}.comparators[{i}]");
        sha256_rule(p, format_args!("{at}.artifact_sha256"), &comparator.artifact_sha256);
        p.add_some(format_args!("{at}.name"), name_problem(&comparator.name));
        p.add_some(format_args!("{at}.version"), version_problem(&comparator.version));
        match ComparatorRole::try_from(comparator.role) {
            Ok(ComparatorRole::Champion) => champions += 1,
            Ok(ComparatorRole::Challenger | ComparatorRole::Benchmark) => {}
            _ => p.add(format_args!("{at}.role"), "is missing; one of champion, challenger, benchmark"),
        }
        let own =
            !comparator.artifact_sha256.is_empty() && comparator.artifact_sha256 == model.artifact_sha256;
        p.require(
            !own,
            format_args!("{at}.artifact_sha256"),
            "is the candidate itself; compare it with another model",
        );
        let new = seen.insert(&comparator.artifact_sha256);
        p.require(new, format_args!("{at}.artifact_sha256"), "is listed twice");
    }
    let at = format_args!("{path}.comparators");
    match (comparison.no_incumbent, champions) {
        (true, 0) | (false, 1) => {}
        (true, _) => p.add(at, "names a champion although no_incumbent is true"),
        (false, 0) => p.add(at, "names no champion; compare with the current model, or say no_incumbent"),
        (false, _) => p.add(at, "names more than one champion"),
    }
    evidence(p, "challenger_comparison.report", comparison.report.as_ref());
    evidence(p, "challenger_comparison.metrics", comparison.metrics.as_ref());
    computed_on(p, "challenger_comparison.computed_on", &comparison.computed_on, dataset);
    for (i, check) in comparison.band_checks.iter().enumerate() {
        let at = format_args!("{path}.band_checks[{i}]");
        p.add_some(format_args!("{at}.metric"), name_problem(&check.metric));
        p.add_some(format_args!("{at}.segment"), name_problem(&check.segment));
        let finite =
            [check.candidate, check.incumbent, check.tolerance].iter().all(|value| value.is_finite());
        p.require(finite, at, "has a value that is not a finite number");
        p.require(check.tolerance >= 0.0, format_args!("{at}.tolerance"), "is negative");
        let within = (check.candidate - check.incumbent).abs() <= check.tolerance;
        p.require(
            !finite || check.within == within,
            format_args!("{at}.within"),
            format_args!("says {}, but |candidate - incumbent| <= tolerance is {within}", check.within),
        );
    }
}

fn computed_on(p: &mut Problems, field: impl Display, digest: &[u8], dataset: &Dataset) {
    let agrees = digest == dataset.digest;
    p.require(
        !digest.is_empty(),
        &field,
        "is missing; give the digest of the dataset that it was computed on",
    );
    p.require(
        digest.is_empty() || agrees,
        field,
        "is not the dataset of field six; compute it again on that dataset, or promote with the dataset it was computed on",
    );
}

pub(super) fn person(p: &mut Problems, field: impl Display, person: Option<&PersonRef>) {
    let Some(person) = person else {
        return p.add(field, "is missing");
    };
    p.add_some(format_args!("{field}.issuer"), uri_problem(&person.issuer));
    sha256_rule(p, format_args!("{field}.subject_id"), &person.subject_id);
}

fn approval_request(p: &mut Problems, request: &ApprovalRequest, recorded_at: Micros) {
    let path = "approval_request";
    p.add_some("approval_request.system", name_problem(&request.system));
    p.add_some("approval_request.id", name_problem(&request.id));
    person(p, "approval_request.requested_by", request.requested_by.as_ref());
    person(p, "approval_request.triggered_by", request.triggered_by.as_ref());
    list_rule(p, "approval_request.contributors", request.contributors.len());
    list_rule(p, "approval_request.asked_people", request.asked_people.len());
    list_rule(p, "approval_request.asked_groups", request.asked_groups.len());
    for (i, contributor) in request.contributors.iter().enumerate() {
        person(p, format_args!("{path}.contributors[{i}]"), Some(contributor));
    }
    for (i, asked) in request.asked_people.iter().enumerate() {
        person(p, format_args!("{path}.asked_people[{i}]"), Some(asked));
    }
    for (i, group) in request.asked_groups.iter().enumerate() {
        p.add_some(format_args!("{path}.asked_groups[{i}]"), name_problem(group));
    }
    let asked = !request.asked_people.is_empty() || !request.asked_groups.is_empty();
    p.require(asked, "approval_request.asked_people", "nobody was asked; name people or groups");
    past(p, "approval_request.asked_at", request.asked_at, recorded_at);
    let due = request.due_at == 0 || request.due_at > request.asked_at;
    p.require(due, "approval_request.due_at", "is not after asked_at");
    let Some(form) = &request.form else {
        return p.add("approval_request.form", "is missing");
    };
    p.add_some("approval_request.form.id", name_problem(&form.id));
    p.add_some("approval_request.form.version", name_problem(&form.version));
    evidence(p, "approval_request.form.content", form.content.as_ref());
    list_rule(p, "approval_request.form.questions", form.questions.len());
    p.require(
        !form.questions.is_empty(),
        "approval_request.form.questions",
        "is empty; a form asks something",
    );
    let mut ids = BTreeSet::new();
    for (i, question) in form.questions.iter().enumerate() {
        let at = format_args!("{path}.form.questions[{i}]");
        p.add_some(format_args!("{at}.id"), name_problem(&question.id));
        p.add_some(format_args!("{at}.text"), super::text::free_text_problem(&question.text));
        p.require(ids.insert(&question.id), format_args!("{at}.id"), "is listed twice");
    }
}

pub(super) fn past(p: &mut Problems, field: impl Display, time: Micros, recorded_at: Micros) {
    p.require(time > 0, &field, "is missing");
    p.require(time <= recorded_at.saturating_add(CLOCK_SKEW_MAX), field, "lies in the future");
}

fn explanations(p: &mut Problems, explanations: &[Explanation], model: &ModelVersion, dataset: &Dataset) {
    p.require(
        !explanations.is_empty(),
        "explanations",
        "is empty; a promotion needs at least one explanation",
    );
    list_rule(p, "explanations", explanations.len());
    for (i, explanation) in explanations.iter().enumerate() {
        let at = format_args!("explanations[{i}]");
        p.add_some(format_args!("{at}.kind"), name_problem(&explanation.kind));
        p.add_some(format_args!("{at}.tool"), name_problem(&explanation.tool));
        p.add_some(format_args!("{at}.tool_version"), name_problem(&explanation.tool_version));
        sealable_evidence(p, format_args!("{at}.content"), explanation.content.as_ref());
        sha256_rule(p, format_args!("{at}.background_sha256"), &explanation.background_sha256);
        let own = explanation.explains == model.artifact_sha256;
        p.require(
            own && !explanation.explains.is_empty(),
            format_args!("{at}.explains"),
            "is not the model version of field one; explain the model that is promoted",
        );
        match &explanation.sample_manifest {
            Some(manifest) => {
                sealable_evidence(p, format_args!("{at}.sample_manifest"), Some(manifest));
                sha256_rule(p, format_args!("{at}.computed_on"), &explanation.computed_on);
            }
            None => computed_on(p, format_args!("{at}.computed_on"), &explanation.computed_on, dataset),
        }
    }
}

fn dataset_rules(p: &mut Problems, dataset: &Dataset) {
    let len = dataset.digest.len();
    p.require(
        (32..=64).contains(&len),
        "dataset.digest",
        format_args!("has {} bits; a content hash of 256 to 512 bits is needed", len * 8),
    );
    let strength = DatasetStrength::try_from(dataset.strength).unwrap_or_default();
    let known = strength != DatasetStrength::Unspecified;
    p.require(known, "dataset.strength", "is missing; content or manifest");
    p.add_some("dataset.snapshot_kind", name_problem(&dataset.snapshot_kind));
    p.add_some("dataset.snapshot_id", name_problem(&dataset.snapshot_id));
    sha256_rule(p, "dataset.definition_digest", &dataset.definition_digest);
    evidence(p, "dataset.definition", dataset.definition.as_ref());
    if let Some(definition) = &dataset.definition {
        let same = definition.sha256 == dataset.definition_digest;
        p.require(same, "dataset.definition.sha256", "is not definition_digest");
    }
    if let Some(copy) = &dataset.copy {
        evidence(p, "dataset.copy", Some(copy));
        let same = strength != DatasetStrength::Content || copy.sha256 == dataset.digest;
        p.require(same, "dataset.copy.sha256", "is not the dataset's digest");
    }
}
