//! Field four: who decided, how they proved who they are, and what they answered.

use maud::{Markup, html};

use crate::{
    event::proto::{Approval, ApprovalForm},
    page::parts::{Fact, digest, facts, time},
    readable::visible,
};

use super::{Reading, section};

/// All approvals; the form has the words of the questions.
pub fn approvals(approvals: &[Approval], form: Option<&ApprovalForm>, reading: Reading<'_>) -> Markup {
    let content = html! {
        @for (at, approval) in approvals.iter().enumerate() {
            h3 { (visible(&reading.people.name(approval.approver.as_ref()))) }
            (facts(&about(approval, reading)))
            (answers(at, approval, form, reading))
        }
    };
    section("approvals", "Approver identity", Some("identity provider"), &content)
}

fn about(approval: &Approval, reading: Reading<'_>) -> Vec<Fact> {
    let mut rows = vec![("Approved at", time(approval.decided_at))];
    if !approval.standing_policy.is_empty() {
        let accountable = reading.people.name(approval.accountable.as_ref());
        rows.push(("Automated", html! {
            "under standing policy " (visible(&approval.standing_policy)) "; " (visible(&accountable)) " answers for it"
        }));
    }
    let groups = reading.people.groups(approval.approver.as_ref()).unwrap_or(&approval.matched_groups);
    let complete = if approval.groups_complete { "the whole list" } else { "not the whole list" };
    rows.push(("Groups", html! { (visible(&groups.join(", "))) " (" (complete) ")" }));
    rows.push(("Counted for", html! { (visible(&approval.matched_groups.join(", "))) }));
    rows.push(("Logged in", html! {
        (time(approval.auth_time)) ", level " (visible(&approval.acr)) ", by " (visible(&approval.amr.join(" ")))
    }));
    rows.push(("Assertion", digest(&approval.assertion_sha256)));
    rows.push((
        "Verified by",
        match approval.verified_by.as_str() {
            "" => html! { span.warn { "nobody: its shape was checked, its signature was not" } },
            key => html! { "key " (visible(key)) },
        },
    ));
    rows
}

fn answers(at: usize, approval: &Approval, form: Option<&ApprovalForm>, reading: Reading<'_>) -> Markup {
    let given = reading.people.statements(&format!("approvals[{at}].answers."));
    let words = |id: &str| {
        let found = form.iter().flat_map(|form| &form.questions).find(|question| question.id == id);
        found.map_or_else(|| id.to_owned(), |question| question.text.clone())
    };
    html! {
        @if given.is_empty() && !approval.answered.is_empty() {
            p.left-out { "Answered, but sealed: " (visible(&approval.answered.join(", "))) "." }
        }
        @if !given.is_empty() {
            details open { summary { "Answers" }
                @for (id, answer) in &given {
                    p { b { (visible(&words(id))) } }
                    div.prose { (visible(answer)) }
                }
            }
        }
    }
}
