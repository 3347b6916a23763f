//! What the machine gives without a ledger: the same requests over gRPC to a server that answers at once.

use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use crate::event::proto::{
    CheckPromotionRequest, CheckPromotionResponse, PromoteRequest, PromoteResponse, Receipt, RetireRequest,
    RetireResponse, RevokeRequest, RevokeResponse, RollBackRequest, RollBackResponse, SealEvidenceRequest,
    SealEvidenceResponse, StatEvidenceRequest, StatEvidenceResponse, UploadEvidenceRequest,
    UploadEvidenceResponse,
    emitter_service_server::{EmitterService, EmitterServiceServer},
};

/// Decodes a promotion and answers with a receipt of the usual size; does nothing else.
struct Answering;

/// Bytes of a usual receipt's proof.
const PROOF_LEN: usize = 1200;

type Answer<T> = Result<Response<T>, Status>;

fn nothing<T>() -> Answer<T> {
    Err(Status::unimplemented("only promotions are measured"))
}

#[tonic::async_trait]
impl EmitterService for Answering {
    async fn promote(&self, _: Request<PromoteRequest>) -> Answer<PromoteResponse> {
        let receipt = Receipt {
            seq: 1,
            event_digest: vec![7; 32],
            idempotency_key: vec![7; 32],
            tlog_proof: "p".repeat(PROOF_LEN),
            duplicate: false,
        };
        Ok(Response::new(PromoteResponse { receipt: Some(receipt) }))
    }

    async fn check_promotion(&self, _: Request<CheckPromotionRequest>) -> Answer<CheckPromotionResponse> {
        nothing()
    }

    async fn roll_back(&self, _: Request<RollBackRequest>) -> Answer<RollBackResponse> {
        nothing()
    }

    async fn revoke(&self, _: Request<RevokeRequest>) -> Answer<RevokeResponse> {
        nothing()
    }

    async fn retire(&self, _: Request<RetireRequest>) -> Answer<RetireResponse> {
        nothing()
    }

    async fn upload_evidence(
        &self,
        _: Request<Streaming<UploadEvidenceRequest>>,
    ) -> Answer<UploadEvidenceResponse> {
        nothing()
    }

    async fn seal_evidence(
        &self,
        _: Request<Streaming<SealEvidenceRequest>>,
    ) -> Answer<SealEvidenceResponse> {
        nothing()
    }

    async fn stat_evidence(&self, _: Request<StatEvidenceRequest>) -> Answer<StatEvidenceResponse> {
        nothing()
    }
}

/// Starts such a server on a free port of 127.0.0.1; its URL. It ends with the process.
///
/// # Errors
/// Of the operating system.
pub async fn start() -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = Server::builder().add_service(EmitterServiceServer::new(Answering));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Ok(url)
}
