//! The model profile: what a model is, as one JSON document that is kept as evidence.
//!
//! Strict on purpose. A key that is unknown, doubled or missing is refused and never read as "unchanged"; the
//! change of a promotion is derived from this document, so whatever it does not say cannot be routed.

use std::{collections::BTreeMap, sync::Arc};

use crate::event::promotion::{PROFILE_LEN_MAX, Problem, Problems};

use super::{
    document::{Json, Reader},
    profile_reading::read,
    table::Table,
};

/// The use that fair-lending rules are about: declining people, or giving them worse terms.
pub const ADVERSE_ACTION: &str = "adverse_action";
/// The segment that is everything.
pub const OVERALL: &str = "overall";

/// A short text that is shared between a profile and what is derived from it.
pub type Name = Arc<str>;
/// Metrics of one segment; `None` where the segment is too small for the metric.
pub type Metrics = Table<Option<f64>>;

/// What a feature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeatureType {
    /// Whole numbers.
    Integer,
    /// Any finite number.
    Number,
    /// One of a fixed set of levels.
    Categorical,
    /// Free text.
    Text,
    /// True or false.
    Boolean,
    /// A date or a time.
    Datetime,
    /// Bytes.
    Binary,
}

/// Hyperparameters and other settings that are one value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Not set.
    Null,
    /// A switch.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text.
    Text(String),
}

/// How a dimension is cut into segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segmentation {
    /// These labels.
    Labels(Vec<String>),
    /// The definition with this digest.
    Definition(String),
}

/// Where the population's drift was measured from, and how far it has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Digest of the data that the new snapshot was compared with, `sha256:…`.
    pub against: String,
    /// Population stability index of each feature; `None` for a feature that the other data do not have.
    pub psi: Table<Option<f64>>,
}

/// The incumbent, scored on the candidate's snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Incumbent {
    /// `sha256:…` of the incumbent's artefact.
    pub artifact_sha256: String,
    /// Its metrics by segment.
    pub metrics: Table<Metrics>,
}

/// A model as its builder describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelProfile {
    /// For instance `logistic_regression`.
    pub algorithm: String,
    /// Numbers at which a score becomes a decision.
    pub decision_thresholds: BTreeMap<String, f64>,
    /// Digest of the evaluation's definition: query, sampling, slices, label window.
    pub definition_digest: String,
    /// Digest of the evaluation snapshot.
    pub snapshot_digest: String,
    /// Digest of the code or constants that turn raw columns into model inputs.
    pub feature_transformation_digest: String,
    /// The model's inputs.
    pub features: BTreeMap<String, FeatureType>,
    /// Settings of the training.
    pub hyperparameters: BTreeMap<String, Scalar>,
    /// The incumbent on the same snapshot; `None` for a first promotion.
    pub incumbent: Option<Incumbent>,
    /// What the model may be used for.
    pub intended_uses: Vec<String>,
    /// Id in the model inventory.
    pub inventory_id: String,
    /// Metrics by segment: `overall`, or `dimension:label`.
    pub metrics: Table<Metrics>,
    /// Name of the model, as its builder calls it.
    pub model_name: String,
    /// Version of the model, as its builder calls it.
    pub model_version: String,
    /// Who the model is for, in words.
    pub population: String,
    /// How far that population has moved; at least one measure.
    pub drift: Vec<Drift>,
    /// Tier of the model in the model-risk framework, for instance `tier_1`. Not the tier that routing decides.
    pub risk_tier: String,
    /// Dimensions, and how each is cut.
    pub segments: BTreeMap<String, Segmentation>,
    /// Days of training data, first and last included.
    pub training_days: u32,
    /// Rows of training data.
    pub training_rows: u64,
}

impl ModelProfile {
    /// Reads a profile; every problem at once, with paths below `profile`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let mut p = Problems::default();
        if bytes.len() as u64 > PROFILE_LEN_MAX {
            p.add("profile", format!("has {} bytes; at most {PROFILE_LEN_MAX}", bytes.len()));
            return Err(p.into_sorted());
        }
        let tree: Json = match serde_json::from_slice(bytes) {
            Ok(tree) => tree,
            Err(error) => {
                p.add("profile", format!("is not JSON: {error}"));
                return Err(p.into_sorted());
            }
        };
        tree.duplicates("profile", &mut p);
        let profile = Reader::new("profile", tree, &mut p).and_then(read);
        let problems = p.into_sorted();
        match profile {
            Some(profile) if problems.is_empty() => Ok(profile),
            _ => Err(problems),
        }
    }

    /// Whether the model is used to decline people or to give them worse terms.
    pub fn adverse_action(&self) -> bool {
        self.intended_uses.iter().any(|used| used == ADVERSE_ACTION)
    }
}
