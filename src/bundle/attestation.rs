//! One promotion as an in-toto Statement: the artefact is the subject, the predicate says what was decided and proves it.
//! The predicate type is documented in section 21 of `src/event/FORMAT.md`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    event::{Digest, Header, content, model::Micros, proto::Promoted, text::utc},
    proof::checkpoint::LogKey,
};

/// Type of the predicate.
pub const PREDICATE_TYPE: &str = "urn:promotion-ledger:attestation:promotion:v1";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What a statement is made from.
pub struct Promotion<'a> {
    /// ledger_id.
    pub ledger_id: Digest,
    /// The log's key.
    pub key: &'a LogKey,
    /// The entry's header.
    pub header: &'a Header,
    /// Its date.
    pub date: Micros,
    /// The event.
    pub promoted: &'a Promoted,
    /// The topic value.
    pub record: &'a [u8],
    /// The entry's receipt.
    pub receipt: &'a str,
}

/// The statement, as JSON.
pub fn statement(of: &Promotion<'_>) -> Vec<u8> {
    let promoted = of.promoted;
    let model = promoted.model_version.clone().unwrap_or_default();
    let slot = promoted.slot.clone().unwrap_or_default();
    let request = promoted.approval_request.clone().unwrap_or_default();
    let dataset = promoted.dataset.clone().unwrap_or_default();
    let routing = promoted.routing.clone().unwrap_or_default();
    let approval = |approval: &crate::event::proto::Approval| {
        let approver = approval.approver.clone().unwrap_or_default();
        json!({
            "issuer": approver.issuer, "subjectId": hex::encode(approver.subject_id), "decidedAt": utc(approval.decided_at),
            "matchedGroups": approval.matched_groups, "standingPolicy": approval.standing_policy,
        })
    };
    let evidence = |(field, reference): &(content::Path, &crate::event::proto::EvidenceRef)| {
        json!({
            "name": field, "uri": reference.uri, "mediaType": reference.media_type,
            "digest": { "sha256": hex::encode(&reference.sha256) },
        })
    };
    let sha256 =
        |bytes: &[u8]| if bytes.is_empty() { Value::Null } else { json!({ "sha256": hex::encode(bytes) }) };
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": format!("{} {}", model.name, model.version), "digest": { "sha256": hex::encode(&model.artifact_sha256) } }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "ledger": { "origin": of.key.origin, "ledgerId": of.ledger_id.to_string(), "logKey": of.key.vkey() },
            "entry": { "seq": of.header.seq, "date": utc(of.date), "eventDigest": { "sha256": of.header.event_digest.to_string() } },
            "slot": { "model": slot.model, "environment": slot.environment, "region": slot.region, "role": slot.role().as_str_name() },
            "model": { "registry": model.registry_uri, "name": model.name, "version": model.version },
            "request": { "system": request.system, "id": request.id },
            "route": { "tier": routing.tier, "policy": sha256(&routing.policy_sha256) },
            "dataset": { "digest": hex::encode(&dataset.digest), "definition": sha256(&dataset.definition_digest) },
            "approvals": promoted.approvals.iter().map(approval).collect::<Vec<_>>(),
            "evidence": content::evidence(promoted).iter().map(evidence).collect::<Vec<_>>(),
            "receipt": of.receipt,
            "record": BASE64_STANDARD.encode(of.record),
        },
    });
    statement.to_string().into_bytes()
}
