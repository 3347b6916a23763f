//! AuditorService: look-ups, history, and what is needed to verify without trusting the server.

use std::{pin::Pin, sync::Arc, time::Duration};

use prost::Message;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{
    admission::gateway::Gateway,
    event::{
        Outcome, canonical,
        proto::{
            AsOfRequest, AsOfResponse, Entry, GetCheckpointRequest, GetCheckpointResponse, GetEntryRequest,
            GetEntryResponse, GetReceiptRequest, GetReceiptResponse, GetStatusRequest, GetStatusResponse,
            ListEntriesRequest, ListEntriesResponse, ListedEntry, Opened, PolicyInForce, ProjectionStatus,
            ReadChainRequest, ReadChainResponse, ReadEvidenceRequest, ReadEvidenceResponse, SlotAsOf,
            auditor_service_server::AuditorService, get_entry_request::By,
        },
    },
    evidence::EvidenceStore,
    identity::subjects::Subjects,
    ledger::{Head, Ledger},
    projection::{
        query::{self, Filter, Found},
        routing::RoutingAudit,
        worker::Workers,
    },
    proof::checkpoint::LogKey,
};

use super::{emitter::digest, status::invalid_field};

/// How long a query waits for the projections to reach the synced head.
const READ_OWN_WRITES_WITHIN: Duration = Duration::from_secs(5);
/// Entries in one message of a chain stream, by count.
const CHAIN_CHUNK: u64 = 256;
/// The same with records: they may be 256 KiB each.
const CHAIN_CHUNK_BYTES: usize = 512 * 1024;
const PAGE_MAX: u32 = 500;
const PAGE_DEFAULT: u32 = 50;

/// The service.
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
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Auditor {
    /// The head, once the projections have reached it, so that who wrote reads its own write.
    async fn caught_up(&self) -> Result<Arc<Head>, Status> {
        let head = self.ledger.head();
        let Some(workers) = &self.workers else { return Ok(head) };
        if workers.reach(head.state.size(), READ_OWN_WRITES_WITHIN).await {
            Ok(head)
        } else {
            Err(crate::admission::Error::Unavailable("the projections are behind; see GetStatus".into())
                .into())
        }
    }

    fn open(&self, record: &[u8]) -> Result<Vec<Opened>, Status> {
        let Ok(record) = canonical::decode(record) else { return Ok(Vec::new()) };
        let subjects = self.subjects.as_ref().ok_or_else(|| {
            Status::permission_denied(
                "the keys of the subject records are not readable here; ask without unsealing",
            )
        })?;
        let mut opened = Vec::new();
        for sealed in &record.body.sealed {
            let claims = subjects.unseal(sealed, &self.ledger.pinned);
            let claims = claims.map_err(|error| Status::data_loss(error.to_string()))?;
            let erased = claims.is_none();
            let claims = claims.map(|claims| claims.encode_to_vec()).unwrap_or_default();
            opened.push(Opened { subject_id: sealed.subject_id.clone(), claims, erased });
        }
        Ok(opened)
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
        let opened = if request.unseal {
            tracing::info!(seq = found.header.seq, "sealed items opened");
            self.open(&found.record)?
        } else {
            Vec::new()
        };
        let entry = Some(entry_message(&found, true));
        let (date, clock_reset) = (found.date, found.clock_reset);
        Ok(Response::new(GetEntryResponse {
            entry,
            opened,
            as_of_size: head.state.size(),
            date,
            clock_reset,
        }))
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let request = request.into_inner();
        let head = self.caught_up().await?;
        let ledger = &self.ledger;
        let (filter, before) = filter(&request, self.subjects.as_deref())?;
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
        let receipt = self.ledger.receipt(seq, &head)?;
        Ok(Response::new(GetReceiptResponse { tlog_proof: receipt.to_text() }))
    }

    type ReadEvidenceStream = Streamed<ReadEvidenceResponse>;

    async fn read_evidence(
        &self,
        request: Request<ReadEvidenceRequest>,
    ) -> Result<Response<Self::ReadEvidenceStream>, Status> {
        const CHUNK: usize = 64 * 1024;
        let sha256 = digest("sha256", &request.into_inner().sha256)?;
        let store: Arc<dyn EvidenceStore> = self.evidence.clone();
        if store.read(&sha256, 0, 1).await?.is_none() {
            return Err(Status::not_found(format!("no evidence with the SHA-256 {sha256}")));
        }
        let (sender, stream) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let mut offset = 0;
            loop {
                let chunk = store.read(&sha256, offset, CHUNK).await.map(Option::unwrap_or_default);
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
                Some(gateway) => gateway.not_admitting().unwrap_or_default(),
                None => "the node is stopped; this is its directory".into(),
            },
            syncs: self.ledger.store.wal_syncs(),
            entries_synced: counters.entries.load(Relaxed),
            routing_findings: self.audit.as_ref().map_or(0, |audit| audit.found.findings.load(Relaxed)),
            policy: state.policy.as_ref().map(|policy| PolicyInForce {
                seq: policy.seq,
                sha256: policy.sha256.0.to_vec(),
                id: policy.id.clone(),
                version: policy.version,
            }),
        }))
    }
}

/// Entries from a position on, at least one, bounded by count and bytes.
pub(super) fn chain_chunk(
    ledger: &Ledger,
    from: u64,
    to: u64,
    with_records: bool,
) -> Result<ReadChainResponse, Status> {
    let headers = ledger.store.headers(from, to.min(from + CHAIN_CHUNK))?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    for (header, seq) in headers.into_iter().zip(from..) {
        let record = if with_records { ledger.store.record(seq)?.unwrap_or_default() } else { Vec::new() };
        bytes += record.len();
        entries.push(Entry { header: header.to_vec(), record });
        if bytes >= CHAIN_CHUNK_BYTES {
            break;
        }
    }
    if entries.is_empty() {
        return Err(Status::data_loss(format!("entry {from} cannot be read")));
    }
    Ok(ReadChainResponse { entries })
}

/// The filter in a request; `None` if nothing can match it.
fn filter(
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
    };
    Ok((Some(filter), before))
}
