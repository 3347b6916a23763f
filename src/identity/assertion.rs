//! What an assertion states before anybody verified it: enough to choose whose keys must verify it, and no more.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Longest assertion, bytes.
pub const ASSERTION_LEN_MAX: usize = 16 * 1024;

/// Of the claims, what is read here; the rest is passed over, whatever it is.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
}

/// Of the header.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    kid: Cow<'a, str>,
}

/// The issuer that an assertion states.
pub fn issuer(assertion: &str) -> Option<String> {
    serde_json::from_slice::<Claims<'_>>(&part(assertion, 1)?).ok().map(|claims| claims.iss.into_owned())
}

/// The key that an assertion states it is signed by.
pub fn key_id(assertion: &str) -> Option<String> {
    serde_json::from_slice::<Header<'_>>(&part(assertion, 0)?).ok().map(|header| header.kid.into_owned())
}

fn part(assertion: &str, n: usize) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').nth(n)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assertion(header: &str, claims: &str) -> String {
        [header, claims, "signature"].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn other_fields_of_any_form_are_passed_over() {
        let stated =
            assertion(r#"{"kid":"k-1","iss":[1]}"#, r#"{"iss":"https://idp.example","kid":7,"x":{}}"#);
        assert_eq!(issuer(&stated).as_deref(), Some("https://idp.example"));
        assert_eq!(key_id(&stated).as_deref(), Some("k-1"));
    }

    #[test]
    fn what_is_absent_or_no_text_is_not_stated() {
        for (header, claims) in [("{}", "{}"), (r#"{"kid":7}"#, r#"{"iss":null}"#), ("[]", "no JSON")] {
            let stated = assertion(header, claims);
            assert_eq!((issuer(&stated), key_id(&stated)), (None, None), "{header} {claims}");
        }
        assert_eq!((issuer("one part"), key_id("")), (None, None));
    }
}
