//! Evidence stays alive: what is gone, changed or no longer locked is found within the period, is an entry and an alert
//! until it is over; locks are made longer; and an auditor's own check names the promotions that are affected.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use promotion_ledger::{
    clock::{Clock, SystemClock},
    event::{
        Kind,
        digest::sha256,
        header::Header,
        proto::{EvidenceFinding, EvidenceProblem, ListEntriesRequest, body::Event},
    },
};
use serde_json::Value;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, run},
    reviews::{Bank, approve, in_place_of_the_report, package, rendition, seal_with},
    s3_node::{directory, events},
    s3_proxy::{Answer, Asked, Fault, Proxy, altered},
    s3_service::{Service, service},
};

/// Everything is looked at every second.
const FAST: [(&str, &str); 2] = [
    ("PROMOTION_LEDGER_EVIDENCE__CHECKS__WITHIN_SECONDS", "1"),
    ("PROMOTION_LEDGER_EVIDENCE__CHECKS__PER_SECOND", "200"),
];

async fn findings(client: &Client) -> Vec<EvidenceFinding> {
    let found = events(client, Kind::EvidenceFinding).await;
    let found = found.into_iter().filter_map(|event| match event {
        Event::EvidenceFinding(finding) => Some(finding),
        _ => None,
    });
    found.collect()
}

/// Waits until the newest finding about a digest says this.
async fn found(client: &Client, bytes: &[u8], problem: EvidenceProblem) -> EvidenceFinding {
    let digest = sha256(bytes).0;
    for _ in 0..600 {
        let newest = findings(client).await.into_iter().rfind(|finding| finding.sha256 == digest);
        if let Some(finding) = newest.filter(|finding| finding.problem() == problem) {
            return finding;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{problem:?} was not found; there are {:?}", findings(client).await);
}

fn alert(bytes: &[u8]) -> String {
    format!("evidence {}", sha256(bytes))
}

async fn alerts(client: &Client, wanted: bool, name: &str) -> bool {
    for _ in 0..400 {
        let status = client.status().await;
        if status.alerts.iter().any(|alert| alert.name == name) == wanted {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

/// `evidence check`: exit code and JSON.
pub fn check(args: &[&str]) -> (i32, Value) {
    let output = run(&[&["evidence", "check", "--format", "json"], args].concat());
    let printed = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let text = String::from_utf8_lossy(printed).into_owned();
    (output.status.code().expect("an exit code"), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// In one step: a walk that looks in between would find a file that is cut off.
fn replace(new: PathBuf, path: &Path, bytes: &[u8]) {
    fs::write(&new, bytes).expect("written");
    fs::rename(new, path).expect("replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_goes_or_changes_is_an_entry_and_an_alert_until_it_is_over() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve_with(&dir.path(), &FAST);
    let client = node.client().await;
    client.upload_all().await;
    let receipt = client.promote(client.draft(0, 0)).await.expect("a receipt");
    let (code, report) = check(&["--url", &node.url]);
    assert_eq!((code, &report["looked_at"], &report["findings"]), (0, &7.into(), &Value::Array(Vec::new())));

    let file = |bytes: &[u8]| {
        let hex = sha256(bytes).to_string();
        dir.path().join("evidence/sha256").join(&hex[..2]).join(&hex[2..])
    };
    let (gone, changed) = (&client.pieces[0].bytes, &client.pieces[3].bytes);
    fs::rename(file(gone), dir.path().join("away")).expect("taken away");
    let mut other = changed.clone();
    other[0] ^= 1;
    replace(dir.path().join("new"), &file(changed), &other);

    let finding = found(&client, gone, EvidenceProblem::Missing).await;
    assert!(finding.uri.starts_with("evidence:sha256:") && finding.day > 20_000, "{finding:?}");
    found(&client, changed, EvidenceProblem::Digest).await;
    for bytes in [gone, changed] {
        assert!(alerts(&client, true, &alert(bytes)).await, "{:?}", client.status().await.alerts);
    }
    // Counted with the entry of a finding, not with the walk's next round; looks are counted anew in each round.
    let status = client.status().await.evidence_checks.expect("how far the walk is");
    assert!(status.began > 0 && status.open_findings == 2 && status.trouble.is_empty(), "{status:?}");
    for deep in [&[][..], &["--deep"]] {
        let (code, report) = check(&[&["--url", &node.url], deep].concat());
        assert_eq!(code, 1, "{report}");
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(2), "{report}");
        assert_eq!(report["findings"][0]["promotions"], serde_json::json!([receipt.seq]), "{report}");
        let promotion = &report["promotions"][receipt.seq.to_string()];
        assert_eq!((&promotion["current"], &promotion["environment"]), (&true.into(), &"production".into()));
    }
    let text = run(&["evidence", "check", "--url", &node.url]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("2 findings; 1 promotions rely on this evidence, 1 of them current."), "{text}");
    assert!(text.contains("relied on by entry"), "{text}");

    // An alert stands again after a restart, and the walk finds nothing twice on one day.
    let before = findings(&client).await.len();
    node.stop();
    let node = Node::serve_with(&dir.path(), &FAST);
    let client = node.client().await;
    assert!(alerts(&client, true, &alert(gone)).await);
    assert_eq!(findings(&client).await.len(), before);

    fs::rename(dir.path().join("away"), file(gone)).expect("put back");
    replace(dir.path().join("new"), &file(changed), changed);
    for bytes in [gone, changed] {
        let over = found(&client, bytes, EvidenceProblem::Over).await;
        assert!(over.detail.contains("is over"), "{over:?}");
        assert!(alerts(&client, false, &alert(bytes)).await, "{:?}", client.status().await.alerts);
    }
    assert_eq!(check(&["--deep", "--url", &node.url]).0, 0);
    let shown = run(&["list", "--kind", "evidence_finding", "--url", &node.url]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("is as it must be again"));
    client.check().await;
    node.stop();
    // The same from the directory of a stopped node.
    let path = dir.path().display().to_string();
    assert_eq!(check(&["--deep", "--dir", &path]).0, 0);
    fs::remove_file(file(gone)).expect("removed");
    let (code, report) = check(&["--dir", &path]);
    assert_eq!((code, &report["findings"][0]["problem"]), (1, &"is not in the store any more".into()));
}

/// What comes back on the day on which it was over is an entry again, and so is its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_finding_that_returns_on_the_day_of_its_end_is_another_entry() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve_with(&dir.path(), &FAST);
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let bytes = client.pieces[0].bytes.clone();
    let hex = sha256(&bytes).to_string();
    let file = dir.path().join("evidence/sha256").join(&hex[..2]).join(&hex[2..]);
    let away = dir.path().join("away");
    let mut ends = vec![None];
    for _ in 0..3 {
        let follows = *ends.last().expect("an end");
        fs::rename(&file, &away).expect("taken away");
        let finding = found(&client, &bytes, EvidenceProblem::Missing).await;
        assert_eq!(finding.follows, follows);
        assert!(alerts(&client, true, &alert(&bytes)).await);
        fs::rename(&away, &file).expect("put back");
        assert_eq!(found(&client, &bytes, EvidenceProblem::Over).await.follows, follows);
        assert!(alerts(&client, false, &alert(&bytes)).await);
        let request = ListEntriesRequest { kind: "evidence_finding".into(), ..Default::default() };
        let listed = client.auditor().list_entries(request).await.expect("entries").into_inner().entries;
        let newest = listed.first().and_then(|listed| listed.entry.as_ref()).expect("an end");
        ends.push(Some(Header::decode(&newest.header).expect("a header").seq));
    }
    let shown = run(&["show", &ends[3].expect("an end").to_string(), "--url", &node.url]);
    let words = format!("over with entry {}", ends[2].expect("an end"));
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&words), "{shown:?}");
    // One entry each, however often it was looked at; more only if the day changed meanwhile.
    let all = findings(&client).await;
    let days =
        1 + all.iter().map(|it| it.day).max().unwrap_or(0) - all.iter().map(|it| it.day).min().unwrap_or(0);
    assert!(all.len() >= 6 && (days > 1 || all.len() == 6), "{all:?}");
    client.check().await;
    node.stop();
}

/// A walk goes on where it was: nothing is looked at twice in a round, nothing is left out.
#[tokio::test(flavor = "multi_thread")]
async fn the_walk_goes_on_where_it_was_after_a_restart() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let slow = [("PROMOTION_LEDGER_EVIDENCE__CHECKS__WITHIN_SECONDS", "12")];
    let node = Node::serve_with(&dir.path(), &slow);
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let checks = |status: promotion_ledger::event::proto::GetStatusResponse| {
        status.evidence_checks.expect("how far the walk is")
    };
    // The first round may have begun before there was evidence.
    let mut first = checks(client.status().await);
    for _ in 0..300 {
        first = checks(client.status().await);
        if first.ended > 0 && first.looks >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(first.ended > 0 && first.looks >= 3, "{first:?}");
    // What is kept may be a second old.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    node.kill();
    let node = Node::serve_with(&dir.path(), &slow);
    let client = node.client().await;
    let second = checks(client.status().await);
    assert_eq!(second.began, first.began, "another round");
    assert!(second.looks >= first.looks, "{second:?} after {first:?}");
    let mut last = second;
    for _ in 0..600 {
        let now = checks(client.status().await);
        if now.began != first.began {
            break;
        }
        last = now;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Seven pieces of evidence and one bundle of the archive; one look may be taken again after the kill.
    assert!((7..=9).contains(&last.looks), "{last:?}");
    client.check().await;
    node.stop();
}

/// A promoted node on a bucket behind a proxy.
async fn behind(service: &Service, bucket: &str, environment: &[(&str, &str)]) -> (Proxy, Directory, Node) {
    let proxy = Proxy::start(&service.endpoint).await;
    let through = Service { endpoint: proxy.endpoint.clone(), ..service.clone() };
    let dir = directory(&through, bucket, 2);
    let node = Node::serve_with(&dir.path(), environment);
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    (proxy, dir, node)
}

/// The lock of an object, as its owner sees it: seconds since the Unix epoch.
async fn locked_until(service: &Service, bucket: &str, key: &str) -> i64 {
    let head = service.client.head_object().bucket(bucket).key(key).send().await.expect("an object");
    head.object_lock_retain_until_date().expect("a lock").secs()
}

/// Waits until the walk has made the lock of an object longer, by five seconds or more.
async fn is_held_longer(service: &Service, bucket: &str, key: &str) {
    let before = locked_until(service, bucket, key).await;
    let mut after = before;
    for _ in 0..600 {
        after = locked_until(service, bucket, key).await;
        if after >= before + 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(after >= before + 5, "{before} is still {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_are_made_longer_before_they_end() {
    let Some(service) = service("locks_are_made_longer_before_they_end") else { return };
    let bucket = service.locked_bucket("longer").await;
    let (_proxy, dir, node) = behind(&service, &bucket, &FAST).await;
    let client = node.client().await;
    let key = format!("sha256/{}", sha256(&client.pieces[0].bytes));
    is_held_longer(&service, &bucket, &key).await;
    let checks = client.status().await.evidence_checks.expect("how far the walk is");
    assert!(checks.extended >= 7, "{checks:?}");
    assert_eq!(findings(&client).await, [], "longer is no finding");
    node.stop();
    // An auditor changes nothing, and finds nothing.
    let (code, report) = check(&["--dir", &dir.path().display().to_string()]);
    assert_eq!((code, &report["looked_at"]), (0, &7.into()), "{report}");
}

/// A static rendition is in no promotion, but approvers were shown it: it is locked before the review is sealed, and held for
/// as long as the promotion that they made.
#[tokio::test(flavor = "multi_thread")]
async fn what_approvers_were_shown_is_held_as_long_as_their_promotion() {
    let Some(service) = service("what_approvers_were_shown_is_held_as_long_as_their_promotion") else {
        return;
    };
    let bucket = service.locked_bucket("shown").await;
    let bank = Bank::at(directory(&service, &bucket, 2), &FAST);
    let client = bank.node.client().await;
    client.upload_all().await;
    let (shown, draft) = (rendition(), package(&client, 0));
    let with = || vec![in_place_of_the_report(&draft, &shown)];
    let key = format!("sha256/{}", sha256(&shown.bytes));
    let put = service.client.put_object().bucket(&bucket).key(&key).body(shown.bytes.clone().into());
    put.send().await.expect("an object without a lock");
    let refused = seal_with(&client, draft.clone(), with()).await.expect_err("it can be deleted");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("is stored, but not locked"), "{refused}");
    client.upload(&shown).await.expect("an upload, which locks it");
    let review_seq = seal_with(&client, draft.clone(), with()).await.expect("sealed");
    approve(&client, review_seq).await;
    is_held_longer(&service, &bucket, &key).await;
    assert_eq!(findings(&client).await, []);
    client.check().await;
    bank.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_loses_shortens_or_changes_evidence_is_found_out() {
    let Some(service) = service("a_bucket_that_loses_shortens_or_changes_evidence_is_found_out") else {
        return;
    };
    let bucket = service.locked_bucket("found").await;
    let deep = [FAST[0], FAST[1], ("PROMOTION_LEDGER_EVIDENCE__CHECKS__DEEP", "true")];
    let (proxy, _dir, node) = behind(&service, &bucket, &deep).await;
    let client = node.client().await;
    let about = |bytes: &[u8], method: &'static str| {
        let digest = sha256(bytes).to_string();
        move |asked: &Asked| asked.method == method && asked.target.contains(&digest)
    };
    let pieces: Vec<_> = client.pieces.iter().map(|piece| piece.bytes.clone()).collect();
    proxy.always(about(&pieces[0], "HEAD"), Fault::Says(Answer::plain(404, "")));
    let soon = |answer: &mut Answer| {
        answer.set("x-amz-object-lock-retain-until-date", Some("2040-01-01T00:00:00Z"));
    };
    // Ends later than it must: no finding.
    proxy.always(about(&pieces[1], "HEAD"), altered(soon));
    let tomorrow = SystemClock.now() / 1_000_000 + 3_600;
    let tomorrow = jiff::Timestamp::from_second(tomorrow as i64).expect("a time").to_string();
    let early = altered(move |answer| answer.set("x-amz-object-lock-retain-until-date", Some(&tomorrow)));
    proxy.always(about(&pieces[2], "HEAD"), early);
    let weak = altered(|answer| answer.set("x-amz-object-lock-mode", Some("GOVERNANCE")));
    proxy.always(about(&pieces[3], "HEAD"), weak);
    proxy.always(about(&pieces[4], "HEAD"), altered(|answer| answer.set("content-length", Some("3"))));
    // Its checksum is as it was; only who reads the bytes sees it.
    let other = altered(|answer| {
        answer.set("x-amz-checksum-sha256", None);
        answer.body.iter_mut().for_each(|byte| *byte ^= 1);
    });
    proxy.always(about(&pieces[5], "GET"), other);
    let expected = [
        (0, EvidenceProblem::Missing),
        (2, EvidenceProblem::Retention),
        (3, EvidenceProblem::Unlocked),
        (4, EvidenceProblem::Length),
        (5, EvidenceProblem::Digest),
    ];
    for (i, problem) in expected {
        let finding = found(&client, &pieces[i], problem).await;
        assert!(!finding.version_id.is_empty() && finding.uri.starts_with("s3://"), "{finding:?}");
    }
    let (code, report) = check(&["--url", &node.url]);
    assert_eq!((code, report["findings"].as_array().map(Vec::len)), (1, Some(4)), "{report}");
    let (code, report) = check(&["--deep", "--url", &node.url]);
    assert_eq!((code, report["findings"].as_array().map(Vec::len)), (1, Some(5)), "{report}");
    proxy.honest();
    for (i, _) in expected {
        found(&client, &pieces[i], EvidenceProblem::Over).await;
    }
    let digests: Vec<_> = findings(&client).await.into_iter().map(|finding| finding.sha256).collect();
    for well in [1, 6] {
        assert!(!digests.contains(&sha256(&pieces[well]).0.to_vec()), "{well} is well");
    }
    client.check().await;
    node.stop();
}

/// A store that does not answer is no finding; the walk says so, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_no_finding_and_an_interrupted_check_goes_on() {
    let Some(service) = service("a_store_that_is_away_is_no_finding_and_an_interrupted_check_goes_on") else {
        return;
    };
    let bucket = service.locked_bucket("away").await;
    let slow = [(FAST[0].0, "15")];
    let (proxy, dir, node) = behind(&service, &bucket, &slow).await;
    let client = node.client().await;
    let mut digests: Vec<_> = client.pieces.iter().map(|piece| sha256(&piece.bytes).to_string()).collect();
    digests.sort();
    let fifth = digests[4].clone();
    let throttled = Fault::Says(Answer::plain(503, "SlowDown"));
    proxy.always(move |asked| asked.target.contains(&fifth), throttled);
    assert!(alerts(&client, true, "evidence-checks").await, "{:?}", client.status().await.alerts);
    let trouble = client.status().await.evidence_checks.expect("how far the walk is").trouble;
    assert!(trouble.contains("evidence store is unavailable"), "{trouble}");
    let file = dir.path().join("check.json").display().to_string();
    let (code, failed) = check(&["--resume", &file, "--url", &node.url]);
    assert_eq!(code, 3, "{failed}");
    assert!(
        failed["error"].as_str().is_some_and(|error| error.contains("4 pieces were looked at")),
        "{failed}"
    );
    let (code, refused) = check(&["--deep", "--resume", &file, "--url", &node.url]);
    assert_eq!(code, 2, "{refused}");
    proxy.honest();
    assert!(alerts(&client, false, "evidence-checks").await, "{:?}", client.status().await.alerts);
    let (code, report) = check(&["--resume", &file, "--url", &node.url]);
    assert_eq!((code, &report["looked_at"], &report["complete"]), (0, &7.into(), &true.into()), "{report}");
    assert_eq!(findings(&client).await, []);
    node.stop();
}
