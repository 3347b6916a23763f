//! One task for each registry: bring it to where the ledger is, then sweep it when it is time or somebody asks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use zeroize::Zeroizing;

use super::{
    config::Config,
    follow::{self, Follower},
    sweep::{self, Scope, Swept},
    webhook::{self, Headers, Refusal},
};
use crate::{
    admission::gateway::Gateway,
    alert::Alerts,
    clock::Clock,
    event::{
        Micros, Seq,
        proto::{RegistryFinding, RegistryProblem, body::Event},
    },
    evidence::s3::Bucket,
    keyfile,
    ledger::Ledger,
    mlflow::{self, Client, Credentials},
};

/// Between attempts, at first and at most.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Failed attempts after which somebody must look.
const ATTEMPTS_BEFORE_ALERT: u32 = 3;
/// Questions that wait; more of a webhook's are dropped, since the sweep comes anyway.
const ASKED_MAX: usize = 64;
/// Microseconds of a day.
const DAY: Micros = 24 * 3600 * 1_000_000;

/// Why registries are not followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret.
    #[error("{0}")]
    Key(#[from] keyfile::Error),
    /// An address.
    #[error("registries: {0}: {1}")]
    Client(String, String),
    /// The cursor or the ledger.
    #[error("registries: {0}: {1}")]
    Follow(String, follow::Error),
}

/// What the tasks need.
pub struct Parts {
    /// Entries.
    pub ledger: Arc<Ledger>,
    /// Records findings.
    pub gateway: Arc<Gateway>,
    /// Where findings and trouble are raised.
    pub alerts: Arc<Alerts>,
}

/// How far a registry is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Entries whose consequences are in the registry.
    pub done: Seq,
    /// Why it does not go on; empty if nothing is wrong.
    pub trouble: String,
    /// The end of the last sweep of the whole registry; 0: none yet.
    pub swept_at: Micros,
    /// Contradictions that the last sweeps found and that are still there.
    pub open: u64,
}

struct Ask {
    scope: Scope,
    reply: Option<oneshot::Sender<Result<Swept, String>>>,
}

/// A registry, for those who ask about it.
pub struct Registry {
    /// Its name in the configuration.
    pub name: String,
    /// Its name in promotions.
    pub uri: String,
    secret: Option<Zeroizing<String>>,
    asks: mpsc::Sender<Ask>,
    status: Mutex<Status>,
    clock: Arc<dyn Clock>,
}

impl Registry {
    /// How far it is.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Sweeps now: one model, or everything.
    ///
    /// # Errors
    /// In words, if the registry cannot be asked.
    pub async fn sweep(&self, model: Option<String>) -> Result<Swept, String> {
        let (reply, answer) = oneshot::channel();
        let scope = Scope { model, bytes: true };
        let stopped = || "the node is stopping".to_owned();
        self.asks.send(Ask { scope, reply: Some(reply) }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Takes a delivery of the registry's webhook: the model that it names is swept soon.
    ///
    /// # Errors
    /// [`Refusal`]; without a secret every signature is refused.
    pub fn told(&self, headers: Headers<'_>, body: &[u8]) -> Result<(), Refusal> {
        let secret = self.secret.as_ref().ok_or(Refusal::Signature)?;
        let model = webhook::read(secret.as_bytes(), headers, body, self.clock.now() / 1_000_000)?;
        let scope = Scope { model: Some(model), bytes: false };
        // Full: what waits already will see this change too, or the next sweep does.
        drop(self.asks.try_send(Ask { scope, reply: None }));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().expect("no code panics while holding this lock")
    }
}

async fn buckets(dir: &Path, config: &Config) -> Result<Vec<Bucket>, Error> {
    let mut buckets = Vec::new();
    for settings in &config.s3 {
        buckets.push(Bucket::connect(settings, dir).await?);
    }
    Ok(buckets)
}

/// The running tasks. Dropping them or [`Registries::stop`] ends them at once: a cursor moves only after what it stands for.
pub struct Registries {
    list: Vec<Arc<Registry>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Registries {
    /// Starts to follow.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(dir: &Path, configs: &[Config], parts: &Parts) -> Result<Self, Error> {
        let (mut list, mut tasks) = (Vec::new(), Vec::new());
        for config in configs {
            let secret = |path: &PathBuf| {
                let text = keyfile::secret_text(&dir.join(path))?;
                Ok::<_, keyfile::Error>(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
            };
            let credentials = match (&config.token_file, &config.password_file) {
                (Some(path), _) => Credentials::Token(secret(path)?),
                (None, Some(path)) => Credentials::Basic(config.username.clone(), secret(path)?),
                (None, None) => Credentials::None,
            };
            let webhook = config.webhook_secret_file.as_ref().map(secret).transpose()?;
            if webhook.as_ref().is_some_and(|secret| secret.len() < webhook::SECRET_LEN_MIN) {
                let path = config.webhook_secret_file.clone().unwrap_or_default().display().to_string();
                return Err(keyfile::Error::Format(path, "a secret of 16 bytes or more").into());
            }
            let client = Client::new(&config.url, credentials)
                .map_err(|why| Error::Client(config.name.clone(), why))?
                .with_buckets(buckets(dir, config).await?);
            let follower = Follower::open(dir, config, &parts.ledger)
                .map_err(|error| Error::Follow(config.name.clone(), error))?;
            let (asks, asked) = mpsc::channel(ASKED_MAX);
            let registry = Arc::new(Registry {
                name: config.name.clone(),
                uri: config.uri.clone(),
                secret: webhook,
                asks,
                status: Mutex::new(Status { done: follower.done(), ..Status::default() }),
                clock: parts.gateway.clock.clone(),
            });
            let worker = Worker {
                registry: registry.clone(),
                ledger: parts.ledger.clone(),
                gateway: parts.gateway.clone(),
                alerts: parts.alerts.clone(),
                client,
                follower,
                every: Duration::from_secs(60 * config.sweep_minutes),
                raised: BTreeMap::new(),
            };
            tasks.push(tokio::spawn(worker.run(asked)));
            list.push(registry);
        }
        Ok(Self { list, tasks: Mutex::new(tasks) })
    }

    /// Every registry, in the order of the configuration.
    pub fn list(&self) -> &[Arc<Registry>] {
        &self.list
    }

    /// One registry, by its name.
    pub fn get(&self, name: &str) -> Option<&Arc<Registry>> {
        self.list.iter().find(|registry| registry.name == name)
    }

    /// Ends the tasks.
    pub fn stop(&self) {
        let mut tasks = self.tasks.lock().expect("no code panics while holding this lock");
        tasks.drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Registries {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    gateway: Arc<Gateway>,
    alerts: Arc<Alerts>,
    client: Client,
    follower: Follower,
    every: Duration,
    /// Open alerts of findings, by name: the model, and whether only reading bytes can end it.
    raised: BTreeMap<String, (String, bool)>,
}

impl Worker {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut heads = self.ledger.heads();
        let (mut attempts, mut next_sweep) = (0, Instant::now());
        loop {
            let size = heads.borrow_and_update().state.size();
            if let Err(error) = self.catch_up(size).await {
                attempts += 1;
                if !self.wait_out(&error.to_string(), attempts, &mut asked).await {
                    return;
                }
                continue;
            }
            if attempts > 0 {
                attempts = 0;
                self.alerts.clear(&self.alert());
            }
            let ask = tokio::select! {
                changed = heads.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                ask = asked.recv() => match ask {
                    Some(ask) => ask,
                    None => return,
                },
                () = tokio::time::sleep_until(next_sweep) => {
                    Ask { scope: Scope { model: None, bytes: true }, reply: None }
                }
            };
            let whole = ask.scope.model.is_none();
            let swept = self.sweep(&ask.scope).await.map_err(|error| error.to_string());
            if let Err(why) = &swept {
                let words = format!("registry {} could not be swept: {why}", self.registry.uri);
                self.alerts.raise(&format!("{}.sweep", self.alert()), &words, self.gateway.clock.now());
            }
            if whole {
                next_sweep =
                    Instant::now() + if swept.is_ok() { self.every } else { WAIT_MAX.min(self.every) };
            }
            if let Some(reply) = ask.reply {
                // Who asked may be gone.
                let _ = reply.send(swept);
            }
        }
    }

    fn alert(&self) -> String {
        format!("registry.{}", self.registry.name)
    }

    async fn catch_up(&mut self, size: Seq) -> Result<(), follow::Error> {
        let left_out = self.follower.catch_up(&self.client, size).await?;
        for follow::LeftOut(what) in left_out {
            let words = format!("the registry does not take something and it is left out: {what}");
            self.alerts.raise(&format!("{}.refused", self.alert()), &words, self.gateway.clock.now());
        }
        let mut status = self.registry.lock();
        status.done = self.follower.done();
        status.trouble.clear();
        Ok(())
    }

    /// Waits before the next attempt, and answers those who ask meanwhile. False: the node stops.
    async fn wait_out(&self, why: &str, attempts: u32, asked: &mut mpsc::Receiver<Ask>) -> bool {
        tracing::warn!(registry = self.registry.name, attempts, why, "the registry is not up to date");
        why.clone_into(&mut self.registry.lock().trouble);
        if attempts >= ATTEMPTS_BEFORE_ALERT {
            let (size, done) = (self.ledger.head().state.size(), self.follower.done());
            let words = format!(
                "registry {} is {} entries behind the ledger, whose promotions go on: {why}",
                self.registry.uri,
                size.saturating_sub(done)
            );
            self.alerts.raise(&self.alert(), &words, self.gateway.clock.now());
        }
        let wait = WAIT_MIN * 2u32.saturating_pow(attempts.saturating_sub(1).min(10));
        let until = Instant::now() + wait.min(WAIT_MAX);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                ask = asked.recv() => match ask {
                    None => return false,
                    Some(Ask { reply: Some(reply), .. }) => drop(reply.send(Err(why.to_owned()))),
                    Some(_) => {}
                }
            }
        }
    }

    async fn sweep(&mut self, scope: &Scope) -> Result<Swept, mlflow::Error> {
        let now = self.gateway.clock.now();
        let day = u32::try_from(now / DAY).unwrap_or(u32::MAX);
        let swept =
            sweep::sweep(&self.client, &self.follower.expected, &self.registry.uri, scope, day).await?;
        self.alerts.clear(&format!("{}.sweep", self.alert()));
        for words in &swept.unread {
            tracing::warn!(registry = self.registry.name, words, "bytes were not compared");
        }
        self.note(scope, &swept.findings, now);
        for finding in &swept.findings {
            let event = Event::RegistryFinding(finding.clone());
            if let Err(error) = self.gateway.observe(event, &finding.name).await {
                tracing::warn!(%error, "a finding could not be recorded yet; the next sweep finds it again");
            }
        }
        let mut status = self.registry.lock();
        status.open = self.raised.len() as u64;
        if scope.model.is_none() {
            status.swept_at = now;
        }
        drop(status);
        // What was left out, and matters, was found again.
        if scope.model.is_none() {
            self.alerts.clear(&format!("{}.refused", self.alert()));
        }
        Ok(swept)
    }

    /// Raises an alert for each finding, and ends those that a sweep of this scope would have found again.
    fn note(&mut self, scope: &Scope, findings: &[RegistryFinding], now: Micros) {
        let named: BTreeMap<_, _> = findings.iter().map(|finding| (self.name_of(finding), finding)).collect();
        let over = |name: &String, (model, bytes): &(String, bool)| {
            let in_scope = scope.model.as_ref().is_none_or(|only| only == model) && (scope.bytes || !bytes);
            in_scope && !named.contains_key(name)
        };
        let ended: Vec<_> = self
            .raised
            .iter()
            .filter(|(name, about)| over(name, about))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            self.alerts.clear(&name);
            self.raised.remove(&name);
        }
        for (name, finding) in named {
            let bytes = finding.problem == i32::from(RegistryProblem::Digest);
            self.alerts.raise(&name, &format!("{} of {}", finding.detail, finding.name), now);
            self.raised.insert(name, (finding.name.clone(), bytes));
        }
    }

    fn name_of(&self, finding: &RegistryFinding) -> String {
        let problem = RegistryProblem::try_from(finding.problem).unwrap_or_default().as_str_name();
        let problem = problem.strip_prefix("REGISTRY_PROBLEM_").unwrap_or(problem).to_lowercase();
        let RegistryFinding { name, version, alias, .. } = finding;
        format!("{}.finding: {problem} {name} {version} @{alias}", self.alert())
    }
}
