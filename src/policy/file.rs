//! The policy file as it is written: one YAML document. Types only; [`super::check`] says what is wrong with one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::{
    change::Difference,
    dsse::BuildIdentity,
    inputs::{Candidate, PreviousFacts, SinceHuman},
};

/// A policy: which change needs how much evidence, and whose approval.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "promotion-ledger policy")]
pub struct File {
    /// Which policy this is.
    pub policy: Head,
    /// Tiers, lowest first. Only the first may be automated.
    pub tiers: Vec<Tier>,
    /// Named bands: how far metrics may move in an automated promotion.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<BandEntry>>")]
    pub bands: BTreeMap<String, Spanned<Vec<BandEntry>>>,
    /// Who may promote which models without an approval in the single case.
    #[serde(default)]
    pub standing_policies: Vec<StandingPolicy>,
    /// True: every promotion of an adverse-action model needs the highest tier, an in-band refit too.
    #[serde(default)]
    pub adverse_action_always_committee: bool,
    /// Builds whose signature makes a profile attested.
    #[serde(default)]
    #[schemars(with = "Vec<BuildIdentity>")]
    pub build_identities: Vec<Spanned<BuildIdentity>>,
    /// Rules. The highest tier of those that match wins; if none matches, the highest tier of all.
    pub rules: Vec<Rule>,
    /// What every test starts from, on top of an unchanged, attested, in-band retrain.
    #[serde(default)]
    pub baseline: Overrides,
    /// The policy's own tests. Each rule must match in at least one.
    pub tests: Vec<Case>,
}

/// Name and version of a policy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// For instance `credit-models`.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Raised with each change.
    #[schemars(with = "u32", range(min = 1))]
    pub version: Spanned<u32>,
}

/// A tier and what it requires.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Whether a service may approve under a standing policy, or people must.
    pub approval: ApprovalBy,
    /// How many members of which groups must approve, where people do. No person fills two places.
    #[serde(default)]
    pub approvers: Vec<Quorum>,
    /// How people must have logged in to approve.
    #[serde(default)]
    pub login: Login,
    /// How the comparison must be shown.
    pub comparison: Comparison,
    /// Kinds of explanation, all of them.
    #[serde(default)]
    pub explanations: Vec<String>,
    /// Dimensions by which metrics must be given.
    #[serde(default)]
    pub fairness_slices: Vec<String>,
    /// Questions that the form must ask, and every approver must answer.
    #[serde(default)]
    pub questions: Vec<String>,
    /// What happens to an open review when its incumbent changes.
    pub on_incumbent_change: OnIncumbentChange,
    /// Days for which the evidence is kept.
    #[schemars(range(min = 1))]
    pub retain_days: u32,
}

/// How somebody must have logged in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// Authentication context classes, one of which is needed; none named: any.
    pub acr: Vec<String>,
    /// Authentication methods (RFC 8176), all of them.
    pub amr: Vec<String>,
    /// Minutes between login and decision, at most; absent: any number.
    #[schemars(range(min = 1))]
    pub max_age_minutes: Option<u32>,
}

/// Who approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalBy {
    /// A service under a standing policy, or people.
    Automated,
    /// People.
    Human,
}

/// A number of members of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// The group, as the identity provider names it.
    pub group: String,
    /// How many of its members.
    #[schemars(range(min = 1))]
    pub count: u32,
}

/// How a comparison is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// In any form, for a machine.
    Mechanical,
    /// As a page that people read: HTML or PDF.
    Rendered,
}

/// What happens to an open review when the slot's current model changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnIncumbentChange {
    /// It waits until somebody decides.
    Hold,
    /// It is closed; a new one compares with the new incumbent.
    Supersede,
    /// It goes on if the new incumbent is inside the band.
    AllowInBand,
}

/// How far one metric may move.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandEntry {
    /// The metric.
    pub metric: String,
    /// `overall`, `dimension:label`, or `"*"`: every segment in which either model has a value.
    pub segments: Vec<String>,
    /// Largest |candidate - incumbent|.
    pub tolerance: f64,
}

/// A decision taken once, by people, for many promotions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandingPolicy {
    /// Its name.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Models that it names. An adverse-action model is automated only if one names it.
    pub models: Vec<String>,
    /// Services that may approve under it.
    pub services: Vec<Identity>,
    /// People who answer for it; each automated approval names one.
    pub accountable: Vec<Identity>,
    /// The band in which it holds.
    pub band: String,
}

/// A person or service, as its identity provider names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// URL of the identity provider.
    pub issuer: String,
    /// The subject there.
    pub subject: String,
}

/// A condition and the tier it leads to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// The tier.
    #[schemars(with = "String")]
    pub tier: Spanned<String>,
    /// CEL over `change`, `since_human`, `candidate` and `previous`.
    #[schemars(with = "String")]
    pub when: Spanned<String>,
    /// Why, in words that an auditor reads.
    pub reason: String,
}

/// Parts of routing inputs that differ from what they are laid over. A map is laid over member by member;
/// anything else replaces.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// The candidate.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Candidate")]
    pub candidate: Option<serde_json::Value>,
    /// The difference to the current promotion.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Difference")]
    pub change: Option<serde_json::Value>,
    /// The current promotion; null for a first promotion.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<PreviousFacts>")]
    pub previous: Option<serde_json::Value>,
    /// The difference to the last promotion that a person approved; null if there is none.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<SinceHuman>")]
    pub since_human: Option<serde_json::Value>,
}

/// One of the policy's own tests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// What differs from the baseline.
    #[serde(default)]
    pub given: Overrides,
    /// How it must be routed.
    pub expect: Expect,
}

/// The expected route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The tier.
    #[schemars(with = "String")]
    pub tier: Spanned<String>,
    /// Exactly the rules that match, in any order; not compared if it is left out.
    #[serde(default)]
    pub rules: Option<Vec<String>>,
}

/// Keeps a null that is written apart from a key that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}
