//! Field four: who approved, or which standing policy did.

use std::{collections::BTreeSet, fmt::Display};

use super::{
    model::Micros,
    problem::Problems,
    promotion::{CLOCK_SKEW_MAX, list_rule, past, person, sha256_rule},
    proto::{Approval, ApprovalRequest, Promoted},
    text::name_problem,
};

/// Everything that is wrong with the approvals of a promotion recorded at a time.
pub(super) fn rules(p: &mut Problems, promoted: &Promoted, recorded_at: Micros) {
    let none = ApprovalRequest::default();
    let request = promoted.approval_request.as_ref().unwrap_or(&none);
    let required = "approvals";
    p.require(
        !promoted.approvals.is_empty(),
        required,
        "is empty; a promotion needs the identity of its approver",
    );
    list_rule(p, required, promoted.approvals.len());
    let involved: Vec<_> =
        request.requested_by.iter().chain(&request.triggered_by).chain(&request.contributors).collect();
    let by_policy = promoted.routing.as_ref().is_some_and(|routing| !routing.policy_sha256.is_empty());
    for (i, approval) in promoted.approvals.iter().enumerate() {
        p.require(
            by_policy || approval.standing_policy.is_empty(),
            format_args!("approvals[{i}].standing_policy"),
            "no policy is active that could name this standing policy; a person must approve",
        );
    }
    let mut seen = BTreeSet::new();
    for (i, approval) in promoted.approvals.iter().enumerate() {
        let at = format_args!("approvals[{i}]");
        approval_rules(p, at, approval, request, recorded_at);
        let Some(approver) = &approval.approver else { continue };
        // A service may approve what it triggered: who answers for it must be somebody else.
        let (answers, field) = match &approval.accountable {
            Some(accountable) if !approval.standing_policy.is_empty() => (accountable, "accountable"),
            _ => (approver, "approver"),
        };
        p.require(
            !involved.iter().any(|person| person.subject_id == answers.subject_id),
            format_args!("{at}.{field}"),
            "requested, triggered or contributed to this promotion; somebody else must approve it",
        );
        p.require(seen.insert(&approver.subject_id), format_args!("{at}.approver"), "approves twice");
    }
}

fn approval_rules(
    p: &mut Problems,
    at: impl Display,
    approval: &Approval,
    request: &ApprovalRequest,
    recorded_at: Micros,
) {
    identity_rules(p, &at, approval, recorded_at);
    let asked_first = approval.decided_at >= request.asked_at;
    p.require(asked_first, format_args!("{at}.decided_at"), "lies before approval_request.asked_at");
    let automated = !approval.standing_policy.is_empty();
    if automated {
        p.add_some(format_args!("{at}.standing_policy"), name_problem(&approval.standing_policy));
        person(p, format_args!("{at}.accountable"), approval.accountable.as_ref());
    } else {
        p.require(
            approval.accountable.is_none(),
            format_args!("{at}.accountable"),
            "belongs to an automated approval; name its standing policy, or leave it out",
        );
    }
    if let Some(decided) = &approval.decided {
        sha256_rule(p, format_args!("{at}.decided.event_digest"), &decided.event_digest);
        p.require(
            !automated,
            format_args!("{at}.decided"),
            "names a decision, but this approval is automated",
        );
    }
    let questions = request.form.as_ref().map_or(&[][..], |form| &form.questions);
    // The questions are put to people.
    for question in questions.iter().filter(|question| question.required && !automated) {
        let answered = approval.answered.contains(&question.id);
        p.require(
            answered,
            format_args!("{at}.answers"),
            format_args!("the required question {:?} is not answered", question.id),
        );
    }
    for id in &approval.answered {
        let known = questions.iter().any(|question| question.id == *id);
        p.require(known, format_args!("{at}.answers"), format_args!("{id:?} is not a question of the form"));
    }
}

/// Rules of who somebody is, by a login: in the approval of a promotion, and in every decision of a review.
pub(super) fn identity_rules(p: &mut Problems, at: impl Display, approval: &Approval, recorded_at: Micros) {
    person(p, format_args!("{at}.approver"), approval.approver.as_ref());
    past(p, format_args!("{at}.decided_at"), approval.decided_at, recorded_at);
    past(p, format_args!("{at}.auth_time"), approval.auth_time, recorded_at);
    let login_first = approval.auth_time <= approval.decided_at.saturating_add(CLOCK_SKEW_MAX);
    p.require(login_first, format_args!("{at}.auth_time"), "lies after decided_at");
    p.add_some(format_args!("{at}.acr"), name_problem(&approval.acr));
    list_rule(p, format_args!("{at}.amr"), approval.amr.len());
    for (i, method) in approval.amr.iter().enumerate() {
        p.add_some(format_args!("{at}.amr[{i}]"), name_problem(method));
    }
    list_rule(p, format_args!("{at}.matched_groups"), approval.matched_groups.len());
    for (i, group) in approval.matched_groups.iter().enumerate() {
        p.add_some(format_args!("{at}.matched_groups[{i}]"), name_problem(group));
    }
    p.require(
        approval.groups_complete,
        format_args!("{at}.groups_complete"),
        "is false: the identity provider left groups out, so membership is not proven",
    );
    sha256_rule(p, format_args!("{at}.assertion_sha256"), &approval.assertion_sha256);
}
