//! What a review's page offers, and which of it an approver must open. Pure.

use crate::{
    event::{
        promotion::Problem,
        proto::{Artefact, ArtefactRole, EvidenceRef, Promoted, StaticRendition},
    },
    page::Exhibits,
};

/// A piece of evidence that the screen offers.
pub(super) struct Offered<'a> {
    role: ArtefactRole,
    pub path: String,
    name: String,
    pub reference: &'a EvidenceRef,
    pub required: bool,
}

impl Offered<'_> {
    /// Whether it can be read only while the person whom it is about is known.
    pub(super) fn is_sealed(&self) -> bool {
        !self.reference.subject_id.is_empty()
    }
}

/// What is wrong where evidence is sealed for a person: approvers read none of that, so there must be an explanation that
/// they can read, and nothing that shows the sealed one in clear.
pub(super) fn sealed_problems(package: &Promoted, renditions: &[StaticRendition]) -> Vec<Problem> {
    let problem = |field: String, description: &str| Problem { field, description: description.into() };
    let mut problems = Vec::new();
    let mut contents = package.explanations.iter().filter_map(|explanation| explanation.content.as_ref());
    if !package.explanations.is_empty() && contents.all(|content| !content.subject_id.is_empty()) {
        problems.push(problem(
            "explanations".into(),
            "are all sealed for a person, and approvers must read one: add one in clear that names nobody",
        ));
    }
    let sealed = offered(package).into_iter().filter(Offered::is_sealed);
    for offered in sealed.filter(|it| renditions.iter().any(|shown| shown.of == it.reference.sha256)) {
        problems.push(problem(
            offered.path,
            "is sealed for a person, but a static rendition would show it to everybody; leave that out",
        ));
    }
    problems
}

/// Every piece of evidence that the page offers; the report and the explanations must be opened.
pub(super) fn offered(package: &Promoted) -> Vec<Offered<'_>> {
    let comparison = package.challenger_comparison.as_ref();
    let form = package.approval_request.as_ref().and_then(|request| request.form.as_ref());
    let definition = package.dataset.as_ref().and_then(|dataset| dataset.definition.as_ref());
    let mut all: Vec<Offered<'_>> = Vec::new();
    let named = |role, path: &str, name: &str, required| (role, path.to_owned(), name.to_owned(), required);
    let fixed = [
        (
            named(ArtefactRole::ComparisonReport, "challenger_comparison.report", "comparison report", true),
            comparison.and_then(|c| c.report.as_ref()),
        ),
        (
            named(ArtefactRole::Metrics, "challenger_comparison.metrics", "metrics", false),
            comparison.and_then(|c| c.metrics.as_ref()),
        ),
        (named(ArtefactRole::Profile, "profile", "model profile", false), package.profile.as_ref()),
        (
            named(ArtefactRole::Form, "approval_request.form.content", "approval form", false),
            form.and_then(|f| f.content.as_ref()),
        ),
        (
            named(ArtefactRole::DatasetDefinition, "dataset.definition", "dataset definition", false),
            definition,
        ),
        (
            named(ArtefactRole::Attestation, "profile_attestation", "attestation of the build", false),
            package.profile_attestation.as_ref(),
        ),
    ];
    for ((role, path, name, required), reference) in fixed {
        all.extend(reference.map(|reference| Offered { role, path, name, reference, required }));
    }
    for (i, explanation) in package.explanations.iter().enumerate() {
        let path = format!("explanations[{i}].content");
        let role = ArtefactRole::Explanation;
        let name = format!("explanation: {}", explanation.kind);
        all.extend(explanation.content.as_ref().map(|reference| Offered {
            role,
            path,
            name,
            reference,
            required: reference.subject_id.is_empty(),
        }));
        let (role, name) = (ArtefactRole::SampleManifest, format!("sample of explanation {}", i + 1));
        let path = format!("explanations[{i}].sample_manifest");
        all.extend(explanation.sample_manifest.as_ref().map(|reference| Offered {
            role,
            path,
            name,
            reference,
            required: false,
        }));
    }
    all
}

pub(super) fn artefacts(
    package: &Promoted,
    renditions: &[StaticRendition],
    exhibits: &Exhibits,
) -> Vec<Artefact> {
    let mut all: Vec<Artefact> = Vec::new();
    let mut add = |artefact: Artefact| {
        if let Some(known) = all.iter_mut().find(|known| known.sha256 == artefact.sha256) {
            known.required |= artefact.required;
        } else {
            all.push(artefact);
        }
    };
    for offered in offered(package) {
        let rendition =
            renditions.iter().find(|it| it.of == offered.reference.sha256).and_then(|it| it.content.as_ref());
        let reference = offered.reference;
        add(Artefact {
            role: offered.role.into(),
            name: offered.name.clone(),
            sha256: reference.sha256.clone(),
            length: reference.length,
            media_type: reference.media_type.clone(),
            // Where a static rendition is shown first, that one must be opened.
            required: offered.required && rendition.is_none(),
            renders: Vec::new(),
        });
        if let Some(rendition) = rendition {
            add(Artefact {
                role: ArtefactRole::StaticRendition.into(),
                name: format!("{} (static)", offered.name),
                sha256: rendition.sha256.clone(),
                length: exhibits.get(rendition).map_or(0, |bytes| bytes.len() as u64),
                media_type: rendition.media_type.clone(),
                required: offered.required,
                renders: reference.sha256.clone(),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::proto::Explanation;

    fn explanation(sha256: u8, sealed: bool) -> Explanation {
        let subject_id = if sealed { vec![9; 32] } else { Vec::new() };
        let content = EvidenceRef { sha256: vec![sha256; 32], subject_id, ..EvidenceRef::default() };
        Explanation { content: Some(content), ..Explanation::default() }
    }

    #[test]
    fn what_is_sealed_for_a_person_is_offered_but_never_required_reading() {
        let package = Promoted {
            explanations: vec![explanation(1, true), explanation(2, false)],
            ..Promoted::default()
        };
        let required: Vec<_> = offered(&package).iter().map(|it| (it.is_sealed(), it.required)).collect();
        assert_eq!(required, [(true, false), (false, true)]);
        assert!(sealed_problems(&package, &[]).is_empty());
        let shown = StaticRendition { of: vec![1; 32], ..StaticRendition::default() };
        let problems = sealed_problems(&package, &[shown]);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, "explanations[0].content");
    }

    #[test]
    fn approvers_need_an_explanation_that_they_can_read() {
        let package = Promoted { explanations: vec![explanation(1, true)], ..Promoted::default() };
        let problems = sealed_problems(&package, &[]);
        assert_eq!(problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["explanations"]);
    }
}
