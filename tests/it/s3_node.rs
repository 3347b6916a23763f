//! A node whose evidence is in a bucket: locked before it is relied on, or no promotion.

use std::{fs, time::Duration};

use promotion_ledger::event::{Kind, canonical, content, proto::body::Event};
use tonic::Code;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node},
    s3_proxy::Proxy,
    s3_service::{DAY, Service, service},
};

/// A ledger's directory whose evidence is in a bucket.
pub fn directory(service: &Service, bucket: &str, retain_days: u32) -> Directory {
    directory_on(&LogUnderTest::Embedded, service, bucket, retain_days)
}

/// The same with its records on a log.
pub fn directory_on(log: &LogUnderTest, service: &Service, bucket: &str, retain_days: u32) -> Directory {
    let dir = Directory::init(log);
    let file = dir.path().join("promotion-ledger.toml");
    let config = fs::read_to_string(&file).expect("a configuration");
    let config = config
        .replace("kind = \"filesystem\"", "kind = \"s3\"")
        .replace("retain_days = 3650", &format!("retain_days = {retain_days}"));
    let s3 = format!(
        "\n[evidence.s3]\nbucket = {bucket:?}\nendpoint = {:?}\npath_style = true\ncredentials = {:?}\ntimeout_seconds = 20\n",
        service.endpoint, service.credentials
    );
    fs::write(&file, config + &s3).expect("a configuration");
    dir
}

/// The same with a proxy before the bucket; a loud skip without the service.
pub async fn directory_behind_proxy(test: &str, bucket: &str) -> Option<(Proxy, Directory)> {
    let mut service = service(test)?;
    let bucket = service.locked_bucket(bucket).await;
    let proxy = Proxy::start(&service.endpoint).await;
    service.endpoint.clone_from(&proxy.endpoint);
    let dir = directory(&service, &bucket, 2);
    Some((proxy, dir))
}

/// The events of a kind that the ledger holds.
pub async fn events(client: &Client, kind: Kind) -> Vec<Event> {
    let entries = client.entries().await;
    let events = entries.iter().filter_map(|entry| canonical::decode(&entry.record).ok()?.body.event);
    events.filter(|event| canonical::kind_of(event) == kind).collect()
}

/// The entry of the node's first probe, which is recorded soon after the start.
async fn probed(client: &Client) -> promotion_ledger::event::proto::StoreProbed {
    for _ in 0..100 {
        if let Some(Event::StoreProbed(probed)) = events(client, Kind::StoreProbed).await.pop() {
            return probed;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the probe was not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_in_a_bucket_is_locked_and_its_proof_is_in_the_event() {
    let Some(service) = service("evidence_in_a_bucket_is_locked_and_its_proof_is_in_the_event") else {
        return;
    };
    let bucket = service.locked_bucket("promoted").await;
    let dir = directory(&service, &bucket, 2);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let probed = probed(&client).await;
    assert!(probed.write_once && probed.uri == format!("s3://{bucket}/"), "{probed:?}");
    assert_eq!(
        client.promote(client.draft(0, 0)).await.expect_err("no evidence").code(),
        Code::InvalidArgument
    );
    client.upload_all().await;
    let receipt = client.promote(client.draft(0, 0)).await.expect("a receipt");
    let again = client.promote(client.draft(0, 0)).await.expect("the first receipt");
    assert_eq!((again.seq, again.duplicate), (receipt.seq, true));
    let Some(Event::Promoted(promoted)) = events(&client, Kind::Promoted).await.pop() else {
        panic!("no promotion")
    };
    for (path, reference) in content::evidence(&promoted) {
        let lock = reference.lock.as_ref().expect("a proof");
        assert_eq!(lock.write_once, "compliance", "{path}");
        assert!(
            !reference.version_id.is_empty() && reference.uri.starts_with(&format!("s3://{bucket}/")),
            "{path}"
        );
        assert!(lock.retain_until >= lock.asked_at + DAY, "{path}: {lock:?}");
        // Whoever owns the bucket cannot delete what the event names.
        let key = format!("sha256/{}", hex::encode(&reference.sha256));
        let delete =
            service.client.delete_object().bucket(&bucket).key(key).version_id(&reference.version_id);
        delete.bypass_governance_retention(true).send().await.expect_err("it is locked");
    }
    client.check().await;
    node.stop();
}

/// A bucket that keeps versions but locks nothing: the node finds out by trying, says so, and promotes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_locks_nothing_gets_no_promotion() {
    let Some(service) = service("a_bucket_that_locks_nothing_gets_no_promotion") else { return };
    for versions in [true, false] {
        let bucket = service.unlocked_bucket("unlocked", versions).await;
        let dir = directory(&service, &bucket, 2);
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        assert!(!probed(&client).await.write_once);
        let status = client.status().await;
        assert!(status.alerts.iter().any(|alert| alert.name == "evidence-store"), "{:?}", status.alerts);
        assert!(status.not_admitting.contains("not write-once"), "{}", status.not_admitting);
        assert_eq!(
            client.upload(&client.pieces[0]).await.expect_err("no lock").code(),
            Code::FailedPrecondition
        );
        let refused = client.promote(client.draft(0, 0)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert!(events(&client, Kind::Promoted).await.is_empty());
        node.stop();
    }
}

/// No store at all: the node serves what it has, promotes nothing, and does so once the store is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_said_and_nothing_is_half_promoted() {
    let Some(mut service) = service("a_store_that_is_down_is_said_and_nothing_is_half_promoted") else {
        return;
    };
    service.endpoint = "http://127.0.0.1:9".into();
    let dir = directory(&service, "absent", 2);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let refused = client.promote(client.draft(0, 0)).await.expect_err("refused");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("evidence store"), "{refused}");
    assert_eq!(client.status().await.synced_size, 1);
    node.stop();
}
