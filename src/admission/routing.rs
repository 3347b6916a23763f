//! Evidence and state -> the change -> the policy in force -> tier, requirements, frozen inputs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::OnceCell;

use crate::{
    event::{
        Digest, Seq, canonical, digest,
        promotion::Problem,
        proto::{IncumbentChange, PolicyActivated, Promoted, RequiredApproval, Routing, body::Event},
    },
    ledger::state::{ActivePolicy, Lookup},
    policy::{
        self, Facts, ModelProfile, Policy, Previous, Provenance, Submitted,
        file::{Identity, OnIncumbentChange, Quorum, Tier},
        recheck,
    },
};

use super::{Error, gateway::Gateway};

/// The tier to which everything is routed while no policy is active.
pub const TIER_HIGHEST: &str = "highest";
/// What routes while no policy is active.
const BUILT_IN: &str = "built-in";
/// Parsed profiles and established provenances kept in memory.
const CACHED_MAX: usize = 256;
/// Compiled policies kept in memory: the one in force, and those that calls under way began with.
const POLICIES_MAX: usize = 4;
/// Largest artefact that is read for its own signature, bytes; a larger one extracts nothing.
const ARTIFACT_READ_MAX: u64 = 64 << 20;

/// Largest attestation, bytes.
const ATTESTATION_LEN_MAX: u64 = 1 << 20;

/// Who approved, as the caller knows them: people are pseudonyms in the event.
#[derive(Debug, Clone)]
pub(super) struct Approver {
    pub approver: Identity,
    pub accountable: Option<Identity>,
}

/// Where a promotion goes.
#[derive(Debug, Clone)]
pub(super) struct Routed {
    /// What the event keeps.
    pub routing: Routing,
    /// The PolicyActivated in force.
    pub policy_seq: Option<Seq>,
    /// What the tier requires, in words.
    pub requirements: Vec<String>,
    /// Days for which its evidence is kept at least.
    pub retain_days: u32,
    /// Whose approval the tier requires, where people approve.
    pub required: Vec<RequiredApproval>,
    /// What happens to an open review when the slot's current model changes.
    pub on_incumbent_change: IncumbentChange,
    /// What the promotion lacks.
    pub shortfalls: Vec<Problem>,
}

/// What was read once and does not change.
#[derive(Default)]
pub struct RoutingCache {
    /// Each is compiled by one call, while the others of the same policy wait for it and those of another do not.
    policies: Mutex<HashMap<Digest, Arc<OnceCell<Arc<Policy>>>>>,
    profiles: Mutex<HashMap<Digest, Arc<ModelProfile>>>,
    provenances: Mutex<HashMap<[Digest; 4], Provenance>>,
}

impl RoutingCache {
    fn policy(&self, sha256: &Digest) -> Arc<OnceCell<Arc<Policy>>> {
        let mut policies = self.policies.lock().expect("no code panics while holding this lock");
        if policies.len() >= POLICIES_MAX && !policies.contains_key(sha256) {
            policies.clear();
        }
        policies.entry(*sha256).or_default().clone()
    }
}

fn kept<K: std::hash::Hash + Eq, V>(cache: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut cache = cache.lock().expect("no code panics while holding this lock");
    if cache.len() >= CACHED_MAX {
        cache.clear();
    }
    cache.insert(key, value);
}

fn cached<K: std::hash::Hash + Eq, V: Clone>(cache: &Mutex<HashMap<K, V>>, key: &K) -> Option<V> {
    cache.lock().expect("no code panics while holding this lock").get(key).cloned()
}

/// What the built-in rule requires, in words.
fn built_in_requirements() -> Vec<String> {
    [
        "a rendered comparison with the current champion, computed on the evaluation dataset",
        "at least one approver who did not request, trigger or contribute",
        "an answer to every required question of the form",
        "at least one explanation of this model version, computed on the evaluation dataset",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn required(tier: &Tier) -> Vec<RequiredApproval> {
    let one = |quorum: &Quorum| RequiredApproval { group: quorum.group.clone(), count: quorum.count };
    tier.approvers.iter().map(one).collect()
}

const fn on_incumbent_change(tier: &Tier) -> IncumbentChange {
    match tier.on_incumbent_change {
        OnIncumbentChange::Hold => IncumbentChange::Hold,
        OnIncumbentChange::Supersede => IncumbentChange::Supersede,
        OnIncumbentChange::AllowInBand => IncumbentChange::AllowInBand,
    }
}

/// The route while no policy is active.
pub(super) fn built_in() -> Routing {
    Routing { tier: TIER_HIGHEST.into(), engine: BUILT_IN.into(), ..Routing::default() }
}

/// Why evidence cannot be used.
enum Unusable {
    /// The caller must mend it.
    Wrong(Vec<Problem>),
    /// It cannot be read now.
    Unavailable(Error),
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        Self::Unavailable(error)
    }
}

impl Gateway {
    /// Routes a whole promotion by the policy in force.
    pub(super) async fn route(&self, promoted: &Promoted, approvers: &[Approver]) -> Result<Routed, Error> {
        let Some(active) = self.ledger.head().state.policy.clone() else {
            return Ok(Routed {
                routing: built_in(),
                policy_seq: None,
                requirements: built_in_requirements(),
                retain_days: self.retain_days,
                required: Vec::new(),
                on_incumbent_change: IncumbentChange::Supersede,
                shortfalls: Vec::new(),
            });
        };
        let policy = self.policy(&active).await?;
        match self.routed_by(&policy, promoted, approvers).await {
            Ok(routed) => Ok(Routed { policy_seq: Some(active.seq), ..routed }),
            Err(Unusable::Wrong(problems)) => Err(Error::Invalid(problems)),
            Err(Unusable::Unavailable(error)) => Err(error),
        }
    }

    async fn routed_by(
        &self,
        policy: &Policy,
        promoted: &Promoted,
        approvers: &[Approver],
    ) -> Result<Routed, Unusable> {
        let profile_sha256 = sha256_of(promoted.profile.as_ref().map(|profile| &profile.sha256));
        let candidate = self.profile(&profile_sha256).await?;
        let provenance = self.provenance(policy, promoted, &candidate).await?;
        let (previous, since_human) = self.earlier(promoted).await?;
        let slot = promoted.slot.clone().unwrap_or_default();
        let dataset = promoted.dataset.as_ref();
        let facts = Facts {
            artifact_sha256: sha256_of(promoted.model_version.as_ref().map(|model| &model.artifact_sha256)),
            model: slot.model,
            environment: slot.environment,
            role: recheck::role_name(slot.role),
            dataset_digest: dataset.map(|dataset| dataset.digest.clone()).unwrap_or_default(),
            definition_digest: dataset.map(|dataset| dataset.definition_digest.clone()).unwrap_or_default(),
            provenance,
        };
        let inputs = policy::derive(&candidate, &facts, previous.as_ref(), since_human.as_ref())
            .map_err(Unusable::Wrong)?;
        let problem = |field: &str, description: String| {
            Unusable::Wrong(vec![Problem { field: field.into(), description }])
        };
        let route = policy.route(&inputs).map_err(|error| problem("routing", error.to_string()))?;
        let bytes = inputs.to_bytes().map_err(|error| problem("profile", error.to_string()))?;
        let mut submitted: Submitted = recheck::submitted(promoted, &inputs, route.in_band);
        for (approval, known) in submitted.approvals.iter_mut().zip(approvers) {
            approval.approver = Some(known.approver.clone());
            approval.accountable = known.accountable.clone();
        }
        let mut shortfalls = policy.shortfalls(&route.tier, &submitted);
        shortfalls.extend(recheck::band_problems(promoted, &inputs));
        let tier = policy.tier(&route.tier);
        Ok(Routed {
            required: tier.map(required).unwrap_or_default(),
            on_incumbent_change: tier.map_or(IncumbentChange::Supersede, on_incumbent_change),
            requirements: policy.in_words(&route.tier).unwrap_or_default(),
            routing: recheck::routing(policy, &route, bytes),
            policy_seq: None,
            retain_days: policy.tier(&route.tier).map_or(self.retain_days, |tier| tier.retain_days),
            shortfalls,
        })
    }

    /// The policy in force, compiled once.
    pub(super) async fn policy(&self, active: &ActivePolicy) -> Result<Arc<Policy>, Error> {
        let policy = self.routing.policy(&active.sha256);
        let compiled =
            policy.get_or_try_init(async || tokio::task::block_in_place(|| self.compiled(active))).await;
        compiled.cloned()
    }

    fn compiled(&self, active: &ActivePolicy) -> Result<Arc<Policy>, Error> {
        let unreadable = |why: String| {
            Error::Unavailable(format!("the policy in force (entry {}) cannot be read: {why}", active.seq))
        };
        let activated =
            self.policy_activated(active.seq)?.ok_or_else(|| unreadable("no policy there".into()))?;
        let policy = policy::compile(&activated.yaml)
            .map_err(|findings| unreadable(findings.first().map(ToString::to_string).unwrap_or_default()))?;
        Ok(Arc::new(policy))
    }

    /// The policy that an entry activated.
    pub(super) fn policy_activated(&self, seq: Seq) -> Result<Option<PolicyActivated>, Error> {
        let record = self.ledger.store.record(seq)?.and_then(|value| canonical::decode(&value).ok());
        let Some(Event::PolicyActivated(act)) = record.and_then(|record| record.body.event) else {
            return Ok(None);
        };
        Ok(policy::audit::activated(&act))
    }

    /// The slot's current promotion, and the last one that people approved, with their profiles. One whose profile
    /// cannot be read as one counts as none: the floor then keeps the promotion out of the lowest tier.
    async fn earlier(&self, promoted: &Promoted) -> Result<(Option<Previous>, Option<Previous>), Error> {
        let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
        let Some(slot) = self.ledger.store.slot(&slot)? else { return Ok((None, None)) };
        let previous = self.earlier_promotion(slot.current).await?;
        if previous.is_none() {
            return Ok((None, None));
        }
        let since_human = match slot.human {
            same if same == slot.current => previous.clone(),
            other => self.earlier_promotion(other).await?,
        };
        Ok((previous, since_human))
    }

    async fn earlier_promotion(&self, seq: Option<Seq>) -> Result<Option<Previous>, Error> {
        let Some(seq) = seq else { return Ok(None) };
        let Some(promotion) = self.ledger.store.promotion(seq)? else { return Ok(None) };
        match self.profile(&promotion.profile).await {
            Ok(profile) => Ok(Some(Previous { seq, artifact_sha256: promotion.artifact, profile })),
            Err(Unusable::Wrong(_)) => Ok(None),
            Err(Unusable::Unavailable(error)) => Err(error),
        }
    }

    async fn profile(&self, sha256: &Digest) -> Result<Arc<ModelProfile>, Unusable> {
        if let Some(profile) = cached(&self.routing.profiles, sha256) {
            return Ok(profile);
        }
        let bytes = self.whole(sha256, crate::event::promotion::PROFILE_LEN_MAX).await?;
        let profile = Arc::new(ModelProfile::parse(&bytes).map_err(Unusable::Wrong)?);
        kept(&self.routing.profiles, *sha256, profile.clone());
        Ok(profile)
    }

    async fn provenance(
        &self,
        policy: &Policy,
        promoted: &Promoted,
        candidate: &ModelProfile,
    ) -> Result<Provenance, Unusable> {
        let model = promoted.model_version.as_ref();
        let artifact = sha256_of(model.map(|model| &model.artifact_sha256));
        let profile = sha256_of(promoted.profile.as_ref().map(|profile| &profile.sha256));
        let attestation = promoted.profile_attestation.as_ref().and_then(|a| Digest::from_slice(&a.sha256));
        let key = [artifact, profile, attestation.unwrap_or_default(), policy.digest()];
        if let Some(provenance) = cached(&self.routing.provenances, &key) {
            return Ok(provenance);
        }
        let copy = model.and_then(|model| model.copy.as_ref());
        let artifact_bytes = match copy.filter(|copy| copy.length <= ARTIFACT_READ_MAX) {
            Some(_) => Some(self.whole(&artifact, ARTIFACT_READ_MAX).await?),
            None => None,
        };
        let attestation_bytes = match &attestation {
            Some(attestation) => Some(self.whole(attestation, ATTESTATION_LEN_MAX).await?),
            None => None,
        };
        let established = policy::establish(
            candidate,
            &profile,
            &artifact,
            artifact_bytes.as_deref(),
            attestation_bytes.as_deref(),
            policy.build_identities(),
        );
        let provenance = established.map_err(Unusable::Wrong)?.provenance;
        kept(&self.routing.provenances, key, provenance.clone());
        Ok(provenance)
    }

    /// The bytes of a piece of evidence, hashed again.
    pub(super) async fn whole(&self, sha256: &Digest, max: u64) -> Result<Vec<u8>, Error> {
        let unavailable = |why: String| Error::Unavailable(why);
        let stored = self.evidence.stat(sha256, "", self.clock.now()).await;
        let length = match stored.map_err(|error| unavailable(error.to_string()))? {
            Some(stored) if stored.length <= max => stored.length,
            Some(stored) => {
                let description = format!("has {} bytes; at most {max} are read", stored.length);
                return Err(Error::Invalid(vec![Problem {
                    field: format!("evidence {sha256}"),
                    description,
                }]));
            }
            None => return Err(unavailable(format!("the evidence {sha256} is gone"))),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.evidence.read(sha256, "", 0, length).await;
        let bytes = bytes.map_err(|error| unavailable(error.to_string()))?.unwrap_or_default();
        if digest::sha256(&bytes) != *sha256 {
            return Err(unavailable(format!("the evidence {sha256} changed while it was read")));
        }
        Ok(bytes)
    }

    /// What is wrong with a policy that administrators want to activate: front doors check it, since they have the
    /// engine.
    pub(super) fn policy_problems(activated: &PolicyActivated) -> Vec<Problem> {
        let at = |field: &str, description: String| Problem { field: format!("policy.{field}"), description };
        match policy::load(&activated.yaml) {
            Err(findings) => findings.into_iter().map(|finding| at("yaml", finding.to_string())).collect(),
            Ok(policy) => {
                let stated = [
                    ("sha256", activated.sha256 == policy.digest().0),
                    ("id", activated.id == policy.id()),
                    ("version", activated.version == policy.version()),
                ];
                let other = stated.into_iter().filter(|(_, same)| !same);
                other.map(|(field, _)| at(field, "is not what the file says".into())).collect()
            }
        }
    }
}

fn sha256_of(bytes: Option<&Vec<u8>>) -> Digest {
    bytes.and_then(|bytes| Digest::from_slice(bytes)).unwrap_or_default()
}
