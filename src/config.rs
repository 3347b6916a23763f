//! One configuration file (TOML), then environment, then flags: later ones win. Checked before anything is bound.
//!
//! Environment: `PROMOTION_LEDGER_` and the path with two underscores, for instance `PROMOTION_LEDGER_LOG__KIND=kafka`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::{event::Digest, log::kafka};

/// Name of the configuration file in a node's directory.
pub const FILE_NAME: &str = "promotion-ledger.toml";
/// Prefix of environment variables.
pub const ENV_PREFIX: &str = "PROMOTION_LEDGER_";
/// What commands read from the environment for themselves: `--url`, and the level of log lines.
const ENV_NOT_CONFIG: [&str; 2] = ["url", "log_level"];

/// The whole configuration of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// ledger_id, 64 hexadecimal digits: SHA-256 of the genesis body. Another genesis is refused.
    pub ledger_id: String,
    /// Address of the gRPC services. Loopback unless you say otherwise: callers are not authenticated yet.
    pub listen: SocketAddr,
    /// Must be true to listen on an address that is not loopback.
    #[serde(default)]
    pub listen_beyond_loopback: bool,
    /// Where records go.
    pub log: LogConfig,
    /// Where evidence is.
    pub evidence: EvidenceConfig,
    /// Where subject records are.
    pub subjects: SubjectsConfig,
    /// Key files.
    pub keys: KeysConfig,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// Which log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// `embedded` (no server needed) or `kafka`.
    pub kind: LogKind,
    /// Needed for `kafka`.
    #[serde(default)]
    pub kafka: Option<kafka::Config>,
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// The ledger itself is the durable log.
    Embedded,
    /// One partition of a topic.
    Kafka,
}

/// The evidence store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceConfig {
    /// Directory; relative to the node's directory.
    pub dir: PathBuf,
    /// True if every node of the ledger mounts this same directory. Needed with Kafka.
    #[serde(default)]
    pub shared: bool,
}

/// The store of subject records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectsConfig {
    /// Directory; relative to the node's directory; the same for all nodes.
    pub dir: PathBuf,
}

/// Key files, each with mode 0600.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Ed25519, PKCS#8 PEM: signs records.
    pub front_door: PathBuf,
    /// Ed25519, PKCS#8 PEM: signs checkpoints; the same on every node.
    pub log: PathBuf,
    /// 64 bytes in hex: wraps and names subject records; the same on every node.
    pub subjects: PathBuf,
}

/// Bounds. Beyond them callers get RESOURCE_EXHAUSTED at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls that wait for their entry at a time.
    pub inflight: usize,
    /// Calls that a node works on at a time.
    pub calls: usize,
    /// Streams of one connection.
    pub streams: u32,
    /// Seconds until a call that is not confirmed is told so.
    pub confirm_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { inflight: 2048, calls: 2048, streams: 128, confirm_seconds: 30 }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there.
    #[error("{0} is not there; make a ledger with `promotion-ledger init --dir {1}`, or give --dir")]
    Missing(PathBuf, PathBuf),
    /// The file or an environment variable cannot be read.
    #[error("configuration: {0}")]
    Read(String),
    /// Values that do not go together: all of them.
    #[error("configuration: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads a node's configuration: file, then environment, then `overrides` (a map of what flags say).
    ///
    /// # Errors
    /// [`Error`], with every problem.
    pub fn load(dir: &Path, overrides: impl Serialize) -> Result<Self, Error> {
        let file = dir.join(FILE_NAME);
        if !file.exists() {
            return Err(Error::Missing(file, dir.to_path_buf()));
        }
        let figment = Figment::new()
            .merge(Toml::file_exact(&file))
            .merge(Env::prefixed(ENV_PREFIX).ignore(&ENV_NOT_CONFIG).split("__"));
        let figment = figment.merge(Serialized::defaults(overrides));
        let config: Self = figment.extract().map_err(|error| Error::Read(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The pinned ledger_id.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn pinned(&self) -> Result<Digest, Error> {
        Digest::from_hex(&self.ledger_id)
            .ok_or_else(|| Error::Invalid(vec!["ledger_id is not 64 hexadecimal digits".into()]))
    }

    fn check(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        if self.pinned().is_err() {
            problems.push("ledger_id is not 64 hexadecimal digits".to_owned());
        }
        if !self.listen.ip().is_loopback() && !self.listen_beyond_loopback {
            problems.push(format!(
                "listen = {} is reachable from outside, and callers are not authenticated; set listen_beyond_loopback = true if a proxy in front does that",
                self.listen
            ));
        }
        match (self.log.kind, &self.log.kafka) {
            (LogKind::Kafka, None) => problems.push("log.kind is kafka, but [log.kafka] is missing".into()),
            (LogKind::Kafka, Some(_)) if !self.evidence.shared => problems
                .push("with Kafka every node needs the same evidence: mount one directory and set evidence.shared = true".into()),
            _ => {}
        }
        let limits = &self.limits;
        for (name, value) in [
            ("inflight", limits.inflight),
            ("calls", limits.calls),
            ("streams", limits.streams as usize),
            ("confirm_seconds", limits.confirm_seconds as usize),
        ] {
            if value == 0 {
                problems.push(format!("limits.{name} is 0"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}
