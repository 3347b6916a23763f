//! `evidence check` and the ledger's archive: every piece is looked at, from a node and from a stopped node's directory, and
//! nothing is mended.

use std::{fs, time::Duration};

use promotion_ledger::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::{
    archive::{Archived, archived, copy, promote_many, rewrite},
    harness::{Client, LogUnderTest, Node},
    rechecks::check,
    s3_node::directory,
    s3_proxy::{Answer, Asked, Fault, Proxy, altered},
    s3_service::{Service, service},
};

/// Problems of a report, with where they are below the ledger's archive.
fn found(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("no report: {report}"));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let place = |uri: String| {
        let below = uri.split_once("/archive/").and_then(|(_, rest)| rest.split_once('/'));
        below.map_or(uri.clone(), |(_, name)| name.to_owned())
    };
    findings.iter().map(|it| (text(it, "problem"), place(text(it, "uri")))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(problem, place)| ((*problem).to_owned(), (*place).to_owned())).collect()
}

/// Waits until the node's own walk has looked at the first bundle: it mends what it finds, and comes back in days.
async fn walked_past_the_first_bundle(client: &Client) {
    for _ in 0..600 {
        if client.status().await.evidence_checks.is_some_and(|checks| checks.archive_bundles >= 1) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the walk does not come: {:?}", client.status().await.evidence_checks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_is_wrong_with_the_archive_and_mends_nothing() {
    let ledger = Archived::init_with(LogUnderTest::Embedded, 60, 600);
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..260).await;
    let size = archived(&client).await;
    walked_past_the_first_bundle(&client).await;
    let (code, report) = check(&["--url", &node.url]);
    assert_eq!((code, found(&report)), (0, Vec::new()), "{report}");
    assert_eq!(report["archive"], json!({"bundles": 2, "size": size}));

    let pieces = ledger.outside.path().join("archive").join(ledger.ledger_id());
    let kept = ledger.outside.path().join("kept");
    copy(&pieces, &kept);
    fs::remove_file(pieces.join("records/000")).expect("removed");
    rewrite(pieces.join("tile/entries/000"), |bytes| bytes[1_000] ^= 1);
    rewrite(pieces.join("checkpoint/256"), |bytes| bytes.truncate(40));
    let expected = pairs(&[
        ("has other bytes", "tile/entries/000"),
        ("is not in the store any more", "records/000"),
        ("has another length", "checkpoint/256"),
    ]);
    let path = ledger.dir.path().display().to_string();
    for args in [&["--url", &node.url][..], &["--deep", "--url", &node.url]] {
        let (code, report) = check(args);
        assert_eq!((code, found(&report)), (1, expected.clone()), "{report}");
        assert_eq!(report["findings"][0]["promotions"], json!([]), "{report}");
    }
    client.check().await;
    node.stop();
    let (code, report) = check(&["--dir", &path]);
    assert_eq!((code, found(&report)), (1, expected), "{report}");
    assert!(!pieces.join("records/000").exists(), "an auditor mends nothing");
    for name in ["records/000", "tile/entries/000", "checkpoint/256"] {
        let _ = fs::remove_file(pieces.join(name));
        fs::copy(kept.join(name), pieces.join(name)).expect("put back");
    }
    assert_eq!(check(&["--deep", "--dir", &path]).0, 0);
}

/// Entries that nobody archived, and an archive that has more than the ledger, are findings as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_an_archive_that_ends_elsewhere_than_the_ledger() {
    let ledger = Archived::init_with(LogUnderTest::Embedded, 2, 600);
    let node = ledger.serve();
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let size = archived(&client).await;
    node.stop();
    let before = ledger.outside.path().join("before");
    copy(&ledger.dir.path(), &before);
    let node = ledger.serve();
    let client = node.client().await;
    client.promote(client.draft(1, 0)).await.expect("a receipt");
    let longer = archived(&client).await;
    assert!(longer > size, "{longer}");
    node.stop();
    let (code, report) = check(&["--dir", &before.display().to_string()]);
    assert_eq!(code, 1, "{report}");
    let detail = report["findings"][0]["detail"].as_str().unwrap_or_default();
    let words =
        format!("the archive in the evidence store holds {longer} entries, but this ledger has {size}");
    assert!(detail.contains(&words), "{report}");

    let path = ledger.dir.path().display().to_string();
    assert_eq!(check(&["--dir", &path]).0, 0);
    let checkpoints = ledger.outside.path().join("archive").join(ledger.ledger_id()).join("checkpoint");
    for at in size + 1..=longer {
        let _ = fs::remove_file(checkpoints.join(format!("{at:03}")));
    }
    // What waits for the archive no longer than `archive.alert_seconds` is none.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let (code, report) = check(&["--dir", &path]);
    let newest = format!("checkpoint/{longer:03}");
    assert_eq!((code, found(&report)), (1, pairs(&[("is not in the store any more", &newest)])), "{report}");
    let detail = report["findings"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("entries {size} to {} are not archived", longer - 1)), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_an_archive_in_a_bucket_asks_for_locks_reads_when_told_and_goes_on() {
    let test = "a_check_of_an_archive_in_a_bucket_asks_for_locks_reads_when_told_and_goes_on";
    let Some(service) = service(test) else { return };
    let bucket = service.locked_bucket("archive-check").await;
    let proxy = Proxy::start(&service.endpoint).await;
    let through = Service { endpoint: proxy.endpoint.clone(), ..service.clone() };
    // Longer than two periods of the walk, by which a lock may end early.
    let dir = directory(&through, &bucket, 30);
    let node = Node::serve_with(&dir.path(), &[("PROMOTION_LEDGER_ARCHIVE__EVERY_SECONDS", "1")]);
    let client = node.client().await;
    client.upload_all().await;
    promote_many(&node, 0..260).await;
    let size = archived(&client).await;
    walked_past_the_first_bundle(&client).await;
    let about = |name: &'static str| {
        // In a list of versions the name is a parameter.
        let parameter = name.replace('/', "%2F");
        move |asked: &Asked| asked.target.contains(name) || asked.target.contains(&parameter)
    };

    // Interrupted in the second bundle: what was looked at is not asked for again.
    let file = dir.path().join("check.json").display().to_string();
    proxy.always(about("entries/001"), Fault::Says(Answer::plain(503, "SlowDown")));
    let (code, failed) = check(&["--resume", &file, "--url", &node.url]);
    assert_eq!(code, 3, "{failed}");
    let words = failed["error"].as_str().unwrap_or_default();
    assert!(words.contains("7 pieces were looked at and 1 bundles of the archive"), "{failed}");
    proxy.honest();
    proxy.always(about("entries/000"), altered(|_| {}));
    let (code, report) = check(&["--resume", &file, "--url", &node.url]);
    assert_eq!((code, found(&report)), (0, Vec::new()), "{report}");
    assert_eq!(report["archive"], json!({"bundles": 2, "size": size}));
    assert_eq!(proxy.honest(), Vec::<String>::new(), "the first bundle was asked for again");

    // The bucket's checksum and lock are asked for; only who reads sees other bytes.
    let other = altered(|answer| {
        answer.set("x-amz-checksum-sha256", None);
        answer.body.iter_mut().for_each(|byte| *byte ^= 1);
    });
    let read = about("entries/000");
    proxy.always(move |asked| asked.is_object("GET") && read(asked), other);
    let tomorrow = (SystemClock.now() / 1_000_000 + 3_600) as i64;
    let tomorrow = jiff::Timestamp::from_second(tomorrow).expect("a time").to_string();
    let early = altered(move |answer| answer.set("x-amz-object-lock-retain-until-date", Some(&tomorrow)));
    let described = about("records/000");
    proxy.always(move |asked| asked.method == "HEAD" && described(asked), early);
    let weak = altered(|answer| answer.set("x-amz-object-lock-mode", Some("GOVERNANCE")));
    let described = about("checkpoint/256");
    proxy.always(move |asked| asked.method == "HEAD" && described(asked), weak);
    let locks =
        [("is locked for too short a time", "records/000"), ("is not locked as it was", "checkpoint/256")];
    let (code, report) = check(&["--url", &node.url]);
    assert_eq!((code, found(&report)), (1, pairs(&locks)), "{report}");
    let read = [("has other bytes", "tile/entries/000"), locks[0], locks[1]];
    let (code, report) = check(&["--deep", "--url", &node.url]);
    assert_eq!((code, found(&report)), (1, pairs(&read)), "{report}");
    proxy.honest();
    client.check().await;
    node.stop();
    assert_eq!(check(&["--deep", "--dir", &dir.path().display().to_string()]).0, 0);
}
