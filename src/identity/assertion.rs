//! What an assertion states before anybody verified it: enough to choose whose keys must verify it, and no more.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Longest assertion, bytes.
pub const ASSERTION_LEN_MAX: usize = 16 * 1024;

/// Of header and claims, what is read here; the rest is passed over.
#[derive(Deserialize)]
struct Stated<'a> {
    #[serde(borrow, default)]
    iss: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
}

/// The issuer that an assertion states.
pub fn issuer(assertion: &str) -> Option<String> {
    stated(&part(assertion, 1)?)?.iss.map(Cow::into_owned)
}

/// The key that an assertion states it is signed by.
pub fn key_id(assertion: &str) -> Option<String> {
    stated(&part(assertion, 0)?)?.kid.map(Cow::into_owned)
}

fn part(assertion: &str, n: usize) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').nth(n)?).ok()
}

fn stated(json: &[u8]) -> Option<Stated<'_>> {
    serde_json::from_slice(json).ok()
}
