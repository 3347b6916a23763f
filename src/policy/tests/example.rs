//! The three dated promotions of `examples/credit`, from the files that the demo submits.

use super::*;
use crate::policy::{
    Submitted, below_floor,
    file::Identity,
    provenance::Group,
    requirements::{Approval, Question},
    route::Route,
};

fn route(day: &str, previous: Option<&Previous>, since_human: Option<&Previous>) -> Route {
    let policy = example_policy();
    let facts = facts(day, established(day, &policy).provenance);
    let inputs = derive(&profile(day), &facts, previous, since_human).unwrap_or_else(|p| panic!("{p:#?}"));
    let again = Inputs::from_bytes(&inputs.to_bytes().unwrap()).unwrap();
    let route = policy.route(&inputs).unwrap();
    assert_eq!(policy.route(&again).unwrap(), route, "frozen inputs route the same");
    route
}

fn rules(route: &Route) -> Vec<&str> {
    route.matched.iter().map(|matched| matched.rule.as_str()).collect()
}

#[test]
fn every_part_of_the_example_profiles_is_attested() {
    let policy = example_policy();
    for day in ["2026-11-07", "2026-11-14", "2026-11-21"] {
        let known = established(day, &policy);
        assert_eq!(known.attested_by.as_deref(), Some("development-build"));
        assert!(Group::ALL.iter().all(|group| known.provenance.of(*group) == Source::Attested), "{day}");
    }
}

#[test]
fn the_first_promotion_is_high() {
    let route = route("2026-11-07", None, None);
    assert_eq!((route.tier.as_str(), rules(&route)), ("high", vec!["first-promotion", "out-of-band"]));
}

#[test]
fn the_weekly_retrain_is_low_under_its_standing_policy() {
    let first = previous("2026-11-07", 1);
    let route = route("2026-11-14", Some(&first), Some(&first));
    assert_eq!((route.tier.as_str(), rules(&route)), ("low", vec!["stable-retrain"]));
    assert_eq!((route.in_band, route.standing_policy.as_deref()), (true, Some("SP-2026-03")));
    assert_eq!(route.floor, None);
}

#[test]
fn the_threshold_change_is_high_whoever_approved_the_retrain() {
    let (first, second) = (previous("2026-11-07", 1), previous("2026-11-14", 2));
    for human in [&first, &second] {
        let route = route("2026-11-21", Some(&second), Some(human));
        assert_eq!((route.tier.as_str(), rules(&route)), ("high", vec!["out-of-band", "threshold-change"]));
        let floor = route.floor.unwrap();
        assert_eq!(floor.tier, "high");
        assert!(floor.reasons.contains(&"a decision threshold moved".to_owned()), "{:?}", floor.reasons);
    }
}

/// A retrain a week, each a little worse than the one before it on its snapshot, and nothing else changed.
fn weekly(week: i32) -> (Previous, Facts) {
    let digest_of = |what: &str, week: i32| digest::sha256(format!("{what} of week {week}").as_bytes());
    let named = |what: &str, week: i32| serde_json::json!(format!("sha256:{}", digest_of(what, week)));
    let mut profile: serde_json::Value =
        serde_json::from_slice(&example_file("2026-11-14/profile.json")).unwrap();
    let scored = |week: i32| {
        let mut metrics = profile["metrics"].clone();
        metrics["overall"]["auc"] = (0.77 - 0.0042 * f64::from(week)).into();
        metrics
    };
    let (own, incumbent) = (scored(week), scored(week - 1));
    let psi = profile["population"]["drift"][0]["psi"].clone();
    let against = std::collections::BTreeSet::from([week - 1, 0]);
    let drift = |week| serde_json::json!({ "against": named("snapshot", week), "psi": psi });
    profile["population"]["drift"] = against.into_iter().map(drift).collect();
    profile["metrics"] = own;
    profile["incumbent"] =
        serde_json::json!({ "artifact_sha256": named("artefact", week - 1), "metrics": incumbent });
    profile["evaluation"]["snapshot_digest"] = named("snapshot", week);
    let profile = ModelProfile::parse(profile.to_string().as_bytes()).unwrap_or_else(|p| panic!("{p:#?}"));
    let artifact_sha256 = digest_of("artefact", week);
    let facts = Facts {
        artifact_sha256,
        dataset_digest: digest_of("snapshot", week).0.to_vec(),
        ..facts("2026-11-14", Provenance::all(Source::Attested))
    };
    (Previous { seq: week as u64 + 1, artifact_sha256, profile: profile.into() }, facts)
}

#[test]
fn ten_small_retrains_in_a_row_reach_a_person() {
    let policy = example_policy();
    let routed = |week: i32, human: i32| {
        let (candidate, facts) = weekly(week);
        let (previous, human) = (weekly(week - 1).0, weekly(human).0);
        let inputs = derive(&candidate.profile, &facts, Some(&previous), Some(&human));
        policy.route(&inputs.unwrap_or_else(|p| panic!("{p:#?}"))).unwrap()
    };
    for week in 1..10 {
        let route = routed(week, 0);
        assert_eq!((route.tier.as_str(), rules(&route)), ("low", vec!["stable-retrain"]), "week {week}");
    }
    let tenth = routed(10, 0);
    assert_eq!((tenth.tier.as_str(), tenth.in_band), ("high", true), "each step is inside the band");
    assert_eq!(rules(&tenth), ["slow-drift", "stable-retrain"]);
    assert_eq!(routed(10, 9).tier, "low", "a person approved the ninth: it begins again");
}

#[test]
fn inputs_say_what_moved() {
    let (first, second) = (previous("2026-11-07", 1), previous("2026-11-14", 2));
    let facts = facts("2026-11-21", Provenance::all(Source::Attested));
    let inputs = derive(&profile("2026-11-21"), &facts, Some(&second), Some(&first)).unwrap();
    let moved = inputs.change.thresholds_moved["decline_at_pd"];
    assert_eq!((moved.from, moved.to), (Some(0.5), Some(0.42)));
    assert_eq!(inputs.change.delta("overall", "approval_rate"), Some(-0.065625));
    assert_eq!(inputs.change.delta("age_band:18-25", "approval_rate"), Some(-0.121213));
    assert!(inputs.change.snapshot_rolled && !inputs.change.evaluation_definition_changed);
    assert_eq!(inputs.since_human.as_ref().unwrap().seq, 1);
    let len = inputs.to_bytes().unwrap().len();
    assert!(len < 24 * 1024, "the example's inputs have {len} bytes; 64 KiB leave room for wider models");
}

#[test]
fn the_example_policy_says_itself_what_the_floor_says() {
    assert_eq!(below_floor(&example_policy()), []);
}

#[test]
fn the_retrain_may_be_approved_by_its_service_or_by_a_person() {
    let policy = example_policy();
    let at_idp = |subject: &str| {
        Some(Identity { issuer: "http://127.0.0.1:7421/development".into(), subject: subject.into() })
    };
    let service = Approval {
        approver: at_idp("svc-weekly-retrain"),
        standing_policy: Some("SP-2026-03".into()),
        accountable: at_idp("u-2001"),
        ..Approval::default()
    };
    let mut submitted = Submitted {
        model: "german-credit-pd".into(),
        approvals: vec![service.clone()],
        explanations: vec!["attribution".into()],
        report_media_type: "application/json".into(),
        in_band: true,
        ..Submitted::default()
    };
    let fields = |submitted: &Submitted, tier: &str| -> Vec<String> {
        policy.shortfalls(tier, submitted).into_iter().map(|problem| problem.field).collect()
    };
    assert!(fields(&submitted, "low").is_empty());
    submitted.in_band = false;
    assert_eq!(fields(&submitted, "low"), ["approvals[0].standing_policy"]);
    submitted.in_band = true;
    submitted.approvals[0].approver = at_idp("svc-other");
    submitted.approvals[0].accountable = at_idp("u-9999");
    assert_eq!(fields(&submitted, "low"), ["approvals[0].accountable", "approvals[0].approver"]);
    submitted.approvals[0] = Approval { accountable: None, ..service.clone() };
    assert_eq!(fields(&submitted, "low"), ["approvals[0].accountable"]);
    // Pseudonyms: membership was checked when the event was made.
    submitted.approvals[0] = Approval { approver: None, accountable: None, ..service };
    assert!(fields(&submitted, "low").is_empty());
    // The same package is short of everything that people need.
    let high = fields(&submitted, "high");
    for field in [
        "approvals",
        "approvals[0].standing_policy",
        "challenger_comparison.report.media_type",
        "explanations",
        "approval_request.form.questions",
    ] {
        assert!(high.iter().any(|short| short == field), "{field} is not among {high:?}");
    }
    submitted.approvals[0] =
        Approval { matched_groups: vec!["model-risk-approvers".into()], ..Approval::default() };
    assert!(fields(&submitted, "low").is_empty());
}

#[test]
fn the_committee_needs_quorum_slices_and_answers() {
    let policy = example_policy();
    let ids = [
        "comparison_read",
        "segments",
        "calibration",
        "explanation_plausible",
        "threshold_change",
        "independence",
    ];
    let answered: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let member = |group: &str| Approval {
        matched_groups: vec![group.to_owned()],
        answered: answered.clone(),
        ..Approval::default()
    };
    let mut submitted = Submitted {
        model: "german-credit-pd".into(),
        approvals: vec![
            member("model-risk-approvers"),
            member("credit-risk-committee"),
            member("credit-risk-committee"),
        ],
        explanations: vec!["shap_report".into(), "attribution".into()],
        report_media_type: "text/html; charset=utf-8".into(),
        questions: ids.iter().map(|id| Question { id: (*id).into(), required: true }).collect(),
        segments: profile("2026-11-21").metrics.keys().map(|name| name.to_string()).collect(),
        in_band: false,
    };
    assert_eq!(policy.shortfalls("committee", &submitted), []);
    submitted.approvals.pop();
    submitted.segments.retain(|segment| !segment.starts_with("age_band:"));
    submitted.questions[1].required = false;
    submitted.approvals[0].answered.clear();
    let short = policy.shortfalls("committee", &submitted);
    let fields: Vec<_> = short.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields[0], "approval_request.form.questions");
    assert_eq!(fields.iter().filter(|field| **field == "approvals[0].answers").count(), ids.len());
    let told = |text: &str| short.iter().any(|problem| problem.description.contains(text));
    assert!(told("needs 2 of credit-risk-committee, each by another person; 1 there"), "{short:#?}");
    assert!(told("no segments of age_band"), "{short:#?}");
}
