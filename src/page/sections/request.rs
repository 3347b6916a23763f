//! Field three: who asked, who was asked, why, and what risk is left.

use maud::{Markup, html};

use crate::{
    event::proto::{ApprovalRequest, PersonRef},
    page::{
        exhibit::exhibit,
        parts::{facts, time},
    },
    readable::visible,
};

use super::{Reading, section};

/// The approval request, with what its people wrote where that is open.
pub fn request(request: &ApprovalRequest, reading: Reading<'_>) -> Markup {
    let person = |person: Option<&PersonRef>| html! { (visible(&reading.people.name(person))) };
    let people =
        |list: &[PersonRef]| html! { ul.plainly { @for one in list { li { (person(Some(one))) } } } };
    let mut rows = vec![
        ("Request", html! { (visible(&request.system)) " " b { (visible(&request.id)) } }),
        ("Requested by", person(request.requested_by.as_ref())),
        ("Triggered by", person(request.triggered_by.as_ref())),
    ];
    if !request.contributors.is_empty() {
        rows.push(("Contributors", people(&request.contributors)));
    }
    if !request.asked_people.is_empty() {
        rows.push(("Asked", people(&request.asked_people)));
    }
    if !request.asked_groups.is_empty() {
        rows.push(("Asked groups", html! { (visible(&request.asked_groups.join(", "))) }));
    }
    rows.push(("Asked at", time(request.asked_at)));
    if request.due_at != 0 {
        rows.push(("Due", time(request.due_at)));
    }
    let written = reading.people.statements("approval_request.");
    let content = html! {
        (facts(&rows))
        @for (path, text) in &written {
            h3 { (titled(path)) }
            div.prose { (visible(text)) }
        }
        @if written.is_empty() { p.left-out { "Justification and residual risk are sealed." } }
        @if let Some(form) = &request.form {
            @if let Some(content) = &form.content { (exhibit("Approval form", content, reading.exhibits, true)) }
        }
    };
    section("request", "Approval request", Some("workflow tool"), &content)
}

/// `residual_risk` -> `Residual risk`.
fn titled(path: &str) -> String {
    let words = path.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
