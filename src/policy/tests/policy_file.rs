//! What is refused in a policy file, with line and column, all at once.

use super::*;
use crate::policy::{Finding, cases, compile, schema};

fn findings(yaml: &str) -> Vec<Finding> {
    load(yaml.as_bytes()).err().unwrap_or_default()
}

fn example_text() -> String {
    String::from_utf8(example_file("policy.yaml")).unwrap()
}

/// The example with one part replaced: what it says about that.
fn with(old: &str, new: &str) -> Vec<Finding> {
    let text = example_text();
    assert!(text.contains(old), "{old:?} is not in the example");
    findings(&text.replacen(old, new, 1))
}

fn line_of(part: &str) -> u64 {
    1 + example_text().lines().position(|line| line.contains(part)).unwrap() as u64
}

#[test]
fn each_fault_is_named_where_it_stands() {
    // What is replaced, by what, a line of the example that the finding is on, words of the finding.
    let table = [
        (
            "on_incumbent_change: hold",
            "on_incumbent_chnge: hold",
            "on_incumbent_change: hold",
            "unknown field",
        ),
        (
            "when: change.first_promotion",
            "when: change.first_promo",
            "when: change.first_promotion",
            "change has no member \"first_promo\"",
        ),
        (
            "when: change.first_promotion",
            "when: chnge.first_promotion",
            "when: change.first_promotion",
            "there is no variable \"chnge\"",
        ),
        (
            "when: change.first_promotion",
            "when: change.psi_max",
            "when: change.first_promotion",
            "a condition must be bool, but this is double",
        ),
        (
            "when: change.first_promotion",
            "when: change.psi_max == 'x'",
            "when: change.first_promotion",
            "== or != does not work on double and string",
        ),
        (
            "when: change.first_promotion",
            "when: change.psi_max + 1 > 2.0",
            "when: change.first_promotion",
            "does not work on double and int",
        ),
        (
            "when: change.first_promotion",
            "when: size(change.first_promotion) > 0",
            "when: change.first_promotion",
            "size does not work on bool",
        ),
        (
            "when: change.first_promotion",
            "when: now() > 0",
            "when: change.first_promotion",
            "now is not used in a policy",
        ),
        (
            "when: change.first_promotion",
            "when: \"change.features_added.exists(f, f == 'x')\"",
            "when: change.first_promotion",
            "exists is not used in a policy",
        ),
        (
            "when: change.first_promotion",
            "when: \"change.first_promotion &&\"",
            "when: change.first_promotion",
            "is not CEL",
        ),
        (
            "tier: committee\n    when: change.adverse",
            "tier: comittee\n    when: change.adverse",
            "id: adverse-action-use",
            "there is no tier \"comittee\"",
        ),
        (
            "band: weekly-retrain",
            "band: weekly-retran",
            "id: SP-2026-03",
            "the band \"weekly-retran\", which does not exist",
        ),
        (
            "- id: other-model",
            "- id: training-window",
            "id: training-window",
            "there are two of rule \"training-window\"",
        ),
        ("approval: human", "approval: automated", "- id: high", "only the lowest tier may be automated"),
        ("    tier: low\n", "    tier: high\n", "- id: low", "has no rule that leads to it"),
        (
            "expect: {tier: low, rules: [stable-retrain]}",
            "expect: {tier: high}",
            "name: the weekly retrain inside",
            "expected tier high, routed to low",
        ),
        ("ec5de167", "ec5de1", "id: development-build", "is not an Ed25519 public key"),
        (
            "policy: {id: credit-models, version: 1}",
            "policy: {id: credit-models, version: 0}",
            "policy: {id",
            "versions count from 1",
        ),
    ];
    for (old, new, line, words) in table {
        let found = with(old, new);
        let near = line_of(line);
        assert!(
            found.iter().any(|finding| finding.line.abs_diff(near) <= 1 && finding.message.contains(words)),
            "{new:?}: no finding near line {near} with {words:?} in {found:#?}"
        );
    }
}

#[test]
fn what_is_refused_is_refused_with_line_and_column() {
    let dead =
        "- id: dead\n    tier: high\n    when: change.inventory_changed\n    reason: Nobody tests this.\n  ";
    // What is replaced, by what, where the finding points in the new text, its words.
    let table = [
        ("comparison: mechanical", "comparisn: mechanical", "comparisn", "unknown field"),
        ("change.first_promotion\n", "change.frist_promotion\n", ".frist_promotion", "no member"),
        ("when: change.first_promotion", "when: chnge.first_promotion", "chnge", "no variable"),
        ("- id: first-promotion", &format!("{dead}- id: first-promotion"), "dead\n", "no test of this file"),
        ("    tier: low\n", "    tier: high\n", "low\n    approval", "no rule that leads to it"),
        ("expect: {tier: low, rules", "expect: {tier: nowhere, rules", "nowhere", "there is no tier"),
    ];
    for (old, new, place, words) in table {
        let text = example_text().replacen(old, new, 1);
        let before = text.split_once(place).unwrap_or_else(|| panic!("{place:?} is not in the text")).0;
        let line = 1 + before.matches('\n').count() as u64;
        let column = 1 + before.rsplit('\n').next().unwrap().chars().count() as u64;
        let found = findings(&text);
        assert!(
            found.iter().any(|it| (it.line, it.column) == (line, column) && it.message.contains(words)),
            "{new:?}: not at {line}:{column}: {found:#?}"
        );
    }
}

#[test]
fn a_finding_points_into_the_condition() {
    let found = with("when: change.first_promotion\n", "when: change.in_band && change.nothing\n");
    let (line, column) = (found[0].line, found[0].column);
    assert_eq!(line, line_of("when: change.first_promotion"));
    // CEL places a selection at its dot.
    let text = "    when: change.in_band && change.nothing";
    assert!(text[column as usize - 1..].starts_with(".nothing"), "column {column}: {found:?}");
}

#[test]
fn all_findings_come_at_once() {
    let text = example_text()
        .replacen("when: change.first_promotion", "when: change.nothing", 1)
        .replacen("when: \"!change.in_band\"", "when: \"!change.in_bnd || nobody.knows\"", 1)
        .replacen("band: weekly-retrain", "band: none", 1);
    let found = findings(&text);
    for words in ["\"nothing\"", "\"in_bnd\"", "\"nobody\"", "\"none\""] {
        assert!(found.iter().any(|finding| finding.message.contains(words)), "{words} is not in {found:#?}");
    }
    assert!(found.is_sorted());
}

#[test]
fn a_rule_that_no_test_reaches_is_refused() {
    let rule =
        "  - id: dead\n    tier: high\n    when: change.inventory_changed\n    reason: Nobody tests this.\n";
    let found = with("  - id: first-promotion\n", &format!("{rule}  - id: first-promotion\n"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].line, line_of("id: first-promotion"));
    assert!(found[0].message.contains("no test of this file reaches the rule \"dead\""));
}

#[test]
fn what_is_too_large_or_nested_is_refused() {
    let long = format!("when: \"{}\"", "!".repeat(2500));
    assert!(with("when: change.first_promotion", &long)[0].message.contains("at most 2000"));
    let deep = format!("when: \"{}change.in_band{}\"", "(".repeat(900), ")".repeat(900));
    assert!(with("when: change.first_promotion", &deep)[0].message.contains("is not CEL"));
    let file = format!("{}\n# {}", example_text(), "x".repeat(200 * 1024));
    assert!(findings(&file)[0].message.contains("at most 204800"));
    assert!(with("reason: The model is built in another way.", "reason: a\n    reason: b").len() == 1);
}

#[test]
fn a_failing_test_says_what_differs() {
    let text =
        example_text().replacen("rules: [stable-retrain, threshold-change]", "rules: [out-of-band]", 1);
    let policy = compile(text.as_bytes()).unwrap();
    let failed: Vec<_> = cases::run(&policy).into_iter().filter(|result| !result.passed()).collect();
    assert_eq!(failed.len(), 1);
    let words = failed[0].failures.join("\n");
    assert!(
        words.contains("did not: out-of-band")
            && words.contains("not expected: stable-retrain, threshold-change"),
        "{words}"
    );
    let wrong = with(
        "{thresholds_moved: {decline_at_pd: {from: 0.5, to: 0.42}}}}\n    expect: {tier: high",
        "{threshold_moved: true}}\n    expect: {tier: high",
    );
    assert!(wrong[0].message.contains("its inputs are wrong: unknown field `threshold_moved`"), "{wrong:#?}");
}

/// `UPDATE_SCHEMA=1` writes the file.
#[test]
fn the_published_schema_is_the_codes() {
    let file = format!("{}/schemas/policy.schema.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(format!("{}/schemas", env!("CARGO_MANIFEST_DIR"))).unwrap();
        std::fs::write(&file, schema::text()).unwrap();
    }
    let published = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        published == schema::text(),
        "schemas/policy.schema.json is old; run this test with UPDATE_SCHEMA=1"
    );
}

/// Every key of the example is in the schema, and every key that the schema requires is in the example.
#[test]
fn the_example_has_the_schemas_structure() {
    let schema: serde_json::Value = serde_json::from_str(&schema::text()).unwrap();
    let options = serde_saphyr::options! { with_snippet: false };
    let example: serde_json::Value = serde_saphyr::from_str_with_options(&example_text(), options).unwrap();
    let mut wrong = Vec::new();
    conforms(&schema, &schema, &example, "policy", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut broken = example;
    broken["tiers"][0]["colour"] = "red".into();
    broken["rules"][0].as_object_mut().unwrap().remove("reason");
    conforms(&schema, &schema, &broken, "policy", &mut wrong);
    assert_eq!(wrong, ["policy.rules[0].reason is missing", "policy.tiers[0].colour is not in the schema"]);
}

fn conforms(
    root: &serde_json::Value,
    schema: &serde_json::Value,
    value: &serde_json::Value,
    at: &str,
    wrong: &mut Vec<String>,
) {
    if let Some(name) = schema["$ref"].as_str() {
        return conforms(root, root.pointer(&name[1..]).unwrap(), value, at, wrong);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let choice = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
        return conforms(root, choice.unwrap(), value, at, wrong);
    }
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match (schema["properties"].get(key), schema.get("additionalProperties")) {
                    (Some(part), _) => conforms(root, part, value, &format!("{at}.{key}"), wrong),
                    (None, Some(part)) if part.is_object() => {
                        conforms(root, part, value, &format!("{at}.{key}"), wrong)
                    }
                    _ => wrong.push(format!("{at}.{key} is not in the schema")),
                }
            }
            for key in schema["required"].as_array().into_iter().flatten().filter_map(|key| key.as_str()) {
                if !members.contains_key(key) {
                    wrong.push(format!("{at}.{key} is missing"));
                }
            }
        }
        serde_json::Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                conforms(root, &schema["items"], item, &format!("{at}[{i}]"), wrong);
            }
        }
        _ => {}
    }
}
