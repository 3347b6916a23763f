//! What does routing add to a promotion? Deriving the change from profiles in memory, and the example's policy over it.

use std::{fs, hint::black_box, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use promotion_ledger::{
    event::Digest,
    policy::{self, Facts, ModelProfile, Policy, Previous, Provenance, Source},
};

fn example(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit").join(path)).expect("an example")
}

fn profile(day: &str) -> ModelProfile {
    ModelProfile::parse(&example(&format!("{day}/profile.json"))).expect("a profile")
}

fn digest(text: &str) -> Digest {
    Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text)).expect("a digest")
}

fn routing(c: &mut Criterion) {
    let policy: Policy = policy::load(&example("policy.yaml")).expect("a policy");
    let (candidate, earlier) = (profile("2026-11-14"), profile("2026-11-07"));
    let incumbent = candidate.incumbent.as_ref().expect("an incumbent");
    let previous =
        Previous { seq: 2, artifact_sha256: digest(&incumbent.artifact_sha256), profile: earlier.into() };
    let facts = Facts {
        artifact_sha256: Digest([7; 32]),
        model: "german-credit-pd".into(),
        environment: "production".into(),
        role: "champion".into(),
        dataset_digest: digest(&candidate.snapshot_digest).0.to_vec(),
        definition_digest: digest(&candidate.definition_digest).0.to_vec(),
        provenance: Provenance::all(Source::Attested),
    };
    let derive = || policy::derive(&candidate, &facts, Some(&previous), Some(&previous)).expect("inputs");
    let inputs = derive();
    let route = policy.route(&inputs).expect("a route");
    assert_eq!(route.tier, "low");
    let mut group = c.benchmark_group("routing the weekly retrain");
    group.bench_function("derive", |b| b.iter(|| black_box(derive())));
    group.bench_function("route", |b| b.iter(|| black_box(policy.route(&inputs).expect("a route"))));
    group.bench_function("derive, route, freeze", |b| {
        b.iter(|| {
            let inputs = derive();
            let route = policy.route(&inputs).expect("a route");
            black_box((route, inputs.to_bytes().expect("bytes")))
        })
    });
    group.finish();
}

criterion_group!(benches, routing);
criterion_main!(benches);
