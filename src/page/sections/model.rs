//! Field one: the candidate.

use maud::{Markup, html};

use crate::{
    event::proto::{ModelVersion, Slot},
    page::{
        parts::{digest, evidence_fact, facts},
        words,
    },
    readable::visible,
};

use super::section;

/// The candidate and its slot.
pub fn model_version(model: &ModelVersion, slot: Option<&Slot>) -> Markup {
    let mut known = vec![
        ("Version", html! { b { (visible(&model.name)) " " (visible(&model.version)) } }),
        ("Registry", html! { (visible(&model.registry_uri)) }),
        ("Artefact", digest(&model.artifact_sha256)),
        ("For", html! { (visible(&words::slot(slot))) }),
    ];
    known.extend(model.copy.as_ref().map(|copy| ("Stored copy", evidence_fact(copy))));
    section("model", "Model version", Some("model registry"), &facts(&known))
}
