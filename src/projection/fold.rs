//! One entry -> rows. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    event::{
        Digest, Header, Kind, Outcome, Seq, content, digest, promotion,
        proto::{Body, Promoted, body::Event},
    },
    ledger::rows,
};

use super::keys;

/// A view: some of the rows, with a cursor and a worker of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Finds entries: by event, model, approver, artefact, evidence.
    Index,
    /// What was current in each slot, change by change.
    History,
}

impl View {
    /// All views.
    pub const ALL: [Self; 2] = [Self::Index, Self::History];

    /// Its name in cursors and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::History => "history",
        }
    }
}

/// What a slot held from an entry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotChange {
    /// Region of the slot.
    pub region: String,
    /// Number of the slot's role.
    pub role: i32,
    /// The Promoted entry that became current; `None` if the slot became empty.
    pub current: Option<Seq>,
    /// The Undocumented entry that fills the slot; nothing is current then.
    pub undocumented: Option<Seq>,
}

/// A row to write.
pub type Row = (Vec<u8>, Vec<u8>);

/// Rows of an entry in a view. `before` gives the newest change of a slot, by its prefix, before this entry.
///
/// # Errors
/// What `before` fails with.
pub fn fold<E>(
    view: View,
    header: &Header,
    body: &Body,
    before: impl FnOnce(&[u8]) -> Result<Option<SlotChange>, E>,
) -> Result<Vec<Row>, E> {
    match view {
        View::Index => Ok(index(header, body)),
        View::History => history(header, body, before),
    }
}

fn index(header: &Header, body: &Body) -> Vec<Row> {
    let mut prefixes = vec![keys::by_event(&header.event_digest)];
    if let Some(slot) = body.event.as_ref().and_then(promotion::slot_of) {
        prefixes.push(keys::by_model(&slot.model, Some(&slot.environment)));
    }
    if let (Some(event), Outcome::Accepted) = (&body.event, header.outcome) {
        match event {
            Event::Promoted(promoted) => prefixes.extend(promotion_prefixes(promoted)),
            Event::Undocumented(e) => {
                prefixes.extend(keys::by_undocumented(&e.artifact_sha256));
                prefixes.extend(keys::by_version(&e.registry_uri, &e.name, &e.version));
            }
            Event::BreakGlass(e) => prefixes.push(keys::by_break_glass(&e.artifact_sha256)),
            Event::Tainted(e) => prefixes.push(keys::by_tainted(&e.sha256)),
            Event::KeyShredded(e) => prefixes.push(keys::by_erased(&e.subject_id)),
            Event::EvidenceFinding(e) => prefixes.push(keys::by_finding(&e.sha256)),
            _ => {}
        }
        let references = content::references(event);
        let held: BTreeSet<_> = references.iter().map(|(_, held)| keys::by_evidence(&held.sha256)).collect();
        prefixes.extend(held);
        prefixes.extend(header.kind.filter(|kind| *kind != Kind::Promoted).map(keys::by_kind));
    }
    prefixes.into_iter().map(|prefix| (keys::at(&prefix, header.seq), Vec::new())).collect()
}

fn promotion_prefixes(promoted: &Promoted) -> BTreeSet<Vec<u8>> {
    let approvers = promoted.approvals.iter().filter_map(|approval| approval.approver.as_ref());
    let model = promoted.model_version.iter().map(|model| keys::by_artifact(&model.artifact_sha256));
    let version =
        promoted.model_version.iter().filter_map(|m| keys::by_version(&m.registry_uri, &m.name, &m.version));
    approvers.map(|approver| keys::by_approver(&approver.subject_id)).chain(model).chain(version).collect()
}

fn history<E>(
    header: &Header,
    body: &Body,
    before: impl FnOnce(&[u8]) -> Result<Option<SlotChange>, E>,
) -> Result<Vec<Row>, E> {
    let (Some(event), Outcome::Accepted) = (&body.event, header.outcome) else { return Ok(Vec::new()) };
    let Some(slot) = promotion::slot_changed_by(event) else { return Ok(Vec::new()) };
    let slot_digest: Digest = digest::slot(slot);
    let prefix = keys::slot(&slot.model, &slot.environment, &slot_digest);
    let current = match event {
        Event::Promoted(_) => Some(header.seq),
        Event::RolledBack(e) => Some(e.to_seq),
        Event::Revoked(e) => {
            before(&prefix)?.and_then(|change| change.current).filter(|seq| *seq != e.promoted_seq)
        }
        _ => None,
    };
    let undocumented = matches!(event, Event::Undocumented(_)).then_some(header.seq);
    let change = SlotChange { region: slot.region.clone(), role: slot.role, current, undocumented };
    Ok(vec![(keys::at(&prefix, header.seq), rows::encode(&change))])
}
