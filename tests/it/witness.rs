//! An unmodified omniwitness cosigns what a node records, and refuses what does not continue it.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signer as _, SigningKey};
use promotion_ledger::{
    event::proto::{GetReceiptRequest, GetStatusResponse},
    keyfile,
    proof::{
        checkpoint::{self, Checkpoint},
        cosignature::{WitnessKey, cosignatures},
        receipt::Receipt,
    },
};

use crate::{
    anchors::verified,
    harness::{Client, Directory, LogUnderTest, Node, clients, run},
};

const NAME: &str = "witness.test/w1";

/// A running omniwitness, killed when dropped.
pub struct Omniwitness {
    child: Child,
    url: String,
    key: WitnessKey,
}

impl Drop for Omniwitness {
    fn drop(&mut self) {
        // Ended already where it could not start.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

impl Omniwitness {
    /// Starts it, trusting one log.
    pub fn start(clients: &Path, dir: &Path, vkey: &str) -> Self {
        let seed = SigningKey::from_bytes(&[42; 32]);
        let id = signed_note::key_id(NAME, &[&[1][..], seed.verifying_key().as_bytes()].concat());
        let private = BASE64_STANDARD.encode([&[1][..], seed.as_bytes()].concat());
        std::fs::write(dir.join("witness.key"), format!("PRIVATE+KEY+{NAME}+{id:08x}+{private}"))
            .expect("written");
        let origin = vkey.split('+').next().expect("an origin");
        let logs = format!(
            "Logs:\n  - Origin: {origin}\n    PublicKey: {vkey}\n    URL: http://127.0.0.1:1/\n    Feeder: none\n"
        );
        std::fs::write(dir.join("logs.yaml"), logs).expect("written");
        let address = free();
        let mut command = Command::new(clients.join("omniwitness"));
        command.args(["--listen", &address, "--metrics_listen", ""]);
        command.arg("--db_file").arg(dir.join("witness.db"));
        command.arg("--additional_logs").arg(dir.join("logs.yaml"));
        command.arg("--private_key_path").arg(dir.join("witness.key"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("omniwitness starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "omniwitness does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let key = WitnessKey { name: NAME.into(), key: seed.verifying_key() };
        Self { child, url: format!("http://{address}/"), key }
    }
}

/// Replaces the section of witnesses in a node's configuration.
pub fn configure(dir: &Path, settings: &str) {
    let file = dir.join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    let (before, rest) = config.split_once("[witnesses]").expect("the section");
    let (_, after) = rest.split_once("[http]").expect("the next one");
    std::fs::write(file, format!("{before}[witnesses]\n{settings}\n[http]{after}")).expect("written");
}

/// The settings for one witness.
pub fn witness(of: &Omniwitness, promotions_wait: bool) -> String {
    format!(
        "needed = 1\npromotions_wait = {promotions_wait}\n[[witnesses.witness]]\nurl = {:?}\nkey = {:?}\n",
        of.url,
        of.key.vkey()
    )
}

async fn until(client: &Client, done: impl Fn(&GetStatusResponse) -> bool) -> GetStatusResponse {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = client.status().await;
        if done(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Setup {
    clients: PathBuf,
    dir: Directory,
    files: tempfile::TempDir,
    vkey: String,
}

/// The log's verifier key of a node's directory.
pub fn vkey(of: &Directory) -> String {
    let status = run(&["status", "--format", "json", "--dir", &of.path().display().to_string()]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    status["log_vkey"].as_str().expect("a key").to_owned()
}

fn setup(test: &str) -> Option<Setup> {
    let clients = clients(test)?;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let vkey = vkey(&dir);
    Some(Setup { clients, dir, files: tempfile::tempdir().expect("a directory"), vkey })
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_wait_for_an_unmodified_witness_and_receipts_carry_its_cosignature() {
    let Some(given) = setup("promotions_wait_for_an_unmodified_witness") else { return };
    let omni = Omniwitness::start(&given.clients, given.files.path(), &given.vkey);
    configure(&given.dir.path(), &witness(&omni, true));
    let node = Node::serve(&given.dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let witnesses = [omni.key.clone()];
    for n in 0..3 {
        let receipt = client.promote(client.draft(0, n)).await.expect("a receipt");
        Client::check_receipt(&receipt, &client.log_key().await);
        let receipt = Receipt::parse(&receipt.tlog_proof).expect("a receipt");
        assert_eq!(cosignatures(&receipt.checkpoint, &witnesses).len(), 1, "{}", receipt.checkpoint);
    }
    // Any entry's receipt carries it, and so does what tlog clients are shown.
    let genesis =
        client.auditor().get_receipt(GetReceiptRequest { seq: 0 }).await.expect("a receipt").into_inner();
    let shown = reqwest::get(format!("{}/checkpoint", node.http))
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    assert_eq!(cosignatures(&shown, &witnesses).len(), 1);
    let file = given.files.path().join("genesis.tlog-proof");
    std::fs::write(&file, genesis.tlog_proof).expect("written");
    let file = file.display().to_string();
    let verify = |witness: &str| {
        run(&["verify", "--receipt", &file, "--key", &given.vkey, "--witness", witness, "--format", "json"])
    };
    let done = verify(&omni.key.vkey());
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((done.status.code(), json["seen_by"][0]["witness"].as_str()), (Some(0), Some(NAME)));
    let other = WitnessKey { name: "witness.test/w2".into(), key: omni.key.key };
    assert_eq!(verify(&other.vkey()).status.code(), Some(1));

    // After a restart it goes on: the witness answers 409 with what it has, and the proof follows from there.
    node.stop();
    let node = Node::serve(&given.dir.path());
    let client = node.client().await;
    let receipt = client.promote(client.draft(1, 0)).await.expect("a receipt");
    let receipt = Receipt::parse(&receipt.tlog_proof).expect("a receipt");
    assert_eq!(cosignatures(&receipt.checkpoint, &witnesses).len(), 1);
    // Without the witness a promotion is recorded, but not answered as done; asked again later, it stays one.
    drop(omni);
    let status = client.promote(client.draft(1, 1)).await.expect_err("nobody cosigns");
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status}");
    until(&client, |status| status.alerts.iter().any(|alert| alert.name.contains(NAME))).await;
    let omni = Omniwitness::start(&given.clients, given.files.path(), &given.vkey);
    node.stop();
    configure(&given.dir.path(), &witness(&omni, true));
    let node = Node::serve(&given.dir.path());
    let client = node.client().await;
    let size = client.status().await.synced_size;
    let deadline = Instant::now() + Duration::from_secs(20);
    let receipt = loop {
        match client.promote(client.draft(1, 1)).await {
            Ok(receipt) => break receipt,
            Err(status) => assert!(Instant::now() < deadline, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(receipt.duplicate && client.status().await.synced_size == size);
    client.check().await;
    node.stop();
}

/// A note with its last signature's bytes changed: key id, time, signature.
fn resigned(note: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let (before, last) = note.trim_end().rsplit_once(' ').expect("a signature");
    let mut bytes = BASE64_STANDARD.decode(last).expect("base64");
    change(&mut bytes);
    format!("{before} {}\n", BASE64_STANDARD.encode(bytes))
}

/// Between which times an entry was recorded, by the ages that `verify` tells.
fn bracket(json: &serde_json::Value, seq: u64) -> [Option<u64>; 2] {
    let within = |range: &&serde_json::Value| {
        range["first"].as_u64() <= Some(seq) && range["last"].as_u64() >= Some(seq)
    };
    let range = json["ages"].as_array().and_then(|ages| ages.iter().find(within)).expect("a range");
    ["not_before", "not_after"].map(|side| {
        assert!(range[side].is_null() || range[side]["by"] == NAME, "{json}");
        range[side]["time"].as_u64().map(|time| time / 1_000_000)
    })
}

/// Entries are dated by the cosignatures that a node kept, and by nothing that only looks like one.
#[tokio::test(flavor = "multi_thread")]
async fn verify_dates_entries_by_kept_cosignatures_and_by_no_forged_one() {
    let Some(given) = setup("verify_dates_entries_by_kept_cosignatures_and_by_no_forged_one") else { return };
    let omni = Omniwitness::start(&given.clients, given.files.path(), &given.vkey);
    configure(&given.dir.path(), &witness(&omni, true));
    let of = |file: &str| given.dir.path().join(file);
    let (key, path) = (omni.key.vkey(), given.dir.path().display().to_string());
    let verify = |place: [&str; 2], key: &str| {
        let (code, json) = verified(&[&place[..], &["--witness", key]].concat(), &[]);
        assert_eq!((code, &json["verified"]), (Some(0), &true.into()), "{json}");
        json
    };
    let cosigned = |note: &str| cosignatures(note, std::slice::from_ref(&omni.key))[0].seconds;
    // Each start keeps a checkpoint for good: one without the first promotion, one with it, and not the second one.
    let mut sizes = Vec::new();
    let mut seqs = Vec::new();
    let mut of_node = serde_json::Value::Null;
    for n in 0..2 {
        let node = Node::serve(&given.dir.path());
        let client = node.client().await;
        sizes.push(client.status().await.synced_size);
        client.upload_all().await;
        seqs.push(client.promote(client.draft(0, n)).await.expect("a receipt").seq);
        if n == 1 {
            // Once only: the checkpoint that this computer keeps of a run dates entries in the next one.
            of_node = verify(["--url", &node.url], &key);
        }
        node.stop();
        // Cosignatures have whole seconds.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let files = sizes.iter().map(|size| format!("witnessed/{size}.txt")).chain(["witnessed.txt".into()]);
    let notes: Vec<_> = files.map(|file| std::fs::read_to_string(of(&file)).expect("a kept note")).collect();
    let times: Vec<_> = notes.iter().map(|note| cosigned(note)).collect();
    assert!(times[0] < times[1] && times[1] <= times[2], "{times:?}");
    for json in [of_node, verify(["--dir", &path], &key)] {
        assert_eq!(bracket(&json, 0), [None, Some(times[0])], "{json}");
        assert_eq!(bracket(&json, seqs[0]), [Some(times[0]), Some(times[1])], "{json}");
        assert_eq!(bracket(&json, seqs[1]), [Some(times[1]), Some(times[2])], "{json}");
        let kept = serde_json::json!([{ "kind": "cosigned", "there": 3, "read": 3 }]);
        assert_eq!(json["vouched_for"], kept, "{json}");
    }
    let stranger = SigningKey::from_bytes(&[43; 32]);
    let other = WitnessKey { name: NAME.into(), key: stranger.verifying_key() };
    assert_eq!(
        bracket(&verify(["--dir", &path], &other.vkey()), 0),
        [None, None],
        "another key of that name"
    );

    // Only the file that was kept for good dates the first promotion now; then what an operator could write in its place.
    std::fs::remove_file(of("witnessed.txt")).expect("removed");
    let file = of(&format!("witnessed/{}.txt", sizes[1]));
    let (text, _) = notes[1].split_once("\n\n").expect("a note");
    let earlier = (times[0] - 1).to_be_bytes();
    let line = |note: &str| note.lines().last().expect("a signature").to_owned();
    let forged: [(&str, String); 4] = [
        ("another time", resigned(&notes[1], |bytes| bytes[4..12].copy_from_slice(&earlier))),
        ("another signature", resigned(&notes[1], |bytes| bytes[20] ^= 1)),
        ("of another checkpoint", notes[1].replace(&line(&notes[1]), &line(&notes[0]))),
        (
            "by somebody else in its name",
            resigned(&notes[1], |bytes| {
                let message = format!("cosignature/v1\ntime {}\n{text}\n", times[1]);
                bytes.truncate(12);
                bytes.extend(stranger.sign(message.as_bytes()).to_bytes());
            }),
        ),
    ];
    assert_eq!(bracket(&verify(["--dir", &path], &key), seqs[0]), [Some(times[0]), Some(times[1])]);
    for (name, note) in forged {
        assert_ne!(note, notes[1], "{name}");
        std::fs::remove_file(&file).expect("removed");
        std::fs::write(&file, note).expect("written");
        let json = verify(["--dir", &path], &key);
        assert_eq!(bracket(&json, seqs[0]), [Some(times[0]), None], "{name}: {json}");
    }
}

/// The witness has cosigned another history of this ledger: the node stops admitting and keeps the evidence.
async fn stops_at_another_history(given: Setup, grown: bool) {
    let omni = Omniwitness::start(&given.clients, given.files.path(), &given.vkey);
    let key = keyfile::signing_key(&given.dir.path().join("keys/log.pem")).expect("the log key");
    let other = Checkpoint {
        origin: "localhost/test".into(),
        size: 1,
        root: promotion_ledger::event::Digest([7; 32]),
    };
    let body = format!("old 0\n\n{}", checkpoint::sign(&other, &key));
    let http = reqwest::Client::new();
    let answer = http.post(format!("{}add-checkpoint", omni.url)).body(body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut size = 1;
    if grown {
        let node = Node::serve(&given.dir.path());
        let client = node.client().await;
        client.upload_all().await;
        client.promote(client.draft(0, 0)).await.expect("nobody has looked yet");
        size = client.status().await.synced_size;
        assert!(size > 1);
        node.stop();
    }
    configure(&given.dir.path(), &witness(&omni, false));
    let node = Node::serve(&given.dir.path());
    let client = node.client().await;
    let status = until(&client, |status| !status.not_admitting.is_empty()).await;
    assert!(status.not_admitting.contains("split view"), "{}", status.not_admitting);
    let kept = std::fs::read_to_string(given.dir.path().join("split-view-1.txt")).expect("the evidence");
    assert!(kept.contains(NAME) && kept.starts_with(&format!("localhost/test\n{size}\n")), "{kept}");
    client.upload_all().await;
    assert!(client.promote(client.draft(0, 1)).await.is_err());
    node.stop();
}

/// Of the same size: 409, and the sizes agree.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_saw_another_history_stops_the_node() {
    let Some(given) = setup("a_witness_that_saw_another_history_stops_the_node") else { return };
    stops_at_another_history(given, false).await;
}

/// Of a smaller size, which this one does not continue: 422, a proof that does not hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_refuses_the_proof_stops_the_node() {
    let Some(given) = setup("a_witness_that_refuses_the_proof_stops_the_node") else { return };
    stops_at_another_history(given, true).await;
}

/// Two nodes that hold two histories of one ledger see it in each other's checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn two_peers_with_two_histories_stop_and_keep_the_evidence() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let other = dir.empty_twin();
    copy(&dir.path().join("ledger"), &other.path().join("ledger"));
    let node = Node::serve(&dir.path());
    configure(&other.path(), &format!("peers = [{:?}]\n", node.http));
    let twin = Node::serve(&other.path());
    let clients = [node.client().await, twin.client().await];
    for (model, client) in clients.iter().enumerate() {
        client.upload_all().await;
        client.promote(client.draft(model, 0)).await.expect("each admits: nobody has looked yet");
    }
    let status = until(&clients[1], |status| !status.not_admitting.is_empty()).await;
    assert!(status.not_admitting.contains("two histories"), "{}", status.not_admitting);
    let kept = |of: &Directory| {
        let kept = std::fs::read_to_string(of.path().join("split-view-2.txt")).expect("the evidence");
        assert_eq!(kept.matches("localhost/test\n2\n").count(), 2, "{kept}");
    };
    kept(&other);
    // The other one, once it looks.
    node.stop();
    configure(&dir.path(), &format!("peers = [{:?}]\n", twin.http));
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let status = until(&client, |status| !status.not_admitting.is_empty()).await;
    assert!(status.not_admitting.contains("two histories"), "{}", status.not_admitting);
    kept(&dir);
    for client in [&client, &clients[1]] {
        client.promote(client.draft(2, 0)).await.expect_err("both have stopped");
    }
    node.stop();
    twin.stop();
}

/// Copies the files of a directory.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn production_without_an_anchor_does_not_start() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let mut command = crate::harness::binary();
    command.env("PROMOTION_LEDGER_PROFILE", "production").args(["serve", "--dir"]).arg(dir.path());
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("name a witness"), "{output:?}");
}

/// Names an identity provider, whose keys are in a file, in place of the development issuer.
pub fn with_an_issuer(dir: &Directory) {
    let x = BASE64_URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&[77; 32]).verifying_key().as_bytes());
    let key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": x});
    let keys = serde_json::json!({ "keys": [key] });
    std::fs::write(dir.path().join("issuer.json"), keys.to_string()).expect("written");
    dir.configure_without_development(
        "\n[[identity.issuers]]\nurl = \"https://idp.example.test\"\naudience = \"promotion-ledger\"\nalgorithms = [\"EdDSA\"]\nkeys_file = \"issuer.json\"\nroles = { emitter = [\"group:pipelines\"] }\n",
    );
}

/// With an issuer, a bucket that locks and a witness, it does.
#[tokio::test(flavor = "multi_thread")]
async fn production_with_a_bucket_and_a_witness_starts() {
    let test = "production_with_a_bucket_and_a_witness_starts";
    let (Some(clients), Some(service)) = (clients(test), crate::s3_service::service(test)) else { return };
    let bucket = service.locked_bucket("production").await;
    let dir = crate::s3_node::directory(&service, &bucket, 2);
    let files = tempfile::tempdir().expect("a directory");
    let vkey = vkey(&dir);
    let omni = Omniwitness::start(&clients, files.path(), &vkey);
    configure(&dir.path(), &witness(&omni, true));
    with_an_issuer(&dir);
    let node = Node::serve_with(&dir.path(), &[("PROMOTION_LEDGER_PROFILE", "production")]);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let shown = reqwest::get(format!("{}/checkpoint", node.http)).await.expect("an answer");
        let shown = shown.text().await.expect("a checkpoint");
        if cosignatures(&shown, std::slice::from_ref(&omni.key)).len() == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    node.stop();
}
