//! Field five: why the candidate decides as it does.

use maud::{Markup, html};

use crate::{
    event::proto::Explanation,
    page::{
        exhibit::exhibit,
        parts::{digest, evidence_fact, facts},
    },
    readable::visible,
};

use super::{Reading, section};

/// All explanations.
pub fn explanations(explanations: &[Explanation], reading: Reading<'_>) -> Markup {
    let content = html! {
        @for explanation in explanations {
            @let title = explanation.kind.replace('_', " ");
            h3 { (visible(&title)) }
            (facts(&about(explanation)))
            @if let Some(content) = &explanation.content {
                (exhibit(&title, content, reading.exhibits, false))
            }
        }
    };
    section("explanation", "Explanation", Some("explanation job, by way of the artefact store"), &content)
}

fn about(explanation: &Explanation) -> Vec<(&'static str, Markup)> {
    let mut rows = vec![
        ("Made with", html! { (visible(&explanation.tool)) " " (visible(&explanation.tool_version)) }),
        ("Explains", html! { "this model version" }),
    ];
    match &explanation.sample_manifest {
        None => rows.push(("Computed on", html! { "the dataset of this promotion" })),
        Some(manifest) => {
            rows.push((
                "Computed on",
                html! { "a sample of the dataset, " (digest(&explanation.computed_on)) },
            ));
            rows.push(("The sample", evidence_fact(manifest)));
        }
    }
    rows.push(("Background data", digest(&explanation.background_sha256)));
    rows
}
