//! Kept logins are verified again offline: a front door that swaps the decision or the answers afterwards is caught by
//! `verify`, with nothing but the directory.

use std::{path::Path, process::Command};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use promotion_ledger::{
    clock::{Clock, SystemClock},
    config::Config,
    event::{
        Outcome, canonical,
        digest::{break_glass, decision_answers, decision_nonce, login_nonce, sha256},
        header::Header as EntryHeader,
        proto::{
            Approval, Basis, Body, BreakGlass, Decision, DecisionAnswers, DecisionStatement, IssuerKeys,
            PersonRef, ReviewDecision, SealedClaims, Slot, Statement, body::Event,
        },
    },
    keyfile,
    ledger::{decide::expected_key, store::Store, writer},
    node,
};
use prost::Message;
use serde_json::json;

use crate::{
    harness::{Directory, LogUnderTest, run},
    reviews::{Bank, ISSUER, decision, package, prepare, prepare_whole, read, seal, submit, token},
};

const SALT: [u8; 32] = [0x51; 32];

fn verified(dir: &Path, further: &[&str]) -> (Option<i32>, String) {
    let dir = dir.display().to_string();
    let output = run(&[&["verify", "--dir", &dir][..], further].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn answers(text: &str) -> Vec<u8> {
    let answer = Statement { path: "reviewed".into(), text: text.into() };
    DecisionAnswers { blind: vec![3; 32], answers: vec![answer], reason: String::new() }.encode_to_vec()
}

/// Appends an approval by bob as a front door with the ledger's keys would: `statement` and `answered` stand in the entry,
/// `signed` is what bob logged in for.
fn forge(
    dir: &Path,
    review_seq: u64,
    statement: &DecisionStatement,
    answered: &[u8],
    signed: &DecisionStatement,
) {
    let nonce = BASE64_URL_SAFE_NO_PAD.encode(decision_nonce(&signed.encode_to_vec(), &SALT).0);
    let assertion = token("bob", &nonce, json!({}));
    let claims = SealedClaims { answers: answered.to_vec(), ..claims_of_bob(&assertion) };
    append(dir, Some(claims), |subject_id, now| {
        let decider = Approval {
            approver: Some(PersonRef { issuer: ISSUER.into(), subject_id }),
            decided_at: now,
            groups_complete: true,
            auth_time: auth_time(&assertion),
            acr: "mfa".into(),
            amr: vec!["pwd".into(), "otp".into()],
            assertion_sha256: sha256(assertion.as_bytes()).0.to_vec(),
            answered: statement.answered.clone(),
            verified_by: "k1".into(),
            ..Approval::default()
        };
        Event::Approved(ReviewDecision {
            review_seq,
            statement: statement.encode_to_vec(),
            salt: SALT.to_vec(),
            decider: Some(decider),
        })
    });
}

/// When the login of a token was, microseconds.
fn auth_time(assertion: &str) -> u64 {
    let payload = assertion.split('.').nth(1).expect("a payload");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    claims["auth_time"].as_u64().expect("a time") * 1_000_000
}

fn claims_of_bob(assertion: &str) -> SealedClaims {
    SealedClaims {
        issuer: ISSUER.into(),
        subject: "bob".into(),
        groups: vec!["model-risk".into()],
        assertion: assertion.into(),
        ..SealedClaims::default()
    }
}

/// Appends an event as a front door with the ledger's keys would, with what it seals for bob.
fn append(dir: &Path, claims: Option<SealedClaims>, event: impl FnOnce(Vec<u8>, u64) -> Event) {
    let config = Config::load(dir, serde_json::Map::new()).expect("a configuration");
    let runtime = tokio::runtime::Handle::current();
    let subjects = tokio::task::block_in_place(|| runtime.block_on(node::subject_records(dir, &config)));
    let subjects = subjects.expect("subject records");
    let key = keyfile::signing_key(&dir.join("keys/front-door.pem")).expect("a key");
    let store = Store::open(&dir.join("ledger")).expect("a store");
    let mut state = store.state().expect("a state");
    let head = state.clone().expect("entries");
    let sealed = claims.map(|claims| {
        let bob = subjects.subject(ISSUER, "bob").expect("a subject record");
        bob.seal(claims, &head.ledger_id).expect("sealed")
    });
    let now = SystemClock.now();
    let event = event(sealed.as_ref().map(|it| it.subject_id.clone()).unwrap_or_default(), now);
    let body = Body {
        idempotency_key: expected_key(&event).expect("a key").0.to_vec(),
        basis: Some(Basis { size: head.size(), link: head.link.0.to_vec() }),
        recorded_at: now,
        event: Some(event),
        sealed: sealed.into_iter().collect(),
        ..Body::default()
    };
    let value = canonical::seal_record(&body, head.rules, &head.ledger_id, &key);
    writer::apply(&store, &head.ledger_id, &mut state, [(head.size(), value)]).expect("applied");
    let header = store.header(head.size()).expect("a header").expect("an entry");
    let header = EntryHeader::decode(&header).expect("a header");
    assert_eq!(header.outcome, Outcome::Accepted, "{:?} {:?}", header.kind, header.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_door_that_swaps_decision_or_answers_afterwards_is_caught_offline() {
    let bank = Bank::open();
    let client = bank.node.client().await;
    client.upload_all().await;
    let first = seal(&client, package(&client, 0)).await.expect("sealed");
    let (review, session) = read(&client, first, 0).await;
    let nonce = prepare(&client, decision(&review, &session, Decision::Approve)).await.expect("frozen");
    assert!(submit(&client, &nonce, token("ada", &nonce, json!({}))).await.expect("approved").quorum);
    let second = seal(&client, package(&client, 1)).await.expect("sealed");
    let (review, session) = read(&client, second, 0).await;
    let frozen =
        prepare_whole(&client, decision(&review, &session, Decision::Approve)).await.expect("frozen");
    let approve: DecisionStatement = DecisionStatement::decode(&frozen.statement[..]).expect("a statement");
    bank.node.stop();
    let dir = bank.dir.path();
    let (code, said) = verified(&dir, &["--unseal"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1, 1 verified again"), "{said}");
    let honest = answers("No, not in the youngest band.");
    let approve = DecisionStatement { answers_digest: decision_answers(&honest).0.to_vec(), ..approve };
    let decline = DecisionStatement { decision: Decision::Decline.into(), ..approve.clone() };
    let rosy = answers("Yes, in all segments.");
    let rewritten =
        DecisionStatement { answers_digest: decision_answers(&rosy).0.to_vec(), ..approve.clone() };
    type Case<'a> = (&'a str, &'a DecisionStatement, &'a [u8], &'a DecisionStatement, Option<&'a str>);
    let cases: [Case<'_>; 4] = [
        ("as bob decided", &approve, &honest, &approve, None),
        ("bob declined", &approve, &honest, &decline, Some("nonce")),
        ("other answers, and a statement to fit", &rewritten, &rosy, &approve, Some("nonce")),
        (
            "other answers under bob's statement",
            &approve,
            &rosy,
            &approve,
            Some("sealed answers are not those"),
        ),
    ];
    for (name, stated, answered, signed, finding) in cases {
        let copy = tempfile::tempdir().expect("a directory");
        let dir = copy.path().join("node");
        let copied = Command::new("cp").arg("-r").arg(bank.dir.path()).arg(&dir).status().expect("cp runs");
        assert!(copied.success());
        forge(&dir, second, stated, answered, signed);
        // Without the keys of sealed data nothing can be said against it.
        let (code, said) = verified(&dir, &[]);
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains("with --unseal"), "{name}: {said}");
        let (code, said) = verified(&dir, &["--unseal"]);
        assert_eq!(code, Some(i32::from(finding.is_some())), "{name}: {said}");
        if let Some(words) = finding {
            assert!(said.contains("login finding:") && said.contains(words), "{name}: {said}");
        }
    }
}

/// Break-glass is a login too: what it lets in, where and until when is what that login committed to.
#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_a_front_door_widened_afterwards_is_caught_offline() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let slot = Slot { model: "credit".into(), environment: "production".into(), role: 1, ..Slot::default() };
    let jwk = crate::reviews::jwk("k1");
    let keys = IssuerKeys {
        issuer: ISSUER.into(),
        audience: "promotion-ledger".into(),
        algorithms: vec!["EdDSA".into()],
        groups_claim: "groups".into(),
        key_id: "k1".into(),
        jwk: jwk.to_string().into_bytes(),
    };
    append(&dir.path(), None, |_, _| Event::IssuerKeys(keys));
    let until = SystemClock.now() + 3_600_000_000;
    // What the entry says, and what bob logged in for.
    let emergency = |artifact: u8, expires_at: u64, request_id: &str, verified_by: &str| BreakGlass {
        slot: Some(slot.clone()),
        artifact_sha256: vec![artifact; 32],
        group: "model-risk".into(),
        groups_complete: true,
        acr: "mfa".into(),
        amr: vec!["pwd".into(), "otp".into()],
        verified_by: verified_by.into(),
        expires_at,
        request_id: request_id.into(),
        ..BreakGlass::default()
    };
    let cases = [
        ("as bob decided", emergency(1, until, "r-1", "k1"), emergency(1, until, "r-1", "k1"), None),
        (
            "another artefact",
            emergency(2, until, "r-1", "k1"),
            emergency(1, until, "r-1", "k1"),
            Some("nonce"),
        ),
        ("longer", emergency(1, until + 1, "r-1", "k1"), emergency(1, until, "r-1", "k1"), Some("nonce")),
        (
            "an unknown key",
            emergency(1, until, "r-1", "k9"),
            emergency(1, until, "r-1", "k9"),
            Some("no earlier entry records"),
        ),
    ];
    for (name, stated, signed, finding) in cases {
        let copy = tempfile::tempdir().expect("a directory");
        let at = copy.path().join("node");
        let copied = Command::new("cp").arg("-r").arg(dir.path()).arg(&at).status().expect("cp runs");
        assert!(copied.success());
        let nonce =
            login_nonce(&break_glass(&slot, &signed.artifact_sha256, signed.expires_at, &signed.request_id));
        let assertion = token("bob", &nonce, json!({}));
        append(&at, Some(claims_of_bob(&assertion)), |subject_id, _| {
            Event::BreakGlass(BreakGlass {
                actor: Some(PersonRef { issuer: ISSUER.into(), subject_id }),
                auth_time: auth_time(&assertion),
                assertion_sha256: sha256(assertion.as_bytes()).0.to_vec(),
                ..stated
            })
        });
        let (code, said) = verified(&at, &["--unseal"]);
        assert_eq!(code, Some(i32::from(finding.is_some())), "{name}: {said}");
        match finding {
            Some(words) => assert!(said.contains("login finding:") && said.contains(words), "{name}: {said}"),
            None => assert!(said.contains("1, 1 verified again"), "{name}: {said}"),
        }
    }
}
