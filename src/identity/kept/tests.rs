//! A kept login is verified again: every part of it that was exchanged is a finding of its own.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::event::proto::{PersonRef, Slot};

const ISSUER: &str = "https://idp.example.bank";
const AT: u64 = 1_795_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn recorded_keys(kid: &str, key: &SigningKey) -> IssuerKeys {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": x});
    IssuerKeys {
        issuer: ISSUER.into(),
        audience: "ledger".into(),
        algorithms: vec!["EdDSA".into()],
        groups_claim: "groups".into(),
        key_id: kid.into(),
        jwk: jwk.to_string().into_bytes(),
    }
}

fn keys() -> RecordedKeys {
    let mut keys = RecordedKeys::default();
    keys.note(&recorded_keys("k1", &key(1)));
    keys
}

fn token(kid: &str, key: &SigningKey, changes: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "sub": "u-1", "aud": "ledger", "azp": "ledger", "iat": AT, "exp": AT + 300, "auth_time": AT,
        "nonce": login_nonce(&Digest([5; 32])), "acr": "mfa", "amr": ["otp"], "groups": ["risk", "staff"],
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
    let der = key.to_pkcs8_der().unwrap();
    encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).unwrap()
}

fn body() -> Body {
    Body { idempotency_key: vec![5; 32], recorded_at: (AT + 10) * 1_000_000, ..Body::default() }
}

fn approval(assertion: &str) -> Approval {
    Approval {
        approver: Some(PersonRef { issuer: ISSUER.into(), subject_id: vec![1; 32] }),
        decided_at: (AT + 10) * 1_000_000,
        matched_groups: vec!["risk".into()],
        groups_complete: true,
        auth_time: AT * 1_000_000,
        acr: "mfa".into(),
        amr: vec!["otp".into()],
        assertion_sha256: digest::sha256(assertion.as_bytes()).0.to_vec(),
        verified_by: "k1".into(),
        ..Approval::default()
    }
}

fn claims(assertion: &str) -> SealedClaims {
    SealedClaims {
        issuer: ISSUER.into(),
        subject: "u-1".into(),
        assertion: assertion.into(),
        ..SealedClaims::default()
    }
}

/// Findings of a promotion with one approval, after a change of approval and claims.
fn found(assertion: &str, change: impl FnOnce(&mut Approval, &mut SealedClaims)) -> Vec<String> {
    let (mut approval, mut claims) = (approval(assertion), claims(assertion));
    change(&mut approval, &mut claims);
    let promoted = Promoted { slot: Some(Slot::default()), approvals: vec![approval], ..Promoted::default() };
    let event = Event::Promoted(promoted);
    let kept = of_event(&event, &body());
    assert_eq!(kept.len(), 1);
    let clear = clear_finding(&keys(), &kept[0]);
    clear.into_iter().chain(findings(&keys(), &kept[0], &claims)).collect()
}

#[test]
fn what_holds_has_no_finding_years_later() {
    assert_eq!(found(&token("k1", &key(1), &json!({})), |_, _| {}), Vec::<String>::new());
}

#[test]
fn every_exchanged_part_is_found() {
    let good = token("k1", &key(1), &json!({}));
    let signed = |changes: Value| token("k1", &key(1), &changes);
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("signature", found(&token("k1", &key(2), &json!({})), |_, _| {})),
        ("another nonce", found(&signed(json!({"nonce": "bm9uY2U"})), |_, _| {})),
        ("another nonce", found(&signed(json!({"nonce": null})), |_, _| {})),
        ("is for the audience", found(&signed(json!({"aud": "promotion-ledger-api"})), |_, _| {})),
        ("expired", found(&good, |approval, _| approval.decided_at += 3_600_000_000)),
        ("in the future", found(&good, |approval, _| approval.decided_at -= 3_600_000_000)),
        (
            "another one than the entry names",
            found(&good, |approval, _| approval.assertion_sha256 = vec![0; 32]),
        ),
        ("auth_time", found(&good, |approval, _| approval.auth_time += 1_000_000)),
        ("acr or amr", found(&good, |approval, _| approval.acr = "hardware".into())),
        ("matched group", found(&good, |approval, _| approval.matched_groups.push("committee".into()))),
        ("of another person", found(&good, |_, claims| claims.subject = "u-2".into())),
        ("does not hold all groups", found(&signed(json!({"hasgroups": true})), |_, _| {})),
        ("no earlier entry records", found(&good, |approval, _| approval.verified_by = "k9".into())),
        ("nobody verified", found(&good, |approval, _| approval.verified_by.clear())),
    ];
    for (words, found) in cases {
        assert!(found.iter().any(|finding| finding.contains(words)), "{words:?} is not in {found:?}");
    }
}

#[test]
fn a_service_commits_to_nothing_and_a_rotated_key_verifies_what_it_signed() {
    let good = token("k1", &key(1), &json!({"nonce": null}));
    assert_eq!(found(&good, |approval, _| approval.standing_policy = "SP-1".into()), Vec::<String>::new());
    let mut keys = keys();
    // The issuer gave the same id to another key later.
    keys.note(&recorded_keys("k1", &key(2)));
    for seed in [1, 2] {
        let assertion = token("k1", &key(seed), &json!({}));
        let event =
            Event::Promoted(Promoted { approvals: vec![approval(&assertion)], ..Promoted::default() });
        let kept = of_event(&event, &body());
        assert_eq!(findings(&keys, &kept[0], &claims(&assertion)), Vec::<String>::new(), "{seed}");
    }
}

#[test]
fn an_emergencys_login_holds_and_every_part_of_it_that_was_exchanged_is_a_finding() {
    let slot = Slot { model: "credit".into(), environment: "production".into(), ..Slot::default() };
    let until = (AT + 3_600) * 1_000_000;
    let nonce = login_nonce(&digest::break_glass(&slot, &[7; 32], until, "r-1"));
    let assertion = token("k1", &key(1), &json!({ "nonce": nonce }));
    let honest = BreakGlass {
        slot: Some(slot),
        artifact_sha256: vec![7; 32],
        actor: Some(PersonRef { issuer: ISSUER.into(), subject_id: vec![1; 32] }),
        group: "risk".into(),
        groups_complete: true,
        auth_time: AT * 1_000_000,
        acr: "mfa".into(),
        amr: vec!["otp".into()],
        assertion_sha256: digest::sha256(assertion.as_bytes()).0.to_vec(),
        verified_by: "k1".into(),
        expires_at: until,
        request_id: "r-1".into(),
    };
    let claims =
        SealedClaims { issuer: ISSUER.into(), subject: "u-1".into(), assertion, ..SealedClaims::default() };
    let found = |e: &BreakGlass, claims: &SealedClaims, keys: &RecordedKeys| {
        let event = Event::BreakGlass(e.clone());
        let kept = of_event(&event, &body());
        let kept = kept.first().expect("a login");
        let clear = clear_finding(keys, kept);
        clear.map_or_else(|| findings(keys, kept, claims), |found| vec![found]).join("; ")
    };
    assert_eq!(found(&honest, &claims, &keys()), "");
    let other_slot = Slot { model: "fraud".into(), ..honest.slot.clone().unwrap() };
    let unsigned = token("k1", &key(2), &json!({}));
    let cases: [(&str, BreakGlass, &str); 8] = [
        ("artefact", BreakGlass { artifact_sha256: vec![8; 32], ..honest.clone() }, "nonce"),
        ("slot", BreakGlass { slot: Some(other_slot), ..honest.clone() }, "nonce"),
        ("time", BreakGlass { expires_at: until + 1, ..honest.clone() }, "nonce"),
        ("request", BreakGlass { request_id: "r-2".into(), ..honest.clone() }, "nonce"),
        ("group", BreakGlass { group: "on-call".into(), ..honest.clone() }, "matched group"),
        ("login", BreakGlass { auth_time: 1, ..honest.clone() }, "auth_time"),
        ("digest", BreakGlass { assertion_sha256: vec![0; 32], ..honest.clone() }, "another one"),
        ("key", BreakGlass { verified_by: "k2".into(), ..honest.clone() }, "no earlier entry records"),
    ];
    for (name, forged, words) in cases {
        let found = found(&forged, &claims, &keys());
        assert!(found.contains(words), "{name}: {found:?}");
    }
    let forged = SealedClaims { assertion: unsigned, ..claims.clone() };
    assert!(found(&honest, &forged, &keys()).contains("does not verify"));
    assert!(found(&honest, &claims, &RecordedKeys::default()).contains("no earlier entry records"));
}
