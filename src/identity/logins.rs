//! Where people log in to decide: the issuers of a configuration, and their keys.
//!
//! Whoever verified a login also gets what must be recorded of its issuer ([`Verified::keys`]), so that the same login can be
//! verified again from the ledger alone, years later.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::event::{Micros, proto::IssuerKeys};

use super::{
    assertion,
    code_flow::{self, Client},
    development::{self, Development},
    issuer::keys_in,
    jwks::{Keys, Unavailable},
    principal::Principal,
    token::{self, Expected, IssuerRules, Refusal, Use},
};

/// How long what an issuer says of its endpoints is believed.
const ENDPOINTS_KEPT_FOR: Duration = Duration::from_secs(600);

/// An issuer, as the configuration states it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// `iss` of its tokens, and where its discovery document is.
    pub issuer: String,
    /// The client as which approvers log in: the audience of their ID tokens.
    pub client_id: String,
    /// The client's secret, where it has one; relative to the node's directory. Without: a public client, PKCE alone.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// What a login asks for; `openid` must be among it.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// What its tokens may be signed with.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// The claim that holds groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Login classes of which one is needed; empty: any.
    #[serde(default)]
    pub acr: Vec<String>,
    /// Its keys (JWK set, RFC 7517), instead of asking the issuer; relative to the node's directory.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
}

fn algorithms() -> Vec<String> {
    ["RS256", "ES256"].map(str::to_owned).to_vec()
}

fn scopes() -> Vec<String> {
    ["openid", "profile"].map(str::to_owned).to_vec()
}

fn groups_claim() -> String {
    "groups".into()
}

/// All issuers of a node.
#[derive(Default)]
pub struct Logins(Vec<Issuer>);

struct Issuer {
    rules: IssuerRules,
    client_id: String,
    client_secret: Option<String>,
    scopes: Vec<String>,
    // Held while the issuer is asked: the others wait for that answer.
    client: Mutex<Option<(Arc<Client>, Instant)>>,
    acr: Vec<String>,
    // Its key is its name: nothing else is recorded of it.
    development: bool,
    keys: Keys,
}

/// What a login must be.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What it must commit to; `None` for a service, whose token commits to nothing.
    pub nonce: Option<&'a str>,
    /// It may not have been earlier, microseconds.
    pub after: Option<Micros>,
    /// When its token must have been good, microseconds.
    pub at: Micros,
}

/// A login that holds.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who.
    pub principal: Principal,
    /// What the ledger must have recorded of the issuer; `None` for the development issuer, whose key is its name.
    pub keys: Option<IssuerKeys>,
}

/// Why a login does not count.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The token.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// No configured issuer.
    #[error("is from {0:?}, which is no issuer of this node ([[logins]])")]
    UnknownIssuer(String),
    /// Retryable.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
}

impl Logins {
    /// The issuers of a configuration, and the development issuer if there is one; `secret` reads a file that only its
    /// owner may read.
    ///
    /// # Errors
    /// In words: an algorithm that is none, a file that cannot be read.
    pub fn new(
        dir: &Path,
        configured: &[LoginConfig],
        development: Option<&Development>,
        secret: impl Fn(&Path) -> Result<String, String>,
    ) -> Result<Self, String> {
        let read = |config| Issuer::read(dir, config, &secret);
        let mut issuers = configured.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if let Some(development) = development {
            let keys = Keys::new(&development.issuer, None, Some(development.keys()));
            issuers.push(Issuer {
                rules: development::rules(&development.issuer),
                client_id: development::CLIENT_ID.into(),
                client_secret: None,
                scopes: scopes(),
                client: Mutex::default(),
                acr: Vec::new(),
                development: true,
                keys: keys.map_err(|error| error.to_string())?,
            });
        }
        Ok(Self(issuers))
    }

    /// Issuers, and the client as which people log in at each.
    pub fn clients(&self) -> impl Iterator<Item = (&str, &str)> {
        // Nobody is offered a login that proves nothing where there is one that does.
        let offered = self.0.iter().filter(|issuer| !issuer.development || self.0.len() == 1);
        offered.map(|issuer| (issuer.rules.issuer.as_str(), issuer.client_id.as_str()))
    }

    /// The client of an issuer, as its discovery document describes it. `own`: where this node's own issuer is, whatever
    /// name its tokens bear.
    ///
    /// # Errors
    /// Of [`Client::discover`]; unavailable if no such issuer is configured.
    pub async fn client(&self, issuer: &str, own: &str) -> Result<Arc<Client>, code_flow::Error> {
        let found = self.0.iter().find(|known| known.rules.issuer == issuer);
        let found = found.ok_or_else(|| code_flow::Error::Unavailable {
            issuer: issuer.to_owned(),
            why: "this node has no such issuer configured ([[logins]])".into(),
        })?;
        let mut kept = found.client.lock().await;
        if let Some((client, since)) = kept.as_ref()
            && since.elapsed() < ENDPOINTS_KEPT_FOR
        {
            return Ok(client.clone());
        }
        let at = if found.development { format!("{own}{}", development::PATH) } else { issuer.to_owned() };
        let secret = found.client_secret.clone();
        let client = Client::discover(issuer, &at, &found.client_id, secret, &found.scopes).await?;
        let client = Arc::new(client);
        *kept = Some((client.clone(), Instant::now()));
        Ok(client)
    }

    /// Who logged in, and that the login is the one that was asked for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn verify(&self, id_token: &str, asked: Asked<'_>) -> Result<Verified, Error> {
        // Unverified, to choose whose keys are asked; verify compares it with the issuer of those keys.
        let stated = assertion::issuer(id_token).unwrap_or_default();
        let issuer = self.0.iter().find(|issuer| issuer.rules.issuer == stated);
        let issuer = issuer.ok_or(Error::UnknownIssuer(stated))?;
        let expected = Expected {
            usage: Use::Login,
            audience: &issuer.client_id,
            nonce: asked.nonce,
            auth_time_min: asked.after,
            acr: &issuer.acr,
        };
        let keys = issuer.keys.with(&assertion::key_id(id_token).unwrap_or_default()).await?;
        let principal = token::verify(id_token, &keys, &issuer.rules, &expected, asked.at)?;
        let keys = issuer.recorded(&keys, &principal.verified_by);
        Ok(Verified { principal, keys })
    }
}

impl Issuer {
    fn read(
        dir: &Path,
        config: &LoginConfig,
        secret: &impl Fn(&Path) -> Result<String, String>,
    ) -> Result<Self, String> {
        let at = |why: String| format!("logins: {}: {why}", config.issuer);
        let algorithms = token::algorithms(&config.algorithms)
            .ok_or_else(|| at("algorithms names one that is unknown, symmetric or none".into()))?;
        let given = config.keys_file.as_ref().map(|file| keys_in(&dir.join(file))).transpose().map_err(at)?;
        let client_secret = config.client_secret_file.as_ref().map(|file| secret(&dir.join(file)));
        let client_secret = client_secret.transpose().map_err(at)?;
        if !config.scopes.iter().any(|scope| scope == "openid") {
            return Err(at("scopes lacks openid, so that no login would give an ID token".into()));
        }
        let (issuer, groups_claim) = (config.issuer.clone(), config.groups_claim.clone());
        Ok(Self {
            keys: Keys::new(&issuer, None, given).map_err(|error| error.to_string())?,
            rules: IssuerRules { issuer, algorithms, groups_claim },
            client_id: config.client_id.clone(),
            client_secret,
            scopes: config.scopes.clone(),
            client: Mutex::default(),
            acr: config.acr.clone(),
            development: false,
        })
    }

    /// What must be recorded of the key that verified a login.
    fn recorded(&self, keys: &JwkSet, kid: &str) -> Option<IssuerKeys> {
        if self.development {
            return None;
        }
        let names = self.rules.algorithms.iter().map(|algorithm| format!("{algorithm:?}"));
        Some(IssuerKeys {
            issuer: self.rules.issuer.clone(),
            audience: self.client_id.clone(),
            algorithms: names.collect(),
            groups_claim: self.rules.groups_claim.clone(),
            key_id: kid.to_owned(),
            jwk: serde_json::to_vec(keys.find(kid)?).ok()?,
        })
    }
}
