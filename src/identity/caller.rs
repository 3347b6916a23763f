//! A bearer token -> who calls, and what that one may do.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use jsonwebtoken::jwk::JwkSet;

use super::{
    assertion,
    certificates::Certificates,
    issuer::Issuer,
    jwks::{Keys, Unavailable},
    principal::{Principal, Role, roles},
    token::{Expected, Lifetime, Refusal, Use, verify_lasting},
};
use crate::event::{Digest, Micros, digest::sha256};

/// Verified tokens that are kept in memory.
const VERIFIED_MAX: usize = 10_000;

/// Somebody who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// What that one may do.
    pub roles: BTreeSet<Role>,
}

/// Why nobody is known to call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token.
    #[error("the token {0}")]
    Refused(#[from] Refusal),
    /// No configured issuer.
    #[error("the token is from {0:?}, which is no configured issuer")]
    UnknownIssuer(String),
    /// Retryable.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
}

/// Knows callers by the tokens of the configured issuers, and services by their client certificates.
pub struct Callers {
    issuers: Vec<(Issuer, Keys)>,
    certificates: Certificates,
    // By the SHA-256 of the whole token: who calls all day with one token is verified once, not for each call.
    verified: Mutex<HashMap<Digest, Verified>>,
}

/// A caller whose token was verified.
#[derive(Clone)]
struct Verified {
    caller: Caller,
    lifetime: Lifetime,
    // Whose keys, and which: another set of them may lack the key.
    issuer: usize,
    keys: Arc<JwkSet>,
}

impl Callers {
    /// Asks no issuer anything yet.
    ///
    /// # Errors
    /// If the system's TLS cannot be set up.
    pub fn new(issuers: Vec<Issuer>, certificates: Certificates) -> Result<Self, Unavailable> {
        let keys = |mut issuer: Issuer| {
            let given = issuer.keys.take();
            let keys = Keys::new(&issuer.rules.issuer, issuer.jwks_url.clone(), given)?;
            Ok((issuer, keys))
        };
        let issuers = issuers.into_iter().map(keys).collect::<Result<_, _>>()?;
        Ok(Self { issuers, certificates, verified: Mutex::default() })
    }

    /// Which service's certificate this is, in DER; the connection has verified it.
    ///
    /// # Errors
    /// Why it is nobody's, in words that follow "the client certificate".
    pub fn by_certificate(&self, der: &[u8]) -> Result<Caller, String> {
        self.certificates.caller(der)
    }

    /// Whose access token this is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn authenticate(&self, token: &str, now: Micros) -> Result<Caller, Error> {
        let digest = sha256(token.as_bytes());
        if let Some(known) = self.known(&digest)
            && let Some((_, keys)) = self.issuers.get(known.issuer)
            && Arc::ptr_eq(&keys.with(&known.caller.principal.verified_by).await?, &known.keys)
        {
            known.lifetime.covers(now)?;
            return Ok(known.caller);
        }
        let verified = self.verify(token, now).await?;
        let caller = verified.caller.clone();
        let mut all = self.verified.lock().expect("no code panics while holding this lock");
        if all.len() >= VERIFIED_MAX {
            all.clear();
        }
        all.insert(digest, verified);
        Ok(caller)
    }

    fn known(&self, token: &Digest) -> Option<Verified> {
        self.verified.lock().expect("no code panics while holding this lock").get(token).cloned()
    }

    async fn verify(&self, token: &str, now: Micros) -> Result<Verified, Error> {
        // What is read here is not believed: it chooses the keys that must verify it.
        let stated = assertion::issuer(token).unwrap_or_default();
        let found = self.issuers.iter().enumerate().find(|(_, (issuer, _))| issuer.rules.issuer == stated);
        let Some((n, (issuer, keys))) = found else { return Err(Error::UnknownIssuer(stated)) };
        let keys = keys.with(&assertion::key_id(token).unwrap_or_default()).await?;
        let expected = Expected {
            usage: Use::Call,
            audience: &issuer.audience,
            nonce: None,
            auth_time_min: None,
            acr: &[],
        };
        let (principal, lifetime) = verify_lasting(token, &keys, &issuer.rules, &expected, now)?;
        let roles = self.roles(&principal);
        Ok(Verified { caller: Caller { principal, roles }, lifetime, issuer: n, keys })
    }

    /// What somebody may do whose token or login was verified.
    pub fn roles(&self, principal: &Principal) -> BTreeSet<Role> {
        let issuer = self.issuers.iter().find(|(issuer, _)| issuer.rules.issuer == principal.issuer);
        let mapping = issuer.iter().flat_map(|(issuer, _)| &issuer.roles);
        roles(principal, mapping.map(|(role, holders)| (*role, holders.as_slice())))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::identity::development::{Config, Development, Somebody};

    const NOW: Micros = 1_800_000_000_000_000;

    fn issuer(seed: u8) -> Development {
        let config = Config { issuer: "http://127.0.0.1:7421/development".into(), people: Vec::new() };
        Development::new(&config, &SigningKey::from_bytes(&[seed; 32])).unwrap()
    }

    fn token(issuer: &Development) -> String {
        let roles = vec![Role::Auditor];
        let somebody = Somebody { subject: "u-1".into(), name: String::new(), groups: Vec::new(), roles };
        issuer.access_token(&somebody, NOW, 3600).unwrap()
    }

    /// A token that was verified once is no longer good when its time is over, and vouches for no other token.
    #[tokio::test]
    async fn a_known_token_ends_with_its_time_and_vouches_for_no_other() {
        let callers = Callers::new(vec![issuer(3).callers()], Certificates::default()).unwrap();
        let good = token(&issuer(3));
        let seconds = |n: u64| NOW + n * 1_000_000;
        for now in [NOW, seconds(1), seconds(3600)] {
            let caller = callers.authenticate(&good, now).await.unwrap();
            assert_eq!(caller.principal.subject, "u-1");
            assert_eq!(caller.roles, BTreeSet::from([Role::Auditor]));
            assert!(callers.known(&sha256(good.as_bytes())).is_some());
        }
        let late = callers.authenticate(&good, seconds(3700)).await;
        assert!(matches!(late, Err(Error::Refused(Refusal::Expired(_, 100)))), "{late:?}");
        let early = callers.authenticate(&good, NOW - 100_000_000).await;
        assert!(matches!(early, Err(Error::Refused(Refusal::Future(..)))), "{early:?}");
        // The same header and claims, signed by somebody else.
        let forged = token(&issuer(4));
        let (claims, _) = good.rsplit_once('.').unwrap();
        let (_, signature) = forged.rsplit_once('.').unwrap();
        let forged = format!("{claims}.{signature}");
        let refused = callers.authenticate(&forged, NOW).await;
        assert!(matches!(refused, Err(Error::Refused(Refusal::Signature(_)))), "{refused:?}");
        assert!(callers.known(&sha256(forged.as_bytes())).is_none());
    }
}
