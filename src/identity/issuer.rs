//! An issuer in the configuration: whose tokens are believed, for what, and which roles their holders have.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;

use super::{
    principal::{Holder, Role},
    token::{IssuerRules, algorithms},
};

/// `[[identity.issuers]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Issuer identifier: `iss` of its tokens, compared byte by byte. https, or http on loopback.
    pub url: String,
    /// What `aud` of an access token must name to be accepted by this API. Never the client id of approvers' logins: those
    /// tokens are stored.
    pub audience: String,
    /// What its tokens may be signed with; asymmetric ones only.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// The claim that holds groups.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// Where its keys are; absent: what its discovery document says.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Its keys (JWK set) in a file, relative to the node's directory, instead of asking for them: then callers are known
    /// while the issuer is away, in an emergency for instance.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
    /// Who has which role: `group:NAME` or `subject:SUB`. Nobody else has one.
    #[serde(default)]
    pub roles: BTreeMap<Role, Vec<String>>,
}

fn default_algorithms() -> Vec<String> {
    vec!["RS256".into()]
}

fn default_groups_claim() -> String {
    "groups".into()
}

/// An issuer as it is used: everything read and checked.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// What is pinned.
    pub rules: IssuerRules,
    /// What access tokens must be for.
    pub audience: String,
    /// Who has which role.
    pub roles: Vec<(Role, Vec<Holder>)>,
    /// Where its keys are, if the configuration says.
    pub jwks_url: Option<String>,
    /// All its keys, if they are never asked for.
    pub keys: Option<JwkSet>,
}

impl Config {
    /// The issuer, or every problem of it; `at` is the path of the section, `dir` the node's directory.
    ///
    /// # Errors
    /// Problems in words, each with its path.
    pub fn read(&self, dir: &Path, at: &str) -> Result<Issuer, Vec<String>> {
        let mut problems = Vec::new();
        for (name, url) in [("url", Some(&self.url)), ("jwks_url", self.jwks_url.as_ref())] {
            if url.is_some_and(|url| !is_protected(url)) {
                problems.push(format!("{at}.{name} is neither https nor http on loopback"));
            }
        }
        if self.audience.is_empty() {
            problems.push(format!("{at}.audience is empty; any token of the issuer would do"));
        }
        let algorithms = algorithms(&self.algorithms).unwrap_or_default();
        if algorithms.is_empty() {
            problems.push(format!(
                "{at}.algorithms = {:?}: name asymmetric ones such as RS256, PS256, ES256, EdDSA",
                self.algorithms
            ));
        }
        let mut roles = Vec::new();
        for (role, holders) in &self.roles {
            let read: Option<Vec<_>> = holders.iter().map(|holder| Holder::parse(holder)).collect();
            match read {
                Some(read) => roles.push((*role, read)),
                None => {
                    problems.push(format!("{at}.roles.{}: each is group:NAME or subject:SUB", role.name()))
                }
            }
        }
        let keys = self.keys_file.as_ref().map(|file| keys_in(&dir.join(file)));
        let keys = match keys {
            Some(Err(why)) => {
                problems.push(format!("{at}.keys_file: {why}"));
                None
            }
            keys => keys.and_then(Result::ok),
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let (issuer, groups_claim) = (self.url.clone(), self.groups_claim.clone());
        let rules = IssuerRules { issuer, algorithms, groups_claim };
        let (audience, jwks_url) = (self.audience.clone(), self.jwks_url.clone());
        Ok(Issuer { rules, audience, roles, jwks_url, keys })
    }
}

/// An issuer's keys in a file (JWK set, RFC 7517).
///
/// # Errors
/// In words, with the file's name.
pub fn keys_in(path: &Path) -> Result<JwkSet, String> {
    let failed = |why: String| format!("{}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

/// Whether nobody on the way can exchange what is read from a URL: https, or http to this machine.
pub fn is_protected(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_only_where_nobody_can_exchange_them() {
        for good in [
            "https://idp.example.bank/realms/a",
            "http://127.0.0.1:1/x",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert!(is_protected(good), "{good}");
        }
        for bad in [
            "http://idp.example.bank",
            "http://127.0.0.1.evil.example",
            "file:///keys",
            "https://a:b@idp.example.bank",
            "",
        ] {
            assert!(!is_protected(bad), "{bad}");
        }
    }

    #[test]
    fn every_problem_of_an_issuer_is_named_at_once() {
        let config = Config {
            url: "http://idp.example.bank".into(),
            audience: String::new(),
            algorithms: vec!["HS256".into()],
            groups_claim: "groups".into(),
            jwks_url: None,
            keys_file: None,
            roles: [(Role::Gate, vec!["everybody".into()])].into(),
        };
        let problems = config.read(Path::new("."), "identity.issuers[0]").expect_err("a bad issuer");
        let named = |field: &str| problems.iter().any(|problem| problem.contains(field));
        assert!(["url", "audience", "algorithms", "roles.gate"].into_iter().all(named), "{problems:?}");
    }
}
