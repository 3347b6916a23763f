//! How fast is a ledger archived, and how fast is evidence looked at again? In a directory, and in a bucket with Object Lock
//! where `S3_ENDPOINT` and `S3_CREDENTIALS` name a service (`tests/services/versitygw.sh start DIR`). One after the other, as
//! a node does it.
//!
//! `EVIDENCE_PIECES` (200), `EVIDENCE_KIB` (256) and `EVIDENCE_BUNDLES` (20) change it.

use std::{path::Path, sync::Arc, time::Instant};

use promotion_ledger::{
    archive::{self, store::PieceStore},
    clock::{Clock, SystemClock},
    custody::examination::{Care, Locks, examine},
    event::digest::sha256,
    evidence::{
        Description, EvidenceStore,
        filesystem::Filesystem,
        s3::{Bucket, S3, Settings},
    },
    projection::held::{Held, Version},
};

const DAY: u64 = 24 * 3600 * 1_000_000;
/// Bytes of a bundle of 256 headers, of its records of about 4 KiB, and of a checkpoint.
const BUNDLE: [usize; 3] = [256 * 170, 256 * 4_096, 220];

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut made: Vec<u8> = std::iter::repeat_with(next).take(length.div_ceil(8)).flatten().collect();
    made.truncate(length);
    made
}

async fn looks(name: &str, store: &dyn EvidenceStore) {
    let (pieces, length) = (setting("EVIDENCE_PIECES", 200), setting("EVIDENCE_KIB", 256) * 1024);
    let now = SystemClock.now();
    let began = Instant::now();
    let mut held = Vec::new();
    for piece in 0..pieces {
        let bytes = bytes(piece + 1, length);
        let (sha256, length) = (sha256(&bytes), bytes.len() as u64);
        let media_type = "application/octet-stream".into();
        let description = Description { sha256, length, media_type, offset: 0 };
        let chunks = Box::pin(tokio_stream::once(Ok(bytes.into())));
        let stored = store.put(&description, chunks, now).await.expect("kept");
        let locked_until = Some(stored.lock.retain_until).filter(|_| stored.lock.write_once != "none");
        let (uri, version_id) = (stored.uri, stored.version_id);
        held.push(Held {
            sha256,
            versions: vec![Version { uri, version_id, length, locked_until, seq: 1 }],
            until: now + DAY,
        });
    }
    rate(name, "evidence put", pieces, began, pieces * length);
    let cares = [
        ("looked at", Care { deep: false, locks: Locks::Read(DAY) }),
        ("looked at, all bytes read", Care { deep: true, locks: Locks::Read(DAY) }),
        ("looked at, lock made longer", Care { deep: false, locks: Locks::Extend(20 * DAY) }),
    ];
    for (what, care) in cares {
        let began = Instant::now();
        let mut read = 0;
        for held in &held {
            let examined = examine(store, held, care, SystemClock.now()).await.expect("an answer");
            assert!(examined.found.is_empty(), "{examined:?}");
            read += examined.read as usize;
        }
        rate(name, what, held.len(), began, read);
    }
}

async fn archived(name: &str, store: &dyn PieceStore) {
    let bundles = setting("EVIDENCE_BUNDLES", 20);
    let made: Vec<_> = (0..bundles).map(|bundle| BUNDLE.map(|length| bytes(bundle + 7, length))).collect();
    let began = Instant::now();
    for (bundle, pieces) in made.iter().enumerate() {
        for (kind, bytes) in pieces.iter().enumerate() {
            store.put(&format!("archive/bench/{bundle}/{kind}"), bytes.clone()).await.expect("kept");
        }
    }
    rate(name, "entries archived", bundles * 256, began, bundles * BUNDLE.iter().sum::<usize>());
    let began = Instant::now();
    for (bundle, pieces) in made.iter().enumerate() {
        for (kind, bytes) in pieces.iter().enumerate() {
            let found = store.get(&format!("archive/bench/{bundle}/{kind}")).await.expect("an answer");
            assert!(found.as_ref() == Some(bytes));
        }
    }
    rate(name, "archived entries looked at", bundles * 256, began, bundles * BUNDLE.iter().sum::<usize>());
}

fn rate(store: &str, what: &str, items: usize, began: Instant, bytes: usize) {
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{store:<10} {what:<30} {:>9.0}/s {:>9.1} MB/s",
        items as f64 / seconds,
        bytes as f64 / seconds / 1e6
    );
}

async fn bucket(dir: &Path) -> Option<Bucket> {
    let found = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (endpoint, credentials) = (found("S3_ENDPOINT")?, found("S3_CREDENTIALS")?);
    let bucket = found("S3_BUCKET")?;
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "bucket": bucket, "endpoint": endpoint, "path_style": true, "credentials": credentials,
        "prefix": format!("bench-{}/", std::process::id()),
    }))
    .expect("settings");
    Some(Bucket::connect(&settings, dir).await.expect("credentials"))
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = SystemClock.now();
    let store = Filesystem::open(dir.path(), 1 << 40, false, now).expect("a store");
    looks("directory", &store).await;
    archived("directory", &archive::filesystem::Filesystem::new(dir.path())).await;
    let Some(bucket) = bucket(dir.path()).await else {
        println!("SKIPPED the bucket: set S3_ENDPOINT, S3_CREDENTIALS and S3_BUCKET");
        return;
    };
    let pieces = archive::s3::S3::new(bucket.clone(), Arc::new(SystemClock), DAY);
    let store = S3::open(bucket, &dir.path().join("spool"), 1 << 40, DAY, now).expect("a store");
    looks("bucket", &store).await;
    archived("bucket", &pieces).await;
}
