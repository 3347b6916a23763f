//! EmitterService: promotions, roll-backs, revocations, retirements, evidence.

use std::sync::Arc;

use bytes::Bytes;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use crate::{
    admission::{acts::Asked, gateway::Gateway, slot_acts::SlotAct},
    event::{
        Digest,
        digest::sha256,
        proto::{
            CheckPromotionRequest, CheckPromotionResponse, EvidenceDescription, EvidenceRef, Problem,
            PromoteRequest, PromoteResponse, RetireRequest, RetireResponse, RevokeRequest, RevokeResponse,
            RollBackRequest, RollBackResponse, SealEvidenceRequest, SealEvidenceResponse,
            StatEvidenceRequest, StatEvidenceResponse, UploadEvidenceRequest, UploadEvidenceResponse,
            emitter_service_server::EmitterService, seal_evidence_request, upload_evidence_request::Part,
        },
        text::media_type_problem,
    },
    evidence::{self, Chunks, Description},
    identity::sealed_evidence::CONTENT_LEN_MAX,
};

use super::authorize;
use super::status::{invalid, invalid_field};

/// The service.
pub struct Emitter {
    /// The front door.
    pub gateway: Arc<Gateway>,
}

#[tonic::async_trait]
impl EmitterService for Emitter {
    async fn promote(&self, request: Request<PromoteRequest>) -> Result<Response<PromoteResponse>, Status> {
        let draft = request.into_inner().promotion.ok_or_else(|| invalid_field("promotion", "is missing"))?;
        let receipt = self.gateway.promote(draft).await?;
        Ok(Response::new(PromoteResponse { receipt: Some(receipt) }))
    }

    async fn check_promotion(
        &self,
        request: Request<CheckPromotionRequest>,
    ) -> Result<Response<CheckPromotionResponse>, Status> {
        let draft = request.into_inner().promotion.ok_or_else(|| invalid_field("promotion", "is missing"))?;
        let checked = self.gateway.check(draft).await?;
        let problem =
            |p: crate::event::promotion::Problem| Problem { field: p.field, description: p.description };
        Ok(Response::new(CheckPromotionResponse {
            problems: checked.problems.into_iter().map(problem).collect(),
            tier: checked.routed.as_ref().map(|(routing, _)| routing.tier.clone()).unwrap_or_default(),
            requirements: checked.routed.as_ref().map(|(_, words)| words.clone()).unwrap_or_default(),
            idempotency_key: checked.key.0.to_vec(),
            recorded_as: checked.recorded_as,
            warnings: checked.warnings.into_iter().map(problem).collect(),
            routing: checked.routed.map(|(routing, _)| routing),
        }))
    }

    async fn roll_back(
        &self,
        request: Request<RollBackRequest>,
    ) -> Result<Response<RollBackResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let RollBackRequest { slot, to_seq, actor: _, reason, request_id } = request.into_inner();
        let asked = Asked { actor, reason, request_id };
        let act = SlotAct { promoted: to_seq, asked, slot };
        Ok(Response::new(RollBackResponse { receipt: Some(self.gateway.roll_back(act).await?) }))
    }

    async fn revoke(&self, request: Request<RevokeRequest>) -> Result<Response<RevokeResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let RevokeRequest { promoted_seq: promoted, actor: _, reason, request_id } = request.into_inner();
        let act = SlotAct { promoted, asked: Asked { actor, reason, request_id }, slot: None };
        Ok(Response::new(RevokeResponse { receipt: Some(self.gateway.revoke(act).await?) }))
    }

    async fn retire(&self, request: Request<RetireRequest>) -> Result<Response<RetireResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let RetireRequest { promoted_seq: promoted, actor: _, reason, request_id } = request.into_inner();
        let act = SlotAct { promoted, asked: Asked { actor, reason, request_id }, slot: None };
        Ok(Response::new(RetireResponse { receipt: Some(self.gateway.retire(act).await?) }))
    }

    async fn upload_evidence(
        &self,
        request: Request<Streaming<UploadEvidenceRequest>>,
    ) -> Result<Response<UploadEvidenceResponse>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|message| message.part);
        let Some(Part::Description(stated)) = first else {
            return Err(invalid_field("description", "is missing; the first message describes the evidence"));
        };
        let description = describe(&stated)?;
        let chunks: Chunks<'_> = Box::pin(parts.map(|message| match message.map(|message| message.part) {
            Ok(Some(Part::Chunk(chunk))) => Ok(Bytes::from(chunk)),
            Ok(_) => Err(evidence::Error::BrokenOff("a message without a chunk".into())),
            Err(status) => Err(evidence::Error::BrokenOff(status.message().to_owned())),
        }));
        let stored = self.gateway.evidence.put(&description, chunks, self.gateway.clock.now()).await?;
        let evidence = EvidenceRef {
            uri: stored.uri,
            version_id: stored.version_id,
            sha256: stated.sha256,
            length: stored.length,
            media_type: stated.media_type,
            lock: Some(stored.lock),
            subject_id: Vec::new(),
        };
        Ok(Response::new(UploadEvidenceResponse { evidence: Some(evidence) }))
    }

    async fn seal_evidence(
        &self,
        request: Request<Streaming<SealEvidenceRequest>>,
    ) -> Result<Response<SealEvidenceResponse>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|message| message.part);
        let Some(seal_evidence_request::Part::Description(stated)) = first else {
            return Err(invalid_field("description", "is missing; the first message describes the evidence"));
        };
        let description = describe(&EvidenceDescription {
            sha256: stated.sha256,
            length: stated.length,
            media_type: stated.media_type,
            ..EvidenceDescription::default()
        })?;
        if description.length > CONTENT_LEN_MAX as u64 {
            let most = format!("is too large; evidence about one person has at most {CONTENT_LEN_MAX} bytes");
            return Err(invalid_field("description.length", most));
        }
        let mut content = Zeroizing::new(Vec::new());
        while let Some(message) = parts.message().await? {
            if let Some(seal_evidence_request::Part::Chunk(chunk)) = message.part {
                content.extend_from_slice(&chunk);
            }
            if content.len() as u64 > description.length {
                break;
            }
        }
        if content.len() as u64 != description.length || sha256(&content) != description.sha256 {
            return Err(invalid_field("description", "is not that of the bytes that came; nothing was kept"));
        }
        let sealed = self.gateway.seal_evidence(stated.about, &description.media_type, &content).await?;
        Ok(Response::new(SealEvidenceResponse { evidence: Some(sealed) }))
    }

    async fn stat_evidence(
        &self,
        request: Request<StatEvidenceRequest>,
    ) -> Result<Response<StatEvidenceResponse>, Status> {
        let sha256 = digest("sha256", &request.into_inner().sha256)?;
        let stored = self.gateway.evidence.stat(&sha256, "", self.gateway.clock.now()).await?;
        let length = stored.as_ref().map_or(0, |stored| stored.length);
        let received = if stored.is_some() { 0 } else { self.gateway.evidence.received(&sha256) };
        Ok(Response::new(StatEvidenceResponse { present: stored.is_some(), length, received }))
    }
}

fn describe(stated: &EvidenceDescription) -> Result<Description, Status> {
    let mut problems = crate::event::promotion::Problems::default();
    let sha256 = Digest::from_slice(&stated.sha256);
    problems.require(sha256.is_some(), "description.sha256", "is not a SHA-256 (32 bytes)");
    problems.require(stated.length > 0, "description.length", "is 0; evidence has bytes");
    problems.add_some("description.media_type", media_type_problem(&stated.media_type));
    let problems = problems.into_sorted();
    if !problems.is_empty() {
        return Err(invalid(&problems));
    }
    Ok(Description {
        sha256: sha256.unwrap_or_default(),
        length: stated.length,
        media_type: stated.media_type.clone(),
        offset: stated.offset,
    })
}

/// A digest of 32 bytes in a request.
pub(super) fn digest(field: &str, bytes: &[u8]) -> Result<Digest, Status> {
    Digest::from_slice(bytes).ok_or_else(|| invalid_field(field, "is not a digest of 32 bytes"))
}
