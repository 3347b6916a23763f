//! Evidence at admission: every piece is there, has its digest, and is locked for as long as its tier needs; the proof
//! is in the event before anything is written.

use crate::{
    event::{
        Digest, Micros, content,
        digest::sha256,
        promotion::{Problem, Problems},
        proto::{EvidenceRef, Promoted, StaticRendition},
    },
    evidence::{Description, Error as StoreError, Stored},
};

use super::{Error, gateway::Gateway};

/// Microseconds of a day.
const DAY: Micros = 24 * 3600 * 1_000_000;

/// What a store locks says so in its proof.
fn is_locked(reference: &EvidenceRef) -> bool {
    reference.lock.as_ref().is_some_and(|lock| lock.write_once != "none")
}

fn note(reference: &mut EvidenceRef, stored: Stored) {
    reference.uri = stored.uri;
    reference.version_id = stored.version_id;
    reference.length = stored.length;
    reference.lock = Some(stored.lock);
}

impl Gateway {
    /// Keeps bytes that this node made. `subject_id`: whom they are sealed for.
    pub(super) async fn keep(
        &self,
        bytes: Vec<u8>,
        media_type: &str,
        subject_id: Option<Digest>,
    ) -> Result<EvidenceRef, Error> {
        let (sha256, length) = (sha256(&bytes), bytes.len() as u64);
        let description = Description { sha256, length, media_type: media_type.into(), offset: 0 };
        let chunks = Box::pin(tokio_stream::once(Ok(bytes.into())));
        let stored = self.evidence.put(&description, chunks, self.clock.now()).await;
        let mut reference = EvidenceRef {
            sha256: sha256.0.to_vec(),
            media_type: description.media_type,
            subject_id: subject_id.map(|id| id.0.to_vec()).unwrap_or_default(),
            ..EvidenceRef::default()
        };
        note(&mut reference, stored.map_err(|error| Error::Unavailable(error.to_string()))?);
        Ok(reference)
    }

    /// Fills in what the store says about every piece of evidence; problems where it is absent, of another length, or
    /// not locked.
    pub(super) async fn look_up_evidence(
        &self,
        promoted: &mut Promoted,
        now: Micros,
    ) -> Result<Vec<Problem>, Error> {
        let paths: Vec<_> = content::evidence(promoted).into_iter().map(|(path, _)| path).collect();
        let mut p = Problems::default();
        for (path, reference) in paths.into_iter().zip(content::evidence_mut(promoted)) {
            self.look_up(&mut p, path, reference, now).await?;
        }
        Ok(p.into_sorted())
    }

    /// The same of the static renditions that a review shows: nothing keeps a proof of theirs, but there must be one.
    pub(super) async fn look_up_renditions(
        &self,
        renditions: &[StaticRendition],
    ) -> Result<Vec<Problem>, Error> {
        let (mut p, now) = (Problems::default(), self.clock.now());
        for (i, rendition) in renditions.iter().enumerate() {
            let mut content = rendition.content.clone().unwrap_or_default();
            self.look_up(&mut p, format!("renditions[{i}].content").into(), &mut content, now).await?;
        }
        Ok(p.into_sorted())
    }

    async fn look_up(
        &self,
        p: &mut Problems,
        path: content::Path,
        reference: &mut EvidenceRef,
        now: Micros,
    ) -> Result<(), Error> {
        let Some(sha256) = Digest::from_slice(&reference.sha256) else { return Ok(()) };
        match self.evidence.stat(&sha256, "", now).await {
            Ok(Some(stored)) => {
                let same = reference.length == 0 || reference.length == stored.length;
                p.require(
                    same,
                    format_args!("{path}.length"),
                    format_args!("is {}, but the stored bytes have {}", reference.length, stored.length),
                );
                note(reference, stored);
            }
            Ok(None) => {
                p.add(path, format!("no bytes with the SHA-256 {sha256} are stored; upload them first"));
            }
            Err(StoreError::Damaged(_)) => {
                let words =
                    format!("the stored bytes no longer have the SHA-256 {sha256}; tell the operator");
                p.add(path, words);
            }
            Err(StoreError::Unlocked { why, .. }) => {
                p.add(path, format!("is stored, but not locked: {why}; upload it through the ledger"));
            }
            Err(error) => return Err(Error::Unavailable(error.to_string())),
        }
        Ok(())
    }

    /// Holds every piece of evidence at least as long as the promotion's tier says, and notes the proof.
    pub(super) async fn hold_evidence(&self, promoted: &mut Promoted, retain_days: u32) -> Result<(), Error> {
        let now = self.clock.now();
        let until = now.saturating_add(u64::from(retain_days) * DAY);
        let paths: Vec<_> = content::evidence(promoted).into_iter().map(|(path, _)| path).collect();
        let mut p = Problems::default();
        for (path, reference) in paths.into_iter().zip(content::evidence_mut(promoted)) {
            let Some(sha256) = Digest::from_slice(&reference.sha256).filter(|_| is_locked(reference)) else {
                continue;
            };
            if reference.lock.as_ref().is_some_and(|lock| lock.retain_until >= until) {
                continue;
            }
            match self.evidence.retain(&sha256, &reference.version_id, until, now).await {
                Ok(Some(stored)) => note(reference, stored),
                Ok(None) => p.add(path, "went away while the promotion was on its way; upload it again"),
                Err(StoreError::Unavailable(why)) => return Err(Error::Unavailable(why)),
                Err(error) => p.add(path, format!("cannot be held for {retain_days} days: {error}")),
            }
        }
        let problems = p.into_sorted();
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}
