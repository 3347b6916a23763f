//! The six fields: one test for each rule, and properties over generated promotions.

use promotion_ledger::event::{
    content::{content_digest, differing_fields, evidence as evidence_of, evidence_mut},
    promotion::{LIST_LEN_MAX, problems},
    proto::{
        ApprovalForm, ApprovalRequest, BandCheck, Body, ChallengerComparison, Comparator, ComparatorRole,
        Dataset, DatasetStrength, EvidenceRef, Explanation, FormQuestion, ModelVersion, PersonRef, Promoted,
        Slot, SlotRole, body::Event,
    },
};
use proptest::prelude::*;

use crate::samples::*;

type Change = fn(&mut Promoted);

fn slot_of(p: &mut Promoted) -> &mut Slot {
    p.slot.as_mut().unwrap()
}
fn model(p: &mut Promoted) -> &mut ModelVersion {
    p.model_version.as_mut().unwrap()
}
fn comparison(p: &mut Promoted) -> &mut ChallengerComparison {
    p.challenger_comparison.as_mut().unwrap()
}
fn champion(p: &mut Promoted) -> &mut Comparator {
    &mut comparison(p).comparators[0]
}
fn band(p: &mut Promoted) -> &mut BandCheck {
    &mut comparison(p).band_checks[0]
}
fn request(p: &mut Promoted) -> &mut ApprovalRequest {
    p.approval_request.as_mut().unwrap()
}
fn form(p: &mut Promoted) -> &mut ApprovalForm {
    request(p).form.as_mut().unwrap()
}
fn approval(p: &mut Promoted) -> &mut promotion_ledger::event::proto::Approval {
    &mut p.approvals[0]
}
fn explanation(p: &mut Promoted) -> &mut Explanation {
    &mut p.explanations[0]
}
fn dataset(p: &mut Promoted) -> &mut Dataset {
    p.dataset.as_mut().unwrap()
}
fn profile(p: &mut Promoted) -> &mut EvidenceRef {
    p.profile.as_mut().unwrap()
}

/// Against 0.5, with a tolerance of 0.125.
fn set_band(p: &mut Promoted, candidate: f64, within: bool) {
    *band(p) = BandCheck { candidate, incumbent: 0.5, tolerance: 0.125, within, ..band(p).clone() };
}

/// Another artefact, everywhere.
fn set_artifact(p: &mut Promoted, digest: &[u8]) {
    model(p).artifact_sha256 = digest.to_vec();
    model(p).copy = None;
    for explanation in &mut p.explanations {
        explanation.explains = digest.to_vec();
    }
}

/// Another dataset, everywhere.
fn set_dataset(p: &mut Promoted, digest: &[u8]) {
    dataset(p).digest = digest.to_vec();
    dataset(p).copy = None;
    comparison(p).computed_on = digest.to_vec();
    for explanation in p.explanations.iter_mut().filter(|explanation| explanation.sample_manifest.is_none()) {
        explanation.computed_on = digest.to_vec();
    }
}

fn fields(promoted: &Promoted) -> Vec<String> {
    let mut fields: Vec<_> = problems(promoted, T0).into_iter().map(|problem| problem.field).collect();
    fields.dedup();
    fields
}

fn check(change: Change, expected: &[&str]) {
    let mut promoted = promoted("credit", 2, Some(1));
    assert_eq!(problems(&promoted, T0), [], "the sample is whole");
    change(&mut promoted);
    assert_eq!(fields(&promoted), expected, "{:#?}", problems(&promoted, T0));
    let again = problems(&promoted, T0);
    assert!(
        again.iter().all(|problem| !problem.description.is_empty() && !problem.description.ends_with('.'))
    );
}

/// For each rule a change that breaks it alone, and exactly the fields that must be named: a test each, and a table.
macro_rules! rules {
    ($($name:ident: $change:expr => [$($field:literal),+];)*) => {
        const RULES: &[(&str, Change, &[&str])] = &[$((stringify!($name), $change, &[$($field),+])),*];
        $(#[test] fn $name() { check($change, &[$($field),+]); })*
    };
}

rules! {
    slot_is_missing: |p| p.slot = None => ["slot"];
    slot_without_model: |p| slot_of(p).model.clear() => ["slot.model"];
    slot_without_environment: |p| slot_of(p).environment.clear() => ["slot.environment"];
    slot_model_with_a_control_character: |p| slot_of(p).model = "cre\u{7}dit".into() => ["slot.model"];
    slot_model_with_a_bidirectional_override: |p| slot_of(p).model = "cre\u{202e}dit".into() => ["slot.model"];
    slot_model_with_a_zero_width_space: |p| slot_of(p).model = "cre\u{200b}dit".into() => ["slot.model"];
    slot_model_too_long: |p| slot_of(p).model = "ü".repeat(257) => ["slot.model"];
    slot_environment_with_a_line_break: |p| slot_of(p).environment = "prod\nuction".into() => ["slot.environment"];
    slot_region_ends_with_a_space: |p| slot_of(p).region = "eu ".into() => ["slot.region"];
    slot_without_role: |p| slot_of(p).role = 0 => ["slot.role"];
    slot_with_an_unknown_role: |p| slot_of(p).role = 5 => ["slot.role"];

    model_version_is_missing: |p| p.model_version = None => ["explanations[0].explains", "model_version"];
    artefact_digest_is_missing: |p| set_artifact(p, &[]) => ["explanations[0].explains", "model_version.artifact_sha256"];
    artefact_digest_is_short: |p| set_artifact(p, &[1; 20]) => ["model_version.artifact_sha256"];
    registry_uri_is_missing: |p| model(p).registry_uri.clear() => ["model_version.registry_uri"];
    registry_uri_without_scheme: |p| model(p).registry_uri = "registry.example".into() => ["model_version.registry_uri"];
    registry_uri_with_credentials: |p| model(p).registry_uri = "https://me:secret@registry.example".into()
        => ["model_version.registry_uri"];
    registry_uri_with_an_alias: |p| model(p).registry_uri = "models:/credit@champion".into() => ["model_version.registry_uri"];
    registry_uri_with_an_alias_after_a_host: |p| model(p).registry_uri = "mlflow://registry.example/credit@best".into()
        => ["model_version.registry_uri"];
    registry_uri_with_a_stage: |p| model(p).registry_uri = "models:/credit/Production".into() => ["model_version.registry_uri"];
    registry_uri_with_latest: |p| model(p).registry_uri = "models:/credit/latest".into() => ["model_version.registry_uri"];
    model_without_name: |p| model(p).name.clear() => ["model_version.name"];
    version_is_missing: |p| model(p).version.clear() => ["model_version.version"];
    version_is_latest: |p| model(p).version = "latest".into() => ["model_version.version"];
    version_is_a_stage: |p| model(p).version = "Production".into() => ["model_version.version"];
    version_is_an_alias: |p| model(p).version = "champion".into() => ["model_version.version"];
    version_is_an_alias_with_a_number: |p| model(p).version = "staging-2".into() => ["model_version.version"];
    version_is_a_tag: |p| model(p).version = "approved".into() => ["model_version.version"];
    version_is_a_range: |p| model(p).version = "^2.1".into() => ["model_version.version"];
    version_is_a_wildcard: |p| model(p).version = "2.*".into() => ["model_version.version"];
    version_names_an_alias: |p| model(p).version = "credit@3".into() => ["model_version.version"];
    copy_of_another_artefact: |p| model(p).copy.as_mut().unwrap().sha256 = hash_of("x") => ["model_version.copy.sha256"];
    copy_without_length: |p| model(p).copy.as_mut().unwrap().length = 0 => ["model_version.copy.length"];

    comparison_is_missing: |p| p.challenger_comparison = None => ["challenger_comparison"];
    no_comparator: |p| comparison(p).comparators.clear() => ["challenger_comparison.comparators"];
    a_champion_although_there_is_no_incumbent: |p| comparison(p).no_incumbent = true => ["challenger_comparison.comparators"];
    only_a_benchmark: |p| champion(p).role = ComparatorRole::Benchmark.into() => ["challenger_comparison.comparators"];
    two_champions: |p| {
        let second = Comparator { artifact_sha256: hash_of("second"), ..champion(p).clone() };
        comparison(p).comparators.push(second);
    } => ["challenger_comparison.comparators"];
    candidate_among_its_own_comparators: |p| {
        let own = model(p).artifact_sha256.clone();
        champion(p).artifact_sha256 = own;
    } => ["challenger_comparison.comparators[0].artifact_sha256"];
    comparator_twice: |p| {
        let twice = Comparator { role: ComparatorRole::Challenger.into(), ..champion(p).clone() };
        comparison(p).comparators.insert(1, twice);
    } => ["challenger_comparison.comparators[1].artifact_sha256"];
    comparator_without_digest: |p| champion(p).artifact_sha256.clear()
        => ["challenger_comparison.comparators[0].artifact_sha256"];
    comparator_with_a_short_digest: |p| champion(p).artifact_sha256.truncate(4)
        => ["challenger_comparison.comparators[0].artifact_sha256"];
    comparator_without_name: |p| champion(p).name.clear() => ["challenger_comparison.comparators[0].name"];
    comparator_by_alias: |p| champion(p).version = "champion".into() => ["challenger_comparison.comparators[0].version"];
    comparator_without_role: |p| champion(p).role = 0
        => ["challenger_comparison.comparators", "challenger_comparison.comparators[0].role"];
    report_is_missing: |p| comparison(p).report = None => ["challenger_comparison.report"];
    report_without_digest: |p| comparison(p).report.as_mut().unwrap().sha256.clear() => ["challenger_comparison.report.sha256"];
    metrics_are_missing: |p| comparison(p).metrics = None => ["challenger_comparison.metrics"];
    comparison_says_no_dataset: |p| comparison(p).computed_on.clear() => ["challenger_comparison.computed_on"];
    comparison_on_another_dataset: |p| comparison(p).computed_on = hash_of("older snapshot")
        => ["challenger_comparison.computed_on"];
    band_check_says_within_but_is_not: |p| set_band(p, 0.9, true) => ["challenger_comparison.band_checks[0].within"];
    band_check_says_outside_but_is_not: |p| set_band(p, 0.51, false) => ["challenger_comparison.band_checks[0].within"];
    band_check_with_a_negative_tolerance: |p| { band(p).tolerance = -1.0; band(p).within = false; }
        => ["challenger_comparison.band_checks[0].tolerance"];
    band_check_is_not_a_number: |p| band(p).candidate = f64::NAN => ["challenger_comparison.band_checks[0]"];
    band_check_is_infinite: |p| band(p).tolerance = f64::INFINITY => ["challenger_comparison.band_checks[0]"];
    band_check_without_metric: |p| band(p).metric.clear() => ["challenger_comparison.band_checks[0].metric"];
    band_check_without_segment: |p| band(p).segment.clear() => ["challenger_comparison.band_checks[0].segment"];
    too_many_comparators: |p| {
        let other = |i: usize| Comparator {
            role: ComparatorRole::Challenger.into(), artifact_sha256: hash_of(&format!("other {i}")), name: "m".into(), version: "1".into(),
        };
        comparison(p).comparators.extend((0..LIST_LEN_MAX).map(other));
    } => ["challenger_comparison.comparators"];
    too_many_band_checks: |p| { let one = band(p).clone(); comparison(p).band_checks = vec![one; LIST_LEN_MAX + 1]; }
        => ["challenger_comparison.band_checks"];

    request_is_missing: |p| { p.approval_request = None; approval(p).answered.clear(); } => ["approval_request"];
    request_without_system: |p| request(p).system.clear() => ["approval_request.system"];
    request_without_id: |p| request(p).id.clear() => ["approval_request.id"];
    request_id_with_a_control_character: |p| request(p).id.push('\u{1b}') => ["approval_request.id"];
    request_by_nobody: |p| request(p).requested_by = None => ["approval_request.requested_by"];
    request_by_a_short_pseudonym: |p| request(p).requested_by.as_mut().unwrap().subject_id.truncate(8)
        => ["approval_request.requested_by.subject_id"];
    request_without_issuer: |p| request(p).requested_by.as_mut().unwrap().issuer.clear()
        => ["approval_request.requested_by.issuer"];
    triggered_by_nobody: |p| request(p).triggered_by = None => ["approval_request.triggered_by"];
    contributor_without_pseudonym: |p| request(p).contributors = vec![PersonRef { subject_id: vec![], ..person("Carl") }]
        => ["approval_request.contributors[0].subject_id"];
    nobody_was_asked: |p| { request(p).asked_people.clear(); request(p).asked_groups.clear(); }
        => ["approval_request.asked_people"];
    asked_person_without_issuer: |p| request(p).asked_people = vec![PersonRef { issuer: String::new(), ..person("Ada") }]
        => ["approval_request.asked_people[0].issuer"];
    asked_group_without_name: |p| request(p).asked_groups = vec![String::new()] => ["approval_request.asked_groups[0]"];
    asked_at_is_missing: |p| request(p).asked_at = 0 => ["approval_request.asked_at"];
    asked_in_the_future: |p| {
        request(p).asked_at = T0 + 61 * SECOND;
        approval(p).decided_at = T0 + 60 * SECOND;
    } => ["approval_request.asked_at", "approvals[0].decided_at"];
    due_before_it_was_asked: |p| request(p).due_at = request(p).asked_at => ["approval_request.due_at"];
    form_is_missing: |p| { request(p).form = None; approval(p).answered.clear(); } => ["approval_request.form"];
    form_without_id: |p| form(p).id.clear() => ["approval_request.form.id"];
    form_without_version: |p| form(p).version.clear() => ["approval_request.form.version"];
    form_without_content: |p| form(p).content = None => ["approval_request.form.content"];
    form_without_questions: |p| { form(p).questions.clear(); p.approvals.iter_mut().for_each(|a| a.answered.clear()); }
        => ["approval_request.form.questions"];
    question_without_id: |p| { form(p).questions[0].required = false; form(p).questions[0].id.clear(); p.approvals.iter_mut().for_each(|a| a.answered.clear()); }
        => ["approval_request.form.questions[0].id"];
    question_without_text: |p| form(p).questions[0].text = " \n".into() => ["approval_request.form.questions[0].text"];
    question_with_a_hidden_character: |p| form(p).questions[0].text.push('\u{feff}')
        => ["approval_request.form.questions[0].text"];
    question_twice: |p| { let q = form(p).questions[0].clone(); form(p).questions.insert(1, q); }
        => ["approval_request.form.questions[1].id"];

    no_approval: |p| p.approvals.clear() => ["approvals"];
    approver_is_missing: |p| approval(p).approver = None => ["approvals[0].approver"];
    approver_without_pseudonym: |p| approval(p).approver.as_mut().unwrap().subject_id.clear()
        => ["approvals[0].approver.subject_id"];
    approver_without_issuer: |p| approval(p).approver.as_mut().unwrap().issuer.clear() => ["approvals[0].approver.issuer"];
    approver_requested_it: |p| request(p).requested_by = approval(p).approver.clone() => ["approvals[0].approver"];
    approver_triggered_it: |p| request(p).triggered_by = approval(p).approver.clone() => ["approvals[0].approver"];
    approver_contributed_to_it: |p| { let a = approval(p).approver.clone(); request(p).contributors.extend(a); }
        => ["approvals[0].approver"];
    approver_approves_twice: |p| { let twice = approval(p).clone(); p.approvals.insert(1, twice); } => ["approvals[1].approver"];
    decided_at_is_missing: |p| { approval(p).decided_at = 0; approval(p).auth_time = 1; }
        => ["approvals[0].decided_at"];
    decided_in_the_future: |p| approval(p).decided_at = T0 + 61 * SECOND => ["approvals[0].decided_at"];
    decided_before_it_was_asked: |p| {
        approval(p).decided_at = request(p).asked_at - 1;
        approval(p).auth_time = request(p).asked_at - 1;
    } => ["approvals[0].decided_at"];
    auth_time_is_missing: |p| approval(p).auth_time = 0 => ["approvals[0].auth_time"];
    login_in_the_future: |p| { approval(p).decided_at = T0 + 60 * SECOND; approval(p).auth_time = T0 + 61 * SECOND; }
        => ["approvals[0].auth_time"];
    login_after_the_decision: |p| { approval(p).decided_at -= 90 * SECOND; approval(p).auth_time = approval(p).decided_at + 61 * SECOND; }
        => ["approvals[0].auth_time"];
    acr_is_missing: |p| approval(p).acr.clear() => ["approvals[0].acr"];
    amr_with_an_empty_method: |p| approval(p).amr = vec![String::new()] => ["approvals[0].amr[0]"];
    matched_group_with_a_control_character: |p| approval(p).matched_groups = vec!["risk\u{0}".into()]
        => ["approvals[0].matched_groups[0]"];
    groups_are_not_complete: |p| approval(p).groups_complete = false => ["approvals[0].groups_complete"];
    assertion_is_missing: |p| approval(p).assertion_sha256.clear() => ["approvals[0].assertion_sha256"];
    assertion_digest_is_short: |p| approval(p).assertion_sha256.truncate(16) => ["approvals[0].assertion_sha256"];
    required_question_is_not_answered: |p| approval(p).answered.clear() => ["approvals[0].answers"];
    answer_to_no_question: |p| approval(p).answered.push("what?".into()) => ["approvals[0].answers"];
    too_many_amr: |p| approval(p).amr = vec!["otp".into(); LIST_LEN_MAX + 1] => ["approvals[0].amr"];

    no_explanation: |p| p.explanations.clear() => ["explanations"];
    explanation_without_kind: |p| explanation(p).kind.clear() => ["explanations[0].kind"];
    explanation_without_content: |p| explanation(p).content = None => ["explanations[0].content"];
    explanation_of_nothing: |p| explanation(p).explains.clear() => ["explanations[0].explains"];
    explanation_of_another_model: |p| explanation(p).explains = hash_of("other model") => ["explanations[0].explains"];
    explanation_on_another_dataset: |p| { explanation(p).sample_manifest = None; explanation(p).computed_on = hash_of("older"); }
        => ["explanations[0].computed_on"];
    explanation_says_no_dataset: |p| explanation(p).computed_on.clear() => ["explanations[0].computed_on"];
    explanation_on_a_sample_without_digest: |p| {
        explanation(p).sample_manifest = Some(evidence("sample", "application/json"));
        explanation(p).computed_on.truncate(31);
    } => ["explanations[0].computed_on"];
    sealed_for_half_a_pseudonym: |p| {
        explanation(p).content.as_mut().unwrap().subject_id = vec![1; 16];
    } => ["explanations[0].content.subject_id"];
    profile_that_is_sealed: |p| profile(p).subject_id = vec![1; 32] => ["profile.subject_id"];
    sample_manifest_without_lock: |p| {
        explanation(p).sample_manifest = Some(EvidenceRef { lock: None, ..evidence("sample", "application/json") });
        explanation(p).computed_on = hash_of("sample");
    } => ["explanations[0].sample_manifest.lock"];
    background_is_missing: |p| explanation(p).background_sha256.clear() => ["explanations[0].background_sha256"];
    tool_is_missing: |p| explanation(p).tool.clear() => ["explanations[0].tool"];
    tool_version_is_missing: |p| explanation(p).tool_version.clear() => ["explanations[0].tool_version"];
    too_many_explanations: |p| { let one = explanation(p).clone(); p.explanations = vec![one; LIST_LEN_MAX + 1]; } => ["explanations"];

    dataset_is_missing: |p| {
        p.dataset = None;
        comparison(p).computed_on.clear();
        explanation(p).sample_manifest = None;
    } => ["challenger_comparison.computed_on", "dataset", "explanations[0].computed_on"];
    dataset_digest_of_eight_hexadecimal_digits: |p| set_dataset(p, &[0xab; 4]) => ["dataset.digest"];
    dataset_digest_of_md5_length: |p| set_dataset(p, &[0xab; 16]) => ["dataset.digest"];
    dataset_digest_above_512_bits: |p| set_dataset(p, &[0xab; 65]) => ["dataset.digest"];
    dataset_without_strength: |p| dataset(p).strength = 0 => ["dataset.strength"];
    dataset_with_an_unknown_strength: |p| dataset(p).strength = 3 => ["dataset.strength"];
    snapshot_kind_is_missing: |p| dataset(p).snapshot_kind.clear() => ["dataset.snapshot_kind"];
    snapshot_id_is_missing: |p| dataset(p).snapshot_id.clear() => ["dataset.snapshot_id"];
    definition_digest_is_missing: |p| { dataset(p).definition_digest.clear(); dataset(p).definition.as_mut().unwrap().sha256.clear(); }
        => ["dataset.definition.sha256", "dataset.definition_digest"];
    definition_is_missing: |p| dataset(p).definition = None => ["dataset.definition"];
    definition_of_another_digest: |p| dataset(p).definition_digest = hash_of("other") => ["dataset.definition.sha256"];
    copy_of_another_snapshot: |p| {
        dataset(p).strength = DatasetStrength::Content.into();
        dataset(p).copy = Some(evidence("other-snapshot", "text/csv"));
    } => ["dataset.copy.sha256"];

    profile_is_missing: |p| p.profile = None => ["profile"];
    profile_is_too_large: |p| profile(p).length = 8 * 1024 * 1024 + 1 => ["profile.length"];
    evidence_without_uri: |p| profile(p).uri.clear() => ["profile.uri"];
    evidence_without_scheme: |p| profile(p).uri = "/evidence/profile".into() => ["profile.uri"];
    evidence_uri_too_long: |p| profile(p).uri = format!("file:{}", "x".repeat(2048)) => ["profile.uri"];
    evidence_with_a_short_digest: |p| profile(p).sha256.truncate(31) => ["profile.sha256"];
    evidence_without_length: |p| profile(p).length = 0 => ["profile.length"];
    evidence_without_media_type: |p| profile(p).media_type.clear() => ["profile.media_type"];
    evidence_with_half_a_media_type: |p| profile(p).media_type = "html".into() => ["profile.media_type"];
    evidence_without_lock: |p| profile(p).lock = None => ["profile.lock"];
    evidence_with_an_unknown_lock: |p| profile(p).lock.as_mut().unwrap().write_once = "governance".into() => ["profile.lock"];
}

/// What looks near a rule but is allowed.
#[test]
fn not_every_oddity_is_a_problem() {
    let fine: &[(&str, Change)] = &[
        ("no region", |p| slot_of(p).region.clear()),
        ("other roles", |p| slot_of(p).role = SlotRole::Canary.into()),
        ("256 characters", |p| slot_of(p).model = "ü".repeat(256)),
        ("a manifest's digest", |p| model(p).copy = None),
        ("a semantic version", |p| model(p).version = "v1.4.2+build7".into()),
        ("a run id", |p| model(p).version = "8f14e45fceea167a5a36dedd4bea2543".into()),
        ("a name that contains an alias", |p| model(p).version = "latestbuild9".into()),
        ("a registry by digest", |p| {
            model(p).registry_uri = "oci://registry.example/credit@sha256:00ff".into()
        }),
        ("a concrete model URI", |p| model(p).registry_uri = "models:/credit/7".into()),
        ("a model with the name of a stage", |p| model(p).registry_uri = "models:/production".into()),
        ("a first promotion", |p| {
            comparison(p).no_incumbent = true;
            comparison(p).comparators.clear();
        }),
        ("a first promotion with a benchmark", |p| {
            comparison(p).no_incumbent = true;
            champion(p).role = ComparatorRole::Benchmark.into();
        }),
        ("no band checks", |p| comparison(p).band_checks.clear()),
        ("a band check that does not hold, and says so", |p| {
            band(p).tolerance = 0.01;
            band(p).within = false;
        }),
        ("groups only", |p| request(p).asked_people.clear()),
        ("people only", |p| request(p).asked_groups.clear()),
        ("no deadline", |p| request(p).due_at = 0),
        ("an overdue request", |p| request(p).due_at = request(p).asked_at + 1),
        ("clocks that differ by a minute", |p| approval(p).decided_at = T0 + 60 * SECOND),
        ("line breaks in a question", |p| form(p).questions[1].text = "a\r\n\tb".into()),
        ("an optional question answered", |p| approval(p).answered.push("notes".into())),
        ("a parameter in a media type", |p| profile(p).media_type = "text/html; charset=utf-8".into()),
        ("a SHA-512 of a dataset", |p| set_dataset(p, &[7; 64])),
        ("a manifest's copy", |p| {
            dataset(p).strength = DatasetStrength::Manifest.into();
            dataset(p).copy = Some(evidence("manifest", "application/json"));
        }),
        ("an explanation on a sample", |p| {
            explanation(p).sample_manifest = Some(evidence("sample", "application/json"));
            explanation(p).computed_on = hash_of("sample");
        }),
        ("no routing", |p| p.routing = None),
        ("a lock in compliance mode", |p| profile(p).lock.as_mut().unwrap().write_once = "compliance".into()),
    ];
    for (name, change) in fine {
        let mut promoted = promoted("credit", 2, Some(1));
        change(&mut promoted);
        assert_eq!(problems(&promoted, T0), [], "{name}");
    }
}

#[test]
fn an_empty_promotion_names_every_field_at_once() {
    let expected = [
        "approval_request",
        "approvals",
        "challenger_comparison",
        "dataset",
        "explanations",
        "model_version",
        "profile",
        "slot",
    ];
    assert_eq!(fields(&Promoted::default()), expected);
}

#[test]
fn every_piece_of_evidence_is_listed_and_checked() {
    let mut promoted = promoted("credit", 2, Some(1));
    explanation(&mut promoted).sample_manifest = Some(evidence("sample", "application/json"));
    let paths: Vec<_> = evidence_of(&promoted).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), evidence_mut(&mut promoted).len());
    assert_eq!(paths.len(), 9);
    for (i, path) in paths.iter().enumerate() {
        let mut bad = promoted.clone();
        evidence_mut(&mut bad)[i].lock = None;
        let found = fields(&bad);
        assert_eq!(found, [format!("{path}.lock")]);
    }
}

#[test]
fn content_leaves_out_what_a_retry_changes_and_nothing_else() {
    let body = |promoted: Promoted| Body { event: Some(Event::Promoted(promoted)), ..Body::default() };
    let sample = promoted("credit", 2, Some(1));
    let base = body(sample.clone());
    let same: &[Change] = &[
        |p| p.routing = None,
        |p| approval(p).auth_time += 1,
        |p| approval(p).verified_by = "kid".into(),
        |p| approval(p).assertion_sha256 = hash_of("x"),
        |p| evidence_mut(p).into_iter().for_each(|reference| reference.lock = None),
    ];
    for (i, change) in same.iter().enumerate() {
        let mut promoted = sample.clone();
        change(&mut promoted);
        assert_eq!(content_digest(&body(promoted.clone())), content_digest(&base), "{i}");
        assert_eq!(differing_fields(&body(promoted), &base), [""; 0], "{i}");
    }
    let other: &[(Change, &[&str])] = &[
        (|p| dataset(p).snapshot_id = "x".into(), &["dataset.snapshot_id"]),
        (|p| approval(p).decided_at += 1, &["approvals[0].decided_at"]),
        (|p| profile(p).sha256 = hash_of("x"), &["profile.sha256"]),
        (|p| explanation(p).content.as_mut().unwrap().uri.push('x'), &["explanations[0].content.uri"]),
        (|p| p.explanations.clear(), &["explanations"]),
        (
            |p| {
                band(p).candidate += 0.01;
                slot_of(p).region.clear();
            },
            &["challenger_comparison.band_checks[0].candidate", "slot.region"],
        ),
    ];
    for (change, expected) in other {
        let mut promoted = sample.clone();
        change(&mut promoted);
        assert_ne!(content_digest(&body(promoted.clone())), content_digest(&base));
        assert_eq!(differing_fields(&body(promoted), &base), *expected);
    }
}

// --- generated promotions ----------------------------------------------------------------------------------

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Zäß0-9][a-zA-Z0-9 äß_./-]{0,30}[a-z0-9]"
}

fn version() -> impl Strategy<Value = String> {
    prop_oneof!["[1-9][0-9]{0,3}", "v[0-9]\\.[0-9]{1,2}\\.[0-9]", "[0-9][0-9a-f]{31}"]
}

fn a_digest() -> impl Strategy<Value = Vec<u8>> {
    any::<[u8; 32]>().prop_map(|digest| digest.to_vec())
}

fn an_evidence() -> impl Strategy<Value = EvidenceRef> {
    let uri = "(s3|file|https)://[a-z]{1,9}\\.example/[a-zA-Z0-9/._-]{0,30}";
    let media_type = prop_oneof!["text/html", "application/(json|parquet|vnd\\.x\\+json)", "image/png; q=1"];
    (uri, a_digest(), 1..1_000_000u64, media_type, any::<bool>(), "[a-z0-9]{0,8}").prop_map(
        |(uri, sha256, length, media_type, locked, version_id)| {
            let mut reference =
                EvidenceRef { uri, sha256, length, media_type, version_id, ..evidence("x", "text/html") };
            if locked {
                let lock = reference.lock.as_mut().unwrap();
                (lock.write_once, lock.retain_until) = ("compliance".into(), T0 * 2);
            }
            reference
        },
    )
}

fn a_band_check() -> impl Strategy<Value = BandCheck> {
    (name(), name(), -1.0..1.0f64, -1.0..1.0f64, 0.0..0.5f64).prop_map(
        |(metric, segment, candidate, incumbent, tolerance)| {
            let within = (candidate - incumbent).abs() <= tolerance;
            BandCheck { metric, segment, candidate, incumbent, tolerance, within }
        },
    )
}

type Names = (String, String, String, String, String, String, String, String);

/// The sample with everything in it varied, lists included.
pub fn a_promotion() -> impl Strategy<Value = Promoted> {
    let names = (name(), name(), name(), name(), name(), name(), name(), name());
    let lists = (
        prop::collection::vec((2..=3i32, a_digest(), name(), version()), 0..4),
        prop::collection::vec(a_band_check(), 1..5),
        prop::collection::vec(any::<bool>(), 0..5),
        prop::collection::vec((0..HOUR, prop::collection::vec(name(), 0..4)), 1..4),
        prop::collection::vec((an_evidence(), prop::option::of(an_evidence()), a_digest()), 1..4),
    );
    let pieces = prop::collection::vec(an_evidence(), 8);
    let rest = (
        1..=4i32,
        any::<bool>(),
        a_digest(),
        version(),
        32..=64usize,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (names, lists, pieces, rest)
        .prop_map(|(names, lists, pieces, rest)| assemble(names, lists, &pieces, rest))
}

type Comparators = Vec<(i32, Vec<u8>, String, String)>;
type Lists = (Comparators, Vec<BandCheck>, Vec<bool>, Vec<(u64, Vec<String>)>, Explanations);
type Explanations = Vec<(EvidenceRef, Option<EvidenceRef>, Vec<u8>)>;

fn assemble(
    names: Names,
    (others, band_checks, questions, approvals, explanations): Lists,
    pieces: &[EvidenceRef],
    (role, region, artifact, version, dataset_len, with_copy, manifest, due): (
        i32,
        bool,
        Vec<u8>,
        String,
        usize,
        bool,
        bool,
        bool,
    ),
) -> Promoted {
    let mut p = promoted("credit", 2, Some(1));
    let digest: Vec<u8> = artifact.iter().rev().cycle().take(dataset_len).copied().collect();
    slot_of(&mut p).model = names.0;
    slot_of(&mut p).environment = names.1;
    slot_of(&mut p).role = role;
    if !region {
        slot_of(&mut p).region.clear();
    }
    let one = explanation(&mut p).clone();
    p.explanations = explanations
        .into_iter()
        .map(|(content, sample_manifest, own)| Explanation {
            content: Some(content),
            computed_on: own,
            sample_manifest,
            tool: names.2.clone(),
            ..one.clone()
        })
        .collect();
    set_artifact(&mut p, &artifact);
    set_dataset(&mut p, &digest);
    model(&mut p).version = version;
    model(&mut p).name = names.3;
    model(&mut p).copy = Some(EvidenceRef { sha256: artifact, ..pieces[0].clone() });
    comparison(&mut p).report = Some(pieces[1].clone());
    comparison(&mut p).metrics = Some(pieces[2].clone());
    comparison(&mut p).band_checks = band_checks;
    comparison(&mut p).comparators.extend(
        others.into_iter().map(|(role, artifact_sha256, name, version)| Comparator {
            role,
            artifact_sha256,
            name,
            version,
        }),
    );
    request(&mut p).system = names.4;
    request(&mut p).id = names.5;
    if !due {
        request(&mut p).due_at = 0;
    }
    form(&mut p).content = Some(pieces[3].clone());
    let optional =
        |(i, required): (usize, bool)| FormQuestion { id: format!("q{i}"), text: names.6.clone(), required };
    form(&mut p).questions.extend(questions.iter().copied().enumerate().map(optional));
    let answered: Vec<_> =
        form(&mut p).questions.iter().filter(|q| q.required).map(|q| q.id.clone()).collect();
    let first = approval(&mut p).clone();
    p.approvals = approvals
        .into_iter()
        .enumerate()
        .map(|(i, (ago, groups))| promotion_ledger::event::proto::Approval {
            approver: Some(person(&format!("approver {i}"))),
            decided_at: T0 - ago,
            matched_groups: groups,
            answered: answered.clone(),
            acr: names.7.clone(),
            ..first.clone()
        })
        .collect();
    dataset(&mut p).definition =
        Some(EvidenceRef { sha256: dataset(&mut p).definition_digest.clone(), ..pieces[4].clone() });
    if manifest {
        dataset(&mut p).strength = DatasetStrength::Manifest.into();
    }
    if with_copy {
        let sha256 = if manifest { pieces[5].sha256.clone() } else { digest };
        dataset(&mut p).copy = (sha256.len() == 32).then(|| EvidenceRef { sha256, ..pieces[5].clone() });
    }
    p.profile = Some(pieces[6].clone());
    p
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_generated_promotion_is_whole(p in a_promotion()) {
        prop_assert_eq!(problems(&p, T0), []);
    }

    /// Whatever else a promotion holds, breaking any one rule is named.
    #[test]
    fn any_broken_rule_of_any_promotion_is_named(p in a_promotion(), rule in any::<prop::sample::Index>()) {
        let (name, change, expected) = RULES[rule.index(RULES.len())];
        let mut broken = p.clone();
        change(&mut broken);
        let found = fields(&broken);
        prop_assert!(!found.is_empty(), "{}", name);
        for field in expected {
            prop_assert!(found.iter().any(|f| f == field), "{}: {} is not among {:?}", name, field, found);
        }
    }

    #[test]
    fn any_time_after_now_is_refused(p in a_promotion(), early in 61 * SECOND..1000 * HOUR) {
        // Recorded that much before the newest time in it.
        let newest = p.approvals.iter().map(|a| a.decided_at).max().unwrap();
        prop_assert!(!problems(&p, newest - early).is_empty());
    }
}
