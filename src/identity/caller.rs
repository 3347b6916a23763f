//! A bearer token -> who calls, and what that one may do.

use std::collections::BTreeSet;

use super::{
    assertion,
    certificates::Certificates,
    issuer::Issuer,
    jwks::{Keys, Unavailable},
    principal::{Principal, Role, roles},
    token::{Expected, Refusal, Use, verify},
};
use crate::event::Micros;

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
        Ok(Self { issuers, certificates })
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
        // What is read here is not believed: it chooses the keys that must verify it.
        let stated = assertion::issuer(token).unwrap_or_default();
        let found = self.issuers.iter().find(|(issuer, _)| issuer.rules.issuer == stated);
        let Some((issuer, keys)) = found else { return Err(Error::UnknownIssuer(stated)) };
        let keys = keys.with(&assertion::key_id(token).unwrap_or_default()).await?;
        let expected = Expected {
            usage: Use::Call,
            audience: &issuer.audience,
            nonce: None,
            auth_time_min: None,
            acr: &[],
        };
        let principal = verify(token, &keys, &issuer.rules, &expected, now)?;
        let roles = self.roles(&principal);
        Ok(Caller { principal, roles })
    }

    /// What somebody may do whose token or login was verified.
    pub fn roles(&self, principal: &Principal) -> BTreeSet<Role> {
        let issuer = self.issuers.iter().find(|(issuer, _)| issuer.rules.issuer == principal.issuer);
        let mapping = issuer.iter().flat_map(|(issuer, _)| &issuer.roles);
        roles(principal, mapping.map(|(role, holders)| (*role, holders.as_slice())))
    }
}
