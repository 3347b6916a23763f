//! Sends a request until it is answered, and believes the answer only when its receipt verifies.

use std::{future::Future, path::Path, time::Duration};

use crate::cli::source::Channel;
use tonic::{Code, Request, Response, Status};

use super::output::{self, Exit, Failure, Format, Result, say};
use crate::{
    event::{
        Header, Outcome, digest,
        proto::{
            GetStatusRequest, PromoteRequest, PromotionDraft, Receipt,
            auditor_service_client::AuditorServiceClient,
        },
    },
    proof::{checkpoint::LogKey, receipt},
};

/// The client of the emitters' service.
pub use crate::event::proto::emitter_service_client::EmitterServiceClient as Emitter;

const ATTEMPTS_MAX: u32 = 6;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Longer than a node waits for its log, so that the node's own answer arrives.
const CALL_WITHIN: Duration = Duration::from_secs(60);

/// An entry whose receipt was verified.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// As the node gave it.
    pub receipt: Receipt,
    /// The header in it.
    pub header: Header,
    /// Size of the checkpoint that it leads to.
    pub size: u64,
}

/// Whether the same request may be sent again: it gives one event, however often it is sent.
fn retryable(status: &Status) -> bool {
    let said = [Code::Unavailable, Code::ResourceExhausted, Code::Aborted, Code::DeadlineExceeded];
    // A connection that broke off, or a call that this side gave up.
    said.contains(&status.code()) || matches!(status.code(), Code::Unknown | Code::Cancelled)
}

/// Calls until an answer is final, a few times, with growing and random pauses.
///
/// # Errors
/// The last status.
pub async fn retrying<T, F>(call: impl Fn() -> F) -> std::result::Result<T, Status>
where
    F: Future<Output = std::result::Result<Response<T>, Status>>,
{
    let mut pause = BACKOFF_FIRST;
    for _ in 1..ATTEMPTS_MAX {
        match call().await {
            Err(status) if retryable(&status) => tokio::time::sleep(jittered(pause)).await,
            answer => return answer.map(Response::into_inner),
        }
        pause = (pause * 2).min(BACKOFF_MAX);
    }
    call().await.map(Response::into_inner)
}

/// Between half of a pause and all of it: callers that failed together come back apart.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without random bytes everybody waits the whole pause.
    let share = getrandom::fill(&mut byte).map_or(255, |()| u32::from(byte[0]));
    pause / 2 + pause * share / 510
}

/// A request with this program's deadline.
pub fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_WITHIN);
    request
}

/// The key that a node's checkpoints verify with: the one given, or else what the node says.
///
/// # Errors
/// Of the call; exit code 2 if the key cannot be read.
pub async fn log_key(channel: &Channel, given: Option<&str>) -> Result<LogKey> {
    if let Some(vkey) = given {
        return LogKey::parse(vkey).map_err(|error| Failure::usage(format!("--log-key: {error}")));
    }
    let auditor = AuditorServiceClient::new(channel.clone());
    let status = retrying(|| {
        let mut auditor = auditor.clone();
        async move { auditor.get_status(request(GetStatusRequest {})).await }
    });
    let vkey = status.await?.log_vkey;
    LogKey::parse(&vkey).map_err(|error| Failure::new(Exit::Internal, format!("the node's log key: {error}")))
}

/// Sends a promotion and verifies the receipt.
///
/// # Errors
/// Of the call; exit code 1 if the receipt does not hold.
pub async fn submit(emitter: &Emitter<Channel>, draft: &PromotionDraft, key: &LogKey) -> Result<Recorded> {
    let answer = retrying(|| {
        let (mut emitter, promotion) = (emitter.clone(), Some(draft.clone()));
        async move { emitter.promote(request(PromoteRequest { promotion })).await }
    });
    let recorded = verified(answer.await?.receipt, key)?;
    let expected = digest::draft_key(draft);
    if recorded.receipt.idempotency_key != expected.0 {
        return Err(distrust(&format!(
            "it is for another promotion than the one that was sent ({expected})"
        )));
    }
    Ok(recorded)
}

fn distrust(why: &str) -> Failure {
    Failure::new(Exit::No, format!("the node answered, but its receipt does not hold: {why}"))
}

/// Verifies a receipt: signature, inclusion, and that it is about the entry that the node named.
///
/// # Errors
/// Exit code 1 if it does not hold.
pub fn verified(receipt: Option<Receipt>, key: &LogKey) -> Result<Recorded> {
    let receipt = receipt.ok_or_else(|| distrust("there is none"))?;
    let proof = receipt::Receipt::parse(&receipt.tlog_proof).map_err(|error| distrust(&error.to_string()))?;
    let (header, checkpoint) = proof.verify(key).map_err(|error| distrust(&error.to_string()))?;
    if header.seq != receipt.seq {
        return Err(distrust(&format!("it proves entry {}, not entry {}", header.seq, receipt.seq)));
    }
    if header.event_digest.0[..] != receipt.event_digest {
        return Err(distrust(&format!("the entry's event digest is {}", header.event_digest)));
    }
    if header.outcome != Outcome::Accepted {
        return Err(distrust(&format!("entry {} is {}", header.seq, header.outcome)));
    }
    Ok(Recorded { receipt, header, size: checkpoint.size })
}

/// Writes the receipt to a file.
///
/// # Errors
/// Exit code 4 if the file cannot be written: the event is recorded all the same.
pub fn write_receipt(recorded: &Recorded, path: &Path) -> Result<()> {
    std::fs::write(path, &recorded.receipt.tlog_proof).map_err(|error| {
        let seq = recorded.receipt.seq;
        Failure::new(
            Exit::Internal,
            format!("entry {seq} is recorded, but {} cannot be written: {error}", path.display()),
        )
    })
}

/// Prints what was recorded: `what` in words, then the numbers to keep.
pub fn print(what: &str, recorded: &Recorded, file: Option<&Path>, extra: &[(&str, String)], format: Format) {
    let receipt = &recorded.receipt;
    let (event, key) = (recorded.header.event_digest.to_string(), hex::encode(&receipt.idempotency_key));
    let file = file.map(|path| path.display().to_string());
    if format == Format::Json {
        let mut value = serde_json::json!({
            "seq": receipt.seq, "event_digest": event, "idempotency_key": key, "duplicate": receipt.duplicate,
            "recorded_at": output::utc(recorded.header.recorded_at), "receipt_verified_at_size": recorded.size, "receipt": file,
        });
        if let Some(fields) = value.as_object_mut() {
            fields.extend(extra.iter().map(|(name, text)| ((*name).replace(' ', "_"), text.clone().into())));
        }
        return output::json(&value);
    }
    let done = if receipt.duplicate { "was recorded already" } else { "recorded" };
    say!("{what} {done} as entry {}", receipt.seq);
    say!("  event digest     {event}");
    say!("  idempotency key  {key}");
    say!("  recorded at      {}", output::utc(recorded.header.recorded_at));
    say!("  receipt          verified against the log key, {} entries", recorded.size);
    for (name, text) in extra {
        say!("  {name:<15}  {text}");
    }
    if let Some(file) = file {
        say!("  receipt file     {file}");
    }
}
