//! `[notify]`: who is told of what, and how.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::Deserialize;

use super::message::EVENTS;

/// Who is told. Leave it out to tell nobody. With several nodes, configure it on one, or let receivers drop messages
/// whose id they know.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How this node's pages are reached, for links in messages, for instance `https://ledger.example.bank`.
    pub public_url: String,
    /// PEM of a certificate authority that receivers' certificates may come from, beside the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Hours before a review's time is over at which those who are asked are reminded.
    pub remind_hours: u64,
    /// Receivers over HTTP.
    pub webhooks: Vec<Webhook>,
    /// Mail.
    pub smtp: Option<Smtp>,
}

/// One receiver over HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Names it in log lines, alerts and the file of its cursor: letters, digits, `-`.
    pub name: String,
    /// Where messages are posted. `https`, or `http` on loopback.
    pub url: String,
    /// File with the shared secret, mode 0600: `whsec_` and 24 to 64 bytes in base64, as Standard Webhooks has it.
    pub secret_file: PathBuf,
    /// Which messages; none named: all.
    #[serde(default)]
    pub events: Vec<String>,
}

/// Mail by way of one server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The server.
    pub host: String,
    /// Its port: 587 with `starttls`, 465 with `tls`.
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// User; empty: no login.
    #[serde(default)]
    pub username: String,
    /// File with the password, mode 0600.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Sender, for instance `Promotion ledger <ledger@example.bank>`.
    pub from: String,
    /// Who gets every message.
    #[serde(default)]
    pub to: Vec<String>,
    /// Who gets messages that ask a group, by the group's name.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Which messages; none named: all.
    #[serde(default)]
    pub events: Vec<String>,
}

/// How a mail connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Starts in clear and must become TLS (RFC 3207).
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// In clear: loopback only.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self { public_url: String::new(), ca_file: None, remind_hours: 24, webhooks: Vec::new(), smtp: None }
    }
}

impl Config {
    /// Everything that is wrong, with the setting's path.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut names: Vec<_> = self.webhooks.iter().map(|webhook| &webhook.name).collect();
        names.sort();
        for pair in names.windows(2).filter(|pair| pair.first() == pair.last()) {
            problems.push(format!("notify.webhooks: two have the name {:?}", pair.first().map_or("", |n| n)));
        }
        if !self.public_url.is_empty() && !self.public_url.starts_with("http") {
            problems
                .push(format!("notify.public_url = {:?} is not an http or https address", self.public_url));
        }
        for (i, webhook) in self.webhooks.iter().enumerate() {
            let at = format!("notify.webhooks[{i}]");
            let named = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if webhook.name.is_empty() || webhook.name == "mail" || !webhook.name.chars().all(named) {
                problems.push(format!(
                    "{at}.name = {:?}: use letters, digits and -; mail is taken",
                    webhook.name
                ));
            }
            if let Some(problem) = url_problem(&webhook.url) {
                problems.push(format!("{at}.url {problem}"));
            }
            problems.extend(events_problem(&webhook.events).map(|problem| format!("{at}.events {problem}")));
        }
        if let Some(smtp) = &self.smtp {
            if smtp.tls == Tls::None && !is_loopback(&smtp.host) {
                problems.push(format!("notify.smtp.tls = \"none\", but {} is not this machine", smtp.host));
            }
            if smtp.username.is_empty() != smtp.password_file.is_none() {
                problems.push("notify.smtp needs username and password_file together".into());
            }
            if smtp.to.is_empty() && smtp.groups.is_empty() {
                problems
                    .push("notify.smtp.to and notify.smtp.groups are empty: nobody would get mail".into());
            }
            for address in smtp.to.iter().chain(smtp.groups.values().flatten()).chain([&smtp.from]) {
                if let Err(error) = address.parse::<lettre::message::Mailbox>() {
                    problems.push(format!("notify.smtp: {address:?} is not a mail address: {error}"));
                }
            }
            problems
                .extend(events_problem(&smtp.events).map(|problem| format!("notify.smtp.events {problem}")));
        }
        problems
    }
}

fn events_problem(events: &[String]) -> Option<String> {
    let unknown = events.iter().find(|event| !EVENTS.contains(&event.as_str()))?;
    Some(format!("names {unknown:?}; known are {}", EVENTS.join(", ")))
}

/// A secret over plain HTTP would still be safe (it only signs), but what is told would not.
fn url_problem(url: &str) -> Option<String> {
    let Ok(parsed) = reqwest::Url::parse(url) else { return Some(format!("= {url:?} is not an address")) };
    let host = parsed.host_str().unwrap_or_default();
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Some("carries credentials; receivers check the signature instead".into());
    }
    match parsed.scheme() {
        "https" => None,
        "http" if is_loopback(host) => None,
        _ => Some(format!("= {url:?} is neither https nor on this machine")),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_named_at_once() {
        let webhook = |name: &str, url: &str| Webhook {
            name: name.into(),
            url: url.into(),
            secret_file: "s".into(),
            events: vec!["nothing".into()],
        };
        let smtp = Smtp {
            host: "mail.example.bank".into(),
            port: 25,
            tls: Tls::None,
            username: "u".into(),
            password_file: None,
            from: "nobody".into(),
            to: vec![],
            groups: BTreeMap::new(),
            events: vec![],
        };
        let config = Config {
            public_url: "ftp://x".into(),
            ca_file: None,
            remind_hours: 24,
            webhooks: vec![webhook("a/b", "http://example.org/"), webhook("a/b", "https://u:p@example.org/")],
            smtp: Some(smtp),
        };
        let problems = config.problems();
        let expected = [
            "two have the name",
            "public_url",
            "[0].name",
            "[0].url",
            "[0].events",
            "[1].url",
            "not this machine",
            "together",
            "nobody would",
            "not a mail address",
        ];
        for words in expected {
            assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:#?}");
        }
        assert_eq!(Config::default().problems(), Vec::<String>::new());
    }
}
