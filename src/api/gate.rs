//! GateService: may this artefact run there?

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use tonic::{Request, Response, Status};

use crate::{
    admission::{self, acts::Asked, break_glass::Emergency, gateway::Gateway},
    clock::Clock,
    event::{
        Micros,
        proto::{
            BreakGlassRequest, BreakGlassResponse, CheckRequest, CheckResponse, GateBasis, GateMode,
            GetCoverageRequest, GetCoverageResponse, GetModeRequest, GetModeResponse, GetStatusListRequest,
            GetStatusListResponse, ListBreakGlassRequest, ListBreakGlassResponse, RecordUndocumentedRequest,
            RecordUndocumentedResponse, UncoveredBreakGlass, Undocumented, gate_service_server::GateService,
        },
    },
    gate::{
        check::{Allowed, answer, mode_number},
        confirm::{Confirmed, Confirmer},
        coverage, emergencies,
        question::question,
        status::{self, Scope},
    },
    ledger::{Ledger, gates::mode_of},
    projection::query,
    proof::status_list,
};

use super::authorize;
use super::status::{invalid, invalid_field};

/// An end that is nearer than this is worth a warning.
const END_NEAR: Micros = 14 * 24 * 3_600 * 1_000_000;

/// The service.
pub struct Gate {
    /// The front door.
    pub gateway: Arc<Gateway>,
    /// Says how new an answer is.
    pub confirmer: Arc<Confirmer>,
    /// Signs status lists.
    pub log_key: Arc<SigningKey>,
}

impl Gate {
    fn ledger(&self) -> &Arc<Ledger> {
        &self.gateway.ledger
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.gateway.clock
    }

    async fn confirm(&self) -> Result<Confirmed, Status> {
        let confirmed = self.confirmer.confirm().await;
        confirmed.map_err(|error| admission::Error::Unavailable(error.to_string()).into())
    }

    /// The answer to a question: of a node that has all that the log has.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with every problem; UNAVAILABLE if it cannot be confirmed.
    pub async fn answer(&self, request: CheckRequest) -> Result<CheckResponse, Status> {
        let question = question(request).map_err(|problems| invalid(&problems))?;
        let Confirmed { head, at } = self.confirm().await?;
        let (ledger, now) = (self.ledger(), self.clock().now());
        let found = answer(ledger, &head, &question, now)?;
        let slot = found.as_ref().map_or(&question.target, |allowed| &allowed.slot);
        let mode = mode_of(&head.state, slot);
        let mut response = CheckResponse {
            mode: mode_number(mode),
            as_of_size: head.state.size(),
            as_of: at,
            ..CheckResponse::default()
        };
        // The rows may be newer than the head that was confirmed, never newer than the newest one.
        let newest = ledger.head();
        response.checkpoint = newest.checkpoint.clone();
        match found {
            Ok(allowed) => {
                response.tlog_proof = ledger.receipt(allowed.seq, &newest)?.to_text();
                let header = ledger.header(allowed.seq)?;
                response.event_digest = header.map(|it| it.event_digest.0.to_vec()).unwrap_or_default();
                allow(&mut response, allowed, now);
            }
            Err(refusals) => {
                response.allowed = response.mode != i32::from(GateMode::Enforce);
                if response.mode == i32::from(GateMode::Warn) {
                    let words: Vec<_> = refusals.iter().map(|refusal| refusal.words.clone()).collect();
                    response.warning = format!("would be refused: {}", words.join("; "));
                }
                response.refusals = refusals;
            }
        }
        Ok(response)
    }

    /// A signed status list.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub async fn status_list(&self, request: GetStatusListRequest) -> Result<String, Status> {
        if request.environment.is_empty() {
            return Err(invalid_field("environment", "is missing; a status list is for one environment"));
        }
        let valid = match u64::from(request.valid_seconds) * 1_000_000 {
            0 => status::VALID_DEFAULT,
            micros if micros > status::VALID_MAX => {
                return Err(invalid_field("valid_seconds", "is more than 30 days"));
            }
            micros => micros,
        };
        let Confirmed { head, .. } = self.confirm().await?;
        let now = self.clock().now();
        let scope = Scope { environment: request.environment, model: request.model, now, valid };
        let list = status::list(self.ledger(), &head, scope)?;
        status_list::sign(&list, &self.log_key).map_err(|error| invalid_field("model", error.to_string()))
    }
}

fn allow(response: &mut CheckResponse, allowed: Allowed, now: Micros) {
    let Allowed { basis, seq, slot, artifact, version, until } = allowed;
    let days = until.saturating_sub(now) / (24 * 3_600 * 1_000_000);
    response.warning = match basis {
        GateBasis::BreakGlass => {
            "let in by an emergency, not by a promotion: promote it, or take it out, before it ends".into()
        }
        GateBasis::Undocumented if until < now.saturating_add(END_NEAR) => {
            format!("undocumented, and refused in {days} days: promote it, or its successor")
        }
        _ => String::new(),
    };
    response.allowed = true;
    response.basis = basis.into();
    response.seq = Some(seq);
    response.slot = Some(slot);
    response.artifact_sha256 = artifact.0.to_vec();
    response.version = version;
    response.until = until;
}

#[tonic::async_trait]
impl GateService for Gate {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        self.answer(request.into_inner()).await.map(Response::new)
    }

    async fn get_mode(&self, request: Request<GetModeRequest>) -> Result<Response<GetModeResponse>, Status> {
        let target = request.into_inner().target.filter(|target| !target.environment.is_empty());
        let target = target.ok_or_else(|| invalid_field("target.environment", "is missing"))?;
        let Confirmed { head, .. } = self.confirm().await?;
        Ok(Response::new(GetModeResponse { mode: mode_number(mode_of(&head.state, &target)) }))
    }

    async fn get_status_list(
        &self,
        request: Request<GetStatusListRequest>,
    ) -> Result<Response<GetStatusListResponse>, Status> {
        let status_list = self.status_list(request.into_inner()).await?;
        Ok(Response::new(GetStatusListResponse { status_list }))
    }

    async fn get_coverage(
        &self,
        request: Request<GetCoverageRequest>,
    ) -> Result<Response<GetCoverageResponse>, Status> {
        let GetCoverageRequest { environment, model } = request.into_inner();
        let Confirmed { head, .. } = self.confirm().await?;
        let now = self.clock().now();
        let slots = coverage::coverage(self.ledger(), &head, &environment, &model, now)?;
        Ok(Response::new(GetCoverageResponse { slots, as_of_size: head.state.size() }))
    }

    async fn list_break_glass(
        &self,
        _: Request<ListBreakGlassRequest>,
    ) -> Result<Response<ListBreakGlassResponse>, Status> {
        let Confirmed { head, .. } = self.confirm().await?;
        let now = self.clock().now();
        let mut entries = Vec::new();
        for (seq, event) in emergencies::uncovered(self.ledger())? {
            let newest = self.ledger().head();
            let date = query::entry(self.ledger(), &newest, seq)?.map_or(0, |found| found.date);
            let expired = event.expires_at <= now;
            entries.push(UncoveredBreakGlass { seq, event: Some(event), date, expired });
        }
        Ok(Response::new(ListBreakGlassResponse { entries, as_of_size: head.state.size() }))
    }

    async fn break_glass(
        &self,
        request: Request<BreakGlassRequest>,
    ) -> Result<Response<BreakGlassResponse>, Status> {
        let caller = authorize::caller_of(&request)?.principal.clone();
        let BreakGlassRequest { slot, artifact_sha256: artifact, id_token, reason, expires_at, request_id } =
            request.into_inner();
        let emergency = Emergency { slot, artifact, reason, expires_at, request_id };
        let receipt = self.gateway.break_glass(emergency, &id_token, &caller).await?;
        Ok(Response::new(BreakGlassResponse { receipt: Some(receipt) }))
    }

    async fn record_undocumented(
        &self,
        request: Request<RecordUndocumentedRequest>,
    ) -> Result<Response<RecordUndocumentedResponse>, Status> {
        let stated = request.get_ref().actor.clone();
        let actor = authorize::actor(&request, "actor", stated)?;
        let request = request.into_inner();
        let version = request.version.unwrap_or_default();
        let model = Undocumented {
            slot: request.slot,
            artifact_sha256: request.artifact_sha256,
            registry_uri: version.registry_uri,
            name: version.name,
            version: version.version,
            known: request.known,
            missing: request.missing,
            sunset: request.sunset,
            ..Undocumented::default()
        };
        let (reason, request_id) = (request.reason, request.request_id);
        let receipt = self.gateway.undocumented(model, Asked { actor, reason, request_id }).await?;
        Ok(Response::new(RecordUndocumentedResponse { receipt: Some(receipt) }))
    }
}
