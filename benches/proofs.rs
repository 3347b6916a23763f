//! What proofs cost: on the write path for each entry, for each proof from a ledger of a million entries, and for tiles over
//! HTTP, which the writer is never asked for.
//!
//! The share of the write path is measured by its parts (leaf, tree, checkpoint, receipt), because a node has no switch that
//! leaves them out; what an event costs in all is printed by `promotion-ledger bench --clients 512` of the same run.

use std::{
    hint::black_box,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::SigningKey;
use promotion_ledger::{
    api::http::tiles,
    keyfile,
    ledger::{Ledger, recover, store::Store, writer},
    proof::{
        checkpoint::{self, Checkpoint},
        tile::Tile,
        tree::{Frontier, leaf_hash},
    },
};

const ENTRIES: u64 = 1_000_000;
/// Entries of one sync at 512 clients, as `bench` measures them.
const PER_SYNC: u64 = 7;

/// A ledger of a million entries, most of them junk: leaves are leaves.
fn filled() -> (tempfile::TempDir, Arc<Ledger>) {
    let dir = tempfile::tempdir().expect("a directory");
    let node = dir.path().join("node");
    let mut init = Command::new(env!("CARGO_BIN_EXE_promotion-ledger"));
    let made =
        init.args(["init", "--name", "localhost/bench", "--dir"]).arg(&node).output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = keyfile::signing_key(&node.join("keys/log.pem")).expect("the log key");
    let pinned = {
        let store = Store::open(&node.join("ledger")).expect("the ledger");
        let mut state = store.state().expect("a state");
        let pinned = state.as_ref().expect("genesis").ledger_id;
        let mut seq = 1;
        while seq < ENTRIES {
            let values = (seq..ENTRIES.min(seq + 4_096)).map(|seq| (seq, format!("junk {seq}").into_bytes()));
            seq += writer::apply(&store, &pinned, &mut state, values).expect("written").entries.len() as u64;
        }
        pinned
    };
    let ledger = recover::open(&node, pinned, &key, true).expect("a ledger");
    (dir, Arc::new(ledger))
}

/// Positions that follow no order, the same in every run.
fn scattered() -> impl FnMut() -> u64 {
    let mut state = 88_172_645_463_325_252_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % ENTRIES
    }
}

fn proofs(c: &mut Criterion) {
    let (_dir, ledger) = filled();
    let mut group = c.benchmark_group("a ledger of 1,000,000 entries");
    let mut next = scattered();
    group.bench_function("inclusion proof", |b| {
        b.iter(|| ledger.inclusion(black_box(next()), ENTRIES).expect("a proof"));
    });
    group.bench_function("consistency proof", |b| {
        b.iter(|| ledger.consistency(black_box(next() + 1), ENTRIES).expect("a proof"));
    });
    group.bench_function("receipt", |b| {
        b.iter(|| ledger.newest_receipt(black_box(next())).expect("a receipt").to_text())
    });
    for (name, path) in [
        ("tile of level 0", "0/x001/000"),
        ("tile of level 1", "1/003"),
        ("entry bundle", "entries/x002/000"),
    ] {
        let tile = Tile::parse(path).expect("a tile");
        group.bench_function(name, |b| {
            b.iter(|| ledger.tile(black_box(&tile)).expect("read").expect("there"))
        });
    }
    group.finish();
    http(ledger);
}

/// Tiles over HTTP, by 64 clients for three seconds.
fn http(ledger: Arc<Ledger>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (count, took) = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move { axum::serve(listener, tiles::router(ledger)).await });
        let (count, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let http = reqwest::Client::new();
        let ask = |client: u64| {
            let (http, count) = (http.clone(), count.clone());
            tokio::spawn(async move {
                let mut n = client;
                while begun.elapsed() < Duration::from_secs(3) {
                    n = (n + 37) % 3_900;
                    let path = promotion_ledger::proof::tile::number_path(n);
                    let answer =
                        http.get(format!("http://{address}/tile/0/{path}")).send().await.expect("an answer");
                    assert_eq!(answer.bytes().await.expect("bytes").len(), 8_192);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        for client in (0..64).map(ask).collect::<Vec<_>>() {
            client.await.expect("a client");
        }
        server.abort();
        (count.load(Ordering::Relaxed), begun.elapsed())
    });
    println!(
        "tiles over HTTP, server and 64 clients in one process: {:.0} a second",
        count as f64 / took.as_secs_f64()
    );
}

/// The parts that proofs add for each entry at 512 clients: leaf and tree, its share of a signed checkpoint, its receipt.
fn write_path(c: &mut Criterion) {
    let mut group = c.benchmark_group("write path, for each entry");
    group.throughput(Throughput::Elements(1));
    let key = SigningKey::from_bytes(&[7; 32]);
    group.bench_function("leaf and tree", |b| {
        let mut frontier = Frontier::default();
        let header = [7; 168];
        b.iter(|| {
            frontier.push(leaf_hash(black_box(&header)), |_, _, root| {
                black_box(root);
            })
        });
    });
    group.bench_function("a checkpoint, of which each entry has a seventh", |b| {
        let root = leaf_hash(b"x");
        b.iter(|| {
            let checkpoint = Checkpoint { origin: "localhost/bench".into(), size: PER_SYNC, root };
            checkpoint::sign(black_box(&checkpoint), &key)
        });
    });
    group.finish();
}

criterion_group!(benches, write_path, proofs);
criterion_main!(benches);
