//! Rules of the kinds that gates answer from, as far as they need no state: modes, break-glass, undocumented models.

use super::{
    model::Micros,
    promotion::{Problems, list_rule, past, person, sha256_rule, slot_rules},
    proto::{BreakGlass, Slot, SlotPattern, SlotRole, Undocumented, body::Event},
    text::{free_text_problem, name_problem, registry_uri_problem, uri_problem, version_problem},
};

/// Longest time that a break-glass holds.
pub const BREAK_GLASS_MAX: Micros = 7 * DAY;
/// Longest time that a model may stay undocumented.
pub const SUNSET_MAX: Micros = 730 * DAY;
const DAY: Micros = 24 * 3600 * 1_000_000;
/// The six fields, as an undocumented model names what it lacks.
pub const SIX_FIELDS: [&str; 6] = [
    "model_version",
    "challenger_comparison",
    "approval_request",
    "approver_identity",
    "explanation",
    "dataset",
];

/// Whether such an event by itself says all that its kind needs; `None` for other kinds.
pub fn is_whole(event: &Event, recorded_at: Micros) -> Option<bool> {
    let mut p = Problems::default();
    match event {
        Event::BreakGlass(e) => break_glass_problems(&mut p, e, recorded_at),
        Event::Undocumented(e) => undocumented_problems(&mut p, e, recorded_at),
        _ => return None,
    }
    Some(p.into_sorted().is_empty())
}

/// Everything that is wrong with a break-glass recorded at a time.
pub fn break_glass_problems(p: &mut Problems, e: &BreakGlass, recorded_at: Micros) {
    slot(p, e.slot.as_ref());
    sha256_rule(p, "artifact_sha256", &e.artifact_sha256);
    person(p, "actor", e.actor.as_ref());
    p.add_some("group", name_problem(&e.group));
    p.require(
        e.groups_complete,
        "groups_complete",
        "is false: the identity provider left groups out, so membership is not proven",
    );
    past(p, "auth_time", e.auth_time, recorded_at);
    p.add_some("acr", name_problem(&e.acr));
    list_rule(p, "amr", e.amr.len());
    for (i, method) in e.amr.iter().enumerate() {
        p.add_some(format_args!("amr[{i}]"), name_problem(method));
    }
    sha256_rule(p, "assertion_sha256", &e.assertion_sha256);
    p.add_some("verified_by", name_problem(&e.verified_by));
    ends(p, "expires_at", e.expires_at, recorded_at, BREAK_GLASS_MAX);
    p.add_some("request_id", name_problem(&e.request_id));
}

/// Everything that is wrong with an undocumented model recorded at a time.
pub fn undocumented_problems(p: &mut Problems, e: &Undocumented, recorded_at: Micros) {
    slot(p, e.slot.as_ref());
    if !e.artifact_sha256.is_empty() {
        sha256_rule(p, "artifact_sha256", &e.artifact_sha256);
    }
    if !(e.registry_uri.is_empty() && e.name.is_empty() && e.version.is_empty()) {
        p.add_some("registry_uri", registry_uri_problem(&e.registry_uri));
        p.add_some("name", name_problem(&e.name));
        p.add_some("version", version_problem(&e.version));
    }
    list_rule(p, "known", e.known.len());
    for (i, known) in e.known.iter().enumerate() {
        p.add_some(format_args!("known[{i}].fact"), name_problem(&known.fact));
        p.add_some(format_args!("known[{i}].value"), free_text_problem(&known.value));
        p.add_some(format_args!("known[{i}].source"), uri_problem(&known.source));
    }
    p.require(!e.missing.is_empty(), "missing", "is empty; a model that lacks nothing is promoted instead");
    list_rule(p, "missing", e.missing.len());
    for (i, field) in e.missing.iter().enumerate() {
        let known = SIX_FIELDS.contains(&field.as_str());
        p.require(known, format_args!("missing[{i}]"), format_args!("is none of {}", SIX_FIELDS.join(", ")));
    }
    ends(p, "sunset", e.sunset, recorded_at, SUNSET_MAX);
    person(p, "actor", e.actor.as_ref());
    p.add_some("request_id", name_problem(&e.request_id));
}

/// Whether a pattern of targets can be one.
pub fn pattern_is_whole(pattern: &SlotPattern) -> bool {
    let SlotPattern { model, environment, region, role } = pattern;
    let names = [model, environment, region];
    let named = names.iter().any(|name| !name.is_empty()) || *role != 0;
    let well_formed = names.iter().all(|name| name.is_empty() || name_problem(name).is_none());
    named && well_formed && SlotRole::try_from(*role).is_ok()
}

fn slot(p: &mut Problems, slot: Option<&Slot>) {
    match slot {
        Some(slot) => slot_rules(p, "slot", slot),
        None => p.add("slot", "is missing; say for which model, environment, region and role this is"),
    }
}

fn ends(p: &mut Problems, field: &str, end: Micros, recorded_at: Micros, longest: Micros) {
    p.require(end > recorded_at, field, "is not in the future");
    let days = longest / DAY;
    p.require(
        end <= recorded_at.saturating_add(longest),
        field,
        format_args!("lies more than {days} days ahead"),
    );
}
