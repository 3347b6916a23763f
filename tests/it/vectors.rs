//! Test vectors of every format, in `tests/vectors/*.json`. They are made again in each run and compared with the
//! committed files; `UPDATE_VECTORS=1` writes them. `tests/vectors/check.py` computes them a second time.

use std::{convert::Infallible, fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, Mac};
use promotion_ledger::{
    archive::pieces::{self, Piece},
    event::{
        Digest, Header, Kind,
        canonical::{self, seal_record},
        content::{content, content_digest},
        digest,
        model::role,
        proto::{
            AdminAct, AttemptRefused, ClockReset, CloseReason, Decision, DecisionStatement, EvidenceFinding,
            EvidenceProblem, FrontDoorKey, GateMode, GateModeSet, IssuerKeys, KeyAdded, KeyCompromised,
            KeyRetired, KeyShredded, LegalHoldReleased, LegalHoldSet, MatchedRule, ModelVersion,
            PolicyActivated, ProbeAttempt, RegistryFinding, RegistryProblem, ReplayImpact, ReviewSealed,
            Routing, Sealed, SealedClaims, Shortfall, Slot, SlotPattern, SlotRole, Statement, StoreProbed,
            Tainted, Undocumented, body::Event,
        },
    },
    identity::{
        directory::Directory,
        subjects::{StoreKeys, Subjects},
    },
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        receipt::Receipt,
        status_list::{self, Head, Line, Status, StatusList, Target},
        tree,
    },
};
use prost::Message;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{review_samples::*, samples::*};

fn hexed(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

/// Compares with the committed file, or writes it.
pub fn pin(name: &str, made: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{name}.json"));
    if std::env::var("UPDATE_VECTORS").as_deref() == Ok("1") {
        let text = serde_json::to_string_pretty(made).expect("JSON") + "\n";
        fs::write(&path, text).expect("written");
        return;
    }
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name}: {error}; UPDATE_VECTORS=1 writes it"));
    let committed: Value = serde_json::from_str(&text).expect("JSON");
    let differences = differences("", &committed, made);
    assert!(
        differences.is_empty(),
        "a format has changed: {name}.json differs at {differences:#?}\nthese bytes are in ledgers; never change them without a new version"
    );
}

fn differences(path: &str, a: &Value, b: &Value) -> Vec<String> {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            left.iter().flat_map(|(key, a)| differences(&format!("{path}/{key}"), a, &b[key])).collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .flat_map(|(i, (a, b))| differences(&format!("{path}/{i}"), a, b))
            .collect(),
        _ if a == b => Vec::new(),
        _ => vec![format!("{path}: committed {a}, now {b}")],
    }
}

// --- a whole ledger ----------------------------------------------------------------------------------------

/// Salt, key and nonce of the sample's sealed item.
const SALT: [u8; 32] = [0x51; 32];
const PERSON_KEY: [u8; 32] = [0x52; 32];
const NONCE: [u8; 24] = [0x53; 24];
const ISSUER: &str = "https://idp.example";
const SUBJECT: &str = "ada";

fn claims() -> SealedClaims {
    SealedClaims {
        blind: vec![0x54; 32],
        issuer: ISSUER.into(),
        subject: SUBJECT.into(),
        name: "Ada Ünal".into(),
        groups: vec!["model-risk".into(), "staff".into()],
        assertion: "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl".into(),
        statements: vec![Statement {
            path: "approvals[0].answers.fair".into(),
            text: "Yes, in all segments.".into(),
        }],
        answers: answers().encode_to_vec(),
    }
}

fn seal_aad(ledger_id: &Digest, subject_id: &Digest) -> Vec<u8> {
    [digest::TAG_SEAL, &ledger_id.0, &subject_id.0].concat()
}

fn encrypt(key: [u8; 32], nonce: [u8; 24], msg: &[u8], aad: &[u8]) -> Vec<u8> {
    XChaCha20Poly1305::new(&key.into()).encrypt(&nonce.into(), Payload { msg, aad }).expect("encrypted")
}

fn sealed(ledger_id: &Digest) -> Sealed {
    let (plain, subject_id) = (claims().encode_to_vec(), digest::subject_id(&SALT, ISSUER, SUBJECT));
    Sealed {
        subject_id: bytes(subject_id),
        nonce: NONCE.to_vec(),
        ciphertext: encrypt(PERSON_KEY, NONCE, &plain, &seal_aad(ledger_id, &subject_id)),
        commitment: bytes(digest::commitment(&plain)),
    }
}

/// A ledger with every kind and outcome, and the name of each entry.
fn story() -> (Ledger, Vec<&'static str>) {
    let mut ledger = Ledger::new();
    let mut names = vec!["genesis"];
    let mut enter = |ledger: &mut Ledger, name, value| {
        ledger.push(value);
        names.push(name);
    };
    let first = Event::Promoted(promoted("credit", 1, None));
    let mut body = ledger.body(first.clone());
    body.sealed.push(sealed(&ledger.pinned));
    let value = ledger.seal(&body);
    enter(&mut ledger, "first promotion, with a sealed item", value.clone());
    enter(&mut ledger, "the same record again", value.clone());
    enter(&mut ledger, "hole", Vec::new());
    let second = ledger.record(Event::Promoted(promoted("credit", 2, Some(1))));
    let loser = ledger.record(Event::Promoted(promoted("credit", 3, Some(1))));
    enter(&mut ledger, "promotion over a champion", second);
    enter(&mut ledger, "lost the race: precondition", loser);
    let mut retry = promoted("credit", 1, None);
    retry.routing = None;
    retry.approvals[0].auth_time += SECOND;
    let record = ledger.record(Event::Promoted(retry.clone()));
    enter(&mut ledger, "retry: same key, same content", record);
    retry.approvals[0].acr = "password".into();
    let record = ledger.record(Event::Promoted(retry));
    enter(&mut ledger, "same key, other content: conflict", record);
    let record = ledger.record(rolled_back("credit", 1, "roll back"));
    enter(&mut ledger, "roll-back to entry 1", record);
    let record = ledger.record(revoked("credit", 4, "revoke"));
    enter(&mut ledger, "revocation of entry 4", record);
    let added = KeyAdded { key: Some(FrontDoorKey { public_key: public(&key(2)), roles: role::DECISION }) };
    let record = ledger.record(ledger.admin(Kind::KeyAdded, &added));
    enter(&mut ledger, "key added", record);
    let mut shadow = promoted("fraud", 7, None);
    let slot = Slot { region: String::new(), role: SlotRole::Shadow.into(), ..slot("fraud") };
    shadow.slot = Some(slot);
    let body = ledger.body(Event::Promoted(shadow));
    let by_added = seal_record(&body, 1, &ledger.pinned, &key(2));
    enter(&mut ledger, "promotion by the added key", by_added);
    let record =
        ledger.record(ledger.admin(Kind::ClockReset, &ClockReset { from_seq: 9, time: T0 + 3 * SECOND }));
    enter(&mut ledger, "clock reset", record);
    let compromised = KeyCompromised { key_id: bytes(id_of(&key(2))), from_seq: 11 };
    let record = ledger.record(ledger.admin(Kind::KeyCompromised, &compromised));
    enter(&mut ledger, "key compromised", record);
    let too_late = ledger.body(Event::Promoted(promoted("late", 1, None)));
    let too_late = seal_record(&too_late, 1, &ledger.pinned, &key(2));
    enter(&mut ledger, "signed by that key: key", too_late);
    enter(&mut ledger, "text: framing", b"not a record of this ledger".to_vec());
    let whole = ledger.body(Event::Promoted(promoted("churn", 1, None)));
    let other_ledger = seal_record(&whole, 1, &Digest([8; 32]), &front_door());
    enter(&mut ledger, "signed for another ledger: signature", other_ledger);
    let longer = [ledger.seal(&whole), vec![0x28, 1]].concat();
    enter(&mut ledger, "unknown field: canonical", longer);
    let reserved = [whole.encode_to_vec(), vec![0x82, 3, 0]].concat();
    let reserved = seal_bytes(reserved, 1, &ledger.pinned, &front_door());
    enter(&mut ledger, "reserved kind: kind", reserved);
    let version = seal_record(&whole, 2, &ledger.pinned, &front_door());
    enter(&mut ledger, "rules version 2: version", version);
    let yaml = b"policy: {id: credit, version: 1}\n".to_vec();
    let sha256 = bytes(digest::sha256(&yaml));
    let activated = PolicyActivated {
        yaml,
        sha256: sha256.clone(),
        id: "credit".into(),
        version: 1,
        repository: "https://git.example/mrm".into(),
        commit: "4f2a9c1".into(),
        reviewers: vec!["ada".into()],
        author_key: public(&admins()[2]),
        impact: Some(ReplayImpact { from_seq: 0, to_seq: 20, promotions: 3, higher: 1, lower: 0 }),
    };
    let record = ledger.record(ledger.admin(Kind::PolicyActivated, &activated));
    enter(&mut ledger, "policy activated", record);
    let mut routed = promoted("churn", 2, None);
    routed.routing = Some(Routing {
        tier: "high".into(),
        engine: "cel 0.15 + promotion-ledger policy 1".into(),
        policy_sha256: sha256.clone(),
        policy_id: "credit".into(),
        policy_version: 1,
        matched: vec![MatchedRule {
            rule: "first-promotion".into(),
            tier: "high".into(),
            reason: "Nothing was promoted before.".into(),
        }],
        policy_tier: "high".into(),
        floor_tier: "high".into(),
        floor_reasons: vec!["it is the first promotion in its slot".into()],
        standing_policy: "SP-1".into(),
        in_band: true,
        inputs: b"{}".to_vec(),
        approved_under_sha256: vec![9; 32],
    });
    let record = ledger.record(Event::Promoted(routed.clone()));
    enter(&mut ledger, "routed by that policy", record);
    let refused = AttemptRefused {
        slot: routed.slot.clone(),
        promotion_key: hash_of("promotion key"),
        content: hash_of("content"),
        artifact_sha256: hash_of("artefact"),
        policy_sha256: sha256,
        tier: "high".into(),
        shortfalls: vec![Shortfall { field: "approvals".into(), description: "lacks one".into() }],
    };
    let body = ledger.body(Event::AttemptRefused(refused));
    let by_observer = seal_record(&body, 1, &ledger.pinned, &observer());
    enter(&mut ledger, "attempt refused", by_observer);
    let record = ledger.record(retired("credit", 1, "retire"));
    enter(&mut ledger, "retirement of entry 1", record);
    for (name, event) in custody_events(ledger.size()) {
        let key =
            if matches!(event, Event::EvidenceFinding(_) | Event::StoreProbed(_) | Event::RegistryFinding(_))
            {
                observer()
            } else {
                front_door()
            };
        let record = seal_record(&ledger.body(event), 1, &ledger.pinned, &key);
        enter(&mut ledger, name, record);
    }
    for (name, event) in gate_events(ledger.size()) {
        let record = ledger.record(event);
        enter(&mut ledger, name, record);
    }
    let target = SlotPattern { environment: "staging".into(), ..SlotPattern::default() };
    let mode = GateModeSet { target: Some(target), mode: GateMode::Warn.into() };
    let record = ledger.record(ledger.admin(Kind::GateModeSet, &mode));
    enter(&mut ledger, "gate mode set", record);
    let keys = crate::samples::issuer_keys();
    let observed = |ledger: &Ledger, keys: &IssuerKeys| {
        seal_record(&ledger.body(Event::IssuerKeys(keys.clone())), 1, &ledger.pinned, &observer())
    };
    let record = observed(&ledger, &keys);
    enter(&mut ledger, "an issuer's key", record);
    let listed = crate::samples::issuer_listed(&keys);
    let record = ledger.record(ledger.admin(Kind::IssuerListed, &listed));
    enter(&mut ledger, "an issuer is listed", record);
    let other = IssuerKeys { issuer: "https://other.example".into(), ..keys };
    let record = observed(&ledger, &other);
    enter(&mut ledger, "not a listed issuer: precondition", record);
    let retired_key = ledger.admin(Kind::KeyRetired, &KeyRetired { key_id: bytes(id_of(&observer())) });
    let Event::KeyRetired(AdminAct { statement, mut signatures }) = retired_key.clone() else {
        unreachable!()
    };
    signatures.truncate(1);
    let record = ledger.record(Event::KeyRetired(AdminAct { statement, signatures }));
    enter(&mut ledger, "one signature: quorum", record);
    let record = ledger.record(retired_key);
    enter(&mut ledger, "key retired", record);
    let routing = routed.routing;
    reviews(&mut ledger, routing, &mut enter);
    (ledger, names)
}

/// What gates answer from, the first of it at a position: undocumented models and an emergency.
fn gate_events(first: u64) -> Vec<(&'static str, Event)> {
    vec![
        ("undocumented", Event::Undocumented(undocumented("legacy", 1, "baseline"))),
        (
            "undocumented, nearly nothing known",
            Event::Undocumented(Undocumented {
                artifact_sha256: Vec::new(),
                registry_uri: String::new(),
                name: String::new(),
                version: String::new(),
                known: Vec::new(),
                ..undocumented("older", 1, "another baseline")
            }),
        ),
        ("retirement of an undocumented model", retired("older", first + 1, "retire the old one")),
        ("break-glass", Event::BreakGlass(break_glass("legacy", 2, "emergency"))),
    ]
}

/// A review to its promotion, and reviews that end otherwise, under the policy in force.
fn reviews(
    ledger: &mut Ledger,
    routing: Option<Routing>,
    enter: &mut impl FnMut(&mut Ledger, &'static str, Vec<u8>),
) {
    let sealed = |round| {
        let mut sealed = ReviewSealed { round, ..review_sealed("mortgage", 1, None) };
        sealed.package.as_mut().expect("a package").routing = routing.clone();
        Event::ReviewSealed(sealed)
    };
    let risk = ["model-risk"];
    let review = ledger.size();
    let record = ledger.record(sealed(1));
    enter(ledger, "review sealed", record);
    let record = ledger.record(sealed(1));
    enter(ledger, "the same review again", record);
    let record = ledger.record(decision(ledger, review, Decision::RequestChanges, "Ada", &risk));
    enter(ledger, "changes requested", record);
    let review = ledger.size();
    let record = ledger.record(sealed(2));
    enter(ledger, "its second review", record);
    let record = ledger.record(decision(ledger, review, Decision::Approve, "Rita", &risk));
    enter(ledger, "the requester approves: incomplete", record);
    let record = ledger.record(decision(ledger, review, Decision::Approve, "Ada", &risk));
    enter(ledger, "approved, the first of two", record);
    let conditional = decision(ledger, review, Decision::ApproveWithConditions, "Grace", &risk);
    let (approved, record) = (ledger.size(), ledger.record(conditional));
    enter(ledger, "approved with a condition: quorum", record);
    let record = ledger.record(decision(ledger, review, Decision::Decline, "Edsger", &risk));
    enter(ledger, "declined too late: precondition", record);
    let record = ledger.record(promoted_after(ledger, review));
    enter(ledger, "promotion of the review", record);
    let record = ledger.record(condition_closed("mortgage", approved, "c1", "Carl"));
    enter(ledger, "closed by its owner: incomplete", record);
    let record = ledger.record(condition_closed("mortgage", approved, "c1", "Ada"));
    enter(ledger, "condition closed", record);
    let (delegation, record) = (ledger.size(), ledger.record(delegated("Ada", "Grace", "model-risk")));
    enter(ledger, "delegated", record);
    for (n, name, end) in [(2, "declined", true), (3, "review closed", false)] {
        let mut other = review_sealed("mortgage", n, Some(1));
        other.package.as_mut().expect("a package").routing = routing.clone();
        let (review, record) = (ledger.size(), ledger.record(Event::ReviewSealed(other)));
        enter(ledger, "another review", record);
        let event = if end {
            decision(ledger, review, Decision::Decline, "Ada", &risk)
        } else {
            review_closed(review, CloseReason::Withdrawn)
        };
        let record = ledger.record(event);
        enter(ledger, name, record);
    }
    for (n, name) in [(4, "approved under the delegation"), (5, "under what was ended: precondition")] {
        let mut other = review_sealed("mortgage", n, Some(1));
        other.package.as_mut().expect("a package").routing = routing.clone();
        let (review, record) = (ledger.size(), ledger.record(Event::ReviewSealed(other)));
        enter(ledger, "another review", record);
        let statement = DecisionStatement {
            delegation_seq: Some(delegation),
            ..decision_statement(ledger, review, Decision::Approve)
        };
        let by = decider(ledger, "Grace", &risk);
        let record = ledger.record(decided(review, &statement, Decision::Approve, by));
        enter(ledger, name, record);
        if n == 4 {
            let record = ledger.record(delegation_ended(delegation, "Carl"));
            enter(ledger, "a delegation ended by somebody else: incomplete", record);
            let record = ledger.record(delegation_ended(delegation, "Grace"));
            enter(ledger, "delegation ended", record);
        }
    }
}

/// What custodians and re-checks record, the first of them at a position.
fn custody_events(first: u64) -> Vec<(&'static str, Event)> {
    let actor = Some(person("custodian"));
    let hold = LegalHoldSet {
        matter: "BaFin 2026-114".into(),
        subject_id: person("approver").subject_id,
        actor: actor.clone(),
        request_id: "hold".into(),
    };
    let shredded = KeyShredded {
        subject_id: person("approver").subject_id,
        requested_by: actor.clone(),
        approved_by: Some(person("second")),
        request_id: "erase".into(),
    };
    let finding = EvidenceFinding {
        sha256: hash_of("evidence"),
        uri: "s3://evidence/sha256/ab".into(),
        version_id: "v1".into(),
        problem: EvidenceProblem::Unlocked.into(),
        detail: "mode GOVERNANCE".into(),
        day: 20_000,
        follows: None,
    };
    let over = EvidenceFinding { problem: EvidenceProblem::Over.into(), ..finding.clone() };
    let again = EvidenceFinding { follows: Some(first + 8), ..finding.clone() };
    let attempt = ProbeAttempt { attempt: "delete".into(), allowed: true, answer: "204".into() };
    let refused = ProbeAttempt { attempt: "shorten".into(), allowed: false, answer: "403".into() };
    let probed = StoreProbed {
        uri: "s3://evidence".into(),
        write_once: false,
        attempts: vec![attempt, refused],
        day: 20_000,
    };
    let registry = RegistryFinding {
        registry_uri: "mlflow://registry.example.bank".into(),
        name: "credit".into(),
        version: "4".into(),
        alias: "champion".into(),
        problem: RegistryProblem::AliasMoved.into(),
        promoted_seq: Some(1),
        detail: "points to version 4, not to 3".into(),
        day: 20_000,
    };
    let tainted = Tainted { sha256: hash_of("evidence"), actor: actor.clone(), request_id: "taint".into() };
    let released = LegalHoldReleased { hold_seq: first + 3, actor, request_id: "release".into() };
    vec![
        ("evidence finding", Event::EvidenceFinding(finding)),
        ("store probed", Event::StoreProbed(probed)),
        ("tainted", Event::Tainted(tainted)),
        ("legal hold", Event::LegalHoldSet(hold)),
        ("erasure under a hold: precondition", Event::KeyShredded(shredded.clone())),
        ("hold released", Event::LegalHoldReleased(released)),
        ("registry finding", Event::RegistryFinding(registry)),
        ("erasure", Event::KeyShredded(KeyShredded { request_id: "erase again".into(), ..shredded })),
        ("evidence finding over", Event::EvidenceFinding(over)),
        ("evidence finding of the same day, returned", Event::EvidenceFinding(again)),
    ]
}

#[test]
fn records_and_headers() {
    let (ledger, names) = story();
    ledger.check();
    let entries: Vec<_> = (0..names.len())
        .map(|seq| {
            let header = Header::decode(&ledger.headers[seq]).unwrap();
            let record = canonical::decode(&ledger.records[seq]).ok().filter(|_| header.kind.is_some());
            json!({
                "name": names[seq],
                "value": hexed(&ledger.records[seq]),
                "header": hexed(ledger.headers[seq]),
                "link": hexed(digest::link(&ledger.headers[seq]).0),
                "fields": {
                    "kind": header.kind.map(|kind| kind.name()),
                    "outcome": header.outcome.name(),
                    "reason": header.reason.name(),
                    "flags": header.flags,
                    "rules": header.rules,
                    "record_len": header.record_len,
                    "seq": header.seq,
                    "recorded_at": header.recorded_at,
                    "refers_to": header.refers_to,
                    "prev_link": hexed(header.prev_link.0),
                    "record_digest": hexed(header.record_digest.0),
                    "event_digest": hexed(header.event_digest.0),
                },
                "date": ledger.dates[seq],
                "idempotency_key": record.as_ref().map(|record| hexed(&record.body.idempotency_key)),
                "content": record.as_ref().map(|record| hexed(content(&record.body).encode_to_vec())),
                "content_digest": record.as_ref().map(|record| hexed(content_digest(&record.body).0)),
            })
        })
        .collect();
    let named = |name: &str, key: &SigningKey| json!({ "name": name, "seed": hexed(key.to_bytes()), "public_key": hexed(public(key)), "key_id": hexed(id_of(key).0) });
    let [a, b, c] = admins();
    let keys = [
        named("front door", &front_door()),
        named("added front door", &key(2)),
        named("observer", &observer()),
        named("log", &log_key()),
        named("administrator 1", &a),
        named("administrator 2", &b),
        named("administrator 3", &c),
    ];
    pin("ledger", &json!({ "ledger_id": hexed(ledger.pinned.0), "keys": keys, "entries": entries }));
}

// --- tree, checkpoint, receipt -----------------------------------------------------------------------------

fn nodes(headers: &[[u8; 168]]) -> impl FnMut(u8, u64) -> Result<Digest, Infallible> + '_ {
    move |level, index| {
        let mut frontier = tree::Frontier::default();
        let from = (index << level) as usize;
        headers[from..from + (1 << level)]
            .iter()
            .for_each(|header| frontier.push(tree::leaf_hash(header), |_, _, _| {}));
        Ok(frontier.root())
    }
}

fn status_list() -> StatusList {
    let target = |region: &str| Target {
        model: "ümläut \"credit\"".into(),
        environment: "production".into(),
        region: region.into(),
        role: "champion".into(),
    };
    let line = |status, seq, until| Line {
        artifact_sha256: hexed(hash_of("artefact")),
        target: target("eu"),
        status,
        seq,
        until,
    };
    StatusList {
        head: Head {
            origin: ORIGIN.into(),
            size: 8,
            root: hexed(hash_of("root")),
            issued_at: T0,
            fresh_until: T0 + 24 * HOUR,
            environment: "production".into(),
            model: String::new(),
        },
        lines: vec![
            line(Status::Current, 1, 0),
            line(Status::RollbackEligible, 2, 0),
            line(Status::Revoked, 3, 0),
            line(Status::Tainted, 4, 0),
            line(Status::Compromised, 5, 0),
            line(Status::Undocumented, 6, T0 + HOUR),
            line(Status::BreakGlass, 7, T0 + HOUR),
        ],
    }
}

#[test]
fn tree_checkpoints_and_receipts() {
    let (ledger, _) = story();
    let headers = &ledger.headers;
    let size = ledger.size();
    let mut nodes = nodes(headers);
    let roots: Vec<_> = (0..=size).map(|size| hexed(tree::root(&mut nodes, size).unwrap().0)).collect();
    let hashes = |path: Vec<Digest>| path.iter().map(|hash| hexed(hash.0)).collect::<Vec<_>>();
    let mut inclusion = Vec::new();
    let mut consistency = Vec::new();
    for size in [1, 2, 7, 8, size] {
        for index in 0..size {
            let path = hashes(tree::inclusion(&mut nodes, index, size).unwrap());
            inclusion.push(json!({ "size": size, "index": index, "path": path }));
            let path = hashes(tree::consistency(&mut nodes, index + 1, size).unwrap());
            consistency.push(json!({ "old": index + 1, "new": size, "path": path }));
        }
    }
    let leaves: Vec<_> = headers.iter().map(|header| hexed(tree::leaf_hash(header).0)).collect();
    pin(
        "tree",
        &json!({
            "leaf_hashes": leaves, "roots": roots, "inclusion": inclusion, "consistency": consistency,
        }),
    );

    let log = LogKey { origin: ORIGIN.into(), key: log_key().verifying_key() };
    let mut checkpoints = Vec::new();
    let mut receipts = Vec::new();
    for size in [1, 8, size] {
        let root = tree::root(&mut nodes, size).unwrap();
        let note = checkpoint::sign(&Checkpoint { origin: ORIGIN.into(), size, root }, &log_key());
        checkpoints.push(json!({ "size": size, "root": hexed(root.0), "note": note }));
        for index in [0, size / 2, size - 1] {
            let path = tree::inclusion(&mut nodes, index, size).unwrap();
            let receipt = Receipt { header: headers[index as usize], index, path, checkpoint: note.clone() };
            receipt.verify(&log).expect("a receipt that verifies");
            assert_eq!(Receipt::parse(&receipt.to_text()), Ok(receipt.clone()));
            receipts.push(json!({ "index": index, "size": size, "text": receipt.to_text() }));
        }
    }
    let list = status_list();
    let note = status_list::sign(&list, &log_key()).expect("a list");
    assert_eq!(status_list::open(&note, &log), Ok(list.clone()));
    let lists = json!([{ "head": list.head, "lines": list.lines, "note": note }]);
    pin(
        "proofs",
        &json!({
            "status_lists": lists,
            "origin": ORIGIN, "log_seed": hexed(log_key().to_bytes()), "vkey": log.vkey(), "checkpoints": checkpoints, "receipts": receipts,
        }),
    );
}

// --- digests and keys --------------------------------------------------------------------------------------

#[test]
fn digests_and_keys() {
    let slots = [
        slot("credit"),
        Slot { region: String::new(), role: SlotRole::Canary.into(), ..slot("ümläut") },
        Slot { role: 77, ..slot("a number without a name counts as 0") },
        Slot::default(),
    ];
    let slot_json = |slot: &Slot| json!({ "model": slot.model, "environment": slot.environment, "region": slot.region, "role": slot.role });
    let slot_digests: Vec<_> = slots
        .iter()
        .map(|slot| json!({ "slot": slot_json(slot), "digest": hexed(digest::slot(slot).0) }))
        .collect();
    let texts = [
        ("mlflow://registry.example", "7", "jira", "RISK-7"),
        ("", "", "", ""),
        ("a", "bc", "d", "e"),
        ("ab", "c", "d", "e"),
    ];
    let promotion_keys: Vec<_> = texts
        .iter()
        .zip(slots.iter().cycle())
        .map(|((uri, version, system, id), slot)| {
            let artifact = hash_of("artefact");
            let model = ModelVersion {
                artifact_sha256: artifact.clone(),
                registry_uri: (*uri).into(),
                version: (*version).into(),
                ..ModelVersion::default()
            };
            let key = digest::promotion_key(Some(slot), Some(&model), (system, id));
            json!({
                "slot": slot_json(slot), "artifact_sha256": hexed(&artifact), "registry_uri": uri, "version": version,
                "request_system": system, "request_id": id, "key": hexed(key.0),
            })
        })
        .collect();
    let request_keys: Vec<_> = [(Kind::RolledBack, hash_of("Olga"), "r-1"), (Kind::Retired, hash_of("Olga"), "r-1"), (Kind::Revoked, vec![], "")]
        .iter()
        .map(|(kind, principal, request)| {
            let key = digest::request_key(*kind, principal, request.as_bytes());
            json!({ "kind": kind.number(), "principal": hexed(principal), "request_id": request, "key": hexed(key.0) })
        })
        .collect();
    let decisions: Vec<_> = [Decision::Approve, Decision::ApproveWithConditions, Decision::Decline]
        .iter()
        .map(|decision| {
            let ledger = Ledger::new();
            let statement = decision_statement(&ledger, 0, *decision).encode_to_vec();
            let nonce = digest::decision_nonce(&statement, &[0x58; 32]);
            let answers = answers().encode_to_vec();
            json!({
                "statement": hexed(&statement), "salt": hexed([0x58; 32]), "nonce": BASE64_URL_SAFE_NO_PAD.encode(nonce.0),
                "answers": hexed(&answers), "answers_digest": hexed(digest::decision_answers(&answers).0),
            })
        })
        .collect();
    let emergencies: Vec<_> = [(&slots[0], 1, "r-1"), (&slots[1], u64::MAX, ""), (&slots[3], 0, "r-2")]
        .iter()
        .map(|(slot, expires_at, request)| {
            let artifact = hash_of("artefact");
            let committed = digest::break_glass(slot, &artifact, *expires_at, request);
            json!({
                "slot": slot_json(slot), "artifact_sha256": hexed(&artifact), "expires_at": expires_at,
                "request_id": request, "nonce": digest::login_nonce(&committed),
            })
        })
        .collect();
    let record_digests: Vec<_> = [0usize, 1, 63, 64, 65, 1024, 1025, 262_144]
        .iter()
        .map(|len| {
            let value: Vec<u8> = (0..*len).map(|i| (i % 251) as u8).collect();
            json!({ "len": len, "record_digest": hexed(digest::record_digest(&value).0) })
        })
        .collect();
    pin(
        "digests",
        &json!({
            "slots": slot_digests, "promotion_keys": promotion_keys, "request_keys": request_keys, "decisions": decisions,
            "emergencies": emergencies,
            "record_digests": record_digests, "record_digests_note": "byte i of the value is i mod 251",
        }),
    );
}

#[test]
fn kinds_outcomes_and_reasons() {
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| json!([kind.number(), kind.name()])).collect();
    let outcomes: Vec<_> = promotion_ledger::event::Outcome::ALL
        .iter()
        .map(|outcome| json!([outcome.number(), outcome.name()]))
        .collect();
    let reasons: Vec<_> = promotion_ledger::event::Reason::ALL
        .iter()
        .map(|reason| json!([reason.number(), reason.name()]))
        .collect();
    pin("numbers", &json!({ "kinds": kinds, "outcomes": outcomes, "reasons": reasons }));
}

// --- archive -----------------------------------------------------------------------------------------------

/// Pieces of the sample ledger, archived in two steps, by name and SHA-256.
#[test]
fn archive_pieces() {
    let (ledger, _) = story();
    let headers = &ledger.headers;
    let size = headers.len() as u64;
    let mut made = Vec::new();
    for (archived, to) in [(0, 5), (5, size)] {
        for piece in pieces::next_step(archived, to) {
            let bytes = match piece {
                Piece::Entries { len, .. } => promotion_ledger::proof::tile::bundle(&headers[..len as usize]),
                Piece::Records { first, len } => {
                    let values = &ledger.records[first as usize..(first + len) as usize];
                    pieces::records(values.iter().map(Vec::as_slice))
                }
                Piece::Checkpoint { size } => {
                    let root = tree::root(&mut nodes(headers), size).unwrap();
                    checkpoint::sign(&Checkpoint { origin: ORIGIN.into(), size, root }, &log_key())
                        .into_bytes()
                }
            };
            let sha256 = hexed(digest::sha256(&bytes).0);
            made.push(json!({ "name": piece.name(&ledger.pinned), "length": bytes.len(), "sha256": sha256 }));
        }
    }
    let paths =
        [0, 999, 1_000, 1_234_067].map(|bundle| Piece::Entries { bundle, len: 256 }.name(&ledger.pinned));
    pin("archive", &json!({ "steps": [5, size], "pieces": made, "paths": paths }));
}

// --- sealed items ------------------------------------------------------------------------------------------

/// The item is opened by the key store from a record in its own format.
#[test]
fn sealed_items_and_subject_records() {
    let ledger_id = Ledger::empty().pinned;
    let (wrap, lookup, record_nonce) = ([0x61; 32], [0x62; 32], [0x63; 24]);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&lookup).unwrap();
    for part in [ISSUER, SUBJECT] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let name = hex::encode(mac.finalize().into_bytes());
    let tag = b"promotion-ledger v1 subject record\0";
    let id = digest::subject_id(&SALT, ISSUER, SUBJECT);
    let wrapped = encrypt(wrap, record_nonce, &[SALT, PERSON_KEY, id.0].concat(), tag);
    let record = [&record_nonce[..], &wrapped].concat();

    let dir = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(
        Box::new(Directory::open(dir.path()).unwrap()),
        StoreKeys { wrap: wrap.into(), lookup: lookup.into() },
    );
    let item = sealed(&ledger_id);
    assert_eq!(subjects.unseal(&item, &ledger_id).unwrap(), None, "erased, or never there");
    fs::write(dir.path().join("subjects").join(&name), &record).unwrap();
    fs::write(dir.path().join("ids").join(id.to_string()), format!("subjects/{name}")).unwrap();
    assert_eq!(subjects.existing(ISSUER, SUBJECT).unwrap().unwrap().id, id);
    assert_eq!(subjects.unseal(&item, &ledger_id).unwrap(), Some(claims()));
    let content = b"declined: income below the threshold";
    let stored = subjects.existing(ISSUER, SUBJECT).unwrap().unwrap().seal_evidence(content, &ledger_id);
    assert_eq!(subjects.open_evidence(&stored, &ledger_id).unwrap().unwrap().as_slice(), content);
    assert!(subjects.open_evidence(&stored, &Digest::ZERO).is_err(), "of another ledger");

    pin(
        "sealed",
        &json!({
            "ledger_id": hexed(ledger_id.0), "issuer": ISSUER, "subject": SUBJECT, "salt": hexed(SALT), "key": hexed(PERSON_KEY),
            "plaintext": hexed(claims().encode_to_vec()),
            "item": {
                "subject_id": hexed(&item.subject_id), "nonce": hexed(&item.nonce), "ciphertext": hexed(&item.ciphertext),
                "commitment": hexed(&item.commitment),
            },
            "subject_record": { "wrap_key": hexed(wrap), "lookup_key": hexed(lookup), "name": name, "record": hexed(&record) },
            "evidence": { "content": hexed(content), "stored": hexed(stored) },
        }),
    );
}
