//! What does the machine give at most? One signature, and each hash that an event needs, over 4 KiB: the price of an event
//! before a ledger does anything.

use std::hint::black_box;

use aws_lc_rs::signature::Ed25519KeyPair;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer, SigningKey};
use promotion_ledger::event::digest::{record_digest, sha256};

const LEN: usize = 4096;

fn limits(criterion: &mut Criterion) {
    let bytes = vec![7_u8; LEN];
    let key = SigningKey::from_bytes(&[1; 32]);
    let signature = key.sign(&bytes);
    let mut group = criterion.benchmark_group("4 KiB");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("Ed25519 signature", |b| b.iter(|| key.sign(black_box(&bytes))));
    let other = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("a seed");
    assert_eq!(other.sign(&bytes).as_ref(), signature.to_bytes());
    group.bench_function("Ed25519 signature by aws-lc", |b| b.iter(|| other.sign(black_box(&bytes))));
    let public = key.verifying_key();
    group.bench_function("Ed25519 verify_strict", |b| {
        b.iter(|| public.verify_strict(black_box(&bytes), &signature).is_ok());
    });
    group.bench_function("BLAKE3", |b| b.iter(|| record_digest(black_box(&bytes))));
    group.bench_function("SHA-256", |b| b.iter(|| sha256(black_box(&bytes))));
    group.finish();
}

criterion_group!(benches, limits);
criterion_main!(benches);
