//! People are told: a real receiver over HTTP that verifies signatures, a real SMTP server, both down and back up.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    harness::{Directory, LogUnderTest, Node},
    sealed_pages::{asked, directory, reviewed},
};

const KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiver got: its id and its body.
type Got = (String, serde_json::Value);

#[derive(Clone)]
struct Receiver {
    answer: Arc<AtomicU16>,
    attempts: Arc<AtomicU16>,
    got: mpsc::UnboundedSender<Got>,
}

/// Checks the signature with its own computation, as a receiver would.
async fn hook(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.attempts.fetch_add(1, Ordering::SeqCst);
    let header = |name: &str| headers.get(name).expect(name).to_str().expect("ascii").to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(&KEY).expect("a key");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
    let answer = StatusCode::from_u16(receiver.answer.load(Ordering::SeqCst)).expect("a status");
    if answer.is_success() {
        receiver.got.send((id, serde_json::from_slice(&body).expect("JSON"))).expect("a test that listens");
    }
    answer
}

/// Listens on an address, or on any.
async fn receiver(
    at: Option<SocketAddr>,
) -> (SocketAddr, Receiver, mpsc::UnboundedReceiver<Got>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into())).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, got) = mpsc::unbounded_channel();
    let state = Receiver { answer: Arc::new(200.into()), attempts: Arc::default(), got: sender };
    let router = Router::new().route("/hook", post(hook)).with_state(state.clone());
    let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
    (address, state, got, task)
}

fn configure(dir: &Path, section: &str) {
    let secret = dir.join("keys/hook.whsec");
    std::fs::write(&secret, format!("whsec_{}\n", STANDARD.encode(KEY))).expect("a file");
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, owner_only).expect("a mode");
    let mut file =
        std::fs::OpenOptions::new().append(true).open(dir.join("promotion-ledger.toml")).expect("a file");
    file.write_all(section.as_bytes()).expect("a configuration");
}

fn webhook(address: SocketAddr, more: &str) -> String {
    format!(
        "\n[notify]\npublic_url = \"https://ledger.example.bank/\"\n[[notify.webhooks]]\nname = \"tickets\"\nurl = \"http://{address}/hook\"\nsecret_file = \"keys/hook.whsec\"\n{more}"
    )
}

async fn next<T>(got: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, got.recv()).await.expect("a message in time").expect("a receiver")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_down_gets_every_message_once_it_is_back_also_after_a_restart() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let (address, _, mut got, task) = receiver(None).await;
    configure(&dir.path(), &webhook(address, ""));
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let first = client.promote(client.draft(0, 0)).await.expect("a receipt");
    let (id, body) = next(&mut got).await;
    assert_eq!(body["type"], "promotion.recorded");
    assert_eq!(body["data"]["seq"], first.seq);
    assert_eq!(body["data"]["event_digest"], hex::encode(&first.event_digest));
    assert_eq!(body["data"]["link"], format!("https://ledger.example.bank/promotions/{}/", first.seq));
    assert_eq!(body["data"]["request"]["system"], "jira");
    assert!(id.ends_with(&format!("-{}", first.seq)), "{id}");

    // Nobody listens while two are promoted; the node is killed, and starts again.
    task.abort();
    let _ = task.await;
    let second = client.promote(client.draft(1, 0)).await.expect("a receipt");
    let third = client.promote(client.draft(2, 0)).await.expect("a receipt");
    tokio::time::sleep(Duration::from_millis(800)).await;
    node.kill();
    let node = Node::serve(&dir.path());
    let (_, state, mut got, _task) = receiver(Some(address)).await;
    let told = [next(&mut got).await, next(&mut got).await].map(|(_, body)| body["data"]["seq"].clone());
    assert_eq!(told, [second.seq, third.seq].map(serde_json::Value::from));

    // It is there, but not well.
    state.answer.store(503, Ordering::SeqCst);
    let client = node.client().await;
    let fourth = client.promote(client.draft(3, 0)).await.expect("a receipt");
    while state.attempts.load(Ordering::SeqCst) < 5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let alerts = client.status().await.alerts;
    assert!(alerts.iter().any(|alert| alert.name == "notify.tickets"), "{alerts:?}");
    state.answer.store(204, Ordering::SeqCst);
    assert_eq!(next(&mut got).await.1["data"]["seq"], fourth.seq);
    while !client.status().await.alerts.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // A message that the receiver calls bad does not hold up the next one.
    state.answer.store(422, Ordering::SeqCst);
    let attempts = state.attempts.load(Ordering::SeqCst);
    client.promote(client.draft(4, 0)).await.expect("a receipt");
    while state.attempts.load(Ordering::SeqCst) == attempts {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    state.answer.store(200, Ordering::SeqCst);
    let last = client.promote(client.draft(5, 0)).await.expect("a receipt");
    assert_eq!(next(&mut got).await.1["data"]["seq"], last.seq);
    node.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_asked_for_is_told() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let (address, state, _got, _task) = receiver(None).await;
    configure(&dir.path(), &webhook(address, "events = [\"promotion.revoked\"]\n"));
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(state.attempts.load(Ordering::SeqCst), 0);
}

#[test]
fn a_secret_that_others_may_read_stops_the_start() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    configure(&dir.path(), &webhook(([127, 0, 0, 1], 9).into(), ""));
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(dir.path().join("keys/hook.whsec"), open).expect("a mode");
    let output = crate::harness::run(&[
        "serve",
        "--dir",
        &dir.path().display().to_string(),
        "--listen",
        "127.0.0.1:0",
    ]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("others may read it"), "{words}");
}

/// A mail server (RFC 5321) that takes everything: envelope and text of each mail.
async fn mail_server() -> (SocketAddr, Arc<Mutex<bool>>, mpsc::UnboundedReceiver<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, got) = mpsc::unbounded_channel();
    let busy = Arc::new(Mutex::new(false));
    let answer = busy.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(stream, answer.clone(), sender.clone()));
        }
    });
    (address, busy, got)
}

async fn session(
    stream: TcpStream,
    busy: Arc<Mutex<bool>>,
    got: mpsc::UnboundedSender<(Vec<String>, String)>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut recipients = Vec::new();
    writer.write_all(b"220 test ESMTP\r\n").await.expect("a client");
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let is_busy = *busy.lock().expect("a lock");
        let answer: &[u8] = match verb.as_str() {
            "EHLO" => b"250-test\r\n250 8BITMIME\r\n",
            "MAIL" if is_busy => b"451 try again later\r\n",
            "RCPT" => {
                recipients.push(line.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                b"250 ok\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await.expect("a client");
                let mut text = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                got.send((std::mem::take(&mut recipients), text)).expect("a test that listens");
                b"250 taken\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        if writer.write_all(answer).await.is_err() || verb == "QUIT" {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_to_everybody_who_is_told_and_to_the_groups_that_are_asked() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let (address, busy, mut got) = mail_server().await;
    configure(
        &dir.path(),
        &format!(
            "\n[notify.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Promotion ledger <ledger@example.bank>\"\nto = [\"all@example.bank\"]\ngroups = {{ \"model-risk-approvers\" = [\"approvers@example.bank\"], \"others\" = [\"others@example.bank\"] }}\n",
            address.port()
        ),
    );
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    *busy.lock().expect("a lock") = true;
    let draft = client.draft(0, 0);
    let asked =
        draft.approval_request.as_ref().map(|request| request.asked_groups.clone()).unwrap_or_default();
    let receipt = client.promote(draft).await.expect("a receipt");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(got.try_recv().is_err(), "a busy server took mail");
    *busy.lock().expect("a lock") = false;
    let (mut recipients, text) = next(&mut got).await;
    recipients.sort();
    let mut expected = vec!["all@example.bank".to_owned()];
    if asked.iter().any(|group| group == "model-risk-approvers") {
        expected.push("approvers@example.bank".to_owned());
    }
    expected.sort();
    assert_eq!(recipients, expected);
    assert!(text.contains("Auto-Submitted: auto-generated"), "{text}");
    assert!(text.contains(&format!("-{}@example.bank>", receipt.seq)), "{text}");
    assert!(text.contains("was promoted to"), "{text}");
    node.stop();
}

/// A destination that was told of nothing yet.
fn from_the_start(dir: &Path) {
    std::fs::create_dir_all(dir.join("notify")).expect("a directory");
    std::fs::write(dir.join("notify/tickets.cursor"), "0\n").expect("a cursor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_system_is_told_of_a_review_from_asking_to_the_promotion() {
    let dir = directory(&reviewed());
    let (address, _, mut got, _task) = receiver(None).await;
    configure(&dir.path(), &webhook(address, ""));
    from_the_start(&dir.path());
    let _node = Node::serve(&dir.path());
    let mut told = Vec::new();
    for _ in 0..4 {
        let (_, body) = next(&mut got).await;
        assert!(body["data"]["request"]["id"].is_string(), "{body}");
        let link = body["data"]["link"].as_str().expect("a link").to_owned();
        told.push((
            body["type"].as_str().expect("a type").to_owned(),
            link,
            body["data"]["decision"].clone(),
        ));
    }
    let (review, promotion) =
        ("https://ledger.example.bank/reviews/1/", "https://ledger.example.bank/promotions/4/");
    let expected = [
        ("review.asked", review, None),
        ("review.decided", review, Some("approved")),
        ("review.decided", review, Some("approved")),
        ("promotion.recorded", promotion, None),
    ];
    let expected =
        expected.map(|(event, link, how)| (event.to_owned(), link.to_owned(), serde_json::json!(how)));
    assert_eq!(told, expected);
}

/// The time of the sample's review is long over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_nobody_decides_is_escalated_once_also_over_a_restart() {
    let dir = directory(&asked());
    let (address, state, mut got, _task) = receiver(None).await;
    configure(&dir.path(), &webhook(address, "events = [\"review.escalation\", \"review.reminder\"]\n"));
    let node = Node::serve(&dir.path());
    let (id, body) = next(&mut got).await;
    assert_eq!(body["type"], "review.escalation");
    assert_eq!(body["data"]["review"], 1);
    assert!(id.ends_with("-1-review.escalation"), "{id}");
    node.stop();
    let _node = Node::serve(&dir.path());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(state.attempts.load(Ordering::SeqCst), 1);
}

/// Who is asked is reminded before the time is over, once, with the address at which to decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_whose_time_comes_is_reminded_of_once() {
    let (address, state, mut got, _task) = receiver(None).await;
    let section = webhook(address, "events = [\"review.reminder\"]\n");
    let section = section.replacen("[notify]\n", "[notify]\nremind_hours = 48\n", 1);
    let bank = crate::click::Bank::with(&LogUnderTest::Embedded, |dir| configure(dir, &section)).await;
    let mut later = bank.draft(0);
    later.approval_request.as_mut().expect("a request").due_at += 30 * 86_400_000_000;
    bank.seal(later).await;
    let mut soon = bank.draft(0);
    let request = soon.approval_request.as_mut().expect("a request");
    request.id.push_str("-soon");
    request.due_at = request.asked_at + 40 * 3_600_000_000;
    let review = bank.seal(soon).await;
    let (_, body) = next(&mut got).await;
    assert_eq!(
        (body["type"].as_str(), body["data"]["review"].as_u64()),
        (Some("review.reminder"), Some(review))
    );
    assert_eq!(body["data"]["link"], format!("https://ledger.example.bank/reviews/{review}/"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(state.attempts.load(Ordering::SeqCst), 1);
    bank.node.stop();
}
