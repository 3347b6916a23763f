//! Profiles and facts that are refused, and never read as "unchanged".

use serde_json::{Value, json};

use super::*;
use crate::{
    event::promotion::Problem,
    policy::{establish, provenance::Group},
};

fn document(day: &str) -> Value {
    serde_json::from_slice(&example_file(&format!("{day}/profile.json"))).unwrap()
}

fn fields(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.field.as_str()).collect()
}

#[test]
fn a_profile_without_any_one_part_is_refused_with_its_path() {
    let whole = document("2026-11-14");
    for key in whole.as_object().unwrap().keys() {
        let mut cut = whole.clone();
        cut.as_object_mut().unwrap().remove(key);
        let problems = ModelProfile::parse(cut.to_string().as_bytes()).unwrap_err();
        let path = format!("profile.{key}");
        assert!(fields(&problems).contains(&path.as_str()), "{key}: {problems:#?}");
    }
}

#[test]
fn all_problems_of_a_profile_come_at_once() {
    let mut wrong = document("2026-11-14");
    wrong["colour"] = json!("red");
    wrong["features"][2]["type"] = json!("int64");
    wrong["decision_thresholds"]["decline_at_pd"] = json!("0.5");
    wrong["evaluation"]["snapshot_digest"] = json!("sha256:ABC");
    wrong["metrics"].as_object_mut().unwrap().remove("housing:rent");
    wrong["metrics"]["housing:tent"] = json!({"auc": 0.7, "small_sample": false});
    wrong["incumbent"]["metrics"]["overall"].as_object_mut().unwrap().remove("auc");
    wrong["population"]["drift"][0]["psi"].as_object_mut().unwrap().remove("purpose");
    wrong["training_window"]["end"] = json!("2025-02-30");
    let problems = ModelProfile::parse(wrong.to_string().as_bytes()).unwrap_err();
    let found = fields(&problems);
    for path in [
        "profile.colour",
        "profile.features[2].type",
        "profile.decision_thresholds.decline_at_pd",
        "profile.evaluation.snapshot_digest",
        "profile.metrics.housing:rent",
        "profile.metrics.housing:tent",
        "profile.incumbent.metrics.overall.auc",
        "profile.population.drift[0].psi.purpose",
        "profile.training_window.end",
    ] {
        assert!(found.contains(&path), "{path} is not among {found:#?}");
    }
}

#[test]
fn doubled_keys_and_numbers_that_are_none_are_refused() {
    let text = String::from_utf8(example_file("2026-11-14/profile.json")).unwrap();
    let doubled =
        text.replacen("\"decline_at_pd\": 0.5", "\"decline_at_pd\": 0.5, \"decline_at_pd\": 0.4", 1);
    let problems = ModelProfile::parse(doubled.as_bytes()).unwrap_err();
    assert_eq!(fields(&problems), ["profile.decision_thresholds.decline_at_pd"]);
    for number in ["1e999", "NaN", "Infinity"] {
        let text = text.replacen("\"decline_at_pd\": 0.5", &format!("\"decline_at_pd\": {number}"), 1);
        assert!(ModelProfile::parse(text.as_bytes()).is_err(), "{number}");
    }
    assert!(ModelProfile::parse(&vec![b' '; 8 * 1024 * 1024 + 1]).is_err());
}

#[test]
fn what_contradicts_the_other_fields_is_refused() {
    let first = previous("2026-11-07", 1);
    let mut facts = facts("2026-11-14", Provenance::all(Source::Attested));
    facts.dataset_digest[0] ^= 1;
    facts.definition_digest[0] ^= 1;
    let problems = derive(&profile("2026-11-14"), &facts, Some(&first), Some(&first)).unwrap_err();
    assert_eq!(
        fields(&problems),
        ["profile.evaluation.definition_digest", "profile.evaluation.snapshot_digest"]
    );
}

#[test]
fn a_second_promotion_needs_its_incumbent_and_drift_from_it() {
    let second = previous("2026-11-14", 2);
    let facts = facts("2026-11-07", Provenance::all(Source::Attested));
    let problems = derive(&profile("2026-11-07"), &facts, Some(&second), Some(&second)).unwrap_err();
    assert_eq!(fields(&problems)[0], "profile.incumbent");
    assert!(fields(&problems).contains(&"profile.population.drift"), "{problems:#?}");
    let mut own = profile("2026-11-14");
    own.incumbent.as_mut().unwrap().artifact_sha256 = format!("sha256:{}", artifact("2026-11-14"));
    let facts = super::facts("2026-11-14", Provenance::all(Source::Attested));
    let problems = derive(&own, &facts, Some(&previous("2026-11-07", 1)), None).unwrap_err();
    assert_eq!(fields(&problems), ["profile.incumbent.artifact_sha256"]);
}

#[test]
fn a_feature_that_the_earlier_model_had_needs_its_drift() {
    let first = previous("2026-11-07", 1);
    let facts = facts("2026-11-14", Provenance::all(Source::Attested));
    let mut candidate = profile("2026-11-14");
    candidate.drift[0].psi.insert("purpose".into(), None);
    let problems = derive(&candidate, &facts, Some(&first), None).unwrap_err();
    assert_eq!(fields(&problems), ["profile.population.drift.psi.purpose"]);
}

#[test]
fn metrics_beside_the_wrong_incumbent_are_never_automated() {
    let mut first = previous("2026-11-07", 1);
    first.artifact_sha256 = Digest([9; 32]);
    let facts = facts("2026-11-14", Provenance::all(Source::Attested));
    let inputs = derive(&profile("2026-11-14"), &facts, Some(&first), Some(&first)).unwrap();
    assert!(inputs.incumbent_mismatch());
    assert_eq!(example_policy().route(&inputs).unwrap().tier, "high");
}

/// An `MLmodel` whose signature has these inputs.
fn mlmodel(profile: &ModelProfile, extra: &[&str]) -> Vec<u8> {
    let kind = |feature: &str| {
        if feature.starts_with("number") || feature.ends_with("amount") { "long" } else { "string" }
    };
    let numeric = ["duration_in_month", "installment_rate_in_percentage_of_disposable_income"];
    let inputs: Vec<Value> = profile
        .features
        .keys()
        .map(String::as_str)
        .chain(extra.iter().copied())
        .map(|name| json!({"name": name, "type": if numeric.contains(&name) { "long" } else { kind(name) }, "required": true}))
        .collect();
    format!("flavors: {{}}\nsignature:\n  inputs: '{}'\n", Value::from(inputs)).into_bytes()
}

#[test]
fn last_weeks_profile_on_a_model_with_another_feature_is_refused() {
    let policy = example_policy();
    let (bytes, profile) = (example_file("2026-11-07/profile.json"), profile("2026-11-07"));
    let check = |artifact: &[u8]| {
        let sha256 = digest::sha256(artifact);
        establish(&profile, &digest::sha256(&bytes), &sha256, Some(artifact), None, policy.build_identities())
    };
    let same = check(&mlmodel(&profile, &[])).unwrap().provenance;
    assert_eq!((same.of(Group::Features), same.of(Group::Metrics)), (Source::Extracted, Source::Declared));
    let problems = check(&mlmodel(&profile, &["postcode"])).unwrap_err();
    assert_eq!(fields(&problems), ["profile.features.postcode"]);
    let mut other = profile.clone();
    other.features.remove("purpose");
    let problems = check(&mlmodel(&other, &[])).unwrap_err();
    assert_eq!(fields(&problems), ["profile.features.purpose"]);
    let retyped = String::from_utf8(mlmodel(&profile, &[])).unwrap().replacen("\"long\"", "\"string\"", 1);
    assert_eq!(check(retyped.as_bytes()).unwrap_err().len(), 1);
}

#[test]
fn an_attestation_of_another_profile_is_a_refusal_not_a_weaker_source() {
    let policy = example_policy();
    let bytes = example_file("2026-11-14/profile.json");
    let result = establish(
        &profile("2026-11-14"),
        &digest::sha256(&bytes),
        &artifact("2026-11-14"),
        None,
        Some(&example_file("2026-11-07/profile.attestation.json")),
        policy.build_identities(),
    );
    assert_eq!(fields(&result.unwrap_err()), ["profile.attestation"]);
}
