//! A node: everything wired together, in the order in which it may start and must stop.

mod anchors;
mod outside;
mod pace;

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use ed25519_dalek::SigningKey;

pub use self::outside::{
    DEVELOPMENT_KEY, archive, bucket, development, evidence_store, log_key, open_log, subject_records,
};
use self::outside::{absolute, break_glass_rules, callers, logins};
use self::pace::{archived_by, pace, timing};
use crate::{
    admission::{
        gateway::Gateway,
        reviews::{finish, sessions::ReviewSessions},
        routing::RoutingCache,
    },
    alert::Alerts,
    api::{archive_checks::Archived, auditor::Auditor, evidence_checks::Checks, gate::Gate},
    archive::{
        archiver::{self, Archiver},
        reader::{self, Archive, Conflict},
        store::Error as StoreError,
    },
    clock::{Clock, SystemClock},
    config::{self, Config},
    custody::{
        erasures::Erasures,
        probing::Probing,
        rechecks::{self, Rechecks},
    },
    event::{Digest, digest},
    evidence::{EvidenceStore, standing::Known},
    gate::{confirm::Confirmer, emergencies::Emergencies},
    identity::{
        caller::Callers,
        development::Development,
        jwks,
        subjects::{self, Subjects},
    },
    keyfile,
    ledger::{
        Ledger,
        comparison::Comparison,
        inflight::Inflight,
        node_key::NodeKey,
        recover, store,
        writer::{Health, Writer},
    },
    log::{self, Log},
    notify::{self, Notifier},
    projection::{routing::RoutingAudit, worker::Workers},
    proof::checkpoint::LogKey,
    registry::{self, Registries},
    witness::{self, Witnesses},
};

/// How often a node that starts follows the log to where another node has archived it.
const COMPARE_ATTEMPTS: u32 = 3;

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
    /// The archive says something else than the ledger.
    #[error("{0}")]
    Archive(Box<Conflict>),
    /// Identity providers.
    #[error("{0}")]
    Identity(#[from] jwks::Unavailable),
    /// The subject records.
    #[error("{0}")]
    Subjects(#[from] subjects::Error),
    /// The bucket of the subject records keeps what is destroyed.
    #[error("{0}")]
    Records(String),
    /// Telling people.
    #[error("{0}")]
    Notify(#[from] notify::Error),
    /// Model registries.
    #[error("{0}")]
    Registries(#[from] registry::Error),
    /// The witnesses.
    #[error("witnesses: {0}")]
    Witnesses(#[from] witness::Error),
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
    /// Destroys the subject records of people whose erasure is recorded.
    erasures: Erasures,
    /// Archives the ledger.
    archiver: Archiver,
    /// Keeps an alert for every emergency that no promotion covers.
    emergencies: Emergencies,
    confirmer: Arc<Confirmer>,
    log_key: Arc<SigningKey>,
    archived: Archived,
    /// Tries to break the evidence store.
    probing: Probing,
    /// Looks at all evidence again.
    rechecks: Rechecks,
    /// Evidence.
    pub evidence: Arc<dyn EvidenceStore>,
    /// People.
    pub subjects: Arc<Subjects>,
    /// Knows who calls.
    pub callers: Arc<Callers>,
    /// The development issuer, if this node has one.
    pub development: Option<Arc<Development>>,
    /// What somebody must look at.
    pub alerts: Arc<Alerts>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Compares entries with the log while the node runs.
    comparison: Comparison,
    /// Tells people and systems.
    notifier: Notifier,
    /// Model registries that follow the ledger.
    pub registries: Registries,
    /// Shows every checkpoint to witnesses and compares with peers, until the node is dropped.
    _witnesses: Witnesses,
    writer: Writer,
}

/// What a node needs besides its configuration.
pub struct Parts {
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where evidence is; `None`: where the configuration says.
    pub evidence: Option<Arc<dyn EvidenceStore>>,
}

/// The auditors' service over a stopped node's directory, which is opened read-only and not written to.
///
/// # Errors
/// [`Error`].
pub async fn stopped(dir: &Path, config: &Config) -> Result<Auditor, Error> {
    let log_key = log_key(dir, config)?;
    let ledger = Arc::new(recover::open(dir, config.pinned()?, &log_key, true)?);
    crate::projection::worker::fold_rest(&ledger.store, ledger.head().state.size())?;
    Ok(Auditor {
        ledger,
        workers: None,
        audit: None,
        evidence: evidence_store(dir, config).await?,
        subjects: subject_records(dir, config).await.ok().map(Arc::new),
        gateway: None,
        alerts: Arc::default(),
        registries: Vec::new(),
        checks: Checks { progress: None, pace: pace(&config.evidence) },
        archived: archived_by(&config.archive, archive(dir, config).await?, Arc::new(log_key)),
    })
}

/// The ledger must hold at least what is archived, and the same (design section 3, rule 11). The size from which on it is
/// not archived; `None` if the archive cannot be asked now: the archiver does it then, and nothing is admitted before.
async fn compare_with_archive(
    archive: &Archive,
    ledger: &Ledger,
    parts: &Parts,
    writer: &Writer,
    log_key: &SigningKey,
) -> Result<Option<u64>, Error> {
    let key = LogKey { origin: ledger.head().state.origin.clone(), key: log_key.verifying_key() };
    let mut attempts = 0..COMPARE_ATTEMPTS;
    loop {
        match archive.compare(ledger, &key).await {
            Ok(archived) => return Ok(Some(archived)),
            Err(Conflict::Unread(reader::Error::Store(StoreError::Unavailable(error)))) => {
                tracing::warn!(error, "the archive cannot be compared with the ledger yet");
                return Ok(None);
            }
            // Another node may have archived what was recorded since this one looked at the log's end.
            Err(Conflict::Behind { archived, .. })
                if attempts.next().is_some() && parts.log.end().await?.is_some_and(|end| end >= archived) =>
            {
                recover::catch_up(ledger, parts.log.as_ref(), writer.health()).await?;
            }
            Err(conflict) => return Err(Error::Archive(Box::new(conflict))),
        }
    }
}

impl Node {
    /// Opens a node's directory and follows its log.
    ///
    /// # Errors
    /// [`Error`]: rule 11 of the design, and everything that is missing.
    pub async fn open(dir: &Path, config: &Config) -> Result<Self, Error> {
        let log = open_log(config).await?;
        Self::start(dir, config, Parts { log, clock: Arc::new(SystemClock), evidence: None }).await
    }

    /// Starts a node on given parts.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(dir: &Path, config: &Config, parts: Parts) -> Result<Self, Error> {
        let pinned = config.pinned()?;
        let development = development(dir, config)?.map(Arc::new);
        let callers = callers(dir, config, development.as_deref())?;
        let log_key = log_key(dir, config)?;
        let key = keyfile::signing_key(&absolute(dir, &config.keys.front_door))?;
        let evidence = match parts.evidence.clone() {
            Some(evidence) => evidence,
            None => evidence_store(dir, config).await?,
        };
        let subjects = Arc::new(subject_records(dir, config).await?);
        crate::ledger::recover::bootstrap(dir, &pinned, parts.log.as_ref()).await?;
        let ledger = Arc::new(recover::open(dir, pinned, &log_key, false)?);
        let size = ledger.head().state.size();
        recover::compare_with_log(&ledger, &parts.log, size).await?;
        let inflight = Arc::new(Inflight::new(config.limits.inflight));
        let tail = parts.log.tail(size)?;
        let writer = Writer::start(ledger.clone(), inflight.clone(), tail, NodeKey::new(&log_key));
        recover::catch_up(&ledger, parts.log.as_ref(), writer.health()).await?;
        let comparison = Comparison::start(&ledger, &parts.log, writer.brake(), size);
        let archive = archive(dir, config).await?;
        let archived = compare_with_archive(&archive, &ledger, &parts, &writer, &log_key).await?;
        let id = digest::key_id(&key.verifying_key());
        if ledger.head().state.active_key(&id).is_none() {
            return Err(Error::FrontDoorKey(id));
        }
        let workers = Arc::new(Workers::start(&ledger)?);
        let audit = Arc::new(RoutingAudit::start(&ledger));
        let erasures = Erasures::start(&ledger, &subjects);
        let alerts = Arc::new(Alerts::default());
        let archiver = archiver::Parts {
            ledger: ledger.clone(),
            archive: archive.clone(),
            log_key: log_key.clone(),
            clock: parts.clock.clone(),
            alerts: alerts.clone(),
            timing: timing(&config.archive),
        };
        let archiver = Archiver::start(archiver, archived);
        let emergencies = Emergencies::start(&ledger, &alerts, &parts.clock);
        let (log, clock) = (parts.log.clone(), parts.clock.clone());
        let confirmer = Arc::new(Confirmer::new(ledger.clone(), workers.clone(), log, clock));
        let gateway = Arc::new(Gateway {
            ledger: ledger.clone(),
            inflight,
            log: parts.log.clone(),
            evidence: evidence.clone(),
            encrypt_evidence: config.evidence.encrypt,
            archive: archiver.progress.clone(),
            standing: Arc::new(Known::default()),
            retain_days: config.evidence.retain_days,
            subjects: subjects.clone(),
            key: NodeKey::new(&key),
            clock: parts.clock.clone(),
            confirm_within: Duration::from_secs(config.limits.confirm_seconds),
            witnessed_within: config
                .witnesses
                .promotions_wait
                .then(|| Duration::from_secs(config.witnesses.wait_seconds)),
            clock_away: AtomicU64::new(0),
            logins: logins(dir, config, development.as_deref())?,
            embedded_approvals: config.identity.embedded_approvals == config::EmbeddedApprovals::Verified,
            reviews: ReviewSessions::default(),
            routing: RoutingCache::default(),
            refusals: Mutex::default(),
            break_glass: break_glass_rules(dir, config)?,
        });
        let witnesses = anchors::start(dir, config, &parts, &ledger, &writer, &alerts, &log_key).await?;
        tokio::spawn(finish::finishers(Arc::downgrade(&gateway)));
        let told = notify::Parts { ledger: ledger.clone(), alerts: alerts.clone(), clock: parts.clock };
        let notifier = Notifier::start(dir, &config.notify, told)?;
        let followed =
            registry::Parts { ledger: ledger.clone(), gateway: gateway.clone(), alerts: alerts.clone() };
        let registries = Registries::start(dir, &config.registries, &followed).await?;
        let rechecked = rechecks::Parts {
            gateway: gateway.clone(),
            workers: workers.clone(),
            alerts: alerts.clone(),
            archive: archive.clone(),
            log_key: log_key.clone(),
            file: dir.join("evidence-checks.json"),
            pace: pace(&config.evidence),
        };
        let rechecks = Rechecks::start(rechecked).map_err(Error::Evidence)?;
        let (log, log_key) = (parts.log, Arc::new(log_key));
        let archived = archived_by(&config.archive, archive, log_key.clone());
        let every = Duration::from_secs(60 * config.evidence.checks.probe_minutes);
        let probing = Probing::start(&gateway, &alerts, every).await;
        Ok(Self {
            ledger,
            gateway,
            workers,
            audit,
            erasures,
            archiver,
            _witnesses: witnesses,
            emergencies,
            confirmer,
            log_key,
            archived,
            probing,
            rechecks,
            evidence,
            subjects,
            callers,
            development,
            alerts,
            log,
            comparison,
            notifier,
            registries,
            writer,
        })
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
            alerts: self.alerts.clone(),
            registries: self.registries.list().to_vec(),
            checks: Checks { progress: Some(self.rechecks.progress.clone()), pace: self.rechecks.pace },
            archived: self.archived.clone(),
        }
    }

    /// The gates' service of this node.
    pub fn gate(&self) -> Gate {
        Gate {
            gateway: self.gateway.clone(),
            confirmer: self.confirmer.clone(),
            log_key: self.log_key.clone(),
        }
    }

    /// Changes when the writer stops; then the node must stop too.
    pub fn health(&self) -> tokio::sync::watch::Receiver<Health> {
        self.writer.health()
    }

    /// Stops: writer first, so that what is acknowledged is synced, then projections. Blocking.
    pub fn stop(&self) {
        self.comparison.stop();
        self.notifier.stop();
        self.registries.stop();
        self.probing.stop();
        self.rechecks.stop();
        self.writer.stop();
        self.audit.stop();
        self.erasures.stop();
        self.archiver.stop();
        self.emergencies.stop();
        self.workers.stop(&self.ledger.store);
    }
}
