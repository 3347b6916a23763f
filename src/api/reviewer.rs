//! ReviewService: what is put before the approvers, and what they decide.

use std::{pin::Pin, sync::Arc};

use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{
    admission::{acts::Asked, gateway::Gateway, reviews::decide::DecisionDraft},
    event::{
        Digest, Seq,
        proto::{
            CloseConditionRequest, CloseConditionResponse, CloseReviewRequest, CloseReviewResponse,
            DelegateRequest, DelegateResponse, EndDelegationRequest, EndDelegationResponse, GetReviewRequest,
            GetReviewResponse, ListReviewsRequest, ListReviewsResponse, LoginIssuer, PrepareDecisionRequest,
            PrepareDecisionResponse, ReadArtefactRequest, ReadArtefactResponse, Review, ReviewState,
            SealReviewRequest, SealReviewResponse, SubmitDecisionRequest, SubmitDecisionResponse,
            review_service_server::ReviewService,
        },
    },
    ledger::review_rows::ReviewStatus,
};

use super::{authorize, emitter::digest, status::invalid_field};

const CHUNK: usize = 64 * 1024;
const LIST_DEFAULT: u32 = 64;
const LIST_MAX: u32 = 256;

/// The service.
pub struct Reviewer {
    /// The front door.
    pub gateway: Arc<Gateway>,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<ReadArtefactResponse, Status>> + Send>>;

impl Reviewer {
    async fn message(&self, seq: Seq) -> Result<Review, Status> {
        let known = self.gateway.shown_review(seq).await?;
        let blocked = self.gateway.shown_obstacle(&known).await?.map(|it| it.words()).unwrap_or_default();
        let (state, ended_by) = match known.state.status {
            ReviewStatus::Open => (ReviewState::Open, None),
            ReviewStatus::Quorum(_) => (ReviewState::Approved, None),
            ReviewStatus::Promoted(seq) => (ReviewState::Promoted, Some(seq)),
            ReviewStatus::Ended(seq) => (ReviewState::Ended, Some(seq)),
        };
        Ok(Review {
            seq: known.seq,
            state: state.into(),
            approvals: known.state.approvals.iter().map(|approval| approval.seq).collect(),
            ended_by,
            blocked,
            sealed_at: known.state.sealed_at,
            lacking: self.gateway.lacks(&known),
            promotion_key: known.state.promotion_key.0.to_vec(),
            sealed: Some(known.sealed),
        })
    }
}

/// Path of a review's page.
pub fn path(seq: Seq) -> String {
    format!("/reviews/{seq}/")
}

#[tonic::async_trait]
impl ReviewService for Reviewer {
    type ReadArtefactStream = Chunks;

    async fn seal_review(
        &self,
        request: Request<SealReviewRequest>,
    ) -> Result<Response<SealReviewResponse>, Status> {
        let SealReviewRequest { promotion, renditions } = request.into_inner();
        let promotion = promotion.ok_or_else(|| invalid_field("promotion", "is missing"))?;
        let receipt = self.gateway.seal_review(promotion, renditions).await?;
        let path = path(receipt.seq);
        Ok(Response::new(SealReviewResponse { receipt: Some(receipt), path }))
    }

    async fn get_review(
        &self,
        request: Request<GetReviewRequest>,
    ) -> Result<Response<GetReviewResponse>, Status> {
        let GetReviewRequest { review_seq, open_session } = request.into_inner();
        let review = self.message(review_seq).await?;
        let session = match open_session {
            true => self
                .gateway
                .reviews
                .open(self.gateway.clock.now())
                .ok_or_else(|| Status::resource_exhausted("too many sessions are open; try again"))?,
            false => String::new(),
        };
        let issuers = self.gateway.logins.clients().map(|(issuer, client_id)| LoginIssuer {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
        });
        Ok(Response::new(GetReviewResponse { review: Some(review), session, issuers: issuers.collect() }))
    }

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        let ListReviewsRequest { pending, limit } = request.into_inner();
        let limit = if limit == 0 { LIST_DEFAULT } else { limit.min(LIST_MAX) };
        let mut reviews = Vec::new();
        let seqs = self.gateway.review_seqs(pending)?;
        let size = self.gateway.ledger.head().state.size();
        for seq in seqs.into_iter().rev().filter(|seq| *seq < size).take(limit as usize) {
            reviews.push(self.message(seq).await?);
        }
        Ok(Response::new(ListReviewsResponse { reviews }))
    }

    async fn read_artefact(&self, request: Request<ReadArtefactRequest>) -> Result<Response<Chunks>, Status> {
        let ReadArtefactRequest { review_seq, sha256, session } = request.into_inner();
        let sha256: Digest = digest("sha256", &sha256)?;
        let known = self.gateway.review(review_seq)?;
        let own =
            known.state.screen == sha256 || known.sealed.artefacts.iter().any(|it| it.sha256 == sha256.0);
        if !own {
            return Err(Status::not_found(format!(
                "the review of entry {review_seq} has no artefact {sha256}"
            )));
        }
        let (send, chunks) = tokio::sync::mpsc::channel(2);
        let gateway = self.gateway.clone();
        tokio::spawn(async move {
            let mut offset = 0;
            loop {
                let read = gateway.evidence.read(&sha256, "", offset, CHUNK).await;
                let item = match read {
                    Ok(Some(chunk)) if chunk.is_empty() => {
                        // To the end, and the caller was there to take it.
                        gateway.reviews.note(&session, review_seq, sha256, gateway.clock.now());
                        return;
                    }
                    Ok(Some(chunk)) => {
                        offset += chunk.len() as u64;
                        Ok(ReadArtefactResponse { chunk })
                    }
                    Ok(None) => Err(Status::data_loss(format!("the evidence {sha256} is gone"))),
                    Err(error) => Err(error.into()),
                };
                let failed = item.is_err();
                if send.send(item).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(chunks))))
    }

    async fn prepare_decision(
        &self,
        request: Request<PrepareDecisionRequest>,
    ) -> Result<Response<PrepareDecisionResponse>, Status> {
        let request = request.into_inner();
        let draft = DecisionDraft {
            review: request.review_seq,
            decision: request.decision(),
            session: request.session,
            answers: request.answers,
            reason: request.reason,
            conditions: request.conditions,
            delegation: request.delegation_seq,
            person: None,
        };
        let prepared = self.gateway.prepare_decision(draft).await?;
        Ok(Response::new(PrepareDecisionResponse {
            nonce: prepared.nonce,
            statement: prepared.statement,
            expires_at: prepared.expires_at,
        }))
    }

    async fn submit_decision(
        &self,
        request: Request<SubmitDecisionRequest>,
    ) -> Result<Response<SubmitDecisionResponse>, Status> {
        let SubmitDecisionRequest { nonce, id_token } = request.into_inner();
        let decided = self.gateway.submit_decision(&nonce, &id_token).await?;
        Ok(Response::new(SubmitDecisionResponse {
            receipt: Some(decided.receipt),
            quorum: decided.quorum,
            promotion: decided.promotion,
        }))
    }

    async fn close_review(
        &self,
        request: Request<CloseReviewRequest>,
    ) -> Result<Response<CloseReviewResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let CloseReviewRequest { review_seq, actor: _, detail } = request.into_inner();
        let receipt = self.gateway.withdraw_review(review_seq, actor, detail).await?;
        Ok(Response::new(CloseReviewResponse { receipt: Some(receipt) }))
    }

    async fn delegate(
        &self,
        request: Request<DelegateRequest>,
    ) -> Result<Response<DelegateResponse>, Status> {
        let stated = request.get_ref().delegator.clone();
        let actor = authorize::actor(&request, "delegator", stated)?;
        let DelegateRequest { delegator: _, delegate, group, from_at, until, reason, request_id } =
            request.into_inner();
        let asked = Asked { actor, reason, request_id };
        let receipt = self.gateway.delegate(delegate, group, from_at..until, asked).await?;
        Ok(Response::new(DelegateResponse { receipt: Some(receipt) }))
    }

    async fn end_delegation(
        &self,
        request: Request<EndDelegationRequest>,
    ) -> Result<Response<EndDelegationResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let EndDelegationRequest { delegation_seq, actor: _, reason, request_id } = request.into_inner();
        let asked = Asked { actor, reason, request_id };
        let receipt = self.gateway.end_delegation(delegation_seq, asked).await?;
        Ok(Response::new(EndDelegationResponse { receipt: Some(receipt) }))
    }

    async fn close_condition(
        &self,
        request: Request<CloseConditionRequest>,
    ) -> Result<Response<CloseConditionResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let CloseConditionRequest { approved_seq, condition_id, evidence, actor: _, reason, request_id } =
            request.into_inner();
        let asked = Asked { actor, reason, request_id };
        let receipt = self.gateway.close_condition(approved_seq, condition_id, evidence, asked).await?;
        Ok(Response::new(CloseConditionResponse { receipt: Some(receipt) }))
    }
}
