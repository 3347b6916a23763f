//! Metrics by segment, of candidate and incumbent side by side, as the model profile states them; and a dot plot.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use crate::readable::visible;

/// Of a metric: candidate's and incumbent's value.
pub type Pair = (Option<f64>, Option<f64>);

/// What a profile says about one segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    /// By metric.
    pub metrics: BTreeMap<String, Pair>,
    /// Whether the profile calls it too small to measure.
    pub small: bool,
}

/// Segments of a profile by name, `overall` first.
pub fn segments(profile: &[u8]) -> Vec<(String, Segment)> {
    let profile: Value = serde_json::from_slice(profile).unwrap_or_default();
    let mut found: BTreeMap<String, Segment> = BTreeMap::new();
    let both = [&profile["metrics"], &profile["incumbent"]["metrics"]];
    for (side, metrics) in both.into_iter().enumerate() {
        for (segment, metrics) in metrics.as_object().into_iter().flatten() {
            let segment = found.entry(segment.clone()).or_default();
            for (metric, value) in metrics.as_object().into_iter().flatten() {
                if metric == "small_sample" {
                    segment.small |= value == &Value::Bool(true);
                    continue;
                }
                let pair = segment.metrics.entry(metric.clone()).or_default();
                let slot = if side == 0 { &mut pair.0 } else { &mut pair.1 };
                *slot = value.as_f64();
            }
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(name, _)| (name != "overall", name.clone()));
    found
}

/// Whether a metric is about calibration: whether predicted probabilities agree with what was observed.
pub fn is_calibration(metric: &str) -> bool {
    let metric = metric.to_ascii_lowercase();
    metric.contains("calib")
        || ["ece", "mce", "brier", "brier_score", "log_loss", "mean_pd", "bad_rate", "hosmer_lemeshow"]
            .contains(&metric.as_str())
}

/// A number as people compare it: four places.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "\u{2013}".into(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e9 => format!("{value}"),
        Some(value) => format!("{value:.4}"),
    }
}

/// One table: segments down, metrics across, candidate and incumbent beside each other.
pub fn table(caption: &str, segments: &[(String, Segment)], metrics: &[String], compared: bool) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table.data.wide {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" rowspan=[compared.then_some("2")] { "Segment" }
                        @for metric in metrics {
                            th scope="colgroup" colspan=[compared.then_some("2")] .edge { (visible(&named(metric))) }
                        }
                    }
                    @if compared { tr { @for _ in metrics {
                        th.n.edge scope="col" { "candidate" } th.n scope="col" { "incumbent" }
                    } } }
                }
                tbody { @for (name, segment) in segments { tr {
                    th scope="row" { (visible(name)) @if segment.small { " (too small to measure)" } }
                    @for metric in metrics {
                        @let pair = segment.metrics.get(metric).copied().unwrap_or_default();
                        td.n.edge { (number(pair.0)) }
                        @if compared { td.n { (number(pair.1)) } }
                    }
                } } }
            }
        }
    }
}

/// `calibration_slope` -> `calibration slope`.
pub fn named(metric: &str) -> String {
    metric.replace('_', " ")
}

/// Candidate and incumbent as dots on one line for each segment, with the ideal value marked. The table beside it
/// holds the same numbers, so the picture is hidden from screen readers.
pub fn plot(segments: &[(String, Segment)], metric: &str, ideal: f64) -> Option<Markup> {
    const ROW: usize = 24;
    const LEFT: f64 = 220.0;
    const WIDTH: f64 = 460.0;
    let rows: Vec<_> = segments
        .iter()
        .filter_map(|(name, segment)| segment.metrics.get(metric).map(|pair| (name, *pair)))
        .filter(|(_, pair)| pair.0.is_some())
        .collect();
    let values = rows.iter().flat_map(|(_, pair)| [pair.0, pair.1]).flatten().chain([ideal]);
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let margin = (high - low) * 0.06;
    let (low, high) = (low - margin, high + margin);
    if rows.len() < 2 || low >= high {
        return None;
    }
    let x = |value: f64| format!("{:.1}", LEFT + (value - low) / (high - low) * WIDTH);
    let height = rows.len() * ROW + 34;
    let bottom = rows.len() * ROW + 8;
    Some(html! {
        svg.plot viewBox={ "0 0 700 " (height) } aria-hidden="true" focusable="false" {
            line.ideal x1=(x(ideal)) x2=(x(ideal)) y1="4" y2=(bottom) {}
            text x=(x(ideal)) y=(bottom + 18) text-anchor="middle" { (named(metric)) " " (number(Some(ideal))) " is ideal" }
            @for (at, (name, pair)) in rows.iter().enumerate() {
                @let y = at * ROW + 18;
                text x="0" y=(y + 4) { (short(name)) }
                line.axis x1=(format!("{LEFT:.0}")) x2=(format!("{:.0}", LEFT + WIDTH)) y1=(y) y2=(y) {}
                @if let (Some(candidate), Some(incumbent)) = pair {
                    line.join x1=(x(*candidate)) x2=(x(*incumbent)) y1=(y) y2=(y) {}
                }
                @if let Some(incumbent) = pair.1 { circle.incumbent cx=(x(incumbent)) cy=(y) r="5" {} }
                @if let Some(candidate) = pair.0 { circle.candidate cx=(x(candidate)) cy=(y) r="6" {} }
            }
        }
    })
}

fn short(name: &str) -> Markup {
    const LONGEST: usize = 30;
    let cut: String = name.chars().take(LONGEST).collect();
    let more = if name.chars().count() > LONGEST { "\u{2026}" } else { "" };
    html! { (cut) (more) }
}
