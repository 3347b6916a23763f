//! A package -> the bytes of its page: everything that an approver decides on, and the form.
//!
//! Rendered once, hashed, sealed; what is served to every approver is these bytes.

use maud::{Markup, html};

use crate::{
    event::proto::{Artefact, EvidenceRef, RequiredApproval},
    page::{
        Exhibits, digest, facts, file_name,
        people::People,
        promotion::title,
        sections::{self, Reading, section},
        shell::{Shell, document},
        state, time, words,
    },
    readable::visible,
};

pub use super::form::{
    CONDITIONS, DECISIONS, FIELD_AGREE, FIELD_ANSWER, FIELD_CONDITION, FIELD_DECISION, FIELD_REASON,
    FORM_PATH, WORDS,
};
use super::{
    form,
    package::{OpenCondition, Package, SheetEntry},
};

/// Where the page finds the sheet of people, relative to the review's address.
pub const SHEET_PATH: &str = "people";

/// The page, UTF-8 HTML without scripts. The same package gives the same bytes.
pub fn render(package: &Package) -> Vec<u8> {
    let title = title(&package.promoted);
    document(
        Shell { title: &title, origin: &package.ledger, home: None, mark: None, leave: None },
        &content(package),
    )
}

fn content(package: &Package) -> Markup {
    let promoted = &package.promoted;
    let people = People::new(None);
    let exhibits = exhibits(package);
    let reading = Reading { people: &people, exhibits: &exhibits };
    let comparison = promoted.challenger_comparison.clone().unwrap_or_default();
    let routing = promoted.routing.clone().unwrap_or_default();
    let profile =
        promoted.profile.as_ref().and_then(|profile| package.exhibits.get(profile)).unwrap_or_default();
    html! {
        p.kind { "Review before promotion, sealed " (time(package.sealed_at)) }
        h1 { (visible(&title(promoted))) }
        p.for { "for " (visible(&words::slot(promoted.slot.as_ref()))) }
        (in_short(package))
        (sections::contents(&[
            ("approvers", "Who must approve"), ("conditions", "Open conditions"), ("change", "What changes"),
            ("people", "People and reasons"), ("model", "Model version"), ("comparison", "Comparison"),
            ("calibration", "Calibration"), ("explanation", "Explanation"), ("dataset", "Dataset"),
            ("request", "Request"), ("tier", "Tier and why"), ("open", "Documents"), ("decision", "Your decision"),
        ]))
        (approvers(package))
        (conditions(&package.conditions))
        (sections::change(&routing))
        (sheet())
        (sections::model_version(&promoted.model_version.clone().unwrap_or_default(), promoted.slot.as_ref()))
        (sections::comparison(&comparison, profile, reading))
        (sections::calibration(profile))
        (sections::explanations(&promoted.explanations, reading))
        (sections::dataset(&promoted.dataset.clone().unwrap_or_default(), reading))
        (sections::request(&promoted.approval_request.clone().unwrap_or_default(), reading))
        (sections::routing(&routing))
        (documents(&package.artefacts))
        (form::decision(package))
    }
}

/// The bytes, and which of them are shown instead of what needs scripts.
fn exhibits(package: &Package) -> Exhibits {
    let mut exhibits = package.exhibits.clone();
    for artefact in package.artefacts.iter().filter(|artefact| !artefact.renders.is_empty()) {
        exhibits.render(&artefact.renders, &reference(artefact));
    }
    exhibits
}

/// What an approver wants to know first.
fn in_short(package: &Package) -> Markup {
    let promoted = &package.promoted;
    let routing = promoted.routing.clone().unwrap_or_default();
    let request = promoted.approval_request.clone().unwrap_or_default();
    let checks = promoted.challenger_comparison.iter().flat_map(|comparison| &comparison.band_checks);
    let outside: Vec<_> = checks.filter(|check| !check.within).collect();
    let mut rows = vec![("Tier", html! { b { (visible(&routing.tier)) } })];
    rows.extend(routing.matched.iter().map(|matched| ("Because", html! { (visible(&matched.reason)) })));
    rows.push(("Incumbent", match &package.incumbent {
        None => html! { "none: a first promotion" },
        Some(now) => html! {
            (visible(&now.name)) " " (visible(&now.version)) ", entry " (now.seq) ", since " (time(now.promoted_at))
        },
    }));
    rows.push(("Band check", match outside.len() {
        0 => state("good", "all within their bands"),
        n => html! { (state("bad", &format!("{n} outside"))) " " @for (at, check) in outside.iter().enumerate() {
            @if at > 0 { ", " } (visible(&check.metric.replace('_', " "))) " on " (visible(&check.segment))
        } },
    }));
    rows.push(("Asked at", time(request.asked_at)));
    if request.due_at != 0 {
        rows.push(("Due", time(request.due_at)));
    }
    facts(&rows)
}

fn approvers(package: &Package) -> Markup {
    let needed = |required: &RequiredApproval| {
        let people = if required.count == 1 {
            "one person".into()
        } else {
            format!("{} different people", required.count)
        };
        html! { (people) " of " b { (visible(&required.group)) } }
    };
    let content = html! {
        @if package.required.is_empty() { p { "One person who had no part in it." } }
        ul.plainly { @for required in &package.required { li { (needed(required)) } } }
        p { "Nobody counts twice. Who requested, triggered or contributed to this promotion cannot approve it." }
        @if !package.requirements.is_empty() {
            details open {
                summary { "Everything that this tier requires" }
                ul.plainly { @for requirement in &package.requirements { li { (visible(requirement)) } } }
            }
        }
        @if !package.on_incumbent_change.is_empty() {
            p { "If the slot's current model changes while this review is open: " (visible(&package.on_incumbent_change)) }
        }
    };
    section("approvers", "Who must approve", Some("policy"), &content)
}

fn conditions(conditions: &[OpenCondition]) -> Markup {
    let people = People::new(None);
    let content = html! {
        @if conditions.is_empty() { p { "None: no condition of an earlier approval is open." } }
        @else {
            div.scroll tabindex="0" { table.data {
                caption { "From earlier approvals in this slot; each must be closed or met by this promotion" }
                thead { tr {
                    th scope="col" { "Condition" } th scope="col" { "Owner" } th scope="col" { "Due" }
                    th scope="col" { "Closed by" } th scope="col" { "Made by entry" }
                } }
                tbody { @for open in conditions { tr {
                    th scope="row" { (visible(&open.condition.title)) }
                    td { (visible(&people.name(open.condition.owner.as_ref()))) }
                    td { (time(open.condition.due_at)) }
                    td {
                        @if open.condition.slice.is_empty() { "evidence: " (visible(&open.condition.evidence_kind)) }
                        @else { "metrics by " (visible(&open.condition.slice)) }
                    }
                    td.n { (open.approved_seq) }
                } } }
            } }
        }
    };
    section("conditions", "Open conditions", Some("ledger"), &content)
}

/// Names stand apart from the page, so that a person can be erased without it.
fn sheet() -> Markup {
    let content = html! {
        p.left-out {
            "The page names people by pseudonym, because it is kept for ever. This frame says who they are and what they wrote, for as long as they are not erased."
        }
        figure.exhibit {
            figcaption { b { "People, justification and residual risk" } ". " a href=(SHEET_PATH) target="_blank" rel="noopener" { "Open in a tab of its own" } }
            iframe.low sandbox="" src=(SHEET_PATH) title="People, justification and residual risk" referrerpolicy="no-referrer" {}
        }
    };
    section("people", "People and reasons", Some("workflow tool"), &content)
}

fn documents(artefacts: &[Artefact]) -> Markup {
    let (required, others): (Vec<_>, Vec<_>) = artefacts.iter().partition(|artefact| artefact.required);
    let list = |artefacts: &[&Artefact]| {
        html! {
            ul.plainly { @for artefact in artefacts {
                li { a href={ "artefacts/" (file_name(&reference(artefact))) } target="_blank" rel="noopener" { (visible(&artefact.name)) }
                    " " span.none { (visible(&artefact.media_type)) ", " (words::bytes(artefact.length)) } }
            } }
        }
    };
    let content = html! {
        @if !required.is_empty() {
            h3 { "To be opened before you approve" }
            p { "An approval counts once each of these was served to you in full in this session. The record says that they were served and opened, and when; it cannot say that they were read." }
            (list(&required))
        }
        @if !others.is_empty() { h3 { "Others" } (list(&others)) }
    };
    section("open", "Documents", Some("evidence store"), &content)
}

fn reference(artefact: &Artefact) -> EvidenceRef {
    let Artefact { sha256, media_type, length, .. } = artefact.clone();
    EvidenceRef { sha256, media_type, length, ..EvidenceRef::default() }
}

/// One person's fragment of the sheet of people: sealed with that person's data.
pub fn render_person(entry: &SheetEntry) -> String {
    let parts: Vec<_> = entry.parts.iter().map(|part| part.replace('_', " ")).collect();
    let fragment = html! {
        section {
            h2 { @if entry.name.is_empty() { (visible(&entry.subject)) } @else { (visible(&entry.name)) } }
            (facts(&[
                ("Part", html! { (visible(&parts.join(", "))) }),
                ("Identity", html! { (visible(&entry.subject)) " of " (visible(&entry.person.issuer)) }),
                ("Pseudonym", digest(&entry.person.subject_id)),
            ]))
            @for (heading, text) in &entry.texts { h3 { (visible(heading)) } div.prose { (visible(text)) } }
        }
    };
    fragment.into_string()
}
