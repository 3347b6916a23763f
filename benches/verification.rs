//! How fast can an auditor verify? Hashes against BLAKE3 alone over the same bytes; signatures against verify_strict.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer, SigningKey};
use promotion_ledger::{
    event::{
        Digest, canonical,
        digest::{record_digest, sha256},
        proto::{Body, FrontDoorKey, LedgerOpened, Retired, body::Event},
    },
    ledger::{
        decide::{Prepared, RULES_KNOWN, expected_key},
        plan::{Delivered, plan},
        review_rows::{ReviewKey, ReviewRow},
        state::{Binding, Lookup, PromotionState, SlotState},
    },
    proof::verify::{Depth, StoredEntry, Verifier},
};

/// Nothing is known before the batch; the batch itself is remembered by `plan`.
struct Nothing;

impl Lookup for Nothing {
    type Error = std::convert::Infallible;
    fn replayed(&self, _: &Digest) -> Result<Option<u64>, Self::Error> {
        Ok(None)
    }
    fn bound(&self, _: &Digest) -> Result<Option<Binding>, Self::Error> {
        Ok(None)
    }
    fn link(&self, _: u64) -> Result<Option<Digest>, Self::Error> {
        Ok(None)
    }
    fn slot(&self, _: &Digest) -> Result<Option<SlotState>, Self::Error> {
        Ok(None)
    }
    fn promotion(&self, _: u64) -> Result<Option<PromotionState>, Self::Error> {
        Ok(None)
    }
    fn review_row(&self, _: &ReviewKey) -> Result<Option<ReviewRow>, Self::Error> {
        Ok(None)
    }
}

/// Signatures that each thread verifies in one go, where nothing else is done.
const EACH: usize = 4096;

/// A ledger of signed entries of about 4 KiB, or 1.
fn ledger(entries: u64, kib: usize) -> Vec<StoredEntry> {
    let key = SigningKey::from_bytes(&[1; 32]);
    let public = |key: &SigningKey| key.verifying_key().to_bytes().to_vec();
    let event = Event::LedgerOpened(LedgerOpened {
        origin: "localhost/bench".into(),
        rules: 1,
        admin_keys: vec![public(&SigningKey::from_bytes(&[2; 32]))],
        admin_quorum: 1,
        log_key: public(&SigningKey::from_bytes(&[3; 32])),
        keys: vec![FrontDoorKey { public_key: public(&key), roles: 7 }],
        time_zone: "UTC".into(),
        nonce: vec![7; 32],
    });
    let idempotency_key = expected_key(&event).expect("genesis has a key").0.to_vec();
    let genesis = Body { idempotency_key, recorded_at: 1, event: Some(event), ..Body::default() };
    let genesis = canonical::seal_record(&genesis, 1, &Digest::ZERO, &key);
    let ledger_id = sha256(&canonical::decode(&genesis).expect("a record").envelope.body);
    let record = |n: u64| {
        let event = Event::Retired(Retired {
            request_id: format!("{n}{}", "x".repeat(1024 * kib - 396)),
            ..Retired::default()
        });
        let body =
            Body { idempotency_key: vec![7; 32], recorded_at: n, event: Some(event), ..Body::default() };
        canonical::seal_record(&body, 1, &ledger_id, &key)
    };
    let values = std::iter::once(genesis).chain((1..entries).map(record));
    let delivered =
        values.enumerate().map(|(i, value)| Delivered { offset: i as u64, prepared: Prepared::new(value) });
    let (set, stop) = plan(&mut None, &Nothing, &ledger_id, RULES_KNOWN, delivered);
    assert!(stop.is_none());
    set.entries
        .into_iter()
        .map(|(decided, prepared)| StoredEntry { header: decided.bytes.to_vec(), record: prepared.value })
        .collect()
}

fn verification(criterion: &mut Criterion) {
    let entries = ledger(8192, 4);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let verify = |depth, threads| {
        Verifier::new(depth, None).push(black_box(&entries), threads).expect("a sound ledger").len()
    };

    let mut group = criterion.benchmark_group("verification");
    group.throughput(Throughput::Elements(entries.len() as u64)).sample_size(10);
    group.bench_function("blake3 alone, one thread", |b| {
        b.iter(|| {
            entries.iter().map(|entry| record_digest(black_box(&entry.record)).0[0]).fold(0, |a, b| a ^ b)
        });
    });
    group.bench_function("hashes, one thread", |b| b.iter(|| verify(Depth::Hashes, 1)));
    group.bench_function("hashes, all threads", |b| b.iter(|| verify(Depth::Hashes, threads)));
    group.bench_function("signatures, all threads", |b| b.iter(|| verify(Depth::Signatures, threads)));
    group.finish();

    let small = ledger(8192, 1);
    let mut group = criterion.benchmark_group("verification of entries of 1 KiB");
    group.throughput(Throughput::Elements(small.len() as u64)).sample_size(10);
    group.bench_function("blake3 alone, one thread", |b| {
        b.iter(|| {
            small.iter().map(|entry| record_digest(black_box(&entry.record)).0[0]).fold(0, |a, b| a ^ b)
        });
    });
    group.bench_function("hashes, all threads", |b| {
        b.iter(|| Verifier::new(Depth::Hashes, None).push(black_box(&small), threads).expect("sound").len());
    });
    group.finish();

    let key = SigningKey::from_bytes(&[9; 32]);
    let message = vec![5; 3900];
    let signature = key.sign(&message);
    let public = key.verifying_key();
    criterion.bench_function("verify_strict alone, one thread", |b| {
        b.iter(|| public.verify_strict(black_box(&message), &signature).is_ok());
    });
    // Cores share a clock, and on most machines their units: two of them busy are less than twice one.
    let mut group = criterion.benchmark_group("verify_strict alone");
    group.throughput(Throughput::Elements((threads * EACH) as u64)).sample_size(10);
    group.bench_function("all threads", |b| {
        b.iter(|| {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        assert!(
                            (0..EACH).all(|_| public.verify_strict(black_box(&message), &signature).is_ok())
                        );
                    });
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, verification);
criterion_main!(benches);
