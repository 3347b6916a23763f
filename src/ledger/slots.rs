//! Rules of promotions and of what changes a slot afterwards. Pure.

use crate::event::{
    Digest, Reason, Seq, digest,
    proto::{Body, Promoted, Slot},
};

use super::{
    decide::{Changes, Prepared, Verdict},
    state::{Lookup, PromotionState, SlotState, State},
};

/// Whether the slot is as admission saw it.
fn slot_as_admitted(body: &Body, slot: Option<&SlotState>) -> bool {
    let seen = body.preconditions.as_ref().and_then(|p| p.slot_changed_at);
    body.preconditions.is_some() && seen == slot.map(|slot| slot.changed_at)
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
    if !slot_as_admitted(body, before.as_ref()) {
        return Ok(Verdict::refused(Reason::Precondition));
    }
    let current = before.and_then(|slot| slot.current);
    let first = promoted.challenger_comparison.as_ref().is_some_and(|comparison| comparison.no_incumbent);
    if !prepared.whole || first != current.is_none() {
        return Ok(Verdict::refused(Reason::Incomplete));
    }
    let seq = state.size();
    changes.slot = Some((slot, SlotState { current: Some(seq), changed_at: seq }));
    let artifact = promoted.model_version.as_ref().and_then(|m| Digest::from_slice(&m.artifact_sha256));
    let artifact = artifact.unwrap_or_default();
    changes.promotion = Some((seq, PromotionState { slot, artifact, revoked: false }));
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
    let promotion = look.promotion(target.promoted)?.filter(|p| p.slot == slot && !p.revoked);
    let Some(promotion) = promotion else { return Ok(Verdict::refused(Reason::Target)) };
    let is_current = before.current == Some(target.promoted);
    let changed_at = state.size();
    match target.becomes {
        Becomes::Current if is_current => return Ok(Verdict::refused(Reason::Target)),
        Becomes::Retired if !is_current => return Ok(Verdict::refused(Reason::Target)),
        Becomes::Current => {
            changes.slot = Some((slot, SlotState { current: Some(target.promoted), changed_at }))
        }
        Becomes::Retired => changes.slot = Some((slot, SlotState { current: None, changed_at })),
        Becomes::Revoked => {
            changes.promotion = Some((target.promoted, PromotionState { revoked: true, ..promotion }));
            // Revoking also changes what a roll-back may choose, so it counts as a change of the slot.
            let current = before.current.filter(|_| !is_current);
            changes.slot = Some((slot, SlotState { current, changed_at }));
        }
    }
    Ok(Verdict::accepted(Some(target.promoted)))
}
