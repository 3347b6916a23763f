//! The six fields of a promotion file, one function for each. Paths in problems are the API's.

use std::collections::BTreeMap;

use super::{convert::Converter, shape};
use crate::event::proto::{
    Answer, ApprovalDraft, ApprovalForm, ApprovalRequestDraft, BandCheck, ChallengerComparison, Comparator,
    ComparatorRole, Dataset, DatasetStrength, Explanation, FormQuestion, ModelVersion, Person, Slot,
    SlotRole,
};

const SLOT_ROLES: [(&str, i32); 4] = [
    ("champion", SlotRole::Champion as i32),
    ("challenger", SlotRole::Challenger as i32),
    ("shadow", SlotRole::Shadow as i32),
    ("canary", SlotRole::Canary as i32),
];
const COMPARATOR_ROLES: [(&str, i32); 3] = [
    ("champion", ComparatorRole::Champion as i32),
    ("challenger", ComparatorRole::Challenger as i32),
    ("benchmark", ComparatorRole::Benchmark as i32),
];
const STRENGTHS: [(&str, i32); 2] =
    [("content", DatasetStrength::Content as i32), ("manifest", DatasetStrength::Manifest as i32)];

/// Digests that words stand for; empty where they are not known.
pub struct Known {
    /// `model_version`.
    pub artifact: Vec<u8>,
    /// `dataset`.
    pub dataset: Vec<u8>,
}

/// Which model, where.
pub fn slot(c: &mut Converter<'_>, slot: &shape::Slot) -> Slot {
    Slot {
        model: slot.model.clone(),
        environment: slot.environment.clone(),
        region: slot.region.clone(),
        role: c.choice("slot.role", &slot.role, &SLOT_ROLES),
    }
}

/// Field one.
pub fn model_version(c: &mut Converter<'_>, model: &shape::ModelVersion) -> ModelVersion {
    let field = "model_version.artifact_sha256";
    let artifact = c.digest(field, model.artifact.as_ref(), model.artifact_sha256.as_ref());
    let copy = match (&model.artifact, artifact.is_some() && model.keep_copy) {
        (Some(path), true) => c.keep("model_version.copy", path, model.media_type.as_ref()),
        (None, true) => {
            c.problems.add("model_version.copy", "keep_copy needs the artefact's file, not only its digest");
            None
        }
        (_, false) => None,
    };
    ModelVersion {
        artifact_sha256: artifact.unwrap_or_default(),
        registry_uri: model.registry_uri.clone(),
        name: model.name.clone(),
        version: model.version.clone(),
        copy,
    }
}

/// Field two.
pub fn comparison(
    c: &mut Converter<'_>,
    comparison: &shape::Comparison,
    known: &Known,
) -> ChallengerComparison {
    let path = "challenger_comparison";
    let comparators = comparison.comparators.iter().enumerate().map(|(i, comparator)| {
        let at = format!("{path}.comparators[{i}]");
        let field = format!("{at}.artifact_sha256");
        let artifact = c.digest(&field, comparator.artifact.as_ref(), comparator.artifact_sha256.as_ref());
        Comparator {
            role: c.choice(&format!("{at}.role"), &comparator.role, &COMPARATOR_ROLES),
            artifact_sha256: artifact.unwrap_or_default(),
            name: comparator.name.clone(),
            version: comparator.version.clone(),
        }
    });
    let band = |band: &shape::Band| BandCheck {
        metric: band.metric.clone(),
        segment: band.segment.clone(),
        candidate: band.candidate,
        incumbent: band.incumbent,
        tolerance: band.tolerance,
        within: band.within,
    };
    ChallengerComparison {
        no_incumbent: comparison.no_incumbent,
        comparators: comparators.collect(),
        report: comparison.report.as_ref().and_then(|e| c.evidence("challenger_comparison.report", e)),
        metrics: comparison.metrics.as_ref().and_then(|e| c.evidence("challenger_comparison.metrics", e)),
        computed_on: c.word(
            "challenger_comparison.computed_on",
            &comparison.computed_on,
            "dataset",
            &known.dataset,
        ),
        band_checks: comparison.band_check.iter().map(band).collect(),
    }
}

fn person(person: &shape::Person) -> Person {
    Person { issuer: person.issuer.clone(), subject: person.subject.clone(), name: person.name.clone() }
}

/// Field three.
pub fn request(c: &mut Converter<'_>, request: &shape::Request) -> ApprovalRequestDraft {
    ApprovalRequestDraft {
        system: request.system.clone(),
        id: request.id.clone(),
        requested_by: request.requested_by.as_ref().map(person),
        triggered_by: request.triggered_by.as_ref().map(person),
        contributors: request.contributors.iter().map(person).collect(),
        asked_people: request.asked_people.iter().map(person).collect(),
        asked_groups: request.asked_groups.clone(),
        asked_at: c.time("approval_request.asked_at", request.asked_at.as_ref()),
        due_at: c.time("approval_request.due_at", request.due_at.as_ref()),
        form: request.form.as_ref().map(|approval_form| form(c, approval_form)),
        justification: request.justification.trim_end().to_owned(),
        residual_risk: request.residual_risk.trim_end().to_owned(),
    }
}

fn form(c: &mut Converter<'_>, form: &shape::Form) -> ApprovalForm {
    let field = "approval_request.form.content";
    let content = form.file.as_ref().and_then(|path| c.keep(field, path, form.media_type.as_ref()));
    let text = form.file.as_ref().filter(|_| content.is_some()).and_then(|path| c.text(field, path));
    let file = text.and_then(|text| match serde_json::from_str::<shape::FormFile>(&text) {
        Ok(file) => Some(file),
        Err(error) => {
            c.problems.add(
                "approval_request.form.questions",
                format!("the form is not JSON with questions: {error}"),
            );
            None
        }
    });
    let question = |question: shape::Question| FormQuestion {
        id: question.id,
        text: question.text,
        required: question.required,
    };
    if form.file.is_some() && file.is_none() {
        c.unresolved("approval_request.form.questions");
    }
    ApprovalForm {
        id: form.id.clone(),
        version: form.version.clone(),
        content,
        questions: file.map(|file| file.questions.into_iter().map(question).collect()).unwrap_or_default(),
    }
}

/// Field four.
pub fn approvals(c: &mut Converter<'_>, approvals: &[shape::Approval]) -> Vec<ApprovalDraft> {
    let one = |(i, approval): (usize, &shape::Approval)| {
        let at = format!("approvals[{i}]");
        let assertion = approval.assertion.as_ref().and_then(|path| c.text(&format!("{at}.assertion"), path));
        ApprovalDraft {
            approver: approval.approver.as_ref().map(person),
            decided_at: c.time(&format!("{at}.decided_at"), approval.decided_at.as_ref()),
            groups: approval.groups.clone(),
            matched_groups: approval.matched_groups.clone(),
            groups_complete: approval.groups_complete,
            auth_time: c.time(&format!("{at}.auth_time"), approval.auth_time.as_ref()),
            acr: approval.acr.clone(),
            amr: approval.amr.clone(),
            assertion: assertion.map(|text| text.trim().to_owned()).unwrap_or_default(),
            answers: approval.answers.as_ref().map(|path| answers(c, &at, path)).unwrap_or_default(),
            standing_policy: approval.standing_policy.clone(),
            accountable: approval.accountable.as_ref().map(person),
        }
    };
    approvals.iter().enumerate().map(one).collect()
}

fn answers(c: &mut Converter<'_>, at: &str, path: &str) -> Vec<Answer> {
    let field = format!("{at}.answers");
    let Some(text) = c.text(&field, path) else { return Vec::new() };
    match serde_json::from_str::<BTreeMap<String, String>>(&text) {
        Ok(answers) => answers.into_iter().map(|(question, text)| Answer { question, text }).collect(),
        Err(error) => {
            c.problems.add(
                field,
                format!("{path} is not JSON of the form {{\"question id\": \"answer\"}}: {error}"),
            );
            Vec::new()
        }
    }
}

/// Field five.
pub fn explanations(
    c: &mut Converter<'_>,
    explanations: &[shape::Explanation],
    known: &Known,
) -> Vec<Explanation> {
    let one = |(i, explanation): (usize, &shape::Explanation)| {
        let at = format!("explanations[{i}]");
        let content = shape::Evidence {
            file: explanation.file.clone(),
            sha256: explanation.sha256.clone(),
            media_type: explanation.media_type.clone(),
            about: explanation.about.clone(),
        };
        let manifest = explanation.sample_manifest.as_ref();
        let field = format!("{at}.background_sha256");
        let background = match explanation.background.as_ref() {
            Some(text) if shape::is_digest(text) => c.digest(&field, None, Some(text)),
            path => c.digest(&field, path, None),
        };
        Explanation {
            kind: explanation.kind.clone(),
            content: c.evidence(&format!("{at}.content"), &content),
            explains: c.word(
                &format!("{at}.explains"),
                &explanation.explains,
                "model_version",
                &known.artifact,
            ),
            computed_on: c.word(
                &format!("{at}.computed_on"),
                &explanation.computed_on,
                "dataset",
                &known.dataset,
            ),
            sample_manifest: manifest.and_then(|path| c.keep(&format!("{at}.sample_manifest"), path, None)),
            background_sha256: background.unwrap_or_default(),
            tool: explanation.tool.clone(),
            tool_version: explanation.tool_version.clone(),
        }
    };
    explanations.iter().enumerate().map(one).collect()
}

/// Field six.
pub fn dataset(c: &mut Converter<'_>, dataset: &shape::Dataset) -> Dataset {
    let digest = c.digest("dataset.digest", dataset.file.as_ref(), dataset.digest.as_ref());
    let copy = match (&dataset.file, digest.is_some() && dataset.keep_copy) {
        (Some(path), true) => c.keep("dataset.copy", path, dataset.media_type.as_ref()),
        (None, true) => {
            c.problems.add("dataset.copy", "keep_copy needs the snapshot's file, not only its digest");
            None
        }
        (_, false) => None,
    };
    let definition = dataset.definition.as_ref().and_then(|path| c.keep("dataset.definition", path, None));
    if dataset.definition.is_some() && definition.is_none() {
        c.unresolved("dataset.definition_digest");
    }
    Dataset {
        digest: digest.unwrap_or_default(),
        strength: c.choice("dataset.strength", &dataset.strength, &STRENGTHS),
        snapshot_kind: dataset.snapshot_kind.clone(),
        snapshot_id: dataset.snapshot_id.clone(),
        definition_digest: definition.as_ref().map(|reference| reference.sha256.clone()).unwrap_or_default(),
        definition,
        copy,
    }
}
