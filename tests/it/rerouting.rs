//! A policy is activated while a promotion is on its way, at the one moment that matters: the log is held for it. And a
//! front door that lies about a route: the nodes find it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use promotion_ledger::{
    api::server,
    clock::SystemClock,
    config::Config,
    event::{
        Digest, Header, Kind, Outcome, Reason, Seq, canonical, digest,
        promotion::promotion_key,
        proto::{Basis, Preconditions, Promoted, body::Event},
    },
    keyfile,
    ledger::state::Lookup,
    log::{self, Log, Outgoing, Tail, embedded::Embedded},
    node::{Node, Parts},
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::harness::{Directory, LogUnderTest, run};

/// An embedded log that can hold the next promotion back.
struct HeldLog {
    log: Embedded,
    hold: AtomicBool,
    held: Notify,
    release: Notify,
}

#[tonic::async_trait]
impl Log for HeldLog {
    async fn append(&self, outgoing: Outgoing) -> Result<(), log::Error> {
        if outgoing.kind == Kind::Promoted && self.hold.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            self.release.notified().await;
        }
        self.log.append(outgoing).await
    }

    fn tail(&self, from: Seq) -> Result<Box<dyn Tail>, log::Error> {
        self.log.tail(from)
    }

    async fn end(&self) -> Result<Option<Seq>, log::Error> {
        self.log.end().await
    }
}

/// A node in this process.
struct Ledger {
    dir: Directory,
    node: Arc<Node>,
    log: Arc<HeldLog>,
    url: String,
    stop: Arc<Notify>,
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit").join(path)
}

fn json(output: &Output) -> Value {
    let printed =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {printed}"))
}

impl Ledger {
    async fn start() -> Self {
        let dir = Directory::init(&LogUnderTest::Embedded);
        let config = Config::load(&dir.path(), serde_json::Map::new()).expect("a configuration");
        let log = Arc::new(HeldLog {
            log: Embedded::new(64),
            hold: AtomicBool::new(false),
            held: Notify::new(),
            release: Notify::new(),
        });
        let parts = Parts { log: log.clone(), clock: Arc::new(SystemClock), evidence: None };
        let node = Arc::new(Node::start(&dir.path(), &config, parts).await.expect("a node"));
        let listener = server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        crate::harness::note_development(&url, &dir.path());
        let stop = Arc::new(Notify::new());
        let (served, stopped, limits) = (node.clone(), stop.clone(), config.limits);
        tokio::spawn(async move {
            let stop = async move { stopped.notified().await };
            server::serve(served, listener, &limits, None, stop).await.expect("served");
        });
        Self { dir, node, log, url, stop }
    }

    fn activate(&self, policy: &Path) -> Value {
        let (file, key) = (policy.display().to_string(), self.dir.path().with_file_name("node.admin.pem"));
        let (key, url) = (key.display().to_string(), self.url.as_str());
        let origin =
            ["--repository", "https://git.example.bank/mrm", "--commit", "4f2a9c1", "--reviewer", "mkeller"];
        let rest = ["--admin-key", &key, "--url", url, "--format", "json"];
        json(&tokio::task::block_in_place(|| {
            run(&[&["policy", "activate", &file][..], &origin, &rest].concat())
        }))
    }

    fn promotion(&self, day: &str) -> Vec<String> {
        let file = example(day).join("promotion.yaml").display().to_string();
        ["promote", "-f", &file, "--url", &self.url, "--format", "json"].map(str::to_owned).to_vec()
    }

    fn promote(&self, day: &str) -> Value {
        let args = self.promotion(day);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        json(&tokio::task::block_in_place(|| run(&args)))
    }

    /// Promotes while a policy is activated: after the promotion was routed and signed, before it is on the log.
    async fn promote_during_activation(&self, day: &str, policy: &Path) -> Output {
        self.log.hold.store(true, Ordering::SeqCst);
        let args = self.promotion(day);
        let promoting = tokio::task::spawn_blocking(move || {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            run(&args)
        });
        tokio::time::timeout(Duration::from_secs(60), self.log.held.notified())
            .await
            .expect("it is on its way");
        self.activate(policy);
        self.log.release.notify_one();
        promoting.await.expect("it ended")
    }

    fn headers(&self) -> Vec<Header> {
        let size = self.node.ledger.head().state.size();
        let headers = self.node.ledger.store.headers(0, size).expect("headers");
        headers.iter().map(|bytes| Header::decode(bytes).expect("a header")).collect()
    }

    fn promoted(&self, seq: Seq) -> Promoted {
        let value = self.node.ledger.store.record(seq).expect("read").expect("a record");
        match canonical::decode(&value).expect("canonical").body.event {
            Some(Event::Promoted(promoted)) => promoted,
            other => panic!("entry {seq} is {other:?}"),
        }
    }

    fn stop(&self) {
        self.stop.notify_one();
        tokio::task::block_in_place(|| self.node.stop());
    }
}

/// The example's policy, changed, with the next version.
fn changed(dir: &Path, version: u32, change: impl Fn(String) -> String) -> PathBuf {
    let yaml = fs::read_to_string(example("policy.yaml")).expect("a policy");
    let versioned = yaml.replace("version: 1}", &format!("version: {version}}}"));
    assert_ne!(yaml, versioned);
    let path = dir.join(format!("policy-{version}.yaml"));
    fs::write(&path, change(versioned)).expect("a file");
    path
}

fn sha256_of(path: &Path) -> Vec<u8> {
    digest::sha256(&fs::read(path).expect("a file")).0.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_loses_the_race_with_an_activation_is_routed_again_or_refused() {
    let ledger = Ledger::start().await;
    let files = tempfile::tempdir().expect("a directory");
    let first = example("policy.yaml");
    ledger.activate(&first);
    ledger.promote("2026-11-07");

    // A service approved: nobody has to be asked again, the new policy routes.
    let second = changed(files.path(), 2, |yaml| yaml);
    let output = ledger.promote_during_activation("2026-11-14", &second).await;
    let recorded = json(&output);
    let seq = recorded["seq"].as_u64().expect("a seq");
    let loser = &ledger.headers()[seq as usize - 1];
    assert_eq!(
        (loser.kind, loser.outcome, loser.reason),
        (Some(Kind::Promoted), Outcome::Refused, Reason::Precondition)
    );
    let routing = ledger.promoted(seq).routing.expect("a route");
    assert_eq!((routing.policy_sha256, routing.policy_version), (sha256_of(&second), 2));
    assert!(routing.approved_under_sha256.is_empty(), "no person approved under the first");
    assert_eq!(routing.tier, "low");

    // People approved, and the new policy asks for the same: both are recorded.
    let third = changed(files.path(), 3, |yaml| yaml);
    let recorded = json(&ledger.promote_during_activation("2026-11-21", &third).await);
    let routing = ledger.promoted(recorded["seq"].as_u64().expect("a seq")).routing.expect("a route");
    assert_eq!(
        (routing.policy_sha256, routing.approved_under_sha256),
        (sha256_of(&third), sha256_of(&second))
    );
    ledger.stop();
    let dir = ledger.dir.path().display().to_string();
    assert_eq!(
        json(&run(&["verify", "--dir", &dir, "--format", "json"]))["routing_findings"],
        Value::Array(Vec::new())
    );
}

/// The front door's key signs a promotion whose route is not what its inputs give: accepted by the rules, which read no
/// policy, and found by every node.
#[tokio::test(flavor = "multi_thread")]
async fn a_lying_front_door_is_found_by_a_running_node() {
    let ledger = Ledger::start().await;
    ledger.activate(&example("policy.yaml"));
    ledger.promote("2026-11-07");
    let honest = ledger.promote("2026-11-14")["seq"].as_u64().expect("a seq");
    let head = ledger.node.ledger.head();
    let mut promoted = ledger.promoted(honest);
    // The same inputs again, although the slot holds another model by now.
    promoted.approval_request.as_mut().expect("a request").id = "CHG-forged".into();
    let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
    let slot_changed_at = ledger.node.ledger.store.slot(&slot).expect("read").map(|slot| slot.changed_at);
    let value = ledger.node.ledger.store.record(honest).expect("read").expect("a record");
    let body = canonical::decode(&value).expect("canonical").body;
    let key = promotion_key(&promoted);
    let forged = promotion_ledger::event::proto::Body {
        idempotency_key: key.0.to_vec(),
        basis: Some(Basis { size: head.state.size(), link: head.state.link.0.to_vec() }),
        preconditions: Some(Preconditions {
            slot_changed_at,
            policy_activated_at: head.state.policy.as_ref().map(|policy| policy.seq),
        }),
        event: Some(Event::Promoted(promoted)),
        ..body
    };
    let signer = keyfile::signing_key(&ledger.dir.path().join("keys/front-door.pem")).expect("a key");
    let value = canonical::seal_record(&forged, 1, &ledger.node.ledger.pinned, &signer);
    let outgoing = Outgoing {
        value,
        model: "german-credit-pd".into(),
        idempotency_key: Digest(key.0),
        kind: Kind::Promoted,
        origin: head.state.origin.clone(),
        recorded_at: forged.recorded_at,
    };
    ledger.log.append(outgoing).await.expect("appended");
    let found = &ledger.node.audit.found;
    for _ in 0..200 {
        if found.findings.load(Ordering::Relaxed) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = ledger.headers().pop().expect("an entry");
    assert_eq!((last.outcome, last.reason), (Outcome::Accepted, Reason::None), "the rules read no policy");
    assert_eq!(found.findings.load(Ordering::Relaxed), 1);
    let status =
        json(&tokio::task::block_in_place(|| run(&["status", "--url", &ledger.url, "--format", "json"])));
    assert_eq!(status["routing_findings"], 1, "{status}");
    ledger.stop();
}
