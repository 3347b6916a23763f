//! The ledger's own archive: everything is made again from it after topic and directories were deleted; what is wrong
//! with it is named; and while it is away nothing is admitted for long.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use promotion_ledger::{
    archive::{
        filesystem::Filesystem,
        store::{Error, PieceStore},
    },
    event::{
        Kind,
        proto::{ArchiveStatus, EvidenceProblem, GetCheckpointRequest, body::Event},
    },
};
use serde_json::Value;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, kafka, run, unique},
    s3_node::events,
};

/// A ledger whose evidence, and with it its archive, is outside of the node's directory.
pub struct Archived {
    pub dir: Directory,
    pub outside: tempfile::TempDir,
    log: LogUnderTest,
}

impl Archived {
    fn init(log: LogUnderTest) -> Self {
        Self::init_with(log, 60, 600)
    }

    /// With these seconds until an alert and until a refusal.
    pub fn init_with(log: LogUnderTest, alert: u32, refuse: u32) -> Self {
        let dir = Directory::init(&log);
        let outside = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("promotion-ledger.toml");
        let config = fs::read_to_string(&file).expect("a configuration");
        let config = config
            .replace("dir = \"evidence\"", &format!("dir = {:?}", outside.path()))
            .replace("every_seconds = 60", "every_seconds = 1")
            .replace("alert_seconds = 300", &format!("alert_seconds = {alert}"))
            .replace("refuse_seconds = 86400", &format!("refuse_seconds = {refuse}"));
        fs::write(file, config).expect("a configuration");
        Self { dir, outside, log }
    }

    pub fn serve(&self) -> Node {
        Node::serve(&self.dir.path())
    }

    pub fn ledger_id(&self) -> String {
        let config = fs::read_to_string(self.dir.path().join("promotion-ledger.toml")).expect("a file");
        let line = config.lines().find(|line| line.starts_with("ledger_id")).expect("a ledger_id");
        line.split('"').nth(1).expect("quotes").to_owned()
    }

    /// Rebuilds into a directory: exit code and what was printed.
    fn rebuild(&self, evidence: &Path, into: &Path) -> (i32, Value) {
        let (evidence, into) = (evidence.display().to_string(), into.display().to_string());
        let id = self.ledger_id();
        let args = ["rebuild", "--from-archive", "--dir", &into, "--evidence", &evidence, "--ledger-id", &id];
        let output = run(&[&args[..], &["--format", "json"]].concat());
        let printed = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
        let text = String::from_utf8_lossy(printed);
        let json = serde_json::from_slice(printed).unwrap_or_else(|_| Value::String(text.into_owned()));
        (output.status.code().expect("an exit code"), json)
    }
}

async fn archive_of(client: &Client) -> ArchiveStatus {
    client.status().await.archive.expect("how far the archive is")
}

/// Waits until everything that was recorded is archived.
pub async fn archived(client: &Client) -> u64 {
    for _ in 0..200 {
        let status = client.status().await;
        let archive = status.archive.expect("how far the archive is");
        if archive.size == status.synced_size && archive.waiting_since == 0 {
            return archive.size;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not archived: {:?}", archive_of(client).await);
}

/// Records first promotions of so many models, several at a time.
pub async fn promote_many(node: &Node, models: std::ops::Range<usize>) {
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..8 {
        let client = node.client().await;
        let models: Vec<_> = models.clone().filter(|model| model % 8 == part).collect();
        tasks.spawn(async move {
            for model in models {
                client.settle(client.draft(model, 0)).await;
            }
        });
    }
    tasks.join_all().await;
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let copied = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, copied).expect("a copy");
        }
    }
}

async fn everything_comes_back(log: LogUnderTest) {
    let archived_ledger = Archived::init(log);
    let node = archived_ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    // In several steps, so that there are pieces of every kind: of a few entries, whole bundles, the rest.
    for models in [0..3, 3..8, 8..300] {
        promote_many(&node, models).await;
        archived(&client).await;
    }
    let before = client.check().await;
    let note =
        client.auditor().get_checkpoint(GetCheckpointRequest {}).await.expect("a checkpoint").into_inner();
    node.stop();

    // What an administrator backed up, or has made anew: keys and configuration. Everything else is deleted.
    let new = tempfile::tempdir().expect("a directory");
    let restored = new.path().join("restored");
    let old = archived_ledger.dir.path();
    copy(&old.join("keys"), &restored.join("keys"));
    let config = fs::read_to_string(old.join("promotion-ledger.toml")).expect("a configuration");
    let id_before = archived_ledger.ledger_id();
    delete_topic(&archived_ledger.log).await;
    for gone in ["ledger", "subjects", "keys"] {
        fs::remove_dir_all(old.join(gone)).expect("deleted");
    }

    let (code, printed) = archived_ledger.rebuild(archived_ledger.outside.path(), &restored);
    assert_eq!(code, 0, "{printed}");
    assert_eq!(printed["entries"], before.size(), "{printed}");
    assert_eq!(printed["root"], before.root().to_string());
    assert_eq!(printed["head_link"], before.link().to_string());
    let kept = new.path().join("kept.txt");
    fs::write(&kept, note.checkpoint).expect("a file");
    let (kept, path) = (kept.display().to_string(), restored.display().to_string());
    let verified = run(&["verify", "--dir", &path, "--checkpoint", &kept, "--ledger-id", &id_before]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

    let config = match &archived_ledger.log {
        LogUnderTest::Embedded => config,
        LogUnderTest::Kafka { bootstrap, topic } => {
            let new_topic = unique("restored");
            let args = ["republish", "--dir", &path, "--bootstrap", bootstrap, "--topic", &new_topic];
            let republished = run(&[&args[..], &["--development-topic"]].concat());
            assert!(republished.status.success(), "{}", String::from_utf8_lossy(&republished.stderr));
            config.replace(topic.as_str(), &new_topic)
        }
    };
    fs::write(restored.join("promotion-ledger.toml"), config).expect("a configuration");
    let node = Node::serve(&restored);
    let client = node.client().await;
    let after = client.check().await;
    assert_eq!((after.size(), after.root(), after.link()), (before.size(), before.root(), before.link()));
    // It goes on from there, and so does its archive.
    client.promote(client.draft(300, 0)).await.expect("a receipt");
    assert_eq!(archived(&client).await, before.size() + 1);
    node.stop();
}

pub async fn delete_topic(log: &LogUnderTest) {
    use rdkafka::{ClientConfig, admin::AdminClient, admin::AdminOptions, client::DefaultClientContext};
    let LogUnderTest::Kafka { bootstrap, topic } = log else { return };
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
    let deleted = admin.delete_topics(&[topic], &AdminOptions::new()).await.expect("an answer");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_ledger_is_made_again_from_its_archive_alone() {
    everything_comes_back(LogUnderTest::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_made_again_after_topic_and_directories_were_deleted() {
    let Some(log) = kafka("archive") else { return };
    everything_comes_back(log).await;
}

/// One way to damage an archive: what is done to the pieces below `archive/<ledger_id>`, and what must be named.
type Damage = (&'static str, fn(&Path), &'static str);

pub fn rewrite(path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(&path).expect("a piece");
    change(&mut bytes);
    // Pieces are read-only: whoever damages one takes it away first.
    fs::remove_file(&path).expect("removed");
    fs::write(path, bytes).expect("a piece");
}

const DAMAGES: &[Damage] = &[
    (
        "a checkpoint in the middle is missing",
        |dir| fs::remove_file(dir.join("checkpoint/256")).expect("removed"),
        "checkpoint/256 is missing",
    ),
    (
        "a checkpoint is no checkpoint",
        |dir| rewrite(dir.join("checkpoint/256"), |bytes| bytes.truncate(40)),
        "checkpoint/256 is damaged",
    ),
    (
        "a checkpoint is of another size",
        |dir| {
            let other = fs::read(dir.join("checkpoint/512")).expect("a piece");
            rewrite(dir.join("checkpoint/256"), |bytes| *bytes = other);
        },
        "checkpoint/256 is damaged: it was signed for 512 entries",
    ),
    (
        "a bundle of headers is missing",
        |dir| fs::remove_file(dir.join("tile/entries/001")).expect("removed"),
        "tile/entries/001 is missing",
    ),
    (
        "a bundle of headers is cut",
        |dir| rewrite(dir.join("tile/entries/000"), |bytes| bytes.truncate(43_519)),
        "tile/entries/000 is damaged",
    ),
    (
        "records are missing",
        |dir| {
            fs::remove_file(dir.join("records/001")).expect("removed");
            // On a slow machine shorter pieces were written before the whole bundle was there.
            let _ = fs::remove_dir_all(dir.join("records/001.p"));
        },
        "records/001 is missing",
    ),
    (
        "records are cut",
        |dir| rewrite(dir.join("records/000"), |bytes| bytes.truncate(10_000)),
        "records/000 is damaged: it ends inside its part",
    ),
    (
        "a byte of a header is changed",
        |dir| rewrite(dir.join("tile/entries/001"), |bytes| bytes[170 * 7 + 2 + 110] ^= 1),
        "in the archive, entry 263:",
    ),
    (
        "a byte of a record is changed",
        |dir| rewrite(dir.join("records/001"), |bytes| bytes[5_000] ^= 1),
        "in the archive, entry ",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_piece_of_an_archive_is_named_and_nothing_half_made_is_left() {
    let ledger = Archived::init(LogUnderTest::Embedded);
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..520).await;
    let size = archived(&client).await;
    let note =
        client.auditor().get_checkpoint(GetCheckpointRequest {}).await.expect("a checkpoint").into_inner();
    node.stop();
    let id = ledger.ledger_id();
    let scratch = tempfile::tempdir().expect("a directory");
    for (i, (name, damage, expected)) in DAMAGES.iter().enumerate() {
        let store = scratch.path().join(format!("store-{i}"));
        copy(&ledger.outside.path().join("archive"), &store.join("archive"));
        damage(&store.join("archive").join(&id));
        let into = scratch.path().join(format!("into-{i}"));
        let (code, printed) = ledger.rebuild(&store, &into);
        assert_eq!(code, 1, "{name}: {printed}");
        assert!(printed.to_string().contains(expected), "{name}: {printed}");
        assert_eq!(fs::read_dir(&into).expect("a directory").count(), 0, "{name}: something is left");
    }
    // Of another ledger there is nothing.
    let into = scratch.path().join("other");
    let evidence = ledger.outside.path().display().to_string();
    let other = run(&[
        "rebuild",
        "--from-archive",
        "--dir",
        &into.display().to_string(),
        "--evidence",
        &evidence,
        "--ledger-id",
        &"ab".repeat(32),
    ]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("holds no archive of this ledger"));
    // An end that was cut off leaves a shorter ledger that holds; who kept a checkpoint sees it.
    let store = scratch.path().join("cut");
    copy(&ledger.outside.path().join("archive"), &store.join("archive"));
    let cut = store.join("archive").join(&id);
    for piece in fs::read_dir(cut.join("checkpoint")).expect("a directory") {
        let path = piece.expect("a piece").path();
        let of: u64 = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse().ok())
            .expect("a size");
        if of > 256 {
            fs::remove_file(path).expect("removed");
        }
    }
    let into = scratch.path().join("short");
    let (code, printed) = ledger.rebuild(&store, &into);
    assert_eq!((code, &printed["entries"]), (0, &256.into()), "{printed}");
    let kept = scratch.path().join("kept.txt");
    fs::write(&kept, note.checkpoint).expect("a file");
    let (into, kept) = (into.display().to_string(), kept.display().to_string());
    let verified = run(&["verify", "--dir", &into, "--ledger-id", &id, "--checkpoint", &kept]);
    assert_eq!(verified.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(printed.contains(&format!("was signed for {size}: its end was cut off")), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_put_back_from_an_old_backup_does_not_start() {
    let ledger = Archived::init(LogUnderTest::Embedded);
    let backup = tempfile::tempdir().expect("a directory");
    copy(&ledger.dir.path(), &backup.path().join("node"));
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..4).await;
    let size = archived(&client).await;
    node.stop();
    let old = backup.path().join("node").display().to_string();
    for key in fs::read_dir(backup.path().join("node/keys")).expect("a directory") {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(key.expect("a key").path(), fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    let refused = run(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--dir", &old]);
    assert_eq!(refused.status.code(), Some(4));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains(&format!("holds {size} entries, but this ledger has 1")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_is_an_alert_then_no_admission_then_over() {
    let ledger = Archived::init_with(LogUnderTest::Embedded, 2, 5);
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..2).await;
    archived(&client).await;
    let (there, away) = (ledger.outside.path().join("archive"), ledger.outside.path().join("away"));
    fs::rename(&there, &away).expect("renamed");
    fs::write(&there, "not a directory").expect("a file");
    client.promote(client.draft(2, 0)).await.expect("promotions go on");
    let mut alerted = false;
    let mut refused = None;
    for _ in 0..200 {
        let status = client.status().await;
        alerted |= status.alerts.iter().any(|alert| alert.name == "archive");
        if !status.not_admitting.is_empty() {
            refused = Some(status.not_admitting);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(alerted, "an alert comes before the refusal");
    let refused = refused.expect("a refusal in the end");
    assert!(refused.contains("for the archive in the evidence store"), "{refused}");
    let error = client.promote(client.draft(3, 0)).await.expect_err("no admission");
    assert_eq!(error.code(), tonic::Code::Unavailable, "{error}");
    fs::remove_file(&there).expect("removed");
    fs::rename(&away, &there).expect("renamed");
    archived(&client).await;
    // What could not be looked at meanwhile is looked at again within seconds.
    for _ in 0..150 {
        if client.status().await.alerts.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(client.status().await.alerts.is_empty());
    client.promote(client.draft(3, 0)).await.expect("a receipt");
    client.check().await;
    node.stop();
}

/// Somebody else's bytes under the name of a piece: they are not replaced, and somebody is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_never_overwritten_and_raises_an_alert() {
    let ledger = Archived::init(LogUnderTest::Embedded);
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    archived(&client).await;
    let taken = ledger.outside.path().join("archive").join(ledger.ledger_id()).join("records/000.p/1-1");
    fs::create_dir_all(taken.parent().expect("a directory")).expect("made");
    fs::write(&taken, "something else").expect("a file");
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let mut words = String::new();
    for _ in 0..100 {
        let status = client.status().await;
        if let Some(alert) = status.alerts.into_iter().find(|alert| alert.name == "archive") {
            words = alert.description;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(words.contains("records/000.p/1-1 holds other bytes"), "{words}");
    assert_eq!(fs::read(&taken).expect("a file"), b"something else");
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_went_missing_or_was_changed_is_found_and_told() {
    let ledger = Archived::init(LogUnderTest::Embedded);
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..260).await;
    archived(&client).await;
    node.stop();
    let pieces = ledger.outside.path().join("archive").join(ledger.ledger_id());
    let records = fs::read(pieces.join("records/000")).expect("a piece");
    fs::remove_file(pieces.join("records/000")).expect("removed");
    rewrite(pieces.join("tile/entries/000"), |bytes| bytes[1_000] ^= 1);
    let fast = [("PROMOTION_LEDGER_EVIDENCE__CHECKS__WITHIN_SECONDS", "1")];
    let node = Node::serve_with(&ledger.dir.path(), &fast);
    let client = node.client().await;
    let mut findings = Vec::new();
    for _ in 0..100 {
        findings = events(&client, Kind::EvidenceFinding).await;
        if findings.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said: Vec<_> = findings
        .iter()
        .filter_map(|event| match event {
            Event::EvidenceFinding(found) => Some((found.problem(), found.uri.as_str())),
            _ => None,
        })
        .collect();
    let about = |problem: EvidenceProblem, name: &str| {
        said.iter().any(|(found, uri)| *found == problem && uri.ends_with(name))
    };
    assert!(about(EvidenceProblem::Missing, "/records/000"), "{said:?}");
    assert!(about(EvidenceProblem::Over, "/records/000"), "what was written again is over: {said:?}");
    assert!(about(EvidenceProblem::Digest, "/tile/entries/000"), "{said:?}");
    assert_eq!(fs::read(pieces.join("records/000")).expect("written again"), records);
    let alerts = client.status().await.alerts;
    let words: Vec<_> = alerts.iter().map(|alert| alert.description.as_str()).collect();
    assert!(words.len() == 1 && words[0].contains("tile/entries/000 is not as it must be"), "{words:?}");
    // Its alert stands after a restart too.
    node.stop();
    let node = Node::serve_with(&ledger.dir.path(), &fast);
    let client = node.client().await;
    let mut again = Vec::new();
    for _ in 0..100 {
        again = client.status().await.alerts.into_iter().map(|alert| alert.name).collect();
        if !again.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(again, alerts.iter().map(|alert| alert.name.clone()).collect::<Vec<_>>());
    client.check().await;
    node.stop();
}

/// What every store of pieces must do.
pub async fn contract(store: &dyn PieceStore) {
    let name = format!("archive/{}/checkpoint/x001/000", "cd".repeat(32));
    assert_eq!(store.get(&name).await, Ok(None));
    store.put(&name, b"first".to_vec()).await.expect("kept");
    store.put(&name, b"first".to_vec()).await.expect("the same bytes again are fine");
    assert_eq!(store.put(&name, b"other".to_vec()).await, Err(Error::Occupied(name.clone())));
    assert_eq!(store.get(&name).await, Ok(Some(b"first".to_vec())));
    // Empty pieces, and names that are the beginning of others.
    let (short, long) = (
        format!("archive/{}/records/000", "cd".repeat(32)),
        format!("archive/{}/records/000.p/0-0", "cd".repeat(32)),
    );
    store.put(&long, Vec::new()).await.expect("kept");
    assert_eq!(store.get(&short).await, Ok(None));
    store.put(&short, vec![7; 300_000]).await.expect("kept");
    assert_eq!(store.get(&long).await, Ok(Some(Vec::new())));
    assert_eq!(store.get(&short).await, Ok(Some(vec![7; 300_000])));
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_in_a_directory_keep_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Filesystem::new(dir.path());
    contract(&store).await;
    let store = std::sync::Arc::new(store);
    let mut racing = tokio::task::JoinSet::new();
    for writer in 0..16u8 {
        let store = store.clone();
        racing.spawn(async move { store.put("archive/race", vec![writer % 2; 50_000]).await });
    }
    let won = racing.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 8, "all writers of the bytes that were first, and nobody else");
    let gone = Filesystem::new(&dir.path().join("not mounted"));
    assert!(matches!(gone.put("archive/x", vec![1]).await, Err(Error::Unavailable(_))));
}
