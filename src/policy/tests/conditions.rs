//! Conditions: each declared member has the type that the table says, and what cannot be decided is refused.

use super::*;
use crate::policy::{
    compile,
    route::Error,
    types::{Kind, VARIABLES},
};

/// A policy with one rule `r`, for tier `top`.
fn with_rule(when: &str) -> Result<Policy, Vec<crate::policy::Finding>> {
    let when = when.replace('\'', "\'\'");
    let yaml = format!(
        "policy: {{id: one-rule, version: 1}}
tiers:
  - {{id: low, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
  - {{id: middle, approval: human, approvers: [{{group: g, count: 1}}], comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
  - {{id: top, approval: human, approvers: [{{group: g, count: 1}}], comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
rules:
  - {{id: positive, tier: low, when: 'true', reason: Everything else.}}
  - {{id: r, tier: top, when: '{when}', reason: The one under test.}}
tests: []
"
    );
    compile(yaml.as_bytes())
}

fn matches(when: &str, inputs: &Inputs) -> Result<bool, Error> {
    let policy = with_rule(when).unwrap_or_else(|findings| panic!("{when}: {findings:#?}"));
    Ok(policy.route(inputs)?.matched.iter().any(|matched| matched.rule == "r"))
}

/// Conditions that are true of every value of the type, and are evaluated whole.
fn of_type(member: &str, kind: Kind) -> String {
    match kind {
        Kind::Bool => format!("({member} == true) != ({member} == false)"),
        Kind::Int => format!("{member} + 1 > {member} && double({member}) < 1e18"),
        Kind::Double => format!("{member} + 1.0 > {member}"),
        Kind::Text => format!("{member}.startsWith('') && {member} in [{member}, 'x']"),
        Kind::Names => format!("size({member}) >= 0 && !('no such name' in {member})"),
        Kind::Numbers => format!("size({member}) >= 0 && !('no such name' in {member})"),
        Kind::Deltas => {
            format!("'overall' in {member} && size({member}['overall']) >= 0 && size({member}) > 0")
        }
    }
}

#[test]
fn every_declared_member_can_be_read_and_has_its_type() {
    let retrain = weekly_retrain();
    let first = Inputs { previous: None, since_human: None, ..retrain.clone() };
    let mut members = 0;
    for variable in &VARIABLES {
        for member in variable.members() {
            let when = of_type(&format!("{}.{}", variable.name, member.name), member.kind);
            for inputs in [&retrain, &first] {
                assert_eq!(matches(&when, inputs), Ok(true), "{when}");
            }
            members += 1;
        }
    }
    assert!(members > 60, "{members} members");
}

#[test]
fn members_read_what_the_inputs_hold() {
    let retrain = weekly_retrain();
    for when in [
        "change.delta['overall']['auc'] == -0.002574",
        "change.delta.overall.approval_rate < 0.0",
        "change.delta['age_band:18-25']['approval_rate'] < -0.029 && size(change.delta) == 13",
        "candidate.metric['auc'] == 0.772359 && candidate.metric.rows == 320",
        "change.psi['credit_amount'] == 0.010387 && change.psi_max == 0.012588 && size(change.psi) == 13",
        "!change.in_band && !change.first_promotion && !change.incumbent_mismatch && since_human.exists",
        "candidate.model == 'german-credit-pd' && candidate.risk_tier in ['tier_1', 'tier_2']",
        "candidate.training_days == 105 && candidate.training_rows == 600 && candidate.feature_count == 13",
        "since_human.snapshot_rolled && since_human.delta['overall']['auc'] != change.delta['overall']['auc']",
        "previous.exists && previous.algorithm == candidate.algorithm && size(previous.intended_uses) == 3",
        "(change.psi_watched == 0 ? 1 : 2) * 3 - 1 == 2 && -change.psi_max < 0.0",
        "'age_band:18-25' in candidate.segments && candidate.environment.contains('prod')",
    ] {
        assert_eq!(matches(when, &retrain), Ok(true), "{when}");
    }
}

#[test]
fn what_cannot_be_decided_is_refused() {
    let retrain = weekly_retrain();
    for when in [
        "candidate.metric['no_such_metric'] > 0.5",
        "change.delta['no:segment']['auc'] < 0.0",
        "1 / (change.psi_watched - change.psi_watched) > 0",
        "change.feature_changes + 9223372036854775807 + 1 > 0",
    ] {
        let refused = matches(when, &retrain);
        assert!(
            matches!(&refused, Err(Error::Evaluation { rule, .. }) if rule == "r"),
            "{when}: {refused:?}"
        );
    }
    assert_eq!(
        matches("'no_such_metric' in candidate.metric && candidate.metric['no_such_metric'] > 0.5", &retrain),
        Ok(false)
    );
}

#[test]
fn what_is_no_condition_of_a_policy_is_refused() {
    for (when, words) in [
        ("change", "a condition must be bool, but this is the variable change"),
        ("change == change", "does not work on the variable change and the variable change"),
        ("change['in_band']", "[ ] does not work on the variable change and string"),
        ("change.psi == candidate.metric", "does not work on"),
        ("has(change.in_band)", "has is not used in a policy"),
        ("change.features_added.all(f, f != '')", "all is not used"),
        ("change.?in_band", "is not CEL"),
        ("{'a': 1}['a'] == 1", "is not used in a policy"),
        ("change.in_band == null", "null, bytes and unsigned numbers"),
        ("change.psi_max == 1u", "null, bytes and unsigned numbers"),
        ("change.psi_max % 2.0 == 0.0", "is not used in a policy"),
        ("candidate.model.matches('(a+)+')", "matches is not used in a policy"),
        ("change.features_added == [1, 2]", "an element of a list must be string"),
        ("change.in_band ? 1 : true", "what follows : must be int"),
        ("!change.psi_max", "what ! negates must be bool"),
        ("string(change.psi_max) == '1'", "string is not used in a policy"),
        ("change.psi_max.foo > 0", "double has no member"),
        ("", "is not CEL"),
    ] {
        let found = with_rule(when).err().unwrap_or_default();
        assert!(found.iter().any(|finding| finding.message.contains(words)), "{when:?}: {found:#?}");
    }
}
