//! Authorization codes (RFC 6749 section 4.1) with PKCE (RFC 7636): good once, for a minute, for who asked.

use std::{collections::HashMap, sync::Mutex};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Somebody;
use crate::event::{Micros, digest::sha256};

const CODE_LIFE: Micros = 60 * 1_000_000;
const CODES_MAX: usize = 1_000;

/// What a code stands for.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Who was chosen.
    pub who: Somebody,
    /// Of the request.
    pub nonce: String,
    /// Of the request: base64url(SHA-256(verifier)).
    pub challenge: String,
    /// Where the code went.
    pub redirect_uri: String,
    /// When somebody was chosen.
    pub at: Micros,
}

/// Codes that nobody has exchanged yet.
#[derive(Default)]
pub struct Codes(Mutex<HashMap<String, Granted>>);

impl Codes {
    /// A new code; `None` if too many wait, or without random bytes.
    pub fn grant(&self, granted: Granted) -> Option<String> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        let code = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut codes = self.0.lock().expect("no code panics while holding this lock");
        let now = granted.at;
        codes.retain(|_, other| other.at.saturating_add(CODE_LIFE) > now);
        if codes.len() >= CODES_MAX {
            return None;
        }
        codes.insert(code.clone(), granted);
        Some(code)
    }

    /// Exchanges a code. It is gone afterwards, whatever the answer is.
    ///
    /// # Errors
    /// In words.
    pub fn exchange(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        now: Micros,
    ) -> Result<Granted, &'static str> {
        let granted = self.0.lock().expect("no code panics while holding this lock").remove(code);
        let granted = granted.filter(|granted| granted.at.saturating_add(CODE_LIFE) > now);
        let granted = granted.ok_or("the code is unknown, used or more than a minute old")?;
        if granted.redirect_uri != redirect_uri {
            return Err("redirect_uri is another one than the code went to");
        }
        if BASE64_URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()).0) != granted.challenge {
            return Err("code_verifier does not fit code_challenge");
        }
        Ok(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_for_its_verifier_and_address_within_a_minute() {
        let codes = Codes::default();
        let granted = || Granted {
            who: Somebody::default(),
            nonce: "n".into(),
            challenge: BASE64_URL_SAFE_NO_PAD.encode(sha256(b"verifier").0),
            redirect_uri: "http://127.0.0.1:1/cb".into(),
            at: 1_000_000,
        };
        let exchange = |verifier: &str, uri: &str, now| {
            let code = codes.grant(granted()).unwrap();
            codes.exchange(&code, verifier, uri, now).map(|_| code)
        };
        assert!(exchange("other", "http://127.0.0.1:1/cb", 2_000_000).is_err());
        assert!(exchange("verifier", "http://127.0.0.1:2/cb", 2_000_000).is_err());
        assert!(exchange("verifier", "http://127.0.0.1:1/cb", 62_000_000).is_err());
        let code = exchange("verifier", "http://127.0.0.1:1/cb", 2_000_000).unwrap();
        assert!(codes.exchange(&code, "verifier", "http://127.0.0.1:1/cb", 2_000_000).is_err(), "used");
    }
}
