//! Anchors besides witnesses: time-stamps of a real authority, checkpoints in a bucket of somebody else's, and a node that was
//! rolled back, which does not start.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, binary, clients, run},
    s3_service::service,
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
    node.stop();
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
