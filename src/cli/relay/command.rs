//! `relay`: reads a node, publishes batches, and starts anew from the topic whenever anything is in doubt.

use std::time::Duration;

use super::cloud_event::{self, Data, Ledger};
use crate::{
    cli::{
        entries::Entries,
        output::{self, Exit, Failure, Format, Result},
        source::connect,
    },
    event::{
        Seq,
        proto::{GetStatusRequest, auditor_service_client::AuditorServiceClient},
    },
    log::{
        self,
        kafka::{
            self,
            output::{End, Output, Record},
        },
    },
};

/// Records of one batch, at most.
const BATCH_LEN_MAX: usize = 500;
/// Bytes of one batch, at most, beside its last record.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How long a batch waits for another record.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// Between two attempts, at first and at most.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Accepted entries on an output topic, each exactly once.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger relay --bootstrap broker-1:9092 --topic promotions-accepted\n  promotion-ledger relay --bootstrap broker-1:9092 --topic promotions-accepted --until-end\n\nThe topic has one partition. Each record is a CloudEvent in binary mode (headers ce_*), key = model; the data is the event as\nJSON, or its canonical bytes. Where the relay goes on is what the topic's last committed record says, and nothing else:\nkill it, or run it on another machine. Two relays of one ledger and topic end each other: the newer one goes on. Consumers\nread with isolation.level=read_committed; python/read_relay.py is a plain one."
)]
pub struct Args {
    /// A running node, for instance http://127.0.0.1:7420 (the default)
    #[arg(long, env = "PROMOTION_LEDGER_URL")]
    url: Option<String>,
    /// Brokers, `host:port`, separated by commas
    #[arg(long)]
    bootstrap: String,
    /// The output topic, with one partition
    #[arg(long)]
    topic: String,
    /// A property of librdkafka, for instance security.protocol=SSL; a value file:PATH is read from that file
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = kafka::property)]
    properties: Vec<(String, String)>,
    /// What the records' data is
    #[arg(long, value_enum, default_value = "json")]
    data: Data,
    /// First entry, where the topic holds nothing
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: Seq,
    /// End when everything that the node has is published
    #[arg(long)]
    until_end: bool,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let mut backoff = BACKOFF_FIRST;
    let mut published = 0;
    loop {
        let before = published;
        let failure = match relay(&args, &mut published).await {
            Ok(()) => {
                report(&args, published, format);
                return Ok(Exit::Ok);
            }
            Err(failure) => failure,
        };
        // Whatever it was: the topic says where to go on.
        if failure.exit != Exit::Unreachable {
            return Err(failure);
        }
        if published > before {
            backoff = BACKOFF_FIRST;
        }
        eprintln!("{}; trying again in {:.1} s", failure.message, backoff.as_secs_f64());
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

fn report(args: &Args, published: u64, format: Format) {
    match format {
        Format::Json => output::json(&serde_json::json!({ "topic": args.topic, "published": published })),
        Format::Text => output::line(format_args!("{published} entries published on {}", args.topic)),
    }
}

fn of_log(error: log::Error) -> Failure {
    let exit = match &error {
        log::Error::Unavailable(_) | log::Error::Full => Exit::Unreachable,
        log::Error::TooLarge { .. } | log::Error::Unfit(_) => Exit::No,
    };
    Failure::new(exit, error.to_string())
}

/// One run from what the topic says to the end, or to the first doubt.
async fn relay(args: &Args, published: &mut u64) -> Result<()> {
    let ledger = ledger(args).await?;
    let id = ledger.ledger_id.get(..16).unwrap_or_default();
    let config = kafka::Config {
        bootstrap: args.bootstrap.clone(),
        topic: args.topic.clone(),
        properties: args.properties.iter().cloned().collect(),
        development_topic: true,
        message_timeout_ms: 30_000,
    };
    let name = format!("promotion-ledger-relay-{id}-{}", args.topic);
    let (topic, end) = Output::open(config, &name).await.map_err(of_log)?;
    let wrong = |why: String| Failure::new(Exit::No, format!("topic {}: {why}", args.topic));
    let next = match end {
        End::Empty => args.from,
        End::Deleted if args.from > 0 => args.from,
        End::Deleted => {
            return Err(wrong("all its records are deleted; say with --from which entry comes next".into()));
        }
        End::Last(headers) => cloud_event::next(&ledger, &headers).map_err(wrong)?,
    };
    eprintln!("publishing from entry {next} on");
    let mut entries = Entries::open(args.url.as_deref(), next, !args.until_end).await?;
    let mut ended = false;
    while !ended {
        let batch;
        (batch, ended) = gather(&mut entries, &ledger, args.data).await?;
        if !batch.is_empty() {
            let len = batch.len() as u64;
            topic.publish(batch).await.map_err(of_log)?;
            *published += len;
        }
    }
    if args.until_end { Ok(()) } else { Err(Failure::new(Exit::Unreachable, "the node ended the stream")) }
}

async fn ledger(args: &Args) -> Result<Ledger> {
    let mut client = AuditorServiceClient::new(connect(args.url.as_deref()).await?);
    let status = client.get_status(GetStatusRequest {}).await?.into_inner();
    Ok(Ledger { origin: status.origin, ledger_id: hex::encode(status.ledger_id) })
}

/// Records of the next entries: what comes without a pause, bounded. Whether the stream is over.
async fn gather(entries: &mut Entries, ledger: &Ledger, data: Data) -> Result<(Vec<Record>, bool)> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_LEN_MAX && bytes < BATCH_BYTES_MAX {
        let next = match batch.is_empty() {
            true => entries.next().await,
            false => match tokio::time::timeout(BATCH_WAIT, entries.next()).await {
                Ok(next) => next,
                Err(_) => return Ok((batch, false)),
            },
        };
        let Some((header, message)) = next? else { return Ok((batch, true)) };
        let record = message.entry.as_ref().map(|entry| entry.record.as_slice()).unwrap_or_default();
        if let Some(record) = cloud_event::record(ledger, &header, record, data) {
            bytes += record.value.len();
            batch.push(record);
        }
    }
    Ok((batch, false))
}
