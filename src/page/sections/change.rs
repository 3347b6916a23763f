//! What is different to the model that runs now: derived by the server, never declared.

use maud::{Markup, html};

use crate::{
    event::proto::Routing,
    page::{figures::number, parts::facts},
    policy::change::{Difference, PSI_SHIFT, PSI_WATCH},
    policy::inputs::{Inputs, SinceHuman},
    readable::visible,
};

use super::section;

/// The change against the slot's current promotion, and against the last one that people approved.
pub fn change(routing: &Routing) -> Markup {
    let inputs = Inputs::from_bytes(&routing.inputs).ok();
    let content = match &inputs {
        None => html! { p { "No policy was active, so nothing was derived: the highest tier applies." } },
        Some(inputs) => html! {
            @match &inputs.previous {
                None => p { "Nothing runs in this slot that the ledger knows of: this is a first promotion." },
                Some(previous) => {
                    p { "Against entry " (previous.seq) ", which is current in the slot." }
                    (difference(&inputs.change))
                }
            }
            (since_human(inputs.since_human.as_ref(), inputs.previous.as_ref().map(|previous| previous.seq)))
        },
    };
    section("change", "What changes", Some("two model profiles: derived by the server"), &content)
}

fn since_human(since: Option<&SinceHuman>, previous: Option<u64>) -> Markup {
    match since {
        Some(since) if Some(since.seq) != previous => html! {
            h3 { "Since people last approved (entry " (since.seq) ")" }
            p.left-out { "Many small steps are measured together." }
            (difference(&since.change))
        },
        Some(_) => {
            html! { p.left-out { "People approved the current model; there are no steps in between." } }
        }
        None => html! { p.left-out { "No person has approved a model in this slot before." } },
    }
}

/// Only what is different, in words.
fn difference(change: &Difference) -> Markup {
    let mut rows: Vec<(&'static str, Markup)> = Vec::new();
    let mut names = |name, list: &[String]| {
        if !list.is_empty() {
            rows.push((name, html! { (visible(&list.join(", "))) }));
        }
    };
    names("Features added", &change.features_added);
    names("Features removed", &change.features_removed);
    names("Features of another type", &change.features_retyped);
    names("Hyperparameters", &change.hyperparameters_changed);
    names("Segments", &change.segments_changed);
    names("Uses added", &change.uses_added);
    names("Uses removed", &change.uses_removed);
    for (name, moved) in &change.thresholds_moved {
        let (from, to) = (whole(moved.from), whole(moved.to));
        rows.push(("Threshold", html! { (visible(name)) ": " (from) " \u{2192} " b { (to) } }));
    }
    let flags = [
        (change.algorithm_changed, "another algorithm"),
        (change.transformation_changed, "another feature transformation"),
        (change.evaluation_definition_changed, "another evaluation definition"),
        (change.inventory_changed, "another inventory id"),
        (change.risk_tier_changed, "another risk tier"),
        (change.snapshot_rolled, "a new evaluation snapshot under the same rules"),
    ];
    rows.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, words)| ("Also", html! { (words) })));
    if change.training_rows_delta != 0 || change.training_days_delta != 0 {
        let (days, rows_) = (change.training_days_delta, change.training_rows_delta);
        rows.push(("Training window", html! { (format!("{days:+} days, {rows_:+} rows")) }));
    }
    rows.push((
        "Population stability",
        html! { "largest index " (number(Some(change.psi_max()))) ", " (psi(change)) },
    ));
    facts(&rows)
}

fn psi(change: &Difference) -> &'static str {
    match change.psi_max() {
        max if max >= PSI_SHIFT => "a shift (0.25 or more)",
        max if max >= PSI_WATCH => "to be watched (0.1 to 0.25)",
        _ => "stable (below 0.1)",
    }
}

/// A setting is shown as it is set.
fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| "none".into(), |value| value.to_string())
}
