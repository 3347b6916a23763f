//! Where each part of a profile comes from: read from the artefact, signed by a build, or only claimed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{
    Digest,
    promotion::{Problem, Problems},
};

use super::{
    dsse::{self, BuildIdentity},
    mlmodel::{self, Column},
    profile::{FeatureType, ModelProfile},
};

/// Parts of a profile that share their provenance. In the order of their names, as canonical JSON needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Numbers at which a score becomes a decision.
    DecisionThresholds,
    /// Definition and snapshot.
    Evaluation,
    /// Digest of what turns raw columns into inputs.
    FeatureTransformation,
    /// Names and types of the inputs.
    Features,
    /// The algorithm and its settings.
    Hyperparameters,
    /// What the model may be used for.
    IntendedUses,
    /// Metrics of candidate and incumbent.
    Metrics,
    /// Who the model is for, and drift.
    Population,
    /// Risk tier and inventory id.
    Risk,
    /// Dimensions and their labels.
    Segments,
    /// Start, end and rows.
    TrainingWindow,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 11] = [
        Self::DecisionThresholds,
        Self::Evaluation,
        Self::FeatureTransformation,
        Self::Features,
        Self::Hyperparameters,
        Self::IntendedUses,
        Self::Metrics,
        Self::Population,
        Self::Risk,
        Self::Segments,
        Self::TrainingWindow,
    ];

    /// As it stands in inputs and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::FeatureTransformation => "feature_transformation",
            Self::Hyperparameters => "hyperparameters",
            Self::DecisionThresholds => "decision_thresholds",
            Self::Segments => "segments",
            Self::Evaluation => "evaluation",
            Self::TrainingWindow => "training_window",
            Self::Population => "population",
            Self::IntendedUses => "intended_uses",
            Self::Risk => "risk",
            Self::Metrics => "metrics",
        }
    }
}

/// How well a group is known; a higher one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The submitter says so.
    Declared,
    /// A build identity that the policy lists signed the profile and the artefact together.
    Attested,
    /// The server read it from the artefact's bytes.
    Extracted,
}

/// The source of each group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Provenance(BTreeMap<Group, Source>);

impl Provenance {
    /// The same source for every group.
    pub fn all(source: Source) -> Self {
        Self(Group::ALL.into_iter().map(|group| (group, source)).collect())
    }

    /// The source of a group. One that is not listed is only declared.
    pub fn of(&self, group: Group) -> Source {
        self.0.get(&group).copied().unwrap_or(Source::Declared)
    }

    /// A group that is now known from a source.
    pub fn with(mut self, group: Group, source: Source) -> Self {
        self.0.insert(group, source);
        self
    }

    /// Whether each group stands there, as canonical inputs need it.
    pub(super) fn is_whole(&self) -> bool {
        self.0.len() == Group::ALL.len()
    }
}

/// What is known about a profile, and who attested it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The source of each group.
    pub provenance: Provenance,
    /// Id of the build identity that signed, if one did.
    pub attested_by: Option<String>,
}

/// Reads what the artefact itself says, checks the attestation if there is one, and refuses a profile that
/// either of them contradicts.
///
/// `artifact` is `None` where the front door does not hold its bytes; then nothing is extracted. An attestation
/// that does not verify is a refusal, not a weaker source: somebody meant it to count.
pub fn establish(
    profile: &ModelProfile,
    profile_sha256: &Digest,
    artifact_sha256: &Digest,
    artifact: Option<&[u8]>,
    attestation: Option<&[u8]>,
    identities: &[BuildIdentity],
) -> Result<Established, Vec<Problem>> {
    let mut p = Problems::default();
    let mut attested_by = None;
    if let Some(envelope) = attestation {
        match dsse::verify(envelope, artifact_sha256, profile_sha256, identities) {
            Ok(id) => attested_by = Some(id),
            Err(error) => p.add("profile.attestation", error.to_string()),
        }
    }
    let signature = match artifact.map(mlmodel::signature) {
        None => None,
        Some(Ok(columns)) => columns,
        Some(Err(error)) => {
            p.add("model_version.artifact", error.to_string());
            None
        }
    };
    if let Some(columns) = &signature {
        contradictions(profile, columns, &mut p);
    }
    let problems = p.into_sorted();
    if !problems.is_empty() {
        return Err(problems);
    }
    let least = if attested_by.is_some() { Source::Attested } else { Source::Declared };
    let mut provenance = Provenance::all(least);
    if signature.is_some() {
        provenance = provenance.with(Group::Features, Source::Extracted);
    }
    Ok(Established { provenance, attested_by })
}

/// Every feature on which the profile and the artefact's own signature disagree.
fn contradictions(profile: &ModelProfile, columns: &[Column], p: &mut Problems) {
    let inside: BTreeMap<&str, &Column> =
        columns.iter().map(|column| (column.name.as_str(), column)).collect();
    for (name, kind) in &profile.features {
        let at = format!("profile.features.{name}");
        match inside.get(name.as_str()) {
            None => p.add(at, "is not an input of the artefact; the profile describes another model"),
            Some(column) if !holds(&column.kind, *kind) => {
                p.add(at, format!("has another type than the artefact's input, which is {:?}", column.kind))
            }
            Some(_) => {}
        }
    }
    for name in inside.keys().filter(|name| !profile.features.contains_key(**name)) {
        p.add(
            format!("profile.features.{name}"),
            "is missing, but the artefact has this input; the profile describes another model",
        );
    }
}

/// Whether a column of an MLflow type can hold a feature of a profile's type.
fn holds(mlflow: &str, feature: FeatureType) -> bool {
    use FeatureType::{Binary, Boolean, Categorical, Datetime, Integer, Number, Text};
    match mlflow {
        "boolean" => matches!(feature, Boolean | Categorical),
        "integer" | "long" => matches!(feature, Integer | Categorical),
        "float" | "double" => feature == Number,
        "string" => matches!(feature, Text | Categorical),
        "datetime" => feature == Datetime,
        "binary" => feature == Binary,
        _ => false,
    }
}
