//! No person fills two places of a quorum, whatever groups they are in.

use super::*;
use crate::policy::{Submitted, requirements::Approval};

/// A tier `top` that asks for these groups.
fn policy(approvers: &str) -> Policy {
    let yaml = format!(
        "policy: {{id: quorum, version: 1}}
tiers:
  - {{id: bottom, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
  - {{id: top, approval: human, approvers: {approvers}, comparison: mechanical, on_incumbent_change: hold, retain_days: 1}}
rules: [{{id: never, tier: bottom, when: change.in_band, reason: A retrain.}}]
tests: []
"
    );
    super::super::compile(yaml.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn short(policy: &Policy, people: &[&[&str]]) -> Vec<String> {
    let person = |groups: &&[&str]| Approval {
        matched_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Approval::default()
    };
    let submitted = Submitted { approvals: people.iter().map(person).collect(), ..Submitted::default() };
    policy.shortfalls("top", &submitted).into_iter().map(|problem| problem.description).collect()
}

#[test]
fn people_are_placed_so_that_the_most_places_are_filled() {
    let two = policy("[{group: a, count: 1}, {group: b, count: 1}]");
    assert!(short(&two, &[&["a"], &["b"]]).is_empty());
    // The first could take either place; the second only `a`, so the first must move to `b`.
    assert!(short(&two, &[&["a", "b"], &["a"]]).is_empty());
    assert!(short(&two, &[&["b", "a"], &["b"]]).is_empty());
    assert_eq!(
        short(&two, &[&["a", "b"]]),
        ["tier top needs 1 of b, each by another person; 0 there; one person counts for one group only"]
    );
    assert_eq!(short(&two, &[&["c"]]).len(), 2);
    let three = policy("[{group: a, count: 2}, {group: b, count: 1}]");
    assert!(short(&three, &[&["a", "b"], &["a"], &["a", "b"]]).is_empty());
    assert_eq!(short(&three, &[&["a", "b"], &["a", "b"]]).len(), 1);
}

#[test]
fn one_person_who_approves_twice_is_one() {
    let two = policy("[{group: a, count: 2}]");
    let person = |subject: &str| Approval {
        approver: Some(crate::policy::file::Identity {
            issuer: "http://127.0.0.1:7421/development".into(),
            subject: subject.into(),
        }),
        matched_groups: vec!["a".into()],
        ..Approval::default()
    };
    let short = |subjects: &[&str]| {
        let approvals = subjects.iter().map(|subject| person(subject)).collect();
        two.shortfalls("top", &Submitted { approvals, ..Submitted::default() }).len()
    };
    assert_eq!((short(&["u-1", "u-1"]), short(&["u-1", "u-2"])), (1, 0));
}
