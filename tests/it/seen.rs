//! What the command line remembers of a ledger: a second run goes on, and a smaller or another ledger is refused.

use std::process::Output;

use crate::{
    harness::{CALLER, Node, binary},
    tiles::filled,
};

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_goes_on_and_a_rolled_back_node_is_refused() {
    let dir = filled(300);
    let files = tempfile::tempdir().expect("a directory");
    let backup = files.path().join("backup");
    copy(&dir.path(), &backup);
    let state = files.path().join("state");
    let token = files.path().join("token");
    let verify = |url: &str, incremental: bool| {
        let mut command = binary();
        command.env("PROMOTION_LEDGER_TOKEN_FILE", &token);
        command.env("XDG_STATE_HOME", &state);
        command.args(["verify", "--depth", "signatures", "--format", "json", "--url", url]);
        command.args(incremental.then_some("--incremental"));
        command.output().expect("the binary runs")
    };
    let node = Node::serve(&dir.path());
    std::fs::write(&token, node.token(CALLER)).expect("a token");
    let first = verify(&node.url, true);
    assert_eq!((first.status.code(), &json(&first)["checked_before"]), (Some(0), &0.into()));
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let second = json(&verify(&node.url, true));
    assert_eq!((&second["verified"], &second["checked_before"]), (&true.into(), &300.into()));
    assert_eq!((&second["checked"]["entries"], &second["checked"]["signatures"]), (&301.into(), &2.into()));
    let whole = json(&verify(&node.url, false));
    assert_eq!((&second["root"], &second["checked"]), (&whole["root"], &whole["checked"]));
    node.stop();

    let node = Node::serve(&backup);
    for incremental in [false, true] {
        let refused = verify(&node.url, incremental);
        let found = json(&refused);
        assert_eq!(refused.status.code(), Some(1), "{found}");
        let what = found["found"]["what"].as_str().expect("words");
        assert!(what.contains("an earlier run") && what.contains("cut off"), "{what}");
    }
    // It goes on from where it was rolled back to: the same size again, but other entries.
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(1, 0)).await.expect("a receipt");
    let forked = json(&verify(&node.url, false));
    assert!(forked["found"]["what"].as_str().is_some_and(|what| what.contains("at size 301")), "{forked}");
    let kept = std::fs::read_to_string(forked["split_view"].as_str().expect("a file")).expect("both notes");
    assert_eq!(kept.matches("localhost/test\n301\n").count(), 2, "{kept}");
    node.stop();
}

/// A run that was killed is gone on from, and still compared with the signed checkpoint at the end.
#[test]
fn a_run_that_broke_off_is_gone_on_from() {
    let dir = filled(150_000);
    let files = tempfile::tempdir().expect("a directory");
    let state = files.path().join("state");
    let verify = || {
        let mut command = binary();
        command.env("XDG_STATE_HOME", &state).args(["verify", "--depth", "hashes", "--incremental"]);
        command.args(["--threads", "1", "--format", "json", "--dir"]).arg(dir.path());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        command
    };
    let kept = || {
        let ledgers = std::fs::read_dir(state.join("promotion-ledger")).into_iter().flatten().flatten();
        ledgers.map(|ledger| ledger.path().join("broken-off-hashes.bin")).find(|file| file.exists())
    };
    let mut first = verify().spawn().expect("the binary runs");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while kept().is_none() {
        let ended = first.try_wait().expect("a status");
        assert!(ended.is_none(), "it ended before anything was kept: make the ledger longer");
        assert!(std::time::Instant::now() < deadline, "nothing is kept");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    first.kill().expect("ended");
    first.wait().expect("an end");
    let second = json(&verify().output().expect("the binary runs"));
    let before = second["checked_before"].as_u64().expect("a number");
    assert!(second["verified"] == true && before > 0 && before < 150_000, "{second}");
    assert_eq!(second["checked"]["entries"], 150_000);
    assert_eq!(kept(), None, "what ended is not gone on from as if it had broken off");
}
