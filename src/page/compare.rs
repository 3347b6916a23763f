//! Two promotions side by side.

use maud::{Markup, html};

use crate::{event::proto::Promoted, readable::visible};

use super::{
    figures::{self, number},
    people::People,
    promotion::title,
    shell::{Shell, document},
    words::{comparator_role, slot, utc},
};

/// One of the two.
pub struct Side<'a> {
    /// Its entry.
    pub seq: u64,
    /// Its date.
    pub date: u64,
    /// The event.
    pub promoted: &'a Promoted,
    /// Bytes of its model profile; empty where they are not there.
    pub profile: &'a [u8],
    /// Names.
    pub people: &'a People,
}

/// The page.
pub fn compare(shell: Shell<'_>, sides: &[Side<'_>; 2]) -> Vec<u8> {
    let names = sides.each_ref().map(|side| title(side.promoted));
    let rows = rows(sides);
    let different = rows.iter().filter(|(_, [a, b])| a != b).count();
    let content = html! {
        p.kind { "Two promotions side by side" }
        h1 { (visible(&names[0])) " (entry " (sides[0].seq) ") and " (visible(&names[1])) " (entry " (sides[1].seq) ")" }
        section aria-labelledby="fields-heading" {
            h2 id="fields-heading" { "Six fields" }
            p.from { (different) " of " (rows.len()) " lines differ; those are marked." }
            div.scroll tabindex="0" { table.data.pairs {
                thead { tr { th scope="col" { "Field" } @for (side, name) in sides.iter().zip(&names) {
                    th scope="col" { a href={ (side.seq) "/" } { (visible(name)) ", entry " (side.seq) } }
                } } }
                tbody { @for (name, [a, b]) in &rows { tr class=[(a != b).then_some("out")] {
                    th scope="row" { (name) @if a != b { " " span.state.bad { "differs" } } }
                    td { (visible(a)) } td { (visible(b)) }
                } } }
            } }
        }
        (metrics(sides))
    };
    document(shell, &content)
}

fn rows(sides: &[Side<'_>; 2]) -> Vec<(&'static str, [String; 2])> {
    type Of = fn(&Side<'_>) -> String;
    let lines: [(&'static str, Of); 19] = [
        ("Date", |s| utc(s.date)),
        ("Slot", |s| slot(s.promoted.slot.as_ref())),
        ("Model version", |s| title(s.promoted)),
        ("Artefact", |s| {
            s.promoted.model_version.as_ref().map(|m| hex::encode(&m.artifact_sha256)).unwrap_or_default()
        }),
        ("Compared with", |s| comparators(s.promoted)),
        ("Outside the band", |s| outside(s.promoted)),
        ("Comparison report", |s| {
            let report = s.promoted.challenger_comparison.as_ref().and_then(|c| c.report.as_ref());
            report.map(|report| hex::encode(&report.sha256)).unwrap_or_default()
        }),
        ("Request", |s| {
            s.promoted.approval_request.as_ref().map(|r| format!("{} {}", r.system, r.id)).unwrap_or_default()
        }),
        ("Requested by", |s| {
            s.people.name(s.promoted.approval_request.as_ref().and_then(|r| r.requested_by.as_ref()))
        }),
        ("Approved by", |s| {
            let names = s.promoted.approvals.iter().map(|approval| s.people.name(approval.approver.as_ref()));
            names.collect::<Vec<_>>().join("; ")
        }),
        ("Counted for", |s| {
            s.promoted.approvals.iter().flat_map(|a| a.matched_groups.clone()).collect::<Vec<_>>().join(", ")
        }),
        ("Explanations", |s| {
            let one = |e: &crate::event::proto::Explanation| {
                let sha256 = e.content.as_ref().map(|c| hex::encode(&c.sha256)).unwrap_or_default();
                format!("{} {sha256}", e.kind)
            };
            s.promoted.explanations.iter().map(one).collect::<Vec<_>>().join("; ")
        }),
        ("Explained with", |s| {
            s.promoted
                .explanations
                .iter()
                .map(|e| format!("{} {}", e.tool, e.tool_version))
                .collect::<Vec<_>>()
                .join("; ")
        }),
        ("Snapshot", |s| s.promoted.dataset.as_ref().map(|d| d.snapshot_id.clone()).unwrap_or_default()),
        ("Dataset", |s| s.promoted.dataset.as_ref().map(|d| hex::encode(&d.digest)).unwrap_or_default()),
        ("Definition", |s| {
            s.promoted.dataset.as_ref().map(|d| hex::encode(&d.definition_digest)).unwrap_or_default()
        }),
        ("Tier", |s| s.promoted.routing.as_ref().map(|r| r.tier.clone()).unwrap_or_default()),
        ("Rules", |s| {
            let rules = s.promoted.routing.iter().flat_map(|r| &r.matched).map(|m| m.rule.clone());
            rules.collect::<Vec<_>>().join(", ")
        }),
        ("Policy", |s| {
            s.promoted
                .routing
                .as_ref()
                .map(|r| format!("{} {}", r.policy_id, r.policy_version))
                .unwrap_or_default()
        }),
    ];
    let of = |(name, of): (&'static str, Of)| (name, sides.each_ref().map(of));
    lines.into_iter().map(of).collect()
}

fn comparators(promoted: &Promoted) -> String {
    let Some(comparison) = &promoted.challenger_comparison else { return String::new() };
    if comparison.no_incumbent {
        return "no incumbent".into();
    }
    let one =
        |c: &crate::event::proto::Comparator| format!("{} {} {}", comparator_role(c.role), c.name, c.version);
    comparison.comparators.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn outside(promoted: &Promoted) -> String {
    let checks =
        promoted.challenger_comparison.iter().flat_map(|c| &c.band_checks).filter(|check| !check.within);
    let words: Vec<_> = checks.map(|check| format!("{} on {}", check.metric, check.segment)).collect();
    if words.is_empty() { "nothing".into() } else { words.join("; ") }
}

/// Overall metrics of both candidates, each on its own snapshot.
fn metrics(sides: &[Side<'_>; 2]) -> Markup {
    let overall = sides.each_ref().map(|side| {
        let segments = figures::segments(side.profile);
        segments.into_iter().find(|(name, _)| name == "overall").map(|(_, s)| s.metrics).unwrap_or_default()
    });
    let mut names: Vec<_> = overall.iter().flat_map(|metrics| metrics.keys()).collect();
    names.sort();
    names.dedup();
    html! { @if !names.is_empty() {
        section aria-labelledby="metrics-heading" {
            h2 id="metrics-heading" { "Overall metrics" }
            p.from { "Each candidate on its own evaluation snapshot." }
            div.scroll tabindex="0" { table.data {
                thead { tr { th scope="col" { "Metric" } @for side in sides { th.n scope="col" { "entry " (side.seq) } } } }
                tbody { @for name in names { tr {
                    th scope="row" { (visible(&figures::named(name))) }
                    @for metrics in &overall { td.n { (number(metrics.get(name).and_then(|pair| pair.0))) } }
                } } }
            } }
        }
    } }
}
