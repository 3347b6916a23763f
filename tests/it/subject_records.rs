//! The store of subject records, in a directory and in a bucket without Object Lock: created once, durable before use,
//! destroyed for good, also when the node is killed in the middle.

use std::{fs, sync::Arc, time::Duration};

use promotion_ledger::{
    custody::records::InBucket,
    event::proto::{GetEntryRequest, Person, get_entry_request::By},
    evidence::s3::{Bucket, Settings},
    identity::{directory::Directory as Records, subjects::RecordStore},
};

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, run, unique},
    s3_proxy::{Answer, Fault, Proxy},
    s3_service::{Service, service},
};

const IDP: &str = "http://127.0.0.1:7421/development";

async fn bucket(service: &Service, name: &str) -> InBucket {
    let settings: Settings = serde_json::from_value(service.settings(name)).expect("settings");
    InBucket::new(Bucket::connect(&settings, std::path::Path::new(".")).await.expect("credentials"))
}

fn holds_the_contract(store: &Arc<dyn RecordStore>, comes_back: bool) {
    let name = |digit: &str| format!("subjects/{}", digit.repeat(64));
    assert_eq!(store.get(&name("a")).expect("an answer"), None);
    store.put_if_absent(&name("a"), b"first").expect("kept");
    store.put_if_absent(&name("a"), b"second").expect("kept already");
    assert_eq!(store.get(&name("a")).expect("an answer").as_deref(), Some(&b"first"[..]));
    let writers: Vec<_> = (1..=8u8)
        .map(|writer| {
            let (store, name) = (store.clone(), name("b"));
            std::thread::spawn(move || {
                store.put_if_absent(&name, &[writer; 100]).expect("kept");
                store.get(&name).expect("an answer").expect("there")
            })
        })
        .collect();
    let mut read: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("no panic")).collect();
    read.dedup();
    assert_eq!(read.len(), 1, "writers do not agree on whose record it is");
    store.destroy(&name("a")).expect("destroyed");
    assert_eq!(store.get(&name("a")).expect("an answer"), None);
    store.destroy(&name("a")).expect("nothing there is fine");
    let again = store.put_if_absent(&name("a"), b"third");
    // This service takes no name again whose versions were all destroyed; that must not be taken for a record.
    if !comes_back {
        again.expect_err("nothing was kept");
        return assert_eq!(store.get(&name("a")).expect("an answer"), None);
    }
    again.expect("another record of the same person");
    assert_eq!(store.get(&name("a")).expect("an answer").as_deref(), Some(&b"third"[..]));
}

#[test]
fn records_in_a_directory_keep_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let store: Arc<dyn RecordStore> = Arc::new(Records::open(dir.path()).expect("a store"));
    holds_the_contract(&store, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_a_bucket_keep_the_contract_and_leave_no_version_behind() {
    let Some(service) = service("records_in_a_bucket_keep_the_contract_and_leave_no_version_behind") else {
        return;
    };
    for versions in [false, true] {
        let name = service.unlocked_bucket("people", versions).await;
        eprintln!("a bucket with versions: {versions}");
        let records = bucket(&service, &name).await;
        records.destroys().await.expect("a bucket that destroys");
        let store: Arc<dyn RecordStore> = Arc::new(records);
        // Threads that are none of the runtime's call it too.
        let same = store.clone();
        tokio::task::spawn_blocking(move || {
            std::thread::spawn(move || holds_the_contract(&same, !versions)).join().expect("no panic");
        })
        .await
        .expect("no panic");
        store
            .destroy(&format!("subjects/{}", "b".repeat(64)))
            .expect("destroyed, on a thread of the runtime");
        let left = service.client.list_object_versions().bucket(&name).send().await.expect("a list");
        let left: Vec<_> = left.versions().iter().filter_map(|version| version.key()).collect();
        assert_eq!(left.len(), usize::from(!versions), "versions: {versions}: {left:?}");
    }
}

/// A bucket with Object Lock destroys nothing: no node starts on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_keeps_what_is_destroyed_is_refused() {
    let Some(service) = service("a_bucket_that_keeps_what_is_destroyed_is_refused") else { return };
    use aws_sdk_s3::types::{
        DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
    };
    let name = service.locked_bucket("kept").await;
    let retention = DefaultRetention::builder().mode(ObjectLockRetentionMode::Compliance).days(1).build();
    let rule = ObjectLockRule::builder().default_retention(retention).build();
    let lock =
        ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled).rule(rule).build();
    let put = service.client.put_object_lock_configuration().bucket(&name).object_lock_configuration(lock);
    put.send().await.expect("a default retention");
    let refused = bucket(&service, &name).await.destroys().await.expect_err("it keeps everything");
    assert!(refused.contains("use one without Object Lock"), "{refused}");
    let dir = in_bucket(&service, &name);
    let output =
        run(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--dir", &path(&dir)]);
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("people could not be erased"), "{said}");
}

fn path(dir: &Directory) -> String {
    dir.path().display().to_string()
}

/// A ledger whose subject records are in a bucket.
fn in_bucket(service: &Service, bucket: &str) -> Directory {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let file = dir.path().join("promotion-ledger.toml");
    let config = fs::read_to_string(&file).expect("a configuration");
    let config = config.replace("kind = \"directory\"", "kind = \"s3\"");
    let s3 = format!(
        "\n[subjects.s3]\nbucket = {bucket:?}\nendpoint = {:?}\npath_style = true\ncredentials = {:?}\ntimeout_seconds = 4\n",
        service.endpoint, service.credentials
    );
    fs::write(&file, config + &s3).expect("a configuration");
    dir
}

/// The n-th promotion, with a contributor whom nobody knows yet.
fn with_newcomer(client: &Client, n: u64, newcomer: &str) -> promotion_ledger::event::proto::PromotionDraft {
    let mut draft = client.draft(0, n);
    let person = Person { issuer: IDP.into(), subject: newcomer.into(), name: format!("Name of {newcomer}") };
    draft.approval_request.as_mut().expect("a request").contributors.push(person);
    draft
}

fn erase(url: &str, subject: &str) -> std::process::Output {
    run(&[
        "privacy",
        "erase",
        "--subject-issuer",
        IDP,
        "--subject",
        subject,
        "--approved-by-issuer",
        IDP,
        "--approved-by-subject",
        "u-3002",
        "--yes",
        "--reason",
        "asked for by letter",
        "--actor-issuer",
        IDP,
        "--actor-subject",
        "u-3001",
        "--request-id",
        subject,
        "--url",
        url,
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn people_in_a_bucket_are_sealed_opened_and_erased() {
    let Some(service) = service("people_in_a_bucket_are_sealed_opened_and_erased") else { return };
    let name = service.unlocked_bucket("people", true).await;
    let proxy = Proxy::start(&service.endpoint).await;
    let through = Service { endpoint: proxy.endpoint.clone(), ..service.clone() };
    let dir = in_bucket(&through, &name);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let receipt = client.promote(with_newcomer(&client, 0, "c-1")).await.expect("a receipt");
    assert!(!dir.path().join("subjects/ids").exists(), "records are in the bucket and nowhere else");
    let names = |url: &str| {
        let shown = run(&["show", &receipt.seq.to_string(), "--unseal", "--url", url, "--format", "json"]);
        String::from_utf8_lossy(&shown.stdout).into_owned()
    };
    assert!(names(&node.url).contains("Name of c-1"));
    // The key store is away: no new person, a clear error, and later exactly one event.
    proxy.always(|_| true, Fault::Says(Answer::plain(503, "SlowDown")));
    let size = client.status().await.synced_size;
    let draft = with_newcomer(&client, 1, "c-2");
    let refused = client.promote(draft.clone()).await.expect_err("no key store");
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    assert!(refused.message().contains("subject records"), "{refused}");
    assert_eq!(client.status().await.synced_size, size);
    let failed = erase(&node.url, "c-1");
    assert_eq!(failed.status.code(), Some(3), "{}", String::from_utf8_lossy(&failed.stderr));
    proxy.honest();
    let second = client.promote(draft.clone()).await.expect("a receipt");
    assert!(client.promote(draft).await.expect("the first receipt").duplicate);
    assert_eq!(second.seq, size);

    let done = erase(&node.url, "c-1");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shown = names(&node.url);
    assert!(!shown.contains("Name of c-1") && shown.contains("erased"), "{shown}");
    let versions = service.client.list_object_versions().bucket(&name).send().await.expect("a list");
    assert!(versions.delete_markers().is_empty(), "{:?}", versions.delete_markers());
    let verified = run(&["verify", "--url", &node.url]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    node.stop();
}

/// Every sealed item of every entry can be opened, or an entry says that its person was erased.
async fn every_item_opens_or_is_erased(client: &Client) {
    for seq in 0..client.status().await.synced_size {
        let request = GetEntryRequest { by: Some(By::Seq(seq)), unseal: true };
        let entry = client.auditor().get_entry(request).await.expect("an entry").into_inner();
        for item in entry.opened {
            let id = hex::encode(&item.subject_id);
            assert_eq!(item.erased, item.claims.is_empty(), "entry {seq}, person {id}");
            assert!(
                !item.erased || item.erased_by_seq.is_some(),
                "entry {seq}: the record of person {id} is gone, and no entry says so"
            );
        }
    }
}

/// kill -9 at any moment while people are sealed and erased: nothing that is recorded is unreadable without an erasure
/// that is recorded, and whoever's erasure is recorded is erased.
async fn killed_while_people_come_and_go(dir: Directory, rounds: u64) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_126u64);
    eprintln!("SEED={seed}");
    let mut random = seed;
    let run_id = unique("round");
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        client.upload_all().await;
        let url = node.url.clone();
        let drafts: Vec<_> = (0..40)
            .map(|n| with_newcomer(&client, 100 * round + n, &format!("{run_id}-{round}-{n}")))
            .collect();
        let mut emitter = client.emitter();
        let promoting = tokio::spawn(async move {
            for draft in drafts {
                let request = promotion_ledger::event::proto::PromoteRequest { promotion: Some(draft) };
                if emitter.promote(request).await.is_err() {
                    return;
                }
            }
        });
        let subject = run_id.clone();
        let erasing = tokio::task::spawn_blocking(move || {
            for n in 0..8 {
                erase(&url, &format!("{subject}-{round}-{n}"));
            }
        });
        tokio::time::sleep(Duration::from_millis(50 + random % 700)).await;
        node.kill();
        promoting.await.expect("no panic");
        erasing.await.expect("no panic");
    }
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    // Erasures that were recorded and not carried out before the kill are carried out now.
    for _ in 0..100 {
        if all_erased(&client).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(all_erased(&client).await, "recorded is not erased");
    every_item_opens_or_is_erased(&client).await;
    eprintln!("{} entries, {} erasures", client.status().await.synced_size, erasures(&client).await);
    client.check().await;
    node.stop();
}

async fn erasures(client: &Client) -> usize {
    crate::s3_node::events(client, promotion_ledger::event::Kind::KeyShredded).await.len()
}

/// Whether nothing of anybody whose erasure is recorded can be opened any more.
async fn all_erased(client: &Client) -> bool {
    use promotion_ledger::event::{Kind, proto::body::Event};
    let erased: Vec<_> = crate::s3_node::events(client, Kind::KeyShredded)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::KeyShredded(shredded) => Some(shredded.subject_id),
            _ => None,
        })
        .collect();
    for seq in 0..client.status().await.synced_size {
        let request = GetEntryRequest { by: Some(By::Seq(seq)), unseal: true };
        let entry = client.auditor().get_entry(request).await.expect("an entry").into_inner();
        if entry.opened.iter().any(|item| erased.contains(&item.subject_id) && !item.erased) {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_people_come_and_go_leaves_nobody_half_erased() {
    killed_while_people_come_and_go(Directory::init(&LogUnderTest::Embedded), 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_people_in_a_bucket_come_and_go_leaves_nobody_half_erased() {
    let Some(service) = service("a_kill_while_people_in_a_bucket_come_and_go_leaves_nobody_half_erased")
    else {
        return;
    };
    let name = service.unlocked_bucket("people", true).await;
    killed_while_people_come_and_go(in_bucket(&service, &name), 6).await;
}
