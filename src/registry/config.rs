//! `[[registries]]`: model registries that follow the ledger.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::{
    event::{
        proto::SlotRole,
        text::{name_problem, uri_problem},
    },
    evidence::s3,
};

/// One MLflow registry. With several nodes, configure it on one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names it in log lines, alerts, its cursor's file and the webhook's address: letters, digits, `-`.
    pub name: String,
    /// The registry, as promotions name it, for instance `mlflow://registry.example.bank`.
    pub uri: String,
    /// Address of the MLflow server. `https`, or `http` on loopback or without credentials.
    pub url: String,
    /// File with a bearer token, mode 0600.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// User, for basic authentication.
    #[serde(default)]
    pub username: String,
    /// File with the user's password, mode 0600.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File with the secret of MLflow's webhook, mode 0600; absent: none is taken.
    #[serde(default)]
    pub webhook_secret_file: Option<PathBuf>,
    /// Minutes between two sweeps.
    #[serde(default = "sweep_minutes")]
    pub sweep_minutes: u64,
    /// Buckets that hold files of versions, where MLflow names them as `s3://…`: the sweep reads them itself.
    #[serde(default)]
    pub s3: Vec<s3::Settings>,
    /// Which alias stands for which slots; promotions into other slots do not reach the registry.
    pub targets: Vec<Target>,
}

/// Slots of every model, and the alias that their current version has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Environment of the slots.
    pub environment: String,
    /// Region of the slots.
    #[serde(default)]
    pub region: String,
    /// Role of the slots.
    #[serde(default = "champion")]
    pub role: String,
    /// The alias.
    pub alias: String,
}

const fn sweep_minutes() -> u64 {
    60
}

fn champion() -> String {
    "champion".into()
}

impl Target {
    /// Number of the role; `None`: no such role.
    pub fn role(&self) -> Option<i32> {
        let name = format!("SLOT_ROLE_{}", self.role.to_uppercase());
        let role = SlotRole::from_str_name(&name).filter(|role| *role != SlotRole::Unspecified);
        role.map(i32::from)
    }
}

impl Config {
    /// Everything that is wrong, with the setting's path.
    pub fn problems(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, why: String| problems.push(format!("{at}.{field} {why}"));
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(named) {
            wrong("name", format!("= {:?}: use letters, digits and -", self.name));
        }
        if let Some(why) = uri_problem(&self.uri) {
            wrong("uri", why);
        }
        if self.token_file.is_some() && self.password_file.is_some() {
            wrong("token_file", "and password_file: give one of them".into());
        }
        if self.username.is_empty() == self.password_file.is_some() {
            wrong("username", "and password_file are needed together".into());
        }
        let secret = self.token_file.is_some() || self.password_file.is_some();
        if let Some(why) = url_problem(&self.url, secret) {
            wrong("url", why);
        }
        if self.sweep_minutes == 0 {
            wrong("sweep_minutes", "is 0".into());
        }
        for (i, bucket) in self.s3.iter().enumerate() {
            let section = format!("s3[{i}]");
            for problem in bucket.problems(&section) {
                let (field, why) = problem.split_once(' ').unwrap_or((&section, &problem));
                wrong(field, why.to_owned());
            }
        }
        if self.targets.is_empty() {
            wrong("targets", "is empty: name the slots whose current version has an alias".into());
        }
        let (mut slots, mut aliases) = (BTreeSet::new(), BTreeSet::new());
        for (i, target) in self.targets.iter().enumerate() {
            let mut wrong = |field: &str, why: String| wrong(&format!("targets[{i}].{field}"), why);
            if let Some(why) = name_problem(&target.environment) {
                wrong("environment", why);
            }
            let tagged = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if target.alias.is_empty() || !target.alias.chars().all(tagged) {
                wrong("alias", format!("= {:?}: use letters, digits, -, _ and .", target.alias));
            }
            if target.role().is_none() {
                wrong("role", format!("= {:?} is none of champion, challenger, shadow, canary", target.role));
            }
            if !slots.insert((&target.environment, &target.region, &target.role)) {
                wrong("environment", "region and role are there twice".into());
            }
            if !aliases.insert(&target.alias) {
                wrong("alias", format!("= {:?} is there twice: two slots cannot share it", target.alias));
            }
        }
        problems
    }
}

fn url_problem(url: &str, secret: bool) -> Option<String> {
    let Ok(parsed) = Url::parse(url) else { return Some(format!("= {url:?} is not an address")) };
    let host = parsed.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Some("carries credentials: put them into token_file or password_file".into());
    }
    match parsed.scheme() {
        "https" => None,
        "http" if loopback || !secret => None,
        "http" => Some(format!("= {url:?} would send credentials in clear")),
        _ => Some(format!("= {url:?} is neither https nor http")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_named_at_once() {
        let target = |alias: &str, role: &str| Target {
            environment: "production".into(),
            region: String::new(),
            role: role.into(),
            alias: alias.into(),
        };
        let sound = Config {
            name: "mlflow".into(),
            uri: "mlflow://registry.example.bank".into(),
            url: "https://mlflow.example.bank".into(),
            token_file: Some("token".into()),
            username: String::new(),
            password_file: None,
            webhook_secret_file: None,
            sweep_minutes: 60,
            s3: Vec::new(),
            targets: vec![target("champion", "champion"), target("challenger", "challenger")],
        };
        assert_eq!(sound.problems("registries[0]"), Vec::<String>::new());
        let broken = Config {
            name: "a b".into(),
            uri: "registry".into(),
            url: "http://mlflow.example.bank".into(),
            username: "u".into(),
            sweep_minutes: 0,
            s3: vec![
                serde_json::from_value(serde_json::json!({ "bucket": "b", "endpoint": "http://elsewhere" }))
                    .unwrap(),
            ],
            targets: vec![
                target("a/b", "boss"),
                target("champion", "champion"),
                target("champion", "champion"),
            ],
            ..sound
        };
        let problems = broken.problems("registries[0]");
        for words in [
            "[0].name",
            "[0].uri",
            "[0].username",
            "in clear",
            "sweep_minutes",
            "registries[0].s3[0].bucket",
            "registries[0].s3[0].endpoint",
            "targets[0].alias",
            "targets[0].role",
            "targets[2].environment",
            "targets[2].alias",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:#?}");
        }
    }
}
