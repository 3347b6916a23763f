//! Inputs and a policy in; a tier and the reasons for it out.

use serde::Serialize;

use super::{band, check::Policy, floor::floor, inputs::Inputs, types::Scope, values::Variables};

/// What routed: kept in every event, because another engine could read the same file differently.
pub const ENGINE: &str = "cel 0.15 + promotion-ledger policy 1";

/// Where a promotion was routed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The higher one of the policy's tier and the floor's.
    pub tier: String,
    /// Where the policy's rules lead.
    pub policy_tier: String,
    /// Where the floor leads; `None` if it has nothing against the lowest tier.
    pub floor: Option<Floor>,
    /// The rules that matched, highest tier first, then by id.
    pub matched: Vec<Matched>,
    /// The standing policy that names the model, if one does.
    pub standing_policy: Option<String>,
    /// Whether the change is inside the band of that standing policy.
    pub in_band: bool,
}

/// What the floor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Floor {
    /// The lowest tier that it allows.
    pub tier: String,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Its id.
    pub rule: String,
    /// The tier that it leads to.
    pub tier: String,
    /// Its reason, in words.
    pub reason: String,
}

/// Why a promotion cannot be routed. It is refused: a rule that cannot be decided may be the one that matters.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A condition failed.
    #[error("rule {rule:?} of the policy cannot be decided: {message}")]
    Evaluation {
        /// Its id.
        rule: String,
        /// What CEL says.
        message: String,
    },
}

impl Policy {
    /// Routes a promotion. The order of the rules does not matter.
    pub fn route(&self, inputs: &Inputs) -> Result<Route, Error> {
        let standing = self.standing_policy(&inputs.candidate.model);
        let in_band = standing
            .and_then(|standing| self.band(&standing.band))
            .is_some_and(|band| band::holds(band, &inputs.change));
        let variables = Variables::new(Scope { inputs, in_band });
        let context = variables.context(self.environment());
        let mut matched = Vec::new();
        for rule in self.rules() {
            let holds = rule
                .condition
                .holds(&context)
                .map_err(|message| Error::Evaluation { rule: rule.id.clone(), message })?;
            if holds {
                matched.push(rule);
            }
        }
        matched.sort_by(|a, b| b.tier.cmp(&a.tier).then_with(|| a.id.cmp(&b.id)));
        let highest = self.tiers().len().saturating_sub(1);
        let policy_tier = matched.first().map_or(highest, |rule| rule.tier);
        let floor = floor(self, inputs, in_band);
        let tier = floor.as_ref().map_or(policy_tier, |(tier, _)| policy_tier.max(*tier));
        Ok(Route {
            tier: self.tier_id(tier),
            policy_tier: self.tier_id(policy_tier),
            floor: floor.map(|(tier, reasons)| Floor { tier: self.tier_id(tier), reasons }),
            matched: matched
                .into_iter()
                .map(|rule| Matched {
                    rule: rule.id.clone(),
                    tier: self.tier_id(rule.tier),
                    reason: rule.reason.clone(),
                })
                .collect(),
            standing_policy: standing.map(|standing| standing.id.value.clone()),
            in_band,
        })
    }

    /// What of a change is outside the band of the standing policy that names the model, in words. Empty if
    /// nothing is, or no standing policy names it.
    pub fn outside_band(&self, inputs: &Inputs) -> Vec<String> {
        self.standing_policy(&inputs.candidate.model)
            .and_then(|standing| self.band(&standing.band))
            .map_or_else(Vec::new, |band| band::outside(band, &inputs.change))
    }
}
