//! A node: everything wired together, in the order in which it may start and must stop.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use ed25519_dalek::SigningKey;

use crate::{
    admission::{gateway::Gateway, routing::RoutingCache},
    api::auditor::Auditor,
    clock::{Clock, SystemClock},
    config::{self, Config, LogKind},
    event::{Digest, digest},
    evidence::{EvidenceStore, filesystem::Filesystem},
    identity::subjects::{self, Subjects},
    keyfile,
    ledger::{
        Ledger,
        inflight::Inflight,
        recover, store,
        writer::{Health, Writer},
    },
    log::{self, Log, embedded::Embedded, kafka::Kafka},
    projection::{routing::RoutingAudit, worker::Workers},
};

/// Why a node does not start. Nothing was admitted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error("{0}")]
    Config(#[from] config::Error),
    /// A key file.
    #[error("{0}")]
    Key(#[from] keyfile::Error),
    /// The ledger.
    #[error("{0}")]
    Recover(#[from] recover::Error),
    /// The database.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The log.
    #[error("log: {0}")]
    Log(#[from] log::Error),
    /// The evidence store.
    #[error("evidence store: {0}")]
    Evidence(std::io::Error),
    /// The subject records.
    #[error("{0}")]
    Subjects(#[from] subjects::Error),
    /// The front-door key is not one of this ledger's.
    #[error(
        "the front-door key {0} may not sign for this ledger; add it with an admin act (KeyAdded), or use another"
    )]
    FrontDoorKey(Digest),
}

/// A running node.
pub struct Node {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The front door.
    pub gateway: Arc<Gateway>,
    /// The projections.
    pub workers: Arc<Workers>,
    /// Routes every promotion again.
    pub audit: Arc<RoutingAudit>,
    /// Evidence.
    pub evidence: Arc<dyn EvidenceStore>,
    /// People.
    pub subjects: Arc<Subjects>,
    /// The log.
    pub log: Arc<dyn Log>,
    writer: Writer,
}

/// What a node needs besides its configuration.
pub struct Parts {
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

fn absolute(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path)
}

/// The evidence store of a configuration.
///
/// # Errors
/// Of the file system.
pub fn evidence_store(dir: &Path, config: &Config) -> std::io::Result<Filesystem> {
    Filesystem::open(&absolute(dir, &config.evidence.dir))
}

/// The subject records of a configuration.
///
/// # Errors
/// [`Error`].
pub fn subject_records(dir: &Path, config: &Config) -> Result<Subjects, Error> {
    let keys = keyfile::store_keys(&absolute(dir, &config.keys.subjects))?;
    Ok(Subjects::open(&absolute(dir, &config.subjects.dir), keys)?)
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

/// The auditors' service over a stopped node's directory, which is opened read-only and not written to.
///
/// # Errors
/// [`Error`].
pub fn stopped(dir: &Path, config: &Config) -> Result<Auditor, Error> {
    let ledger = Arc::new(recover::open(dir, config.pinned()?, &log_key(dir, config)?, true)?);
    crate::projection::worker::fold_rest(&ledger.store, ledger.head().state.size())?;
    Ok(Auditor {
        ledger,
        workers: None,
        audit: None,
        evidence: Arc::new(evidence_store(dir, config).map_err(Error::Evidence)?),
        subjects: subject_records(dir, config).ok().map(Arc::new),
        gateway: None,
    })
}

impl Node {
    /// Opens a node's directory and follows its log.
    ///
    /// # Errors
    /// [`Error`]: rule 11 of the design, and everything that is missing.
    pub async fn open(dir: &Path, config: &Config) -> Result<Self, Error> {
        let log = open_log(config).await?;
        Self::start(dir, config, Parts { log, clock: Arc::new(SystemClock) }).await
    }

    /// Starts a node on given parts.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(dir: &Path, config: &Config, parts: Parts) -> Result<Self, Error> {
        let pinned = config.pinned()?;
        let log_key = log_key(dir, config)?;
        let key = keyfile::signing_key(&absolute(dir, &config.keys.front_door))?;
        let evidence: Arc<dyn EvidenceStore> =
            Arc::new(evidence_store(dir, config).map_err(Error::Evidence)?);
        let subjects = Arc::new(subject_records(dir, config)?);
        crate::ledger::recover::bootstrap(dir, &pinned, parts.log.as_ref()).await?;
        let ledger = Arc::new(recover::open(dir, pinned, &log_key, false)?);
        recover::compare_with_log(&ledger, parts.log.as_ref()).await?;
        let inflight = Arc::new(Inflight::new(config.limits.inflight));
        let tail = parts.log.tail(ledger.head().state.size())?;
        let writer = Writer::start(ledger.clone(), inflight.clone(), tail, log_key);
        recover::catch_up(&ledger, parts.log.as_ref(), writer.health()).await?;
        let id = digest::key_id(&key.verifying_key());
        if ledger.head().state.active_key(&id).is_none() {
            return Err(Error::FrontDoorKey(id));
        }
        let workers = Arc::new(Workers::start(&ledger)?);
        let audit = Arc::new(RoutingAudit::start(&ledger));
        let gateway = Arc::new(Gateway {
            ledger: ledger.clone(),
            inflight,
            log: parts.log.clone(),
            evidence: evidence.clone(),
            subjects: subjects.clone(),
            key,
            clock: parts.clock,
            confirm_within: Duration::from_secs(config.limits.confirm_seconds),
            clock_away: AtomicU64::new(0),
            routing: RoutingCache::default(),
            refusals: Mutex::default(),
        });
        Ok(Self { ledger, gateway, workers, audit, evidence, subjects, log: parts.log, writer })
    }

    /// The auditors' service of this node.
    pub fn auditor(&self) -> Auditor {
        Auditor {
            ledger: self.ledger.clone(),
            workers: Some(self.workers.clone()),
            audit: Some(self.audit.clone()),
            evidence: self.evidence.clone(),
            subjects: Some(self.subjects.clone()),
            gateway: Some(self.gateway.clone()),
        }
    }

    /// Changes when the writer stops; then the node must stop too.
    pub fn health(&self) -> tokio::sync::watch::Receiver<Health> {
        self.writer.health()
    }

    /// Stops: writer first, so that what is acknowledged is synced, then projections. Blocking.
    pub fn stop(&self) {
        self.writer.stop();
        self.audit.stop();
        self.workers.stop(&self.ledger.store);
    }
}
