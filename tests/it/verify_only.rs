//! The build that has no node in it: receipts, records, bundles and a gate's decision hold there alone, and changed ones do not.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, run, service},
    witness::vkey,
};

/// The binary of that build (`cargo build --no-default-features`), or a loud skip.
fn verify_only(test: &str) -> Option<PathBuf> {
    service("VERIFY_ONLY", test).map(PathBuf::from)
}

/// What somebody has who got a promotion's receipt, record and bundle, a gate's list, and the log key; and nothing else.
struct Handed {
    binary: PathBuf,
    files: tempfile::TempDir,
}

impl Handed {
    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// Writes a changed copy of a file; its name.
    fn changed(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let good = std::fs::read(self.path(name)).expect("a file");
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_ne!(bytes, good, "{name}");
        let path = self.path("changed");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    #[track_caller]
    fn says(&self, args: &[&str], code: i32, words: &str) {
        let mut command = Command::new(&self.binary);
        let done = command.args(args).env_clear().current_dir(self.files.path()).output().expect("it runs");
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(done.status.code() == Some(code) && said.contains(words), "{args:?}: {said}");
    }
}

async fn handed(binary: PathBuf, artifact: &str) -> Handed {
    let handed = Handed { binary, files: tempfile::tempdir().expect("a directory") };
    let write = |name: &str, bytes: &[u8]| std::fs::write(handed.path(name), bytes).expect("written");
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client: Client = node.client().await;
    client.upload_all().await;
    let draft = client.draft(0, 0);
    let model = draft.model_version.as_ref().expect("a model").artifact_sha256.clone();
    write(artifact, hex::encode(model).as_bytes());
    let receipt = client.promote(draft).await.expect("a receipt");
    write("receipt", receipt.tlog_proof.as_bytes());
    let entry = client.entries().await.remove(usize::try_from(receipt.seq).expect("small"));
    write("record", &entry.record);
    let status = client.status().await;
    write("log.vkey", status.log_vkey.as_bytes());
    write("ledger_id", hex::encode(status.ledger_id).as_bytes());
    let (list, bundle) = (handed.path("list"), handed.path("bundle.zip"));
    for args in [
        &["gate", "status-list", "--environment", "production", "-o", &list, "--url", &node.url][..],
        &["export", &receipt.seq.to_string(), "-o", &bundle, "--url", &node.url],
    ] {
        let done = run(args);
        assert!(done.status.success(), "{done:?}");
    }
    node.stop();
    handed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_gave_verifies_in_the_build_without_one() {
    let Some(binary) = verify_only("what_a_node_gave_verifies_in_the_build_without_one") else { return };
    let handed = handed(binary, "artifact").await;
    let read = |name: &str| std::fs::read_to_string(handed.path(name)).expect("text");
    let (artifact, id) = (read("artifact"), read("ledger_id"));
    let other = vkey(&Directory::init(&LogUnderTest::Embedded));
    let middle = |bytes: &mut Vec<u8>| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    };

    let receipt = |receipt: &str, key: &str, record: &str, code: i32, words: &str| {
        handed.says(&["verify", "--receipt", receipt, "--key", key, "--record", record], code, words);
    };
    receipt("receipt", "log.vkey", "record", 0, "the record is the one that the entry commits to");
    receipt("receipt", &read("log.vkey"), "record", 0, "event digest");
    receipt("receipt", &other, "record", 1, "error: ");
    receipt(&handed.changed("receipt", middle), "log.vkey", "record", 1, "error: ");
    receipt("receipt", "log.vkey", &handed.changed("record", middle), 1, "error: ");
    receipt("nowhere", "log.vkey", "record", 1, "nowhere");
    handed.says(&["verify", "--receipt", "receipt"], 2, "--key");

    let bundle = |bundle: &str, key: &str, id: &str, code: i32, words: &str| {
        handed.says(&["verify", bundle, "--key", key, "--ledger-id", id], code, words);
    };
    bundle("bundle.zip", "log.vkey", &id, 0, "The bundle holds.");
    bundle("bundle.zip", &other, &id, 1, "error: ");
    bundle("bundle.zip", "log.vkey", &"ab".repeat(32), 1, "error: ");
    bundle(&handed.changed("bundle.zip", middle), "log.vkey", &id, 1, "error: ");
    bundle(
        &handed.changed("bundle.zip", |bytes| bytes.truncate(bytes.len() - 1)),
        "log.vkey",
        &id,
        1,
        "error: ",
    );

    let gate = |artifact: &str, list: &str, key: &str, code: i32, words: &str| {
        let question = ["gate-check", "--artifact", artifact, "--environment", "production"];
        let basis = ["--region", "eu-central", "--status-list", list, "--receipt", "receipt", "--key", key];
        handed.says(&[&question[..], &basis].concat(), code, words);
    };
    gate(&artifact, "list", "log.vkey", 0, "allowed: the artefact is current");
    gate(&"ab".repeat(32), "list", "log.vkey", 1, "not on the list");
    gate(&artifact, "list", &other, 1, "error: ");
    gate(&artifact, &handed.changed("list", middle), "log.vkey", 1, "error: ");
}

/// No database, broker or network code: nothing in it could ask anybody.
#[test]
fn the_build_without_a_node_has_no_database_broker_or_network_code() {
    let Some(binary) = verify_only("the_build_without_a_node_has_no_database_broker_or_network_code") else {
        return;
    };
    let holds = |file: &Path, words: &str| {
        let bytes = std::fs::read(file).expect("a binary");
        bytes.windows(words.len()).any(|found| found == words.as_bytes())
    };
    assert!(holds(&binary, "The bundle holds."), "this is no such build");
    for words in ["librdkafka", "rocksdb", "tonic", "hyper", "aws_sdk"] {
        assert!(!holds(&binary, words), "{words}");
    }
}
