//! The keys of an issuer: found by discovery (OpenID Connect Discovery 1.0 section 4), read as a JWK Set (RFC 7517), kept.
//!
//! A key that is not known is looked for again: one request at a time however many callers wait, and not more often than
//! every [`REFRESH_PAUSE`], so that tokens with invented key ids are no way to attack the issuer through this node.
//! Keys that were given once and for all (a file, the development issuer's own) are never asked for.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::jwk::JwkSet;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

use super::issuer::is_protected;

/// How long keys are used before the issuer is asked again: so long does a withdrawn key still verify.
pub const KEPT_FOR: Duration = Duration::from_secs(600);
/// Between two requests to one issuer.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_LEN_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 100;

/// Why an issuer's keys could not be had. Retryable.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the keys of {issuer} cannot be read: {why}")]
pub struct Unavailable {
    /// Whose.
    pub issuer: String,
    /// Why, in words.
    pub why: String,
}

/// The keys of one issuer.
pub enum Keys {
    /// Given once and for all.
    Given(Arc<JwkSet>),
    /// Asked for.
    Asked(Box<Asked>),
}

/// Keys that the issuer is asked for.
pub struct Asked {
    client: reqwest::Client,
    issuer: String,
    jwks_url: Option<String>,
    // Held while the issuer is asked: the others wait for that answer.
    cached: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    keys: Option<Arc<JwkSet>>,
    read_at: Option<Instant>,
    asked_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    /// Asks for nothing yet. `given`: all keys that there are.
    ///
    /// # Errors
    /// If the system's TLS cannot be set up.
    pub fn new(issuer: &str, jwks_url: Option<String>, given: Option<JwkSet>) -> Result<Self, Unavailable> {
        match given {
            Some(keys) => Ok(Self::Given(Arc::new(keys))),
            None => Ok(Self::Asked(Box::new(Asked::new(issuer, jwks_url)?))),
        }
    }

    /// The keys, asked for again if `kid` is not among them.
    ///
    /// # Errors
    /// [`Unavailable`] if there are none that are young enough.
    pub async fn with(&self, kid: &str) -> Result<Arc<JwkSet>, Unavailable> {
        match self {
            Self::Given(keys) => Ok(keys.clone()),
            Self::Asked(asked) => asked.with(kid).await,
        }
    }
}

impl Asked {
    /// Reads nothing yet. No redirect is ever followed.
    ///
    /// # Errors
    /// If the system's TLS cannot be set up.
    fn new(issuer: &str, jwks_url: Option<String>) -> Result<Self, Unavailable> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWER_WITHIN);
        let failed = |error: reqwest::Error| Unavailable { issuer: issuer.into(), why: error.to_string() };
        let client = builder.build().map_err(failed)?;
        Ok(Self { client, issuer: issuer.into(), jwks_url, cached: Mutex::default() })
    }

    async fn with(&self, kid: &str) -> Result<Arc<JwkSet>, Unavailable> {
        let mut cached = self.cached.lock().await;
        let young = |at: Option<Instant>, span| at.is_some_and(|at| at.elapsed() < span);
        let kept = cached.keys.clone().filter(|_| young(cached.read_at, KEPT_FOR));
        if let Some(keys) = &kept
            && (keys.find(kid).is_some() || young(cached.asked_at, REFRESH_PAUSE))
        {
            return Ok(keys.clone());
        }
        if kept.is_none() && young(cached.asked_at, REFRESH_PAUSE) {
            return Err(self.unavailable("it did not answer a moment ago"));
        }
        cached.asked_at = Some(Instant::now());
        match (self.read().await, kept) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                (cached.keys, cached.read_at) = (Some(keys.clone()), Some(Instant::now()));
                Ok(keys)
            }
            (Err(_), Some(kept)) => Ok(kept),
            (Err(error), None) => Err(error),
        }
    }

    async fn read(&self) -> Result<JwkSet, Unavailable> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let at = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
                let found: Discovered = self.get(&at).await?;
                if found.issuer != self.issuer {
                    return Err(self.unavailable(&format!("{at} is about {:?}", found.issuer)));
                }
                found.jwks_uri
            }
        };
        if !is_protected(&url) {
            return Err(self.unavailable(&format!("{url} is neither https nor http on loopback")));
        }
        let keys: JwkSet = self.get(&url).await?;
        if keys.keys.len() > KEYS_MAX {
            return Err(self.unavailable(&format!("more than {KEYS_MAX} keys")));
        }
        Ok(keys)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Unavailable> {
        let failed = |error: reqwest::Error| self.unavailable(&error.without_url().to_string());
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(self.unavailable(&format!("{url} answers {}", answer.status())));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > ANSWER_LEN_MAX {
                return Err(self.unavailable(&format!("{url} answers more than {ANSWER_LEN_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.unavailable(&format!("{url}: {error}")))
    }

    fn unavailable(&self, why: &str) -> Unavailable {
        Unavailable { issuer: self.issuer.clone(), why: why.into() }
    }
}
