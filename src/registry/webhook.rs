//! MLflow's webhooks: HMAC-SHA256 over `id.timestamp.body`, in `X-MLflow-Signature: v1,<base64>`. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// A delivery is taken this long after, and before, it says that it was sent: seconds.
const AGE_MAX: u64 = 300;
/// Shortest secret, bytes.
pub const SECRET_LEN_MIN: usize = 16;

/// What MLflow says around a delivery's body.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `X-MLflow-Delivery-Id`.
    pub id: &'a str,
    /// `X-MLflow-Timestamp`: seconds since the Unix epoch.
    pub timestamp: &'a str,
    /// `X-MLflow-Signature`.
    pub signature: &'a str,
}

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature of this secret.
    #[error("the signature is not one of the shared secret over id, timestamp and body")]
    Signature,
    /// A copy of an old one, or a wrong clock.
    #[error("the delivery says that it was sent more than 5 minutes ago, or later than now")]
    Age,
    /// Signed, and not understood.
    #[error("the body is not a delivery of MLflow's")]
    Body,
}

#[derive(Deserialize)]
struct Delivery {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    name: String,
}

/// Checks a delivery. The registered model that it is about.
///
/// # Errors
/// [`Refusal`].
pub fn read(secret: &[u8], headers: Headers<'_>, body: &[u8], now_seconds: u64) -> Result<String, Refusal> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{}.{}.", headers.id, headers.timestamp).as_bytes());
    mac.update(body);
    // Several signatures are separated by spaces, as Standard Webhooks has it.
    let signatures = headers.signature.split(' ').filter_map(|part| part.strip_prefix("v1,"));
    let mut signatures = signatures.filter_map(|text| STANDARD.decode(text).ok());
    // Compared in constant time.
    if !signatures.any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
        return Err(Refusal::Signature);
    }
    let sent: u64 = headers.timestamp.parse().map_err(|_| Refusal::Age)?;
    if sent.abs_diff(now_seconds) > AGE_MAX {
        return Err(Refusal::Age);
    }
    let delivery: Delivery = serde_json::from_slice(body).map_err(|_| Refusal::Body)?;
    Ok(delivery.data.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef";
    const BODY: &[u8] = br#"{"entity": "model_version_alias", "action": "created", "timestamp": "2026-11-26T15:00:00+00:00", "data": {"name": "credit-pd", "alias": "champion", "version": "3"}}"#;
    /// Computed with `_generate_hmac_signature` of MLflow 3.17.
    const SIGNATURE: &str = "v1,mZZDOoWjQo2ShsR95QBJB5cK7n4um3nkdouFSlbvBh4=";

    #[test]
    fn only_what_the_secret_signed_just_now_is_believed() {
        let headers = Headers { id: "d-1", timestamp: "1700000000", signature: SIGNATURE };
        let now = 1_700_000_000;
        assert_eq!(read(SECRET, headers, BODY, now + 300).as_deref(), Ok("credit-pd"));
        let two = format!("v1,AAAA {SIGNATURE}");
        assert!(read(SECRET, Headers { signature: &two, ..headers }, BODY, now).is_ok());
        for late in [now + 301, now - 301] {
            assert_eq!(read(SECRET, headers, BODY, late), Err(Refusal::Age));
        }
        let other = Headers { id: "d-2", ..headers };
        let later = Headers { timestamp: "1700000001", ..headers };
        let none = Headers { signature: "", ..headers };
        for headers in [other, later, none] {
            assert_eq!(read(SECRET, headers, BODY, now), Err(Refusal::Signature), "{headers:?}");
        }
        assert_eq!(read(b"another secret 0", headers, BODY, now), Err(Refusal::Signature));
        assert_eq!(read(SECRET, headers, &BODY[1..], now), Err(Refusal::Signature));
    }
}
