//! What a caller asks to have listed.

use tonic::Status;

use crate::{
    event::{Kind, Outcome, proto::ListEntriesRequest},
    identity::subjects::Subjects,
    projection::query::Filter,
};

use super::{emitter::digest, status::invalid_field};

/// The filter in a request; `None` if nothing can match it.
pub(super) fn filter(
    request: &ListEntriesRequest,
    subjects: Option<&Subjects>,
) -> Result<(Option<Filter>, Option<u64>), Status> {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let outcome =
        match request.outcome.as_str() {
            "" => None,
            name => Some(Outcome::ALL.iter().copied().find(|outcome| outcome.name() == name).ok_or_else(
                || invalid_field("outcome", "is none of accepted, duplicate, refused, malformed"),
            )?),
        };
    let optional = |field: &str, bytes: &[u8]| (!bytes.is_empty()).then(|| digest(field, bytes)).transpose();
    let before = match request.page_token.as_str() {
        "" => None,
        token => {
            Some(token.parse().map_err(|_| invalid_field("page_token", "is not one of a previous answer"))?)
        }
    };
    let dates = match (request.from, request.to) {
        (0, 0) => None,
        (from, 0) => Some((from, u64::MAX)),
        (from, to) if from < to => Some((from, to)),
        _ => return Err(invalid_field("to", "is not after from")),
    };
    let approver = match (request.approver_issuer.as_str(), request.approver_subject.as_str()) {
        ("", "") => None,
        (_, "") | ("", _) => {
            return Err(invalid_field("approver_subject", "issuer and subject of an approver go together"));
        }
        (issuer, subject) => {
            let denied =
                || Status::permission_denied("the keys of the subject records are not readable here");
            let subjects = subjects.ok_or_else(denied)?;
            let found = subjects.existing(issuer, subject).map_err(|e| Status::unavailable(e.to_string()))?;
            match found {
                Some(subject) => Some(subject.id),
                None => return Ok((None, before)),
            }
        }
    };
    let filter = Filter {
        model: text(&request.model),
        environment: text(&request.environment),
        dates,
        approver,
        outcome,
        artifact: optional("artifact_sha256", &request.artifact_sha256)?,
        evidence: optional("evidence_sha256", &request.evidence_sha256)?,
        kind: kind(&request.kind)?,
    };
    Ok((Some(filter), before))
}

fn kind(name: &str) -> Result<Option<Kind>, Status> {
    let known = || Kind::ALL.iter().copied().find(|kind| kind.name() == name);
    match name {
        "" => Ok(None),
        _ => known()
            .map(Some)
            .ok_or_else(|| invalid_field("kind", "is no kind of entry, for instance `promoted`")),
    }
}
