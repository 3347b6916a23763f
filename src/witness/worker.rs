//! The rounds: the newest checkpoint to every witness, their cosignatures back, kept in a file beside the database.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    alert::Alerts,
    clock::Clock,
    durable,
    event::Digest,
    keyfile,
    ledger::{Head, Ledger, ledger::Witnessed},
    proof::{
        checkpoint::{self, LogKey},
        cosignature::{self, WitnessKey},
    },
};

use super::{
    anchor::Anchor,
    client::{Client, Refusal},
    config::Config,
    kept::{COSIGNED, NEWEST},
    peers::Peers,
    split_view,
    stamps::Stamps,
};

/// Between two cosigned checkpoints that are kept for good at least.
const KEEP_EVERY: Duration = Duration::from_secs(600);
/// Between two rounds at least, so that a busy ledger does not ask its witnesses for every sync.
const ROUND_EVERY: Duration = Duration::from_millis(100);
/// When a round that was not complete is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What the rounds need.
#[derive(Clone)]
pub struct Parts {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The key that signs its checkpoints.
    pub log_key: LogKey,
    /// Where refusals are raised.
    pub alerts: Arc<Alerts>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names the checkpoints in the anchor.
    pub ledger_id: Digest,
}

/// Why the rounds do not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key, which the configuration was checked for.
    #[error("{0}")]
    Key(#[from] cosignature::KeyError),
    /// TLS cannot be set up.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// The root of a time-stamp authority.
    #[error("witnesses.timestamps: {path}: {why}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Credentials of the anchor's bucket.
    #[error("witnesses.anchor: {0}")]
    Anchor(#[from] keyfile::Error),
    /// Somebody has seen more of this ledger than this node has: it was rolled back, or lost its end.
    #[error(
        "{who} has seen {seen} entries of this ledger, but this node has {size}: it was rolled back or lost its end; restore it from the log or the archive, and keep what is there"
    )]
    Behind {
        /// Who.
        who: String,
        /// Entries that it saw.
        seen: u64,
        /// Entries here.
        size: u64,
    },
}

/// The running rounds. They stop when this is dropped.
pub struct Witnesses {
    running: Vec<JoinHandle<()>>,
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

impl Witnesses {
    /// Asks every witness and the anchor what they saw, and starts the rounds. Who cannot be asked now is asked again.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Behind`] if one of them saw more than this node has.
    pub async fn start(dir: &Path, config: &Config, parts: &Parts) -> Result<Self, Error> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(config.wait_seconds)).build()?;
        // Aborted with the others where a later step fails.
        let mut started = Self { running: Vec::new() };
        let running = &mut started.running;
        if let Some(anchor) = &config.anchor {
            let anchor = Anchor::connect(dir, anchor, parts.clone()).await?;
            anchor.compare().await?;
            running.push(anchor.start());
        }
        let client = |witness: &super::Witness| {
            let key = WitnessKey::parse(&witness.key)?;
            Ok::<_, Error>(Arc::new(Client::new(key, &witness.url, http.clone())))
        };
        let clients = config.witness.iter().map(client).collect::<Result<Vec<_>, _>>()?;
        if !clients.is_empty() {
            let file = dir.join(NEWEST);
            if let Some(kept) = kept(&file, &parts.log_key, &clients, config.needed) {
                parts.ledger.publish_witnessed(kept);
            }
            let rounds =
                Rounds { parts: parts.clone(), clients, needed: config.needed, file, kept: Mutex::default() };
            let head = parts.ledger.head();
            if let Some((who, seen)) = rounds.round(&head).await.ahead {
                return Err(Error::Behind { who, seen, size: head.state.size() });
            }
            running.push(tokio::spawn(rounds.run()));
        }
        if !config.peers.is_empty() {
            let (ledger, log_key) = (parts.ledger.clone(), parts.log_key.clone());
            let (urls, http) = (config.peers.clone(), http.clone());
            running.push(Peers { ledger, log_key, urls, dir: dir.to_path_buf(), http }.start());
        }
        if !config.timestamps.is_empty() {
            running.push(Stamps::open(dir, &config.timestamps, parts.clone(), http)?.start());
        }
        Ok(started)
    }
}

/// The checkpoint of an earlier run, if it is one of this ledger and has enough cosignatures still.
fn kept(file: &Path, key: &LogKey, clients: &[Arc<Client>], needed: usize) -> Option<Witnessed> {
    let note = std::fs::read_to_string(file).ok()?;
    let size = checkpoint::open(&note, key).ok()?.size;
    let keys: Vec<_> = clients.iter().map(|client| client.key.clone()).collect();
    (cosignature::cosignatures(&note, &keys).len() >= needed).then_some(Witnessed { size, note })
}

/// How a round ended.
struct Round {
    /// Every witness cosigned.
    complete: bool,
    /// A witness that has cosigned more than this node has, and how much.
    ahead: Option<(String, u64)>,
}

struct Rounds {
    parts: Parts,
    clients: Vec<Arc<Client>>,
    needed: usize,
    file: PathBuf,
    /// When a checkpoint was last kept for good.
    kept: Mutex<Option<Instant>>,
}

impl Rounds {
    async fn run(self) {
        let mut heads: watch::Receiver<Arc<Head>> = self.parts.ledger.heads();
        loop {
            let head = heads.borrow_and_update().clone();
            let complete = self.round(&head).await.complete;
            let wait = async {
                if complete {
                    // Ends when the ledger is gone.
                    heads.changed().await.is_ok()
                } else {
                    tokio::time::sleep(RETRY_AFTER).await;
                    true
                }
            };
            if !wait.await {
                return;
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
    }

    /// One round.
    async fn round(&self, head: &Head) -> Round {
        let (size, note) = (head.state.size(), head.checkpoint.as_str());
        let ask = |client: &Arc<Client>| {
            let (client, ledger, note) = (client.clone(), self.parts.ledger.clone(), note.to_owned());
            tokio::spawn(async move { client.cosign(&ledger, size, &note).await })
        };
        let asked: Vec<_> = self.clients.iter().map(ask).collect();
        let mut witnessed = note.to_owned();
        let (mut count, mut ahead) = (0, None);
        for (client, answer) in self.clients.iter().zip(asked) {
            let name = format!("witness {}", client.key.name);
            let answer = answer.await.unwrap_or_else(|error| Err(Refusal::Unavailable(error.to_string())));
            match answer {
                Ok((cosigned, _)) => {
                    self.parts.alerts.clear(&name);
                    witnessed.push_str(cosigned.strip_prefix(note).unwrap_or_default());
                    count += 1;
                }
                Err(refusal) => {
                    if let Refusal::Ahead { witnessed, .. } = refusal {
                        ahead = Some((name.clone(), witnessed));
                    }
                    self.keep_evidence(&refusal, client, note);
                    self.parts.alerts.raise(&name, &refusal.to_string(), self.parts.clock.now());
                }
            }
        }
        if count >= self.needed && count > 0 {
            if let Err(error) = replace(&self.file, &witnessed) {
                tracing::error!(%error, file = %self.file.display(), "the cosigned checkpoint was not kept");
            }
            if let Err(error) = self.keep(size, &witnessed) {
                tracing::error!(%error, size, "the cosigned checkpoint was not kept for good");
            }
            self.parts.ledger.publish_witnessed(Witnessed { size, note: witnessed });
        }
        Round { complete: count == self.clients.len(), ahead }
    }

    /// Keeps a cosigned checkpoint for good, now and then: it says later how old the entries before it are at least.
    fn keep(&self, size: u64, witnessed: &str) -> std::io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_some_and(|kept| kept.elapsed() < KEEP_EVERY) {
            return Ok(());
        }
        let dir = self.file.with_file_name(COSIGNED);
        std::fs::create_dir_all(&dir)?;
        durable::create(&dir.join(format!("{size}.txt")), witnessed.as_bytes(), 0o444)?;
        *kept = Some(Instant::now());
        Ok(())
    }

    /// A split view stops admission, and is kept as this node signed it; the other half is with the witness.
    fn keep_evidence(&self, refusal: &Refusal, client: &Client, note: &str) {
        let Refusal::SplitView { witnessed } = refusal else { return };
        let dir = self.file.parent().unwrap_or(Path::new("."));
        let evidence = format!("{note}\nrefused by {}: {refusal}\n", client.key.vkey());
        let why = format!("the witness {}: {refusal}", client.key.name);
        split_view::found(&self.parts.ledger, dir, *witnessed, &evidence, &why);
    }
}

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(unfinished, file)
}
