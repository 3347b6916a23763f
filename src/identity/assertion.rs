//! The shape of an assertion: a signed JWT in compact form (RFC 7519, RFC 7515 section 3.1).
//!
//! Shape only. Until identity verification lands nothing in here proves who somebody is, and every event says
//! so by its empty `verified_by`.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// Longest assertion, bytes.
pub const ASSERTION_LEN_MAX: usize = 16 * 1024;

/// What is wrong with an assertion's shape, or where it contradicts issuer and subject.
pub fn problem(assertion: &str, issuer: &str, subject: &str) -> Option<String> {
    if assertion.is_empty() {
        return Some("is missing; an approval needs the identity provider's signed assertion".into());
    }
    if assertion.len() > ASSERTION_LEN_MAX {
        return Some(format!("is longer than {ASSERTION_LEN_MAX} bytes"));
    }
    let parts: Vec<_> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Some("is not a signed JWT (three parts with dots between them)".into());
    };
    let object = |part: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object)
    };
    let (Some(header), Some(claims)) = (object(header), object(claims)) else {
        return Some("has a header or claims that are not base64url JSON".into());
    };
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    if algorithm.is_empty() || algorithm.eq_ignore_ascii_case("none") {
        return Some("is not signed (alg none)".into());
    }
    if !BASE64_URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| signature.len() >= 32) {
        return Some("has no signature".into());
    }
    for (claim, expected) in [("iss", issuer), ("sub", subject)] {
        if claims.get(claim).and_then(Value::as_str) != Some(expected) {
            return Some(format!("has another {claim} than the approver's {expected:?}"));
        }
    }
    None
}
