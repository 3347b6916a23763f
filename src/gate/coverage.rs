//! What stands in each slot that anything was recorded for.

use crate::{
    event::{
        Digest, Micros, Seq, digest,
        proto::{Coverage, RegistryVersion, Slot, SlotCoverage, body::Event},
    },
    ledger::{Head, Ledger, gates::mode_of, store::Error},
};

use super::{check::mode_number, emergencies, slots};

/// Every slot of an environment and a model (empty: all), by environment, model, region, role.
///
/// # Errors
/// [`Error`].
pub fn coverage(
    ledger: &Ledger,
    head: &Head,
    environment: &str,
    model: &str,
    now: Micros,
) -> Result<Vec<SlotCoverage>, Error> {
    let wanted = |slot: &Slot| {
        (environment.is_empty() || slot.environment == environment)
            && (model.is_empty() || slot.model == model)
    };
    let mut found = Vec::new();
    slots::every(ledger, |slot, _, change| {
        if wanted(&slot) {
            let stands = change.current.or(change.undocumented);
            found.push(of_slot(ledger, head, slot, stands, now)?);
        }
        Ok(())
    })?;
    for (seq, e) in emergencies::uncovered(ledger)? {
        let slot = e.slot.unwrap_or_default();
        let at = digest::slot(&slot);
        match found.iter_mut().find(|it| it.slot.as_ref().map(digest::slot) == Some(at)) {
            Some(covered) => covered.break_glass.push(seq),
            None if wanted(&slot) => {
                let empty = of_slot(ledger, head, slot, None, now)?;
                found.push(SlotCoverage { break_glass: vec![seq], ..empty });
            }
            None => {}
        }
    }
    found.sort_by_cached_key(|covered| {
        let slot = covered.slot.clone().unwrap_or_default();
        (slot.environment, slot.model, slot.region, slot.role)
    });
    Ok(found)
}

fn of_slot(
    ledger: &Ledger,
    head: &Head,
    slot: Slot,
    stands: Option<Seq>,
    now: Micros,
) -> Result<SlotCoverage, Error> {
    let mode = mode_number(mode_of(&head.state, &slot));
    let mut covered = SlotCoverage { slot: Some(slot), mode, ..SlotCoverage::default() };
    let Some(seq) = stands else { return Ok(covered) };
    match slots::accepted(ledger, seq)?.map(|found| found.event) {
        Some(Event::Promoted(promoted)) => {
            let model = promoted.model_version.unwrap_or_default();
            covered.coverage = Coverage::Promoted.into();
            covered.artifact_sha256 = model.artifact_sha256;
            covered.version = Some(RegistryVersion {
                registry_uri: model.registry_uri,
                name: model.name,
                version: model.version,
            });
        }
        Some(Event::Undocumented(e)) => {
            let past = e.sunset <= now;
            covered.coverage = if past { Coverage::SunsetPast } else { Coverage::Undocumented }.into();
            covered.sunset = e.sunset;
            let version = RegistryVersion { registry_uri: e.registry_uri, name: e.name, version: e.version };
            covered.version = Some(version).filter(|version| !version.version.is_empty());
            covered.artifact_sha256 =
                Digest::from_slice(&e.artifact_sha256).map_or_else(Vec::new, |it| it.0.to_vec());
        }
        _ => return Err(Error::Row(format!("views: entry {seq} fills no slot"))),
    }
    covered.seq = Some(seq);
    Ok(covered)
}
