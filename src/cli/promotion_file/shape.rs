//! The promotion file as it is written. Times, roles and digests stay text here, so that every mistake in them
//! is reported at once, with the path of its field, and not only the first.

use serde::Deserialize;

/// The file. A field that is missing stays empty; the rules of the six fields name it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Promotion {
    /// Which model, where.
    pub slot: Slot,
    /// Field one.
    pub model_version: Option<ModelVersion>,
    /// Field two.
    pub challenger_comparison: Option<Comparison>,
    /// Field three.
    pub approval_request: Option<Request>,
    /// Field four.
    pub approvals: Vec<Approval>,
    /// Field five.
    pub explanations: Vec<Explanation>,
    /// Field six.
    pub dataset: Option<Dataset>,
    /// Path of the model profile.
    pub profile: Option<String>,
    /// Path of the build's signature over artefact and profile (DSSE).
    pub profile_attestation: Option<String>,
}

/// Which model, where.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slot {
    /// Name in the inventory.
    pub model: String,
    /// For instance `production`.
    pub environment: String,
    /// May be empty.
    pub region: String,
    /// champion, challenger, shadow, canary.
    pub role: String,
}

/// Evidence: a file, or the digest of bytes that are stored already.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// Path.
    pub file: Option<String>,
    /// Hex SHA-256, instead of a file.
    pub sha256: Option<String>,
    /// By the file's extension if it is not given.
    pub media_type: Option<String>,
    /// Pseudonym of the person for whom the stored bytes are sealed, as `evidence seal` prints it.
    pub about: Option<String>,
}

/// Field one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelVersion {
    /// Path of the artefact.
    pub artifact: Option<String>,
    /// Hex SHA-256, instead of a path.
    pub artifact_sha256: Option<String>,
    /// Also store the bytes.
    pub keep_copy: bool,
    /// Of the artefact.
    pub media_type: Option<String>,
    /// Where the registry is.
    pub registry_uri: String,
    /// Name in the registry.
    pub name: String,
    /// Concrete version.
    pub version: String,
}

/// A model that the candidate was compared with.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Comparator {
    /// champion, challenger, benchmark.
    pub role: String,
    /// Path of its artefact.
    pub artifact: Option<String>,
    /// Hex SHA-256, instead of a path.
    pub artifact_sha256: Option<String>,
    /// Name in the registry.
    pub name: String,
    /// Concrete version.
    pub version: String,
}

/// One line of the band check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Name of the metric.
    pub metric: String,
    /// `overall`, or the segment.
    pub segment: String,
    /// Of the candidate.
    pub candidate: f64,
    /// Of the champion.
    pub incumbent: f64,
    /// Absolute.
    pub tolerance: f64,
    /// |candidate - incumbent| <= tolerance.
    pub within: bool,
}

/// Field two.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Comparison {
    /// A first promotion.
    pub no_incumbent: bool,
    /// Compared with.
    pub comparators: Vec<Comparator>,
    /// As shown.
    pub report: Option<Evidence>,
    /// The numbers.
    pub metrics: Option<Evidence>,
    /// `dataset`, or a hex digest.
    pub computed_on: String,
    /// The band check.
    pub band_check: Vec<Band>,
}

/// A person.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Person {
    /// OpenID Connect issuer.
    pub issuer: String,
    /// Its name for the person.
    pub subject: String,
    /// For people.
    pub name: String,
}

/// The approval form.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Form {
    /// Id.
    pub id: String,
    /// Version.
    pub version: String,
    /// JSON: `questions: [{id, text, required}]`, and whatever else the form has.
    pub file: Option<String>,
    /// By the file's extension if it is not given.
    pub media_type: Option<String>,
}

/// The questions of a form file; other keys are the form's own.
#[derive(Debug, Deserialize)]
pub struct FormFile {
    /// What it asks.
    pub questions: Vec<Question>,
}

/// A question.
#[derive(Debug, Deserialize)]
pub struct Question {
    /// Id.
    pub id: String,
    /// As shown.
    pub text: String,
    /// Must be answered.
    #[serde(default)]
    pub required: bool,
}

/// Field three.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// For instance `jira`.
    pub system: String,
    /// Id in that system.
    pub id: String,
    /// Who asked.
    pub requested_by: Option<Person>,
    /// Who or what started it.
    pub triggered_by: Option<Person>,
    /// Who worked on it.
    pub contributors: Vec<Person>,
    /// Who was asked.
    pub asked_people: Vec<Person>,
    /// Who was asked.
    pub asked_groups: Vec<String>,
    /// RFC 3339.
    pub asked_at: Option<String>,
    /// RFC 3339.
    pub due_at: Option<String>,
    /// The form.
    pub form: Option<Form>,
    /// Why.
    pub justification: String,
    /// What remains.
    pub residual_risk: String,
}

/// Field four, one approver.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Who.
    pub approver: Option<Person>,
    /// RFC 3339.
    pub decided_at: Option<String>,
    /// All groups at that time.
    pub groups: Vec<String>,
    /// Groups that satisfied a requirement.
    pub matched_groups: Vec<String>,
    /// Whether `groups` is the whole list.
    pub groups_complete: bool,
    /// RFC 3339: the login.
    pub auth_time: Option<String>,
    /// Authentication context.
    pub acr: String,
    /// Authentication methods.
    pub amr: Vec<String>,
    /// Path of the assertion, a JWT.
    pub assertion: Option<String>,
    /// Path of the answers, JSON: {question id: answer}.
    pub answers: Option<String>,
    /// Automated approvals: the standing policy under which this service approves.
    pub standing_policy: String,
    /// Automated approvals: who answers for it.
    pub accountable: Option<Person>,
}

/// Field five, one explanation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Explanation {
    /// For instance `shap_report`.
    pub kind: String,
    /// Path.
    pub file: Option<String>,
    /// Hex SHA-256, instead of a path.
    pub sha256: Option<String>,
    /// By the file's extension if it is not given.
    pub media_type: Option<String>,
    /// Pseudonym of the person for whom the stored bytes are sealed, as `evidence seal` prints it.
    pub about: Option<String>,
    /// `model_version`, or a hex SHA-256.
    pub explains: String,
    /// `dataset`, or a hex digest.
    pub computed_on: String,
    /// Path of the manifest that says which rows of the dataset were taken.
    pub sample_manifest: Option<String>,
    /// Path of the background data, or its hex SHA-256.
    pub background: Option<String>,
    /// For instance `shap`.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
}

/// Field six.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dataset {
    /// Path of the snapshot.
    pub file: Option<String>,
    /// Hex digest of 256 to 512 bits, instead of a path.
    pub digest: Option<String>,
    /// Also store the bytes.
    pub keep_copy: bool,
    /// By the file's extension if it is not given.
    pub media_type: Option<String>,
    /// content, manifest.
    pub strength: String,
    /// For instance `csv_export`.
    pub snapshot_kind: String,
    /// Its id in the feature store.
    pub snapshot_id: String,
    /// Path of the definition.
    pub definition: Option<String>,
}

impl Promotion {
    /// Paths that are hashed, as written.
    pub fn hashed(&self) -> Vec<&str> {
        let mut paths: Vec<Option<&String>> = vec![self.profile.as_ref(), self.profile_attestation.as_ref()];
        if let Some(model) = &self.model_version {
            paths.push(model.artifact.as_ref());
        }
        if let Some(comparison) = &self.challenger_comparison {
            paths.extend(comparison.comparators.iter().map(|comparator| comparator.artifact.as_ref()));
            let evidence = comparison.report.iter().chain(&comparison.metrics);
            paths.extend(evidence.map(|evidence| evidence.file.as_ref()));
        }
        for explanation in &self.explanations {
            paths.extend([explanation.file.as_ref(), explanation.sample_manifest.as_ref()]);
            paths.push(explanation.background.as_ref().filter(|text| !is_digest(text)));
        }
        if let Some(dataset) = &self.dataset {
            paths.extend([dataset.file.as_ref(), dataset.definition.as_ref()]);
        }
        paths.push(self.form());
        paths.into_iter().flatten().map(String::as_str).collect()
    }

    /// Paths whose text is read: form, assertions, answers.
    pub fn texts(&self) -> Vec<&str> {
        let approvals =
            self.approvals.iter().flat_map(|approval| approval.assertion.iter().chain(&approval.answers));
        self.form().into_iter().chain(approvals).map(String::as_str).collect()
    }

    fn form(&self) -> Option<&String> {
        self.approval_request.as_ref()?.form.as_ref()?.file.as_ref()
    }
}

/// Whether text is a digest and not a path.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}
