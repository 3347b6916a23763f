//! Promotions: check -> look up -> name the people -> seal -> submit.

use std::collections::BTreeMap;

use crate::{
    event::{
        Digest, Seq,
        content::content_digest_in_place,
        digest,
        promotion::{self, Problem, Problems},
        proto::{
            AttemptRefused, Body, ComparatorRole, Preconditions, Promoted, PromotionDraft, Receipt, Routing,
            Shortfall, Slot, body::Event,
        },
    },
    identity::logins::Verified,
    ledger::{gates, state::Lookup},
};

use super::{
    Error,
    draft::{self, Claims, Identity},
    gateway::{ATTEMPTS_MAX, Gateway},
    routing::{Approver, Routed},
};

/// Refused attempts that one node records in a minute. What is beyond is refused all the same.
const REFUSALS_PER_MINUTE: u32 = 60;
/// Most shortfalls in a refused attempt's entry.
const SHORTFALLS_MAX: usize = promotion::LIST_LEN_MAX;

/// A draft as an event, with its evidence looked up and people by provisional pseudonyms.
pub(super) struct Examined {
    pub promoted: Promoted,
    pub approvers: Vec<Approver>,
    pub claims: Claims,
    pub problems: Vec<Problem>,
    pub logins: Vec<Verified>,
}

/// Why a promotion is not admitted.
enum Refusal {
    /// It lacks what its tier requires.
    ByPolicy(Box<Routed>),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ByPolicy(routed) => Self::Invalid(routed.shortfalls),
            Refusal::Other(error) => error,
        }
    }
}

impl Gateway {
    /// Records a promotion.
    ///
    /// # Errors
    /// [`Error`]; nothing is written unless the call ended in [`Error::Unconfirmed`] or [`Error::Unavailable`].
    pub async fn promote(&self, draft: PromotionDraft) -> Result<Receipt, Error> {
        self.admitting()?;
        self.evidence_held()?;
        let _call = self.inflight.begin();
        let Examined { mut promoted, approvers, mut claims, problems, logins } = self.examine(draft).await?;
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        for login in &logins {
            self.record_keys(login).await?;
        }
        // Only a whole promotion makes subject records.
        let real: BTreeMap<_, _> =
            self.pseudonyms(&claims)?.into_iter().map(|(person, id)| (provisional(&person), id)).collect();
        draft::rename(&mut promoted, &real);
        let slot = promoted.slot.clone().unwrap_or_default();
        let idempotency_key = promotion::promotion_key(&promoted).0.to_vec();
        let mut body = Body { idempotency_key, event: Some(Event::Promoted(promoted)), ..Body::default() };
        let content = content_digest_in_place(&mut body);
        let mut approved_under: Option<Routed> = None;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(receipt) = self.recorded(&body, &content)? {
                return Ok(receipt);
            }
            let routed = match self.admitted(&mut body, &slot, &approvers, &mut approved_under).await {
                Ok(routed) => routed,
                // Another copy of this request may have become current in the meantime: then it is the answer.
                Err(error) => match self.recorded(&body, &content)? {
                    Some(receipt) => return Ok(receipt),
                    None => {
                        if let (Refusal::ByPolicy(routed), Some(Event::Promoted(promoted))) =
                            (&error, &body.event)
                        {
                            self.note_refusal(promoted, content, routed).await;
                        }
                        return Err(error.into());
                    }
                },
            };
            // A record that lost a race has sealed the same for the same people already.
            if body.sealed.is_empty() {
                body.sealed = self.seal(std::mem::take(&mut claims))?;
            }
            match self.submit(&mut body, content, &slot.model).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => {}
                // Another policy is in force: route again. Otherwise the slot changed, which the caller must see.
                Err(Error::Raced) if self.policy_seq() != routed => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Raced)
    }

    /// Routes a promotion and compares it with its slot, and writes route and preconditions into the body. Gives back
    /// the PolicyActivated under which this holds.
    async fn admitted(
        &self,
        body: &mut Body,
        slot: &Slot,
        approvers: &[Approver],
        approved_under: &mut Option<Routed>,
    ) -> Result<Option<Seq>, Refusal> {
        let Some(Event::Promoted(promoted)) = &mut body.event else {
            return Err(Error::Internal("a promotion without its event".into()).into());
        };
        let by_people = promotion::by_people(promoted);
        let routed = self.route(promoted, approvers).await?;
        if !routed.shortfalls.is_empty() {
            return Err(Refusal::ByPolicy(Box::new(routed)));
        }
        let mut routing = routed.routing.clone();
        // What people approved is never silently routed another way.
        match approved_under {
            Some(before) if by_people && before.policy_seq != routed.policy_seq => {
                routing.approved_under_sha256 = same_requirements(before, &routed)?;
            }
            Some(_) => {}
            None => *approved_under = Some(routed.clone()),
        }
        promoted.routing = Some(routing);
        let slot_state = self.slot_for(body, slot)?;
        // Last: what is refused for another reason is not locked for years.
        if let Some(Event::Promoted(promoted)) = &mut body.event {
            self.hold_evidence(promoted, routed.retain_days).await?;
        }
        body.preconditions = Some(Preconditions { policy_activated_at: routed.policy_seq, ..slot_state });
        Ok(routed.policy_seq)
    }

    fn policy_seq(&self) -> Option<Seq> {
        self.ledger.head().state.policy.as_ref().map(|policy| policy.seq)
    }

    /// Records that the policy refused a whole request. The caller's answer does not depend on it.
    async fn note_refusal(&self, promoted: &Promoted, content: Digest, routed: &Routed) {
        if !self.may_note_refusal() {
            return;
        }
        let shortfalls = routed.shortfalls.iter().take(SHORTFALLS_MAX);
        let refused = AttemptRefused {
            slot: promoted.slot.clone(),
            promotion_key: promotion::promotion_key(promoted).0.to_vec(),
            content: content.0.to_vec(),
            artifact_sha256: promoted
                .model_version
                .as_ref()
                .map(|model| model.artifact_sha256.clone())
                .unwrap_or_default(),
            policy_sha256: routed.routing.policy_sha256.clone(),
            tier: routed.routing.tier.clone(),
            shortfalls: shortfalls
                .map(|p| Shortfall { field: p.field.clone(), description: p.description.clone() })
                .collect(),
        };
        let model = refused.slot.as_ref().map(|slot| slot.model.clone()).unwrap_or_default();
        if let Err(error) = self.observe(Event::AttemptRefused(refused), &model).await {
            tracing::warn!(%error, "a refused attempt could not be recorded");
        }
    }

    fn may_note_refusal(&self) -> bool {
        let minute = self.clock.now() / 60_000_000;
        let mut refusals = self.refusals.lock().expect("no code panics while holding this lock");
        if refusals.0 != minute {
            *refusals = (minute, 0);
        }
        refusals.1 += 1;
        refusals.1 <= REFUSALS_PER_MINUTE
    }

    /// The draft as an event, and everything that is wrong with it.
    pub(super) async fn examine(&self, mut draft: PromotionDraft) -> Result<Examined, Error> {
        let now = self.clock.now();
        let mut own = Problems::default();
        let logins = self.verify_approvals(&mut draft, &mut own).await?;
        let own_problems = draft::problems(&draft).into_iter().chain(own.into_sorted());
        let claims = draft::claims(&draft);
        let approvers = draft::approvers(&draft);
        let mut promoted = draft::promoted(draft, &provisional);
        for (approval, login) in promoted.approvals.iter_mut().zip(&logins) {
            approval.verified_by =
                login.as_ref().map(|login| login.principal.verified_by.clone()).unwrap_or_default();
        }
        let mut problems = self.look_up_evidence(&mut promoted, now).await?;
        problems.extend(self.sealed_evidence_problems(&promoted).await?);
        // The rules of the six fields ask whether a policy routes; which way, only the whole promotion shows.
        promoted.routing = Some(Routing {
            policy_sha256: self
                .ledger
                .head()
                .state
                .policy
                .as_ref()
                .map(|p| p.sha256.0.to_vec())
                .unwrap_or_default(),
            ..Routing::default()
        });
        let absent: Vec<_> = problems.iter().map(|problem| problem.field.clone()).collect();
        let rules = own_problems.chain(promotion::problems(&promoted, now));
        // Evidence that is not there has no URI and no lock: that is one problem, not three.
        problems.extend(
            rules.filter(|problem| {
                !absent.iter().any(|field| problem.field.starts_with(&format!("{field}.")))
            }),
        );
        problems.sort();
        problems.dedup();
        let logins = logins.into_iter().flatten().collect();
        Ok(Examined { promoted, approvers, claims, problems, logins })
    }

    /// The slot as it is now: what the writer will compare with.
    pub(super) fn slot_for(&self, body: &Body, slot: &Slot) -> Result<Preconditions, Error> {
        let state = self.ledger.store.slot(&digest::slot(slot))?;
        if let Some(Event::Promoted(promoted)) = &body.event {
            let first =
                promoted.challenger_comparison.as_ref().is_some_and(|comparison| comparison.no_incumbent);
            let baseline = state.and_then(|state| state.baseline);
            match (first, state.and_then(|state| state.current)) {
                (true, Some(seq)) => {
                    let description =
                        format!("is true, but entry {seq} is current in this slot; compare with it");
                    return Err(incumbent_problem(description));
                }
                (false, Some(seq)) => self.champion_is_current(promoted, seq)?,
                (_, None) if gates::replaces_baseline(promoted, baseline.as_ref()) => {}
                (first, None) => {
                    return Err(incumbent_problem(
                        match baseline.and_then(|it| Some((it.seq, it.artifact?))) {
                            Some((seq, artifact)) if first => format!(
                                "is true, but the undocumented model of entry {seq} (artefact {artifact}) fills this slot; compare with it as the champion"
                            ),
                            Some((seq, artifact)) if promotion::champion(promoted).is_some() => format!(
                                "is false, but the champion must be the undocumented model of entry {seq} (artefact {artifact}), unless that is what is promoted"
                            ),
                            _ => "is false, but nothing is current in this slot; say true".into(),
                        },
                    ));
                }
            }
        }
        Ok(Preconditions { slot_changed_at: state.map(|state| state.changed_at), policy_activated_at: None })
    }

    /// Whether the comparison is with the slot's current model. No tier makes up for another one: an approver who
    /// saw another champion has not seen what would be replaced.
    fn champion_is_current(&self, promoted: &Promoted, current: Seq) -> Result<(), Error> {
        let Some(incumbent) = self.ledger.store.promotion(current)? else {
            return Err(Error::Unavailable(format!("the state of entry {current} cannot be read")));
        };
        let artifact = incumbent.artifact.0;
        let comparison = promoted.challenger_comparison.as_ref();
        let champion = i32::from(ComparatorRole::Champion);
        let compared = comparison.is_some_and(|c| {
            c.comparators.iter().any(|c| c.role == champion && c.artifact_sha256 == artifact)
        });
        if compared {
            return Ok(());
        }
        let current = hex::encode(artifact);
        let field = "challenger_comparison.comparators".to_owned();
        let description = format!(
            "names another champion than the slot's current model (artefact {current}); compare with that one"
        );
        Err(Error::Precondition(Problem { field, description }))
    }
}

fn incumbent_problem(description: String) -> Error {
    Error::Precondition(Problem { field: "challenger_comparison.no_incumbent".into(), description })
}

/// The policy under which people approved, if the one in force now asks for the same.
fn same_requirements(before: &Routed, now: &Routed) -> Result<Vec<u8>, Error> {
    if before.routing.tier == now.routing.tier && before.requirements == now.requirements {
        return Ok(before.routing.policy_sha256.clone());
    }
    Err(Error::Precondition(Problem {
        field: "approvals".into(),
        description: format!(
            "were given under another policy (tier {}); the one in force since routes to tier {}: ask for approval again",
            before.routing.tier, now.routing.tier
        ),
    }))
}

/// Stands in for a pseudonym until a promotion is whole: distinct people stay distinct.
pub(super) fn provisional(person: &Identity) -> Vec<u8> {
    digest::subject_id(&[0; 32], &person.0, &person.1).0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::proto::IncumbentChange;

    fn routed(policy: u8, tier: &str, requirements: &[&str]) -> Routed {
        Routed {
            routing: Routing { tier: tier.into(), policy_sha256: vec![policy; 32], ..Routing::default() },
            policy_seq: Some(policy.into()),
            requirements: requirements.iter().map(|&words| words.to_owned()).collect(),
            retain_days: 1,
            required: Vec::new(),
            on_incumbent_change: IncumbentChange::Supersede,
            shortfalls: Vec::new(),
        }
    }

    /// What people approved under one policy holds under another only if that asks for exactly the same.
    #[test]
    fn approvals_outlive_a_policy_only_with_the_same_tier_and_requirements() {
        let before = routed(1, "high", &["two people"]);
        assert_eq!(same_requirements(&before, &routed(2, "high", &["two people"])), Ok(vec![1; 32]));
        for now in [routed(2, "committee", &["two people"]), routed(2, "high", &["three people"])] {
            let Err(Error::Precondition(problem)) = same_requirements(&before, &now) else {
                panic!("admitted silently under another policy")
            };
            assert!(problem.description.contains("ask for approval again"), "{}", problem.description);
        }
    }
}
