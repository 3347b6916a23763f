//! What evidence the ledger holds, in the order of its digests, and until when it must be kept; and what was found wrong.
//!
//! Evidence is kept for the days of the tier of what relies on it: from the date of the entry, and while a promotion is
//! current, from now on; what approvers were shown, with the promotion that they made. So the end moves, and whoever looks
//! after evidence makes its lock longer.

use std::collections::HashMap;

use rocksdb::Direction;

use crate::{
    event::{
        Digest, Kind, Micros, Seq, canonical, content, digest,
        proto::{EvidenceFinding, EvidenceProblem, EvidenceRef, Promoted, body::Event},
    },
    ledger::{Head, Ledger, state::Lookup, store::Error},
    policy,
};

use super::{keys, query, reliance};

/// Microseconds of a day.
const DAY: Micros = 24 * 3600 * 1_000_000;
/// Entries of one piece of evidence that are looked at, the newest ones.
const ENTRIES_MAX: usize = 100_000;

/// Evidence that the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its digest.
    pub sha256: Digest,
    /// Each version that events name, once.
    pub versions: Vec<Version>,
    /// Until when it must be kept, microseconds.
    pub until: Micros,
}

/// Evidence as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Where; empty where the event states no place.
    pub uri: String,
    /// The store's version id; empty: any.
    pub version_id: String,
    /// Bytes.
    pub length: u64,
    /// Until when the store said that it is locked; `None`: it locks nothing.
    pub locked_until: Option<Micros>,
    /// An entry that says so.
    pub seq: Seq,
}

/// Days for which tiers keep their evidence, by the policies that the ledger has.
pub struct Windows {
    /// Where no policy says.
    fallback: u32,
    tiers: HashMap<Digest, HashMap<String, u32>>,
    /// PolicyActivated entries before this one are in `tiers`.
    read_to: Seq,
}

impl Windows {
    /// None read yet. `fallback`: days where no policy says.
    pub fn new(fallback: u32) -> Self {
        Self { fallback, tiers: HashMap::new(), read_to: 0 }
    }

    fn read(&mut self, ledger: &Ledger, head: &Head) -> Result<(), Error> {
        let Some(active) = &head.state.policy else { return Ok(()) };
        if active.seq < self.read_to {
            return Ok(());
        }
        let prefix = keys::by_kind(Kind::PolicyActivated);
        for seq in seqs(ledger, head, &prefix, self.read_to)? {
            if let Some(Event::PolicyActivated(act)) = event(ledger, head, seq)?
                && let Some(activated) = policy::audit::activated(&act)
                && let Ok(compiled) = policy::compile(&activated.yaml)
            {
                let days = compiled.tiers().iter().map(|tier| (tier.id.value.clone(), tier.retain_days));
                self.tiers.insert(compiled.digest(), days.collect());
            }
            self.read_to = seq + 1;
        }
        Ok(())
    }

    fn days(&self, policy: &Digest, tier: &str) -> Option<u32> {
        self.tiers.get(policy)?.get(tier).copied()
    }

    /// Until when an entry's evidence must be kept. What approvers were shown: for as long as their promotion's.
    fn until(
        &self,
        ledger: &Ledger,
        head: &Head,
        now: Micros,
        seq: Seq,
        event: &Event,
    ) -> Result<Micros, Error> {
        if let Event::Promoted(promoted) = event {
            return self.until_of(ledger, head, now, seq, promoted);
        }
        let own = after_days(ledger.store.date(seq)?.unwrap_or_default(), self.fallback);
        let Some(promotion) = reliance::led_to(ledger, seq)? else { return Ok(own) };
        let Some(Event::Promoted(promoted)) = self::event(ledger, head, promotion)? else { return Ok(own) };
        Ok(own.max(self.until_of(ledger, head, now, promotion, &promoted)?))
    }

    /// Until when a promotion's evidence must be kept.
    fn until_of(
        &self,
        ledger: &Ledger,
        head: &Head,
        now: Micros,
        seq: Seq,
        promoted: &Promoted,
    ) -> Result<Micros, Error> {
        let date = ledger.store.date(seq)?.unwrap_or_default();
        let routing = promoted.routing.clone().unwrap_or_default();
        let frozen = Digest::from_slice(&routing.policy_sha256).and_then(|it| self.days(&it, &routing.tier));
        let days = frozen.unwrap_or(self.fallback);
        if !is_current(ledger, seq, promoted)? {
            return Ok(after_days(date, days));
        }
        let active = head.state.policy.as_ref().and_then(|policy| self.days(&policy.sha256, &routing.tier));
        Ok(after_days(now.max(date), days.max(active.unwrap_or(0))))
    }
}

fn after_days(from: Micros, days: u32) -> Micros {
    from.saturating_add(u64::from(days) * DAY)
}

fn is_current(ledger: &Ledger, seq: Seq, promoted: &Promoted) -> Result<bool, Error> {
    let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
    Ok(ledger.store.slot(&slot)?.is_some_and(|slot| slot.current == Some(seq)))
}

fn event(ledger: &Ledger, head: &Head, seq: Seq) -> Result<Option<Event>, Error> {
    let found = query::entry(ledger, head, seq)?;
    Ok(found.and_then(|found| canonical::decode(&found.record).ok()?.body.event))
}

/// Entries under a prefix from a position on, oldest first.
fn seqs(ledger: &Ledger, head: &Head, prefix: &[u8], from: Seq) -> Result<Vec<Seq>, Error> {
    let mut found = Vec::new();
    ledger.store.view_scan(prefix, &keys::at(prefix, from), Direction::Forward, |key, _| {
        found.extend(keys::seq_of(key).filter(|seq| *seq < head.state.size()));
        true
    })?;
    Ok(found)
}

/// Digests of evidence behind another one, in order, at most `max`.
///
/// # Errors
/// [`Error`].
pub fn after(ledger: &Ledger, after: Option<&Digest>, max: usize) -> Result<Vec<Digest>, Error> {
    // Behind every row of that digest: a row ends with eight bytes.
    let from = after.map_or(keys::EVIDENCE.to_vec(), |after| [keys::EVIDENCE, &after.0, &[0xff; 9]].concat());
    let mut found: Vec<Digest> = Vec::new();
    ledger.store.view_scan(keys::EVIDENCE, &from, Direction::Forward, |key, _| {
        if let Some(digest) = keys::digest_of(key).filter(|digest| found.last() != Some(digest)) {
            if found.len() >= max {
                return false;
            }
            found.push(digest);
        }
        true
    })?;
    Ok(found)
}

/// How many pieces of evidence there are behind a digest.
///
/// # Errors
/// [`Error`].
pub fn count(ledger: &Ledger, after: Option<&Digest>) -> Result<u64, Error> {
    let from = after.map_or(keys::EVIDENCE.to_vec(), |after| [keys::EVIDENCE, &after.0, &[0xff; 9]].concat());
    let (mut count, mut last) = (0, None);
    ledger.store.view_scan(keys::EVIDENCE, &from, Direction::Forward, |key, _| {
        let digest = keys::digest_of(key);
        count += u64::from(digest != last);
        last = digest;
        true
    })?;
    Ok(count)
}

/// What the ledger says of a piece of evidence; `None` if it has none with this digest.
///
/// # Errors
/// [`Error`].
pub fn held(
    ledger: &Ledger,
    head: &Head,
    sha256: &Digest,
    windows: &mut Windows,
    now: Micros,
) -> Result<Option<Held>, Error> {
    windows.read(ledger, head)?;
    let mut held = Held { sha256: *sha256, versions: Vec::new(), until: 0 };
    let seqs = seqs(ledger, head, &keys::by_evidence(&sha256.0), 0)?;
    for seq in seqs.iter().rev().take(ENTRIES_MAX) {
        let Some(event) = event(ledger, head, *seq)? else { continue };
        held.until = held.until.max(windows.until(ledger, head, now, *seq, &event)?);
        for (_, reference) in content::references(&event) {
            if reference.sha256 == sha256.0 {
                note(&mut held.versions, &reference, *seq);
            }
        }
    }
    Ok((!held.versions.is_empty()).then_some(held))
}

/// Adds a version, or makes what is known of it stronger: the latest end of a lock was promised.
fn note(versions: &mut Vec<Version>, reference: &EvidenceRef, seq: Seq) {
    let lock =
        reference.lock.as_ref().filter(|lock| lock.write_once != "none" && !lock.write_once.is_empty());
    let locked_until = lock.map(|lock| lock.retain_until);
    let (uri, version_id) = (reference.uri.clone(), reference.version_id.clone());
    let version = Version { uri, version_id, length: reference.length, locked_until, seq };
    match versions.iter_mut().find(|known| known.version_id == version.version_id) {
        Some(known) if known.locked_until < version.locked_until => *known = version,
        Some(known) if known.uri.is_empty() => known.uri = version.uri,
        Some(_) => {}
        None => versions.push(version),
    }
}

/// The newest finding about evidence.
///
/// # Errors
/// [`Error`].
pub fn newest_finding(
    ledger: &Ledger,
    head: &Head,
    sha256: &Digest,
) -> Result<Option<EvidenceFinding>, Error> {
    let Some(seq) = seqs(ledger, head, &keys::by_finding(&sha256.0), 0)?.pop() else { return Ok(None) };
    Ok(match event(ledger, head, seq)? {
        Some(Event::EvidenceFinding(finding)) => Some(finding),
        _ => None,
    })
}

/// The newest entry that says of evidence that what was found is over: what is found after it is found anew.
///
/// # Errors
/// [`Error`].
pub fn newest_over(ledger: &Ledger, head: &Head, sha256: &Digest) -> Result<Option<Seq>, Error> {
    for seq in seqs(ledger, head, &keys::by_finding(&sha256.0), 0)?.into_iter().rev() {
        if let Some(Event::EvidenceFinding(finding)) = event(ledger, head, seq)?
            && !is_open(&finding)
        {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// Whether a finding says that something is wrong.
pub fn is_open(finding: &EvidenceFinding) -> bool {
    finding.problem() != EvidenceProblem::Over
}

/// Findings that are not over: the newest one of each piece of evidence, at most `max`.
///
/// # Errors
/// [`Error`].
pub fn open_findings(ledger: &Ledger, head: &Head, max: usize) -> Result<Vec<EvidenceFinding>, Error> {
    let mut digests: Vec<Digest> = Vec::new();
    ledger.store.view_scan(keys::FINDINGS, keys::FINDINGS, Direction::Forward, |key, _| {
        if let Some(digest) = keys::digest_of(key).filter(|digest| digests.last() != Some(digest)) {
            digests.push(digest);
        }
        true
    })?;
    let mut open = Vec::new();
    for digest in digests {
        let newest = newest_finding(ledger, head, &digest)?;
        open.extend(newest.filter(is_open));
        if open.len() >= max {
            break;
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::proto::LockProof;

    fn reference(version_id: &str, lock: Option<Micros>) -> EvidenceRef {
        let write_once = if lock.is_some() { "compliance" } else { "none" };
        let lock = LockProof { write_once: write_once.into(), retain_until: lock.unwrap_or(0), asked_at: 1 };
        EvidenceRef { version_id: version_id.into(), lock: Some(lock), ..EvidenceRef::default() }
    }

    #[test]
    fn each_version_is_held_once_by_the_longest_promise() {
        let mut versions = Vec::new();
        for (seq, (id, lock)) in
            (0..).zip([("a", Some(5)), ("b", None), ("a", Some(9)), ("a", Some(7)), ("b", None)])
        {
            note(&mut versions, &reference(id, lock), seq);
        }
        let found: Vec<_> =
            versions.iter().map(|it| (it.version_id.as_str(), it.locked_until, it.seq)).collect();
        assert_eq!(found, [("a", Some(9), 2), ("b", None, 1)]);
    }

    #[test]
    fn days_come_from_the_policy_that_names_the_tier() {
        let mut windows = Windows::new(10);
        windows.tiers.insert(Digest([1; 32]), HashMap::from([("high".to_owned(), 3_650)]));
        assert_eq!(windows.days(&Digest([1; 32]), "high"), Some(3_650));
        assert_eq!(windows.days(&Digest([1; 32]), "low"), None);
        assert_eq!(windows.days(&Digest([2; 32]), "high"), None);
        assert_eq!(after_days(1, 2), 2 * DAY + 1);
    }
}
