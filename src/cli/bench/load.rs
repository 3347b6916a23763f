//! The load: clients that wait for each answer, a histogram of their latencies, and the bare disk beside it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::cli::source::Channel;
use hdrhistogram::Histogram;

use crate::{
    api::server,
    cli::{
        credentials, init,
        output::{self, Exit, Failure, Format, Result},
        source::{connect, connect_bare},
    },
    clock::{Clock, SystemClock},
    config::Config,
    event::proto::{
        GetEntryRequest, GetStatusRequest, GetStatusResponse, PromoteRequest,
        auditor_service_client::AuditorServiceClient, emitter_service_client::EmitterServiceClient,
        get_entry_request::By,
    },
    identity::development::Development,
    node::Node,
};

use super::{bare, processor, sample};

/// Clients on one connection: below the server's limit of streams.
const CLIENTS_PER_CONNECTION: usize = 64;
/// How long bare gRPC is measured.
const BARE_FOR: Duration = Duration::from_secs(2);
/// Syncs in the measurement of the bare disk.
const DISK_SYNCS: usize = 400;

/// Measure a node under load.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger bench --clients 128 --seconds 10\n  promotion-ledger bench --url http://127.0.0.1:7420 --clients 1\n  promotion-ledger bench --kafka 127.0.0.1:9092 --topic bench-1 --development-topic\n\nThe disk is measured in the same run: quote results beside it."
)]
pub struct Args {
    /// A running node; without it a node is started in a temporary directory, in this process
    #[arg(long)]
    pub url: Option<String>,
    /// Where the temporary directory is made
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Clients, each waiting for its answer before it sends again
    #[arg(long, default_value_t = 128)]
    pub clients: usize,
    /// How long
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Run the node on Kafka: brokers
    #[arg(long, requires = "topic")]
    pub kafka: Option<String>,
    /// Topic for the node on Kafka; must be empty or absent
    #[arg(long)]
    pub topic: Option<String>,
    /// Take a topic with one replica
    #[arg(long)]
    pub development_topic: bool,
}

struct Started {
    url: String,
    stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("promotion-ledger-bench").tempdir_in(parent);
    let dir = dir.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let started = match &args.url {
        Some(_) => None,
        None => Some(start(&args, dir.path()).await?),
    };
    let url = started.as_ref().map(|started| started.url.clone()).or(args.url.clone()).unwrap_or_default();
    let bare = bare_grpc(&args).await?;
    let disk_before = disk(dir.path())?;
    let measured = drive(&url, &args).await?;
    let disk_after = disk(dir.path())?;
    if let Some(started) = started {
        // The server is gone only if it failed, which the load has seen.
        let _ = started.stop.send(());
        let _ = started.served.await;
    }
    print(&args, &measured, bare, (disk_before, disk_after), format);
    Ok(if measured.errors == 0 { Exit::Ok } else { Exit::No })
}

async fn start(args: &Args, dir: &Path) -> Result<Started> {
    let dir = dir.join("node");
    init::make(&init::Args {
        dir: dir.clone(),
        name: "localhost/bench".into(),
        time_zone: "UTC".into(),
        listen: ([127, 0, 0, 1], 0).into(),
        admin_key: None,
        admins: Vec::new(),
        admin_quorum: 1,
        kafka: args.kafka.clone(),
        topic: args.topic.clone(),
        development_topic: args.development_topic,
        properties: Vec::new(),
        encrypt_evidence: None,
    })
    .await?;
    let internal = |error: String| Failure::new(Exit::Internal, error);
    let config = Config::load(&dir, serde_json::Map::new()).map_err(|error| internal(error.to_string()))?;
    let listener = server::bind(config.listen).await.map_err(|error| internal(error.to_string()))?;
    let address = listener.local_addr().map_err(|error| internal(error.to_string()))?;
    let node = Arc::new(Node::open(&dir, &config).await.map_err(|error| internal(error.to_string()))?);
    if let Some(issuer) = &node.development {
        credentials::runs_here(address, issuer);
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(async move {
        let until = async {
            // Either way the load is over.
            let _ = stopped.await;
        };
        if let Err(error) = server::serve(node.clone(), listener, &config.limits, None, until).await {
            eprintln!("error: the node stopped serving: {error}");
        }
        tokio::task::block_in_place(|| node.stop());
    });
    Ok(Started { url: format!("http://{address}"), stop, served })
}

/// Median time of an append of 4 KiB and fdatasync, microseconds.
fn disk(dir: &Path) -> Result<u64> {
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, error.to_string());
    let mut file = std::fs::File::create(dir.join("disk")).map_err(failed)?;
    let mut times = Vec::with_capacity(DISK_SYNCS);
    for _ in 0..DISK_SYNCS {
        file.write_all(&[7; 4096]).map_err(failed)?;
        let before = Instant::now();
        file.sync_data().map_err(failed)?;
        times.push(before.elapsed().as_micros() as u64);
    }
    times.sort_unstable();
    Ok(times.get(DISK_SYNCS / 2).copied().unwrap_or_default())
}

struct Measured {
    events: u64,
    errors: u64,
    elapsed: Duration,
    latency: Histogram<u64>,
    /// Of this process, during the load.
    processor: Option<Duration>,
    syncs: u64,
    synced: u64,
    record_len: usize,
    first_error: Option<String>,
}

async fn drive(url: &str, args: &Args) -> Result<Measured> {
    let channels = connections(url, args.clients).await?;
    let issuer = credentials::development(url)?.map(Arc::new);
    let first = channels.first().cloned().ok_or_else(|| Failure::usage("--clients is 0"))?;
    let pieces = Arc::new(sample::evidence());
    sample::upload(&first, &pieces[..]).await?;
    let mut auditor = AuditorServiceClient::new(first);
    let before = status(&mut auditor).await?;
    let used_before = processor::used();
    let Loaded { events, errors, elapsed, latency, last, first_error } =
        load(&channels, issuer.as_ref(), &pieces, args.clients, Duration::from_secs(args.seconds)).await?;
    let processor = processor::used().zip(used_before).map(|(after, before)| after.saturating_sub(before));
    let after = status(&mut auditor).await?;
    let record_len = match last {
        Some(seq) => {
            let request = GetEntryRequest { by: Some(By::Seq(seq)), unseal: false };
            auditor.get_entry(request).await?.into_inner().entry.map_or(0, |entry| entry.record.len())
        }
        None => 0,
    };
    let (syncs, synced) = (after.syncs - before.syncs, after.entries_synced - before.entries_synced);
    Ok(Measured { events, errors, elapsed, latency, processor, syncs, synced, record_len, first_error })
}

struct Loaded {
    events: u64,
    errors: u64,
    elapsed: Duration,
    latency: Histogram<u64>,
    last: Option<u64>,
    first_error: Option<String>,
}

/// Clients that each wait for the answer before they send again.
async fn load(
    channels: &[Channel],
    issuer: Option<&Arc<Development>>,
    pieces: &Arc<[sample::Piece; 7]>,
    count: usize,
    during: Duration,
) -> Result<Loaded> {
    let run = format!("{:x}", SystemClock.now() / 1000);
    let begin = Instant::now();
    let until = begin + during;
    let clients: Vec<_> = channels
        .iter()
        .cycle()
        .take(count)
        .enumerate()
        .map(|(client, channel)| {
            tokio::spawn(one_client(
                channel.clone(),
                issuer.cloned(),
                pieces.clone(),
                run.clone(),
                client,
                until,
            ))
        })
        .collect();
    let mut latency =
        Histogram::<u64>::new(3).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let (mut events, mut errors, mut last, mut first_error) = (0, 0, None, None);
    for client in clients {
        let done = client.await.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        events += done.latencies.len() as u64;
        errors += done.errors;
        last = done.last.or(last);
        first_error = first_error.or(done.first_error);
        for micros in done.latencies {
            // A histogram without an upper bound takes every value.
            let _ = latency.record(micros);
        }
    }
    let elapsed = begin.elapsed();
    Ok(Loaded { events, errors, elapsed, latency, last, first_error })
}

/// Calls per second of the same load on a server that only answers.
async fn bare_grpc(args: &Args) -> Result<f64> {
    let url = bare::start().await.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let mut channels = Vec::new();
    for _ in 0..connections_needed(args.clients) {
        channels.push(connect_bare(&url).await?);
    }
    let pieces = Arc::new(sample::evidence());
    let loaded = load(&channels, None, &pieces, args.clients, BARE_FOR).await?;
    Ok(loaded.events as f64 / loaded.elapsed.as_secs_f64())
}

async fn connections(url: &str, clients: usize) -> Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..connections_needed(clients) {
        channels.push(connect(Some(url)).await?);
    }
    Ok(channels)
}

fn connections_needed(clients: usize) -> usize {
    clients.div_ceil(CLIENTS_PER_CONNECTION).max(1)
}

async fn status(auditor: &mut AuditorServiceClient<Channel>) -> Result<GetStatusResponse> {
    Ok(auditor.get_status(GetStatusRequest {}).await?.into_inner())
}

#[derive(Default)]
struct Done {
    latencies: Vec<u64>,
    errors: u64,
    first_error: Option<String>,
    last: Option<u64>,
}

async fn one_client(
    channel: Channel,
    issuer: Option<Arc<Development>>,
    pieces: Arc<[sample::Piece; 7]>,
    run: String,
    client: usize,
    until: Instant,
) -> Done {
    let mut emitter = EmitterServiceClient::new(channel);
    let mut done = Done::default();
    let mut n = 0;
    while Instant::now() < until {
        let mut promotion = sample::promotion(&pieces, &run, client, n, SystemClock.now());
        if let Some(issuer) = &issuer {
            // A key that this process made signs; if it could not, the node says what is missing.
            let _ = issuer.log_in(&mut promotion);
        }
        let before = Instant::now();
        match emitter.promote(PromoteRequest { promotion: Some(promotion) }).await {
            Ok(response) => {
                done.latencies.push(before.elapsed().as_micros() as u64);
                done.last = response.into_inner().receipt.map(|receipt| receipt.seq);
                n += 1;
            }
            Err(status) => {
                done.errors += 1;
                done.first_error.get_or_insert_with(|| status.to_string());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    done
}

fn print(args: &Args, measured: &Measured, bare: f64, (disk_before, disk_after): (u64, u64), format: Format) {
    let rate = measured.events as f64 / measured.elapsed.as_secs_f64();
    let per_sync = measured.synced as f64 / (measured.syncs.max(1)) as f64;
    let p = |quantile: f64| measured.latency.value_at_quantile(quantile);
    let log = if args.kafka.is_some() { "kafka" } else { "embedded" };
    let processor = measured.processor.map(|used| used.as_micros() / u128::from(measured.events.max(1)));
    match format {
        Format::Json => output::json(&serde_json::json!({
            "log": log, "clients": args.clients, "events": measured.events, "errors": measured.errors,
            "seconds": measured.elapsed.as_secs_f64(), "events_per_second": rate, "record_bytes": measured.record_len,
            "latency_us": { "p50": p(0.5), "p99": p(0.99), "p99.9": p(0.999), "max": measured.latency.max() },
            "syncs": measured.syncs, "events_per_sync": per_sync,
            "processor_us_per_event": processor, "bare_grpc_per_second": bare,
            "fdatasync_p50_us": { "before": disk_before, "after": disk_after },
        })),
        Format::Text => {
            println!("log          {log}");
            println!("clients      {}", args.clients);
            println!("event        {} bytes each, all six fields, signed", measured.record_len);
            println!(
                "rate         {rate:.0} events/s ({} events in {:.1} s)",
                measured.events,
                measured.elapsed.as_secs_f64()
            );
            println!(
                "latency      p50 {} us, p99 {} us, p99.9 {} us, max {} us",
                p(0.5),
                p(0.99),
                p(0.999),
                measured.latency.max()
            );
            println!("syncs        {}, {per_sync:.1} events in each", measured.syncs);
            if let Some(micros) = processor {
                println!("processor    {micros} us of this process for each event");
            }
            println!(
                "bare gRPC    {bare:.0} calls/s of the same requests to a server that only answers: the ledger is at {:.0} %",
                100.0 * rate / bare
            );
            println!("bare disk    fdatasync p50 {disk_before} us before, {disk_after} us after");
            if measured.errors > 0 {
                println!(
                    "errors       {} (first: {})",
                    measured.errors,
                    measured.first_error.as_deref().unwrap_or("")
                );
            }
        }
    }
}
