//! What a tier requires, and what of it a promotion lacks: all shortfalls at once, in words, with field paths.

use crate::event::{
    Micros,
    promotion::{Problem, Problems},
    proto, quorum,
};

use super::{
    check::Policy,
    file::{ApprovalBy, Comparison, Identity, Login, Tier},
};

/// The facts about a promotion that requirements are about. Made from a request, where people are known, or from
/// an event, where they are pseudonyms.
#[derive(Debug, Clone, Default)]
pub struct Submitted {
    /// Model name of the slot.
    pub model: String,
    /// Every approval.
    pub approvals: Vec<Approval>,
    /// Kinds of the explanations.
    pub explanations: Vec<String>,
    /// Media type of the comparison report.
    pub report_media_type: String,
    /// The form's questions.
    pub questions: Vec<Question>,
    /// Segments that the candidate has metrics of, `dimension:label`.
    pub segments: Vec<String>,
    /// Whether the change is inside the band, as the route says.
    pub in_band: bool,
}

/// A question of the approval form.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// Whether it must be answered.
    pub required: bool,
}

/// One approval.
#[derive(Debug, Clone, Default)]
pub struct Approval {
    /// Who approved; `None` where only a pseudonym is known. Then membership of a rota is not asked again: it
    /// was when the event was made.
    pub approver: Option<Identity>,
    /// Groups of the approver that count.
    pub matched_groups: Vec<String>,
    /// The standing policy of an automated approval; `None` for a person's.
    pub standing_policy: Option<String>,
    /// The person accountable for an automated approval; `None` where only a pseudonym is known.
    pub accountable: Option<Identity>,
    /// Questions that were answered.
    pub answered: Vec<String>,
    /// How the approver logged in.
    pub login: LoggedIn,
}

/// A login, as far as tiers ask for it.
#[derive(Debug, Clone, Default)]
pub struct LoggedIn {
    /// Authentication context class.
    pub acr: String,
    /// Authentication methods.
    pub amr: Vec<String>,
    /// Between the login and the decision, microseconds.
    pub age: Micros,
}

impl LoggedIn {
    /// The login of an event's approval.
    pub fn of(approval: &proto::Approval) -> Self {
        Self {
            acr: approval.acr.clone(),
            amr: approval.amr.clone(),
            age: approval.decided_at.saturating_sub(approval.auth_time),
        }
    }
}

impl Approval {
    fn automated(&self) -> bool {
        self.standing_policy.is_some()
    }
}

impl Policy {
    /// Everything that a promotion lacks for a tier; empty if it has all.
    pub fn shortfalls(&self, tier: &str, submitted: &Submitted) -> Vec<Problem> {
        let mut p = Problems::default();
        match self.tier(tier) {
            None => p.add("routing.tier", format!("the policy has no tier {tier:?}")),
            Some(tier) => {
                approvals(self, tier, submitted, &mut p);
                for (i, approval) in submitted.approvals.iter().enumerate() {
                    if !approval.automated() {
                        logged_in(tier, &approval.login, &format!("approvals[{i}]"), &mut p);
                    }
                }
                comparison(tier, submitted, &mut p);
                for kind in missing(&tier.explanations, &submitted.explanations) {
                    p.add(
                        "explanations",
                        format!("lacks one of kind {kind}, which tier {} requires", tier.id.value),
                    );
                }
                slices(tier, submitted, &mut p);
                questions(tier, submitted, &mut p);
            }
        }
        p.into_sorted()
    }

    /// What a person's login lacks for a tier; `at` is the path of the approval.
    pub fn login_shortfalls(&self, tier: &str, login: &LoggedIn, at: &str) -> Vec<Problem> {
        let mut p = Problems::default();
        if let Some(tier) = self.tier(tier) {
            logged_in(tier, login, at, &mut p);
        }
        p.into_sorted()
    }

    /// What a tier requires, in words; `None` for a tier that does not exist.
    pub fn in_words(&self, tier: &str) -> Option<Vec<String>> {
        self.tier(tier).map(in_words)
    }
}

fn logged_in(tier: &Tier, login: &LoggedIn, at: &str, p: &mut Problems) {
    let (asked, id) = (&tier.login, &tier.id.value);
    p.require(
        asked.acr.is_empty() || asked.acr.contains(&login.acr),
        format_args!("{at}.acr"),
        format_args!("is {:?}, but tier {id} needs a login of class {}", login.acr, asked.acr.join(" or ")),
    );
    for method in missing(&asked.amr, &login.amr) {
        p.add(format_args!("{at}.amr"), format!("lacks the method {method:?}, which tier {id} requires"));
    }
    if let Some(minutes) = asked.max_age_minutes {
        p.require(
            login.age <= u64::from(minutes) * 60_000_000,
            format_args!("{at}.auth_time"),
            format_args!(
                "is more than {minutes} minutes before the decision, which tier {id} does not allow"
            ),
        );
    }
}

fn in_words(tier: &Tier) -> Vec<String> {
    let mut words = Vec::new();
    let people = places_in_words(tier);
    words.push(match tier.approval {
        ApprovalBy::Automated => format!(
            "approval: automated by a service of the standing policy that names the model, with an accountable \
             person of its list and every metric in its band; or {people}"
        ),
        ApprovalBy::Human => format!("approval: {people}"),
    });
    words.extend(login_in_words(&tier.login));
    words.push(match tier.comparison {
        Comparison::Mechanical => "comparison: any form, also one for machines".to_owned(),
        Comparison::Rendered => "comparison: rendered for people, as HTML or PDF".to_owned(),
    });
    for (what, list) in [
        ("explanations, all of", &tier.explanations),
        ("metrics by segment of", &tier.fairness_slices),
        ("answers of every approver to the questions", &tier.questions),
    ] {
        if !list.is_empty() {
            words.push(format!("{what}: {}", list.join(", ")));
        }
    }
    words.push(format!("evidence kept for {} days", tier.retain_days));
    words
}

fn login_in_words(login: &Login) -> Option<String> {
    let mut parts = Vec::new();
    if !login.acr.is_empty() {
        parts.push(format!("of class {}", login.acr.join(" or ")));
    }
    if !login.amr.is_empty() {
        parts.push(format!("with {}", login.amr.join(" and ")));
    }
    if let Some(minutes) = login.max_age_minutes {
        parts.push(format!("at most {minutes} minutes before the decision"));
    }
    (!parts.is_empty()).then(|| format!("login of every approver: {}", parts.join(", ")))
}

fn places_in_words(tier: &Tier) -> String {
    if tier.approvers.is_empty() {
        return "one person".to_owned();
    }
    let places: Vec<_> =
        tier.approvers.iter().map(|quorum| format!("{} of {}", quorum.count, quorum.group)).collect();
    format!("{}, each by another person", places.join(" and "))
}

fn approvals(policy: &Policy, tier: &Tier, submitted: &Submitted, p: &mut Problems) {
    let automated = tier.approval == ApprovalBy::Automated;
    let mut lacking = Problems::default();
    let mut covered = false;
    for (i, approval) in submitted.approvals.iter().enumerate().filter(|(_, approval)| approval.automated()) {
        let at = format!("approvals[{i}]");
        if automated {
            let problems = under_standing_policy(policy, submitted, approval, &at);
            covered |= problems.is_empty();
            problems.into_iter().for_each(|problem| lacking.add(problem.field, problem.description));
        } else {
            let at = format!("{at}.standing_policy");
            p.add(at, format!("is automated, but tier {} asks for people", tier.id.value));
        }
    }
    if covered {
        return;
    }
    let people = people(tier, submitted);
    let lacking = lacking.into_sorted();
    // Whoever tried the automated way is told what is wrong with it, not that people could approve instead.
    let shown = if lacking.is_empty() || people.is_empty() { people } else { lacking };
    shown.into_iter().for_each(|problem| p.add(problem.field, problem.description));
}

fn under_standing_policy(
    policy: &Policy,
    submitted: &Submitted,
    approval: &Approval,
    at: &str,
) -> Vec<Problem> {
    let mut p = Problems::default();
    let Some(standing) = policy.standing_policy(&submitted.model) else {
        p.add(
            format!("{at}.standing_policy"),
            format!("no standing policy names the model {:?}", submitted.model),
        );
        return p.into_sorted();
    };
    let named = approval.standing_policy.as_deref().unwrap_or_default();
    p.require(
        named == standing.id.value,
        format!("{at}.standing_policy"),
        format!(
            "is {named:?}, but {:?} is the one that names the model {:?}",
            standing.id.value, submitted.model
        ),
    );
    p.require(
        submitted.in_band,
        format!("{at}.standing_policy"),
        format!("holds only inside the band {:?}, and the change is outside it", standing.band),
    );
    if let Some(service) = &approval.approver {
        p.require(
            standing.services.contains(service),
            format!("{at}.approver"),
            format!("{} is not a service of the standing policy {:?}", service.subject, standing.id.value),
        );
    }
    let known = approval.approver.is_some();
    p.require(
        approval.accountable.is_some() || !known,
        format!("{at}.accountable"),
        "is missing; an automated approval names a person who answers for it",
    );
    if let Some(person) = &approval.accountable {
        p.require(
            standing.accountable.contains(person),
            format!("{at}.accountable"),
            format!(
                "{} is not accountable under the standing policy {:?}",
                person.subject, standing.id.value
            ),
        );
    }
    p.into_sorted()
}

/// Fills the places of a quorum with people, at most one place for each.
fn people(tier: &Tier, submitted: &Submitted) -> Vec<Problem> {
    let mut p = Problems::default();
    let mut people: Vec<&Approval> = Vec::new();
    for approval in submitted.approvals.iter().filter(|approval| !approval.automated()) {
        // Two approvals of one person are one; of pseudonyms, the rules of the six fields have said so.
        let twice =
            approval.approver.is_some() && people.iter().any(|earlier| earlier.approver == approval.approver);
        if !twice {
            people.push(approval);
        }
    }
    if tier.approvers.is_empty() && people.is_empty() {
        p.add("approvals", format!("tier {} needs {}", tier.id.value, in_words_first(tier)));
    }
    let places = quorum::places(tier.approvers.iter().map(|quorum| (quorum.group.as_str(), quorum.count)));
    let groups: Vec<&[String]> = people.iter().map(|person| &person.matched_groups[..]).collect();
    let filled = quorum::filled(&places, &groups);
    for quorum in &tier.approvers {
        let group = quorum.group.as_str();
        let there = places.iter().zip(&filled).filter(|(place, filled)| **place == group && **filled).count();
        if there < quorum.count as usize {
            let members =
                people.iter().filter(|person| person.matched_groups.iter().any(|g| g == group)).count();
            let shared = if members > there { "; one person counts for one group only" } else { "" };
            p.add(
                "approvals",
                format!(
                    "tier {} needs {} of {group}, each by another person; {there} there{shared}",
                    tier.id.value, quorum.count
                ),
            );
        }
    }
    p.into_sorted()
}

fn in_words_first(tier: &Tier) -> String {
    match tier.approval {
        ApprovalBy::Automated => "an automated approval under a standing policy, or a person's".to_owned(),
        ApprovalBy::Human => places_in_words(tier),
    }
}

fn comparison(tier: &Tier, submitted: &Submitted, p: &mut Problems) {
    let essence =
        submitted.report_media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let rendered = matches!(essence.as_str(), "text/html" | "application/pdf");
    p.require(
        rendered || tier.comparison == Comparison::Mechanical,
        "challenger_comparison.report.media_type",
        format!(
            "is {:?}, but tier {} requires a comparison rendered for people: text/html or application/pdf",
            submitted.report_media_type, tier.id.value
        ),
    );
}

fn slices(tier: &Tier, submitted: &Submitted, p: &mut Problems) {
    for dimension in &tier.fairness_slices {
        let has = |segment: &String| segment.split_once(':').is_some_and(|(name, _)| name == dimension);
        p.require(
            submitted.segments.iter().any(has),
            "profile.metrics",
            format!("has no segments of {dimension}, by which tier {} requires metrics", tier.id.value),
        );
    }
}

fn questions(tier: &Tier, submitted: &Submitted, p: &mut Problems) {
    for id in &tier.questions {
        let asked = submitted.questions.iter().any(|question| question.id == *id && question.required);
        p.require(
            asked,
            "approval_request.form.questions",
            format!("lacks the question {id:?} as a required one; tier {} asks for it", tier.id.value),
        );
        for (i, approval) in
            submitted.approvals.iter().enumerate().filter(|(_, approval)| !approval.automated())
        {
            p.require(
                approval.answered.contains(id),
                format!("approvals[{i}].answers"),
                format!("the question {id:?} is not answered; tier {} asks for it", tier.id.value),
            );
        }
    }
}

fn missing<'a>(needed: &'a [String], there: &'a [String]) -> impl Iterator<Item = &'a String> {
    needed.iter().filter(|item| !there.contains(item))
}
