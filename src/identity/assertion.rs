//! What an assertion states before anybody verified it: enough to choose whose keys must verify it, and no more.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// Longest assertion, bytes.
pub const ASSERTION_LEN_MAX: usize = 16 * 1024;

/// The issuer that an assertion states.
pub fn issuer(assertion: &str) -> Option<String> {
    stated(assertion, 1, "iss")
}

/// The key that an assertion states it is signed by.
pub fn key_id(assertion: &str) -> Option<String> {
    stated(assertion, 0, "kid")
}

fn stated(assertion: &str, part: usize, name: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').nth(part)?).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}
