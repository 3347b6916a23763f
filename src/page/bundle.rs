//! The start page of an examiner bundle: the six fields of each promotion in short, with links to page and evidence.

use maud::{Markup, html};

use crate::{
    event::{
        Seq, content,
        proto::{EvidenceRef, Promoted},
    },
    readable::visible,
};

use super::{
    exhibit::file_name,
    parts::{Fact, digest, facts, time},
    people::People,
    promotion::title,
    shell::{Shell, document},
    words,
};

/// One promotion of the bundle.
pub struct Line<'a> {
    /// Its entry.
    pub seq: Seq,
    /// Its date.
    pub date: u64,
    /// The event.
    pub promoted: &'a Promoted,
    /// Names, where they were opened.
    pub people: &'a People,
    /// What was recorded about it since, in words.
    pub later: Vec<String>,
    /// Address of what the approvers were served.
    pub review: Option<String>,
}

/// What the page says of the whole bundle.
pub struct About<'a> {
    /// What was asked for, in words.
    pub asked: &'a str,
    /// ledger_id.
    pub ledger_id: &'a str,
    /// The log's verifier key.
    pub vkey: &'a str,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Evidence that was left out and why, by SHA-256.
    pub withheld: Vec<(String, String)>,
}

/// The page.
pub fn index(shell: Shell<'_>, about: &About<'_>, lines: &[Line<'_>]) -> Vec<u8> {
    let content = html! {
        p.kind { "Examiner bundle" }
        h1 { (lines.len()) @if lines.len() == 1 { " promotion" } @else { " promotions" } }
        p.for { (visible(about.asked)) }
        (facts(&[
            ("ledger_id", html! { code.digest { (about.ledger_id) } }),
            ("Log key", html! { code.digest { (visible(about.vkey)) } }),
            ("Ledger", html! { (about.size) " entries under the checkpoint" }),
        ]))
        p.notice { "This page was drawn from the records beside it. Nothing proves a page: check the file with promotion-ledger verify, as README.txt says." }
        @for line in lines { (promotion(line)) }
        @if !about.withheld.is_empty() {
            section aria-labelledby="withheld-heading" {
                h2 id="withheld-heading" { "Left out" }
                (facts(&about.withheld.iter().map(|(sha256, why)| ("Evidence", html! {
                    code.digest { (sha256) } " " (visible(why))
                })).collect::<Vec<_>>()))
            }
        }
    };
    document(shell, &content)
}

fn promotion(line: &Line<'_>) -> Markup {
    let id = format!("entry-{}", line.seq);
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { a href={ "promotion-" (line.seq) ".html" } { (visible(&title(line.promoted))) } }
            p.from { "Entry " (line.seq) ", " (time(line.date)) ", for " (visible(&words::slot(line.promoted.slot.as_ref()))) "." }
            (facts(&six(line)))
        }
    }
}

fn six(line: &Line<'_>) -> Vec<Fact> {
    let promoted = line.promoted;
    let model = promoted.model_version.clone().unwrap_or_default();
    let request = promoted.approval_request.clone().unwrap_or_default();
    let dataset = promoted.dataset.clone().unwrap_or_default();
    let evidence = content::evidence(promoted);
    let of = |prefix: &str| -> Markup {
        let own = evidence.iter().filter(|(field, _)| field.starts_with(prefix));
        html! { @for (field, reference) in own { br; (link(field, reference)) } }
    };
    let approvals = promoted.approvals.iter().map(|approval| {
        let who = line.people.name(approval.approver.as_ref());
        format!("{who}, {}", words::utc(approval.decided_at))
    });
    let mut rows = vec![
        (
            "1 Model version",
            html! { (visible(&format!("{} {} of {}", model.name, model.version, model.registry_uri))) br; (digest(&model.artifact_sha256)) (of("model_version")) },
        ),
        ("2 Challenger comparison", html! { (comparators(promoted)) (of("challenger_comparison")) }),
        (
            "3 Approval request",
            html! { (visible(&format!("{} {}", request.system, request.id))) (of("approval_request")) },
        ),
        ("4 Approver identity", html! { (visible(&approvals.collect::<Vec<_>>().join("; "))) }),
        ("5 Explanation", html! { (promoted.explanations.len()) (of("explanations")) }),
        (
            "6 Dataset",
            html! { (visible(&format!("{} {}", dataset.snapshot_kind, dataset.snapshot_id))) br; (digest(&dataset.digest)) (of("dataset")) },
        ),
        ("Profile", html! { "model profile" (of("profile")) }),
    ];
    if let Some(review) = &line.review {
        rows.push(("What approvers saw", html! { a href=(review) { "the sealed page, byte for byte" } }));
    }
    rows.extend(line.later.iter().map(|later| ("Since then", html! { (visible(later)) })));
    rows
}

fn comparators(promoted: &Promoted) -> Markup {
    let comparison = promoted.challenger_comparison.clone().unwrap_or_default();
    let one = |c: &crate::event::proto::Comparator| {
        format!("{} {} {}", words::comparator_role(c.role), c.name, c.version)
    };
    let all: Vec<_> = comparison.comparators.iter().map(one).collect();
    html! { @if comparison.no_incumbent { "first promotion: no incumbent" } @else { (visible(&all.join(", "))) } }
}

fn link(field: &str, reference: &EvidenceRef) -> Markup {
    html! { a href={ "artefacts/" (file_name(reference)) } { (visible(field)) } " " code.digest { (hex::encode(&reference.sha256)) } }
}
