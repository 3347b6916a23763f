//! What routing reads: derived once by the server, frozen in the event, enough to route again under this policy
//! or another.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{
    Digest, Seq,
    promotion::{Problem, Problems},
};

use super::{
    change::Difference,
    profile::{ADVERSE_ACTION, Drift, ModelProfile, OVERALL},
    provenance::Provenance,
    table::Table,
};

/// Largest encoded inputs, bytes: they travel inside a record.
pub const INPUTS_LEN_MAX: usize = 64 * 1024;
/// Room for the inputs of most models: growing to it costs a tenth of writing them.
const INPUTS_LEN_USUAL: usize = 24 * 1024;
/// Version of the encoding.
pub const INPUTS_VERSION: u32 = 1;

/// Facts about a candidate that are not in its profile.
#[derive(Debug, Clone)]
pub struct Facts {
    /// SHA-256 of the artefact: field one.
    pub artifact_sha256: Digest,
    /// Model name of the slot.
    pub model: String,
    /// Environment of the slot.
    pub environment: String,
    /// Role of the slot, lower case: `champion`, `challenger`, `shadow`, `canary`.
    pub role: String,
    /// Digest of the evaluation snapshot: field six.
    pub dataset_digest: Vec<u8>,
    /// Digest of the evaluation's definition: field six.
    pub definition_digest: Vec<u8>,
    /// How well each part of the profile is known.
    pub provenance: Provenance,
}

/// An earlier promotion of the same slot.
#[derive(Debug, Clone)]
pub struct Previous {
    /// Its place in the ledger.
    pub seq: Seq,
    /// SHA-256 of its artefact.
    pub artifact_sha256: Digest,
    /// Its profile, from the evidence.
    pub profile: Arc<ModelProfile>,
}

/// Everything that a policy's rules, bands and requirements, and the floor, may read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The candidate itself.
    pub candidate: Candidate,
    /// The difference to the slot's current promotion; for a first promotion, its metrics only.
    pub change: Difference,
    /// The slot's current promotion; `None` for a first promotion.
    pub previous: Option<PreviousFacts>,
    /// The difference to the last promotion that a person approved; `None` if there is none.
    pub since_human: Option<SinceHuman>,
    /// Version of this encoding.
    pub version: u32,
}

/// The candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its algorithm.
    pub algorithm: String,
    /// SHA-256 of its artefact, hexadecimal.
    pub artifact_sha256: String,
    /// Digest of the evaluation snapshot, hexadecimal.
    pub dataset_digest: String,
    /// Environment of the slot.
    pub environment: String,
    /// How many inputs it has.
    pub feature_count: u64,
    /// SHA-256 of the artefact that it was compared with on the same snapshot, hexadecimal.
    pub incumbent: Option<String>,
    /// What it may be used for, sorted.
    pub intended_uses: Vec<String>,
    /// Its id in the model inventory.
    pub inventory_id: String,
    /// Model name of the slot.
    pub model: String,
    /// How well each part of its profile is known.
    pub provenance: Provenance,
    /// Its tier in the model-risk framework.
    pub risk_tier: String,
    /// Role of the slot.
    pub role: String,
    /// Segments that have metrics, `dimension:label`.
    pub segments: Vec<String>,
    /// Days of training data.
    pub training_days: u64,
    /// Rows of training data.
    pub training_rows: u64,
}

impl Candidate {
    /// Whether it is used to decline people or to give them worse terms.
    pub fn adverse_action(&self) -> bool {
        self.intended_uses.iter().any(|used| used == ADVERSE_ACTION)
    }
}

/// The slot's current promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviousFacts {
    /// Its algorithm.
    pub algorithm: String,
    /// SHA-256 of its artefact, hexadecimal.
    pub artifact_sha256: String,
    /// What it may be used for, sorted.
    pub intended_uses: Vec<String>,
    /// Its tier in the model-risk framework.
    pub risk_tier: String,
    /// Its place in the ledger.
    pub seq: Seq,
}

/// The last promotion of the slot that a person approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinceHuman {
    /// What is different since then. Metrics are compared with what that promotion's profile recorded, on its
    /// own snapshot.
    pub change: Difference,
    /// Its place in the ledger.
    pub seq: Seq,
}

/// Why inputs cannot be read or written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Larger than a record may carry.
    #[error("routing inputs have {0} bytes; at most {INPUTS_LEN_MAX}: report fewer metrics or segments")]
    Length(usize),
    /// Not the one canonical form.
    #[error("routing inputs are not canonical: {0}")]
    Form(String),
    /// A later version than this binary knows.
    #[error("routing inputs have version {0}; this binary knows {INPUTS_VERSION}")]
    Version(u32),
}

impl Inputs {
    /// The one byte form: JSON with sorted keys and no white space.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(INPUTS_LEN_USUAL);
        serde_json::to_writer(&mut bytes, self).map_err(|error| Error::Form(error.to_string()))?;
        if bytes.len() > INPUTS_LEN_MAX { Err(Error::Length(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads exactly what [`Self::to_bytes`] writes, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > INPUTS_LEN_MAX {
            return Err(Error::Length(bytes.len()));
        }
        let inputs: Self = serde_json::from_slice(bytes).map_err(|error| Error::Form(error.to_string()))?;
        if inputs.version != INPUTS_VERSION {
            return Err(Error::Version(inputs.version));
        }
        if !inputs.candidate.provenance.is_whole() {
            return Err(Error::Form("candidate.provenance does not name every group".into()));
        }
        if inputs.to_bytes()? != bytes {
            return Err(Error::Form("another order, spacing or way to write a number".into()));
        }
        Ok(inputs)
    }

    /// Whether the slot has no current promotion.
    pub fn first_promotion(&self) -> bool {
        self.previous.is_none()
    }

    /// Whether the candidate was compared with another artefact than the slot's current one.
    pub fn incumbent_mismatch(&self) -> bool {
        self.previous
            .as_ref()
            .is_some_and(|previous| self.candidate.incumbent.as_ref() != Some(&previous.artifact_sha256))
    }
}

/// Derives the inputs, or says everything that is missing or contradicts.
///
/// `since_human` is the last promotion of the slot that was current and approved by a person; often the same
/// one as `previous`.
pub fn derive(
    candidate: &ModelProfile,
    facts: &Facts,
    previous: Option<&Previous>,
    since_human: Option<&Previous>,
) -> Result<Inputs, Vec<Problem>> {
    let mut p = Problems::default();
    let (own, dataset) = (facts.artifact_sha256.to_string(), hex::encode(&facts.dataset_digest));
    same_digest(&mut p, "snapshot_digest", &candidate.snapshot_digest, &dataset);
    let definition = hex::encode(&facts.definition_digest);
    same_digest(&mut p, "definition_digest", &candidate.definition_digest, &definition);
    let incumbent = candidate.incumbent.as_ref();
    if incumbent.is_some_and(|incumbent| hex_part(&incumbent.artifact_sha256) == own) {
        p.add(
            "profile.incumbent.artifact_sha256",
            "is the candidate itself; score the current model instead",
        );
    }
    if previous.is_some() && incumbent.is_none() {
        p.add(
            "profile.incumbent",
            "is null, but the slot has a current model; score it on the same snapshot and give its metrics",
        );
    }
    let psi = previous.map(|previous| drift(&mut p, candidate, previous, "the slot's current promotion"));
    let psi_since =
        since_human.map(|human| drift(&mut p, candidate, human, "the last promotion that a person approved"));
    let problems = p.into_sorted();
    if !problems.is_empty() {
        return Err(problems);
    }
    let change = match (previous, incumbent) {
        (Some(previous), Some(incumbent)) => {
            Difference::between(&previous.profile, candidate, &incumbent.metrics, psi.unwrap_or_default())
        }
        _ => Difference::of_first(candidate),
    };
    let since_human = since_human.map(|human| SinceHuman {
        change: Difference::between(
            &human.profile,
            candidate,
            &human.profile.metrics,
            psi_since.unwrap_or_default(),
        ),
        seq: human.seq,
    });
    Ok(Inputs {
        candidate: candidate_facts(candidate, facts, own, dataset),
        change,
        previous: previous.map(previous_facts),
        since_human,
        version: INPUTS_VERSION,
    })
}

fn candidate_facts(
    profile: &ModelProfile,
    facts: &Facts,
    artifact_sha256: String,
    dataset_digest: String,
) -> Candidate {
    let segments = profile.metrics.keys().filter(|name| name.as_ref() != OVERALL);
    Candidate {
        algorithm: profile.algorithm.clone(),
        artifact_sha256,
        dataset_digest,
        environment: facts.environment.clone(),
        feature_count: profile.features.len() as u64,
        incumbent: profile
            .incumbent
            .as_ref()
            .map(|incumbent| hex_part(&incumbent.artifact_sha256).to_owned()),
        intended_uses: profile.intended_uses.clone(),
        inventory_id: profile.inventory_id.clone(),
        model: facts.model.clone(),
        provenance: facts.provenance.clone(),
        risk_tier: profile.risk_tier.clone(),
        role: facts.role.clone(),
        segments: segments.map(|name| name.to_string()).collect(),
        training_days: u64::from(profile.training_days),
        training_rows: profile.training_rows,
    }
}

fn previous_facts(previous: &Previous) -> PreviousFacts {
    PreviousFacts {
        algorithm: previous.profile.algorithm.clone(),
        artifact_sha256: previous.artifact_sha256.to_string(),
        intended_uses: previous.profile.intended_uses.clone(),
        risk_tier: previous.profile.risk_tier.clone(),
        seq: previous.seq,
    }
}

/// Drift from an earlier promotion's snapshot. A measure from any other data says nothing about this change, so
/// one from exactly these must be there.
fn drift(p: &mut Problems, candidate: &ModelProfile, earlier: &Previous, whose: &str) -> Table<f64> {
    let against = &earlier.profile.snapshot_digest;
    let Some(Drift { psi, .. }) = candidate.drift.iter().find(|drift| drift.against == *against) else {
        p.add(
            "profile.population.drift",
            format!("has no measure against {against}, the snapshot of {whose} (seq {})", earlier.seq),
        );
        return Default::default();
    };
    for (feature, _) in psi
        .iter()
        .filter(|(feature, psi)| psi.is_none() && earlier.profile.features.contains_key(feature.as_ref()))
    {
        p.add(
            format!("profile.population.drift.psi.{feature}"),
            format!("is null against {against}, but the earlier model has this feature"),
        );
    }
    Table::joined(psi, psi, |_, psi, _| psi.copied().flatten())
}

fn same_digest(p: &mut Problems, key: &str, in_profile: &str, dataset: &str) {
    p.require(
        hex_part(in_profile) == dataset,
        format!("profile.evaluation.{key}"),
        format!("is {in_profile}, but field six says sha256:{dataset}"),
    );
}

/// The digits of `sha256:…`.
fn hex_part(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
