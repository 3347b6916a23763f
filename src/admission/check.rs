//! A dry run: what Promote would say, and nothing written.

use std::collections::BTreeMap;

use crate::{
    event::{
        Digest, Seq, content,
        promotion::{self, Problem},
        proto::{Body, Promoted, PromotionDraft, Routing, body::Event},
    },
    evidence::personal::{Finding, SAMPLE_LEN, scan},
    ledger::state::Lookup,
};

use super::{
    Error,
    draft::{self, Claims},
    gateway::Gateway,
    promote::{Examined, provisional},
};

/// What a check finds, without writing anything.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// The promotion key.
    pub key: Digest,
    /// The event that holds that key already.
    pub recorded_as: Option<Seq>,
    /// How it would be routed, and what that requires in words; `None` where problems stand before it.
    pub routed: Option<(Routing, Vec<String>)>,
    /// What looks like personal data in evidence that is stored.
    pub warnings: Vec<Problem>,
}

impl Gateway {
    /// All problems of a promotion, and whether it is recorded already. Writes nothing, makes no subject record.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if evidence or ledger cannot be asked.
    pub async fn check(&self, draft: PromotionDraft) -> Result<Checked, Error> {
        let Examined { mut promoted, approvers, claims, mut problems, .. } = self.examine(draft).await?;
        let key = promotion::promotion_key(&promoted);
        let warnings = self.personal_data(&promoted).await?;
        let bound = self.ledger.store.bound(&key)?;
        let recorded_as = bound.map(|bound| bound.seq);
        if let (Some(bound), true) = (bound, problems.is_empty()) {
            // Recorded already: the only question left is whether this is the same decision.
            let real = self.known_pseudonyms(&claims)?;
            draft::rename(&mut promoted, &real);
            let event = Some(Event::Promoted(promoted));
            let body = Body { idempotency_key: key.0.to_vec(), event, ..Body::default() };
            let problems = self.differences(&bound, &body);
            return Ok(Checked { problems, key, recorded_as, routed: None, warnings });
        }
        let mut routed = None;
        if problems.is_empty() {
            match self.route(&promoted, &approvers).await {
                Ok(found) => {
                    problems = found.shortfalls;
                    routed = Some((found.routing, found.requirements));
                }
                Err(Error::Invalid(found)) => problems = found,
                Err(other) => return Err(other),
            }
        }
        let slot = promoted.slot.clone().unwrap_or_default();
        let body = Body { event: Some(Event::Promoted(promoted)), ..Body::default() };
        match self.slot_for(&body, &slot) {
            // As Promote answers: the state of the slot matters once the request itself is whole.
            Err(Error::Precondition(problem)) if recorded_as.is_none() && problems.is_empty() => {
                problems.push(problem)
            }
            Err(Error::Precondition(_)) | Ok(_) => {}
            Err(other) => return Err(other),
        }
        Ok(Checked { problems, key, recorded_as, routed, warnings })
    }

    /// What is obvious in the beginning of each piece of evidence that is stored.
    async fn personal_data(&self, promoted: &Promoted) -> Result<Vec<Problem>, Error> {
        let mut warnings = Vec::new();
        for (field, evidence) in content::evidence(promoted) {
            let Some(sha256) = Digest::from_slice(&evidence.sha256) else { continue };
            let sample = self.evidence.read(&sha256, "", 0, SAMPLE_LEN).await;
            let sample = sample.map_err(|error| Error::Unavailable(error.to_string()))?;
            let found = scan(&evidence.media_type, sample.as_deref().unwrap_or_default());
            let warning = |finding: Finding| Problem {
                field: field.clone().into_owned(),
                description: finding.to_string(),
            };
            warnings.extend(found.into_iter().map(warning));
        }
        Ok(warnings)
    }

    /// Provisional to real pseudonyms, of those who have a subject record; none is made.
    fn known_pseudonyms(&self, claims: &Claims) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        let mut known = BTreeMap::new();
        for person in claims.keys() {
            let found = tokio::task::block_in_place(|| self.subjects.existing(&person.0, &person.1));
            let found = found.map_err(|error| Error::Unavailable(error.to_string()))?;
            known.extend(found.map(|subject| (provisional(person), subject.id.0.to_vec())));
        }
        Ok(known)
    }
}
