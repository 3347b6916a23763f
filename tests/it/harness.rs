//! A real node for tests: the built binary, a directory of its own, real gRPC. Killed by pid when dropped.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub use promotion_ledger::cli::source::Channel;
use promotion_ledger::{
    cli::{
        bench::sample::{self, Piece},
        credentials::Bearer,
    },
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
    identity::{
        development::{Config as Issuer, Development, ISSUER_DEFAULT, Somebody},
        principal::Role,
    },
    proof::{
        checkpoint::{self, LogKey},
        receipt,
        verify::{Depth, StoredEntry, Verifier},
    },
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport};

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

/// What the environment gives, or a loud skip.
pub fn service(variable: &str, test: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let skipped = format!("SKIPPED {test}: {variable} is not set; run tests/services/run-tests.sh");
        assert!(std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "{skipped}");
        eprintln!("\n********************************\n** {skipped}\n********************************");
    }
    value
}

/// Where the programs of others are that check a node (tests/services/go.sh), or a loud skip.
pub fn clients(test: &str) -> Option<PathBuf> {
    service("TLOG_CLIENTS", test).map(PathBuf::from)
}

/// A name that no other run uses.
pub fn unique(name: &str) -> String {
    format!("{name}-{}-{:x}", std::process::id(), SystemClock.now())
}

/// The built binary.
pub fn binary() -> Command {
    // What commands keep about ledgers that they saw goes beside the build, not into somebody's home directory.
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state");
    let mut command = Command::new(env!("CARGO_BIN_EXE_promotion-ledger"));
    command.env("XDG_STATE_HOME", state);
    command
}

/// Notes where the development key of a node in this process is, as `serve` would for commands of the built binary.
pub fn note_development(url: &str, dir: &Path) {
    let name: String = url.trim_start_matches("http://").replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let notes = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state/promotion-ledger/development");
    std::fs::create_dir_all(&notes).expect("a directory");
    let note = serde_json::json!({ "issuer": ISSUER_DEFAULT, "key": dir.join("keys/development.pem") });
    std::fs::write(notes.join(format!("{name}.json")), note.to_string()).expect("a note");
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
        match log {
            LogUnderTest::Embedded => Self::init_with(&[]),
            LogUnderTest::Kafka { bootstrap, topic } => {
                Self::init_with(&["--kafka", bootstrap, "--topic", topic, "--development-topic"])
            }
        }
    }

    /// Makes a ledger with `init` and further arguments.
    pub fn init_with(further: &[&str]) -> Self {
        let made =
            Self { temporary: tempfile::tempdir().expect("a temporary directory"), name: "node".into() };
        let dir = made.path().display().to_string();
        let output = run(&[&["init", "--dir", &dir, "--name", "localhost/test"], further].concat());
        assert!(output.status.success(), "init: {}", String::from_utf8_lossy(&output.stderr));
        made
    }

    /// Takes the development issuer out of the configuration, and appends to it.
    pub fn configure_without_development(&self, further: &str) {
        let file = self.path().join("promotion-ledger.toml");
        let config = std::fs::read_to_string(&file).expect("a configuration");
        let (before, rest) =
            config.split_once("# An identity provider of this node's own").expect("a section");
        let (_, after) = rest.split_once("# Whose access tokens").expect("the next section");
        let config = format!("{before}# Whose access tokens{after}{further}");
        std::fs::write(&file, config.replace("embedded_approvals = \"verified\"", "")).expect("written");
    }

    /// Another node of the same ledger: the same keys, evidence and people, but no entries.
    pub fn empty_twin(&self) -> Self {
        let name = "twin".to_owned();
        let twin = self.temporary.path().join(&name);
        std::fs::create_dir_all(twin.join("keys")).expect("a directory");
        for file in ["front-door.pem", "log.pem", "subjects.key", "development.pem"] {
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

/// The development issuer of a node that was started in a directory.
pub fn issuer(dir: &Path) -> Development {
    let key = promotion_ledger::keyfile::signing_key(&dir.join("keys/development.pem")).expect("a key");
    let config = Issuer { issuer: ISSUER_DEFAULT.into(), people: Vec::new() };
    Development::new(&config, &key).expect("an issuer")
}

/// Who calls in most tests.
pub const CALLER: &str = "u-3001";

/// Somebody with all roles.
pub fn somebody(subject: &str) -> Somebody {
    Somebody { subject: subject.into(), roles: Role::ALL.to_vec(), ..Somebody::default() }
}

/// The address in the line with which a node says where it listens.
pub fn listening(line: &str) -> String {
    address_in(line, "listening")
}

fn address_in(line: &str, name: &str) -> String {
    let started: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|_| panic!("the node did not start: {line:?}"));
    let address = started[name].as_str().unwrap_or_else(|| panic!("no address {name} in {line}"));
    format!("http://{address}")
}

/// A running node.
pub struct Node {
    child: Option<Child>,
    /// Its address.
    pub url: String,
    /// Address of its pages, tiles and hooks.
    pub http: String,
    /// Where its development issuer's key is.
    dir: PathBuf,
    /// Its lines on stderr, gathered until it ends.
    said: Option<std::thread::JoinHandle<Vec<String>>>,
}

impl Node {
    /// Starts `serve` and waits until it listens.
    pub fn serve(dir: &Path) -> Self {
        Self::serve_with(dir, &[])
    }

    /// The same with environment variables.
    pub fn serve_with(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--http-listen",
                "127.0.0.1:0",
                "--format",
                "json",
                "--dir",
            ])
            .arg(dir);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::started(command.spawn().expect("the binary starts"), dir)
    }

    fn started(mut child: Child, dir: &Path) -> Self {
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("the node's first line");
        if line.is_empty() {
            let output = child.wait_with_output().expect("the node's end");
            panic!("the node did not start: {}", String::from_utf8_lossy(&output.stderr));
        }
        let stderr = child.stderr.take().expect("a pipe");
        let said = std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.inspect(|line| eprintln!("node: {line}")).collect()
        });
        let mut node = Self::at(child, &line, dir);
        node.said = Some(said);
        node
    }

    /// A process that runs a node, and the line with which the node said where it listens.
    pub fn at(child: Child, line: &str, dir: &Path) -> Self {
        Self {
            child: Some(child),
            url: listening(line),
            http: address_in(line, "http"),
            dir: dir.to_path_buf(),
            said: None,
        }
    }

    /// An access token for somebody with all roles.
    pub fn token(&self, subject: &str) -> String {
        issuer(&self.dir).access_token(&somebody(subject), SystemClock.now(), 600).expect("a token")
    }

    /// GET over HTTP, as the usual caller.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        let request = reqwest::Client::new().get(format!("{}{path}", self.http));
        request.bearer_auth(self.token(CALLER)).send().await.expect("an answer")
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("a running node");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).expect("a signal");
    }

    /// Most memory that it had at a time, bytes.
    pub fn memory_peak(&self) -> u64 {
        let id = self.child.as_ref().expect("a running node").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
    }

    /// SIGSTOP: it stands still, with all its connections open.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// Waits until the node ends by itself: its exit code, and everything that it wrote to stderr.
    pub fn ends(mut self, within: Duration) -> (i32, String) {
        let deadline = Instant::now() + within;
        let mut child = self.child.take().expect("a running node");
        let status = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break status;
            }
            if Instant::now() > deadline {
                self.child = Some(child);
                panic!("the node still runs after {within:?}");
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let said = self.said.take().expect("started by `serve`").join().expect("its lines");
        (status.code().or(status.signal()).expect("a code or a signal"), said.join("\n"))
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        let child = self.child.as_mut().expect("a running node");
        child.kill().expect("a signal");
        child.wait().expect("an end");
    }

    /// SIGTERM, and waits for a clean end.
    pub fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.child.as_mut().expect("a running node").wait().expect("an end");
        assert!(status.success(), "the node ended with {status}");
    }

    /// SIGTERM, and waits for a clean end: everything that it wrote to stderr.
    pub fn stop_and_tell(self) -> String {
        self.signal(rustix::process::Signal::TERM);
        let (code, said) = self.ends(Duration::from_secs(30));
        assert_eq!(code, 0, "{said}");
        said
    }

    /// A client.
    pub async fn client(&self) -> Client {
        self.client_as(CALLER).await
    }

    /// A client of somebody with all roles.
    pub async fn client_as(&self, subject: &str) -> Client {
        Client::of(&self.url, issuer(&self.dir), somebody(subject)).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already where the test stopped or killed it.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Calls a node.
pub struct Client {
    channel: Channel,
    issuer: Development,
    /// The evidence of the sample promotions.
    pub pieces: [Piece; 7],
}

/// Codes that tell the caller to send the same request again; `Cancelled` and a transport error are the client's own
/// words for a connection that was closed under a call.
pub fn retryable(status: &Status) -> bool {
    use Code::{Aborted, Cancelled, DeadlineExceeded, ResourceExhausted, Unavailable};
    matches!(status.code(), Aborted | Cancelled | DeadlineExceeded | ResourceExhausted | Unavailable)
        || (status.code() == Code::Unknown && status.message() == "transport error")
}

impl Client {
    /// Of a node at an address, as somebody.
    pub async fn of(url: &str, issuer: Development, who: Somebody) -> Self {
        let endpoint = transport::Channel::from_shared(url.to_owned()).expect("an address");
        let connection = endpoint.connect().await.expect("a connection");
        let channel = InterceptedService::new(connection, Bearer::of(issuer.clone(), who));
        Self { channel, issuer, pieces: sample::evidence() }
    }

    /// Logs in for the approvals of a draft.
    pub fn approved(&self, mut draft: PromotionDraft) -> PromotionDraft {
        // What was signed for an earlier state of this draft is for another promotion.
        draft.approvals.iter_mut().for_each(|approval| approval.assertion.clear());
        self.issuer.log_in(&mut draft).expect("logins");
        draft
    }

    /// The connection.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

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
            ..EvidenceDescription::default()
        };
        self.upload_as(description, piece.bytes.clone()).await
    }

    /// Uploads bytes under a description that may be wrong.
    pub async fn upload_as(&self, description: EvidenceDescription, bytes: Vec<u8>) -> Result<(), Status> {
        let chunks: Vec<_> = bytes.chunks(128 * 1024).map(|chunk| Part::Chunk(chunk.to_vec())).collect();
        let parts = std::iter::once(Part::Description(description)).chain(chunks);
        let messages: Vec<_> = parts.map(|part| UploadEvidenceRequest { part: Some(part) }).collect();
        let messages = tokio_stream::iter(messages);
        self.emitter().upload_evidence(messages).await.map(|_| ())
    }

    /// The n-th sample promotion of a model.
    pub fn draft(&self, model: usize, n: u64) -> PromotionDraft {
        // The same draft every time it is asked for: retries repeat their request.
        static NOW: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| SystemClock.now());
        self.approved(sample::promotion(&self.pieces, "test", model, n, *NOW))
    }

    /// Promotes, with logins for the approvals that have none.
    pub async fn promote(&self, draft: PromotionDraft) -> Result<Receipt, Status> {
        let draft = self.approved(draft);
        let response = self.emitter().promote(PromoteRequest { promotion: Some(draft) }).await?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    /// The receipt of a promotion, as a caller gets it: the same request again while the answer says so. Stores and
    /// brokers of a busy machine may be slow.
    pub async fn settle(&self, draft: PromotionDraft) -> Receipt {
        let request = PromoteRequest { promotion: Some(self.approved(draft)) };
        let begun = Instant::now();
        loop {
            match self.emitter().promote(request.clone()).await {
                Ok(response) => return response.into_inner().receipt.expect("a receipt"),
                Err(status) if retryable(&status) && begun.elapsed() < Duration::from_secs(120) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(status) => panic!("after {:?}: {status}", begun.elapsed()),
            }
        }
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
