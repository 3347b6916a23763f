//! The stage: a ledger, a real node in this process, its clock, and connections to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::cli::source::Channel;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    api::server,
    cli::{
        credentials, init,
        output::{Exit, Failure, Result},
        source::connect,
        submit::Emitter,
    },
    clock::Clock,
    config::Config,
    event::{
        Digest, Micros,
        proto::{GetStatusRequest, auditor_service_client::AuditorServiceClient},
    },
    identity::development::Development,
    node::{self, Node, Parts},
    proof::checkpoint::LogKey,
};

/// When an entry is due to be archived, microseconds: what `init` writes as archive.every_seconds.
const DUE_AFTER: Micros = 60 * 1_000_000;
/// How long the story waits for that.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const ARCHIVED_LOOK: Duration = Duration::from_millis(10);

/// A clock that shows what the story says.
#[derive(Debug, Clone)]
struct StoryClock(Arc<AtomicU64>);

impl Clock for StoryClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// Where the demo plays.
pub struct Stage {
    /// The node's directory.
    pub dir: PathBuf,
    /// The credit example.
    pub examples: PathBuf,
    /// Where the node listens.
    pub url: String,
    /// Known from `init`, not from the node.
    pub key: LogKey,
    /// Known from `init`, not from the node.
    pub ledger_id: Digest,
    /// The administrator's key.
    pub admin_key: PathBuf,
    clock: StoryClock,
    channel: Channel,
    node: Arc<Node>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::result::Result<(), tonic::transport::Error>>,
}

/// A time of the story.
pub fn time(text: &str) -> Micros {
    let time = text.parse::<jiff::Timestamp>().ok();
    time.and_then(|time| Micros::try_from(time.as_microsecond()).ok())
        .expect("times of the story are written in this program")
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Internal, error.to_string())
}

impl Stage {
    /// Makes a ledger in a directory and starts its node.
    ///
    /// # Errors
    /// Whatever keeps a node from starting.
    pub async fn set(dir: &Path, examples: PathBuf, now: Micros) -> Result<Self> {
        let made = init::make_at(&init_args(dir), now).await?;
        let key = LogKey::parse(&made.vkey).map_err(internal)?;
        let config = Config::load(dir, serde_json::Map::new()).map_err(internal)?;
        let clock = StoryClock(Arc::new(AtomicU64::new(now)));
        let log = node::open_log(&config).await.map_err(internal)?;
        let parts = Parts { log, clock: Arc::new(clock.clone()), evidence: None };
        let node = Arc::new(Node::start(dir, &config, parts).await.map_err(internal)?);
        let listener = server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(internal)?;
        let listening = listener.local_addr();
        let url = format!("http://{}", listening.as_ref().map_err(internal)?);
        let (stop, stopped) = oneshot::channel();
        let (serving, limits) = (node.clone(), config.limits);
        let served = tokio::spawn(async move {
            // If the demo is gone, so is the reason to serve.
            server::serve(serving, listener, &limits, None, async { drop(stopped.await) }).await
        });
        if let (Some(issuer), Ok(address)) = (&node.development, listening) {
            credentials::runs_here(address, issuer);
        }
        let channel = connect(Some(&url)).await?;
        let dir = dir.to_path_buf();
        Ok(Self {
            dir,
            examples,
            url,
            key,
            ledger_id: made.ledger_id,
            admin_key: made.admin_key.unwrap_or_default(),
            clock,
            channel,
            node,
            stop,
            served,
        })
    }

    /// Sets the node's clock, and waits until the node has archived what became due: days pass here in no time, and a node
    /// whose entries have waited for days admits nothing.
    pub async fn at(&self, now: Micros) -> Micros {
        self.clock.0.store(now, Ordering::SeqCst);
        let begun = Instant::now();
        while begun.elapsed() < ARCHIVED_WITHIN {
            // What cannot be asked is told by the step that needs the node.
            let Ok(status) = self.auditor().get_status(GetStatusRequest {}).await else { break };
            let status = status.into_inner();
            let archive = status.archive.unwrap_or_default();
            // 0: the archiver has not looked since the last entry.
            let since = archive.waiting_since;
            if archive.size >= status.synced_size || (since > 0 && now.saturating_sub(since) < DUE_AFTER) {
                break;
            }
            tokio::time::sleep(ARCHIVED_LOOK).await;
        }
        now
    }

    /// What the node's clock shows.
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// The node's development issuer, at which the story's people log in.
    ///
    /// # Errors
    /// If the node has none.
    pub fn issuer(&self) -> Result<Arc<Development>> {
        self.node.development.clone().ok_or_else(|| internal("the node has no development issuer"))
    }

    /// A client for emitters.
    pub fn emitter(&self) -> Emitter<Channel> {
        Emitter::new(self.channel.clone())
    }

    /// A client for auditors.
    pub fn auditor(&self) -> AuditorServiceClient<Channel> {
        AuditorServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    /// The connection.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// A file of the example.
    pub fn example(&self, path: &str) -> PathBuf {
        self.examples.join(path)
    }

    /// Stops the node.
    ///
    /// # Errors
    /// Of the transport.
    pub async fn strike(self) -> Result<()> {
        let Self { channel, node, stop, served, .. } = self;
        drop(channel);
        // The server is gone already if nobody listens; awaiting it says why.
        let _ = stop.send(());
        let ended = served.await.map_err(internal)?;
        tokio::task::spawn_blocking(move || node.stop()).await.map_err(internal)?;
        ended.map_err(internal)
    }
}

fn init_args(dir: &Path) -> init::Args {
    init::Args {
        dir: dir.to_path_buf(),
        name: "ledger.example.bank/credit".into(),
        time_zone: "UTC".into(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7420)),
        admin_key: None,
        admins: Vec::new(),
        admin_quorum: 1,
        kafka: None,
        topic: None,
        development_topic: false,
        properties: Vec::new(),
        encrypt_evidence: None,
    }
}
