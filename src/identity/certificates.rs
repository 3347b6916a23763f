//! A client certificate -> who calls: a service that the configuration names, and nobody else. Pure.
//!
//! The connection has proven before that an authority of the configuration vouches for the certificate and that the caller
//! holds its key. A name that is not mapped is nobody, whoever vouches for it.

use std::collections::BTreeSet;

use serde::Deserialize;
use webpki::EndEntityCert;

use super::{
    caller::Caller,
    principal::{Principal, Role},
};
use crate::event::{Digest, digest::sha256};

/// One service. Exactly one of `uri`, `dns` and `fingerprint` says which certificate it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A URI among the certificate's subject alternative names, for instance `spiffe://example.bank/pipeline/train`.
    pub uri: String,
    /// A DNS name among them; wildcards match nothing but themselves.
    pub dns: String,
    /// SHA-256 of the certificate (DER), 64 hexadecimal digits.
    pub fingerprint: String,
    /// Its name in events.
    pub subject: String,
    /// What it may do.
    pub roles: Vec<Role>,
}

/// Knows services by their certificates.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    issuer: String,
    services: Vec<Config>,
}

impl Config {
    fn problems(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let named = [&self.uri, &self.dns, &self.fingerprint].into_iter().filter(|name| !name.is_empty());
        if named.count() != 1 {
            problems.push(format!("{at} needs exactly one of uri, dns and fingerprint"));
        }
        if !self.fingerprint.is_empty() && Digest::from_hex(&self.fingerprint.to_lowercase()).is_none() {
            problems.push(format!(
                "{at}.fingerprint is not 64 hexadecimal digits: the SHA-256 of the certificate in DER"
            ));
        }
        if self.subject.is_empty() {
            problems.push(format!("{at}.subject is missing: the service's name in events"));
        }
        if self.roles.is_empty() {
            problems.push(format!("{at}.roles is empty: without a role it may call nothing"));
        }
        problems
    }

    fn same_certificate(&self, other: &Self) -> bool {
        (&self.uri, &self.dns) == (&other.uri, &other.dns)
            && self.fingerprint.eq_ignore_ascii_case(&other.fingerprint)
    }
}

impl Certificates {
    /// `issuer`: as which events name who vouches for these services.
    ///
    /// # Errors
    /// Every problem, with paths below `at`.
    pub fn new(issuer: &str, services: &[Config], at: &str) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        for (i, service) in services.iter().enumerate() {
            let at = format!("{at}[{i}]");
            problems.extend(service.problems(&at));
            if services.iter().take(i).any(|other| service.same_certificate(other)) {
                problems.push(format!("{at} names a certificate that stands above already"));
            }
        }
        match problems.is_empty() {
            true => Ok(Self { issuer: issuer.to_owned(), services: services.to_vec() }),
            false => Err(problems),
        }
    }

    /// Whose certificate this is, in DER.
    ///
    /// # Errors
    /// Why it is nobody's, in words that follow "the client certificate".
    pub fn caller(&self, der: &[u8]) -> Result<Caller, String> {
        let der_of = rustls_pki_types::CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der_of).map_err(|why| format!("cannot be read: {why}"))?;
        let fingerprint = sha256(der).to_string();
        let is = |service: &&Config| {
            (!service.uri.is_empty() && certificate.valid_uri_names().any(|name| name == service.uri))
                || (!service.dns.is_empty()
                    && certificate.valid_dns_names().any(|name| name.eq_ignore_ascii_case(&service.dns)))
                || service.fingerprint.eq_ignore_ascii_case(&fingerprint)
        };
        let mut found = self.services.iter().filter(is);
        let (service, another) = (found.next(), found.next());
        match (service, another) {
            (None, _) => {
                let names: Vec<_> =
                    certificate.valid_uri_names().chain(certificate.valid_dns_names()).collect();
                Err(format!("{fingerprint} ({}) is of nobody whom tls.identities names", names.join(", ")))
            }
            (Some(one), Some(other)) => Err(format!(
                "{fingerprint} is of two services that tls.identities names: {} and {}",
                one.subject, other.subject
            )),
            (Some(service), None) => Ok(Caller {
                principal: Principal {
                    issuer: self.issuer.clone(),
                    subject: service.subject.clone(),
                    name: String::new(),
                    groups: Vec::new(),
                    groups_complete: true,
                    acr: String::new(),
                    amr: vec!["swk".into()],
                    auth_time: None,
                    verified_by: format!("sha256:{fingerprint}"),
                },
                roles: service.roles.iter().copied().collect::<BTreeSet<_>>(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Config {
        Config {
            uri: name.into(),
            subject: "svc-train".into(),
            roles: vec![Role::Emitter],
            ..Config::default()
        }
    }

    #[test]
    fn what_is_wrong_with_the_table_is_said_all_at_once() {
        let both = Config { dns: "train.example.bank".into(), ..service("spiffe://example.bank/train") };
        let short = Config { fingerprint: "5f3a".into(), ..service("") };
        let nobody = Config { subject: String::new(), roles: Vec::new(), ..service("spiffe://a/b") };
        let table = [both, short, nobody, service("spiffe://x/y"), service("spiffe://x/y")];
        let problems = Certificates::new("https://pki", &table, "tls.identities").expect_err("problems");
        for (at, words) in [
            ("[0]", "exactly one"),
            ("[1].fingerprint", "64 hexadecimal"),
            ("[2].subject", "missing"),
            ("[2].roles", "empty"),
            ("[4]", "stands above already"),
        ] {
            let said = |problem: &String| {
                problem.starts_with(&format!("tls.identities{at}")) && problem.contains(words)
            };
            assert!(problems.iter().any(said), "{at} {words}: {problems:?}");
        }
        assert_eq!(problems.len(), 5, "{problems:?}");
    }

    #[test]
    fn bytes_that_are_no_certificate_are_nobodys() {
        let known = Certificates::new("https://pki", &[service("spiffe://a/b")], "t").expect("a table");
        assert!(known.caller(b"not a certificate").expect_err("nobody").contains("cannot be read"));
    }
}
