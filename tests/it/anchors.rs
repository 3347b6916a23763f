//! Anchors besides witnesses: time-stamps of a real authority, checkpoints in a bucket of somebody else's, and a node that was
//! rolled back, which does not start.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use promotion_ledger::event::proto::GetCheckpointRequest;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, binary, clients, run},
    s3_service::{Other, Service, keys, service},
    witness::{Omniwitness, configure, copy, vkey, with_an_issuer, witness},
};

/// `openssl ts` as an authority; ends when its input ends.
struct Authority {
    child: Child,
    url: String,
    root: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        // Ended already where it could not start.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn authority(test: &str, dir: &Path) -> Option<Authority> {
    let there = |name: &str| {
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    if !there("python3") || !there("openssl") {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: python3 or openssl is not there"
        );
        eprintln!("SKIPPED {test}: no python3 or openssl");
        return None;
    }
    std::fs::create_dir_all(dir).expect("a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/tsa.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the authority starts");
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    said.read_line(&mut line).expect("its line");
    let value = |name: &str| {
        let found = line.split_whitespace().find_map(|part| part.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {line:?}")).to_owned()
    };
    Some(Authority { url: value("URL="), root: value("ROOT=").into(), child })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_over_human_approvals_are_time_stamped_and_verify_offline() {
    let test = "checkpoints_over_human_approvals_are_time_stamped_and_verify_offline";
    let files = tempfile::tempdir().expect("a directory");
    let (one, two) = (files.path().join("one"), files.path().join("two"));
    let (Some(authority), Some(other)) = (authority(test, &one), authority(test, &two)) else { return };
    let dir = Directory::init(&LogUnderTest::Embedded);
    let settings =
        format!("[[witnesses.timestamps]]\nurl = {:?}\nroot = {:?}\n", authority.url, text(&authority.root));
    configure(&dir.path(), &settings);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    // Nobody has approved anything: nothing is stamped.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let stamps = || {
        let found = std::fs::read_dir(dir.path().join("timestamps")).into_iter().flatten().flatten();
        found.filter(|entry| text(&entry.path()).ends_with(".txt")).count()
    };
    assert_eq!(stamps(), 0);
    let mut seqs = Vec::new();
    for n in 0..2 {
        let receipt = client.promote(client.draft(0, n)).await.expect("a receipt");
        seqs.push(receipt.seq);
        until("the checkpoint is stamped", || stamps() > n as usize).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let [first, seq] = [seqs[0].to_string(), seqs[1].to_string()];
    let out = files.path().join("stamped");
    let proof = |root: &Path| {
        run(&["proof", "timestamp", &seq, "--tsa", &text(root), "--url", &node.url, "-o", &text(&out)])
    };
    let done = proof(&authority.root);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let refused = proof(&other.root);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("does not lead to the given root"), "{said}");

    // Offline, with the receipt, the log key and the authority's root.
    let key = client.status().await.log_vkey;
    let (receipt, stamp) =
        (out.join(format!("entry-{seq}.tlog-proof")), out.join(format!("entry-{seq}.tsr")));
    let verify = |stamp: &Path| {
        let given =
            ["--key", &key, "--timestamp", &text(stamp), "--tsa", &text(&authority.root)].map(str::to_owned);
        let mut command = binary();
        command.args(["verify", "--format", "json", "--receipt"]).arg(&receipt).args(given);
        command.output().expect("the binary runs")
    };
    let done = verify(&stamp);
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(
        done.status.code() == Some(0) && json["stamped_at"].as_u64().expect("a time") > 1_600_000_000_000_000,
        "{json}"
    );
    // OpenSSL says the same of it.
    let note = std::fs::read_to_string(&receipt)
        .expect("a receipt")
        .split_once("\n\n")
        .expect("a checkpoint")
        .1
        .to_owned();
    let checkpoint = files.path().join("checkpoint.txt");
    std::fs::write(&checkpoint, note).expect("written");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["ts", "-verify", "-in"])
        .arg(&stamp)
        .arg("-data")
        .arg(&checkpoint)
        .arg("-CAfile")
        .arg(&authority.root);
    assert!(openssl.output().expect("openssl runs").status.success());
    // Not one byte of the answer can be another.
    let good = std::fs::read(&stamp).expect("a stamp");
    let bad_file = files.path().join("bad.tsr");
    let root =
        promotion_ledger::proof::timestamp::Root::from_pem(&std::fs::read(&authority.root).expect("a root"))
            .expect("a root");
    let note = std::fs::read_to_string(&checkpoint).expect("a note");
    let check = |bytes: &[u8]| promotion_ledger::proof::timestamp::verify(bytes, &note, &root);
    let time = check(&good).expect("it holds");
    let mut passed = Vec::new();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        passed.extend(check(&bad).is_ok().then_some(at));
    }
    // What no signature covers may differ as long as it says the same: the status, lists of algorithms and of certificates.
    assert!(passed.len() <= 4, "{passed:?}");
    assert!(passed.iter().all(|at| {
        let mut bad = good.clone();
        bad[*at] ^= 1;
        check(&bad) == Ok(time)
    }));
    std::fs::write(&bad_file, &good[..good.len() - 1]).expect("written");
    assert_eq!(verify(&bad_file).status.code(), Some(1));
    assert!(
        promotion_ledger::proof::timestamp::verify(&good, &format!("{note}x"), &root).is_err(),
        "another checkpoint"
    );

    // An examiner bundle carries them, and says between which times a promotion was recorded.
    let bundle = files.path().join("bundle.zip");
    let done = run(&["export", &seq, "--url", &node.url, "-o", &text(&bundle)]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let done = run(&["verify", &text(&bundle), "--tsa", &text(&authority.root)]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.code() == Some(0), "{done:?}");
    for words in
        [format!("entry {seq} was not yet in what"), "was there at".into(), "held entries back".into()]
    {
        assert!(said.contains(&words), "{words}: {said}");
    }
    assert_eq!(run(&["verify", &text(&bundle), "--tsa", &text(&other.root)]).status.code(), Some(1));
    if let Some(python) = crate::bundle::python(test) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify_bundle.py");
        let done = Command::new(python).arg("-B").arg(script).arg(&bundle).output().expect("Python runs");
        let found: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
        assert_eq!((&found["ok"], &found["checked"]["stamps"]), (&true.into(), &2.into()), "{found}");
    }
    assert_ne!(first, seq);

    // The whole ledger, at the node and in its directory: every entry has its bracket.
    let root = text(&authority.root);
    let of_node = verified(&["--url", &node.url, "--tsa", &root], &[]);
    node.stop();
    let of_dir = text(&dir.path());
    let (of_dir, nobody) =
        (verified(&["--dir", &of_dir, "--tsa", &root], &[]), verified(&["--dir", &of_dir], &[]));
    for (code, json) in [of_node, of_dir] {
        assert_eq!(code, Some(0), "{json}");
        let ages = json["ages"].as_array().expect("ages");
        let next = |next: u64, range: &serde_json::Value| {
            assert_eq!(range["first"], next, "{ages:?}");
            range["last"].as_u64().expect("a number") + 1
        };
        assert_eq!(Some(ages.iter().fold(0, next)), json["checked"]["entries"].as_u64());
        let time = |range: &serde_json::Value, side: &str| range[side]["time"].as_u64();
        let of = ages.iter().find(|range| range["last"].as_u64() >= seq.parse().ok()).expect("a range");
        assert!(
            time(of, "not_before").is_some() && time(of, "not_before") < time(of, "not_after"),
            "{ages:?}"
        );
    }
    let (code, json) = nobody;
    assert_eq!(
        (code, &json["ages_unread_stamps"], json["ages"][0]["not_after"].is_null()),
        (Some(0), &2.into(), true)
    );
}

/// A checkpoint of a larger size stands where the node's operator cannot take it away.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_rolled_back_behind_its_anchor_does_not_start() {
    let test = "a_node_that_was_rolled_back_behind_its_anchor_does_not_start";
    let Some(service) = service(test) else { return };
    let bucket = service.locked_bucket("anchored").await;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let settings = format!(
        "[witnesses.anchor]\nevery_seconds = 1\nretain_days = 1\n[witnesses.anchor.s3]\nbucket = {bucket:?}\nendpoint = {:?}\npath_style = true\ncredentials = {:?}\n",
        service.endpoint, service.credentials
    );
    configure(&dir.path(), &settings);
    let node = Node::serve(&dir.path());
    let client: Client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let id = hex::encode(client.status().await.ledger_id);
    let anchored = async |n: u64| {
        let key = format!("anchor/{id}/{n:08}");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(found) = service.client.get_object().bucket(&bucket).key(&key).send().await {
                let bytes = found.body.collect().await.expect("bytes").into_bytes();
                return String::from_utf8(bytes.to_vec()).expect("text");
            }
            assert!(Instant::now() < deadline, "{key} is not there");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(anchored(0).await.starts_with("localhost/test\n"));
    node.stop();
    let backup = dir.path().with_file_name("backup");
    copy(&dir.path().join("ledger"), &backup);

    let node = Node::serve(&dir.path());
    let client = node.client().await;
    for n in 1..4 {
        client.promote(client.draft(0, n)).await.expect("a receipt");
    }
    let size = client.status().await.synced_size;
    let mut n = 0;
    while !anchored(n).await.starts_with(&format!("localhost/test\n{size}\n")) {
        n += 1;
    }
    // Nobody can take it back: neither delete nor replace.
    let versions = service.client.list_object_versions().bucket(&bucket).send().await.expect("versions");
    for version in versions.versions() {
        let delete = service.client.delete_object().bucket(&bucket).key(version.key().expect("a key"));
        let deleted = delete.version_id(version.version_id().expect("an id")).send().await;
        assert!(deleted.is_err(), "{:?} was deleted", version.key());
    }
    node.stop();
    // A restart with everything is fine.
    Node::serve(&dir.path()).stop();

    // The ledger of the backup, with no trace of what came after.
    std::fs::remove_dir_all(dir.path().join("ledger")).expect("removed");
    copy(&backup, &dir.path().join("ledger"));
    for name in ["checkpoint.0", "checkpoint.1"] {
        std::fs::remove_file(dir.path().join(name)).expect("removed");
    }
    std::fs::remove_dir_all(dir.path().join("evidence/archive")).expect("removed");
    let refused = refused(&dir.path());
    assert!(refused.contains("the anchor has seen") && refused.contains("rolled back"), "{refused}");
}

/// `verify` of a ledger by somebody who has never seen it: its exit code, and its JSON.
pub fn verified(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, serde_json::Value) {
    let state = tempfile::tempdir().expect("a directory");
    let mut command = binary();
    // A running node's development key is noted there.
    if !args.contains(&"--url") {
        command.env("XDG_STATE_HOME", state.path());
    }
    command.envs(environment.iter().copied());
    let done = command.args(["verify", "--format", "json"]).args(args).output().expect("the binary runs");
    let json = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("no JSON: {done:?}"));
    (done.status.code(), json)
}

/// Of very many kept checkpoints some are read, and the report says how many there are.
#[tokio::test(flavor = "multi_thread")]
async fn verify_says_how_many_kept_checkpoints_it_read() {
    const KEPT: u64 = 4_100;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let note = node.client().await.auditor();
    let note = { note }.get_checkpoint(GetCheckpointRequest {}).await.expect("a checkpoint").into_inner();
    std::fs::create_dir(dir.path().join("witnessed")).expect("a directory");
    for size in 1..=KEPT {
        let file = dir.path().join(format!("witnessed/{size}.txt"));
        std::fs::write(file, &note.checkpoint).expect("written");
    }
    let (of_node, path) = (verified(&["--url", &node.url], &[]), text(&dir.path()));
    node.stop();
    for (code, json) in [of_node, verified(&["--dir", &path], &[])] {
        let some = serde_json::json!([{ "kind": "cosigned", "there": KEPT, "read": 4_096 }]);
        assert_eq!((code, &json["vouched_for"]), (Some(0), &some), "{json}");
    }
    let said = String::from_utf8(run(&["verify", "--dir", &path]).stdout).expect("text");
    assert!(said.contains("4096 of 4100 cosigned checkpoints were read, evenly spread"), "{said}");
}

/// A directory with everything below it.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_all(&entry.path(), &target),
            false => std::fs::copy(entry.path(), target).map(|_| ()).expect("a copy"),
        }
    }
}

/// Waits until the newest anchored checkpoint has as many entries; how many checkpoints there are.
async fn anchored(service: &Service, bucket: &str, id: &str, size: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut n = 0;
    loop {
        let key = format!("anchor/{id}/{n:08}");
        if let Ok(found) = service.client.get_object().bucket(bucket).key(&key).send().await {
            let bytes = found.body.collect().await.expect("bytes").into_bytes();
            n += 1;
            if bytes.starts_with(format!("localhost/test\n{size}\n").as_bytes()) {
                return n;
            }
            continue;
        }
        assert!(Instant::now() < deadline, "{key} is not there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The anchor is under other credentials than the evidence: another service, which does not know the evidence's.
#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_a_ledger_with_an_anchor_under_other_credentials() {
    let test = "verify_compares_a_ledger_with_an_anchor_under_other_credentials";
    let Some(service) = service(test) else { return };
    let other = Other::start();
    let (evidence, bucket) = (service.locked_bucket("ev").await, other.service.locked_bucket("an").await);
    let dir = crate::s3_node::directory(&service, &evidence, 2);
    let anchor = format!(
        "bucket = {bucket:?}\nendpoint = {:?}\npath_style = true\ncredentials = {:?}\n",
        other.service.endpoint, other.service.credentials
    );
    let section =
        format!("[witnesses.anchor]\nevery_seconds = 2\nretain_days = 1\n[witnesses.anchor.s3]\n{anchor}");
    // A twin has the same genesis, keys and policy, but another history: what an operator can write who holds the log key.
    let files = tempfile::tempdir().expect("a directory");
    let (twin, backup) = (files.path().join("twin"), files.path().join("backup"));
    copy_all(&dir.path(), &twin);
    configure(&dir.path(), &section);
    assert_ne!(keys(&service.credentials), keys(&other.service.credentials));
    let stranger = Service::at(other.service.endpoint.clone(), service.credentials.clone());
    assert!(
        stranger.client.list_objects_v2().bucket(&bucket).send().await.is_err(),
        "evidence's credentials"
    );

    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let first = client.promote(client.draft(0, 0)).await.expect("a receipt").seq;
    let id = hex::encode(client.status().await.ledger_id);
    let settings = files.path().join("anchor.toml");
    std::fs::write(&settings, &anchor).expect("written");
    anchored(&other.service, &bucket, &id, client.status().await.synced_size).await;
    node.stop();
    copy_all(&dir.path(), &backup);
    // The bucket's clock has seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let last = client.promote(client.draft(0, 1)).await.expect("a receipt").seq;
    let size = client.status().await.synced_size;
    anchored(&other.service, &bucket, &id, size).await;

    // A running node, and the bucket as AWS' tools reach it; then its directory, and the settings in a file.
    let [key_id, secret] = keys(&other.service.credentials);
    let environment = [
        ("AWS_ENDPOINT_URL", other.service.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
    ];
    let place = format!("s3://{bucket}");
    let (code, json) = verified(&["--url", &node.url, "--anchor", &place], &environment);
    node.stop();
    let (of_dir, of_file) = (text(&dir.path()), text(&settings));
    let configured = text(&dir.path().join("promotion-ledger.toml"));
    for (code, json) in [
        (code, json),
        verified(&["--dir", &of_dir, "--anchor", &of_file], &[]),
        verified(&["--dir", &of_dir, "--anchor", &configured], &[]),
    ] {
        assert_eq!((code, json["verified"].as_bool()), (Some(0), Some(true)), "{json}");
        let ages = json["ages"].as_array().expect("ages");
        let of = |seq: u64| {
            let within = |range: &&serde_json::Value| {
                range["first"].as_u64() <= Some(seq) && range["last"].as_u64() >= Some(seq)
            };
            let range = ages.iter().find(within).expect("every entry has a range");
            [&range["not_before"], &range["not_after"]].map(|at| at["time"].as_u64())
        };
        let [_, there] = of(first);
        let [not_yet, later] = of(last);
        assert!(there.is_some() && there <= not_yet && not_yet < later, "{ages:?}");
        let listed = json["checkpoints"].as_array().expect("checkpoints");
        assert!(
            listed.iter().any(|one| one["from"].as_str().is_some_and(|from| from.contains(&place))),
            "{json}"
        );
        assert!(json["still_possible"].as_str().is_some_and(|words| words.contains("held entries back")));
        let vouched = json["vouched_for"].as_array().expect("kinds");
        let anchored = vouched.iter().find(|it| it["kind"] == "anchored").expect("the anchor's");
        assert!(anchored["there"].as_u64() >= Some(2) && anchored["there"] == anchored["read"], "{json}");
    }
    let mut command = binary();
    command.args(["verify", "--dir", &of_dir, "--anchor", &of_file]);
    let said = String::from_utf8(command.output().expect("the binary runs").stdout).expect("text");
    assert!(said.contains(&format!("not yet in what the anchor {place}")), "{said}");
    assert!(said.contains("What this does not show"), "{said}");

    // Behind it: a copy from before the second promotion.
    let found = |json: &serde_json::Value| json["found"]["what"].as_str().unwrap_or_default().to_owned();
    let (code, json) = verified(&["--dir", &text(&backup), "--anchor", &of_file], &[]);
    let what = found(&json);
    assert!(code == Some(1) && what.contains("its end was cut off") && what.contains(&place), "{json}");
    assert_eq!(verified(&["--dir", &text(&backup)], &[]).0, Some(0), "alone it holds");

    // In contradiction to it: as long, signed by the same key, and another history.
    let file = twin.join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, config.replace(&evidence, &service.locked_bucket("tw").await)).expect("written");
    let node = Node::serve(&twin);
    let client = node.client().await;
    client.upload_all().await;
    while client.status().await.synced_size < size {
        // First promotions, each of another model.
        let model = usize::try_from(client.status().await.synced_size).expect("small");
        client.promote(client.draft(model, 0)).await.expect("a receipt");
    }
    node.stop();
    assert_eq!(verified(&["--dir", &text(&twin)], &[]).0, Some(0), "alone it holds");
    let (code, json) = verified(&["--dir", &text(&twin), "--anchor", &of_file], &[]);
    let what = found(&json);
    assert!(code == Some(1) && what.contains("the root is") && what.contains(&place), "{json}");
    // Another bucket knows nothing of it; an anchor that cannot be asked is no agreement.
    let mut command = binary();
    std::fs::write(&settings, anchor.replace(&bucket, &other.service.locked_bucket("em").await))
        .expect("written");
    command.args(["verify", "--dir", &of_dir, "--anchor", &of_file]);
    let done = command.output().expect("the binary runs");
    assert!(
        done.status.code() == Some(1)
            && String::from_utf8_lossy(&done.stderr).contains("no checkpoint of this ledger")
    );
    drop(other);
    std::fs::write(&settings, anchor.replace("path_style", "timeout_seconds = 3\npath_style"))
        .expect("written");
    let mut command = binary();
    command.args(["verify", "--dir", &of_dir, "--anchor", &of_file]);
    let done = command.output().expect("the binary runs");
    // The credentials went with the service.
    assert!(matches!(done.status.code(), Some(2 | 3)), "{done:?}");
}

/// What a node that does not start says.
fn refused(dir: &Path) -> String {
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--dir"]).arg(dir);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("ended");
            child.wait().expect("an end");
            panic!("it started");
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let output = child.wait_with_output().expect("its words");
    assert!(!status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_rolled_back_behind_its_witness_does_not_start() {
    let Some(programs) = clients("a_node_that_was_rolled_back_behind_its_witness_does_not_start") else {
        return;
    };
    let dir = Directory::init(&LogUnderTest::Embedded);
    let files = tempfile::tempdir().expect("a directory");
    let omni = Omniwitness::start(&programs, files.path(), &vkey(&dir));
    configure(&dir.path(), &witness(&omni, true));
    let backup = dir.path().with_file_name("backup");
    copy(&dir.path().join("ledger"), &backup);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt, cosigned");
    node.stop();
    std::fs::remove_dir_all(dir.path().join("ledger")).expect("removed");
    copy(&backup, &dir.path().join("ledger"));
    for name in ["checkpoint.0", "checkpoint.1", "witnessed.txt"] {
        std::fs::remove_file(dir.path().join(name)).expect("removed");
    }
    std::fs::remove_dir_all(dir.path().join("evidence/archive")).expect("removed");
    let refused = refused(&dir.path());
    assert!(refused.contains("has seen") && refused.contains("rolled back"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_starts_with_an_anchor_of_its_own_and_not_with_the_evidence_bucket() {
    let Some(service) = service("production_starts_with_an_anchor_of_its_own") else { return };
    let (evidence, anchor) = (service.locked_bucket("ev").await, service.locked_bucket("an").await);
    let dir = crate::s3_node::directory(&service, &evidence, 2);
    let settings = |bucket: &str| {
        format!(
            "[witnesses.anchor.s3]\nbucket = {bucket:?}\nendpoint = {:?}\npath_style = true\ncredentials = {:?}\n",
            service.endpoint, service.credentials
        )
    };
    configure(&dir.path(), &settings(&evidence));
    let said = refused(&dir.path());
    assert!(said.contains("the evidence's own bucket"), "{said}");
    let file = dir.path().join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    let config = config.replace(&settings(&evidence), &settings(&anchor));
    std::fs::write(&file, config).expect("written");
    with_an_issuer(&dir);
    Node::serve_with(&dir.path(), &[("PROMOTION_LEDGER_PROFILE", "production")]).stop();
}
