//! The floor: what no policy can route to the lowest tier, because only that one may be automated.
//!
//! In code, not in the file. A policy decides how far above the floor a change goes.

use std::collections::BTreeSet;

use super::{
    change::{Difference, PSI_SHIFT},
    check::Policy,
    inputs::Inputs,
    provenance::{Group, Source},
};

/// Parts of a profile that the floor itself reads. If one of them is only claimed, so is "nothing changed".
pub(super) const READS: [Group; 10] = [
    Group::Features,
    Group::FeatureTransformation,
    Group::Hyperparameters,
    Group::DecisionThresholds,
    Group::Segments,
    Group::Evaluation,
    Group::Population,
    Group::IntendedUses,
    Group::Risk,
    Group::Metrics,
];

/// The tier below which a promotion may not be routed, by its place in the policy, and why. `None`: the lowest
/// tier is allowed.
pub(super) fn floor(policy: &Policy, inputs: &Inputs, in_band: bool) -> Option<(usize, Vec<String>)> {
    let mut reasons = Vec::new();
    let adverse = inputs.candidate.adverse_action();
    let committee = adverse && policy.adverse_action_always_committee();
    if committee {
        reasons.push(
            "the model is used for adverse action, and the policy always asks for the highest tier".into(),
        );
    }
    if inputs.first_promotion() {
        reasons.push("it is the first promotion in its slot".into());
    }
    if inputs.incumbent_mismatch() {
        reasons.push("it was compared with another model than the slot's current one".into());
    }
    material("", &inputs.change, &mut reasons);
    match &inputs.since_human {
        Some(since) => material("since a person last approved, ", &since.change, &mut reasons),
        None => reasons.push("no person has approved a promotion in this slot".into()),
    }
    if !in_band {
        reasons.push("it is not inside the band of a standing policy that names the model".into());
    }
    if adverse && policy.standing_policy(&inputs.candidate.model).is_none() {
        reasons.push("the model is used for adverse action, and no standing policy names it".into());
    }
    reasons.extend(only_declared(policy.reads(), inputs));
    let highest = policy.tiers().len().saturating_sub(1);
    (!reasons.is_empty()).then_some((if committee { highest } else { highest.min(1) }, reasons))
}

/// Changes that both a policy's author and its reader call material.
fn material(since: &str, change: &Difference, reasons: &mut Vec<String>) {
    let mut say = |holds: bool, what: &str| {
        if holds {
            reasons.push(format!("{since}{what}"));
        }
    };
    say(!change.thresholds_moved.is_empty(), "a decision threshold moved");
    say(change.evaluation_definition_changed, "the evaluation's definition changed");
    say(!change.segments_changed.is_empty(), "segments changed");
    say(!change.features_added.is_empty(), "a feature was added");
    say(!change.features_removed.is_empty(), "a feature was removed");
    say(!change.features_retyped.is_empty(), "a feature's type changed");
    say(change.transformation_changed, "the feature transformation changed");
    say(!change.uses_added.is_empty(), "a use was added");
    say(change.psi_max() >= PSI_SHIFT, "the population shifted: a stability index is 0.25 or more");
    say(change.algorithm_changed, "the algorithm changed");
    say(change.risk_tier_changed, "the model's risk tier changed");
    say(change.inventory_changed, "the model's inventory id changed");
}

fn only_declared(rules: &BTreeSet<Group>, inputs: &Inputs) -> Option<String> {
    let read = Group::ALL.into_iter().filter(|group| READS.contains(group) || rules.contains(group));
    let declared: Vec<_> = read
        .filter(|group| inputs.candidate.provenance.of(*group) == Source::Declared)
        .map(Group::name)
        .collect();
    (!declared.is_empty()).then(|| {
        format!("nobody but the submitter vouches for these parts of the profile: {}", declared.join(", "))
    })
}

/// A material change that a policy alone would route below the floor.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BelowFloor {
    /// The change, in words.
    pub change: &'static str,
    /// Where the policy's rules lead.
    pub policy_tier: String,
    /// Where the floor leads instead.
    pub floor_tier: String,
}

type Alter = fn(&mut Inputs);

/// The material changes, each alone, on top of an unchanged in-band retrain.
pub(super) const MATERIAL: [(&str, Alter); 18] = [
    ("a decision threshold moved", |i| moved(&mut i.change)),
    ("the evaluation's definition changed", |i| i.change.evaluation_definition_changed = true),
    ("segments changed", |i| i.change.segments_changed.push("region".into())),
    ("a feature was added", |i| i.change.features_added.push("new_feature".into())),
    ("a feature was removed", |i| i.change.features_removed.push("old_feature".into())),
    ("a feature's type changed", |i| i.change.features_retyped.push("feature".into())),
    ("the feature transformation changed", |i| i.change.transformation_changed = true),
    ("adverse action became a use", |i| adverse(&mut i.change)),
    ("the population shifted", |i| shift(&mut i.change)),
    ("the algorithm changed", |i| i.change.algorithm_changed = true),
    ("the model's risk tier changed", |i| i.change.risk_tier_changed = true),
    ("first promotion in the slot", |i| (i.previous, i.since_human) = (None, None)),
    ("compared with another model than the current one", |i| i.candidate.incumbent = Some("ff".repeat(32))),
    ("a metric left its band", |i| i.change.overall.values_mut().for_each(|pair| pair.incumbent = None)),
    ("a threshold moved since a person last approved", |i| since(i, moved)),
    ("features changed since a person last approved", |i| {
        since(i, |change| change.features_added.push("new_feature".into()));
    }),
    ("the population shifted since a person last approved", |i| since(i, shift)),
    ("an adverse-action model that no standing policy names", |i| {
        i.candidate.model = "a-model-that-is-not-named".into();
        i.candidate.intended_uses = vec![super::profile::ADVERSE_ACTION.into()];
    }),
];

fn moved(change: &mut Difference) {
    change
        .thresholds_moved
        .insert("threshold".into(), super::change::Moved { from: Some(0.5), to: Some(0.4) });
}

fn adverse(change: &mut Difference) {
    change.uses_added.push(super::profile::ADVERSE_ACTION.into());
}

fn shift(change: &mut Difference) {
    change.psi.insert("feature".into(), PSI_SHIFT);
}

fn since(inputs: &mut Inputs, alter: fn(&mut Difference)) {
    if let Some(since) = &mut inputs.since_human {
        alter(&mut since.change);
    }
}

/// What `policy check` prints: where the file alone would go below the floor. Not an error, since the floor
/// holds anyway; but the file does not say what will happen.
pub fn below_floor(policy: &Policy) -> Vec<BelowFloor> {
    let base = super::cases::neutral(policy.file(), None);
    let below = |(change, alter): &(&'static str, Alter)| {
        let mut inputs = base.clone();
        alter(&mut inputs);
        let route = policy.route(&inputs).ok()?;
        let floor = route.floor?;
        (policy.place(&route.policy_tier) < policy.place(&floor.tier)).then_some(BelowFloor {
            change,
            policy_tier: route.policy_tier,
            floor_tier: floor.tier,
        })
    };
    MATERIAL.iter().filter_map(below).collect()
}
