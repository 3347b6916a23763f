//! What holds for every profile, every change and every order of the rules.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::event::proto::Routing;
use crate::policy::{
    change::{Difference, Pair},
    compile,
    floor::MATERIAL,
};

static POLICY: LazyLock<Policy> = LazyLock::new(example_policy);
static BASE: LazyLock<Inputs> = LazyLock::new(weekly_retrain);

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), -1.0..1.0f64, -1e9..1e9f64, any::<f64>().prop_filter("finite", |n| n.is_finite())]
}

fn difference() -> impl Strategy<Value = Difference> {
    let names = || prop::collection::vec("[a-z]{1,6}", 0..3);
    let flags = prop::array::uniform6(any::<bool>());
    let psi = prop::collection::btree_map("[a-z]{1,4}", 0.0..0.4f64, 0..4);
    (flags, names(), names(), names(), psi, value(), value(), any::<i32>()).prop_map(
        |(flags, added, removed, uses, psi, candidate, incumbent, days)| {
            let mut change = BASE.change.clone();
            let pair = Pair { candidate: Some(candidate), incumbent: Some(incumbent) };
            change.overall.insert("auc".into(), pair);
            change.psi = psi.into_iter().map(|(name, psi)| (name.into(), psi)).collect();
            (change.algorithm_changed, change.snapshot_rolled) = (flags[0], flags[1]);
            (change.transformation_changed, change.risk_tier_changed) = (flags[2], flags[3]);
            (change.evaluation_definition_changed, change.inventory_changed) = (flags[4], flags[5]);
            (change.features_added, change.features_removed, change.uses_added) = (added, removed, uses);
            change.training_days_delta = i64::from(days);
            change
        },
    )
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let source = prop_oneof![Just(Source::Declared), Just(Source::Attested), Just(Source::Extracted)];
    (difference(), prop::option::of(difference()), any::<bool>(), any::<bool>(), source).prop_map(
        |(change, since, named, first, source)| {
            let mut inputs = BASE.clone();
            inputs.change = change;
            inputs.since_human.as_mut().unwrap().change = since.clone().unwrap_or_default();
            inputs.since_human = inputs.since_human.filter(|_| since.is_some());
            inputs.previous = inputs.previous.filter(|_| !first);
            inputs.candidate.provenance = Provenance::all(source);
            if !named {
                inputs.candidate.model = "another".into();
            }
            inputs
        },
    )
}

/// The example policy with its rules in another order.
fn permuted(order: &[usize]) -> Policy {
    let text = String::from_utf8(example_file("policy.yaml")).unwrap();
    let (before, rest) = text.split_once("rules:\n").unwrap();
    let (rules, after) = rest.split_once("\n# Tests.").unwrap();
    let rules: Vec<&str> = rules.split("  - id: ").skip(1).collect();
    let mut by_key: Vec<_> = rules.iter().zip(order.iter().cycle()).collect();
    by_key.sort_by_key(|(_, key)| **key);
    let rules: Vec<String> =
        by_key.iter().map(|(rule, _)| format!("  - id: {}\n", rule.trim_end())).collect();
    compile(format!("{before}rules:\n{}\n# Tests.{after}", rules.concat()).as_bytes())
        .unwrap_or_else(|findings| panic!("{findings:#?}"))
}

#[test]
fn each_material_change_alone_leaves_the_lowest_tier() {
    assert_eq!(POLICY.route(&BASE).unwrap().tier, "low");
    for (name, alter) in MATERIAL {
        let mut inputs = BASE.clone();
        alter(&mut inputs);
        let route = POLICY.route(&inputs).unwrap();
        assert_ne!(route.tier, "low", "{name}");
        assert!(route.floor.is_some(), "{name}: the floor itself must hold, whatever the policy says");
    }
}

#[test]
fn the_floor_holds_under_a_policy_that_automates_everything() {
    let text = "policy: {id: careless, version: 1}
tiers:
  - {id: low, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 1}
  - {id: high, approval: human, approvers: [{group: g, count: 1}], comparison: mechanical, on_incumbent_change: hold, retain_days: 1}
bands: {wide: [{metric: auc, segments: [overall], tolerance: 1}]}
standing_policies:
  - id: sp
    models: [german-credit-pd]
    services: [{issuer: 'http://127.0.0.1:7421/development', subject: s}]
    accountable: [{issuer: 'http://127.0.0.1:7421/development', subject: p}]
    band: wide
rules: [{id: all, tier: low, when: 'true', reason: Everything is automated.}]
tests: [{name: all, expect: {tier: low}}]
";
    let policy = load(text.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(policy.route(&BASE).unwrap().tier, "low");
    for (name, alter) in MATERIAL {
        let mut inputs = BASE.clone();
        alter(&mut inputs);
        assert_eq!(policy.route(&inputs).unwrap().tier, "high", "{name}");
    }
    assert_eq!(super::super::below_floor(&policy).len(), MATERIAL.len());
    let always = format!("adverse_action_always_committee: true\n{text}")
        .replace("expect: {tier: low}", "expect: {tier: low}, given: {candidate: {intended_uses: [x]}}");
    let always = load(always.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(always.route(&BASE).unwrap().tier, "high", "the example is an adverse-action model");
}

/// What an event keeps of a route.
fn frozen(policy: &Policy, inputs: &Inputs) -> Routing {
    let route = policy.route(inputs).unwrap();
    crate::policy::recheck::routing(policy, &route, inputs.to_bytes().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// A second engine, which knows nothing but the file and the frozen bytes, gives every recorded decision exactly.
    #[test]
    fn ten_thousand_promotions_replay_exactly(inputs in inputs()) {
        static AGAIN: LazyLock<Policy> = LazyLock::new(example_policy);
        let recorded = frozen(&POLICY, &inputs);
        let again = Inputs::from_bytes(&recorded.inputs).unwrap();
        prop_assert_eq!(frozen(&AGAIN, &again), recorded);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_input_has_one_tier_and_routes_the_same_from_its_bytes(inputs in inputs()) {
        let route = POLICY.route(&inputs).unwrap();
        prop_assert!(POLICY.tier(&route.tier).is_some());
        let bytes = inputs.to_bytes().unwrap();
        let again = Inputs::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&again, &inputs);
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
        prop_assert_eq!(POLICY.route(&again).unwrap(), route);
    }

    #[test]
    fn adding_a_material_change_never_lowers_the_tier(inputs in inputs(), which in 0..MATERIAL.len()) {
        // Not an addition but another candidate: no standing policy, no slot.
        let (name, alter) = MATERIAL[which];
        let before = POLICY.place(&POLICY.route(&inputs).unwrap().tier).unwrap();
        let mut more = inputs;
        alter(&mut more);
        let after = POLICY.place(&POLICY.route(&more).unwrap().tier).unwrap();
        // A first promotion has no drift or features that changed: it starts a slot again.
        prop_assert!(after >= before || name == "first promotion in the slot", "{name}: {before} -> {after}");
    }

    #[test]
    fn the_parsers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>(), flip in any::<u8>()) {
        let whole = [example_file("2026-11-14/profile.json"), BASE.to_bytes().unwrap(), example_file("policy.yaml")];
        for mut text in whole {
            let at = cut.index(text.len());
            text[at] ^= flip;
            let _ = ModelProfile::parse(&text);
            let _ = compile(&text);
            let _ = super::super::mlmodel::signature(&text);
            if let Ok(inputs) = Inputs::from_bytes(&text) {
                prop_assert_eq!(inputs.to_bytes().unwrap(), text, "only the canonical form is read");
            }
        }
        let _ = ModelProfile::parse(&bytes);
        let _ = Inputs::from_bytes(&bytes);
        let _ = compile(&bytes);
        let _ = super::super::mlmodel::signature(&bytes);
        let _ = super::super::dsse::verify(&bytes, &Digest::ZERO, &Digest::ZERO, POLICY.build_identities());
    }

    #[test]
    fn conditions_never_panic(text in "[a-z.()!&|<>=+*/' 0-9\\[\\]?:,_-]{0,80}") {
        let yaml = String::from_utf8(example_file("policy.yaml")).unwrap();
        let text = text.replace('\'', "''");
        let _ = compile(yaml.replacen("when: change.first_promotion", &format!("when: '{text}'"), 1).as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_order_of_the_rules_does_not_matter(
        order in prop::collection::vec(0..100usize, 13),
        many in prop::collection::vec(inputs(), 20),
    ) {
        let policy = permuted(&order);
        for inputs in &many {
            prop_assert_eq!(policy.route(inputs).unwrap(), POLICY.route(inputs).unwrap());
        }
    }
}

#[test]
fn inputs_have_sorted_keys_and_one_form() {
    let bytes = BASE.to_bytes().unwrap();
    let tree: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    // serde_json's own map is sorted: written again it must give the same bytes.
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(serde_json::to_string(&tree).unwrap(), text);
    for other in [
        text.replacen(':', ": ", 1),
        text.replacen("{", "{\"a\":1,", 1),
        text.replacen("0.5", "0.50", 1),
        format!("{text}\n"),
    ] {
        assert!(other == text || Inputs::from_bytes(other.as_bytes()).is_err());
    }
    let later = text.replacen("\"version\":1}", "\"version\":2}", 1);
    assert_eq!(Inputs::from_bytes(later.as_bytes()), Err(crate::policy::inputs::Error::Version(2)));
}

#[test]
fn inputs_that_do_not_fit_into_a_record_are_refused() {
    let mut inputs = BASE.clone();
    inputs.change.features_added = (0..10_000).map(|n| format!("feature_{n}")).collect();
    assert!(matches!(inputs.to_bytes(), Err(crate::policy::inputs::Error::Length(n)) if n > 64 * 1024));
}
