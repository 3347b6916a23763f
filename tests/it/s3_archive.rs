//! The archive in a bucket with Object Lock: written there, locked there, and enough to make the ledger again from.

use std::{fs, sync::Arc, time::Duration};

use promotion_ledger::{
    archive::{
        s3::S3,
        store::{Error, PieceStore},
    },
    clock::{Clock, SystemClock},
    event::{
        Kind,
        proto::{EvidenceProblem, body::Event},
    },
    evidence::s3::{Bucket, Settings},
};

use crate::{
    archive::{archived, contract, copy, delete_topic, promote_many},
    harness::{LogUnderTest, Node, kafka, run, unique},
    s3_node::{directory_on, events},
    s3_proxy::{Answer, Fault, Proxy},
    s3_service::{DAY, Service, service},
};

async fn pieces(service: &Service, bucket: &str, retained: u64) -> S3 {
    let settings: Settings = serde_json::from_value(service.settings(bucket)).expect("settings");
    let bucket = Bucket::connect(&settings, std::path::Path::new(".")).await.expect("credentials");
    S3::new(bucket, Arc::new(SystemClock), retained)
}

/// Ends of the locks of everything below a prefix, as their owner sees them.
async fn locks(service: &Service, bucket: &str, prefix: &str) -> Vec<(String, i64)> {
    let listed = service.client.list_objects_v2().bucket(bucket).prefix(prefix).send().await.expect("a list");
    let mut found = Vec::new();
    for object in listed.contents() {
        let key = object.key().expect("a key");
        let head = service.client.head_object().bucket(bucket).key(key).send().await.expect("an object");
        assert_eq!(head.object_lock_mode().map(|mode| mode.as_str()), Some("COMPLIANCE"), "{key}");
        found.push((key.to_owned(), head.object_lock_retain_until_date().expect("a lock").secs()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_in_a_bucket_keep_the_contract_and_are_locked() {
    let Some(service) = service("pieces_in_a_bucket_keep_the_contract_and_are_locked") else { return };
    let bucket = service.locked_bucket("pieces").await;
    let store = Arc::new(pieces(&service, &bucket, DAY).await);
    contract(store.as_ref()).await;
    let mut racing = tokio::task::JoinSet::new();
    for writer in 0..8u8 {
        let store = store.clone();
        racing.spawn(async move {
            loop {
                match store.put("archive/race", vec![writer % 2; 50_000]).await {
                    Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                    done => break done,
                }
            }
        });
    }
    let won = racing.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 4, "all writers of the bytes that were first, and nobody else");
    // Put on top by somebody: the first version is the piece.
    let put = service.client.put_object().bucket(&bucket).key("archive/race").body(b"on top".to_vec().into());
    put.send().await.expect("another version");
    assert_eq!(store.get("archive/race").await.expect("an answer").expect("a piece").len(), 50_000);
    // A delete without a version hides it from a plain look, and takes nothing away.
    service.client.delete_object().bucket(&bucket).key("archive/race").send().await.expect("a marker");
    assert_eq!(store.get("archive/race").await.expect("an answer").expect("a piece").len(), 50_000);
    let name = format!("archive/{}/records/000", "cd".repeat(32));
    let now = SystemClock.now();
    let ends = locks(&service, &bucket, &name).await[0].1;
    assert!(ends as u64 * 1_000_000 >= now + DAY - 60_000_000, "{ends}");
    assert_eq!(store.hold(&name, now + 3 * DAY).await, Ok(true));
    let longer = locks(&service, &bucket, &name).await[0].1;
    assert!(longer as u64 * 1_000_000 >= now + 3 * DAY, "{longer}");
    assert_eq!(store.hold("archive/none", now).await, Ok(false));
    // A bucket that locks nothing takes no piece, and says so.
    let unlocked = service.unlocked_bucket("pieces", true).await;
    let refused = pieces(&service, &unlocked, DAY).await.put("archive/x", vec![1]).await;
    assert!(matches!(refused, Err(Error::Unlocked { .. })), "{refused:?}");
}

async fn everything_comes_back(service: Service, log: LogUnderTest) {
    let bucket = service.locked_bucket("archived").await;
    let dir = directory_on(&log, &service, &bucket, 2);
    let file = dir.path().join("promotion-ledger.toml");
    let config = fs::read_to_string(&file).expect("a configuration");
    let config = config.replace("every_seconds = 60", "every_seconds = 1");
    fs::write(&file, &config).expect("a configuration");
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    for models in [0..3, 3..8, 8..270] {
        promote_many(&node, models).await;
        archived(&client).await;
    }
    let before = client.check().await;
    node.stop();

    // What an administrator backed up, or has made anew: keys and configuration. Everything else is deleted.
    let new = tempfile::tempdir().expect("a directory");
    let restored = new.path().join("restored");
    copy(&dir.path().join("keys"), &restored.join("keys"));
    fs::write(restored.join("promotion-ledger.toml"), &config).expect("a configuration");
    delete_topic(&log).await;
    drop(dir);

    let path = restored.display().to_string();
    let rebuilt = run(&["rebuild", "--from-archive", "--dir", &path, "--format", "json"]);
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stdout));
    let printed: serde_json::Value = serde_json::from_slice(&rebuilt.stdout).expect("JSON");
    assert_eq!(printed["entries"], before.size(), "{printed}");
    assert_eq!(printed["root"], before.root().to_string());
    assert_eq!(printed["head_link"], before.link().to_string());
    let verified = run(&["verify", "--dir", &path]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    if let LogUnderTest::Kafka { bootstrap, topic } = &log {
        let new_topic = unique("restored");
        let args = ["republish", "--dir", &path, "--bootstrap", bootstrap, "--topic", &new_topic];
        let republished = run(&[&args[..], &["--development-topic"]].concat());
        assert!(republished.status.success(), "{}", String::from_utf8_lossy(&republished.stderr));
        let config = config.replace(topic.as_str(), &new_topic);
        fs::write(restored.join("promotion-ledger.toml"), config).expect("a configuration");
    }
    let node = Node::serve(&restored);
    let client = node.client().await;
    let after = client.check().await;
    assert_eq!((after.size(), after.root(), after.link()), (before.size(), before.root(), before.link()));
    client.promote(client.draft(300, 0)).await.expect("a receipt");
    archived(&client).await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_ledger_is_made_again_from_a_bucket_alone() {
    let Some(service) = service("an_embedded_ledger_is_made_again_from_a_bucket_alone") else { return };
    everything_comes_back(service, LogUnderTest::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_made_again_from_a_bucket_after_topic_and_directories_were_deleted() {
    let test = "a_ledger_is_made_again_from_a_bucket_after_topic_and_directories_were_deleted";
    let (Some(service), Some(log)) = (service(test), kafka("archive")) else { return };
    everything_comes_back(service, log).await;
}

/// The walk holds the archive's pieces longer, and finds what the bucket loses.
#[tokio::test(flavor = "multi_thread")]
async fn the_archive_in_a_bucket_is_held_longer_and_looked_at_again() {
    let Some(service) = service("the_archive_in_a_bucket_is_held_longer_and_looked_at_again") else { return };
    let bucket = service.locked_bucket("looked-at").await;
    let proxy = Proxy::start(&service.endpoint).await;
    let through = Service { endpoint: proxy.endpoint.clone(), ..service.clone() };
    let dir = directory_on(&LogUnderTest::Embedded, &through, &bucket, 2);
    let fast = [
        ("PROMOTION_LEDGER_ARCHIVE__EVERY_SECONDS", "1"),
        ("PROMOTION_LEDGER_EVIDENCE__CHECKS__WITHIN_SECONDS", "2"),
        ("PROMOTION_LEDGER_EVIDENCE__CHECKS__PER_SECOND", "200"),
    ];
    let node = Node::serve_with(&dir.path(), &fast);
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..4).await;
    archived(&client).await;
    // A ledger of a few entries has no full bundle: its newest pieces are looked at all the same.
    let newest = format!("checkpoint/{:03}", archived(&client).await);
    let end =
        |locks: &[(String, i64)]| locks.iter().find(|(key, _)| key.ends_with(&newest)).map(|(_, end)| *end);
    let before = end(&locks(&service, &bucket, "archive/").await).expect("the newest checkpoint");
    let mut after = before;
    for _ in 0..150 {
        after = end(&locks(&service, &bucket, "archive/").await).expect("the newest checkpoint");
        if after >= before + 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(after >= before + 4, "{before} is still {after}");
    // The bucket says that it never had that checkpoint.
    let empty = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated></ListVersionsResult>";
    let nothing = Answer { body: empty.into(), ..Answer::plain(200, "") };
    let lost = newest.replace('/', "%2F");
    proxy.always(
        move |asked| asked.method == "GET" && asked.has("versions") && asked.target.contains(&lost),
        Fault::Says(nothing),
    );
    let mut found = Vec::new();
    for _ in 0..150 {
        found = events(&client, Kind::EvidenceFinding).await;
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let Some(Event::EvidenceFinding(finding)) = found.first() else {
        panic!("nothing was found, {:?}, {:?}", proxy.honest(), client.status().await)
    };
    assert_eq!(finding.problem(), EvidenceProblem::Missing);
    assert!(finding.uri.contains("/checkpoint/") && finding.detail.contains("archive"), "{finding:?}");
    assert!(!proxy.honest().is_empty());
    for _ in 0..200 {
        if let Some(Event::EvidenceFinding(last)) = events(&client, Kind::EvidenceFinding).await.last()
            && last.problem() == EvidenceProblem::Over
        {
            client.check().await;
            return node.stop();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is not over: {:?}", client.status().await.alerts);
}
