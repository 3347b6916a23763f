//! CustodianService: what must not be relied on, what must be kept, who is erased.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    admission::{acts::Asked, gateway::Gateway},
    event::proto::{
        EraseSubjectRequest, EraseSubjectResponse, ReleaseLegalHoldRequest, ReleaseLegalHoldResponse,
        SetLegalHoldRequest, SetLegalHoldResponse, TaintRequest, TaintResponse,
        custodian_service_server::CustodianService,
    },
    projection::reliance,
};

use super::{auditor::Auditor, authorize, emitter::digest};

/// The service.
pub struct Custodian {
    /// The front door.
    pub gateway: Arc<Gateway>,
    /// Look-ups: only what somebody relies on can be tainted.
    pub auditor: Auditor,
}

#[tonic::async_trait]
impl CustodianService for Custodian {
    async fn taint(&self, request: Request<TaintRequest>) -> Result<Response<TaintResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let TaintRequest { sha256, actor: _, reason, request_id } = request.into_inner();
        let sha256 = digest("sha256", &sha256)?;
        let head = self.auditor.caught_up().await?;
        if reliance::reliance(&self.gateway.ledger, &head, &sha256, 1)?.is_empty() {
            return Err(Status::not_found(format!("no accepted promotion refers to {sha256}")));
        }
        let receipt = self.gateway.taint(sha256, Asked { actor, reason, request_id }).await?;
        Ok(Response::new(TaintResponse { receipt: Some(receipt) }))
    }

    async fn set_legal_hold(
        &self,
        request: Request<SetLegalHoldRequest>,
    ) -> Result<Response<SetLegalHoldResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let SetLegalHoldRequest { matter, subject, actor: _, reason, request_id } = request.into_inner();
        let asked = Asked { actor, reason, request_id };
        let receipt = self.gateway.set_hold(matter, subject, asked).await?;
        Ok(Response::new(SetLegalHoldResponse { receipt: Some(receipt) }))
    }

    async fn release_legal_hold(
        &self,
        request: Request<ReleaseLegalHoldRequest>,
    ) -> Result<Response<ReleaseLegalHoldResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let ReleaseLegalHoldRequest { hold_seq, actor: _, reason, request_id } = request.into_inner();
        let receipt = self.gateway.release_hold(hold_seq, Asked { actor, reason, request_id }).await?;
        Ok(Response::new(ReleaseLegalHoldResponse { receipt: Some(receipt) }))
    }

    async fn erase_subject(
        &self,
        request: Request<EraseSubjectRequest>,
    ) -> Result<Response<EraseSubjectResponse>, Status> {
        let stated = request.get_ref().requested_by.clone();
        let requested_by = authorize::actor(&request, "requested_by", stated)?;
        let EraseSubjectRequest { subject, requested_by: _, approved_by, reason, request_id } =
            request.into_inner();
        let asked = Asked { actor: requested_by, reason, request_id };
        let (receipt, subject_id) = self.gateway.erase(subject, approved_by, asked).await?;
        tracing::info!(seq = receipt.seq, "a subject record was destroyed");
        Ok(Response::new(EraseSubjectResponse { receipt: Some(receipt), subject_id: subject_id.0.to_vec() }))
    }
}
