//! What relies on what: promotions by evidence, taints, erasures, holds.
//!
//! A promotion also relies on what its approvers were shown: all that its review names, static renditions included.

use std::collections::BTreeSet;

use rocksdb::Direction;

use crate::{
    event::{
        Digest, Kind, Seq, canonical,
        content::{self, Path},
        digest,
        proto::{EvidenceRef, LegalHold, ListRelianceResponse, Promoted, Taint, body::Event},
    },
    ledger::{
        Head, Ledger,
        review_rows::{self, ReviewStatus},
        state::Lookup,
        store::Error,
    },
};

use super::{keys, query};

/// Entries that refer to one digest and are looked at, the newest ones.
const ENTRIES_MAX: usize = 100_000;

/// Newest entries under a prefix, at most `max`.
fn newest(ledger: &Ledger, head: &Head, prefix: &[u8], max: usize) -> Result<Vec<Seq>, Error> {
    let mut found = Vec::new();
    let Some(last) = head.state.size().checked_sub(1).filter(|_| max > 0) else { return Ok(found) };
    ledger.store.view_scan(prefix, &keys::at(prefix, last), Direction::Reverse, |key, _| {
        found.extend(keys::seq_of(key));
        found.len() < max
    })?;
    Ok(found)
}

/// An entry's event and event digest.
fn event(ledger: &Ledger, head: &Head, seq: Seq) -> Result<Option<(Digest, Event)>, Error> {
    let found = query::entry(ledger, head, seq)?;
    Ok(found.and_then(|found| {
        let event = canonical::decode(&found.record).ok()?.body.event?;
        Some((found.header.event_digest, event))
    }))
}

/// Accepted promotions that rely on evidence, themselves or by their review, or promote an artefact, newest first, at most
/// `max`.
///
/// # Errors
/// [`Error`].
pub fn reliance(
    ledger: &Ledger,
    head: &Head,
    sha256: &Digest,
    max: usize,
) -> Result<Vec<ListRelianceResponse>, Error> {
    let mut seqs = newest(ledger, head, &keys::by_evidence(&sha256.0), ENTRIES_MAX)?;
    seqs.extend(newest(ledger, head, &keys::by_artifact(&sha256.0), ENTRIES_MAX)?);
    let mut promotions = BTreeSet::new();
    for seq in seqs {
        promotions.insert(led_to(ledger, seq)?.unwrap_or(seq));
    }
    let mut found = Vec::new();
    for seq in promotions.into_iter().rev() {
        if found.len() >= max {
            break;
        }
        let Some((event_digest, Event::Promoted(promoted))) = event(ledger, head, seq)? else { continue };
        let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
        let current = ledger.store.slot(&slot)?.and_then(|slot| slot.current) == Some(seq);
        found.push(ListRelianceResponse {
            seq,
            event_digest: event_digest.0.to_vec(),
            current,
            fields: fields(&promoted, &shown(ledger, head, &promoted)?, sha256),
            approvers: promoted.approvals.into_iter().filter_map(|approval| approval.approver).collect(),
            slot: promoted.slot,
        });
    }
    Ok(found)
}

/// The promotion that a review led to, by the review's entry; `None` of any other entry.
///
/// # Errors
/// [`Error`].
pub fn led_to(ledger: &Ledger, seq: Seq) -> Result<Option<Seq>, Error> {
    Ok(match review_rows::review(&ledger.store, seq)?.map(|review| review.status) {
        Some(ReviewStatus::Promoted(promotion)) => Some(promotion),
        _ => None,
    })
}

/// What the approvers of a promotion were shown, with paths below its review; nothing where it has none.
fn shown(ledger: &Ledger, head: &Head, promoted: &Promoted) -> Result<Vec<(Path, EvidenceRef)>, Error> {
    let Some(review) = &promoted.review else { return Ok(Vec::new()) };
    let Some((_, sealed)) = event(ledger, head, review.seq)? else { return Ok(Vec::new()) };
    Ok(content::references(&sealed).into_iter().map(|(path, it)| (path, it.into_owned())).collect())
}

/// Where a promotion refers to a digest, itself or else by its review.
fn fields(promoted: &Promoted, shown: &[(Path, EvidenceRef)], sha256: &Digest) -> Vec<String> {
    let artifact = promoted.model_version.as_ref().filter(|model| model.artifact_sha256 == sha256.0);
    let artifact = artifact.map(|_| "model_version.artifact_sha256".to_owned());
    let evidence = content::evidence(promoted).into_iter().filter(|(_, it)| it.sha256 == sha256.0);
    let own: Vec<_> = artifact.into_iter().chain(evidence.map(|(path, _)| path.into_owned())).collect();
    if !own.is_empty() {
        return own;
    }
    let shown = shown.iter().filter(|(_, it)| it.sha256 == sha256.0);
    shown.map(|(path, _)| format!("review.{path}")).collect()
}

/// Which of a promotion's evidence, its artefact included, is tainted, and by which entry first.
///
/// # Errors
/// [`Error`].
pub fn taints(ledger: &Ledger, head: &Head, promoted: &Promoted) -> Result<Vec<Taint>, Error> {
    let mut digests: Vec<Vec<u8>> =
        content::evidence(promoted).into_iter().map(|(_, reference)| reference.sha256.clone()).collect();
    digests.extend(promoted.model_version.as_ref().map(|model| model.artifact_sha256.clone()));
    digests.extend(shown(ledger, head, promoted)?.into_iter().map(|(_, reference)| reference.sha256));
    digests.sort();
    digests.dedup();
    let mut found = Vec::new();
    for sha256 in digests {
        let newest = newest(ledger, head, &keys::by_tainted(&sha256), 1)?;
        found.extend(newest.into_iter().map(|seq| Taint { sha256: sha256.clone(), seq }));
    }
    Ok(found)
}

/// The entry by which a person was erased.
///
/// # Errors
/// [`Error`].
pub fn erased_by(ledger: &Ledger, head: &Head, subject_id: &[u8]) -> Result<Option<Seq>, Error> {
    Ok(newest(ledger, head, &keys::by_erased(subject_id), 1)?.first().copied())
}

/// Recorded erasures from a position on, oldest first, at most `max`: entry and pseudonym.
///
/// # Errors
/// [`Error`].
pub fn erasures(ledger: &Ledger, head: &Head, from: Seq, max: usize) -> Result<Vec<(Seq, Digest)>, Error> {
    let prefix = keys::by_kind(Kind::KeyShredded);
    let mut seqs = Vec::new();
    ledger.store.view_scan(&prefix, &keys::at(&prefix, from), Direction::Forward, |key, _| {
        seqs.extend(keys::seq_of(key).filter(|seq| *seq < head.state.size()));
        seqs.len() < max
    })?;
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        if let Some((_, Event::KeyShredded(e))) = event(ledger, head, seq)? {
            found.push((seq, Digest::from_slice(&e.subject_id).unwrap_or_default()));
        }
    }
    Ok(found)
}

/// Legal holds in force, oldest first.
///
/// # Errors
/// [`Error`].
pub fn holds(ledger: &Ledger, head: &Head) -> Result<Vec<LegalHold>, Error> {
    let mut found = Vec::new();
    for seq in head.state.holds.keys() {
        if let Some((_, Event::LegalHoldSet(hold))) = event(ledger, head, *seq)? {
            found.push(LegalHold { seq: *seq, matter: hold.matter, subject_id: hold.subject_id });
        }
    }
    Ok(found)
}
