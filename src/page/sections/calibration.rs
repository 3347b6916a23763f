//! Calibration in its own section: whether predicted probabilities agree with what was observed, in every segment.

use maud::{Markup, html};

use crate::page::figures;

use super::section;

/// Calibration by segment, from the model profile.
pub fn calibration(profile: &[u8]) -> Markup {
    let segments = figures::segments(profile);
    let mut metrics: Vec<String> = segments
        .iter()
        .flat_map(|(_, segment)| segment.metrics.keys())
        .filter(|metric| figures::is_calibration(metric))
        .cloned()
        .collect();
    // Slope and intercept first: they say what is wrong, the scores only how much.
    metrics.sort_by_key(|metric| (!metric.contains("calib"), metric.clone()));
    metrics.dedup();
    let compared = segments.iter().any(|(_, s)| s.metrics.values().any(|pair| pair.1.is_some()));
    let slope = metrics.iter().find(|metric| metric.contains("slope"));
    let content = if metrics.is_empty() {
        html! { p.notice { "The model profile states no calibration for any segment." } }
    } else {
        html! {
            @if let Some(plot) = slope.and_then(|slope| figures::plot(&segments, slope, 1.0)) {
                p.left-out aria-hidden="true" {
                    "Calibration slope: filled dot candidate" @if compared { ", open dot incumbent" } ". The table has the numbers."
                }
                (plot)
            }
            (figures::table("Model profile: calibration by segment", &segments, &metrics, compared))
        }
    };
    section(
        "calibration",
        "Calibration by segment",
        Some("model profile, computed by the comparison job"),
        &content,
    )
}
