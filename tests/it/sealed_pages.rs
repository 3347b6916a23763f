//! What auditors see of a review: the sealed bytes, byte for byte, compared with the ledger, and who decided what.

use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use promotion_ledger::{
    event::{
        digest::sha256,
        proto::{Decision, EvidenceRef, ReviewSealed, body::Event},
    },
    ledger::{store::Store, writer},
};

use crate::{
    harness::{Directory, LogUnderTest, Node, run},
    pages::{check_accessible, get},
    review_samples::{decision, promoted_after, review_sealed},
    samples::{Ledger, front_door, log_key},
};

const PAGE: &str = "<!DOCTYPE html><html lang=\"en\"><title>sealed</title><p>exactly this</p><iframe src=\"people\"></iframe></html>";
const REPORT: &str = "<p>report</p>";

fn store(dir: &Path, bytes: &str) -> PathBuf {
    let digest = sha256(bytes.as_bytes()).to_string();
    let (shard, rest) = digest.split_at(2);
    let dir = dir.join("evidence/sha256").join(shard);
    std::fs::create_dir_all(&dir).expect("a directory");
    let file = dir.join(rest);
    std::fs::write(&file, bytes).expect("evidence");
    file
}

fn kept(bytes: &str) -> EvidenceRef {
    let digest = sha256(bytes.as_bytes());
    EvidenceRef {
        uri: format!("evidence:sha256:{digest}"),
        sha256: digest.0.to_vec(),
        length: bytes.len() as u64,
        media_type: "text/html".into(),
        ..review_sealed("credit", 1, None).screen.expect("a screen")
    }
}

/// Entry 1 is the review, 2 and 3 approve it, 4 promotes.
pub fn reviewed() -> Ledger {
    let mut ledger = asked();
    for who in ["Ada", "Ben"] {
        let event = decision(&ledger, 1, Decision::Approve, who, &["model-risk"]);
        let record = ledger.record(event);
        ledger.push(record);
    }
    let record = ledger.record(promoted_after(&ledger, 1));
    let header = ledger.push(record);
    assert_eq!((header.seq, header.reason.to_string()), (4, "none".to_owned()));
    ledger
}

/// Entry 1 is the review; nobody has decided.
pub fn asked() -> Ledger {
    let mut ledger = Ledger::new();
    let sealed = review_sealed("credit", 1, None);
    let mut artefacts = sealed.artefacts.clone();
    artefacts.truncate(1);
    for artefact in &mut artefacts {
        (artefact.sha256, artefact.length) = (kept(REPORT).sha256, REPORT.len() as u64);
    }
    let sealed = ReviewSealed { screen: Some(kept(PAGE)), artefacts, ..sealed };
    let record = ledger.record(Event::ReviewSealed(sealed));
    ledger.push(record);
    ledger
}

/// A node's directory with that ledger in it.
pub fn directory(ledger: &Ledger) -> Directory {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let path = dir.path();
    std::fs::remove_dir_all(path.join("ledger")).expect("an empty ledger");
    for (name, key) in [("front-door", front_door()), ("log", log_key())] {
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("a key");
        std::fs::write(path.join("keys").join(format!("{name}.pem")), pem.as_bytes()).expect("a key");
    }
    let file = path.join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    let line = config.lines().find(|line| line.starts_with("ledger_id")).expect("a line").to_owned();
    let config = config.replace(&line, &format!("ledger_id = \"{}\"", ledger.pinned));
    std::fs::write(&file, config).expect("a configuration");
    {
        let store = Store::open(&path.join("ledger")).expect("a store");
        let mut state = None;
        let values = (0..).zip(ledger.records.iter().cloned());
        writer::apply(&store, &ledger.pinned, &mut state, values).expect("entries");
    }
    store(&path, PAGE);
    store(&path, REPORT);
    dir
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auditors_get_back_the_exact_sealed_bytes_and_the_check_against_the_ledger() {
    let dir = directory(&reviewed());
    let node = Node::serve(&dir.path());
    let text = async |path: &str| get(&node, path).await.text().await.expect("text");

    // The list is a projection's, which reads what the directory holds once the node has started.
    let mut inbox = text("/sealed/").await;
    for _ in 0..100 {
        if inbox.contains("href=\"1/\"") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        inbox = text("/sealed/").await;
    }
    check_accessible(&inbox);
    assert!(
        inbox.contains("href=\"1/\"") && inbox.contains("2 of 2") && inbox.contains("approved"),
        "{inbox}"
    );

    let page = text("/sealed/1/").await;
    check_accessible(&page);
    for words in [
        "All 2 pieces are byte for byte",
        "promoted by entry 4",
        &sha256(PAGE.as_bytes()).to_string(),
        "Served in full",
        "the page",
        "src=\"sealed/\"",
    ] {
        assert!(page.contains(words), "{words} is not on the page");
    }
    assert_eq!(page.matches(">approved<").count(), 2);

    let sealed = get(&node, "/sealed/1/sealed/").await;
    let policy = sealed.headers()["content-security-policy"].to_str().expect("ascii").to_owned();
    assert!(
        policy.starts_with("sandbox allow-same-origin allow-popups; default-src 'none'")
            && policy.contains("form-action 'none'")
    );
    assert_eq!(sealed.bytes().await.expect("bytes"), PAGE.as_bytes());
    let report = format!("/sealed/1/sealed/artefacts/{}.html", hex::encode(kept(REPORT).sha256));
    assert_eq!(text(&report).await, REPORT);
    assert_eq!(get(&node, "/sealed/1/sealed/people").await.status(), 200);
    assert!(text("/promotions/4/").await.contains("../../sealed/1/"));
    for absent in ["/sealed/2/", "/sealed/4/", "/sealed/99/", "/sealed/1/artefacts/00.html"] {
        assert_eq!(get(&node, absent).await.status(), 404, "{absent}");
    }

    // The same from a terminal, by the review or by the promotion.
    for entry in ["1", "4"] {
        let out = dir.path().with_file_name(format!("screen-{entry}"));
        let output = run(&["show", entry, "--screen", "-o", &out.display().to_string(), "--url", &node.url]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(std::fs::read_to_string(out.join("index.html")).expect("a page"), PAGE);
        assert_eq!(std::fs::read_dir(out.join("artefacts")).expect("a directory").count(), 1);
    }

    // A page that is not the sealed one is neither served nor written.
    store(&dir.path(), PAGE);
    let digest = sha256(PAGE.as_bytes()).to_string();
    let (shard, rest) = digest.split_at(2);
    let other = PAGE.replace("exactly this", "exactly that");
    std::fs::write(dir.path().join("evidence/sha256").join(shard).join(rest), other).expect("a changed page");
    assert!(text("/sealed/1/").await.contains("1 of 2 pieces are not what the ledger says"));
    assert_eq!(get(&node, "/sealed/1/sealed/").await.status(), 500);
    let out = dir.path().with_file_name("screen-changed");
    let output = run(&["show", "1", "--screen", "-o", &out.display().to_string(), "--url", &node.url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!out.join("index.html").exists());
    node.stop();
}
