//! An event's routing, derived again from what the event froze: by every node, and by everybody who verifies.

use crate::event::{
    Digest, Seq,
    promotion::Problem,
    proto::{MatchedRule, Promoted, Routing, SlotRole},
};

use super::{
    check::Policy,
    inputs::Inputs,
    requirements::{Approval, LoggedIn, Question, Submitted},
    route::{ENGINE, Route},
};

/// A route as an event keeps it.
pub fn routing(policy: &Policy, route: &Route, inputs: Vec<u8>) -> Routing {
    let matched = route.matched.iter().map(|matched| MatchedRule {
        rule: matched.rule.clone(),
        tier: matched.tier.clone(),
        reason: matched.reason.clone(),
    });
    Routing {
        tier: route.tier.clone(),
        engine: ENGINE.into(),
        policy_sha256: policy.digest().0.to_vec(),
        policy_id: policy.id().into(),
        policy_version: policy.version(),
        matched: matched.collect(),
        policy_tier: route.policy_tier.clone(),
        floor_tier: route.floor.as_ref().map(|floor| floor.tier.clone()).unwrap_or_default(),
        floor_reasons: route.floor.as_ref().map(|floor| floor.reasons.clone()).unwrap_or_default(),
        standing_policy: route.standing_policy.clone().unwrap_or_default(),
        in_band: route.in_band,
        inputs,
        approved_under_sha256: Vec::new(),
    }
}

/// What a slot held before a promotion.
#[derive(Debug, Clone, Copy, Default)]
pub struct Earlier {
    /// The promotion that was current, and its artefact.
    pub current: Option<(Seq, Digest)>,
    /// The last one that was current and that people approved: a later one would hide what has added up since.
    pub human: Option<Seq>,
}

/// The facts that requirements are about, from an event: people are pseudonyms there.
pub fn submitted(promoted: &Promoted, inputs: &Inputs, in_band: bool) -> Submitted {
    let form = promoted.approval_request.as_ref().and_then(|request| request.form.as_ref());
    let report = promoted.challenger_comparison.as_ref().and_then(|comparison| comparison.report.as_ref());
    let approval = |approval: &crate::event::proto::Approval| Approval {
        approver: None,
        matched_groups: approval.matched_groups.clone(),
        standing_policy: (!approval.standing_policy.is_empty()).then(|| approval.standing_policy.clone()),
        accountable: None,
        answered: approval.answered.clone(),
        login: LoggedIn::of(approval),
    };
    Submitted {
        model: promoted.slot.as_ref().map(|slot| slot.model.clone()).unwrap_or_default(),
        approvals: promoted.approvals.iter().map(approval).collect(),
        explanations: promoted.explanations.iter().map(|explanation| explanation.kind.clone()).collect(),
        report_media_type: report.map(|report| report.media_type.clone()).unwrap_or_default(),
        questions: form.map_or_else(Vec::new, |form| {
            let question =
                |q: &crate::event::proto::FormQuestion| Question { id: q.id.clone(), required: q.required };
            form.questions.iter().map(question).collect()
        }),
        segments: inputs.candidate.segments.clone(),
        in_band,
    }
}

/// Where recorded checks of the band are not what the frozen inputs say.
pub fn band_problems(promoted: &Promoted, inputs: &Inputs) -> Vec<Problem> {
    let checks = promoted.challenger_comparison.iter().flat_map(|comparison| &comparison.band_checks);
    let mut problems = Vec::new();
    for (i, check) in checks.enumerate() {
        let delta = inputs.change.delta(&check.segment, &check.metric);
        let agrees = delta.is_some_and(|delta| (check.candidate - check.incumbent - delta).abs() < 1e-6);
        if !agrees {
            let derived = delta.map_or("not measured in both".to_owned(), |delta| format!("{delta:+}"));
            problems.push(Problem {
                field: format!("challenger_comparison.band_checks[{i}]"),
                description: format!(
                    "says that {} of {} moved by {:+}; by the profile's metrics it is {derived}",
                    check.metric,
                    check.segment,
                    check.candidate - check.incumbent
                ),
            });
        }
    }
    problems
}

/// What an event's routing does not follow from: empty if policy and frozen inputs give exactly what was recorded,
/// the inputs are about this promotion, and it lacks nothing that its tier requires.
///
/// `earlier` is what the slot held when this one was recorded. Gives the inputs back, which reading took longer than
/// routing them.
pub fn findings(promoted: &Promoted, policy: &Policy, earlier: Earlier) -> (Option<Inputs>, Vec<String>) {
    let Some(recorded) = &promoted.routing else { return (None, vec!["the event has no routing".into()]) };
    match Inputs::from_bytes(&recorded.inputs) {
        Ok(inputs) => {
            let findings = routed_otherwise(promoted, recorded, policy, &inputs, earlier);
            (Some(inputs), findings)
        }
        Err(error) => (None, vec![error.to_string()]),
    }
}

fn routed_otherwise(
    promoted: &Promoted,
    recorded: &Routing,
    policy: &Policy,
    inputs: &Inputs,
    earlier: Earlier,
) -> Vec<String> {
    let route = match policy.route(inputs) {
        Ok(route) => route,
        Err(error) => return vec![error.to_string()],
    };
    let mut findings = about_something_else(promoted, inputs, earlier);
    // The inputs are what was just read, and which policy people approved under does not follow from them.
    let derived = Routing {
        approved_under_sha256: recorded.approved_under_sha256.clone(),
        ..routing(policy, &route, recorded.inputs.clone())
    };
    if recorded.tier != derived.tier {
        findings.push(format!("recorded with tier {}, but routed to {}", recorded.tier, derived.tier));
    } else if *recorded != derived {
        findings.push("the recorded route differs from the derived one in its reasons".into());
    }
    let lacking = policy.shortfalls(&derived.tier, &submitted(promoted, inputs, route.in_band));
    let band = band_problems(promoted, inputs);
    findings.extend(lacking.into_iter().chain(band).map(|p| format!("{} {}", p.field, p.description)));
    findings
}

/// Where frozen inputs are not about the promotion in whose event they stand.
fn about_something_else(promoted: &Promoted, inputs: &Inputs, earlier: Earlier) -> Vec<String> {
    let slot = promoted.slot.clone().unwrap_or_default();
    let model = promoted.model_version.as_ref().map(|model| hex::encode(&model.artifact_sha256));
    let dataset = promoted.dataset.as_ref().map(|dataset| hex::encode(&dataset.digest));
    let previous = inputs.previous.as_ref().map(|p| (p.seq, p.artifact_sha256.clone()));
    let human = inputs.since_human.as_ref().map(|human| human.seq);
    let pairs = [
        ("model", inputs.candidate.model == slot.model),
        ("environment", inputs.candidate.environment == slot.environment),
        ("role", inputs.candidate.role == role_name(slot.role)),
        ("artefact", Some(&inputs.candidate.artifact_sha256) == model.as_ref()),
        ("dataset", Some(&inputs.candidate.dataset_digest) == dataset.as_ref()),
        // An earlier promotion without a readable profile counts as none; never the reverse.
        (
            "previous promotion",
            previous.is_none() || previous == earlier.current.map(|(seq, a)| (seq, a.to_string())),
        ),
        ("last promotion that people approved", human.is_none() || human == earlier.human),
    ];
    let other = pairs.into_iter().filter(|(_, same)| !same);
    other.map(|(what, _)| format!("the routing inputs are about another {what}")).collect()
}

/// A slot's role as rules see it, lower case.
pub fn role_name(role: i32) -> String {
    let known = SlotRole::try_from(role).unwrap_or_default();
    known.as_str_name().trim_start_matches("SLOT_ROLE_").to_lowercase()
}
