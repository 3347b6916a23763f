//! What is wrong with a policy file apart from its conditions: names, references, numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_saphyr::Spanned;

use crate::event::text::{free_text_problem, name_problem, uri_problem};

use super::{
    check::{Finding, at},
    file::{ApprovalBy, File, StandingPolicy, Tier},
};

const TIERS_MAX: usize = 16;
const RULES_MAX: usize = 200;
const CASES_MAX: usize = 1000;
/// Most people that a tier may ask for.
const QUORUM_MAX: u32 = 32;

/// All of it at once.
pub(super) fn findings(file: &File) -> Vec<Finding> {
    let mut f = Findings(Vec::new());
    f.name(&file.policy.id, "the policy");
    f.require(file.policy.version.value > 0, &file.policy.version, "the version is 0; versions count from 1");
    tiers(file, &mut f);
    bands(file, &mut f);
    standing_policies(file, &mut f);
    build_identities(file, &mut f);
    rules(file, &mut f);
    tests(file, &mut f);
    f.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn require<T>(&mut self, holds: bool, place: &Spanned<T>, message: impl Into<String>) {
        if !holds {
            self.0.push(at(place, message));
        }
    }

    fn name(&mut self, name: &Spanned<String>, whose: &str) {
        if let Some(problem) = name_problem(&name.value) {
            self.0.push(at(name, format!("the name of {whose} {problem}")));
        }
    }

    fn ids<'a>(&mut self, ids: impl Iterator<Item = &'a Spanned<String>>, what: &str) {
        let mut seen = BTreeSet::new();
        for id in ids {
            self.name(id, what);
            self.require(seen.insert(&id.value), id, format!("there are two of {what} {:?}", id.value));
        }
    }

    /// Where no part of the file can be named: its beginning.
    fn whole(&mut self, holds: bool, message: &str) {
        if !holds {
            self.0.push(Finding { line: 1, column: 1, message: message.to_owned() });
        }
    }

    /// Names in a list, each once.
    fn list(&mut self, place: &Spanned<String>, list: &[String], what: &str) {
        let mut seen = BTreeSet::new();
        for item in list {
            if let Some(problem) = name_problem(item) {
                self.0.push(at(place, format!("{what}: {item:?} {problem}")));
            }
            self.require(seen.insert(item), place, format!("{what}: {item:?} is listed twice"));
        }
    }
}

fn tiers(file: &File, f: &mut Findings) {
    f.ids(file.tiers.iter().map(|tier| &tier.id), "tier");
    f.whole(file.tiers.len() >= 2, "there must be two tiers or more: the floor raises to the second");
    f.whole(file.tiers.len() <= TIERS_MAX, "there are more than 16 tiers");
    for (place, tier) in file.tiers.iter().enumerate() {
        one_tier(place, tier, f);
    }
    if let Some(lowest) = file.tiers.first() {
        let positive = file.rules.iter().any(|rule| rule.tier.value == lowest.id.value);
        let message = format!(
            "the lowest tier {:?} has no rule that leads to it, so nothing reaches it",
            lowest.id.value
        );
        f.require(positive, &lowest.id, message);
    }
}

fn one_tier(place: usize, tier: &Tier, f: &mut Findings) {
    let id = &tier.id;
    let automated = tier.approval == ApprovalBy::Automated;
    f.require(
        place == 0 || !automated,
        id,
        format!("only the lowest tier may be automated, and {:?} is not it", id.value),
    );
    f.require(automated || !tier.approvers.is_empty(), id, format!("tier {:?} names no approvers", id.value));
    let groups: Vec<String> = tier.approvers.iter().map(|quorum| quorum.group.clone()).collect();
    f.list(id, &groups, "approvers");
    let places: u64 = tier.approvers.iter().map(|quorum| u64::from(quorum.count)).sum();
    let counted = tier.approvers.iter().all(|quorum| quorum.count > 0) && places <= u64::from(QUORUM_MAX);
    f.require(
        counted,
        id,
        format!("tier {:?} must ask for 1 to {QUORUM_MAX} approvers, and none of 0", id.value),
    );
    f.require(tier.retain_days > 0, id, format!("tier {:?} keeps its evidence for 0 days", id.value));
    f.list(id, &tier.login.acr, "login.acr");
    f.list(id, &tier.login.amr, "login.amr");
    f.require(
        tier.login.max_age_minutes != Some(0),
        id,
        format!("tier {:?} allows 0 minutes between login and decision", id.value),
    );
    f.list(id, &tier.explanations, "explanations");
    f.list(id, &tier.fairness_slices, "fairness_slices");
    f.list(id, &tier.questions, "questions");
}

fn bands(file: &File, f: &mut Findings) {
    for (name, band) in &file.bands {
        f.require(
            !band.value.is_empty(),
            band,
            format!("the band {name:?} is empty; it would allow everything"),
        );
        for entry in &band.value {
            let what = format!("band {name:?}, metric {:?}", entry.metric);
            f.require(name_problem(&entry.metric).is_none(), band, format!("{what}: not a name"));
            f.require(!entry.segments.is_empty(), band, format!("{what}: names no segments"));
            let tolerance = entry.tolerance.is_finite() && entry.tolerance >= 0.0;
            f.require(tolerance, band, format!("{what}: the tolerance is not a number of 0 or more"));
        }
    }
}

fn standing_policies(file: &File, f: &mut Findings) {
    f.ids(file.standing_policies.iter().map(|standing| &standing.id), "standing policy");
    let mut named = BTreeMap::new();
    for standing in &file.standing_policies {
        let StandingPolicy { id, models, services, accountable, band } = standing;
        let what = format!("standing policy {:?}", id.value);
        f.list(id, models, &what);
        f.require(!models.is_empty(), id, format!("{what} names no models"));
        f.require(!services.is_empty(), id, format!("{what} names no services"));
        f.require(!accountable.is_empty(), id, format!("{what} names nobody who is accountable"));
        f.require(
            file.bands.contains_key(band),
            id,
            format!("{what} names the band {band:?}, which does not exist"),
        );
        for identity in services.iter().chain(accountable) {
            let wrong = uri_problem(&identity.issuer).or_else(|| name_problem(&identity.subject));
            if let Some(problem) = wrong {
                f.require(
                    false,
                    id,
                    format!("{what}: {:?} at {:?} {problem}", identity.subject, identity.issuer),
                );
            }
        }
        for person in accountable {
            let both = services.contains(person);
            f.require(!both, id, format!("{what}: {:?} is a service and accountable for it", person.subject));
        }
        for model in models {
            if let Some(other) = named.insert(model, &id.value).filter(|other| **other != id.value) {
                let message = format!("{what} names the model {model:?}, as {other:?} does; one must decide");
                f.require(false, id, message);
            }
        }
    }
}

fn build_identities(file: &File, f: &mut Findings) {
    let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for identity in &file.build_identities {
        let id = &identity.value.id;
        f.require(name_problem(id).is_none(), identity, "the id of a build identity is not a name");
        f.require(ids.insert(id), identity, format!("there are two build identities {id:?}"));
        match identity.value.key() {
            None => f.require(
                false,
                identity,
                format!("the key of {id:?} is not an Ed25519 public key, hexadecimal or base64"),
            ),
            Some(key) => {
                f.require(keys.insert(key.to_bytes()), identity, format!("the key of {id:?} is listed twice"))
            }
        }
    }
}

fn rules(file: &File, f: &mut Findings) {
    f.ids(file.rules.iter().map(|rule| &rule.id), "rule");
    f.whole(file.rules.len() <= RULES_MAX, "there are more than 200 rules");
    let known = tier_names(file);
    for rule in &file.rules {
        let tier = &rule.tier;
        f.require(known.contains(tier.value.as_str()), tier, format!("there is no tier {:?}", tier.value));
        if let Some(problem) = free_text_problem(&rule.reason) {
            f.require(false, &rule.id, format!("the reason of rule {:?} {problem}", rule.id.value));
        }
    }
}

fn tests(file: &File, f: &mut Findings) {
    f.ids(file.tests.iter().map(|case| &case.name), "test");
    f.whole(file.tests.len() <= CASES_MAX, "there are more than 1000 tests");
    let tiers = tier_names(file);
    let rules: BTreeSet<&str> = file.rules.iter().map(|rule| rule.id.value.as_str()).collect();
    for case in &file.tests {
        let tier = &case.expect.tier;
        f.require(tiers.contains(tier.value.as_str()), tier, format!("there is no tier {:?}", tier.value));
        for rule in case.expect.rules.iter().flatten() {
            f.require(
                rules.contains(rule.as_str()),
                &case.name,
                format!("test {:?} expects the rule {rule:?}, which does not exist", case.name.value),
            );
        }
    }
}

fn tier_names(file: &File) -> BTreeSet<&str> {
    file.tiers.iter().map(|tier| tier.id.value.as_str()).collect()
}
