//! Whose tokens and logins are believed.

use std::{net::SocketAddr, path::Path};

use serde::Deserialize;

use super::{Error, Profile};
use crate::identity::{
    development,
    issuer::{self, Issuer},
    logins::LoginConfig,
};

/// Identity providers of callers, and how people's approvals may come. Whoever has no token of one of them calls nothing
/// but the health check, checkpoints and tiles.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// One section for each.
    pub issuers: Vec<issuer::Config>,
    /// An issuer of this node's own, for development: it proves nothing.
    pub development: Option<development::Config>,
    /// Whether a promotion may bring people's approvals with it.
    pub embedded_approvals: EmbeddedApprovals,
}

/// Approvals of people inside a promotion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddedApprovals {
    /// People decide in reviews, where what they approve was sealed before and shown to them.
    #[default]
    Refused,
    /// Their logins are verified, and commit to the promotion; what they were shown is the workflow tool's to prove.
    Verified,
}

impl IdentityConfig {
    /// The issuers whose access tokens are believed; `dir`: the node's directory.
    ///
    /// # Errors
    /// [`Error::Invalid`], with every problem.
    pub fn issuers(&self, dir: &Path) -> Result<Vec<Issuer>, Error> {
        let (mut issuers, mut problems) = (Vec::<Issuer>::new(), Vec::new());
        for (i, config) in self.issuers.iter().enumerate() {
            match config.read(dir, &format!("identity.issuers[{i}]")) {
                Ok(issuer) if issuers.iter().any(|other| other.rules.issuer == issuer.rules.issuer) => {
                    problems.push(format!("identity.issuers[{i}].url is there twice"));
                }
                Ok(issuer) => issuers.push(issuer),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(issuers) } else { Err(Error::Invalid(problems)) }
    }

    /// What does not go together. `listens`: the node's addresses.
    pub fn problems(
        &self,
        dir: &Path,
        profile: Profile,
        logins: &[LoginConfig],
        listens: &[SocketAddr],
    ) -> Vec<String> {
        let mut problems = match self.issuers(dir) {
            Err(Error::Invalid(found)) => found,
            _ => Vec::new(),
        };
        for (i, login) in logins.iter().enumerate() {
            let same =
                |issuer: &&issuer::Config| issuer.url == login.issuer && issuer.audience == login.client_id;
            if self.issuers.iter().any(|issuer| same(&issuer)) {
                problems.push(format!(
                    "logins[{i}].client_id is the audience of identity.issuers too: logins are stored, and would then open this API"
                ));
            }
            if !issuer::is_protected(&login.issuer) && login.keys_file.is_none() {
                problems.push(format!("logins[{i}].issuer is neither https nor http on loopback"));
            }
            if logins.iter().take(i).any(|other| other.issuer == login.issuer) {
                problems.push(format!("logins[{i}].issuer is there twice"));
            }
        }
        if profile == Profile::Production && self.embedded_approvals == EmbeddedApprovals::Verified {
            problems.push(
                "profile is production, but identity.embedded_approvals = \"verified\" lets people approve what no review sealed".into(),
            );
        }
        if let Some(development) = &self.development {
            problems.extend(self.development_problems(development, profile, logins, listens));
        }
        problems
    }

    fn development_problems(
        &self,
        development: &development::Config,
        profile: Profile,
        logins: &[LoginConfig],
        listens: &[SocketAddr],
    ) -> Vec<String> {
        let at = "identity.development";
        let mut problems = Vec::new();
        if profile == Profile::Production {
            problems.push(format!(
                "profile is production, but {at} lets whoever reads keys/development.pem be anybody: take the section out and name an identity provider in identity.issuers and logins"
            ));
        }
        if let Some(listen) = listens.iter().find(|listen| !listen.ip().is_loopback()) {
            problems.push(format!(
                "{at} is for this machine only, but the node listens on {listen}: take the section out and name an identity provider in identity.issuers and logins"
            ));
        }
        if !issuer::is_protected(&development.issuer) {
            problems.push(format!("{at}.issuer is neither https nor http on loopback"));
        }
        let known = self.issuers.iter().any(|issuer| issuer.url == development.issuer)
            || logins.iter().any(|login| login.issuer == development.issuer);
        if known {
            problems.push(format!("{at}.issuer is that of another issuer too"));
        }
        for (i, person) in development.people.iter().enumerate() {
            let twice = development.people.iter().take(i).any(|other| other.subject == person.subject);
            if person.subject.is_empty() || twice {
                problems.push(format!("{at}.people[{i}].subject is missing or there twice"));
            }
        }
        problems
    }
}
