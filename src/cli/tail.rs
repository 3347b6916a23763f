//! `tail`: entries in order, from a position, and new ones as they come.

use std::time::Duration;

use crate::event::{Header, Seq, proto::SubscribeResponse};

use super::{
    entries::Entries,
    event_json, list,
    output::{self, Exit, Failure, Format, Result, say},
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
    let mut entries = Entries::open(args.url.as_deref(), *next, args.follow).await?;
    while let Some((header, message)) = entries.next().await? {
        *next += 1;
        let record = message.entry.as_ref().map(|entry| entry.record.as_slice()).unwrap_or_default();
        print(&message, &header, record, format);
    }
    Ok(())
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
