//! Field two: what the candidate was compared with, the band check, and the rendered difference.

use maud::{Markup, html};

use crate::{
    event::proto::{BandCheck, ChallengerComparison},
    page::{
        exhibit::exhibit,
        figures::{self, number},
        parts::{digest, state},
        words::comparator_role,
    },
    readable::visible,
};

use super::{Reading, section};

/// The comparison; `profile` holds the metrics by segment.
pub fn comparison(comparison: &ChallengerComparison, profile: &[u8], reading: Reading<'_>) -> Markup {
    let content = html! {
        @if comparison.no_incumbent {
            p { "There is no incumbent: this is the first promotion in its slot." }
        }
        @if !comparison.comparators.is_empty() { (comparators(comparison)) }
        @if !comparison.band_checks.is_empty() { (band(&comparison.band_checks)) }
        @if let Some(report) = &comparison.report {
            (exhibit("Comparison report", report, reading.exhibits, false))
        }
        (by_segment(profile))
        @if let Some(metrics) = &comparison.metrics {
            (exhibit("Metrics", metrics, reading.exhibits, true))
        }
    };
    section("comparison", "Challenger comparison", Some("comparison job"), &content)
}

fn comparators(comparison: &ChallengerComparison) -> Markup {
    html! {
        div.scroll tabindex="0" { table.data {
            caption { "Compared with, all on the dataset of this promotion" }
            thead { tr { th scope="col" { "Role" } th scope="col" { "Model version" } th scope="col" { "Artefact, SHA-256" } } }
            tbody { @for comparator in &comparison.comparators { tr {
                th scope="row" { (comparator_role(comparator.role)) }
                td { (visible(&comparator.name)) " " (visible(&comparator.version)) }
                td { (digest(&comparator.artifact_sha256)) }
            } } }
        } }
    }
}

fn band(checks: &[BandCheck]) -> Markup {
    let outside = checks.iter().filter(|check| !check.within).count();
    let summary = match outside {
        0 => state("good", "all within their bands"),
        1 => state("bad", "1 outside its band"),
        n => state("bad", &format!("{n} outside their bands")),
    };
    html! {
        h3 { "Band check " (summary) }
        div.scroll tabindex="0" { table.data {
            caption { "Within: candidate and incumbent differ by no more than the tolerance" }
            thead { tr {
                th scope="col" { "Metric" } th scope="col" { "Segment" } th.n scope="col" { "Candidate" }
                th.n scope="col" { "Incumbent" } th.n scope="col" { "Difference" } th.n scope="col" { "Tolerance" }
                th scope="col" { "Band" }
            } }
            tbody { @for check in checks { tr class=[(!check.within).then_some("out")] {
                th scope="row" { (visible(&figures::named(&check.metric))) }
                td { (visible(&check.segment)) }
                td.n { (number(Some(check.candidate))) }
                td.n { (number(Some(check.incumbent))) }
                td.n { (format!("{:+.4}", check.candidate - check.incumbent)) }
                td.n { (number(Some(check.tolerance))) }
                td { @if check.within { "within" } @else { b.bad { "outside" } } }
            } } }
        } }
    }
}

/// Everything but calibration, which has a section of its own.
fn by_segment(profile: &[u8]) -> Markup {
    let segments = figures::segments(profile);
    let mut metrics: Vec<String> = segments
        .iter()
        .flat_map(|(_, segment)| segment.metrics.keys())
        .filter(|metric| !figures::is_calibration(metric))
        .cloned()
        .collect();
    metrics.sort();
    metrics.dedup();
    let compared = segments.iter().any(|(_, s)| s.metrics.values().any(|pair| pair.1.is_some()));
    html! { @if !metrics.is_empty() {
        details {
            summary { "Metrics by segment, as the model profile states them" }
            (figures::table("Model profile: metrics by segment", &segments, &metrics, compared))
        }
    } }
}
