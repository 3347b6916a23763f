//! What proofs cost: the share of the write path at 512 clients, each proof from a ledger of a million entries, and tiles over
//! HTTP while the writer works.
//!
//! A node has no switch that leaves proofs out, so their share is measured by making them more often: in every other round
//! each event's leaf, its place in the tree, its share of a signed checkpoint and its receipt are made ten more times, in the
//! same process, on the same processors. A tenth of what a round is slower by is what proofs cost; without them an event takes
//! so much less.
//!
//! `PROOFS_CLIENTS` (512), `PROOFS_SECONDS` for each round (5), `PROOFS_ROUNDS` of each kind (3) and `PROOFS_ENTRIES`
//! (1000000) make it smaller.

use std::{
    hint::black_box,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use ed25519_dalek::SigningKey;
use promotion_ledger::{
    api::{http::tiles, server},
    cli::{
        bench::sample::{self, Piece},
        credentials,
        source::{self, Channel},
    },
    clock::{Clock, SystemClock},
    config::Config,
    event::proto::{PromoteRequest, emitter_service_client::EmitterServiceClient},
    identity::development::Development,
    keyfile,
    ledger::{Ledger, recover, store::Store, writer},
    node::Node,
    proof::{
        checkpoint::{self, Checkpoint},
        tile::{Tile, number_path},
        tree::{Frontier, leaf_hash},
    },
};

/// How many more times proofs are made in a round that makes them more often.
const MORE: u64 = 10;
/// Clients on one connection: below the server's limit of streams.
const CLIENTS_PER_CONNECTION: usize = 64;
/// Clients that promote while tiles are served.
const WRITERS: usize = 16;
/// Clients that ask for tiles.
const READERS: u64 = 32;
/// Bytes of a full tile.
const TILE_LEN: usize = 8_192;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default).max(1)
}

fn init(dir: &Path) -> PathBuf {
    let node = dir.join("node");
    let mut init = Command::new(env!("CARGO_BIN_EXE_promotion-ledger"));
    let made =
        init.args(["init", "--name", "localhost/bench", "--listen", "127.0.0.1:0", "--dir"]).arg(&node);
    let made = made.output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    node
}

/// A ledger of so many entries, most of them junk: leaves are leaves.
fn filled(entries: u64) -> (tempfile::TempDir, Arc<Ledger>) {
    let dir = tempfile::tempdir().expect("a directory");
    let node = init(dir.path());
    let key = keyfile::signing_key(&node.join("keys/log.pem")).expect("the log key");
    let pinned = {
        let store = Store::open(&node.join("ledger")).expect("the ledger");
        let mut state = store.state().expect("a state");
        let pinned = state.as_ref().expect("genesis").ledger_id;
        let mut seq = state.as_ref().expect("genesis").size();
        while seq < entries {
            let values = (seq..entries.min(seq + 4_096)).map(|seq| (seq, format!("junk {seq}").into_bytes()));
            seq += writer::apply(&store, &pinned, &mut state, values).expect("written").entries.len() as u64;
        }
        pinned
    };
    let ledger = recover::open(&node, pinned, &key, true).expect("a ledger");
    (dir, Arc::new(ledger))
}

/// Positions that follow no order, the same in every run.
fn scattered(below: u64) -> impl FnMut() -> u64 {
    let mut state = 88_172_645_463_325_252_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

fn proofs(c: &mut Criterion, entries: u64) {
    let begun = Instant::now();
    let (_dir, ledger) = filled(entries);
    println!("a ledger of {entries} entries was made in {:.1} s", begun.elapsed().as_secs_f64());
    let size = ledger.head().state.size();
    let mut next = scattered(size);
    let (count, begun) = (2_000_u32, Instant::now());
    for _ in 0..count {
        black_box(ledger.inclusion(black_box(next()), size).expect("a proof"));
    }
    let each = begun.elapsed().as_secs_f64() * 1_000.0 / f64::from(count);
    println!("inclusion proof from {size} entries, on the server: {each:.3} ms (promised: less than 1 ms)");
    let mut group = c.benchmark_group(format!("a ledger of {size} entries"));
    group.bench_function("inclusion proof", |b| {
        b.iter(|| ledger.inclusion(black_box(next()), size).expect("a proof"));
    });
    group.bench_function("consistency proof", |b| {
        b.iter(|| ledger.consistency(black_box(next() + 1), size).expect("a proof"));
    });
    group.bench_function("receipt", |b| {
        b.iter(|| ledger.newest_receipt(black_box(next())).expect("a receipt").to_text())
    });
    let last = size / 256 - 1;
    for (name, path) in [
        ("tile of level 0", format!("0/{}", number_path(last))),
        ("entry bundle", format!("entries/{}", number_path(last))),
    ] {
        let tile = Tile::parse(&path).expect("a tile");
        group.bench_function(name, |b| {
            b.iter(|| ledger.tile(black_box(&tile)).expect("read").expect("there"))
        });
    }
    group.finish();
}

/// The parts that proofs add for each entry: leaf and tree, a signed checkpoint that all entries of one sync share.
fn parts(c: &mut Criterion) {
    let mut group = c.benchmark_group("parts of the write path");
    group.throughput(Throughput::Elements(1));
    let key = SigningKey::from_bytes(&[7; 32]);
    group.bench_function("leaf and tree, for each entry", |b| {
        let mut frontier = Frontier::default();
        let header = [7; 168];
        b.iter(|| {
            frontier.push(leaf_hash(black_box(&header)), |_, _, root| {
                black_box(root);
            })
        });
    });
    group.bench_function("a checkpoint, for each sync", |b| {
        let root = leaf_hash(b"x");
        b.iter(|| {
            let checkpoint = Checkpoint { origin: "localhost/bench".into(), size: 7, root };
            checkpoint::sign(black_box(&checkpoint), &key)
        });
    });
    group.finish();
}

/// A node in this process, and who promotes there.
struct Bench {
    node: Arc<Node>,
    address: SocketAddr,
    issuer: Option<Arc<Development>>,
    pieces: Arc<[Piece; 7]>,
    key: SigningKey,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
}

impl Bench {
    async fn start(dir: &Path) -> Self {
        let config = Config::load(dir, serde_json::Map::new()).expect("a configuration");
        let listener = server::bind(config.listen).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let node = Arc::new(Node::open(dir, &config).await.expect("a node"));
        if let Some(issuer) = &node.development {
            credentials::runs_here(address, issuer);
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = node.clone();
        let served = tokio::spawn(async move {
            let until = async {
                // Either way it is over.
                let _ = stopped.await;
            };
            server::serve(serving, listener, &config.limits, None, until).await.expect("served");
        });
        let url = format!("http://{address}");
        let issuer =
            credentials::development(&url).unwrap_or_else(|why| panic!("{}", why.message)).map(Arc::new);
        let key = keyfile::signing_key(&dir.join("keys/log.pem")).expect("the log key");
        let pieces = Arc::new(sample::evidence());
        let bench = Self { node, address, issuer, pieces, key, stop: Some(stop), served };
        sample::upload(&bench.channel().await, &bench.pieces[..]).await.expect("uploads");
        bench
    }

    async fn channel(&self) -> Channel {
        let connected = source::connect(Some(&format!("http://{}", self.address))).await;
        connected.unwrap_or_else(|why| panic!("{}", why.message))
    }

    fn counted(&self) -> (u64, u64) {
        let counters = &self.node.ledger.counters;
        (counters.entries.load(Ordering::Relaxed), counters.syncs.load(Ordering::Relaxed))
    }

    /// Promotes with so many clients: events a second, and entries in one sync. `more`: how many more times proofs are made.
    async fn round(
        self: &Arc<Self>,
        name: &str,
        clients: usize,
        during: Duration,
        more: u64,
        shared: f64,
    ) -> (f64, f64) {
        let mut channels = Vec::new();
        for _ in 0..clients.div_ceil(CLIENTS_PER_CONNECTION) {
            channels.push(self.channel().await);
        }
        let frontier = Arc::new(Mutex::new(Frontier::default()));
        let (entries, syncs) = self.counted();
        let begun = Instant::now();
        let running: Vec<_> = (0..clients)
            .map(|client| {
                let (bench, frontier, name) = (self.clone(), frontier.clone(), name.to_owned());
                let channel = channels[client % channels.len()].clone();
                tokio::spawn(async move {
                    let mut emitter = EmitterServiceClient::new(channel);
                    let (mut n, mut owed) = (0, 0.0);
                    while begun.elapsed() < during {
                        let now = SystemClock.now();
                        let mut draft = sample::promotion(&bench.pieces, &name, client, n, now);
                        if let Some(issuer) = &bench.issuer {
                            issuer.log_in(&mut draft).expect("logins");
                        }
                        let request = PromoteRequest { promotion: Some(draft) };
                        let answer = emitter.promote(request).await.expect("a promotion").into_inner();
                        n += 1;
                        owed += more as f64 / shared;
                        bench.prove(answer.receipt.expect("a receipt").seq, more, &mut owed, &frontier);
                    }
                    n
                })
            })
            .collect();
        let mut events = 0;
        for client in running {
            events += client.await.expect("a client");
        }
        let took = begun.elapsed().as_secs_f64();
        let (entries, syncs) = (self.counted().0 - entries, self.counted().1 - syncs);
        (events as f64 / took, entries as f64 / syncs.max(1) as f64)
    }

    /// Makes an entry's proofs again: its leaf in a tree, its receipt, and its share of checkpoints.
    fn prove(&self, seq: u64, times: u64, owed: &mut f64, frontier: &Mutex<Frontier>) {
        let header = [7; 168];
        for _ in 0..times {
            frontier.lock().expect("a lock").push(leaf_hash(black_box(&header)), |_, _, root| {
                black_box(root);
            });
            let receipt = self.node.ledger.receipt(seq, &self.node.ledger.head()).expect("a receipt");
            black_box(receipt.to_text());
        }
        while *owed >= 1.0 {
            *owed -= 1.0;
            let head = self.node.ledger.head();
            let checkpoint = Checkpoint {
                origin: head.state.origin.clone(),
                size: seq + 1,
                root: head.state.frontier.root(),
            };
            black_box(checkpoint::sign(&checkpoint, &self.key));
        }
    }

    async fn end(mut self) {
        // The server is gone only if it failed, which the rounds have seen.
        let _ = self.stop.take().expect("once").send(());
        self.served.await.expect("an end");
        tokio::task::block_in_place(|| self.node.stop());
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// With and without proofs, in one run.
async fn share(bench: &Arc<Bench>, clients: usize, during: Duration, rounds: u64) {
    let (_, shared) = bench.round("warm", clients, during, 0, 1.0).await;
    let (mut once, mut more) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        once.push(bench.round(&format!("once-{round}"), clients, during, 0, shared).await.0);
        more.push(bench.round(&format!("more-{round}"), clients, during, MORE, shared).await.0);
    }
    println!("{clients} clients, events/s by round: proofs once {once:.0?}, {} times {more:.0?}", MORE + 1);
    let (with, often) = (median(once), median(more));
    let (each, slow) = (1.0 / with, 1.0 / often);
    let cost = ((slow - each) / MORE as f64).max(0.0);
    println!("write path with proofs    {with:.0} events/s ({shared:.1} entries in one sync)");
    println!(
        "write path without proofs {:.0} events/s, computed: each event takes {:.1} us less of {:.1} us",
        1.0 / (each - cost),
        cost * 1e6,
        each * 1e6
    );
    println!(
        "proofs cost               {:.1} % of the write path (promised: at most 15 %)",
        100.0 * cost / each
    );
}

/// Tiles over HTTP of a node, alone, then while it writes; and how much it writes meanwhile.
async fn tiles_beside_writes(bench: &Arc<Bench>, during: Duration) {
    let ledger = bench.node.ledger.clone();
    let full = ledger.head().state.size() / 256;
    if full == 0 {
        println!("tiles: fewer than 256 entries were written; make the rounds longer");
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { axum::serve(listener, tiles::router(ledger)).await });
    let alone = tiles(address, full, during).await;
    let (writes, _) = bench.round("unread", WRITERS, during, 0, 1.0).await;
    let ((meanwhile, _), beside) =
        tokio::join!(bench.round("read", WRITERS, during, 0, 1.0), tiles(address, full, during));
    server.abort();
    println!(
        "tiles over HTTP, {READERS} clients in this process: {alone:.0}/s alone, {beside:.0}/s while {WRITERS} clients promote"
    );
    println!(
        "promotions of these clients: {writes:.0}/s alone, {meanwhile:.0}/s while tiles are read (both share the processors)"
    );
}

async fn tiles(address: SocketAddr, full: u64, during: Duration) -> f64 {
    let (count, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let http = reqwest::Client::new();
    let ask = |client: u64| {
        let (http, count) = (http.clone(), count.clone());
        tokio::spawn(async move {
            let mut n = client;
            while begun.elapsed() < during {
                n = (n + 37) % full;
                let url = format!("http://{address}/tile/0/{}", number_path(n));
                let answer = http.get(url).send().await.expect("an answer");
                assert_eq!(answer.bytes().await.expect("bytes").len(), TILE_LEN);
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for client in (0..READERS).map(ask).collect::<Vec<_>>() {
        client.await.expect("a client");
    }
    count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn main() {
    let clients = usize::try_from(setting("PROOFS_CLIENTS", 512)).expect("a number of clients");
    let during = Duration::from_secs(setting("PROOFS_SECONDS", 5));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    parts(&mut criterion);
    proofs(&mut criterion, setting("PROOFS_ENTRIES", 1_000_000).max(512));
    criterion.final_summary();
    let dir = tempfile::tempdir().expect("a directory");
    let node = init(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let bench = Arc::new(tokio::spawn(async move { Bench::start(&node).await }).await.expect("a node"));
        share(&bench, clients, during, setting("PROOFS_ROUNDS", 3)).await;
        tiles_beside_writes(&bench, during).await;
        let bench = Arc::into_inner(bench).expect("nobody else has it");
        tokio::spawn(bench.end()).await.expect("an end");
    });
}
