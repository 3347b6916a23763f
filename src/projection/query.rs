//! Look-ups over the projections: synced entries only, and every answer says up to which size it holds.

use rocksdb::Direction;

use crate::{
    event::{
        Digest, Header, Kind, Micros, Outcome, Seq, canonical, content, promotion,
        proto::{Body, Promoted, Slot, body::Event},
    },
    ledger::{Head, Ledger, rows, state::Lookup, store::Error},
};

use super::{dates, fold::SlotChange, keys};

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Model name.
    pub model: Option<String>,
    /// Environment.
    pub environment: Option<String>,
    /// Dates `[from, to)`, microseconds.
    pub dates: Option<(Micros, Micros)>,
    /// subject_id of an approver.
    pub approver: Option<Digest>,
    /// Outcome; accepted if absent.
    pub outcome: Option<Outcome>,
    /// Artefact digest.
    pub artifact: Option<Digest>,
    /// Evidence digest.
    pub evidence: Option<Digest>,
    /// Kind.
    pub kind: Option<Kind>,
}

/// An entry that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its header.
    pub header: Header,
    /// Its topic value.
    pub record: Vec<u8>,
    /// Its date.
    pub date: Micros,
    /// Whether a ClockReset set that date.
    pub clock_reset: bool,
}

/// What a slot held at a time.
#[derive(Debug, Clone)]
pub struct SlotAsOf {
    /// The slot.
    pub slot: Slot,
    /// The Promoted entry that was current.
    pub current: Option<Seq>,
    /// The Undocumented entry that filled it.
    pub undocumented: Option<Seq>,
    /// Entry that made it so.
    pub changed_by: Seq,
    /// Its date.
    pub since: Micros,
}

/// The entry at a position.
///
/// # Errors
/// [`Error`].
pub fn entry(ledger: &Ledger, head: &Head, seq: Seq) -> Result<Option<Found>, Error> {
    if seq >= head.state.size() {
        return Ok(None);
    }
    let damaged = || Error::Row(format!("entries/{seq}"));
    let bytes = ledger.store.header(seq)?.ok_or_else(damaged)?;
    let header = Header::decode(&bytes).map_err(|_| damaged())?;
    let record = ledger.store.record(seq)?.ok_or_else(damaged)?;
    let (date, clock_reset) = head.state.corrected_date(seq, ledger.store.date(seq)?.ok_or_else(damaged)?);
    Ok(Some(Found { header, record, date, clock_reset }))
}

/// The first accepted entry with this event digest, else the first at all.
///
/// # Errors
/// [`Error`].
pub fn by_event_digest(ledger: &Ledger, head: &Head, digest: &Digest) -> Result<Option<Seq>, Error> {
    let prefix = keys::by_event(digest);
    let mut seqs = Vec::new();
    ledger.store.view_scan(&prefix, &prefix, Direction::Forward, |key, _| {
        seqs.extend(keys::seq_of(key));
        seqs.len() < 64
    })?;
    seqs.retain(|seq| *seq < head.state.size());
    for seq in &seqs {
        if ledger.header(*seq)?.is_some_and(|header| header.outcome == Outcome::Accepted) {
            return Ok(Some(*seq));
        }
    }
    Ok(seqs.first().copied())
}

/// The event that holds an idempotency key.
///
/// # Errors
/// [`Error`].
pub fn by_idempotency_key(ledger: &Ledger, head: &Head, key: &Digest) -> Result<Option<Seq>, Error> {
    Ok(ledger.store.bound(key)?.map(|bound| bound.seq).filter(|seq| *seq < head.state.size()))
}

/// Entries that match, newest first, before a position, at most `max`; and where the next page goes on.
///
/// # Errors
/// [`Error`].
pub fn list(
    ledger: &Ledger,
    head: &Head,
    filter: &Filter,
    before: Option<Seq>,
    max: usize,
) -> Result<(Vec<Found>, Option<Seq>), Error> {
    let size = head.state.size().min(before.unwrap_or(u64::MAX));
    let ranges = match filter.dates {
        None => vec![(0, size)],
        Some(dates) => dates::ranges(&head.state.clock_resets, size, dates, |seq| {
            ledger.store.date(seq)?.ok_or_else(|| Error::Row(format!("state/d{seq}")))
        })?,
    };
    let mut found = Vec::new();
    for (from, to) in ranges.into_iter().rev() {
        let mut failed = None;
        let mut visit = |seq: Seq| match matching(ledger, head, filter, seq) {
            Ok(Some(entry)) => {
                found.push(entry);
                found.len() <= max
            }
            Ok(None) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        };
        candidates(ledger, filter, from, to, &mut visit)?;
        if let Some(error) = failed {
            return Err(error);
        }
        if found.len() > max {
            break;
        }
    }
    let more = found.len() > max;
    found.truncate(max);
    let next = found.last().filter(|_| more).map(|entry| entry.header.seq);
    Ok((found, next))
}

/// Calls `visit` with the entries in `[from, to)` that the best index gives, newest first, until it says stop.
fn candidates(
    ledger: &Ledger,
    filter: &Filter,
    from: Seq,
    to: Seq,
    visit: &mut dyn FnMut(Seq) -> bool,
) -> Result<(), Error> {
    let accepted = filter.outcome.is_none_or(|outcome| outcome == Outcome::Accepted);
    let digest_prefix = || {
        let evidence = filter.evidence.map(|digest| keys::by_evidence(&digest.0));
        let artifact = filter.artifact.map(|digest| keys::by_artifact(&digest.0));
        evidence.or(artifact).or(filter.approver.map(|id| keys::by_approver(&id.0)))
    };
    let model_prefix =
        || filter.model.as_ref().zip(filter.environment.as_ref()).map(|(m, e)| keys::by_model(m, Some(e)));
    let kind_prefix = || filter.kind.filter(|kind| *kind != Kind::Promoted).map(keys::by_kind);
    let prefix = match accepted {
        true => digest_prefix().or_else(model_prefix).or_else(kind_prefix),
        false => model_prefix(),
    };
    let Some(prefix) = prefix.filter(|_| to > 0) else {
        (from..to).rev().all(visit);
        return Ok(());
    };
    ledger.store.view_scan(&prefix, &keys::at(&prefix, to - 1), Direction::Reverse, |key, _| {
        keys::seq_of(key).is_some_and(|seq| seq >= from && visit(seq))
    })
}

fn matching(ledger: &Ledger, head: &Head, filter: &Filter, seq: Seq) -> Result<Option<Found>, Error> {
    let Some(found) = entry(ledger, head, seq)? else { return Ok(None) };
    if found.header.outcome != filter.outcome.unwrap_or(Outcome::Accepted)
        || filter.kind.is_some_and(|kind| found.header.kind != Some(kind))
    {
        return Ok(None);
    }
    let needs_body = filter.model.is_some()
        || filter.environment.is_some()
        || filter.approver.is_some()
        || filter.artifact.is_some()
        || filter.evidence.is_some();
    if !needs_body {
        return Ok(Some(found));
    }
    let body = canonical::decode(&found.record).map(|record| record.body).unwrap_or_default();
    Ok(body_matches(filter, &body).then_some(found))
}

fn body_matches(filter: &Filter, body: &Body) -> bool {
    let empty = Promoted::default();
    let slot = body.event.as_ref().and_then(promotion::slot_of);
    let promoted = match &body.event {
        Some(Event::Promoted(promoted)) => promoted,
        _ => &empty,
    };
    let is = |wanted: &Option<String>, found: Option<&String>| {
        wanted.as_ref().is_none_or(|wanted| found == Some(wanted))
    };
    let approved = |id: &Digest| {
        promoted
            .approvals
            .iter()
            .filter_map(|a| a.approver.as_ref())
            .any(|approver| approver.subject_id == id.0)
    };
    is(&filter.model, slot.map(|slot| &slot.model))
        && is(&filter.environment, slot.map(|slot| &slot.environment))
        && filter.approver.as_ref().is_none_or(approved)
        && filter.artifact.is_none_or(|digest| {
            promoted.model_version.as_ref().is_some_and(|model| model.artifact_sha256 == digest.0)
        })
        && filter.evidence.is_none_or(|digest| {
            content::evidence(promoted).iter().any(|(_, reference)| reference.sha256 == digest.0)
        })
}

/// What was current in each slot of a model in an environment at a time (that moment included).
///
/// # Errors
/// [`Error`].
pub fn as_of(
    ledger: &Ledger,
    head: &Head,
    model: &str,
    environment: &str,
    time: Micros,
) -> Result<Vec<SlotAsOf>, Error> {
    let prefix = keys::slots(model, environment);
    let mut slots: Vec<(Vec<u8>, SlotAsOf)> = Vec::new();
    let mut failed = None;
    ledger.store.view_scan(&prefix, &prefix, Direction::Forward, |key, row| {
        let step = || -> Result<Option<(Vec<u8>, SlotAsOf)>, Error> {
            let damaged = || Error::Row("views/c".into());
            let seq = keys::seq_of(key).ok_or_else(damaged)?;
            let change: SlotChange = rows::decode(row).ok_or_else(damaged)?;
            let written = ledger.store.date(seq)?.ok_or_else(damaged)?;
            let (since, _) = head.state.corrected_date(seq, written);
            if seq >= head.state.size() || since > time {
                return Ok(None);
            }
            let slot = Slot {
                model: model.to_owned(),
                environment: environment.to_owned(),
                region: change.region,
                role: change.role,
            };
            let prefix = key.strip_suffix(&seq.to_be_bytes()).unwrap_or(key).to_vec();
            Ok(Some((
                prefix,
                SlotAsOf {
                    slot,
                    current: change.current,
                    undocumented: change.undocumented,
                    changed_by: seq,
                    since,
                },
            )))
        };
        match step() {
            Ok(Some((slot, as_of))) => {
                slots.retain(|(known, _)| *known != slot);
                slots.push((slot, as_of));
                true
            }
            Ok(None) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    failed.map_or_else(|| Ok(slots.into_iter().map(|(_, as_of)| as_of).collect()), Err)
}

/// Whether an entry is an accepted promotion.
pub fn is_promotion(header: &Header) -> bool {
    header.kind == Some(Kind::Promoted) && header.outcome == Outcome::Accepted
}
