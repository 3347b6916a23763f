//! Six-field promotions for the load: complete, distinct, on evidence that is uploaded once.

use crate::{
    cli::source::Channel,
    event::{
        Digest, Micros,
        digest::sha256,
        proto::{
            Answer, ApprovalDraft, ApprovalForm, ApprovalRequestDraft, BandCheck, ChallengerComparison,
            Comparator, ComparatorRole, Dataset, DatasetStrength, EvidenceDescription, EvidenceRef,
            Explanation, FormQuestion, ModelVersion, Person, PromotionDraft, Slot, SlotRole,
            UploadEvidenceRequest, emitter_service_client::EmitterServiceClient,
            upload_evidence_request::Part,
        },
    },
    identity::development::ISSUER_DEFAULT as ISSUER,
};

/// A piece of shared evidence.
pub struct Piece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// RFC 6838.
    pub media_type: &'static str,
}

/// The evidence that every event of the load refers to.
pub fn evidence() -> [Piece; 7] {
    let piece =
        |name: &str, media_type| Piece { bytes: format!("{name} of the load\n").into_bytes(), media_type };
    [
        piece("comparison report", "text/html"),
        piece("metrics", "application/json"),
        piece("form", "application/json"),
        piece("SHAP report", "text/html"),
        piece("attribution", "text/csv"),
        piece("dataset definition", "application/yaml"),
        piece("model profile", "application/json"),
    ]
}

/// Uploads the evidence, which every promotion of the load needs to be there.
///
/// # Errors
/// Of the first call that failed.
pub async fn upload(channel: &Channel, pieces: &[Piece]) -> Result<(), tonic::Status> {
    let mut emitter = EmitterServiceClient::new(channel.clone());
    for piece in pieces {
        let description = EvidenceDescription {
            sha256: sha256(&piece.bytes).0.to_vec(),
            length: piece.bytes.len() as u64,
            media_type: piece.media_type.into(),
            offset: 0,
        };
        let parts = [Part::Description(description), Part::Chunk(piece.bytes.clone())];
        let messages = parts.map(|part| UploadEvidenceRequest { part: Some(part) });
        emitter.upload_evidence(tokio_stream::iter(messages)).await?;
    }
    Ok(())
}

fn reference(piece: &Piece) -> Option<EvidenceRef> {
    Some(EvidenceRef {
        sha256: sha256(&piece.bytes).0.to_vec(),
        length: piece.bytes.len() as u64,
        media_type: piece.media_type.into(),
        ..EvidenceRef::default()
    })
}

fn person(subject: &str, name: &str) -> Option<Person> {
    Some(Person { issuer: ISSUER.into(), subject: subject.into(), name: name.into() })
}

/// Digest of the n-th artefact of a client's model.
fn artifact(run: &str, client: usize, n: u64) -> Digest {
    sha256(format!("artefact {run} {client} {n}").as_bytes())
}

/// The n-th promotion of a client, complete and valid at `now` but for its approver's login, which the development issuer
/// makes. Each client has a slot of its own.
pub fn promotion(pieces: &[Piece; 7], run: &str, client: usize, n: u64, now: Micros) -> PromotionDraft {
    let [report, metrics, form, shap, attribution, definition, profile] = pieces;
    let dataset = sha256(b"evaluation snapshot of the load").0.to_vec();
    let model = artifact(run, client, n).0.to_vec();
    let name = format!("bench-{run}-{client}");
    let comparator = |n: u64| Comparator {
        role: ComparatorRole::Champion.into(),
        artifact_sha256: artifact(run, client, n).0.to_vec(),
        name: name.clone(),
        version: n.to_string(),
    };
    let explanation = |kind: &str, piece: &Piece| Explanation {
        kind: kind.into(),
        content: reference(piece),
        explains: model.clone(),
        computed_on: dataset.clone(),
        background_sha256: sha256(b"background").0.to_vec(),
        tool: "shap".into(),
        tool_version: "0.51.0".into(),
        ..Explanation::default()
    };
    let question = |id: &str, text: &str| FormQuestion { id: id.into(), text: text.into(), required: true };
    let answer = |question: &str, text: &str| Answer { question: question.into(), text: text.into() };
    let earlier = now.saturating_sub(3_600_000_000);
    PromotionDraft {
        slot: Some(Slot {
            model: name.clone(),
            environment: "production".into(),
            region: "eu-central".into(),
            role: SlotRole::Champion.into(),
        }),
        model_version: Some(ModelVersion {
            artifact_sha256: model.clone(),
            registry_uri: "mlflow://registry.example.bank".into(),
            name: name.clone(),
            version: (n + 1).to_string(),
            copy: None,
        }),
        challenger_comparison: Some(ChallengerComparison {
            no_incumbent: n == 0,
            comparators: n.checked_sub(1).map(comparator).into_iter().collect(),
            report: reference(report),
            metrics: reference(metrics),
            computed_on: dataset.clone(),
            band_checks: vec![BandCheck {
                metric: "auc".into(),
                segment: "overall".into(),
                candidate: 0.781,
                incumbent: 0.779,
                tolerance: 0.02,
                within: true,
            }],
        }),
        approval_request: Some(ApprovalRequestDraft {
            system: "jira".into(),
            id: format!("LOAD-{run}-{client}-{n}"),
            requested_by: person("u-1001", "Jonas Weber"),
            triggered_by: person("svc-retrain", "weekly retrain"),
            contributors: Vec::new(),
            asked_people: person("u-2001", "Maria Keller").into_iter().collect(),
            asked_groups: vec!["model-risk-approvers".into()],
            asked_at: earlier,
            due_at: now,
            form: Some(ApprovalForm {
                id: "mrm-approval".into(),
                version: "3".into(),
                content: reference(form),
                questions: vec![
                    question("reviewed", "Have you reviewed the comparison report?"),
                    question("calibration", "Is calibration acceptable in every segment?"),
                ],
            }),
            justification: "Weekly retrain on the newest window; metrics inside the band.".into(),
            residual_risk: "Population drift between retrains; watched by the monthly report.".into(),
        }),
        approvals: vec![ApprovalDraft {
            approver: person("u-2001", "Maria Keller"),
            decided_at: earlier + 1_000_000,
            groups: vec!["model-risk-approvers".into(), "staff".into()],
            matched_groups: vec!["model-risk-approvers".into()],
            groups_complete: true,
            auth_time: earlier,
            acr: "urn:bank:acr:mfa".into(),
            amr: vec!["pwd".into(), "otp".into()],
            answers: vec![answer("reviewed", "Yes."), answer("calibration", "Yes, in all segments.")],
            ..ApprovalDraft::default()
        }],
        explanations: vec![explanation("shap_report", shap), explanation("attribution", attribution)],
        dataset: Some(Dataset {
            digest: dataset.clone(),
            strength: DatasetStrength::Content.into(),
            snapshot_kind: "csv_export".into(),
            snapshot_id: "load@1".into(),
            definition_digest: sha256(&definition.bytes).0.to_vec(),
            definition: reference(definition),
            copy: None,
        }),
        profile: reference(profile),
        profile_attestation: None,
    }
}
