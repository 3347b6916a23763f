//! A real node for tests: the built binary, a directory of its own, real gRPC. Killed by pid when dropped.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use promotion_ledger::{
    cli::bench::sample::{self, Piece},
    clock::{Clock, SystemClock},
    event::{
        digest::sha256,
        proto::{
            EvidenceDescription, GetCheckpointRequest, GetStatusRequest, GetStatusResponse, PromoteRequest,
            PromotionDraft, ReadChainRequest, Receipt, UploadEvidenceRequest,
            auditor_service_client::AuditorServiceClient, consumer_service_client::ConsumerServiceClient,
            emitter_service_client::EmitterServiceClient, upload_evidence_request::Part,
        },
    },
    proof::{
        checkpoint::{self, LogKey},
        receipt,
        verify::{Depth, StoredEntry, Verifier},
    },
};
use tonic::{Status, transport::Channel};

/// Where a node's records go in a test.
#[derive(Debug, Clone)]
pub enum LogUnderTest {
    /// The ledger itself.
    Embedded,
    /// A topic on a real broker.
    Kafka {
        /// Brokers.
        bootstrap: String,
        /// A topic of this test's own.
        topic: String,
    },
}

/// The broker that the test run started, or a loud skip.
pub fn kafka(test: &str) -> Option<LogUnderTest> {
    let Some(bootstrap) = std::env::var("KAFKA_BOOTSTRAP").ok().filter(|bootstrap| !bootstrap.is_empty())
    else {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: KAFKA_BOOTSTRAP is not set, but REQUIRE_SERVICES=1"
        );
        eprintln!("SKIPPED {test}: no Kafka (KAFKA_BOOTSTRAP is not set); run it with `make test`");
        return None;
    };
    Some(LogUnderTest::Kafka { bootstrap, topic: unique(test) })
}

/// A name that no other run uses.
pub fn unique(name: &str) -> String {
    format!("{name}-{}-{:x}", std::process::id(), SystemClock.now())
}

/// The built binary.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_promotion-ledger"))
}

/// Runs a command of the binary to its end.
pub fn run(args: &[&str]) -> Output {
    binary().args(args).output().expect("the binary runs")
}

/// A directory with a ledger, removed at the end.
pub struct Directory {
    temporary: tempfile::TempDir,
    name: String,
}

impl Directory {
    /// Makes a ledger with `init`.
    pub fn init(log: &LogUnderTest) -> Self {
        let made =
            Self { temporary: tempfile::tempdir().expect("a temporary directory"), name: "node".into() };
        let dir = made.path().display().to_string();
        let mut args = vec!["init", "--dir", &dir, "--name", "localhost/test"];
        if let LogUnderTest::Kafka { bootstrap, topic } = log {
            args.extend(["--kafka", bootstrap, "--topic", topic, "--development-topic"]);
        }
        let output = run(&args);
        assert!(output.status.success(), "init: {}", String::from_utf8_lossy(&output.stderr));
        made
    }

    /// Another node of the same ledger: the same keys, evidence and people, but no entries.
    pub fn empty_twin(&self) -> Self {
        let name = "twin".to_owned();
        let twin = self.temporary.path().join(&name);
        std::fs::create_dir_all(twin.join("keys")).expect("a directory");
        for file in ["front-door.pem", "log.pem", "subjects.key"] {
            std::fs::copy(self.path().join("keys").join(file), twin.join("keys").join(file))
                .expect("a copied key");
        }
        let config =
            std::fs::read_to_string(self.path().join("promotion-ledger.toml")).expect("a configuration");
        let shared = |name: &str| format!("dir = {:?}", self.path().join(name));
        let config = config.replace("dir = \"evidence\"", &shared("evidence"));
        let config = config.replace("dir = \"subjects\"", &shared("subjects"));
        std::fs::write(twin.join("promotion-ledger.toml"), config).expect("a configuration");
        // The first directory lives as long as this one: both are in one temporary directory.
        Self {
            temporary: tempfile::tempdir_in(self.temporary.path()).expect("a directory"),
            name: twin.display().to_string(),
        }
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.temporary.path().join(&self.name)
    }
}

/// The address in the line with which a node says where it listens.
pub fn listening(line: &str) -> String {
    let started: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|_| panic!("the node did not start: {line:?}"));
    let address = started["listening"].as_str().unwrap_or_else(|| panic!("no address in {line}"));
    format!("http://{address}")
}

/// A running node.
pub struct Node {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Node {
    /// Starts `serve` and waits until it listens.
    pub fn serve(dir: &Path) -> Self {
        Self::serve_with(dir, &[])
    }

    /// The same with environment variables.
    pub fn serve_with(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--format", "json", "--dir"]).arg(dir);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::started(command.spawn().expect("the binary starts"))
    }

    fn started(mut child: Child) -> Self {
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("the node's first line");
        if line.is_empty() {
            let output = child.wait_with_output().expect("the node's end");
            panic!("the node did not start: {}", String::from_utf8_lossy(&output.stderr));
        }
        let stderr = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| eprintln!("node: {line}"))
        });
        Self::at(child, &line)
    }

    /// A process that runs a node, and the line with which the node said where it listens.
    pub fn at(child: Child, line: &str) -> Self {
        Self { child, url: listening(line) }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
    }

    /// SIGTERM, and waits for a clean end.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "the node ended with {status}");
    }

    /// A client.
    pub async fn client(&self) -> Client {
        let channel = Channel::from_shared(self.url.clone())
            .expect("an address")
            .connect()
            .await
            .expect("a connection");
        Client { channel, pieces: sample::evidence() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already where the test stopped or killed it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls a node.
pub struct Client {
    channel: Channel,
    /// The evidence of the sample promotions.
    pub pieces: [Piece; 7],
}

impl Client {
    /// The emitters' service.
    pub fn emitter(&self) -> EmitterServiceClient<Channel> {
        EmitterServiceClient::new(self.channel.clone())
    }

    /// The consumers' service.
    pub fn consumer(&self) -> ConsumerServiceClient<Channel> {
        ConsumerServiceClient::new(self.channel.clone())
    }

    /// The auditors' service.
    pub fn auditor(&self) -> AuditorServiceClient<Channel> {
        AuditorServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    /// Uploads the evidence of the sample promotions.
    pub async fn upload_all(&self) {
        for piece in &self.pieces {
            self.upload(piece).await.expect("an upload");
        }
    }

    /// Uploads one piece of evidence.
    pub async fn upload(&self, piece: &Piece) -> Result<(), Status> {
        let description = EvidenceDescription {
            sha256: sha256(&piece.bytes).0.to_vec(),
            length: piece.bytes.len() as u64,
            media_type: piece.media_type.into(),
        };
        self.upload_as(description, piece.bytes.clone()).await
    }

    /// Uploads bytes under a description that may be wrong.
    pub async fn upload_as(&self, description: EvidenceDescription, bytes: Vec<u8>) -> Result<(), Status> {
        let parts = [Part::Description(description), Part::Chunk(bytes)];
        let messages = tokio_stream::iter(parts.map(|part| UploadEvidenceRequest { part: Some(part) }));
        self.emitter().upload_evidence(messages).await.map(|_| ())
    }

    /// The n-th sample promotion of a model.
    pub fn draft(&self, model: usize, n: u64) -> PromotionDraft {
        // The same draft every time it is asked for: retries repeat their request.
        static NOW: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| SystemClock.now());
        sample::promotion(&self.pieces, "test", model, n, *NOW)
    }

    /// Promotes.
    pub async fn promote(&self, draft: PromotionDraft) -> Result<Receipt, Status> {
        let response = self.emitter().promote(PromoteRequest { promotion: Some(draft) }).await?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    /// How the node is doing.
    pub async fn status(&self) -> GetStatusResponse {
        self.auditor().get_status(GetStatusRequest {}).await.expect("a status").into_inner()
    }

    /// The log key.
    pub async fn log_key(&self) -> LogKey {
        LogKey::parse(&self.status().await.log_vkey).expect("a log key")
    }

    /// Everything that the node has.
    pub async fn entries(&self) -> Vec<StoredEntry> {
        let request = ReadChainRequest { from: 0, to: 0, with_records: true };
        let mut stream = self.auditor().read_chain(request).await.expect("a stream").into_inner();
        let mut entries = Vec::new();
        while let Some(message) = stream.message().await.expect("entries") {
            entries.extend(
                message
                    .entries
                    .into_iter()
                    .map(|entry| StoredEntry { header: entry.header, record: entry.record }),
            );
        }
        entries
    }

    /// Re-verifies everything from genesis against the signed checkpoint: every test ends with this.
    pub async fn check(&self) -> Verifier {
        let note =
            self.auditor().get_checkpoint(GetCheckpointRequest {}).await.expect("a checkpoint").into_inner();
        let opened = checkpoint::open(&note.checkpoint, &self.log_key().await).expect("a signed checkpoint");
        let mut entries = self.entries().await;
        entries.truncate(opened.size as usize);
        let mut verifier = Verifier::new(Depth::Signatures, None);
        verifier.push(&entries, 2).expect("a sound chain");
        assert!(verifier.agrees_with(&opened), "the checkpoint is not over these entries");
        verifier
    }

    /// Verifies a receipt as its holder would: offline, with the log key alone.
    pub fn check_receipt(receipt: &Receipt, key: &LogKey) {
        let parsed = receipt::Receipt::parse(&receipt.tlog_proof).expect("a tlog-proof");
        let (header, _) = parsed.verify(key).expect("a sound receipt");
        assert_eq!(header.seq, receipt.seq);
        assert_eq!(header.event_digest.0.to_vec(), receipt.event_digest);
    }
}
