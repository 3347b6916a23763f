//! Tests of the whole module: the example's files, the properties that routing promises, and its speed.

mod conditions;
mod example;
mod logins;
mod policy_file;
mod properties;
mod quorum;
mod refusals;

use super::{
    Facts, Inputs, ModelProfile, Policy, Previous, derive, load,
    provenance::{Established, Provenance, Source},
};
use crate::event::{Digest, digest};

/// The example policy, as it is published.
fn example_policy() -> Policy {
    load(&example_file("policy.yaml")).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn example_file(path: &str) -> Vec<u8> {
    let file = format!("{}/examples/credit/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn profile(day: &str) -> ModelProfile {
    ModelProfile::parse(&example_file(&format!("{day}/profile.json"))).unwrap_or_else(|p| panic!("{p:#?}"))
}

fn facts(day: &str, provenance: Provenance) -> Facts {
    Facts {
        artifact_sha256: artifact(day),
        model: "german-credit-pd".into(),
        environment: "production".into(),
        role: "champion".into(),
        dataset_digest: digest::sha256(&example_file(&format!("{day}/dataset/evaluation.csv"))).0.to_vec(),
        definition_digest: digest::sha256(&example_file(&format!("{day}/dataset/definition.yaml")))
            .0
            .to_vec(),
        provenance,
    }
}

fn artifact(day: &str) -> Digest {
    digest::sha256(&example_file(&format!("{day}/model/model.json")))
}

fn previous(day: &str, seq: u64) -> Previous {
    Previous { seq, artifact_sha256: artifact(day), profile: profile(day).into() }
}

/// The weekly retrain of the example: after the first promotion, which a person approved.
fn weekly_retrain() -> Inputs {
    let first = previous("2026-11-07", 1);
    let facts = facts("2026-11-14", Provenance::all(Source::Attested));
    derive(&profile("2026-11-14"), &facts, Some(&first), Some(&first)).unwrap_or_else(|p| panic!("{p:#?}"))
}

/// What the server knows of an example's profile, from its files.
fn established(day: &str, policy: &Policy) -> Established {
    let bytes = example_file(&format!("{day}/profile.json"));
    super::establish(
        &profile(day),
        &digest::sha256(&bytes),
        &artifact(day),
        Some(&example_file(&format!("{day}/model/model.json"))),
        Some(&example_file(&format!("{day}/profile.attestation.json"))),
        policy.build_identities(),
    )
    .unwrap_or_else(|problems| panic!("{problems:#?}"))
}
