//! Field six: the snapshot that everything was computed on.

use maud::{Markup, html};

use crate::{
    event::proto::Dataset,
    page::{
        exhibit::exhibit,
        parts::{digest, facts},
        words,
    },
    readable::visible,
};

use super::{Reading, section};

/// The dataset.
pub fn dataset(dataset: &Dataset, reading: Reading<'_>) -> Markup {
    let content = html! {
        (facts(&[
            ("Snapshot", html! { (visible(&dataset.snapshot_kind)) " " (visible(&dataset.snapshot_id)) }),
            ("Digest", html! { (digest(&dataset.digest)) br; (words::strength(dataset.strength)) }),
            ("Definition", digest(&dataset.definition_digest)),
        ]))
        @if let Some(definition) = &dataset.definition {
            (exhibit("Definition of the evaluation", definition, reading.exhibits, true))
        }
        @if let Some(copy) = &dataset.copy {
            (exhibit("Snapshot", copy, reading.exhibits, true))
        }
    };
    section("dataset", "Dataset", Some("feature store"), &content)
}
