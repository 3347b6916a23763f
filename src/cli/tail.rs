//! `tail`: entries in order, from a position, and new ones as they come.

use std::time::Duration;

use tonic::Code;

use crate::event::{
    Header, Seq,
    proto::{SubscribeRequest, SubscribeResponse, consumer_service_client::ConsumerServiceClient},
};

use super::{
    event_json, list,
    output::{self, Exit, Failure, Format, Result, say},
    source,
};

/// Between two attempts to connect, at first; doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The same, at most.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Entries in order, from a position, and new ones as they come.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger tail --from 1200\n  promotion-ledger tail --follow --format json | jq .event\n\nEvery entry is there, with its outcome, each once and in order. With --follow the connection is made again\nwhen it breaks, and goes on after the last entry."
)]
pub struct Args {
    /// First entry
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: Seq,
    /// Wait for new entries
    #[arg(long, short)]
    follow: bool,
    /// A running node, for instance http://127.0.0.1:7420 (the default)
    #[arg(long, env = "PROMOTION_LEDGER_URL")]
    url: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let mut next = args.from;
    let mut backoff = BACKOFF_FIRST;
    loop {
        let before = next;
        let failure = match stream(&args, &mut next, format).await {
            Ok(()) if !args.follow => return Ok(Exit::Ok),
            Ok(()) => Failure::new(Exit::Unreachable, "the node ended the stream"),
            Err(failure) => failure,
        };
        if !args.follow || failure.exit != Exit::Unreachable {
            return Err(failure);
        }
        if next > before {
            backoff = BACKOFF_FIRST;
        }
        eprintln!("{}; trying again in {:.1} s", failure.message, backoff.as_secs_f64());
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One connection's worth of entries.
async fn stream(args: &Args, next: &mut Seq, format: Format) -> Result<()> {
    let channel = source::connect(args.url.as_deref()).await?;
    let mut client = ConsumerServiceClient::new(channel).max_decoding_message_size(64 << 20);
    let mut entries =
        client.subscribe(SubscribeRequest { from: *next, follow: args.follow }).await?.into_inner();
    loop {
        let message = entries.message().await.map_err(|status| {
            // A node that stops, or a connection that breaks, in the middle of a stream.
            let broken = matches!(status.code(), Code::Unknown | Code::Cancelled | Code::Internal);
            let failure = Failure::from(status);
            if broken { Failure { exit: Exit::Unreachable, ..failure } } else { failure }
        })?;
        let Some(message) = message else { return Ok(()) };
        let entry = message.entry.clone().unwrap_or_default();
        let header =
            Header::decode(&entry.header).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        if header.seq != *next {
            let (due, sent) = (*next, header.seq);
            return Err(Failure::new(
                Exit::Internal,
                format!("entry {due} is due, but the node sent entry {sent}"),
            ));
        }
        *next += 1;
        print(&message, &header, &entry.record, format);
    }
}

fn print(message: &SubscribeResponse, header: &Header, record: &[u8], format: Format) {
    let behind = message.synced_size.saturating_sub(header.seq + 1);
    if format == Format::Json {
        let event = event_json::body(record).as_ref().map(event_json::event);
        output::json(
            &serde_json::json!({ "header": event_json::header(header), "event": event, "behind": behind }),
        );
        return;
    }
    let (slot, what) = list::summary(header, record);
    let kind = header.kind.map_or("-", |kind| kind.name());
    let reason = match header.reason {
        crate::event::Reason::None => String::new(),
        reason => format!(" ({reason})"),
    };
    say!(
        "{:>8}  {}  {kind}  {}{reason}  {slot}  {what}",
        header.seq,
        output::utc(header.recorded_at),
        header.outcome
    );
}
