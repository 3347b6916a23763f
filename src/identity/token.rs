//! A token and the issuer's keys -> who it is, or why not. Pure: keys and time are arguments, so that the same
//! verification can be done offline, years later, with the keys that the ledger recorded.
//!
//! JWT (RFC 7519) in JWS compact form; the claims of OpenID Connect Core 1.0 section 2, checked as in section 3.1.3.7;
//! RFC 8725 (best practices): one pinned set of asymmetric algorithms for each issuer, `typ` checked, and keys found by
//! `kid` among the issuer's own only: `jku`, `x5u`, `x5c` and `jwk` headers are never looked at.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::Deserialize;
use serde_json::Value;

use crate::event::Micros;

use super::{assertion::ASSERTION_LEN_MAX, principal::Principal};

/// How far an issuer's clock may be away, seconds.
pub const LEEWAY_SECONDS: u64 = 60;
/// Groups of one token, at most; a longer list counts as not complete.
pub const GROUPS_MAX: usize = 1_000;

/// What is known of an issuer, and pinned.
#[derive(Debug, Clone)]
pub struct IssuerRules {
    /// `iss`, compared byte by byte.
    pub issuer: String,
    /// What its tokens may be signed with; asymmetric ones only ([`algorithms`]).
    pub algorithms: Vec<Algorithm>,
    /// The claim that holds groups, for instance `groups`.
    pub groups_claim: String,
}

/// For what a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// An ID token: a person logged in for a decision. `azp`, where there is one, must be the client.
    Login,
    /// An access token: a call of this API.
    Call,
}

/// What a token must be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// For what it is shown.
    pub usage: Use,
    /// Must be in `aud`.
    pub audience: &'a str,
    /// Must be `nonce`; logins only.
    pub nonce: Option<&'a str>,
    /// The login may not be earlier than this, microseconds.
    pub auth_time_min: Option<Micros>,
    /// One of these must be `acr`; empty: any.
    pub acr: &'a [String],
}

/// Why a token is refused. One reason each; the first that applies, in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a JWS in compact form.
    #[error("is not a signed token in compact form: {0}")]
    Form(String),
    /// `alg` is not one of the issuer's.
    #[error("is signed with {0}, which its issuer is not configured for")]
    Algorithm(String),
    /// `typ` is of another kind of token.
    #[error("has the type {0:?}, which is no {1} token")]
    Type(String, &'static str),
    /// `crit` names extensions (RFC 7515 section 4.1.11); none are understood.
    #[error("demands extensions that are not understood (crit)")]
    Critical,
    /// No key of the issuer has this id.
    #[error("is signed with the key {0:?}, which its issuer does not have")]
    UnknownKey(String),
    /// The signature does not verify.
    #[error("has a signature that does not verify with the key {0:?}")]
    Signature(String),
    /// A claim that is needed is missing or has another type.
    #[error("has claims that cannot be read: {0}")]
    Claims(String),
    /// `iss` is another issuer.
    #[error("is from {found:?}, not from {expected:?}")]
    Issuer {
        /// `iss`.
        found: String,
        /// The issuer whose keys verified it.
        expected: String,
    },
    /// `aud` does not name this use.
    #[error("is for the audience {found:?}, not for {expected:?}")]
    Audience {
        /// `aud`.
        found: Vec<String>,
        /// The audience of this use.
        expected: String,
    },
    /// `azp` is another client.
    #[error("was issued to the client {0:?}")]
    AuthorizedParty(String),
    /// `exp` is over.
    #[error("expired at {0}, {1} s ago")]
    Expired(u64, u64),
    /// `nbf` or `iat` is still to come.
    #[error("is not valid before {0}: {1} is in the future")]
    Future(u64, &'static str),
    /// `nonce` is not the one that the login was started with.
    #[error("has another nonce than the login that was asked for")]
    Nonce,
    /// No `auth_time`, or one that is too old.
    #[error("does not prove a fresh login: {0}")]
    Stale(String),
    /// `acr` is not strong enough.
    #[error("proves a login of class {found:?}; one of {expected:?} is needed")]
    Acr {
        /// `acr`.
        found: String,
        /// Those that would do.
        expected: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    iat: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    auth_time: Option<u64>,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    #[serde(default)]
    name: Option<String>,
    /// Keycloak: `ID`, `Bearer`, `Refresh`, `Logout`.
    #[serde(default)]
    typ: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Reads the names of algorithms; `None` for one that is unknown, symmetric or none.
pub fn algorithms(names: &[String]) -> Option<Vec<Algorithm>> {
    let one = |name: &String| {
        let algorithm: Algorithm = name.parse().ok()?;
        let symmetric = matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
        (!symmetric).then_some(algorithm)
    };
    if names.is_empty() { None } else { names.iter().map(one).collect() }
}

/// When a token is good: `nbf`, `iat` and `exp` (RFC 7519 section 4.1), seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    not_before: u64,
    issued_at: u64,
    expires: u64,
}

impl Lifetime {
    /// Whether the token is good now, give or take [`LEEWAY_SECONDS`].
    ///
    /// # Errors
    /// [`Refusal::Expired`], [`Refusal::Future`].
    pub fn covers(&self, now: Micros) -> Result<(), Refusal> {
        let seconds = now / 1_000_000;
        if self.expires.saturating_add(LEEWAY_SECONDS) <= seconds {
            return Err(Refusal::Expired(self.expires, seconds - self.expires));
        }
        for (time, name) in [(self.not_before, "nbf"), (self.issued_at, "iat")] {
            if time > seconds.saturating_add(LEEWAY_SECONDS) {
                return Err(Refusal::Future(time, name));
            }
        }
        Ok(())
    }
}

/// Who a token's holder is.
///
/// # Errors
/// [`Refusal`].
pub fn verify(
    token: &str,
    keys: &JwkSet,
    rules: &IssuerRules,
    expected: &Expected<'_>,
    now: Micros,
) -> Result<Principal, Refusal> {
    verify_lasting(token, keys, rules, expected, now).map(|(principal, _)| principal)
}

/// Who a token's holder is, and for how long the token says so.
///
/// # Errors
/// [`Refusal`].
pub fn verify_lasting(
    token: &str,
    keys: &JwkSet,
    rules: &IssuerRules,
    expected: &Expected<'_>,
    now: Micros,
) -> Result<(Principal, Lifetime), Refusal> {
    if token.len() > ASSERTION_LEN_MAX {
        return Err(Refusal::Form(format!("longer than {ASSERTION_LEN_MAX} bytes")));
    }
    let (value, kid) = signed(token, keys, rules, expected.usage)?;
    let claims: Claims = Claims::deserialize(&value).map_err(|error| Refusal::Claims(error.to_string()))?;
    if claims.iss != rules.issuer {
        return Err(Refusal::Issuer { found: claims.iss, expected: rules.issuer.clone() });
    }
    if claims.sub.is_empty() {
        return Err(Refusal::Claims("sub is empty".into()));
    }
    let found = claims.aud.into_list();
    if !found.iter().any(|audience| audience == expected.audience) {
        return Err(Refusal::Audience { found, expected: expected.audience.to_owned() });
    }
    if expected.usage == Use::Login {
        match &claims.azp {
            Some(azp) if azp != expected.audience => return Err(Refusal::AuthorizedParty(azp.clone())),
            None if found.len() > 1 => return Err(Refusal::AuthorizedParty(String::new())),
            _ => {}
        }
    }
    let typ = claims.typ.as_deref();
    check_type(typ, expected.usage, &["id"], &["bearer"])?;
    let lifetime =
        Lifetime { not_before: claims.nbf.unwrap_or(0), issued_at: claims.iat, expires: claims.exp };
    lifetime.covers(now)?;
    if expected.nonce.is_some() && claims.nonce.as_deref() != expected.nonce {
        return Err(Refusal::Nonce);
    }
    let auth_time = fresh(claims.auth_time, expected.auth_time_min, now / 1_000_000)?;
    let acr = claims.acr.unwrap_or_default();
    if !expected.acr.is_empty() && !expected.acr.contains(&acr) {
        return Err(Refusal::Acr { found: acr, expected: expected.acr.to_vec() });
    }
    let (groups, groups_complete) = groups(&value, &rules.groups_claim);
    let principal = Principal {
        issuer: claims.iss,
        subject: claims.sub,
        name: claims.name.unwrap_or_default(),
        groups,
        groups_complete,
        acr,
        amr: claims.amr,
        auth_time,
        verified_by: kid,
    };
    Ok((principal, lifetime))
}

/// The claims of a token whose signature verifies, and the id of the key.
fn signed(token: &str, keys: &JwkSet, rules: &IssuerRules, usage: Use) -> Result<(Value, String), Refusal> {
    let header = header(token)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let algorithm = text("alg").parse::<Algorithm>().ok().filter(|one| rules.algorithms.contains(one));
    let algorithm = algorithm.ok_or_else(|| Refusal::Algorithm(text("alg").to_owned()))?;
    if header.contains_key("crit") {
        return Err(Refusal::Critical);
    }
    check_type(header.get("typ").and_then(Value::as_str), usage, &["jwt"], &["jwt", "at+jwt"])?;
    let kid = text("kid").to_owned();
    let key = keys.find(&kid).filter(|_| !kid.is_empty()).ok_or_else(|| Refusal::UnknownKey(kid.clone()))?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Refusal::UnknownKey(kid.clone()))?;
    let mut validation = Validation::new(algorithm);
    // Times and audiences are compared below, with the time that was given.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation);
    claims.map(|data| (data.claims, kid.clone())).map_err(|_| Refusal::Signature(kid))
}

fn header(token: &str) -> Result<serde_json::Map<String, Value>, Refusal> {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let form = |why: &str| Refusal::Form(why.to_owned());
    let parts: Vec<_> = token.split('.').collect();
    let [header, _, signature] = parts.as_slice() else { return Err(form("not three parts")) };
    if signature.is_empty() {
        return Err(Refusal::Algorithm("nothing".into()));
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(header).map_err(|_| form("its header is not base64url"))?;
    serde_json::from_slice(&bytes).map_err(|_| form("its header is not a JSON object"))
}

/// A type that is not said is no contradiction.
fn check_type(typ: Option<&str>, usage: Use, login: &[&str], call: &[&str]) -> Result<(), Refusal> {
    let (allowed, name) = match usage {
        Use::Login => (login, "ID"),
        Use::Call => (call, "access"),
    };
    match typ {
        Some(typ) if !allowed.contains(&typ.to_ascii_lowercase().as_str()) => {
            Err(Refusal::Type(typ.to_owned(), name))
        }
        _ => Ok(()),
    }
}

fn fresh(auth_time: Option<u64>, min: Option<Micros>, now: u64) -> Result<Option<Micros>, Refusal> {
    let micros = auth_time.map(|seconds| seconds.saturating_mul(1_000_000));
    if auth_time.is_some_and(|time| time > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(Refusal::Future(auth_time.unwrap_or_default(), "auth_time"));
    }
    let Some(min) = min else { return Ok(micros) };
    match micros {
        None => Err(Refusal::Stale("it does not say when the login was (auth_time)".into())),
        // Issuers state whole seconds.
        Some(time) if time / 1_000_000 < min / 1_000_000 => {
            Err(Refusal::Stale(format!("the login was {} s too early", min / 1_000_000 - time / 1_000_000)))
        }
        some => Ok(some),
    }
}

/// The groups, and whether that is all of them. No claim, a claim of another form, an overage claim (OpenID Connect
/// Core section 5.6.2; Entra above 200 groups) or a very long list: not complete.
fn groups(claims: &Value, name: &str) -> (Vec<String>, bool) {
    let overage = claims.get("_claim_names").and_then(|names| names.get(name)).is_some()
        || claims.get("hasgroups").and_then(Value::as_bool).unwrap_or(false);
    let Some(list) = claims.get(name).and_then(Value::as_array) else { return (Vec::new(), false) };
    let read: Vec<String> =
        list.iter().filter_map(Value::as_str).take(GROUPS_MAX).map(str::to_owned).collect();
    let complete = !overage && read.len() == list.len();
    (read, complete)
}

#[cfg(test)]
mod tests;
