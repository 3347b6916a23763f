//! The answer of a gate: from the newest synced state of the slots, in words that a person can act on.

use std::collections::BTreeSet;

use crate::{
    event::{
        Digest, Kind, Micros, Seq, digest,
        proto::{
            self, BreakGlass, GateBasis, Promoted, Refusal, RefusalReason, RegistryVersion, Slot,
            Undocumented, body::Event,
        },
    },
    ledger::{
        Head, Ledger,
        state::{GateMode, Lookup},
        store::Error,
    },
    projection::{fold::SlotChange, keys, reliance},
};

use super::{
    question::{Question, Subject, is_asked, words},
    slots::{self, Found},
};

/// Entries about one artefact that an answer takes into account.
const ENTRIES_MAX: usize = 1_000;
/// Digests that a registry's version may have had.
const DIGESTS_MAX: usize = 8;

/// Why the ledger allows something.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// By which kind of entry.
    pub basis: GateBasis,
    /// The entry.
    pub seq: Seq,
    /// Its slot.
    pub slot: Slot,
    /// What may run.
    pub artifact: Digest,
    /// As the registry names it.
    pub version: Option<RegistryVersion>,
    /// End of its time; 0: none.
    pub until: Micros,
}

/// What the ledger says.
pub type Answer = Result<Allowed, Vec<Refusal>>;

/// Answers a question.
///
/// # Errors
/// [`Error`] if the ledger cannot be read.
pub fn answer(ledger: &Ledger, head: &Head, question: &Question, now: Micros) -> Result<Answer, Error> {
    let asking = Asking { ledger, head, target: &question.target, now };
    let version = match &question.subject {
        Subject::Artifact(artifact) => return asking.artifact(artifact),
        Subject::Version(version) => version,
    };
    let mut refusals = Vec::new();
    for artifact in digests_of(ledger, version)? {
        match asking.artifact(&artifact)? {
            Ok(allowed) if allowed.version.as_ref() == Some(version) => return Ok(Ok(allowed)),
            // The same bytes stand there under another name.
            Ok(_) => {}
            Err(found) => refusals.extend(found),
        }
    }
    if refusals.is_empty() {
        let what = format!("{} {} of {}", version.name, version.version, version.registry_uri);
        let reason = RefusalReason::NeverPromoted;
        refusals.push(refusal(reason, format!("{what} was never promoted under that name"), None));
    }
    Ok(Err(refusals))
}

/// Artefacts that entries name by a registry's version, newest first.
fn digests_of(ledger: &Ledger, version: &RegistryVersion) -> Result<Vec<Digest>, Error> {
    let RegistryVersion { registry_uri, name, version } = version;
    let Some(prefix) = keys::by_version(registry_uri, name, version) else { return Ok(Vec::new()) };
    let mut digests = Vec::new();
    for seq in slots::newest(ledger, &prefix, ENTRIES_MAX)? {
        let artifact = match slots::accepted(ledger, seq)?.map(|found| found.event) {
            Some(Event::Promoted(promoted)) => promoted.model_version.map(|model| model.artifact_sha256),
            Some(Event::Undocumented(e)) => Some(e.artifact_sha256),
            _ => None,
        };
        let artifact = artifact.and_then(|artifact| Digest::from_slice(&artifact));
        digests.extend(artifact.filter(|artifact| !digests.contains(artifact)));
        if digests.len() >= DIGESTS_MAX {
            break;
        }
    }
    Ok(digests)
}

fn refusal(reason: RefusalReason, words: String, seq: Option<Seq>) -> Refusal {
    Refusal { reason: reason.into(), words, seq }
}

struct Asking<'a> {
    ledger: &'a Ledger,
    head: &'a Head,
    target: &'a Slot,
    now: Micros,
}

impl Asking<'_> {
    fn artifact(&self, artifact: &Digest) -> Result<Answer, Error> {
        let mut elsewhere = BTreeSet::new();
        let mut refusals = Vec::new();
        match self.promotions(artifact, &mut refusals, &mut elsewhere)? {
            Some(allowed) => return Ok(Ok(allowed)),
            None => {
                if let Some(allowed) = self.undocumented(artifact, &mut refusals, &mut elsewhere)? {
                    return Ok(Ok(allowed));
                }
            }
        }
        if let Some(allowed) = self.emergency(artifact, &mut refusals)? {
            return Ok(Ok(allowed));
        }
        if refusals.is_empty() {
            refusals.push(match elsewhere.is_empty() {
                true => {
                    let words = format!("the artefact {artifact} was never promoted");
                    refusal(RefusalReason::NeverPromoted, words, None)
                }
                false => {
                    let there: Vec<_> = elsewhere.into_iter().take(5).collect();
                    let words = format!(
                        "the artefact is recorded for another target ({}), not for {}",
                        there.join("; "),
                        words(self.target)
                    );
                    refusal(RefusalReason::OtherTarget, words, None)
                }
            });
        }
        Ok(Err(refusals))
    }

    fn promotions(
        &self,
        artifact: &Digest,
        refusals: &mut Vec<Refusal>,
        elsewhere: &mut BTreeSet<String>,
    ) -> Result<Option<Allowed>, Error> {
        let mut explained = BTreeSet::new();
        for seq in slots::newest(self.ledger, &keys::by_artifact(&artifact.0), ENTRIES_MAX)? {
            let Some(found) = slots::accepted(self.ledger, seq)? else { continue };
            let Event::Promoted(promoted) = &found.event else { continue };
            let slot = promoted.slot.clone().unwrap_or_default();
            if !is_asked(self.target, &slot) {
                elsewhere.insert(words(&slot));
                continue;
            }
            let Some((changed_by, change)) = slots::change(self.ledger, &slot)? else { continue };
            // The newest promotion of an artefact in a slot explains why it is not current there.
            let first = explained.insert(digest::slot(&slot));
            if change.current != Some(seq) {
                if first {
                    refusals.push(self.past(seq, changed_by, &change)?);
                }
                continue;
            }
            let doubts = self.doubts(&found, promoted, changed_by)?;
            if doubts.is_empty() {
                let model = promoted.model_version.clone().unwrap_or_default();
                let version = RegistryVersion {
                    registry_uri: model.registry_uri,
                    name: model.name,
                    version: model.version,
                };
                return Ok(Some(Allowed {
                    basis: GateBasis::Promoted,
                    seq,
                    slot,
                    artifact: *artifact,
                    version: Some(version),
                    until: 0,
                }));
            }
            refusals.splice(0..0, doubts);
        }
        Ok(None)
    }

    /// Why a promotion is not current any more.
    fn past(&self, seq: Seq, changed_by: Seq, change: &SlotChange) -> Result<Refusal, Error> {
        if self.ledger.store.promotion(seq)?.is_some_and(|promotion| promotion.revoked) {
            let words = format!("the promotion (entry {seq}) was revoked");
            return Ok(refusal(RefusalReason::Revoked, words, Some(seq)));
        }
        if let Some(current) = change.current {
            let back = if current < seq { ": the slot was rolled back" } else { "" };
            let words = format!(
                "the promotion (entry {seq}) is superseded: entry {current} is current since entry {changed_by}{back}"
            );
            return Ok(refusal(RefusalReason::Superseded, words, Some(current)));
        }
        let header = self.ledger.header(changed_by)?;
        let own = header.is_some_and(|it| it.kind == Some(Kind::Retired) && it.refers_to == Some(seq));
        let words = match own {
            true => format!("the promotion (entry {seq}) was retired by entry {changed_by}"),
            false => {
                format!("the promotion (entry {seq}) is not current: entry {changed_by} emptied the slot")
            }
        };
        Ok(refusal(RefusalReason::Retired, words, Some(changed_by)))
    }

    /// Why a current promotion must not be relied on all the same.
    fn doubts(&self, found: &Found, promoted: &Promoted, changed_by: Seq) -> Result<Vec<Refusal>, Error> {
        let seq = found.header.seq;
        let mut doubts = Vec::new();
        for taint in reliance::taints(self.ledger, self.head, promoted)? {
            let what = hex::encode(&taint.sha256);
            let words =
                format!("the promotion (entry {seq}) relies on {what}, tainted by entry {}", taint.seq);
            doubts.push(refusal(RefusalReason::Tainted, words, Some(taint.seq)));
        }
        doubts.extend(self.stolen_key(seq, &found.key_id));
        if changed_by != seq
            && let Some(change) = slots::accepted(self.ledger, changed_by)?
        {
            doubts.extend(self.stolen_key(changed_by, &change.key_id));
        }
        Ok(doubts)
    }

    fn stolen_key(&self, seq: Seq, key: &Digest) -> Option<Refusal> {
        let from = self.head.state.keys.get(key)?.compromised_from.filter(|from| *from <= seq)?;
        let words =
            format!("entry {seq} was signed by the key {key}, which was compromised from entry {from} on");
        Some(refusal(RefusalReason::CompromisedKey, words, Some(seq)))
    }

    fn tainted(&self, artifact: &Digest) -> Result<Option<Refusal>, Error> {
        let newest = slots::newest(self.ledger, &keys::by_tainted(&artifact.0), 1)?;
        Ok(newest.first().map(|seq| {
            let words = format!("the artefact {artifact} was tainted by entry {seq}");
            refusal(RefusalReason::Tainted, words, Some(*seq))
        }))
    }

    fn undocumented(
        &self,
        artifact: &Digest,
        refusals: &mut Vec<Refusal>,
        elsewhere: &mut BTreeSet<String>,
    ) -> Result<Option<Allowed>, Error> {
        let Some(prefix) = keys::by_undocumented(&artifact.0) else { return Ok(None) };
        for seq in slots::newest(self.ledger, &prefix, ENTRIES_MAX)? {
            let Some(found) = slots::accepted(self.ledger, seq)? else { continue };
            let Event::Undocumented(e) = &found.event else { continue };
            let Undocumented { registry_uri, name, version, sunset, .. } = e.clone();
            let slot = e.slot.clone().unwrap_or_default();
            if !is_asked(self.target, &slot) {
                elsewhere.insert(words(&slot));
                continue;
            }
            let change = slots::change(self.ledger, &slot)?;
            let Some((changed_by, change)) = change else { continue };
            if change.undocumented != Some(seq) {
                if refusals.is_empty() {
                    refusals.push(self.past(seq, changed_by, &change)?);
                }
                continue;
            }
            if self.now >= sunset {
                let words = format!(
                    "the model is undocumented (entry {seq}), and its sunset is past: promote it, or its successor"
                );
                refusals.push(refusal(RefusalReason::SunsetPast, words, Some(seq)));
                continue;
            }
            let doubts: Vec<_> =
                self.tainted(artifact)?.into_iter().chain(self.stolen_key(seq, &found.key_id)).collect();
            if doubts.is_empty() {
                let version =
                    (!version.is_empty()).then_some(RegistryVersion { registry_uri, name, version });
                let basis = GateBasis::Undocumented;
                return Ok(Some(Allowed { basis, seq, slot, artifact: *artifact, version, until: sunset }));
            }
            refusals.extend(doubts);
        }
        Ok(None)
    }

    /// A person decided with open eyes: only what became known after that stands against it.
    fn emergency(&self, artifact: &Digest, refusals: &mut Vec<Refusal>) -> Result<Option<Allowed>, Error> {
        let tainted = self.tainted(artifact)?;
        for seq in slots::newest(self.ledger, &keys::by_break_glass(&artifact.0), ENTRIES_MAX)? {
            let Some(found) = slots::accepted(self.ledger, seq)? else { continue };
            let Event::BreakGlass(BreakGlass { slot, expires_at, .. }) = &found.event else { continue };
            let slot = slot.clone().unwrap_or_default();
            if !is_asked(self.target, &slot) {
                continue;
            }
            let later = tainted.clone().filter(|taint| taint.seq > Some(seq));
            let doubts: Vec<_> = later.into_iter().chain(self.stolen_key(seq, &found.key_id)).collect();
            if !doubts.is_empty() {
                refusals.splice(0..0, doubts);
            } else if self.now >= *expires_at {
                let words = format!("the emergency that let it in (entry {seq}) is over");
                refusals.insert(0, refusal(RefusalReason::BreakGlassExpired, words, Some(seq)));
                // Older ones ended earlier, or were meant to.
                return Ok(None);
            } else {
                return Ok(Some(Allowed {
                    basis: GateBasis::BreakGlass,
                    seq,
                    slot,
                    artifact: *artifact,
                    version: None,
                    until: *expires_at,
                }));
            }
        }
        Ok(None)
    }
}

/// A mode's number in answers.
pub fn mode_number(mode: GateMode) -> i32 {
    let mode = match mode {
        GateMode::Observe => proto::GateMode::Observe,
        GateMode::Warn => proto::GateMode::Warn,
        GateMode::Enforce => proto::GateMode::Enforce,
    };
    mode.into()
}
