//! What an approver saw: the six fields of an event, with the path of the exact bytes of each piece of evidence.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::cli::source::Channel;
use prost::Message;

use crate::{
    cli::output::{Exit, Failure, Result, utc},
    event::{
        Digest, canonical,
        proto::{
            ComparatorRole, EvidenceRef, GetEntryRequest, PersonRef, Promoted, SealedClaims,
            auditor_service_client::AuditorServiceClient, body::Event,
        },
    },
};

/// People of an event, by their pseudonym.
pub type People = BTreeMap<Vec<u8>, SealedClaims>;

/// A promotion, and whoever of its people can be opened.
///
/// # Errors
/// Of the call; exit code 1 if the entry is no promotion.
pub async fn promoted(
    mut auditor: AuditorServiceClient<Channel>,
    request: GetEntryRequest,
) -> Result<(Promoted, People)> {
    let answer = auditor.get_entry(request).await?.into_inner();
    let record = answer.entry.map(|entry| entry.record).unwrap_or_default();
    let event = canonical::decode(&record).ok().and_then(|record| record.body.event);
    let Some(Event::Promoted(promoted)) = event else {
        return Err(Failure::new(Exit::No, "the entry is not a promotion"));
    };
    let open = |opened: &crate::event::proto::Opened| {
        let claims = SealedClaims::decode(opened.claims.as_slice()).ok().filter(|_| !opened.erased)?;
        Some((opened.subject_id.clone(), claims))
    };
    Ok((promoted, answer.opened.iter().filter_map(open).collect()))
}

/// A person by name.
pub fn name(people: &People, person: Option<&PersonRef>) -> String {
    let claims = person.and_then(|person| people.get(&person.subject_id));
    claims.map_or_else(|| "(erased)".into(), |claims| format!("{} ({})", claims.name, claims.subject))
}

/// Path of stored bytes in a node's directory.
pub fn path(sha256: &[u8]) -> PathBuf {
    let hex = hex::encode(sha256);
    let (shard, rest) = hex.split_at_checked(2).unwrap_or(("", ""));
    Path::new("evidence/sha256").join(shard).join(rest)
}

/// One of the six fields, for reading.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The system that it comes from.
    pub source: String,
    /// What it says.
    pub lines: Vec<String>,
    /// Evidence: what it is, and where.
    pub evidence: Vec<(String, EvidenceRef)>,
}

fn kept(name: &str, reference: Option<&EvidenceRef>) -> Option<(String, EvidenceRef)> {
    reference.map(|reference| (name.to_owned(), reference.clone()))
}

/// The six fields of a promotion, in order.
pub fn fields(promoted: &Promoted, people: &People) -> Vec<Field> {
    let mut fields = vec![model_version(promoted), comparison(promoted), request(promoted, people)];
    fields.push(approvers(promoted, people));
    let explanations = &promoted.explanations;
    let tool = explanations.first().map(|e| format!("{} {}", e.tool, e.tool_version)).unwrap_or_default();
    fields.push(Field {
        name: "explanation",
        source: format!("explanation job: {tool}"),
        lines: Vec::new(),
        evidence: explanations.iter().filter_map(|e| kept(&e.kind, e.content.as_ref())).collect(),
    });
    let dataset = promoted.dataset.clone().unwrap_or_default();
    fields.push(Field {
        name: "dataset",
        source: format!("feature store: {} {}", dataset.snapshot_kind, dataset.snapshot_id),
        lines: Vec::new(),
        evidence: [kept("snapshot", dataset.copy.as_ref()), kept("definition", dataset.definition.as_ref())]
            .into_iter()
            .flatten()
            .collect(),
    });
    fields
}

fn model_version(promoted: &Promoted) -> Field {
    let model = promoted.model_version.clone().unwrap_or_default();
    Field {
        name: "model version",
        source: format!("registry: {}, {} {}", model.registry_uri, model.name, model.version),
        lines: Vec::new(),
        evidence: [kept("artefact", model.copy.as_ref()), kept("profile", promoted.profile.as_ref())]
            .into_iter()
            .flatten()
            .collect(),
    }
}

fn comparison(promoted: &Promoted) -> Field {
    let comparison = promoted.challenger_comparison.clone().unwrap_or_default();
    let role = |role: i32| match ComparatorRole::try_from(role) {
        Ok(ComparatorRole::Champion) => "champion",
        Ok(ComparatorRole::Challenger) => "challenger",
        _ => "benchmark",
    };
    let with: Vec<_> =
        comparison.comparators.iter().map(|c| format!("{} {} {}", role(c.role), c.name, c.version)).collect();
    let outside: Vec<_> = comparison.band_checks.iter().filter(|check| !check.within).collect();
    let named: Vec<_> = outside.iter().map(|check| format!("{} {}", check.metric, check.segment)).collect();
    let band = match named.len() {
        0 => format!("all {} band checks within tolerance", comparison.band_checks.len()),
        n => format!("{n} of {} outside their band: {}", comparison.band_checks.len(), named.join(", ")),
    };
    Field {
        name: "challenger comparison",
        source: "comparison job".into(),
        lines: vec![format!("with {}", with.join(", ")), band],
        evidence: [kept("report", comparison.report.as_ref()), kept("metrics", comparison.metrics.as_ref())]
            .into_iter()
            .flatten()
            .collect(),
    }
}

fn request(promoted: &Promoted, people: &People) -> Field {
    let request = promoted.approval_request.clone().unwrap_or_default();
    let form = request.form.clone().unwrap_or_default();
    let by = name(people, request.requested_by.as_ref());
    Field {
        name: "approval request",
        source: format!("{}: {}", request.system, request.id),
        lines: vec![format!("requested by {by}; form {} version {}", form.id, form.version)],
        evidence: kept("form", form.content.as_ref()).into_iter().collect(),
    }
}

fn approvers(promoted: &Promoted, people: &People) -> Field {
    let issuer =
        promoted.approvals.first().and_then(|approval| approval.approver.clone()).unwrap_or_default().issuer;
    let line = |approval: &crate::event::proto::Approval| {
        let (who, when) = (name(people, approval.approver.as_ref()), utc(approval.decided_at));
        format!("{who}, {when}, {}, login by {}", approval.matched_groups.join(" "), approval.amr.join("+"))
    };
    Field {
        name: "approver identity",
        source: format!("identity provider: {issuer}"),
        lines: promoted.approvals.iter().map(line).collect(),
        evidence: Vec::new(),
    }
}

/// Whether the file under a node's directory has the digest that the event names.
pub fn intact(dir: &Path, reference: &EvidenceRef) -> bool {
    let hashed = crate::cli::promotion_file::hash_file(&dir.join(path(&reference.sha256)));
    hashed.is_ok_and(|hashed| {
        Some(hashed.sha256) == Digest::from_slice(&reference.sha256) && hashed.length == reference.length
    })
}
