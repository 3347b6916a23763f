//! The six fields of a promotion on one screen: each with its source system and its digests.

use crate::event::{
    content,
    proto::{
        Approval, ApprovalRequest, ChallengerComparison, Dataset, EvidenceRef, Explanation, ModelVersion,
        PersonRef, Promoted, Routing,
    },
};
use crate::page::words::{comparator_role, strength};

use super::{
    output::{self, coloured},
    words::{self, People},
};

/// Lines of a screen.
pub struct Screen<'a> {
    lines: Vec<String>,
    people: &'a People,
}

pub use crate::page::words::{slot, slot_role as role};

/// The six fields and the profile.
pub fn screen(promoted: &Promoted, people: &People) -> Vec<String> {
    let mut screen = Screen { lines: Vec::new(), people };
    screen.model_version(&promoted.model_version.clone().unwrap_or_default());
    screen.comparison(&promoted.challenger_comparison.clone().unwrap_or_default());
    screen.request(&promoted.approval_request.clone().unwrap_or_default());
    screen.head("4 Approver identity", "identity provider");
    for (i, approval) in promoted.approvals.iter().enumerate() {
        screen.approval(i, approval);
    }
    screen.head("5 Explanation", "explanation job, artefact store");
    for explanation in &promoted.explanations {
        screen.explanation(explanation);
    }
    screen.dataset(&promoted.dataset.clone().unwrap_or_default());
    screen.lines.push(String::new());
    screen.evidence("profile", promoted.profile.as_ref());
    let all = content::evidence(promoted);
    let locked =
        |reference: &EvidenceRef| reference.lock.as_ref().is_some_and(|lock| lock.write_once == "compliance");
    let locked = all.iter().filter(|(_, reference)| locked(reference)).count();
    screen.line(
        "evidence",
        &format!("{} objects, {locked} of them locked (write once); --evidence DIR gets them all", all.len()),
    );
    let routing = promoted.routing.clone().unwrap_or_default();
    screen.routing(&routing);
    screen.lines
}

impl Screen<'_> {
    fn head(&mut self, title: &str, source: &str) {
        self.lines.push(format!("{}  from the {source}", coloured("1", title)));
    }

    fn line(&mut self, name: &str, value: &str) {
        self.lines.push(format!("    {name:<15} {value}"));
    }

    fn digest(&mut self, name: &str, digest: &[u8]) {
        self.line(name, &hex::encode(digest));
    }

    fn evidence(&mut self, name: &str, reference: Option<&EvidenceRef>) {
        let Some(reference) = reference else { return };
        let digest = hex::encode(&reference.sha256);
        self.line(name, &format!("{digest}  {}, {}", reference.media_type, words::bytes(reference.length)));
        // A content-addressed store says nothing with its URI that the digest did not say.
        if !reference.uri.ends_with(&digest) {
            self.line("", format!("{} {}", reference.uri, reference.version_id).trim_end());
        }
    }

    fn people(&mut self, name: &str, people: &[PersonRef]) {
        if !people.is_empty() {
            let names: Vec<_> = people.iter().map(|person| self.people.name(Some(person))).collect();
            self.line(name, &names.join("; "));
        }
    }

    fn model_version(&mut self, model: &ModelVersion) {
        self.head("1 Model version", "model registry");
        self.line("version", &format!("{} {} in {}", model.name, model.version, model.registry_uri));
        self.digest("artefact", &model.artifact_sha256);
        self.evidence("stored copy", model.copy.as_ref());
    }

    fn comparison(&mut self, comparison: &ChallengerComparison) {
        self.head("2 Challenger comparison", "comparison job");
        if comparison.no_incumbent {
            self.line("incumbent", "none: a first promotion");
        }
        for comparator in &comparison.comparators {
            let role = comparator_role(comparator.role);
            let artifact = hex::encode(&comparator.artifact_sha256);
            self.line(&role, &format!("{artifact}  {} {}", comparator.name, comparator.version));
        }
        self.evidence("report", comparison.report.as_ref());
        self.evidence("metrics", comparison.metrics.as_ref());
        let outside: Vec<_> = comparison.band_checks.iter().filter(|check| !check.within).collect();
        if !comparison.band_checks.is_empty() {
            let (all, out) = (comparison.band_checks.len(), outside.len());
            self.line("band check", &format!("{} of {all} metrics within their band", all - out));
        }
        for check in outside {
            let (metric, segment, tolerance) = (&check.metric, &check.segment, check.tolerance);
            self.line(
                "outside",
                &format!(
                    "{metric} on {segment}: {} against {}, band {tolerance}",
                    check.candidate, check.incumbent
                ),
            );
        }
        self.line("computed on", "the dataset of field six");
    }

    fn request(&mut self, request: &ApprovalRequest) {
        self.head("3 Approval request", "workflow tool");
        self.line("request", &format!("{} {}", request.system, request.id));
        self.line("requested by", &self.people.name(request.requested_by.as_ref()));
        self.line("triggered by", &self.people.name(request.triggered_by.as_ref()));
        self.people("contributors", &request.contributors);
        self.people("asked", &request.asked_people);
        if !request.asked_groups.is_empty() {
            self.line("asked groups", &request.asked_groups.join(", "));
        }
        let due = if request.due_at == 0 {
            String::new()
        } else {
            format!(", due {}", output::utc(request.due_at))
        };
        self.line("asked at", &format!("{}{due}", output::utc(request.asked_at)));
        for (path, text) in self.people.statements("approval_request.") {
            self.line(&path.replace('_', " "), &text);
        }
        if let Some(form) = &request.form {
            let required = form.questions.iter().filter(|question| question.required).count();
            let questions = form.questions.len();
            self.line(
                "form",
                &format!("{} {}: {questions} questions, {required} required", form.id, form.version),
            );
            self.evidence("", form.content.as_ref());
        }
    }

    fn approval(&mut self, i: usize, approval: &Approval) {
        let approver = approval.approver.as_ref();
        self.line("approved by", &self.people.name(approver));
        if !approval.standing_policy.is_empty() {
            let answers = self.people.name(approval.accountable.as_ref());
            self.line("automated", &format!("under {}; {answers} answers for it", approval.standing_policy));
        }
        self.line("at", &output::utc(approval.decided_at));
        let complete = if approval.groups_complete { "complete" } else { "not complete" };
        let groups = self.people.groups(approver).unwrap_or(&approval.matched_groups).join(", ");
        self.line("groups", &format!("{groups} (the list is {complete})"));
        let login = format!(
            "at {}, acr {}, amr {}",
            output::utc(approval.auth_time),
            approval.acr,
            approval.amr.join(" ")
        );
        self.line("logged in", &login);
        self.digest("assertion", &approval.assertion_sha256);
        let verified = match approval.verified_by.as_str() {
            "" => "its shape was checked, its signature was not",
            key => key,
        };
        self.line("verified by", verified);
        let answers = self.people.statements(&format!("approvals[{i}].answers."));
        if answers.is_empty() && !approval.answered.is_empty() {
            self.line("answered", &format!("{} (the answers are sealed)", approval.answered.join(", ")));
        }
        for (question, text) in answers {
            self.line(&question, &text);
        }
    }

    fn routing(&mut self, routing: &Routing) {
        self.line("routed to", &format!("tier {}, by {}", routing.tier, routing.engine));
        if routing.policy_sha256.is_empty() {
            return;
        }
        let policy = format!(
            "{} version {}, {}",
            routing.policy_id,
            routing.policy_version,
            hex::encode(&routing.policy_sha256)
        );
        self.line("policy", &policy);
        for matched in &routing.matched {
            self.line("rule", &format!("{} -> {}: {}", matched.rule, matched.tier, matched.reason));
        }
        if routing.matched.is_empty() {
            self.line("rule", "none matched, so the highest tier");
        }
        for reason in &routing.floor_reasons {
            self.line("floor", &format!("{}: {reason}", routing.floor_tier));
        }
        if !routing.approved_under_sha256.is_empty() {
            self.line("approved under", &hex::encode(&routing.approved_under_sha256));
        }
    }

    fn explanation(&mut self, explanation: &Explanation) {
        self.line(
            "kind",
            &format!("{}, by {} {}", explanation.kind, explanation.tool, explanation.tool_version),
        );
        self.evidence("content", explanation.content.as_ref());
        self.line("explains", "the artefact of field one");
        match &explanation.sample_manifest {
            None => self.line("computed on", "the dataset of field six"),
            Some(manifest) => {
                self.digest("computed on", &explanation.computed_on);
                self.evidence("sample of it", Some(manifest));
            }
        }
        self.digest("background", &explanation.background_sha256);
    }

    fn dataset(&mut self, dataset: &Dataset) {
        self.head("6 Dataset", "feature store");
        let strength = strength(dataset.strength);
        self.line("snapshot", &format!("{} {}", dataset.snapshot_kind, dataset.snapshot_id));
        self.line("digest", &format!("{}  {strength}", hex::encode(&dataset.digest)));
        self.evidence("definition", dataset.definition.as_ref());
        self.evidence("stored copy", dataset.copy.as_ref());
    }
}
