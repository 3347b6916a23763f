//! `republish`: a topic from a node's records, offset for offset.
//!
//! Exclusive, one value in flight: after each one the topic is read, and the value must stand at the offset that is
//! its entry's number. What is not so cannot be mended on that topic.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    event::{Digest, Header, Seq, canonical, promotion},
    ledger::{
        state::State,
        store::{self, Store},
    },
    log::{
        self, Log, Outgoing, Tail,
        kafka::{self, Kafka},
    },
};

use super::{
    output::{self, Exit, Failure, Format, Result, say},
    progress,
};

/// How long the topic may take to deliver what it has acknowledged.
const DELIVERY_WAIT: Duration = Duration::from_secs(30);
/// Records read from the database at a time.
const READ_LEN: u64 = 256;

/// Write a stopped node's records onto an empty Kafka topic.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger republish --dir ledger --bootstrap broker-1:9092 --topic promotions-2\n\nMoves an embedded ledger onto Kafka, or replaces a lost topic. No node may write to the topic meanwhile. If it was\ninterrupted, run it again: what the topic holds is compared, and it goes on from there. Then set [log] of every\nnode's configuration to the topic and start them."
)]
pub struct Args {
    /// Directory of the stopped node
    #[arg(long)]
    dir: PathBuf,
    /// Brokers, `host:port`, separated by commas
    #[arg(long)]
    bootstrap: String,
    /// The topic; made if it is not there
    #[arg(long)]
    topic: String,
    /// Take a topic with one replica, for development
    #[arg(long)]
    development_topic: bool,
    /// A property of librdkafka, for instance security.protocol=SSL; a value file:PATH is read from that file
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = kafka::property)]
    properties: Vec<(String, String)>,
}

fn of_log(error: log::Error) -> Failure {
    match error {
        log::Error::Unavailable(_) | log::Error::Full => Failure::new(
            Exit::Unreachable,
            format!("{error}; run the same command again, it goes on from there"),
        ),
        error => Failure::new(Exit::Internal, error.to_string()),
    }
}

fn of_store(error: store::Error) -> Failure {
    Failure::new(Exit::Internal, error.to_string())
}

fn new_topic(why: &str) -> Failure {
    Failure::new(Exit::No, format!("{why}; use a new topic"))
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let path = args.dir.join("ledger");
    if !path.is_dir() {
        return Err(Failure::usage(format!(
            "{} holds no ledger; give the directory of a node",
            args.dir.display()
        )));
    }
    // Opened for writing, though nothing is written: a running node holds the lock.
    let store = Store::open(&path).map_err(of_store)?;
    let state = store.state().map_err(of_store)?;
    let state = state.ok_or_else(|| Failure::usage(format!("{} holds no ledger", args.dir.display())))?;
    let kafka = Kafka::open(config(&args), true).await.map_err(of_log)?;
    if kafka.start_offset().await.map_err(of_log)? != 0 {
        return Err(new_topic(&format!("the topic {} has lost its first records", args.topic)));
    }
    let (size, end) = (state.size(), kafka.end().await.map_err(of_log)?.unwrap_or(0));
    if end > size {
        return Err(new_topic(&format!("the topic {} holds {end} records, the node {size}", args.topic)));
    }
    let mut tail = kafka.tail(0).map_err(of_log)?;
    let bar = progress::bar(size, "republishing");
    let mut from = 0;
    while from < size {
        let to = size.min(from + READ_LEN);
        let (headers, records) =
            (store.headers(from, to).map_err(of_store)?, store.records(from, to).map_err(of_store)?);
        for ((seq, header), record) in (from..to).zip(&headers).zip(records) {
            if seq >= end {
                let outgoing = outgoing(header, record.clone(), &state);
                kafka.append(outgoing).await.map_err(of_log)?;
            }
            tokio::task::block_in_place(|| delivered(tail.as_mut(), seq, &record))?;
            bar.set_position(seq + 1);
        }
        from = to;
    }
    bar.finish_and_clear();
    match format {
        Format::Json => output::json(&serde_json::json!({
            "topic": args.topic, "records": size, "were_there": end, "head_link": state.link.to_string(),
        })),
        Format::Text => {
            say!(
                "The topic {} holds all {size} records, each at its own offset ({end} were there already).",
                args.topic
            );
            say!(
                "Set [log] of every node's configuration to it, and start them: their head link will be {}",
                state.link
            );
        }
    }
    Ok(Exit::Ok)
}

fn config(args: &Args) -> kafka::Config {
    kafka::Config {
        bootstrap: args.bootstrap.clone(),
        topic: args.topic.clone(),
        properties: args.properties.iter().cloned().collect(),
        development_topic: args.development_topic,
        message_timeout_ms: 30_000,
    }
}

/// A record as its front door sent it. A hole becomes an empty value, which every node takes for a hole.
fn outgoing(header: &[u8], value: Vec<u8>, state: &State) -> Outgoing {
    let kind = Header::decode(header).ok().and_then(|header| header.kind);
    let body = canonical::decode(&value).ok().map(|record| record.body);
    let (Some(kind), Some(body)) = (kind, body) else {
        return Outgoing {
            value,
            model: String::new(),
            idempotency_key: Digest::ZERO,
            kind: crate::event::Kind::LedgerOpened,
            origin: String::new(),
            recorded_at: 0,
        };
    };
    let slot = body.event.as_ref().and_then(promotion::slot_of);
    Outgoing {
        value,
        model: slot.map(|slot| slot.model.clone()).unwrap_or_default(),
        idempotency_key: Digest::from_slice(&body.idempotency_key).unwrap_or_default(),
        kind,
        origin: state.origin.clone(),
        recorded_at: body.recorded_at,
    }
}

/// Waits for the next value of the topic, which must be this one.
fn delivered(tail: &mut dyn Tail, seq: Seq, record: &[u8]) -> Result<()> {
    let deadline = Instant::now() + DELIVERY_WAIT;
    while Instant::now() < deadline {
        let Some(delivery) = tail.next(1, Duration::from_millis(200)).map_err(of_log)?.pop() else {
            continue;
        };
        if delivery.offset != seq {
            let offset = delivery.offset;
            return Err(new_topic(&format!(
                "the record of entry {seq} stands at offset {offset}: somebody else wrote to the topic, or transaction markers are in it"
            )));
        }
        if delivery.value != record {
            return Err(new_topic(&format!("at offset {seq} the topic holds another record than the node")));
        }
        return Ok(());
    }
    let waited = DELIVERY_WAIT.as_secs();
    Err(of_log(log::Error::Unavailable(format!("the topic did not deliver entry {seq} within {waited} s"))))
}
