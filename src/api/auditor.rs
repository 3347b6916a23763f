//! AuditorService: look-ups, history, and what is needed to verify without trusting the server.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{
    admission::gateway::Gateway,
    alert::Alerts,
    event::{
        canonical,
        proto::{
            Alert, AsOfRequest, AsOfResponse, CheckArchiveRequest, CheckArchiveResponse,
            CheckEvidenceRequest, CheckEvidenceResponse, Entry, GetCheckpointRequest, GetCheckpointResponse,
            GetEntryRequest, GetEntryResponse, GetReceiptRequest, GetReceiptResponse, GetStatusRequest,
            GetStatusResponse, GetTimestampsRequest, GetTimestampsResponse, ListCheckpointsRequest,
            ListEntriesRequest, ListEntriesResponse, ListLegalHoldsRequest, ListLegalHoldsResponse,
            ListRelianceRequest, ListRelianceResponse, ListedEntry, PolicyInForce, ProjectionStatus,
            ReadChainRequest, ReadChainResponse, ReadEvidenceRequest, ReadEvidenceResponse, SlotAsOf,
            StampedCheckpoint, auditor_service_server::AuditorService, body::Event, get_entry_request::By,
        },
    },
    evidence::EvidenceStore,
    identity::subjects::Subjects,
    ledger::{Head, Ledger},
    projection::{
        query::{self, Found},
        reliance,
        routing::RoutingAudit,
        worker::Workers,
    },
    proof::checkpoint::LogKey,
    registry::Registry,
    witness::{kept, stamps},
};

use super::{
    archive_checks::Archived,
    chain::chain_chunk,
    emitter::digest,
    evidence_checks::Checks,
    listing,
    proofs::{
        self, GetConsistencyProofRequest, GetConsistencyProofResponse, GetInclusionProofRequest,
        GetInclusionProofResponse,
    },
    sealed,
    status::invalid_field,
};

/// How long a query waits for the projections to reach the synced head.
const READ_OWN_WRITES_WITHIN: Duration = Duration::from_secs(5);
const PAGE_MAX: u32 = 500;
const PAGE_DEFAULT: u32 = 50;
/// Promotions that one answer about reliance names at most.
pub(super) const RELIANCE_MAX: usize = 100_000;

/// The service.
#[derive(Clone)]
pub struct Auditor {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The workers of a running node; absent for a stopped node's directory, whose rows are complete.
    pub workers: Option<Arc<Workers>>,
    /// Routes every promotion again; absent for a stopped node's directory.
    pub audit: Option<Arc<RoutingAudit>>,
    /// Evidence.
    pub evidence: Arc<dyn EvidenceStore>,
    /// People; absent where the keys of the subject records cannot be read.
    pub subjects: Option<Arc<Subjects>>,
    /// The front door of a running node.
    pub gateway: Option<Arc<Gateway>>,
    /// What somebody must look at.
    pub alerts: Arc<Alerts>,
    /// Model registries that follow this node.
    pub registries: Vec<Arc<Registry>>,
    /// How evidence is looked at again.
    pub checks: Checks,
    /// The ledger's archive.
    pub archived: Archived,
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Auditor {
    /// The head, once the projections have reached it, so that who wrote reads its own write.
    pub(super) async fn caught_up(&self) -> Result<Arc<Head>, Status> {
        let head = self.ledger.head();
        let Some(workers) = &self.workers else { return Ok(head) };
        if workers.reach(head.state.size(), READ_OWN_WRITES_WITHIN).await {
            Ok(head)
        } else {
            Err(crate::admission::Error::Unavailable("the projections are behind; see GetStatus".into())
                .into())
        }
    }
}

fn entry_message(found: &Found, with_record: bool) -> Entry {
    let record = if with_record { found.record.clone() } else { Vec::new() };
    Entry { header: found.header.encode().to_vec(), record }
}

#[tonic::async_trait]
impl AuditorService for Auditor {
    async fn get_entry(
        &self,
        request: Request<GetEntryRequest>,
    ) -> Result<Response<GetEntryResponse>, Status> {
        let asker = sealed::asker(&request);
        let request = request.into_inner();
        let head = self.caught_up().await?;
        let ledger = &self.ledger;
        let seq = match request.by {
            Some(By::Seq(seq)) => Some(seq),
            Some(By::EventDigest(bytes)) => {
                query::by_event_digest(ledger, &head, &digest("event_digest", &bytes)?)?
            }
            Some(By::IdempotencyKey(bytes)) => {
                query::by_idempotency_key(ledger, &head, &digest("idempotency_key", &bytes)?)?
            }
            None => return Err(invalid_field("by", "is missing; give seq, event_digest or idempotency_key")),
        };
        let found = seq.map(|seq| query::entry(ledger, &head, seq)).transpose()?.flatten();
        let Some(found) = found else {
            let size = head.state.size();
            return Err(Status::not_found(format!("no such entry among the first {size}")));
        };
        let opened = if request.unseal { self.open_entry(&head, &found, &asker)? } else { Vec::new() };
        let taints = match canonical::decode(&found.record).ok().and_then(|record| record.body.event) {
            Some(Event::Promoted(promoted)) => reliance::taints(ledger, &head, &promoted)?,
            _ => Vec::new(),
        };
        let entry = Some(entry_message(&found, true));
        let (date, clock_reset) = (found.date, found.clock_reset);
        Ok(Response::new(GetEntryResponse {
            entry,
            opened,
            as_of_size: head.state.size(),
            date,
            clock_reset,
            taints,
        }))
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let request = request.into_inner();
        let head = self.caught_up().await?;
        let ledger = &self.ledger;
        let (filter, before) = listing::filter(&request, self.subjects.as_deref())?;
        let max = if request.page_size == 0 { PAGE_DEFAULT } else { request.page_size.min(PAGE_MAX) };
        let Some(filter) = filter else {
            return Ok(Response::new(ListEntriesResponse {
                as_of_size: head.state.size(),
                ..Default::default()
            }));
        };
        let (found, next) = query::list(ledger, &head, &filter, before, max as usize)?;
        let listed = |found: &Found| ListedEntry {
            entry: Some(entry_message(found, request.with_records)),
            date: found.date,
            clock_reset: found.clock_reset,
        };
        Ok(Response::new(ListEntriesResponse {
            entries: found.iter().map(listed).collect(),
            next_page_token: next.map(|seq| seq.to_string()).unwrap_or_default(),
            as_of_size: head.state.size(),
        }))
    }

    async fn as_of(&self, request: Request<AsOfRequest>) -> Result<Response<AsOfResponse>, Status> {
        let request = request.into_inner();
        let head = self.caught_up().await?;
        let slots = query::as_of(&self.ledger, &head, &request.model, &request.environment, request.time)?;
        let slot = |found: query::SlotAsOf| SlotAsOf {
            slot: Some(found.slot),
            promoted_seq: found.current,
            changed_by: found.changed_by,
            since: found.since,
            undocumented_seq: found.undocumented,
        };
        let slots = slots.into_iter().map(slot).collect();
        Ok(Response::new(AsOfResponse { slots, as_of_size: head.state.size() }))
    }

    type ReadChainStream = Streamed<ReadChainResponse>;

    async fn read_chain(
        &self,
        request: Request<ReadChainRequest>,
    ) -> Result<Response<Self::ReadChainStream>, Status> {
        let request = request.into_inner();
        let size = self.ledger.head().state.size();
        let to = if request.to == 0 { size } else { request.to.min(size) };
        let ledger = self.ledger.clone();
        let (sender, stream) = tokio::sync::mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            let mut from = request.from;
            while from < to {
                let chunk = chain_chunk(&ledger, from, to, request.with_records);
                let step = chunk.as_ref().map_or(0, |chunk| chunk.entries.len() as u64);
                if sender.blocking_send(chunk).is_err() || step == 0 {
                    return;
                }
                from += step;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_checkpoint(
        &self,
        _: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        Ok(Response::new(GetCheckpointResponse { checkpoint: self.ledger.head().checkpoint.clone() }))
    }

    async fn get_receipt(
        &self,
        request: Request<GetReceiptRequest>,
    ) -> Result<Response<GetReceiptResponse>, Status> {
        let seq = request.into_inner().seq;
        let head = self.ledger.head();
        if seq >= head.state.size() {
            let size = head.state.size();
            return Err(Status::not_found(format!("entry {seq} is not among the first {size}")));
        }
        let receipt = self.ledger.newest_receipt(seq)?;
        Ok(Response::new(GetReceiptResponse { tlog_proof: receipt.to_text() }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        proofs::inclusion(&self.ledger, &request.into_inner()).map(Response::new)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        proofs::consistency(&self.ledger, &request.into_inner()).map(Response::new)
    }

    async fn get_timestamps(
        &self,
        request: Request<GetTimestampsRequest>,
    ) -> Result<Response<GetTimestampsResponse>, Status> {
        let stamped = stamps::around(&self.ledger.dir, request.into_inner().seq);
        Ok(Response::new(GetTimestampsResponse { stamped }))
    }

    type ListCheckpointsStream = Streamed<StampedCheckpoint>;

    async fn list_checkpoints(
        &self,
        _: Request<ListCheckpointsRequest>,
    ) -> Result<Response<Self::ListCheckpointsStream>, Status> {
        let kept = kept::kept(&self.ledger.dir).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(kept))))
    }

    type ReadEvidenceStream = Streamed<ReadEvidenceResponse>;

    async fn read_evidence(
        &self,
        request: Request<ReadEvidenceRequest>,
    ) -> Result<Response<Self::ReadEvidenceStream>, Status> {
        const CHUNK: usize = 64 * 1024;
        let asker = sealed::asker(&request);
        let ReadEvidenceRequest { sha256, unseal } = request.into_inner();
        let sha256 = digest("sha256", &sha256)?;
        if unseal {
            let content = self.open_evidence(&sha256, &asker).await?;
            let chunks: Vec<_> = content
                .chunks(CHUNK)
                .map(|chunk| Ok(ReadEvidenceResponse { chunk: chunk.to_vec() }))
                .collect();
            return Ok(Response::new(Box::pin(tokio_stream::iter(chunks))));
        }
        let store: Arc<dyn EvidenceStore> = self.evidence.clone();
        if store.read(&sha256, "", 0, 1).await?.is_none() {
            return Err(Status::not_found(format!("no evidence with the SHA-256 {sha256}")));
        }
        let (sender, stream) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let mut offset = 0;
            loop {
                let chunk = store.read(&sha256, "", offset, CHUNK).await.map(Option::unwrap_or_default);
                let len = chunk.as_ref().map_or(0, Vec::len);
                if chunk.is_ok() && len == 0 {
                    return;
                }
                let message = chunk.map(|chunk| ReadEvidenceResponse { chunk }).map_err(Status::from);
                if sender.send(message).await.is_err() || len == 0 {
                    return;
                }
                offset += len as u64;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type ListRelianceStream = Streamed<ListRelianceResponse>;

    async fn list_reliance(
        &self,
        request: Request<ListRelianceRequest>,
    ) -> Result<Response<Self::ListRelianceStream>, Status> {
        let sha256 = digest("sha256", &request.into_inner().sha256)?;
        let head = self.caught_up().await?;
        let found = reliance::reliance(&self.ledger, &head, &sha256, RELIANCE_MAX)?;
        Ok(Response::new(Box::pin(tokio_stream::iter(found.into_iter().map(Ok)))))
    }

    type CheckEvidenceStream = Streamed<CheckEvidenceResponse>;

    async fn check_evidence(
        &self,
        request: Request<CheckEvidenceRequest>,
    ) -> Result<Response<Self::CheckEvidenceStream>, Status> {
        self.caught_up().await?;
        let (sender, stream) = tokio::sync::mpsc::channel(4);
        tokio::spawn(self.clone().check_all(request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type CheckArchiveStream = Streamed<CheckArchiveResponse>;

    async fn check_archive(
        &self,
        request: Request<CheckArchiveRequest>,
    ) -> Result<Response<Self::CheckArchiveStream>, Status> {
        let (sender, stream) = tokio::sync::mpsc::channel(4);
        tokio::spawn(self.clone().check_bundles(request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn list_legal_holds(
        &self,
        _: Request<ListLegalHoldsRequest>,
    ) -> Result<Response<ListLegalHoldsResponse>, Status> {
        let head = self.ledger.head();
        let holds = reliance::holds(&self.ledger, &head)?;
        Ok(Response::new(ListLegalHoldsResponse { holds, as_of_size: head.state.size() }))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        use std::sync::atomic::Ordering::Relaxed;
        let head = self.ledger.head();
        let state = &head.state;
        let key = canonical::public_key(&state.log_key)
            .ok_or_else(|| Status::internal("the log key is not valid"))?;
        let counters = &self.ledger.counters;
        let status = |(view, size): (crate::projection::fold::View, u64)| ProjectionStatus {
            name: view.name().into(),
            size,
        };
        let alert = |open: crate::alert::Alert| Alert {
            name: open.name,
            description: open.words,
            raised_at: open.since,
        };
        Ok(Response::new(GetStatusResponse {
            origin: state.origin.clone(),
            ledger_id: state.ledger_id.0.to_vec(),
            log_vkey: LogKey { origin: state.origin.clone(), key }.vkey(),
            time_zone: state.time_zone.clone(),
            synced_size: state.size(),
            head_link: state.link.0.to_vec(),
            log_end: counters.delivered.load(Relaxed).max(state.size()),
            projections: self.workers.iter().flat_map(|workers| workers.sizes()).map(status).collect(),
            not_admitting: match &self.gateway {
                Some(gateway) => gateway.not_promoting().unwrap_or_default(),
                None => "the node is stopped; this is its directory".into(),
            },
            syncs: self.ledger.store.wal_syncs(),
            entries_synced: counters.entries.load(Relaxed),
            routing_findings: self.audit.as_ref().map_or(0, |audit| audit.found.findings.load(Relaxed)),
            registries: self.registries.iter().map(|it| super::registry::status(it)).collect(),
            alerts: self.alerts.open().into_iter().map(alert).collect(),
            archive: self.archive_status(),
            evidence_checks: self.checks.status(),
            policy: state.policy.as_ref().map(|policy| PolicyInForce {
                seq: policy.seq,
                sha256: policy.sha256.0.to_vec(),
                id: policy.id.clone(),
                version: policy.version,
            }),
        }))
    }
}
