//! One configuration file (TOML), then environment, then flags: later ones win. Checked before anything is bound.
//!
//! Environment: `PROMOTION_LEDGER_` and the path with two underscores, for instance `PROMOTION_LEDGER_LOG__KIND=kafka`.

mod identity;
mod stores;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use self::identity::{EmbeddedApprovals, IdentityConfig};
pub use self::stores::{
    ArchiveConfig, EvidenceChecks, EvidenceConfig, EvidenceKind, SubjectsConfig, SubjectsKind,
};
pub use self::tls::{Tls, TlsConfig};
use crate::{
    event::Digest,
    identity::{certificates::Certificates, logins::LoginConfig},
    log::kafka,
    notify, registry, witness,
};

/// Name of the configuration file in a node's directory.
pub const FILE_NAME: &str = "promotion-ledger.toml";
/// Prefix of environment variables.
pub const ENV_PREFIX: &str = "PROMOTION_LEDGER_";
/// What commands read from the environment for themselves: `--url`, `--token-file`, `--ca-file`, `--client-cert`,
/// `--client-key`, and the level of log lines.
const ENV_NOT_CONFIG: [&str; 6] = ["url", "log_level", "token_file", "ca_file", "client_cert", "client_key"];

/// The whole configuration of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// ledger_id, 64 hexadecimal digits: SHA-256 of the genesis body. Another genesis is refused.
    pub ledger_id: String,
    /// What the node insists on before it starts.
    #[serde(default)]
    pub profile: Profile,
    /// Address of the gRPC services. Loopback unless you say otherwise.
    pub listen: SocketAddr,
    /// Must be true to listen on an address that is not loopback.
    #[serde(default)]
    pub listen_beyond_loopback: bool,
    /// TLS of the gRPC services; absent: none.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Pages, tiles and hooks over HTTP; absent: none.
    #[serde(default)]
    pub http: Option<HttpConfig>,
    /// Where records go.
    pub log: LogConfig,
    /// Where evidence is.
    pub evidence: EvidenceConfig,
    /// The ledger's own archive, in the evidence store.
    #[serde(default)]
    pub archive: ArchiveConfig,
    /// Where subject records are.
    pub subjects: SubjectsConfig,
    /// Key files.
    pub keys: KeysConfig,
    /// Who may let something into production without a promotion; absent: nobody.
    #[serde(default)]
    pub break_glass: Option<BreakGlassConfig>,
    /// Who is told of what.
    #[serde(default)]
    pub notify: notify::Config,
    /// Where approvers log in; none: nobody can decide in a review.
    #[serde(default)]
    pub logins: Vec<LoginConfig>,
    /// Model registries that follow the ledger.
    #[serde(default)]
    pub registries: Vec<registry::Config>,
    /// Who else sees every checkpoint.
    #[serde(default)]
    pub witnesses: witness::Config,
    /// Whose tokens are believed.
    #[serde(default)]
    pub identity: IdentityConfig,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// What a node insists on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Anything that works.
    #[default]
    Development,
    /// What auditors may rely on (design section 7).
    Production,
}

/// What is served over HTTP/1.1, beside gRPC.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address. Loopback unless `listen_beyond_loopback`.
    pub listen: SocketAddr,
    /// Whether it speaks TLS, with the certificate of `[tls]`.
    #[serde(default)]
    pub tls: bool,
    /// Where approvers' browsers find it, scheme and host only, for instance `https://ledger.example.bank`: https, by `tls`
    /// or by way of a proxy that ends TLS, or http on this machine. Issuers must let logins come back to
    /// `<it>/login/callback`. Absent: `http://`, with `tls` `https://`, and the address.
    #[serde(default)]
    pub public_url: Option<String>,
}

/// Who may let something into production without a promotion.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassConfig {
    /// OpenID Connect issuer, as its tokens name it.
    pub issuer: String,
    /// The client that people log in to (`aud`).
    pub audience: String,
    /// What its tokens may be signed with, for instance `ES256`; asymmetric ones only.
    pub algorithms: Vec<String>,
    /// The issuer's keys, a JWK set in a file: pinned, so that it works while the issuer's own endpoint is away.
    pub jwks: PathBuf,
    /// The claim that holds groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Members of one of these may.
    pub groups: Vec<String>,
    /// Authentication classes, one of which is needed; none named: any.
    #[serde(default)]
    pub acr: Vec<String>,
    /// Longest time, hours; at most 168.
    #[serde(default = "hours_max")]
    pub hours_max: u32,
}

fn groups_claim() -> String {
    "groups".into()
}

const fn hours_max() -> u32 {
    24
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
        let mut config: Self = figment.extract().map_err(|error| Error::Read(error.to_string()))?;
        // Links in messages lead where browsers find the pages, unless it says otherwise.
        if let (true, Some(http)) = (config.notify.public_url.is_empty(), &config.http) {
            config.notify.public_url = http.public_url.clone().unwrap_or_default();
        }
        config.check(dir)?;
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

    /// Services that client certificates name.
    ///
    /// # Errors
    /// [`Error::Invalid`], with every problem.
    pub fn certificates(&self) -> Result<Certificates, Error> {
        let Some(tls) = &self.tls else { return Ok(Certificates::default()) };
        let tokens = self.identity.issuers.iter().map(|issuer| issuer.url.as_str());
        let logins = self.logins.iter().map(|login| login.issuer.as_str());
        let development = self.identity.development.iter().map(|issuer| issuer.issuer.as_str());
        let issuers: Vec<_> = tokens.chain(logins).chain(development).collect();
        tls.certificates(&issuers).map_err(Error::Invalid)
    }

    fn check(&self, dir: &Path) -> Result<(), Error> {
        let mut problems = Vec::new();
        if self.pinned().is_err() {
            problems.push("ledger_id is not 64 hexadecimal digits".to_owned());
        }
        let listens: Vec<_> =
            [self.listen].into_iter().chain(self.http.as_ref().map(|http| http.listen)).collect();
        problems.extend(self.identity.problems(dir, self.profile, &self.logins, &listens));
        if !self.listen.ip().is_loopback() && !self.listen_beyond_loopback {
            problems.push(format!(
                "listen = {} is reachable from outside; set listen_beyond_loopback = true if a proxy in front ends TLS, and list identity.issuers",
                self.listen
            ));
        }
        if let Some(http) = &self.http
            && !http.listen.ip().is_loopback()
            && !self.listen_beyond_loopback
        {
            problems.push(format!(
                "http.listen = {} is reachable from outside; set listen_beyond_loopback = true if http.tls is or a proxy in front ends TLS",
                http.listen
            ));
        }
        if let Err(Error::Invalid(found)) = self.certificates() {
            problems.extend(found);
        }
        if self.http.as_ref().is_some_and(|http| http.tls) && self.tls.is_none() {
            problems.push("http.tls = true needs [tls] with cert_file and key_file".into());
        }
        if let Some(url) = self.http.as_ref().and_then(|http| http.public_url.as_ref())
            && (!crate::identity::issuer::is_protected(url) || url.matches('/').count() != 2)
        {
            problems.push(format!(
                "http.public_url = {url} is not scheme and host alone, https or http on loopback, for instance https://ledger.example.bank"
            ));
        }
        if let Some(http) = &self.http
            && !http.listen.ip().is_loopback()
            && http.public_url.is_none()
            && !self.logins.is_empty()
        {
            problems.push(
                "http.public_url is missing: approvers log in from outside, and come back there".into(),
            );
        }
        match (self.log.kind, &self.log.kafka) {
            (LogKind::Kafka, None) => problems.push("log.kind is kafka, but [log.kafka] is missing".into()),
            (LogKind::Kafka, Some(_)) if !self.evidence.shared && self.evidence.kind == EvidenceKind::Filesystem => problems
                .push("with Kafka every node needs the same evidence: mount one directory and set evidence.shared = true, or use a bucket".into()),
            _ => {}
        }
        problems.extend(self.notify.problems());
        for (i, registry) in self.registries.iter().enumerate() {
            problems.extend(registry.problems(&format!("registries[{i}]")));
            if self.registries.iter().take(i).any(|other| other.name == registry.name) {
                problems.push(format!("registries[{i}].name = {:?} is there twice", registry.name));
            }
        }
        problems.extend(self.evidence.problems(self.profile));
        problems.extend(self.subjects.problems(&self.evidence));
        problems.extend(self.witnesses.problems());
        if self.profile == Profile::Production && !self.witnesses.has_anchor() {
            problems.push("profile is production, but no checkpoint leaves this node: name a witness under [witnesses] and set witnesses.needed to 1 or more, or a bucket under [witnesses.anchor]".into());
        }
        if let (Some(anchor), Some(evidence)) = (&self.witnesses.anchor, &self.evidence.s3)
            && (&anchor.s3.bucket, &anchor.s3.endpoint) == (&evidence.bucket, &evidence.endpoint)
        {
            problems.push("witnesses.anchor.s3 is the evidence's own bucket: whoever holds that would hold the anchor too; name another bucket, under other credentials".into());
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
        let archive = &self.archive;
        if !(1 <= archive.every_seconds
            && archive.every_seconds < archive.alert_seconds
            && archive.alert_seconds < archive.refuse_seconds)
        {
            problems.push(format!(
                "archive: 1 <= every_seconds ({}) < alert_seconds ({}) < refuse_seconds ({}) does not hold",
                archive.every_seconds, archive.alert_seconds, archive.refuse_seconds
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}
