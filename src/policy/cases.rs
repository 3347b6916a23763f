//! A policy's own tests: each one lays a few differences over an unchanged retrain and says where it must go.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    band::EVERY_SEGMENT,
    change::{Difference, Pair},
    check::Policy,
    file::{Case, File, Overrides},
    inputs::{Candidate, INPUTS_VERSION, Inputs, PreviousFacts, SinceHuman},
    profile::OVERALL,
    provenance::{Provenance, Source},
    route::Route,
};

/// How one test went.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Where its name stands in the file: line and column, from 1.
    pub place: (u64, u64),
    /// What differs from what it expects, in words; empty if it passed.
    pub failures: Vec<String>,
    /// Where it was routed, if it could be.
    pub route: Option<Route>,
}

impl CaseResult {
    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs all tests of a policy.
pub fn run(policy: &Policy) -> Vec<CaseResult> {
    policy.file().tests.iter().map(|case| run_one(policy, case)).collect()
}

fn run_one(policy: &Policy, case: &Case) -> CaseResult {
    let place = (case.name.referenced.line(), case.name.referenced.column());
    let mut result = CaseResult { name: case.name.value.clone(), place, failures: Vec::new(), route: None };
    match inputs(policy.file(), &case.given).map(|inputs| policy.route(&inputs)) {
        Err(message) => result.failures.push(message),
        Ok(Err(error)) => result.failures.push(error.to_string()),
        Ok(Ok(route)) => {
            result.failures = differences(case, &route);
            result.route = Some(route);
        }
    }
    result
}

fn differences(case: &Case, route: &Route) -> Vec<String> {
    let mut failures = Vec::new();
    if route.tier != case.expect.tier.value {
        let floor = route.floor.as_ref().map_or_else(String::new, |floor| {
            format!("; the floor is {}: {}", floor.tier, floor.reasons.join("; "))
        });
        failures.push(format!(
            "expected tier {}, routed to {} (the policy's rules: {}){floor}",
            case.expect.tier.value, route.tier, route.policy_tier
        ));
    }
    if let Some(expected) = &case.expect.rules {
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        let matched: BTreeSet<&str> = route.matched.iter().map(|matched| matched.rule.as_str()).collect();
        let list = |rules: Vec<&&str>| rules.into_iter().copied().collect::<Vec<_>>().join(", ");
        let (missing, extra) =
            (list(expected.difference(&matched).collect()), list(matched.difference(&expected).collect()));
        if !missing.is_empty() {
            failures.push(format!("expected these rules to match, but they did not: {missing}"));
        }
        if !extra.is_empty() {
            failures.push(format!("these rules matched, but were not expected: {extra}"));
        }
    }
    failures
}

/// The inputs of a test: an unchanged retrain, the file's baseline, what the test gives.
fn inputs(file: &File, given: &Overrides) -> Result<Inputs, String> {
    let model = [given, &file.baseline]
        .into_iter()
        .find_map(|overrides| overrides.candidate.as_ref()?.get("model")?.as_str().map(str::to_owned));
    let base = neutral(file, model.as_deref());
    let mut value = serde_json::to_value(base).map_err(|error| error.to_string())?;
    for overrides in [&file.baseline, given] {
        for (key, part) in [
            ("candidate", &overrides.candidate),
            ("change", &overrides.change),
            ("previous", &overrides.previous),
            ("since_human", &overrides.since_human),
        ] {
            if let (Some(part), Value::Object(members)) = (part, &mut value) {
                lay_over(members.entry(key).or_insert(Value::Null), part);
            }
        }
    }
    serde_json::from_value(value).map_err(|error| format!("its inputs are wrong: {error}"))
}

fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key.as_str()).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// An attested retrain in which nothing changed but the snapshot, inside the band of the standing policy that
/// names the model. Without a model: the first one that any standing policy names.
pub(super) fn neutral(file: &File, model: Option<&str>) -> Inputs {
    let first = || file.standing_policies.iter().flat_map(|standing| &standing.models).next();
    let model = model.or(first().map(String::as_str)).unwrap_or("model").to_owned();
    let standing = file.standing_policies.iter().find(|standing| standing.models.contains(&model));
    let mut change = Difference { snapshot_rolled: true, ..Difference::default() };
    let band = standing.and_then(|standing| file.bands.get(&standing.band));
    for entry in band.into_iter().flat_map(|band| &band.value) {
        for segment in &entry.segments {
            let metric = entry.metric.as_str();
            match segment.as_str() {
                OVERALL => {
                    change.overall.insert(metric.into(), Pair { candidate: Some(0.5), incumbent: Some(0.5) });
                }
                EVERY_SEGMENT => unchanged(&mut change, "any:segment", metric),
                segment => unchanged(&mut change, segment, metric),
            }
        }
    }
    let since_human = SinceHuman { change: change.clone(), seq: 1 };
    Inputs {
        candidate: Candidate {
            algorithm: "logistic_regression".into(),
            artifact_sha256: "aa".repeat(32),
            dataset_digest: "dd".repeat(32),
            environment: "production".into(),
            feature_count: 10,
            incumbent: Some("bb".repeat(32)),
            intended_uses: vec!["monitoring".into()],
            inventory_id: "inventory-1".into(),
            model,
            provenance: Provenance::all(Source::Attested),
            risk_tier: "tier_1".into(),
            role: "champion".into(),
            segments: change.segments.keys().map(|name| name.to_string()).collect(),
            training_days: 100,
            training_rows: 1000,
        },
        previous: Some(PreviousFacts {
            algorithm: "logistic_regression".into(),
            artifact_sha256: "bb".repeat(32),
            intended_uses: vec!["monitoring".into()],
            risk_tier: "tier_1".into(),
            seq: 1,
        }),
        change,
        since_human: Some(since_human),
        version: INPUTS_VERSION,
    }
}

fn unchanged(change: &mut Difference, segment: &str, metric: &str) {
    let mut metrics = change.segments.get(segment).cloned().unwrap_or_default();
    metrics.insert(metric.into(), Some(0.0));
    change.segments.insert(segment.into(), metrics);
}
