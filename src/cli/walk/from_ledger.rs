//! A recent promotion, or a model that was recorded as undocumented: each piece of evidence is read and hashed.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt;

use super::findings::{Field, Walk};
use crate::{
    cli::{
        event_json,
        output::{Exit, Failure, Result, utc},
        six_fields,
        source::Source,
    },
    event::{
        Header, Kind, content,
        gate::SIX_FIELDS,
        proto::{
            EvidenceRef, GetEntryRequest, GetStatusRequest, ListEntriesRequest, Promoted,
            ReadEvidenceRequest, Undocumented, body::Event, get_entry_request::By,
        },
    },
};

/// The newest promotion or undocumented entry of a model.
///
/// # Errors
/// Exit code 1 if the ledger knows no such model.
pub async fn walk(source: &Source, model: &str, environment: &str) -> Result<Walk> {
    let origin = source.get_status(GetStatusRequest {}).await?.origin;
    let mut newest: Option<Header> = None;
    for kind in [Kind::Promoted, Kind::Undocumented] {
        let request = ListEntriesRequest {
            model: model.to_owned(),
            environment: environment.to_owned(),
            kind: kind.name().to_owned(),
            page_size: 1,
            ..ListEntriesRequest::default()
        };
        for listed in source.list_entries(request).await?.entries {
            let header = listed.entry.as_ref().and_then(|entry| Header::decode(&entry.header).ok());
            if header.as_ref().map(|it| it.seq) > newest.as_ref().map(|it| it.seq) {
                newest = header;
            }
        }
    }
    let Some(header) = newest else {
        let what = format!(
            "the ledger has no promotion of {model}; walk the registry with --mlflow URL to see what one would lack"
        );
        return Err(Failure::new(Exit::No, what));
    };
    let request = GetEntryRequest { by: Some(By::Seq(header.seq)), unseal: false };
    let answer = source.get_entry(request).await?;
    let record = answer.entry.as_ref().map(|entry| entry.record.as_slice()).unwrap_or_default();
    let tainted: BTreeSet<Vec<u8>> = answer.taints.into_iter().map(|taint| taint.sha256).collect();
    let mut about = vec![
        ("entry".to_owned(), format!("{} of {}", header.seq, utc(answer.date))),
        ("event".to_owned(), header.event_digest.to_string()),
    ];
    let (slot, fields) = match event_json::body(record).and_then(|body| body.event) {
        Some(Event::Promoted(promoted)) => {
            let slot = six_fields::slot(promoted.slot.as_ref());
            (slot, promotion(source, &promoted, &tainted).await?)
        }
        Some(Event::Undocumented(e)) => {
            about.push(("sunset".to_owned(), utc(e.sunset)));
            (six_fields::slot(e.slot.as_ref()), undocumented(&e))
        }
        _ => return Err(Failure::new(Exit::Internal, format!("entry {} cannot be read", header.seq))),
    };
    Ok(Walk { subject: format!("{model} in {slot}"), origin: format!("ledger {origin}"), about, fields })
}

async fn promotion(source: &Source, promoted: &Promoted, tainted: &BTreeSet<Vec<u8>>) -> Result<Vec<Field>> {
    let model = promoted.model_version.clone().unwrap_or_default();
    let request = promoted.approval_request.clone().unwrap_or_default();
    let comparison = promoted.challenger_comparison.clone().unwrap_or_default();
    let dataset = promoted.dataset.clone().unwrap_or_default();
    let mut fields: Vec<Field> = SIX_FIELDS
        .iter()
        .zip([
            format!("model registry {}", model.registry_uri),
            "comparison job".to_owned(),
            format!("workflow tool {}", request.system),
            "identity provider".to_owned(),
            "artefact store".to_owned(),
            "feature store".to_owned(),
        ])
        .map(|(field, source)| Field::new(field, source))
        .collect();
    let mut say = |field: &str, line: String| {
        if let Some(field) = fields.iter_mut().find(|it| it.field == field) {
            field.finds(line);
        }
    };
    let artifact = hex::encode(&model.artifact_sha256);
    say("model_version", format!("{} version {}, artefact sha256 {artifact}", model.name, model.version));
    match comparison.no_incumbent {
        true => say("challenger_comparison", "first promotion: no incumbent".to_owned()),
        false => {
            let count = comparison.comparators.len();
            say("challenger_comparison", format!("compared with {count} models by digest"));
        }
    }
    say("approval_request", format!("{} {}", request.system, request.id));
    for approval in &promoted.approvals {
        let issuer = approval.approver.as_ref().map(|it| it.issuer.clone()).unwrap_or_default();
        let groups = approval.matched_groups.join(", ");
        say(
            "approver_identity",
            format!("a person of {issuer}, groups {groups}, decided {}", utc(approval.decided_at)),
        );
    }
    for explanation in &promoted.explanations {
        let words = format!("{} by {} {}", explanation.kind, explanation.tool, explanation.tool_version);
        say("explanation", words);
    }
    say("dataset", format!("digest {}", hex::encode(&dataset.digest)));
    if tainted.contains(&model.artifact_sha256)
        && let Some(field) = fields.first_mut()
    {
        field.lacks("the artefact is tainted: it must not be relied on");
    }
    for (path, reference) in content::evidence(promoted) {
        let checked = check(source, reference).await?;
        let name = field_of(&path);
        let Some(field) = fields.iter_mut().find(|it| it.field == name) else { continue };
        match checked {
            Ok(()) => field.finds(format!("{path}: {} bytes, {}", reference.length, lock(reference))),
            Err(why) => field.lacks(format!("{path}: {why}")),
        }
        if tainted.contains(&reference.sha256) {
            field.lacks(format!("{path}: tainted, it must not be relied on"));
        }
    }
    Ok(fields)
}

/// The field that a piece of evidence belongs to.
fn field_of(path: &str) -> &'static str {
    let head = path.split(['.', '[']).next().unwrap_or_default();
    match head {
        "challenger_comparison" => "challenger_comparison",
        "approval_request" | "review" => "approval_request",
        "explanations" => "explanation",
        "dataset" => "dataset",
        // The profile is what the registry's artefact says of itself.
        _ => "model_version",
    }
}

fn lock(reference: &EvidenceRef) -> String {
    let lock = reference.lock.clone().unwrap_or_default();
    match lock.write_once.as_str() {
        "" | "none" => "kept, not write-once".to_owned(),
        mode => format!("write-once ({mode}) until {}", utc(lock.retain_until)),
    }
}

/// Reads a piece of evidence to its end. Inside: why it is not what the event says.
async fn check(source: &Source, reference: &EvidenceRef) -> Result<std::result::Result<(), String>> {
    let request = ReadEvidenceRequest { sha256: reference.sha256.clone(), unseal: false };
    let mut stream = match source.read_evidence(request).await {
        Ok(stream) => stream,
        Err(status) if status.code() == tonic::Code::NotFound => {
            return Ok(Err("the evidence store does not have it".into()));
        }
        Err(status) => return Err(status.into()),
    };
    let (mut hasher, mut length) = (Sha256::new(), 0);
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => {
                hasher.update(&message.chunk);
                length += message.chunk.len() as u64;
            }
            Err(status) if matches!(status.code(), tonic::Code::NotFound | tonic::Code::DataLoss) => {
                return Ok(Err(status.message().to_owned()));
            }
            Err(status) => return Err(status.into()),
        }
    }
    let same = length == reference.length && hasher.finalize().as_slice() == reference.sha256;
    Ok(if same { Ok(()) } else { Err(format!("the store has other bytes under its name ({length})")) })
}

fn undocumented(e: &Undocumented) -> Vec<Field> {
    let source = |field: &str| match field {
        "model_version" if !e.registry_uri.is_empty() => format!("model registry {}", e.registry_uri),
        _ => "an inventory".to_owned(),
    };
    let mut fields: Vec<Field> = SIX_FIELDS.iter().map(|field| Field::new(field, source(field))).collect();
    for field in &mut fields {
        if e.missing.iter().any(|missing| missing == field.field) {
            field.lacks("recorded as missing: the model was in production before the ledger");
        }
    }
    if let Some(model) = fields.first_mut() {
        if !e.artifact_sha256.is_empty() {
            model.finds(format!("artefact sha256 {}", hex::encode(&e.artifact_sha256)));
        }
        for known in &e.known {
            model.finds(format!("{} {} ({})", known.fact, known.value, known.source));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_of_evidence_belongs_to_a_field() {
        for (path, field) in [
            ("model_version.copy", "model_version"),
            ("challenger_comparison.report", "challenger_comparison"),
            ("approval_request.form.content", "approval_request"),
            ("explanations[0].content", "explanation"),
            ("dataset.definition", "dataset"),
            ("profile", "model_version"),
            ("review.screen", "approval_request"),
        ] {
            assert_eq!(field_of(path), field, "{path}");
        }
    }
}
