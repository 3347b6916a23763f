//! Stores that lie: each lie is told by a proxy in front of a real service, one test for each, and each is found out.

use std::sync::Arc;

use promotion_ledger::{
    clock::{Clock, SystemClock},
    event::digest::sha256,
    evidence::{Error, EvidenceStore, Probe, s3::S3},
};

use crate::{
    evidence_contract::put,
    s3_proxy::{Answer, Asked, Fault, Proxy, altered},
    s3_service::{DAY, Service, service},
};

/// A store behind a proxy.
struct Behind {
    service: Service,
    bucket: String,
    proxy: Proxy,
    store: S3,
    _dir: tempfile::TempDir,
}

impl Behind {
    async fn start(test: &str) -> Option<Self> {
        let service = service(test)?;
        let bucket = service.locked_bucket("lies").await;
        let proxy = Proxy::start(&service.endpoint).await;
        let dir = tempfile::tempdir().expect("a directory");
        let more = serde_json::json!({ "endpoint": proxy.endpoint, "timeout_seconds": 4 });
        let store = service.store(&bucket, dir.path(), more).await;
        Some(Self { service, bucket, proxy, store, _dir: dir })
    }

    async fn probe(&self) -> Probe {
        let probe = self.store.probe(SystemClock.now()).await.expect("an answer").expect("it promises");
        assert!(!self.proxy.honest().is_empty(), "the lie was never told");
        probe
    }

    /// The probe calls the store not write-once, and names this attempt.
    async fn breaks(&self, attempt: &str) {
        let probe = self.probe().await;
        assert!(!probe.write_once(), "{probe:#?}");
        let found = probe.attempts.iter().find(|it| it.attempt == attempt).expect("tried");
        assert!(found.allowed, "{probe:#?}");
        // The same store tells the truth again.
        let honest = self.store.probe(SystemClock.now()).await.expect("an answer").expect("it promises");
        assert!(honest.write_once(), "{honest:#?}");
    }
}

/// Bytes that no other test has.
fn fresh(name: &str) -> Vec<u8> {
    format!("{name} {}", crate::harness::unique("bytes")).repeat(20).into_bytes()
}

macro_rules! behind {
    ($name:literal) => {
        match Behind::start($name).await {
            Some(behind) => behind,
            None => return,
        }
    };
}

const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const MODE: &str = "x-amz-object-lock-mode";
const SUM: &str = "x-amz-checksum-sha256";
const VERSION: &str = "x-amz-version-id";

fn head(asked: &Asked) -> bool {
    asked.method == "HEAD"
}

fn said(status: u16) -> Fault {
    Fault::Says(Answer::plain(status, ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_says_a_delete_succeeded_is_not_write_once() {
    let behind = behind!("a_store_that_says_a_delete_succeeded_is_not_write_once");
    behind.proxy.always(|asked| asked.method == "DELETE", said(204));
    behind.breaks("delete").await;
}

/// It refuses the delete in words, and the version is gone all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_gone_after_a_refused_delete_is_found() {
    let behind = behind!("a_version_that_is_gone_after_a_refused_delete_is_found");
    let gone = Fault::Says(Answer::plain(404, "NoSuchVersion"));
    behind.proxy.always(|asked| asked.is_object("GET"), gone);
    behind.breaks("change").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_says_a_retention_was_shortened_is_not_write_once() {
    let behind = behind!("a_store_that_says_a_retention_was_shortened_is_not_write_once");
    behind.proxy.times(1, |asked| asked.method == "PUT" && asked.has("retention"), said(200));
    behind.breaks("shorten").await;
    behind.proxy.times(2, |asked| asked.method == "PUT" && asked.has("retention"), said(200));
    behind.breaks("weaken").await;
}

/// It refuses to shorten the lock in words, and shortens it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_ends_earlier_after_a_refused_change_is_found() {
    let behind = behind!("a_lock_that_ends_earlier_after_a_refused_change_is_found");
    let soon = jiff::Timestamp::from_second((SystemClock.now() / 1_000_000 + 60) as i64).expect("a time");
    let soon = soon.to_string();
    // The first HEADs, right after the put, are true.
    let asked_before = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let shortened = move |asked: &Asked, answer: &mut Answer| {
        let before = asked_before.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if before > 0 && asked.has("versionId") {
            answer.set(MODE, Some("COMPLIANCE"));
            answer.set(UNTIL, Some(&soon));
        }
    };
    behind.proxy.always(head, Fault::Altered(Arc::new(shortened)));
    behind.breaks("change").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_overwrites_a_version_is_not_write_once() {
    let behind = behind!("a_store_that_overwrites_a_version_is_not_write_once");
    // Every put gets the same version id.
    let same = Arc::new(std::sync::Mutex::new(None::<String>));
    let keep = move |_: &Asked, answer: &mut Answer| {
        let mut same = same.lock().expect("no panic");
        match same.as_deref() {
            Some(id) => answer.set(VERSION, Some(id)),
            None => *same = answer.header(VERSION).map(str::to_owned),
        }
    };
    behind.proxy.always(|asked| asked.is_object("PUT"), Fault::Altered(Arc::new(keep)));
    behind.breaks("overwrite").await;
    // Another id, and other bytes under the first one.
    let other = altered(|answer| answer.body = b"promotion-ledger: replaced\n".to_vec());
    behind.proxy.always(|asked| asked.is_object("GET"), other);
    let probed = behind.store.probe(SystemClock.now()).await;
    match probed {
        Ok(Some(probe)) => assert!(!probe.write_once(), "{probe:#?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_the_lock_that_it_was_put_with_is_found_by_the_probe() {
    let behind = behind!("an_object_without_the_lock_that_it_was_put_with_is_found_by_the_probe");
    let governance = || altered(|answer| answer.set(MODE, Some("GOVERNANCE")));
    behind.proxy.always(head, governance());
    behind.breaks("lock").await;
    behind.proxy.always(head, altered(|answer| answer.set(VERSION, Some("null"))));
    behind.breaks("lock").await;
}

/// Puts evidence while the store tells the truth, then asks about it while it lies.
async fn asked_while(behind: &Behind, name: &str, lie: impl FnOnce(&Proxy)) -> Result<bool, Error> {
    let bytes = fresh(name);
    put(&behind.store, &bytes).await.expect("kept");
    lie(&behind.proxy);
    let stat = behind.store.stat(&sha256(&bytes), "", SystemClock.now()).await;
    assert!(!behind.proxy.honest().is_empty(), "{name}: the lie was never told");
    let honest = behind.store.stat(&sha256(&bytes), "", SystemClock.now()).await;
    assert!(honest.expect("an answer").is_some(), "{name}");
    stat.map(|stored| stored.is_some_and(|stored| stored.length == bytes.len() as u64))
}

fn damaged(answer: Result<bool, Error>) {
    assert!(matches!(answer, Err(Error::Damaged(_))), "{answer:?}");
}

fn unlocked(answer: Result<bool, Error>, words: &str) {
    match answer {
        Err(Error::Unlocked { why, .. }) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

fn unavailable(answer: Result<bool, Error>, words: &str) {
    match answer {
        Err(Error::Unavailable(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_in_an_answer_is_never_taken_for_the_evidence() {
    let behind = behind!("a_wrong_digest_in_an_answer_is_never_taken_for_the_evidence");
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    damaged(
        asked_while(&behind, "digest", |proxy| {
            proxy.always(head, altered(move |answer| answer.set(SUM, Some(wrong))));
        })
        .await,
    );
    // No checksum of the whole object: it is read back, and other bytes are other bytes.
    damaged(
        asked_while(&behind, "read back", |proxy| {
            proxy.always(head, altered(|answer| answer.set(SUM, None)));
            let other = altered(|answer| {
                answer.set(SUM, None);
                answer.body.iter_mut().for_each(|byte| *byte ^= 1);
            });
            proxy.always(|asked| asked.is_object("GET"), other);
        })
        .await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_another_length_is_refused() {
    let behind = behind!("an_answer_about_another_length_is_refused");
    let longer = || altered(|answer| answer.set("content-length", Some("77")));
    let told = asked_while(&behind, "length", |proxy| proxy.always(head, longer())).await;
    assert_eq!(
        told,
        Ok(false),
        "what it says is passed on, and admission compares it with the stated length"
    );
    // What was just put is known better.
    behind.proxy.always(head, longer());
    let kept = put(&behind.store, &fresh("put")).await;
    assert!(matches!(kept, Err(Error::Mismatch { .. })), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_shown_or_over_or_weak_is_no_lock() {
    let behind = behind!("a_lock_that_is_not_shown_or_over_or_weak_is_no_lock");
    type Lie = (&'static str, fn(&mut Answer), &'static str);
    let lies: [Lie; 3] = [
        ("governance", |answer| answer.set(MODE, Some("GOVERNANCE")), "its mode is GOVERNANCE"),
        ("over", |answer| answer.set(UNTIL, Some("2020-01-01T00:00:00Z")), "its retention is over"),
        ("no version", |answer| answer.set(VERSION, Some("null")), "the bucket keeps no versions"),
    ];
    for (name, lie, words) in lies {
        unlocked(asked_while(&behind, name, |proxy| proxy.always(head, altered(lie))).await, words);
    }
}

/// A store that takes a longer retention and does not keep it.
#[tokio::test(flavor = "multi_thread")]
async fn a_longer_retention_that_is_not_shown_afterwards_is_refused() {
    let behind = behind!("a_longer_retention_that_is_not_shown_afterwards_is_refused");
    let bytes = fresh("longer");
    put(&behind.store, &bytes).await.expect("kept");
    behind.proxy.always(|asked| asked.method == "PUT" && asked.has("retention"), said(200));
    let now = SystemClock.now();
    let held = behind.store.retain(&sha256(&bytes), "", now + 9 * DAY, now).await;
    match held {
        Err(Error::Unlocked { why, .. }) => assert!(why.contains("does not show it"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// Not every store orders calls: what another one did in the same moment counts, whichever of the two was answered first.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_call_changes_in_the_same_moment_is_judged_by_what_is_there() {
    let behind = behind!("a_lock_that_another_call_changes_in_the_same_moment_is_judged_by_what_is_there");
    let bytes = fresh("raced");
    put(&behind.store, &bytes).await.expect("kept");
    let (digest, now) = (sha256(&bytes), SystemClock.now());
    let as_before =
        jiff::Timestamp::from_second((now / 1_000_000 + 3_600) as i64).expect("a time").to_string();
    // It was asked before the other call was done; so the bucket refuses to shorten what that one made.
    let other = behind.store.retain(&digest, "", now + 9 * DAY, now).await;
    assert!(other.is_ok_and(|held| held.is_some()));
    let before = as_before.clone();
    behind.proxy.times(1, head, altered(move |answer| answer.set(UNTIL, Some(&before))));
    let held = behind.store.retain(&digest, "", now + 5 * DAY, now).await.expect("held").expect("there");
    assert!(held.lock.retain_until >= now + 9 * DAY, "{held:?}");
    assert_eq!(behind.proxy.honest().len(), 1);
    // The other call was done after this one, with an earlier end: it is asked for once more.
    let heads = std::sync::atomic::AtomicUsize::new(0);
    let after_the_put = move |_: &Asked, answer: &mut Answer| {
        if heads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            answer.set(UNTIL, Some(&as_before));
        }
    };
    behind.proxy.always(head, Fault::Altered(Arc::new(after_the_put)));
    let held = behind.store.retain(&digest, "", now + 12 * DAY, now).await.expect("held").expect("there");
    assert!(held.lock.retain_until >= now + 12 * DAY, "{held:?}");
    assert!(behind.proxy.honest().len() >= 3, "it was never asked again");
}

/// HEAD hides the lock from those who may not read it, and GetObjectRetention refuses.
#[tokio::test(flavor = "multi_thread")]
async fn no_permission_to_read_the_retention_is_no_lock() {
    let behind = behind!("no_permission_to_read_the_retention_is_no_lock");
    let answer = asked_while(&behind, "hidden", |proxy| {
        let hidden = altered(|answer| {
            answer.set(MODE, None);
            answer.set(UNTIL, None);
        });
        proxy.always(head, hidden);
        let denied = Fault::Says(Answer::plain(403, "AccessDenied"));
        proxy.always(|asked| asked.method == "GET" && asked.has("retention"), denied);
    })
    .await;
    unlocked(answer, "the node may not read it (s3:GetObjectRetention)");
}

/// Without versions nothing under a name can be told from what was put there later.
#[tokio::test(flavor = "multi_thread")]
async fn suspended_versioning_takes_no_evidence() {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    let Some(service) = service("suspended_versioning_takes_no_evidence") else { return };
    let bucket = service.unlocked_bucket("suspended", true).await;
    let off = VersioningConfiguration::builder().status(BucketVersioningStatus::Suspended).build();
    let put_off = service.client.put_bucket_versioning().bucket(&bucket).versioning_configuration(off);
    put_off.send().await.expect("suspended");
    let bytes = fresh("suspended");
    let key = format!("sha256/{}", sha256(&bytes));
    let there = service.client.put_object().bucket(&bucket).key(&key).body(bytes.clone().into());
    there.send().await.expect("an object");
    let dir = tempfile::tempdir().expect("a directory");
    let store = service.store(&bucket, dir.path(), serde_json::json!({})).await;
    // AWS shows the version `null`, which is no version; this service does not find it when it is asked for it.
    let stat = store.stat(&sha256(&bytes), "", SystemClock.now()).await;
    assert!(matches!(stat, Err(Error::Unlocked { .. } | Error::Damaged(_))), "{stat:?}");
    let kept = put(&store, &fresh("another")).await;
    assert!(matches!(kept, Err(Error::Unlocked { .. })), "{kept:?}");
}

/// Answers about the node's own clock, credentials or haste say nothing about evidence: ask again.
#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_expired_credentials_and_throttling_say_nothing_about_evidence() {
    let behind = behind!("clock_skew_expired_credentials_and_throttling_say_nothing_about_evidence");
    for (status, code) in [
        (403, "RequestTimeTooSkewed"),
        (400, "ExpiredToken"),
        (403, "InvalidAccessKeyId"),
        (503, "SlowDown"),
        (500, "InternalError"),
    ] {
        let answer = asked_while(&behind, code, |proxy| {
            proxy.always(|_| true, Fault::Says(Answer::plain(status, code)));
        })
        .await;
        unavailable(answer, "");
        // Nor about the store: a probe that is not answered finds nothing out.
        behind.proxy.always(|_| true, Fault::Says(Answer::plain(status, code)));
        let probe = behind.store.probe(SystemClock.now()).await;
        assert!(matches!(probe, Err(Error::Unavailable(_))), "{code}: {probe:?}");
        let bytes = fresh(code);
        let kept = put(&behind.store, &bytes).await;
        assert!(matches!(kept, Err(Error::Unavailable(_))), "{code}: {kept:?}");
        behind.proxy.honest();
        assert_eq!(behind.store.stat(&sha256(&bytes), "", SystemClock.now()).await, Ok(None), "{code}");
        put(&behind.store, &bytes).await.expect("the same upload later");
    }
}

/// What others put is taken only under a COMPLIANCE lock of its own version, or is put under one.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_others_uploaded_get_the_same_checks() {
    use aws_sdk_s3::{primitives::DateTime, types::ObjectLockMode};
    let behind = behind!("objects_that_others_uploaded_get_the_same_checks");
    let now = SystemClock.now();
    let until = DateTime::from_secs((now / 1_000_000 + 60) as i64);
    let (client, bucket) = (&behind.service.client, &behind.bucket);
    let unlocked_one = fresh("unlocked");
    let key = |bytes: &[u8]| format!("sha256/{}", sha256(bytes));
    let put = client.put_object().bucket(bucket).key(key(&unlocked_one)).body(unlocked_one.clone().into());
    put.send().await.expect("an object");
    let governed = fresh("governance");
    let put = client.put_object().bucket(bucket).key(key(&governed)).body(governed.clone().into());
    let put = put.object_lock_mode(ObjectLockMode::Governance).object_lock_retain_until_date(until);
    put.send().await.expect("an object");
    let short = fresh("short");
    let put = client.put_object().bucket(bucket).key(key(&short)).body(short.clone().into());
    let put = put.object_lock_mode(ObjectLockMode::Compliance).object_lock_retain_until_date(until);
    put.send().await.expect("an object");
    for bytes in [&unlocked_one, &governed] {
        let stat = behind.store.stat(&sha256(bytes), "", now).await;
        assert!(matches!(stat, Err(Error::Unlocked { .. })), "{stat:?}");
    }
    assert!(behind.store.stat(&sha256(&short), "", now).await.expect("an answer").is_some());
    // GOVERNANCE stays what it is: the service does not let anybody make it COMPLIANCE.
    let held = behind.store.retain(&sha256(&governed), "", now + DAY, now).await;
    match held {
        Err(Error::Unlocked { why, .. }) => assert!(why.contains("its mode is GOVERNANCE"), "{why}"),
        other => panic!("{other:?}"),
    }
    for bytes in [&unlocked_one, &short] {
        let held =
            behind.store.retain(&sha256(bytes), "", now + DAY, now).await.expect("held").expect("there");
        assert!(held.lock.write_once == "compliance" && held.lock.retain_until >= now + DAY, "{held:?}");
    }
    // Other bytes under its name are never taken for it.
    let wanted = fresh("wanted");
    let put = client.put_object().bucket(bucket).key(key(&wanted)).body(fresh("others").into());
    put.send().await.expect("an object");
    let stat = behind.store.stat(&sha256(&wanted), "", now).await;
    assert!(matches!(stat, Err(Error::Damaged(_))), "{stat:?}");
    let stored = crate::evidence_contract::put(&behind.store, &wanted).await.expect("on top");
    let found = behind.store.stat(&sha256(&wanted), &stored.version_id, now).await.expect("an answer");
    assert_eq!(found.map(|found| found.version_id), Some(stored.version_id));
}
