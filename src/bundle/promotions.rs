//! What a promotion in a bundle must have with it: its review, its approvals, its policy, its evidence.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{
    Digest, Header, Kind, Micros, Outcome, Seq, canonical, content, digest,
    model::role,
    promotion,
    proto::{Body, EvidenceRef, PolicyActivated, Promoted, ReviewSealed, body::Event},
};

use super::{
    names,
    verify::{Entry, Error},
};

/// A piece of evidence that must be in the bundle, or withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed {
    /// Path of the field that refers to it.
    pub field: String,
    /// Bytes.
    pub length: u64,
}

fn fault(seq: Seq, what: impl Into<String>) -> Error {
    Error { member: names::record(seq), what: what.into() }
}

/// Entries that must be here whoever asks: acts of the administrators (they change keys, rules, dates and policies), and
/// every accepted entry that refers to one of `about`.
pub fn is_needed(header: &Header, about: &BTreeSet<Seq>) -> bool {
    let accepted = header.outcome == Outcome::Accepted;
    let admin = header.kind.is_some_and(|kind| kind.roles() == role::ADMIN_CARRIER);
    accepted && (header.seq == 0 || admin || header.refers_to.is_some_and(|seq| about.contains(&seq)))
}

/// The promotion in an entry.
pub(super) fn promoted(seq: Seq, entry: &Entry) -> Result<&Promoted, Error> {
    let accepted = (entry.header.kind, entry.header.outcome) == (Some(Kind::Promoted), Outcome::Accepted);
    match &entry.body.event {
        Some(Event::Promoted(promoted)) if accepted => Ok(promoted),
        _ => Err(fault(seq, "is asked for as a promotion, but is no accepted promotion")),
    }
}

/// Checks a promotion against the rest of the bundle, and says which evidence it needs.
pub(super) fn check(
    seq: Seq,
    entries: &BTreeMap<Seq, Entry>,
    needed: &mut BTreeMap<Digest, Needed>,
) -> Result<(), Error> {
    let entry = entries.get(&seq).ok_or_else(|| fault(seq, "is missing: it was asked for"))?;
    let promoted = promoted(seq, entry)?;
    if let Some(problem) = promotion::problems(promoted, entry.header.recorded_at).first() {
        return Err(fault(seq, format!("{} {}", problem.field, problem.description)));
    }
    if entry.body.idempotency_key != promotion::promotion_key(promoted).0 {
        return Err(fault(seq, "its idempotency key is not its promotion key"));
    }
    if let Some(review) = &promoted.review {
        let sealed =
            referred(seq, "review", (review.seq, &review.event_digest), Kind::ReviewSealed, entries)?;
        if let Some(Event::ReviewSealed(sealed)) = &sealed.event {
            review_evidence(review.seq, sealed, needed)?;
        }
    }
    for (i, approval) in promoted.approvals.iter().enumerate() {
        if let Some(decided) = &approval.decided {
            let field = format!("approvals[{i}].decided");
            referred(seq, &field, (decided.seq, &decided.event_digest), Kind::Approved, entries)?;
        }
    }
    policy(seq, promoted, entries)?;
    for (field, reference) in content::evidence(promoted) {
        need(seq, field.into_owned(), reference, needed)?;
    }
    Ok(())
}

fn referred<'a>(
    seq: Seq,
    field: &str,
    (to, event_digest): (Seq, &[u8]),
    kind: Kind,
    entries: &'a BTreeMap<Seq, Entry>,
) -> Result<&'a Body, Error> {
    let found = entries
        .get(&to)
        .ok_or_else(|| fault(to, format!("is missing: entry {seq} refers to it in {field}")))?;
    let header = &found.header;
    if header.event_digest.0 != event_digest
        || (header.kind, header.outcome) != (Some(kind), Outcome::Accepted)
    {
        return Err(fault(seq, format!("{field} names entry {to}, which is another event than it says")));
    }
    Ok(&found.body)
}

fn review_evidence(
    seq: Seq,
    sealed: &ReviewSealed,
    needed: &mut BTreeMap<Digest, Needed>,
) -> Result<(), Error> {
    for artefact in &sealed.artefacts {
        let (sha256, length) = (artefact.sha256.clone(), artefact.length);
        let reference = EvidenceRef { sha256, length, ..EvidenceRef::default() };
        need(seq, format!("artefacts {:?}", artefact.name), &reference, needed)?;
    }
    sealed.screen.as_ref().map_or(Ok(()), |screen| need(seq, "screen".into(), screen, needed))
}

fn need(
    seq: Seq,
    field: String,
    reference: &EvidenceRef,
    needed: &mut BTreeMap<Digest, Needed>,
) -> Result<(), Error> {
    let Some(sha256) = Digest::from_slice(&reference.sha256) else {
        return Err(fault(seq, format!("{field} has no SHA-256")));
    };
    needed
        .entry(sha256)
        .or_insert(Needed { field: format!("entry {seq}, {field}"), length: reference.length });
    Ok(())
}

/// The policy that routed it must be one that the administrators activated before.
fn policy(seq: Seq, promoted: &Promoted, entries: &BTreeMap<Seq, Entry>) -> Result<(), Error> {
    let Some(routing) = promoted.routing.as_ref().filter(|routing| !routing.policy_sha256.is_empty()) else {
        return Ok(());
    };
    let is_it = |entry: &Entry| {
        let Some(Event::PolicyActivated(act)) = &entry.body.event else { return false };
        let payload = canonical::statement(act)
            .and_then(|statement| canonical::decode_exact::<PolicyActivated>(&statement.payload));
        entry.header.outcome == Outcome::Accepted
            && payload.is_some_and(|payload| {
                payload.sha256 == routing.policy_sha256
                    && digest::sha256(&payload.yaml).0 == payload.sha256.as_slice()
            })
    };
    if entries.range(..seq).any(|(_, entry)| is_it(entry)) {
        Ok(())
    } else {
        Err(fault(seq, "routing.policy_sha256 is no policy that was activated before"))
    }
}

/// The date of every entry: the largest recorded_at of the accepted entries up to it, as clock resets correct it.
pub(super) fn dates(headers: &[Header], entries: &BTreeMap<Seq, Entry>) -> Vec<Micros> {
    let mut dates = Vec::with_capacity(headers.len());
    let mut running = 0;
    for header in headers {
        if header.outcome == Outcome::Accepted {
            match entries.get(&header.seq).and_then(|entry| reset(&entry.body)) {
                Some((from, time)) => {
                    dates.iter_mut().skip(from as usize).for_each(|date| *date = time);
                    running = time;
                }
                None => running = running.max(header.recorded_at),
            }
        }
        dates.push(running);
    }
    dates
}

fn reset(body: &Body) -> Option<(Seq, Micros)> {
    let Some(Event::ClockReset(act)) = &body.event else { return None };
    let statement = canonical::statement(act)?;
    let reset: crate::event::proto::ClockReset = canonical::decode_exact(&statement.payload)?;
    Some((reset.from_seq, reset.time))
}
