//! Rules of promotions and of what changes a slot afterwards. Pure.

use crate::event::{
    Digest, Reason, Seq, digest, promotion,
    proto::{Body, Promoted, Slot},
};

use super::{
    decide::{Changes, Prepared, Verdict},
    gates, reviews,
    state::{Lookup, PromotionState, SlotState, State},
};

/// Whether the slot is as admission saw it.
pub(super) fn slot_as_admitted(body: &Body, slot: Option<&SlotState>) -> bool {
    let seen = body.preconditions.as_ref().and_then(|p| p.slot_changed_at);
    body.preconditions.is_some() && seen == slot.map(|slot| slot.changed_at)
}

/// Whether slot and policy are as admission saw them, and the promotion fits the slot.
pub(super) fn as_admitted(
    state: &State,
    body: &Body,
    slot: Option<&SlotState>,
    promoted: &Promoted,
) -> Result<(), Reason> {
    let admitted_under = body.preconditions.as_ref().and_then(|p| p.policy_activated_at);
    let policy = state.policy.as_ref();
    if !slot_as_admitted(body, slot) || admitted_under != policy.map(|policy| policy.seq) {
        return Err(Reason::Precondition);
    }
    let routed_by = promoted.routing.as_ref().map_or(&[][..], |routing| &routing.policy_sha256);
    let replaces = match slot.and_then(|slot| slot.current) {
        Some(_) => promoted.challenger_comparison.as_ref().is_some_and(|comparison| !comparison.no_incumbent),
        None => gates::replaces_baseline(promoted, slot.and_then(|slot| slot.baseline).as_ref()),
    };
    let routed = routed_by == policy.map_or(&[][..], |policy| &policy.sha256.0[..]);
    if routed && replaces { Ok(()) } else { Err(Reason::Incomplete) }
}

/// Whether a promotion is accepted.
pub(super) fn promoted<L: Lookup>(
    state: &State,
    look: &L,
    prepared: &Prepared,
    body: &Body,
    promoted: &Promoted,
    changes: &mut Changes,
) -> Result<Verdict, L::Error> {
    let Some(slot) = &promoted.slot else { return Ok(Verdict::refused(Reason::Incomplete)) };
    let slot = digest::slot(slot);
    let before = look.slot(&slot)?;
    if let Err(reason) = as_admitted(state, body, before.as_ref(), promoted) {
        return Ok(Verdict::refused(reason));
    }
    if !prepared.whole {
        return Ok(Verdict::refused(Reason::Incomplete));
    }
    if let Err(reason) = reviews::promotes(state, look, promoted, changes)? {
        return Ok(Verdict::refused(reason));
    }
    let seq = state.size();
    let by_people = promotion::by_people(promoted);
    let human = if by_people { Some(seq) } else { before.and_then(|slot| slot.human) };
    let after = SlotState { current: Some(seq), changed_at: seq, human, baseline: None, promoted: true };
    changes.slot = Some((slot, after));
    let artifact = promoted.model_version.as_ref().and_then(|m| Digest::from_slice(&m.artifact_sha256));
    let artifact = artifact.unwrap_or_default();
    let profile = promoted.profile.as_ref().and_then(|profile| Digest::from_slice(&profile.sha256));
    let profile = profile.unwrap_or_default();
    changes.promotion = Some((seq, PromotionState { slot, artifact, profile, by_people, revoked: false }));
    Ok(Verdict::accepted(None))
}

/// The promotion that an act is about.
pub(super) struct Target<'a> {
    pub(super) slot: Option<&'a Slot>,
    pub(super) promoted: Seq,
    pub(super) becomes: Becomes,
}

/// What becomes of it.
#[derive(PartialEq, Eq)]
pub(super) enum Becomes {
    Current,
    Revoked,
    Retired,
}

/// Whether a roll-back, revocation or retirement is accepted.
pub(super) fn change<L: Lookup>(
    state: &State,
    look: &L,
    body: &Body,
    target: &Target<'_>,
    changes: &mut Changes,
) -> Result<Verdict, L::Error> {
    let Some(slot) = target.slot.map(digest::slot) else { return Ok(Verdict::refused(Reason::Target)) };
    let Some(before) = look.slot(&slot)? else { return Ok(Verdict::refused(Reason::Target)) };
    if !slot_as_admitted(body, Some(&before)) {
        return Ok(Verdict::refused(Reason::Precondition));
    }
    if target.becomes == Becomes::Retired && before.baseline.is_some_and(|it| it.seq == target.promoted) {
        let after = SlotState { changed_at: state.size(), baseline: None, ..before };
        changes.slot = Some((slot, after));
        return Ok(Verdict::accepted(Some(target.promoted)));
    }
    let promotion = look.promotion(target.promoted)?.filter(|p| p.slot == slot && !p.revoked);
    let Some(promotion) = promotion else { return Ok(Verdict::refused(Reason::Target)) };
    let is_current = before.current == Some(target.promoted);
    let changed_at = state.size();
    match target.becomes {
        Becomes::Current if is_current => return Ok(Verdict::refused(Reason::Target)),
        Becomes::Retired if !is_current => return Ok(Verdict::refused(Reason::Target)),
        Becomes::Current => {
            let human = if promotion.by_people { Some(target.promoted) } else { before.human };
            changes.slot =
                Some((slot, SlotState { current: Some(target.promoted), changed_at, human, ..before }))
        }
        Becomes::Retired => {
            changes.slot = Some((slot, SlotState { current: None, changed_at, ..before }));
        }
        Becomes::Revoked => {
            changes.promotion = Some((target.promoted, PromotionState { revoked: true, ..promotion }));
            // Revoking also changes what a roll-back may choose, so it counts as a change of the slot.
            let current = before.current.filter(|_| !is_current);
            let human = before.human.filter(|seq| *seq != target.promoted);
            changes.slot = Some((slot, SlotState { current, changed_at, human, ..before }));
        }
    }
    Ok(Verdict::accepted(Some(target.promoted)))
}
