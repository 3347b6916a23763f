//! The attack table: each token is refused, for its own reason.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example.bank";
const CLIENT: &str = "promotion-ledger-review";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn keys() -> JwkSet {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key(7).verifying_key().as_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": x});
    serde_json::from_value(json!({ "keys": [jwk] })).unwrap()
}

fn rules() -> IssuerRules {
    let algorithms = algorithms(&["EdDSA".into()]).unwrap();
    IssuerRules { issuer: ISSUER.into(), algorithms, groups_claim: "groups".into() }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "u-1", "aud": CLIENT, "azp": CLIENT, "exp": NOW + 300, "iat": NOW - 5, "nonce": "n",
        "auth_time": NOW - 5, "acr": "mfa", "amr": ["pwd", "otp"], "name": "Maria Keller", "groups": ["model-risk"],
    })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn sign_with(header: &Header, claims: &Value, key: &SigningKey) -> String {
    let der = key.to_pkcs8_der().unwrap();
    encode(header, claims, &EncodingKey::from_ed_der(der.as_bytes())).unwrap()
}

fn sign(claims: &Value) -> String {
    sign_with(&Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) }, claims, &key(7))
}

fn login() -> Expected<'static> {
    let auth_time_min = Some((NOW - 60) * 1_000_000);
    Expected { usage: Use::Login, audience: CLIENT, nonce: Some("n"), auth_time_min, acr: &[] }
}

fn check(token: &str) -> Result<Principal, Refusal> {
    verify(token, &keys(), &rules(), &login(), NOW * 1_000_000)
}

/// A token made by hand: header as given, signed with our key unless a signature is given.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_says_who_it_is() {
    let principal = check(&sign(&claims())).unwrap();
    assert_eq!((principal.subject.as_str(), principal.name.as_str()), ("u-1", "Maria Keller"));
    assert_eq!(
        (principal.groups.as_slice(), principal.groups_complete),
        (&["model-risk".to_owned()][..], true)
    );
    assert_eq!(principal.auth_time, Some((NOW - 5) * 1_000_000));
    assert_eq!(principal.verified_by, "k1");
}

#[test]
fn claims_that_do_not_fit_are_refused_each_for_its_reason() {
    let audience = |found: &[&str]| Refusal::Audience {
        found: found.iter().map(|one| (*one).to_owned()).collect(),
        expected: CLIENT.into(),
    };
    let cases = [
        (
            json!({"iss": "https://evil.example"}),
            Refusal::Issuer { found: "https://evil.example".into(), expected: ISSUER.into() },
        ),
        (json!({"aud": "promotion-ledger"}), audience(&["promotion-ledger"])),
        (json!({"aud": ["a", "b"]}), audience(&["a", "b"])),
        (json!({"aud": [CLIENT, "other"], "azp": null}), Refusal::AuthorizedParty(String::new())),
        (json!({"azp": "other"}), Refusal::AuthorizedParty("other".into())),
        (json!({"exp": NOW - 60}), Refusal::Expired(NOW - 60, 60)),
        (json!({"nbf": NOW + 61}), Refusal::Future(NOW + 61, "nbf")),
        (json!({"iat": NOW + 61}), Refusal::Future(NOW + 61, "iat")),
        (json!({"auth_time": NOW + 61}), Refusal::Future(NOW + 61, "auth_time")),
        (json!({"nonce": "of another statement"}), Refusal::Nonce),
        (json!({"nonce": null}), Refusal::Nonce),
        (json!({"auth_time": NOW - 61}), Refusal::Stale("the login was 1 s too early".into())),
        (json!({"auth_time": null}), Refusal::Stale("it does not say when the login was (auth_time)".into())),
        (json!({"typ": "Refresh"}), Refusal::Type("Refresh".into(), "ID")),
        (json!({"typ": "Bearer"}), Refusal::Type("Bearer".into(), "ID")),
        (json!({"sub": ""}), Refusal::Claims("sub is empty".into())),
    ];
    for (change, refusal) in cases {
        assert_eq!(check(&sign(&with(change.clone()))), Err(refusal), "{change}");
    }
    for missing in ["iss", "sub", "aud", "exp", "iat"] {
        let refused = check(&sign(&with(json!({ missing: null }))));
        assert!(matches!(refused, Err(Refusal::Claims(_))), "{missing}: {refused:?}");
    }
}

#[test]
fn forged_signatures_are_refused_each_for_its_reason() {
    let public = key(7).verifying_key();
    let mut hs = Header::new(Algorithm::HS256);
    hs.kid = Some("k1".into());
    // Confusion: the public key as the secret of a symmetric algorithm.
    let confused = encode(&hs, &claims(), &EncodingKey::from_secret(public.as_bytes())).unwrap();
    assert_eq!(check(&confused), Err(Refusal::Algorithm("HS256".into())));
    for alg in ["none", "None", "NONE", "RS256", ""] {
        let token = raw(&json!({"alg": alg, "kid": "k1"}), &claims(), &[1; 64]);
        assert_eq!(check(&token), Err(Refusal::Algorithm(alg.into())), "{alg}");
    }
    let unsigned = raw(&json!({"alg": "EdDSA", "kid": "k1"}), &claims(), &[]);
    assert_eq!(check(&unsigned), Err(Refusal::Algorithm("nothing".into())));
    let unsigned = raw(&json!({"alg": "EdDSA", "kid": "k1"}), &claims(), &[0; 64]);
    assert_eq!(check(&unsigned), Err(Refusal::Signature("k1".into())));
    let header = |kid: &str| Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
    assert_eq!(check(&sign_with(&header("k1"), &claims(), &key(8))), Err(Refusal::Signature("k1".into())));
    assert_eq!(check(&sign_with(&header("k2"), &claims(), &key(8))), Err(Refusal::UnknownKey("k2".into())));
    let nameless = sign_with(&Header::new(Algorithm::EdDSA), &claims(), &key(7));
    assert_eq!(check(&nameless), Err(Refusal::UnknownKey(String::new())));
    let mut parts: Vec<_> = sign(&claims()).split('.').map(str::to_owned).collect();
    parts[1] = BASE64_URL_SAFE_NO_PAD.encode(with(json!({"sub": "u-2"})).to_string());
    assert_eq!(check(&parts.join(".")), Err(Refusal::Signature("k1".into())));
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key(8).verifying_key().as_bytes());
    let mut header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) };
    header.jku = Some("https://evil.example/jwks".into());
    header.x5u = Some("https://evil.example/cert".into());
    header.jwk =
        serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x})).unwrap();
    assert_eq!(check(&sign_with(&header, &claims(), &key(8))), Err(Refusal::Signature("k1".into())));
    assert!(check(&sign_with(&header, &claims(), &key(7))).is_ok());
}

#[test]
fn forms_and_types_are_checked() {
    for bad in ["", "a.b", "a.b.c.d", "!.b.c", "e30.b"] {
        assert!(matches!(check(bad), Err(Refusal::Form(_))), "{bad:?}: {:?}", check(bad));
    }
    assert!(matches!(check(&"a".repeat(ASSERTION_LEN_MAX + 1)), Err(Refusal::Form(_))));
    let typed = |typ: &str| {
        let header =
            Header { kid: Some("k1".into()), typ: Some(typ.into()), ..Header::new(Algorithm::EdDSA) };
        check(&sign_with(&header, &claims(), &key(7)))
    };
    assert!(typed("JWT").is_ok());
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt"] {
        assert_eq!(typed(typ), Err(Refusal::Type(typ.into(), "ID")));
    }
    let critical = raw(&json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"]}), &claims(), &[1; 64]);
    assert_eq!(check(&critical), Err(Refusal::Critical));
}

#[test]
fn an_id_token_is_no_access_token_and_the_reverse() {
    let call = Expected {
        usage: Use::Call,
        audience: "promotion-ledger",
        nonce: None,
        auth_time_min: None,
        acr: &[],
    };
    let now = NOW * 1_000_000;
    let access = sign(&with(json!({"aud": "promotion-ledger", "azp": "pipeline", "typ": "Bearer"})));
    assert!(verify(&access, &keys(), &rules(), &call, now).is_ok());
    // The audience of stored logins is not the API's: a token out of the archive opens nothing.
    let stored = sign(&claims());
    assert!(matches!(verify(&stored, &keys(), &rules(), &call, now), Err(Refusal::Audience { .. })));
    let id = sign(&with(json!({"aud": "promotion-ledger", "typ": "ID"})));
    assert_eq!(verify(&id, &keys(), &rules(), &call, now), Err(Refusal::Type("ID".into(), "access")));
}

#[test]
fn groups_are_complete_only_where_the_issuer_says_all_of_them() {
    let groups = |change: Value| {
        let principal = check(&sign(&with(change))).unwrap();
        (principal.groups.len(), principal.groups_complete)
    };
    assert_eq!(groups(json!({"groups": []})), (0, true));
    assert_eq!(groups(json!({"groups": null})), (0, false));
    assert_eq!(groups(json!({"groups": "model-risk"})), (0, false));
    assert_eq!(groups(json!({"groups": ["a", 1]})), (1, false));
    assert_eq!(groups(json!({"_claim_names": {"groups": "src1"}})), (1, false));
    assert_eq!(groups(json!({"hasgroups": true, "groups": null})), (0, false));
    let many: Vec<_> = (0..=GROUPS_MAX).map(|n| format!("g{n}")).collect();
    assert!(matches!(
        check(&sign(&with(json!({"groups": many.clone()})))),
        Ok(Principal { groups_complete: false, .. })
    ));
}

#[test]
fn a_login_must_be_strong_enough() {
    let acr = ["urn:bank:acr:hardware".to_owned()];
    let expected = Expected { acr: &acr, ..login() };
    let refused = verify(&sign(&claims()), &keys(), &rules(), &expected, NOW * 1_000_000);
    assert_eq!(refused, Err(Refusal::Acr { found: "mfa".into(), expected: acr.to_vec() }));
}

#[test]
fn only_asymmetric_algorithms_can_be_configured() {
    let read = |name: &str| algorithms(&[name.to_owned()]);
    for good in ["RS256", "PS256", "ES256", "EdDSA"] {
        assert!(read(good).is_some(), "{good}");
    }
    for bad in ["HS256", "HS384", "HS512", "none", "rs256", ""] {
        assert!(read(bad).is_none(), "{bad}");
    }
    assert!(algorithms(&[]).is_none());
}
