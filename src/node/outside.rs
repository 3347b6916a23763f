//! What a node has outside itself, opened as its configuration says: log, stores and keys. The only place that does.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ed25519_dalek::SigningKey;

use super::Error;
use crate::{
    admission::break_glass,
    archive::{filesystem, reader::Archive, s3, store::PieceStore},
    clock::{Clock, SystemClock},
    config::{self, Config, EvidenceKind, LogKind, SubjectsKind},
    custody::records::InBucket,
    evidence::{
        EvidenceStore,
        filesystem::Filesystem,
        s3::{Bucket, S3},
    },
    identity::{
        caller::Callers,
        development::Development,
        directory::Directory,
        logins::Logins,
        subjects::{self, Subjects},
        token,
    },
    keyfile,
    log::{Log, embedded::Embedded, kafka::Kafka},
};

/// Key file of the development issuer, in a node's directory.
pub const DEVELOPMENT_KEY: &str = "keys/development.pem";
/// Microseconds of a day.
const DAY: u64 = 24 * 3600 * 1_000_000;

pub(super) fn absolute(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path)
}

/// The bucket of a configuration; `None` if its evidence is in a directory.
///
/// # Errors
/// [`Error::Key`]: of the credentials' file.
pub async fn bucket(dir: &Path, config: &Config) -> Result<Option<Bucket>, Error> {
    match (config.evidence.kind, &config.evidence.s3) {
        (EvidenceKind::S3, Some(settings)) => Ok(Some(Bucket::connect(settings, dir).await?)),
        _ => Ok(None),
    }
}

/// The evidence store of a configuration: the only place that makes one.
///
/// # Errors
/// [`Error::Evidence`], [`Error::Key`].
pub async fn evidence_store(dir: &Path, config: &Config) -> Result<Arc<dyn EvidenceStore>, Error> {
    let (evidence, now) = (&config.evidence, SystemClock.now());
    let (at, length_max) = (absolute(dir, &evidence.dir), u64::from(evidence.max_gib) << 30);
    Ok(match bucket(dir, config).await? {
        Some(bucket) => {
            let retained = u64::from(evidence.retain_days) * DAY;
            let opened = S3::open(bucket, &at.join("incoming"), length_max, retained, now);
            Arc::new(opened.map_err(Error::Evidence)?)
        }
        None => {
            let opened = Filesystem::open(&at, length_max, evidence.immutable, now);
            Arc::new(opened.map_err(Error::Evidence)?)
        }
    })
}

/// Where the ledger of a configuration is archived: in its evidence store.
///
/// # Errors
/// [`Error`].
pub async fn archive(dir: &Path, config: &Config) -> Result<Archive, Error> {
    let store: Arc<dyn PieceStore> = match bucket(dir, config).await? {
        Some(bucket) => {
            let retained = u64::from(config.evidence.retain_days) * DAY;
            Arc::new(s3::S3::new(bucket, Arc::new(SystemClock), retained))
        }
        None => Arc::new(filesystem::Filesystem::new(&absolute(dir, &config.evidence.dir))),
    };
    Ok(Archive { store, ledger_id: config.pinned()? })
}

/// The subject records of a configuration.
///
/// # Errors
/// [`Error`].
pub async fn subject_records(dir: &Path, config: &Config) -> Result<Subjects, Error> {
    let keys = keyfile::store_keys(&absolute(dir, &config.keys.subjects))?;
    if let (SubjectsKind::S3, Some(settings)) = (config.subjects.kind, &config.subjects.s3) {
        let records = InBucket::new(Bucket::connect(settings, dir).await?);
        records.destroys().await.map_err(Error::Records)?;
        return Ok(Subjects::new(Box::new(records), keys));
    }
    let directory = Directory::open(&absolute(dir, &config.subjects.dir)).map_err(subjects::Error::from)?;
    Ok(Subjects::new(Box::new(directory), keys))
}

/// The issuers where people log in to decide.
pub(super) fn logins(
    dir: &Path,
    config: &Config,
    development: Option<&Development>,
) -> Result<Logins, Error> {
    let secret = |file: &Path| {
        let text = keyfile::secret_text(file).map_err(|error| error.to_string())?;
        Ok(text.trim().to_owned())
    };
    let logins = Logins::new(dir, &config.logins, development, secret);
    logins.map_err(|why| Error::Config(config::Error::Invalid(vec![why])))
}

/// Who may break the glass, from the configuration and its file of keys.
pub(super) fn break_glass_rules(dir: &Path, config: &Config) -> Result<Option<break_glass::Rules>, Error> {
    let Some(stated) = &config.break_glass else { return Ok(None) };
    let wrong = |why: String| Error::Config(config::Error::Invalid(vec![format!("break_glass.{why}")]));
    let path = absolute(dir, &stated.jwks);
    let text = std::fs::read(&path).map_err(|error| wrong(format!("jwks: {}: {error}", path.display())))?;
    let keys =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("jwks: {}: {error}", path.display())))?;
    let algorithms = token::algorithms(&stated.algorithms)
        .ok_or_else(|| wrong("algorithms: name asymmetric ones, for instance ES256".into()))?;
    if stated.groups.is_empty() || stated.hours_max == 0 || stated.hours_max > 168 {
        return Err(wrong("groups is empty, or hours_max is not 1 to 168".into()));
    }
    let (issuer, groups_claim) = (stated.issuer.clone(), stated.groups_claim.clone());
    Ok(Some(break_glass::Rules {
        issuer: token::IssuerRules { issuer, algorithms, groups_claim },
        audience: stated.audience.clone(),
        keys,
        groups: stated.groups.clone(),
        acr: stated.acr.clone(),
        longest: u64::from(stated.hours_max) * 3_600_000_000,
    }))
}

/// The development issuer of a configuration; its key is made at the first start.
///
/// # Errors
/// [`Error::Key`].
pub fn development(dir: &Path, config: &Config) -> Result<Option<Development>, Error> {
    let Some(stated) = &config.identity.development else { return Ok(None) };
    let path = absolute(dir, Path::new(DEVELOPMENT_KEY));
    let key = match path.exists() {
        true => keyfile::signing_key(&path)?,
        false => keyfile::create_signing_key(&path)?,
    };
    Ok(Development::new(stated, &key))
}

/// Who may call, by the issuers of a configuration. Without any issuer nobody could: then the node does not start.
pub(super) fn callers(
    dir: &Path,
    config: &Config,
    development: Option<&Development>,
) -> Result<Arc<Callers>, Error> {
    let mut issuers = config.identity.issuers(dir)?;
    if let Some(development) = development {
        tracing::warn!(
            issuer = development.issuer,
            "DEVELOPMENT ISSUER: whoever reads {DEVELOPMENT_KEY} can be anybody, and its login page lets everybody on this machine choose who to be; every login of it is recorded as such. Never for real decisions"
        );
        issuers.push(development.callers());
    }
    if issuers.is_empty() {
        let why = "nobody could call this node: name an identity provider in [[identity.issuers]], or for development [identity.development]";
        return Err(config::Error::Invalid(vec![why.into()]).into());
    }
    let certificates = config.certificates()?;
    Ok(Arc::new(Callers::new(issuers, certificates)?))
}

/// The key that signs checkpoints.
///
/// # Errors
/// [`Error::Key`].
pub fn log_key(dir: &Path, config: &Config) -> Result<SigningKey, Error> {
    Ok(keyfile::signing_key(&absolute(dir, &config.keys.log))?)
}

/// The log of a configuration.
///
/// # Errors
/// [`Error::Log`].
pub async fn open_log(config: &Config) -> Result<Arc<dyn Log>, Error> {
    Ok(match (config.log.kind, &config.log.kafka) {
        (LogKind::Kafka, Some(kafka)) => Arc::new(Kafka::open(kafka.clone(), false).await?),
        _ => Arc::new(Embedded::new(config.limits.inflight)),
    })
}
