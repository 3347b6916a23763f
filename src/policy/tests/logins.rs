//! A tier says how people must have logged in to approve.

use super::*;
use crate::policy::{
    Submitted,
    requirements::{Approval, LoggedIn},
};

const MINUTE: u64 = 60_000_000;

fn policy(login: &str) -> Result<Policy, String> {
    let yaml = format!(
        "policy: {{id: logins, version: 1}}
tiers:
  - {{id: bottom, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
  - {{id: top, approval: human, approvers: [{{group: a, count: 1}}], login: {login}, comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
rules: [{{id: never, tier: bottom, when: change.in_band, reason: A retrain.}}]
tests: []
"
    );
    super::super::compile(yaml.as_bytes()).map_err(|findings| format!("{findings:?}"))
}

fn lacks(policy: &Policy, acr: &str, amr: &[&str], minutes: u64) -> Vec<String> {
    let amr = amr.iter().map(|method| (*method).to_owned()).collect();
    let login = LoggedIn { acr: acr.into(), amr, age: minutes * MINUTE };
    let direct = policy.login_shortfalls("top", &login, "approvals[0]");
    let approval = Approval { matched_groups: vec!["a".into()], login, ..Approval::default() };
    let submitted = Submitted { approvals: vec![approval], ..Submitted::default() };
    // What a promotion lacks is what each decision lacked before it.
    assert_eq!(policy.shortfalls("top", &submitted), direct);
    direct.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn a_login_that_is_too_weak_or_too_old_for_the_tier_is_no_approval() {
    let policy = policy("{acr: [mfa, hardware], amr: [otp], max_age_minutes: 15}").unwrap();
    let none: [&str; 0] = [];
    assert_eq!(lacks(&policy, "mfa", &["pwd", "otp"], 15), none);
    assert_eq!(lacks(&policy, "hardware", &["otp"], 0), none);
    assert_eq!(lacks(&policy, "pwd", &["otp"], 0), ["approvals[0].acr"]);
    assert_eq!(lacks(&policy, "mfa", &["pwd"], 0), ["approvals[0].amr"]);
    assert_eq!(lacks(&policy, "mfa", &["otp"], 16), ["approvals[0].auth_time"]);
    let words = policy.in_words("top").unwrap().join("\n");
    assert!(
        words.contains("login of every approver: of class mfa or hardware, with otp, at most 15 minutes"),
        "{words}"
    );
}

#[test]
fn a_policy_that_asks_for_an_impossible_login_is_refused() {
    for wrong in ["{max_age_minutes: 0}", "{acr: [mfa, mfa]}", "{arc: [mfa]}"] {
        assert!(policy(wrong).is_err(), "{wrong}");
    }
}
