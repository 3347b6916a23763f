//! `[witnesses]` of a node's configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{evidence::s3, proof::cosignature::WitnessKey};

/// Who cosigns, and how many of them are needed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many must have cosigned a checkpoint before it is shown as witnessed.
    pub needed: usize,
    /// Whether a promotion is answered only when a checkpoint over it has been cosigned by as many.
    pub promotions_wait: bool,
    /// How long a promotion waits for them, and one round for its answers, seconds.
    pub wait_seconds: u64,
    /// The witnesses.
    pub witness: Vec<Witness>,
    /// HTTP addresses of other nodes of this ledger, whose checkpoints are compared with this node's tree.
    pub peers: Vec<String>,
    /// Authorities that time-stamp every checkpoint over a new human approval (RFC 3161).
    pub timestamps: Vec<Authority>,
    /// Write-once storage under other credentials than the evidence's, where checkpoints are put.
    pub anchor: Option<AnchorConfig>,
}

/// A time-stamp authority.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Where requests are posted.
    pub url: String,
    /// Certificate of the root that its own leads to, PEM; relative to the node's directory.
    pub root: PathBuf,
}

/// Checkpoints in a bucket of somebody else's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    /// Seconds between two checkpoints at least.
    #[serde(default = "every_seconds")]
    pub every_seconds: u64,
    /// Days for which a checkpoint is locked.
    #[serde(default = "retain_days")]
    pub retain_days: u32,
    /// The bucket, made with Object Lock.
    pub s3: s3::Settings,
}

const fn every_seconds() -> u64 {
    60
}

const fn retain_days() -> u32 {
    3_650
}

/// One witness.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Submission prefix: `add-checkpoint` lies below it.
    pub url: String,
    /// Its C2SP verifier key, `<name>+<hash>+<base64>`.
    pub key: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            needed: 0,
            promotions_wait: false,
            wait_seconds: 5,
            witness: Vec::new(),
            peers: Vec::new(),
            timestamps: Vec::new(),
            anchor: None,
        }
    }
}

impl Config {
    /// Whether checkpoints leave this node for somebody who keeps them.
    pub const fn has_anchor(&self) -> bool {
        self.needed > 0 || self.anchor.is_some()
    }

    /// Everything that is wrong with it.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.needed > self.witness.len() {
            problems.push(format!(
                "witnesses.needed is {}, but {} are configured",
                self.needed,
                self.witness.len()
            ));
        }
        if self.promotions_wait && self.needed == 0 {
            problems.push("witnesses.promotions_wait is true, but witnesses.needed is 0".into());
        }
        if self.wait_seconds == 0 {
            problems.push("witnesses.wait_seconds is 0".into());
        }
        let is_url =
            |url: &str| reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        for (i, peer) in self.peers.iter().enumerate().filter(|(_, peer)| !is_url(peer)) {
            problems.push(format!("witnesses.peers[{i}] {peer:?} is not an http or https URL"));
        }
        for (i, authority) in self.timestamps.iter().enumerate().filter(|(_, one)| !is_url(&one.url)) {
            let url = &authority.url;
            problems.push(format!("witnesses.timestamps[{i}].url {url:?} is not an http or https URL"));
        }
        if let Some(anchor) = &self.anchor {
            problems.extend(anchor.s3.problems("witnesses.anchor.s3"));
            if anchor.every_seconds == 0 || anchor.retain_days == 0 {
                problems.push("witnesses.anchor.every_seconds or retain_days is 0".into());
            }
        }
        let mut keys = Vec::new();
        for (i, witness) in self.witness.iter().enumerate() {
            if !is_url(&witness.url) {
                problems.push(format!(
                    "witnesses.witness[{i}].url {:?} is not an http or https URL",
                    witness.url
                ));
            }
            match WitnessKey::parse(&witness.key) {
                Ok(key) if keys.contains(&key.key) => {
                    problems.push(format!(
                        "witnesses.witness[{i}].key is the key of another witness: it would count twice"
                    ));
                }
                Ok(key) => keys.push(key.key),
                Err(error) => problems.push(format!("witnesses.witness[{i}].key: {error}")),
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_named_at_once() {
        let witness = Witness { url: "ftp://x".into(), key: "x".into() };
        let config = Config {
            needed: 2,
            promotions_wait: false,
            wait_seconds: 0,
            witness: vec![witness],
            peers: vec!["x".into()],
            timestamps: vec![Authority { url: "x".into(), root: "root.pem".into() }],
            anchor: None,
        };
        assert_eq!(config.problems().len(), 6, "{:?}", config.problems());
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let config = Config { promotions_wait: true, ..Config::default() };
        assert_eq!(config.problems().len(), 1);
    }
}
