//! The list that decides while no node can be reached, made from the newest synced state.

use std::collections::BTreeMap;

use crate::{
    event::{
        Digest, Micros, Seq, digest,
        proto::{Slot, SlotRole, body::Event},
    },
    ledger::{Head, Ledger, state::Lookup, store::Error},
    projection::{keys, reliance},
    proof::status_list::{self, Line, Status, StatusList, Target},
};

use super::{emergencies, slots};

/// Earlier promotions of a slot that a list names, newest first: what a roll-back may choose offline.
const EARLIER_MAX: usize = 50;
/// Longest time for which a list may be used.
pub const VALID_MAX: Micros = 30 * DAY;
/// Unless something else is asked for.
pub const VALID_DEFAULT: Micros = DAY;
const DAY: Micros = 24 * 3_600 * 1_000_000;

/// What a list is about, and how long it may be used.
pub struct Scope {
    /// Environment.
    pub environment: String,
    /// Model; empty: all.
    pub model: String,
    /// Now.
    pub now: Micros,
    /// From then on.
    pub valid: Micros,
}

/// The list of a scope.
///
/// # Errors
/// [`Error`].
pub fn list(ledger: &Ledger, head: &Head, scope: Scope) -> Result<StatusList, Error> {
    let mut wanted: BTreeMap<Digest, Slot> = BTreeMap::new();
    let in_scope = |slot: &Slot| {
        slot.environment == scope.environment && (scope.model.is_empty() || slot.model == scope.model)
    };
    let mut lines = Vec::new();
    slots::every(ledger, |slot, _, change| {
        if in_scope(&slot) {
            wanted.insert(digest::slot(&slot), slot.clone());
            if let Some(seq) = change.undocumented {
                lines.extend(undocumented(ledger, seq, &slot)?);
            }
        }
        Ok(())
    })?;
    for slot in wanted.values() {
        promotions(ledger, head, slot, &mut lines)?;
    }
    for (seq, e) in emergencies::uncovered(ledger)? {
        let slot = e.slot.clone().unwrap_or_default();
        if in_scope(&slot) && e.expires_at > scope.now {
            lines.push(line(&e.artifact_sha256, &slot, Status::BreakGlass, seq, e.expires_at));
        }
    }
    for line in &mut lines {
        let taint = Digest::from_hex(&line.artifact_sha256).map(|it| keys::by_tainted(&it.0));
        if let Some(prefix) = taint
            && slots::newest(ledger, &prefix, 1)?.first().is_some_and(|taint| *taint > line.seq)
        {
            line.status = Status::Tainted;
        }
    }
    let head = status_list::Head {
        origin: head.state.origin.clone(),
        size: head.state.size(),
        root: head.state.frontier.root().to_string(),
        issued_at: scope.now,
        fresh_until: scope.now + scope.valid.min(VALID_MAX),
        environment: scope.environment,
        model: scope.model,
    };
    Ok(StatusList { head, lines })
}

fn undocumented(ledger: &Ledger, seq: Seq, slot: &Slot) -> Result<Option<Line>, Error> {
    let found = slots::accepted(ledger, seq)?;
    Ok(match found.map(|found| found.event) {
        Some(Event::Undocumented(e)) if !e.artifact_sha256.is_empty() => {
            Some(line(&e.artifact_sha256, slot, Status::Undocumented, seq, e.sunset))
        }
        _ => None,
    })
}

/// The slot's promotions, newest first: current, and what may be rolled back to, or must not.
fn promotions(ledger: &Ledger, head: &Head, slot: &Slot, lines: &mut Vec<Line>) -> Result<(), Error> {
    let current = slots::change(ledger, slot)?.and_then(|(_, change)| change.current);
    let newest = slots::promoted_in(ledger, slot, EARLIER_MAX)?;
    // The current one is listed however often the slot was promoted since.
    let missing = current.filter(|seq| !newest.contains(seq));
    for seq in newest.into_iter().chain(missing) {
        let Some(found) = slots::accepted(ledger, seq)? else { continue };
        let Event::Promoted(promoted) = &found.event else { continue };
        let key = head.state.keys.get(&found.key_id);
        let stolen = key.and_then(|key| key.compromised_from).is_some_and(|from| from <= seq);
        let status = if ledger.store.promotion(seq)?.is_some_and(|promotion| promotion.revoked) {
            Status::Revoked
        } else if !reliance::taints(ledger, head, promoted)?.is_empty() {
            Status::Tainted
        } else if stolen {
            Status::Compromised
        } else if current == Some(seq) {
            Status::Current
        } else {
            Status::RollbackEligible
        };
        let artifact = promoted.model_version.as_ref().map(|model| model.artifact_sha256.clone());
        lines.push(line(&artifact.unwrap_or_default(), slot, status, seq, 0));
    }
    Ok(())
}

fn line(artifact: &[u8], slot: &Slot, status: Status, seq: Seq, until: Micros) -> Line {
    Line { artifact_sha256: hex::encode(artifact), target: target(slot), status, seq, until }
}

/// A slot as lists name it.
pub fn target(slot: &Slot) -> Target {
    let role = SlotRole::try_from(slot.role).unwrap_or_default().as_str_name();
    Target {
        model: slot.model.clone(),
        environment: slot.environment.clone(),
        region: slot.region.clone(),
        role: role.trim_start_matches("SLOT_ROLE_").to_lowercase(),
    }
}
