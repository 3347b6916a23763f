//! The typed difference of two profiles.
//!
//! Used twice: against the slot's current promotion (`change`), and against the last one that a person approved
//! (`since_human`), so that many small steps are measured together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    profile::{ADVERSE_ACTION, Metrics, ModelProfile, OVERALL},
    table::Table,
};

/// A population stability index from here on is a population shift: the convention of credit scoring, where
/// below 0.1 is stable and 0.1 to 0.25 is watched.
pub const PSI_SHIFT: f64 = 0.25;
/// A population stability index from here on is worth watching.
pub const PSI_WATCH: f64 = 0.1;

/// Numbers of candidate and incumbent for one metric; `None` where it could not be measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The candidate's.
    pub candidate: Option<f64>,
    /// The incumbent's, on the same snapshot.
    pub incumbent: Option<f64>,
}

impl Pair {
    /// Candidate minus incumbent.
    pub fn delta(self) -> Option<f64> {
        delta(self.candidate?, self.incumbent?)
    }
}

/// A decision threshold, before and after; `None` where it does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The earlier model's.
    pub from: Option<f64>,
    /// The candidate's.
    pub to: Option<f64>,
}

/// What is different between an earlier model and the candidate. Fields are in the order of their names, as
/// canonical JSON needs them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Another algorithm.
    pub algorithm_changed: bool,
    /// Another query, sampling, slices or label window. A new snapshot under the same definition is not.
    pub evaluation_definition_changed: bool,
    /// Inputs that are new.
    pub features_added: Vec<String>,
    /// Inputs that are gone.
    pub features_removed: Vec<String>,
    /// Inputs of another type.
    pub features_retyped: Vec<String>,
    /// Settings of the training that are new, gone or different.
    pub hyperparameters_changed: Vec<String>,
    /// Another id in the model inventory.
    pub inventory_changed: bool,
    /// Metrics over everything.
    pub overall: Table<Pair>,
    /// Population stability index of each feature that both have.
    pub psi: Table<f64>,
    /// Another tier in the model-risk framework.
    pub risk_tier_changed: bool,
    /// Metrics by segment: candidate minus incumbent; null where only one of them has a value, absent where
    /// neither has.
    pub segments: Table<Table<Option<f64>>>,
    /// Dimensions that are new, gone or cut differently.
    pub segments_changed: Vec<String>,
    /// A new evaluation snapshot.
    pub snapshot_rolled: bool,
    /// Decision thresholds that are new, gone or different.
    pub thresholds_moved: BTreeMap<String, Moved>,
    /// Days by which the training window is longer.
    pub training_days_delta: i64,
    /// Rows by which the training window is larger.
    pub training_rows_delta: i64,
    /// Another feature transformation.
    pub transformation_changed: bool,
    /// Uses that are new.
    pub uses_added: Vec<String>,
    /// Uses that are gone.
    pub uses_removed: Vec<String>,
}

impl Difference {
    /// The difference, with metrics compared to given ones and drift measured from given data.
    pub(super) fn between(
        earlier: &ModelProfile,
        candidate: &ModelProfile,
        metrics: &Table<Metrics>,
        psi: Table<f64>,
    ) -> Self {
        let (features_added, features_removed, features_retyped) =
            keys(&earlier.features, &candidate.features);
        let (added, removed, retuned) = keys(&earlier.hyperparameters, &candidate.hyperparameters);
        let hyperparameters_changed = merged([added, removed, retuned]);
        let (added, removed, cut) = keys(&earlier.segments, &candidate.segments);
        let segments_changed = merged([added, removed, cut]);
        Self {
            algorithm_changed: earlier.algorithm != candidate.algorithm,
            evaluation_definition_changed: earlier.definition_digest != candidate.definition_digest,
            features_added,
            features_removed,
            features_retyped,
            hyperparameters_changed,
            inventory_changed: earlier.inventory_id != candidate.inventory_id,
            overall: overall(&candidate.metrics, metrics),
            psi,
            risk_tier_changed: earlier.risk_tier != candidate.risk_tier,
            segments: segment_deltas(&candidate.metrics, metrics),
            segments_changed,
            snapshot_rolled: earlier.snapshot_digest != candidate.snapshot_digest,
            thresholds_moved: moved(&earlier.decision_thresholds, &candidate.decision_thresholds),
            training_days_delta: i64::from(candidate.training_days) - i64::from(earlier.training_days),
            training_rows_delta: row_delta(candidate.training_rows, earlier.training_rows),
            transformation_changed: earlier.feature_transformation_digest
                != candidate.feature_transformation_digest,
            uses_added: only_in(&candidate.intended_uses, &earlier.intended_uses),
            uses_removed: only_in(&earlier.intended_uses, &candidate.intended_uses),
        }
    }

    /// What can be said of a model that follows none: its metrics, and those of a model it was compared with.
    pub(super) fn of_first(candidate: &ModelProfile) -> Self {
        let none = Table::default();
        let metrics = candidate.incumbent.as_ref().map_or(&none, |incumbent| &incumbent.metrics);
        Self {
            overall: overall(&candidate.metrics, metrics),
            segments: segment_deltas(&candidate.metrics, metrics),
            ..Self::default()
        }
    }

    /// Features added, removed and retyped.
    pub fn feature_changes(&self) -> usize {
        self.features_added.len() + self.features_removed.len() + self.features_retyped.len()
    }

    /// The largest population stability index; 0 if there is none.
    pub fn psi_max(&self) -> f64 {
        self.psi.values().copied().fold(0.0, f64::max)
    }

    /// Features whose population stability index is a value or more.
    pub fn psi_over(&self, least: f64) -> usize {
        self.psi.values().filter(|psi| **psi >= least).count()
    }

    /// The farthest that a threshold moved; 0 if none did, or one came or went.
    pub fn threshold_shift_max(&self) -> f64 {
        let shifts = self.thresholds_moved.values().filter_map(|moved| delta(moved.to?, moved.from?));
        shifts.map(f64::abs).fold(0.0, f64::max)
    }

    /// Whether the model is newly used to decline people.
    pub fn adverse_action_added(&self) -> bool {
        self.uses_added.iter().any(|added| added == ADVERSE_ACTION)
    }

    /// Candidate minus incumbent in one segment; `None` if either has no value.
    pub fn delta(&self, segment: &str, metric: &str) -> Option<f64> {
        match segment {
            OVERALL => self.overall.get(metric)?.delta(),
            segment => *self.segments.get(segment)?.get(metric)?,
        }
    }
}

/// A difference, rounded to 12 decimal places so that 0.8 - 0.78 is 0.02; `None` if it has no finite value.
fn delta(to: f64, from: f64) -> Option<f64> {
    const PLACES: f64 = 1e12;
    let exact = to - from;
    let scaled = exact * PLACES;
    let rounded = if scaled.abs() < 9e15 { scaled.round() / PLACES } else { exact };
    // A rounded -0 would have another canonical form than 0.
    rounded.is_finite().then_some(rounded + 0.0)
}

fn row_delta(to: u64, from: u64) -> i64 {
    // Profiles hold whole numbers up to 2^53.
    to as i64 - from as i64
}

/// Keys that are new, gone, or hold something else.
fn keys<V: PartialEq>(
    earlier: &BTreeMap<String, V>,
    later: &BTreeMap<String, V>,
) -> (Vec<String>, Vec<String>, Vec<String>) {
    let new = later.keys().filter(|key| !earlier.contains_key(*key)).cloned().collect();
    let gone = earlier.keys().filter(|key| !later.contains_key(*key)).cloned().collect();
    let other = |(key, value): &(&String, &V)| earlier.get(*key).is_some_and(|was| was != *value);
    (new, gone, later.iter().filter(other).map(|(key, _)| key.clone()).collect())
}

fn merged(lists: [Vec<String>; 3]) -> Vec<String> {
    let mut all: Vec<_> = lists.into_iter().flatten().collect();
    all.sort();
    all
}

fn only_in(these: &[String], those: &[String]) -> Vec<String> {
    these.iter().filter(|item| !those.contains(item)).cloned().collect()
}

fn moved(earlier: &BTreeMap<String, f64>, later: &BTreeMap<String, f64>) -> BTreeMap<String, Moved> {
    let (new, gone, other) = keys(earlier, later);
    let moved = |name: String| {
        let moved = Moved { from: earlier.get(&name).copied(), to: later.get(&name).copied() };
        (name, moved)
    };
    new.into_iter().chain(gone).chain(other).map(moved).collect()
}

fn overall(candidate: &Table<Metrics>, incumbent: &Table<Metrics>) -> Table<Pair> {
    let none = Metrics::default();
    let candidate = candidate.get(OVERALL).unwrap_or(&none);
    let incumbent = incumbent.get(OVERALL).unwrap_or(&none);
    Table::joined(candidate, incumbent, |_, candidate, incumbent| {
        Some(Pair { candidate: candidate.copied().flatten(), incumbent: incumbent.copied().flatten() })
    })
}

fn segment_deltas(candidate: &Table<Metrics>, incumbent: &Table<Metrics>) -> Table<Table<Option<f64>>> {
    let none = Metrics::default();
    Table::joined(candidate, incumbent, |name, candidate, incumbent| {
        let deltas = || metric_deltas(candidate.unwrap_or(&none), incumbent.unwrap_or(&none));
        (name.as_ref() != OVERALL).then(deltas)
    })
}

fn metric_deltas(candidate: &Metrics, incumbent: &Metrics) -> Table<Option<f64>> {
    Table::joined(candidate, incumbent, |_, candidate, incumbent| {
        match (candidate.copied().flatten(), incumbent.copied().flatten()) {
            (None, None) => None,
            (Some(to), Some(from)) => Some(delta(to, from)),
            _ => Some(None),
        }
    })
}
