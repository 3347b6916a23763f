//! The model registry on a real MLflow server: the pointer and then the alias, a crash between the two, a registry that is
//! away, and everything that nobody promoted.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use promotion_ledger::event::{
    Kind, canonical,
    digest::sha256,
    proto::{
        Receipt, RegistryFinding, RegistryProblem, RetireRequest, RollBackRequest, Slot, SlotRole,
        body::Event,
    },
};
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, run, unique},
    s3_service::{Service, service},
};

/// The server that the test run started, or a loud skip.
pub fn mlflow(test: &str) -> Option<String> {
    let url = std::env::var("MLFLOW_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: MLFLOW_URL is not set, but REQUIRE_SERVICES=1"
        );
        eprintln!("SKIPPED {test}: no MLflow (MLFLOW_URL is not set); run it with `make test`");
    }
    url
}

/// A registered model of this test's own, on the shared server.
pub struct Server {
    url: String,
    http: Http,
    model: String,
    alias: String,
    /// The run that made the versions, and where its files are on the server.
    run: String,
    home: String,
    /// Where files are that the server does not serve, and the bucket.
    store: Option<(Service, String)>,
}

/// A server of a test's own, whose artefacts are in a bucket; stopped when dropped.
struct Own {
    url: String,
    dir: tempfile::TempDir,
}

fn control() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/services/mlflow.sh")
}

impl Own {
    fn start(root: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let started = Command::new(control()).arg("start").arg(dir.path()).arg(root).output();
        let started = started.expect("a shell");
        let line = String::from_utf8_lossy(&started.stdout).into_owned();
        let url = line.trim().strip_prefix("URL=").unwrap_or_else(|| panic!("no MLflow: {started:?}"));
        Self { url: url.to_owned(), dir }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Ended already where it could not start.
        let _ = Command::new(control()).arg("stop").arg(self.dir.path()).status();
    }
}

fn bytes_of(version: u64) -> Vec<u8> {
    format!("the model's bytes, version {version}").into_bytes()
}

impl Server {
    /// Three versions of one file each.
    pub async fn with_versions(url: String, test: &str) -> Self {
        Self::stored(url, test, None).await
    }

    /// The same with the files in a bucket.
    async fn stored(url: String, test: &str, store: Option<(Service, String)>) -> Self {
        let (model, alias) = (unique(test), unique("champion"));
        let (run, home) = (String::new(), String::new());
        let mut server = Self { url, http: Http::new(), model, alias, run, home, store };
        let experiment =
            server.call(Method::POST, "experiments/create", json!({ "name": server.model })).await;
        let body = json!({ "experiment_id": experiment["experiment_id"] });
        let run = server.call(Method::POST, "runs/create", body).await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        server.run = text(&run["run"]["info"]["run_id"]);
        let home = text(&run["run"]["info"]["artifact_uri"]);
        let (scheme, path) = home.split_once('/').expect("a scheme");
        assert_eq!(scheme, if server.store.is_some() { "s3:" } else { "mlflow-artifacts:" }, "{home}");
        server.home = path.to_owned();
        server.call(Method::POST, "registered-models/create", json!({ "name": server.model })).await;
        for version in 1..=3 {
            server.upload(version, "model.bin", bytes_of(version)).await;
            let source = format!("{scheme}/{}/{version}", server.home);
            let body = json!({ "name": server.model, "source": source, "run_id": server.run });
            server.call(Method::POST, "model-versions/create", body).await;
        }
        server
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/api/2.0/mlflow/{path}", self.url);
        let request = match method {
            Method::GET => self.http.get(url).query(&body),
            _ => self.http.request(method, url).json(&body),
        };
        let answer = request.send().await.expect("an answer");
        let (code, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(code.is_success(), "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub async fn upload(&self, version: u64, file: &str, bytes: Vec<u8>) {
        if let Some((service, bucket)) = &self.store {
            let put = service.client.put_object().bucket(bucket).key(self.key(version, file));
            put.body(bytes.into()).send().await.expect("an object");
            return;
        }
        let at = format!("{}/api/2.0/mlflow-artifacts/artifacts/{}/{version}/{file}", self.url, self.home);
        let answer = self.http.put(at).body(bytes).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }

    /// The name of a file in the bucket.
    fn key(&self, version: u64, file: &str) -> String {
        let (_, bucket) = self.store.as_ref().expect("a bucket");
        let below = self.home.strip_prefix(&format!("/{bucket}/")).expect("below the bucket");
        format!("{below}/{version}/{file}")
    }

    /// The version that the alias points to.
    async fn points_to(&self) -> Option<u64> {
        let found = self.call(Method::GET, "registered-models/get", json!({ "name": self.model })).await;
        let aliases = found["registered_model"]["aliases"].as_array().cloned().unwrap_or_default();
        let alias = aliases.into_iter().find(|it| it["alias"] == self.alias.as_str())?;
        alias["version"].as_str().map(|text| text.parse().expect("a number"))
    }

    fn tag(&self) -> String {
        format!("promotion-ledger.{}", self.alias)
    }

    async fn pointer(&self, version: u64) -> Option<Value> {
        let query = json!({ "name": self.model, "version": version.to_string() });
        let found = self.call(Method::GET, "model-versions/get", query).await;
        let tags = found["model_version"]["tags"].as_array().cloned().unwrap_or_default();
        let tag = tags.into_iter().find(|it| it["key"] == self.tag().as_str())?;
        Some(serde_json::from_str(tag["value"].as_str().expect("text")).expect("JSON"))
    }

    pub async fn move_alias(&self, version: u64) {
        let body = json!({ "name": self.model, "alias": self.alias, "version": version.to_string() });
        self.call(Method::POST, "registered-models/alias", body).await;
    }

    async fn set_tag(&self, version: u64, value: &str) {
        let body =
            json!({ "name": self.model, "version": version.to_string(), "key": self.tag(), "value": value });
        self.call(Method::POST, "model-versions/set-tag", body).await;
    }
}

/// What stands between a node and the server: it can be away, or end the node when the alias is about to move.
#[derive(Default)]
struct Between {
    target: String,
    away: AtomicBool,
    /// Killed when it asks for the alias to be moved.
    victim: Mutex<Option<Node>>,
    /// What every call must carry as its authorization.
    expects: String,
    /// Whether every call did.
    known: AtomicBool,
}

const TOKEN: &str = "a-token-of-mlflow";

async fn between(target: &str, expects: String) -> (Arc<Between>, String) {
    let proxy = Between { target: target.to_owned(), expects, known: true.into(), ..Between::default() };
    let proxy = Arc::new(proxy);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = axum::Router::new().fallback(pass_on).with_state(proxy.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (proxy, url)
}

async fn pass_on(State(proxy): State<Arc<Between>>, request: Request) -> Response {
    if proxy.away.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "away").into_response();
    }
    let (parts, body) = request.into_parts();
    let carried = parts.headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    if carried != Some(&proxy.expects) {
        proxy.known.store(false, Ordering::SeqCst);
    }
    let victim = (parts.uri.path().ends_with("/registered-models/alias") && parts.method == Method::POST)
        .then(|| proxy.victim.lock().expect("a lock").take())
        .flatten();
    if let Some(node) = victim {
        node.kill();
        return (StatusCode::SERVICE_UNAVAILABLE, "nobody hears this").into_response();
    }
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let url = format!("{}{}", proxy.target, parts.uri.path_and_query().expect("a path"));
    let mut onward = Http::new().request(parts.method, url).body(body);
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        onward = onward.header(header::CONTENT_TYPE, kind);
    }
    let answer = onward.send().await.expect("an answer");
    let (code, bytes) = (answer.status(), answer.bytes().await.expect("a body"));
    (code, Body::from(bytes)).into_response()
}

/// A ledger whose node follows the registry at an address.
pub struct Stage {
    pub dir: Directory,
    pub server: Server,
    uri: String,
}

impl Stage {
    pub fn new(server: Server, url: &str, further: &str) -> Self {
        let dir = Directory::init(&LogUnderTest::Embedded);
        let uri = format!("mlflow://{}", server.model);
        let file = dir.path().join("promotion-ledger.toml");
        let config = std::fs::read_to_string(&file).expect("a configuration");
        let registry = format!(
            "{config}\n[[registries]]\nname = \"models\"\nuri = \"{uri}\"\nurl = \"{url}\"\nsweep_minutes = 1000\n{further}\n[[registries.targets]]\nenvironment = \"production\"\nregion = \"eu\"\nalias = \"{}\"\n",
            server.alias
        );
        std::fs::write(&file, registry).expect("a configuration");
        Self { dir, server, uri }
    }

    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    pub async fn serve(&self) -> (Node, Client) {
        let node = Node::serve(&self.dir.path());
        let client = node.client().await;
        client.upload_all().await;
        (node, client)
    }

    /// Promotes a version of the registry, over another one.
    pub async fn promote(&self, client: &Client, version: u64, champion: Option<u64>) -> Receipt {
        let mut draft = client.draft(0, u64::from(champion.is_some()));
        let artifact = sha256(&bytes_of(version)).0.to_vec();
        draft.slot = Some(Slot {
            model: "credit".into(),
            environment: "production".into(),
            region: "eu".into(),
            role: SlotRole::Champion.into(),
        });
        let model = draft.model_version.as_mut().expect("a model");
        model.artifact_sha256.clone_from(&artifact);
        (model.registry_uri, model.name) = (self.uri.clone(), self.server.model.clone());
        model.version = version.to_string();
        draft.explanations.iter_mut().for_each(|it| it.explains.clone_from(&artifact));
        let comparison = draft.challenger_comparison.as_mut().expect("a comparison");
        if let (Some(comparator), Some(champion)) = (comparison.comparators.first_mut(), champion) {
            comparator.artifact_sha256 = sha256(&bytes_of(champion)).0.to_vec();
        }
        draft.approval_request.as_mut().expect("a request").id = format!("RISK-{version}-{champion:?}");
        client.promote(draft).await.expect("a promotion")
    }

    /// Waits until the registry has everything.
    pub async fn until_followed(&self, client: &Client) {
        for _ in 0..150 {
            let status = client.status().await;
            if status.registries[0].size == status.synced_size {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the registry does not follow: {:?}", client.status().await.registries);
    }

    /// What a sweep by command finds.
    fn sweep(&self, node: &Node) -> Vec<RegistryFinding> {
        let output = run(&["registry", "sweep", "--url", &node.url, "--format", "json"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: Value = serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(answer["unread"], json!([]), "{answer}");
        let findings = answer["findings"].as_array().expect("findings");
        assert_eq!(output.status.code(), Some(i32::from(!findings.is_empty())), "{answer}");
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let problem = |name: &str| {
            let name = format!("REGISTRY_PROBLEM_{}", name.to_uppercase());
            RegistryProblem::from_str_name(&name).expect("a problem")
        };
        let found = findings.iter().map(|it| RegistryFinding {
            registry_uri: text(it, "registry_uri"),
            name: text(it, "name"),
            version: text(it, "version"),
            alias: text(it, "alias"),
            problem: problem(&text(it, "problem")).into(),
            promoted_seq: it["promoted_seq"].as_u64(),
            detail: text(it, "detail"),
            day: 0,
        });
        found.collect()
    }

    /// Findings in the ledger.
    pub async fn recorded(&self, client: &Client) -> Vec<RegistryFinding> {
        let entries = client.entries().await;
        let events = entries.iter().filter_map(|it| canonical::decode(&it.record).ok()?.body.event);
        let found = events.filter_map(|event| match event {
            Event::RegistryFinding(finding) => Some(finding),
            _ => None,
        });
        found.collect()
    }
}

pub fn problems(found: &[RegistryFinding]) -> Vec<(String, RegistryProblem)> {
    let mut problems: Vec<_> =
        found.iter().map(|it| (it.version.clone(), RegistryProblem::try_from(it.problem).unwrap())).collect();
    problems.sort_by_key(|(version, problem)| (version.clone(), *problem as i32));
    problems
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_gets_its_pointer_and_then_its_alias() {
    let Some(url) = mlflow("a_version_gets_its_pointer_and_then_its_alias") else { return };
    let stage = Stage::new(Server::with_versions(url.clone(), "follow").await, &url, "");
    let (node, client) = stage.serve().await;
    let first = stage.promote(&client, 1, None).await;
    stage.until_followed(&client).await;
    let origin = client.status().await.origin;
    let pointer = |receipt: &Receipt| {
        let digest = hex::encode(&receipt.event_digest);
        Some(json!({ "origin": origin, "seq": receipt.seq, "event_digest": digest }))
    };
    assert_eq!(stage.server.pointer(1).await, pointer(&first));
    assert_eq!(stage.server.points_to().await, Some(1));
    // On its schedule, which begins with the node, too.
    for _ in 0..50 {
        if client.status().await.registries[0].swept_at > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(client.status().await.registries[0].swept_at > 0, "never swept");
    let second = stage.promote(&client, 2, Some(1)).await;
    stage.until_followed(&client).await;
    assert_eq!(
        (stage.server.pointer(1).await, stage.server.pointer(2).await),
        (pointer(&first), pointer(&second))
    );
    assert_eq!(stage.server.points_to().await, Some(2));
    assert_eq!(stage.sweep(&node), []);
    let back = RollBackRequest {
        to_seq: first.seq,
        actor: None,
        reason: "v2 declines too many".into(),
        request_id: "back".into(),
        slot: None,
    };
    client.emitter().roll_back(back).await.expect("a roll-back");
    stage.until_followed(&client).await;
    assert_eq!(stage.server.points_to().await, Some(1));
    let retire = RetireRequest {
        promoted_seq: first.seq,
        actor: None,
        reason: "done".into(),
        request_id: "retire".into(),
    };
    client.emitter().retire(retire).await.expect("a retirement");
    stage.until_followed(&client).await;
    assert_eq!(stage.server.points_to().await, None, "nothing is current");
    assert_eq!(stage.sweep(&node), []);
    assert_eq!(stage.recorded(&client).await, []);
    client.check().await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_pointer_and_alias_is_repaired() {
    let Some(url) = mlflow("a_crash_between_pointer_and_alias_is_repaired") else { return };
    let (proxy, through) = between(&url, format!("Bearer {TOKEN}")).await;
    let server = Server::with_versions(url, "crash").await;
    let stage = Stage::new(server, &through, "token_file = \"mlflow.token\"");
    stage.secret("mlflow.token", TOKEN);
    let (node, client) = stage.serve().await;
    *proxy.victim.lock().expect("a lock") = Some(node);
    stage.promote(&client, 1, None).await;
    for _ in 0..100 {
        if proxy.victim.lock().expect("a lock").is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(proxy.victim.lock().expect("a lock").is_none(), "the alias was never about to move");
    assert_eq!((stage.server.pointer(1).await.is_some(), stage.server.points_to().await), (true, None));
    let (node, client) = stage.serve().await;
    stage.until_followed(&client).await;
    assert_eq!(stage.server.points_to().await, Some(1));
    assert_eq!(stage.sweep(&node), []);
    assert!(proxy.known.load(Ordering::SeqCst), "a call without the token");
    client.check().await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_delays_the_pointer_and_never_the_event() {
    let Some(url) = mlflow("a_registry_that_is_away_delays_the_pointer_and_never_the_event") else { return };
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ledger:{TOKEN}")));
    let (proxy, through) = between(&url, basic).await;
    let login = "username = \"ledger\"\npassword_file = \"mlflow.password\"";
    let stage = Stage::new(Server::with_versions(url, "away").await, &through, login);
    stage.secret("mlflow.password", TOKEN);
    let (node, client) = stage.serve().await;
    proxy.away.store(true, Ordering::SeqCst);
    let receipt = stage.promote(&client, 1, None).await;
    let alerted = |status: &promotion_ledger::event::proto::GetStatusResponse| {
        status.alerts.iter().any(|alert| alert.name == "registry.models")
    };
    let mut status = client.status().await;
    for _ in 0..100 {
        if alerted(&status) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        status = client.status().await;
    }
    assert!(alerted(&status), "{:?}", status.alerts);
    let registry = &status.registries[0];
    assert!(registry.size <= receipt.seq && registry.trouble.contains("503"), "{registry:?}");
    let shown = run(&["status", "--url", &node.url]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("entries behind"), "{shown}");
    let swept = run(&["registry", "sweep", "--url", &node.url]);
    assert_eq!(swept.status.code(), Some(3), "{}", String::from_utf8_lossy(&swept.stderr));
    proxy.away.store(false, Ordering::SeqCst);
    stage.until_followed(&client).await;
    assert_eq!((stage.server.pointer(1).await.is_some(), stage.server.points_to().await), (true, Some(1)));
    assert!(!alerted(&client.status().await));
    assert!(proxy.known.load(Ordering::SeqCst), "a call without the password");
    client.check().await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_finds_what_nobody_promoted() {
    use RegistryProblem::{AliasMoved, AliasRemoved, Digest, PointerChanged, PointerRemoved};
    let Some(url) = mlflow("a_sweep_finds_what_nobody_promoted") else { return };
    let stage = Stage::new(Server::with_versions(url.clone(), "sweep").await, &url, "");
    let server = &stage.server;
    let (node, client) = stage.serve().await;
    stage.promote(&client, 1, None).await;
    let second = stage.promote(&client, 2, Some(1)).await;
    stage.until_followed(&client).await;
    let pointer = server.pointer(2).await.expect("a pointer").to_string();
    assert_eq!(stage.sweep(&node), []);

    server.move_alias(3).await;
    server.upload(2, "model.bin", b"other bytes".to_vec()).await;
    server.set_tag(2, &pointer.replace(&second.seq.to_string(), "9999")).await;
    server.set_tag(3, &pointer).await;
    let found = stage.sweep(&node);
    let expected = [("2", PointerChanged), ("2", Digest), ("3", AliasMoved), ("3", PointerChanged)]
        .map(|(version, problem)| (version.to_owned(), problem));
    assert_eq!(problems(&found), expected);
    assert!(found.iter().all(|it| it.registry_uri == stage.uri && it.name == server.model));
    assert_eq!(problems(&stage.recorded(&client).await), expected, "each is an entry");
    let status = client.status().await;
    assert_eq!(status.registries[0].open_findings, 4);
    let alerts: Vec<_> = status.alerts.iter().filter(|it| it.name.contains(".finding")).collect();
    assert_eq!(alerts.len(), 4, "{alerts:?}");
    stage.sweep(&node);
    assert_eq!(stage.recorded(&client).await.len(), 4, "the same of the same day is one entry");
    let listed = run(&["list", "--kind", "registry_finding", "--url", &node.url]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("alias moved without a promotion"), "{listed}");

    // The bytes again under the same names; the pointer; an extra file beside the model's is another model.
    server.upload(2, "model.bin", bytes_of(2)).await;
    server.set_tag(2, &pointer).await;
    let untag = json!({ "name": server.model, "version": "3", "key": server.tag() });
    server.call(Method::DELETE, "model-versions/delete-tag", untag).await;
    server
        .call(
            Method::DELETE,
            "registered-models/alias",
            json!({ "name": server.model, "alias": server.alias }),
        )
        .await;
    let untag = json!({ "name": server.model, "version": "1", "key": server.tag() });
    server.call(Method::DELETE, "model-versions/delete-tag", untag).await;
    let expected =
        [("", AliasRemoved), ("1", PointerRemoved)].map(|(version, problem)| (version.to_owned(), problem));
    assert_eq!(problems(&stage.sweep(&node)), expected);
    server.upload(2, "extra.bin", b"x".to_vec()).await;
    assert!(problems(&stage.sweep(&node)).contains(&("2".into(), Digest)));
    let kinds: Vec<_> = client.entries().await.iter().map(|it| it.header[1]).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::RegistryFinding.number()).count(), 6);
    client.check().await;
    node.stop();
    let verified = run(&["verify", "--dir", &stage.dir.path().display().to_string()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registrys_own_webhook_makes_the_node_look_at_once() {
    let Some(url) = mlflow("the_registrys_own_webhook_makes_the_node_look_at_once") else { return };
    let secret = "a secret of mlflow's webhook";
    let server = Server::with_versions(url.clone(), "webhook").await;
    let stage = Stage::new(server, &url, "webhook_secret_file = \"webhook.secret\"");
    stage.secret("webhook.secret", secret);
    let (node, client) = stage.serve().await;
    stage.promote(&client, 1, None).await;
    stage.until_followed(&client).await;
    let hook = format!("{}/registry/v1/models/webhook", node.http);
    let event = |entity: &str, action: &str| json!({ "entity": entity, "action": action });
    let events = [event("MODEL_VERSION_ALIAS", "CREATED"), event("MODEL_VERSION_TAG", "SET")];
    let body = json!({ "name": stage.server.model, "url": hook, "events": events, "secret": secret });
    stage.server.call(Method::POST, "webhooks", body).await;
    // MLflow remembers its webhooks for a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stage.server.move_alias(3).await;
    let mut found = Vec::new();
    for _ in 0..100 {
        found = stage.recorded(&client).await;
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(problems(&found), [("3".to_owned(), RegistryProblem::AliasMoved)]);

    // A delivery that the secret did not sign is not believed.
    let forged = stage
        .server
        .http
        .post(&hook)
        .header("x-mlflow-delivery-id", "1")
        .header("x-mlflow-timestamp", "1700000000")
        .header("x-mlflow-signature", "v1,AAAA")
        .body(r#"{"data":{"name":"x"}}"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
    let other = stage.server.http.post(hook.replace("models", "others")).send().await.expect("an answer");
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    client.check().await;
    node.stop();
}

/// What MLflow does not hand out itself lies in a bucket, and is read there.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_reads_artefacts_that_lie_in_object_storage() {
    let test = "a_sweep_reads_artefacts_that_lie_in_object_storage";
    let (Some(_), Some(service)) = (mlflow(test), service(test)) else { return };
    let bucket = service.unlocked_bucket("models", false).await;
    let own = Own::start(&format!("s3://{bucket}/mlflow"));
    let store = Some((service.clone(), bucket.clone()));
    let server = Server::stored(own.url.clone(), "bucket", store).await;
    let further = format!(
        "[[registries.s3]]\nbucket = {bucket:?}\nprefix = \"mlflow/\"\nendpoint = {:?}\npath_style = true\ncredentials = {:?}\n",
        service.endpoint, service.credentials
    );
    let stage = Stage::new(server, &own.url, &further);
    let server = &stage.server;
    let (node, client) = stage.serve().await;
    let promoted = stage.promote(&client, 1, None).await;
    stage.until_followed(&client).await;
    // Nothing is left unread, which `sweep` looks at.
    assert_eq!(stage.sweep(&node), []);

    let other = [("1".to_owned(), RegistryProblem::Digest)];
    // As long as before, so that only the bytes tell.
    let mut bytes = bytes_of(1);
    bytes.reverse();
    server.upload(1, "model.bin", bytes).await;
    let found = stage.sweep(&node);
    assert_eq!((problems(&found).as_slice(), found[0].promoted_seq), (&other[..], Some(promoted.seq)));
    assert_eq!(problems(&stage.recorded(&client).await), other, "it is an entry");
    server.upload(1, "model.bin", bytes_of(1)).await;
    assert_eq!(stage.sweep(&node), []);
    // What a registry writes beside the model is no part of it; anything else below it is.
    server.upload(1, "registered_model_meta", b"x".to_vec()).await;
    assert_eq!(stage.sweep(&node), []);
    server.upload(1, "data/weights.bin", b"x".to_vec()).await;
    assert_eq!(problems(&stage.sweep(&node)), other);
    for file in ["data/weights.bin", "model.bin", "registered_model_meta"] {
        let delete = service.client.delete_object().bucket(&bucket).key(server.key(1, file));
        delete.send().await.expect("deleted");
    }
    let found = stage.sweep(&node);
    assert!(problems(&found) == other && found[0].detail.contains("its files are gone"), "{found:?}");
    client.check().await;
    node.stop();

    // Without credentials for the bucket it is said, not passed over.
    let file = stage.dir.path().join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, config.replace(&further, "")).expect("written");
    let (node, _) = stage.serve().await;
    let output = run(&["registry", "sweep", "--url", &node.url, "--format", "json"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("for which no registries.s3 gives credentials") && said.contains(&bucket),
        "{said}"
    );
    node.stop();
}
