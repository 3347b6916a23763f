//! The variables that a rule may read: one table, for checking a rule, for evaluating it, and for messages.

use std::collections::BTreeMap;

use super::{
    change::{Difference, Moved, PSI_SHIFT, PSI_WATCH},
    inputs::Inputs,
    profile::OVERALL,
    provenance::Group,
    table::Table,
};

/// The type of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// Text.
    Text,
    /// A list of texts.
    Names,
    /// Numbers by name.
    Numbers,
    /// Numbers by segment and metric.
    Deltas,
}

impl Kind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Names => "list of strings",
            Self::Numbers => "map from name to double",
            Self::Deltas => "map from segment to map from metric to double",
        }
    }
}

/// What a rule is evaluated on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) inputs: &'a Inputs,
    /// Whether the change is inside the band of the standing policy that names the model.
    pub(super) in_band: bool,
}

/// The value of a member. A map answers for one key at a time, so nothing is copied to ask it.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    Names(Vec<&'a str>),
    Psi(&'a Table<f64>),
    Deltas(&'a Difference),
    /// Metrics of one segment of a difference.
    Segment(&'a Difference, &'a str),
    /// The candidate's own metrics over everything.
    Candidate(&'a Difference),
}

/// Something a rule can name after the dot.
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The part of the profile it is read from, if it is from a profile.
    pub group: Option<Group>,
    pub(super) read: Read,
}

/// How a member is read.
pub(super) enum Read {
    Scope(for<'a> fn(&Scope<'a>) -> Cell<'a>),
    Difference(for<'a> fn(&'a Difference) -> Cell<'a>),
}

/// One of the variables.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    own: &'static [Member],
    difference: Option<for<'a> fn(&Scope<'a>) -> &'a Difference>,
}

impl Variable {
    /// All members.
    pub fn members(&self) -> impl Iterator<Item = &'static Member> {
        let shared: &'static [Member] = if self.difference.is_some() { DIFFERENCE } else { &[] };
        self.own.iter().chain(shared)
    }

    pub(super) fn member(&self, name: &str) -> Option<&'static Member> {
        self.members().find(|member| member.name == name)
    }

    pub(super) fn read<'a>(&self, member: &Member, scope: &Scope<'a>) -> Option<Cell<'a>> {
        match member.read {
            Read::Scope(read) => Some(read(scope)),
            Read::Difference(read) => self.difference.map(|difference| read(difference(scope))),
        }
    }
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A variable by name.
pub fn variable(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Everything that a rule may read.
pub static VARIABLES: [Variable; 4] = [
    Variable { name: "change", own: CHANGE, difference: Some(|scope| &scope.inputs.change) },
    Variable { name: "since_human", own: SINCE_HUMAN, difference: Some(since_human) },
    Variable { name: "candidate", own: CANDIDATE, difference: None },
    Variable { name: "previous", own: PREVIOUS, difference: None },
];

/// What `since_human` reads where no person ever approved: nothing differs, `exists` is false, and the floor
/// keeps such a promotion out of the lowest tier.
fn since_human<'a>(scope: &Scope<'a>) -> &'a Difference {
    static NONE: std::sync::LazyLock<Difference> = std::sync::LazyLock::new(Difference::default);
    scope.inputs.since_human.as_ref().map_or(&NONE, |since| &since.change)
}

const fn scope(
    name: &'static str,
    kind: Kind,
    group: Option<Group>,
    read: for<'a> fn(&Scope<'a>) -> Cell<'a>,
) -> Member {
    Member { name, kind, group, read: Read::Scope(read) }
}

const fn difference(
    name: &'static str,
    kind: Kind,
    group: Group,
    read: for<'a> fn(&'a Difference) -> Cell<'a>,
) -> Member {
    Member { name, kind, group: Some(group), read: Read::Difference(read) }
}

fn names(list: &[String]) -> Cell<'_> {
    Cell::Names(list.iter().map(String::as_str).collect())
}

fn keys(map: &BTreeMap<String, Moved>) -> Cell<'_> {
    Cell::Names(map.keys().map(String::as_str).collect())
}

fn count(n: usize) -> Cell<'static> {
    Cell::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

const CHANGE: &[Member] = &[
    scope("first_promotion", Kind::Bool, None, |s| Cell::Bool(s.inputs.first_promotion())),
    scope("incumbent_mismatch", Kind::Bool, Some(Group::Metrics), |s| {
        Cell::Bool(s.inputs.incumbent_mismatch())
    }),
    scope("in_band", Kind::Bool, Some(Group::Metrics), |s| Cell::Bool(s.in_band)),
];

const SINCE_HUMAN: &[Member] =
    &[scope("exists", Kind::Bool, None, |s| Cell::Bool(s.inputs.since_human.is_some()))];

const DIFFERENCE: &[Member] = &[
    difference("adverse_action_added", Kind::Bool, Group::IntendedUses, |d| {
        Cell::Bool(d.adverse_action_added())
    }),
    difference("algorithm_changed", Kind::Bool, Group::Hyperparameters, |d| Cell::Bool(d.algorithm_changed)),
    difference("delta", Kind::Deltas, Group::Metrics, |d| Cell::Deltas(d)),
    difference("evaluation_definition_changed", Kind::Bool, Group::Evaluation, |d| {
        Cell::Bool(d.evaluation_definition_changed)
    }),
    difference("feature_changes", Kind::Int, Group::Features, |d| count(d.feature_changes())),
    difference("features_added", Kind::Names, Group::Features, |d| names(&d.features_added)),
    difference("features_removed", Kind::Names, Group::Features, |d| names(&d.features_removed)),
    difference("features_retyped", Kind::Names, Group::Features, |d| names(&d.features_retyped)),
    difference("hyperparameters_changed", Kind::Names, Group::Hyperparameters, |d| {
        names(&d.hyperparameters_changed)
    }),
    difference("inventory_changed", Kind::Bool, Group::Risk, |d| Cell::Bool(d.inventory_changed)),
    difference("psi", Kind::Numbers, Group::Population, |d| Cell::Psi(&d.psi)),
    difference("psi_max", Kind::Double, Group::Population, |d| Cell::Double(d.psi_max())),
    difference("psi_shifted", Kind::Int, Group::Population, |d| count(d.psi_over(PSI_SHIFT))),
    difference("psi_watched", Kind::Int, Group::Population, |d| count(d.psi_over(PSI_WATCH))),
    difference("risk_tier_changed", Kind::Bool, Group::Risk, |d| Cell::Bool(d.risk_tier_changed)),
    difference("segments_changed", Kind::Names, Group::Segments, |d| names(&d.segments_changed)),
    difference("snapshot_rolled", Kind::Bool, Group::Evaluation, |d| Cell::Bool(d.snapshot_rolled)),
    difference("threshold_shift_max", Kind::Double, Group::DecisionThresholds, |d| {
        Cell::Double(d.threshold_shift_max())
    }),
    difference("thresholds_moved", Kind::Names, Group::DecisionThresholds, |d| keys(&d.thresholds_moved)),
    difference("training_days_delta", Kind::Int, Group::TrainingWindow, |d| Cell::Int(d.training_days_delta)),
    difference("training_rows_delta", Kind::Int, Group::TrainingWindow, |d| Cell::Int(d.training_rows_delta)),
    difference("training_window_reshaped", Kind::Bool, Group::TrainingWindow, |d| {
        Cell::Bool(d.training_days_delta != 0)
    }),
    difference("transformation_changed", Kind::Bool, Group::FeatureTransformation, |d| {
        Cell::Bool(d.transformation_changed)
    }),
    difference("uses_added", Kind::Names, Group::IntendedUses, |d| names(&d.uses_added)),
    difference("uses_removed", Kind::Names, Group::IntendedUses, |d| names(&d.uses_removed)),
];

const CANDIDATE: &[Member] = &[
    scope("adverse_action", Kind::Bool, Some(Group::IntendedUses), |s| {
        Cell::Bool(s.inputs.candidate.adverse_action())
    }),
    scope("algorithm", Kind::Text, Some(Group::Hyperparameters), |s| {
        Cell::Text(&s.inputs.candidate.algorithm)
    }),
    scope("environment", Kind::Text, None, |s| Cell::Text(&s.inputs.candidate.environment)),
    scope("feature_count", Kind::Int, Some(Group::Features), |s| {
        Cell::Int(s.inputs.candidate.feature_count as i64)
    }),
    scope("intended_uses", Kind::Names, Some(Group::IntendedUses), |s| {
        names(&s.inputs.candidate.intended_uses)
    }),
    scope("inventory_id", Kind::Text, Some(Group::Risk), |s| Cell::Text(&s.inputs.candidate.inventory_id)),
    scope("metric", Kind::Numbers, Some(Group::Metrics), |s| Cell::Candidate(&s.inputs.change)),
    scope("model", Kind::Text, None, |s| Cell::Text(&s.inputs.candidate.model)),
    scope("risk_tier", Kind::Text, Some(Group::Risk), |s| Cell::Text(&s.inputs.candidate.risk_tier)),
    scope("role", Kind::Text, None, |s| Cell::Text(&s.inputs.candidate.role)),
    scope("segments", Kind::Names, Some(Group::Segments), |s| names(&s.inputs.candidate.segments)),
    scope("training_days", Kind::Int, Some(Group::TrainingWindow), |s| {
        Cell::Int(s.inputs.candidate.training_days as i64)
    }),
    scope("training_rows", Kind::Int, Some(Group::TrainingWindow), |s| {
        Cell::Int(s.inputs.candidate.training_rows as i64)
    }),
];

/// Empty where there is no previous promotion; `previous.exists` tells.
const PREVIOUS: &[Member] = &[
    scope("algorithm", Kind::Text, Some(Group::Hyperparameters), |s| {
        Cell::Text(s.inputs.previous.as_ref().map_or("", |previous| &previous.algorithm))
    }),
    scope("exists", Kind::Bool, None, |s| Cell::Bool(s.inputs.previous.is_some())),
    scope("intended_uses", Kind::Names, Some(Group::IntendedUses), |s| {
        names(s.inputs.previous.as_ref().map_or(&[], |previous| &previous.intended_uses))
    }),
    scope("risk_tier", Kind::Text, Some(Group::Risk), |s| {
        Cell::Text(s.inputs.previous.as_ref().map_or("", |previous| &previous.risk_tier))
    }),
];

impl<'a> Cell<'a> {
    /// What a map holds under a key.
    pub(super) fn entry(&self, key: &str) -> Option<Cell<'a>> {
        match *self {
            Self::Psi(psi) => psi.get(key).copied().map(Cell::Double),
            Self::Deltas(change) if key == OVERALL => Some(Cell::Segment(change, OVERALL)),
            Self::Deltas(change) => {
                change.segments.entry_of(key).map(|(name, _)| Cell::Segment(change, name))
            }
            Self::Segment(change, segment) => change.delta(segment, key).map(Cell::Double),
            Self::Candidate(change) => change.overall.get(key)?.candidate.map(Cell::Double),
            _ => None,
        }
    }

    /// How many entries a map has.
    pub(super) fn entries(&self) -> usize {
        match *self {
            Self::Psi(psi) => psi.len(),
            Self::Deltas(change) => change.segments.len() + 1,
            Self::Segment(change, OVERALL) => {
                change.overall.values().filter(|pair| pair.delta().is_some()).count()
            }
            Self::Segment(change, segment) => {
                change.segments.get(segment).map_or(0, |metrics| metrics.values().flatten().count())
            }
            Self::Candidate(change) => {
                change.overall.values().filter(|pair| pair.candidate.is_some()).count()
            }
            _ => 0,
        }
    }
}
