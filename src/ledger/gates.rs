//! Rules of what gates answer from: their modes, undocumented models, break-glass. Pure.

use crate::event::{
    Digest, Kind, Reason, digest,
    gate::pattern_is_whole,
    promotion,
    proto::{self, Body, GateModeSet, PersonRef, Promoted, Slot, Undocumented, body::Event},
};

use super::{
    admin::Apply,
    decide::{Changes, Prepared, Verdict},
    slots::slot_as_admitted,
    state::{Baseline, GateMode, GatePattern, Lookup, SlotState, State},
};

/// Most patterns at a time: the state that is stored with each batch names them all.
pub const GATE_MODES_MAX: usize = 256;

/// How strict gates are for a slot. A slot whose model or role is not known has it empty or 0.
pub fn mode_of(state: &State, slot: &Slot) -> GateMode {
    let any = |pattern: &str, name: &str| pattern.is_empty() || pattern == name;
    let names = |pattern: &GatePattern| {
        any(&pattern.model, &slot.model)
            && any(&pattern.environment, &slot.environment)
            && any(&pattern.region, &slot.region)
            && (pattern.role == 0 || pattern.role == slot.role)
    };
    let fields = |pattern: &GatePattern| {
        let named = [&pattern.model, &pattern.environment, &pattern.region];
        named.iter().filter(|name| !name.is_empty()).count() + usize::from(pattern.role != 0)
    };
    let found = state.gate_modes.iter().filter(|(pattern, _)| names(pattern));
    // Nothing set is nothing allowed.
    found.map(|(pattern, mode)| (fields(pattern), *mode)).max().map_or(GateMode::Enforce, |(_, mode)| mode)
}

/// What setting a mode changes.
pub(super) fn mode_set(state: &State, act: GateModeSet) -> Result<Apply, Reason> {
    let target = act.target.filter(pattern_is_whole).ok_or(Reason::AdminAct)?;
    let proto::SlotPattern { model, environment, region, role } = target;
    let pattern = GatePattern { model, environment, region, role };
    let mode = match proto::GateMode::try_from(act.mode) {
        Ok(proto::GateMode::Observe) => Some(GateMode::Observe),
        Ok(proto::GateMode::Warn) => Some(GateMode::Warn),
        Ok(proto::GateMode::Enforce) => Some(GateMode::Enforce),
        Ok(proto::GateMode::Unspecified) => None,
        Err(_) => return Err(Reason::AdminAct),
    };
    let now = state.gate_modes.get(&pattern).copied();
    let room = now.is_some() || state.gate_modes.len() < GATE_MODES_MAX;
    if now == mode || !room {
        return Err(Reason::AdminAct);
    }
    Ok(Box::new(move |state, _| {
        match mode {
            Some(mode) => state.gate_modes.insert(pattern, mode),
            None => state.gate_modes.remove(&pattern),
        };
    }))
}

/// The idempotency key that such an event must have; `None` for other kinds, and where nobody acts.
pub(super) fn expected_key(event: &Event) -> Option<Digest> {
    let request = |kind, actor: &Option<PersonRef>, request_id: &str| {
        let actor = actor.as_ref()?;
        Some(digest::request_key(kind, &actor.subject_id, request_id.as_bytes()))
    };
    match event {
        Event::BreakGlass(e) => request(Kind::BreakGlass, &e.actor, &e.request_id),
        Event::Undocumented(e) => request(Kind::Undocumented, &e.actor, &e.request_id),
        _ => None,
    }
}

/// What the rules say of an undocumented model or a break-glass.
pub(super) fn judge<L: Lookup>(
    state: &State,
    look: &L,
    prepared: &Prepared,
    body: &Body,
    event: &Event,
    changes: &mut Changes,
) -> Result<Verdict, L::Error> {
    match event {
        _ if !prepared.whole => Ok(Verdict::refused(Reason::Incomplete)),
        Event::Undocumented(e) => undocumented(state, look, body, e, changes),
        // A break-glass changes nothing: what is current is decided by promotions.
        _ => Ok(Verdict::accepted(None)),
    }
}

/// Whether an undocumented model may fill its slot: only one that never held a promotion, and holds nothing.
fn undocumented<L: Lookup>(
    state: &State,
    look: &L,
    body: &Body,
    e: &Undocumented,
    changes: &mut Changes,
) -> Result<Verdict, L::Error> {
    let Some(slot) = e.slot.as_ref().map(digest::slot) else {
        return Ok(Verdict::refused(Reason::Incomplete));
    };
    let before = look.slot(&slot)?;
    if !slot_as_admitted(body, before.as_ref()) {
        return Ok(Verdict::refused(Reason::Precondition));
    }
    if before.is_some_and(|slot| slot.promoted || slot.baseline.is_some()) {
        return Ok(Verdict::refused(Reason::Target));
    }
    let seq = state.size();
    let baseline = Some(Baseline { seq, artifact: Digest::from_slice(&e.artifact_sha256) });
    let after = SlotState { current: None, changed_at: seq, human: None, baseline, promoted: false };
    changes.slot = Some((slot, after));
    Ok(Verdict::accepted(None))
}

/// Whether a promotion says rightly what it replaces, where nothing promoted is current: an undocumented model whose
/// digest is known is the champion, unless it is the candidate itself, which is promoted to be documented.
pub fn replaces_baseline(promoted: &Promoted, baseline: Option<&Baseline>) -> bool {
    let candidate = promoted.model_version.as_ref().map(|model| model.artifact_sha256.as_slice());
    let known = baseline.and_then(|baseline| baseline.artifact).filter(|it| candidate != Some(&it.0[..]));
    let comparison = promoted.challenger_comparison.as_ref();
    let first = comparison.is_some_and(|comparison| comparison.no_incumbent);
    match known {
        Some(artifact) => !first && promotion::champion(promoted) == Some(&artifact.0[..]),
        None => first,
    }
}
