//! Nodes on a real Kafka: equal ledgers on every node, rebuilt from the topic, unharmed by junk and lost brokers.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use promotion_ledger::event::proto::{
    CheckRequest, GateBasis, RefusalReason, check_request::Subject, gate_service_client::GateServiceClient,
};
use tonic::Code;

use crate::{
    harness::{Directory, LogUnderTest, Node, kafka, run, unique},
    kafka_log::{admin, options},
};

async fn caught_up(client: &crate::harness::Client, size: u64) {
    for _ in 0..300 {
        if client.status().await.synced_size >= size {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the node did not reach {size} entries");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_and_an_empty_one_reach_equal_heads() {
    let Some(log) = kafka("two_nodes") else { return };
    let LogUnderTest::Kafka { bootstrap, topic } = &log else { return };
    let dir = Directory::init(&log);
    let first = Node::serve(&dir.path());
    let twin = dir.empty_twin();
    let second = Node::serve(&twin.path());
    let (one, two) = (first.client().await, second.client().await);
    one.upload_all().await;
    let junk: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a producer");
    for n in 0..6 {
        one.promote(one.draft(0, n)).await.expect("a receipt");
        two.promote(two.draft(1, n)).await.expect("a receipt");
        junk.send(BaseRecord::<str, [u8]>::to(topic).payload(b"not a record")).expect("queued");
        junk.send(BaseRecord::<str, [u8]>::to(topic).key("null")).expect("queued");
    }
    transaction(bootstrap, topic);
    junk.flush(Duration::from_secs(10)).expect("flushed");
    // A record after the transaction makes its markers into holes.
    let last = one.promote(one.draft(0, 6)).await.expect("a receipt");
    caught_up(&two, last.seq + 1).await;
    caught_up(&one, last.seq + 1).await;
    let (a, b) = (one.check().await, two.check().await);
    assert_eq!((a.size(), a.root(), a.link()), (b.size(), b.root(), b.link()));
    let summary = a.summary();
    assert_eq!(summary.outcomes[0], 14, "{summary:?}");
    assert!(summary.outcomes[3] >= 15, "12 pieces of junk, 2 in transactions, markers: {summary:?}");
    second.stop();
    let third_dir = dir.empty_twin();
    let third = Node::serve(&third_dir.path());
    let three = third.client().await;
    let c = three.check().await;
    assert_eq!((a.size(), a.root(), a.link()), (c.size(), c.root(), c.link()));
    first.stop();
    third.stop();
}

/// A gate answers from a node that has all that the log has when it is asked, whichever node was told; and from no other.
#[tokio::test(flavor = "multi_thread")]
async fn every_nodes_gate_is_as_new_as_the_logs_end_or_says_that_it_is_not() {
    let Some(log) = kafka("gates") else { return };
    let LogUnderTest::Kafka { bootstrap, topic } = &log else { return };
    let dir = Directory::init(&log);
    let first = Node::serve(&dir.path());
    let twin = dir.empty_twin();
    let second = Node::serve(&twin.path());
    let (one, two) = (first.client().await, second.client().await);
    one.upload_all().await;
    let ask = |n: u64| {
        let draft = one.draft(0, n);
        let artifact = draft.model_version.map(|model| model.artifact_sha256).unwrap_or_default();
        let subject = Some(Subject::ArtifactSha256(artifact));
        let mut gate = GateServiceClient::new(two.channel());
        async move { gate.check(CheckRequest { subject, target: draft.slot }).await }
    };
    // As a gate does: again while nothing can be confirmed. A broker of a busy machine may be slow.
    let answered = async |n: u64| {
        let begun = Instant::now();
        loop {
            match ask(n).await {
                Err(status)
                    if status.code() == Code::Unavailable && begun.elapsed() < Duration::from_secs(60) => {}
                answer => return answer.expect("an answer").into_inner(),
            }
        }
    };
    for n in 0..20 {
        one.promote(one.draft(0, n)).await.expect("a receipt");
        // Told by one node, asked of the other at once: never an answer from before.
        let answer = answered(n).await;
        assert_eq!(answer.basis(), GateBasis::Promoted, "round {n}: {:?}", answer.refusals);
        if let Some(before) = n.checked_sub(1) {
            let answer = answered(before).await;
            assert_eq!(answer.refusals[0].reason(), RefusalReason::Superseded, "round {n}");
        }
    }
    // The log ends with offsets that hold no record: whether something stands there cannot be told.
    transaction(bootstrap, topic);
    // The broker writes the last marker a moment after it answered.
    let mut refused = None;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        refused = ask(19).await.err();
        if refused.is_some() {
            break;
        }
    }
    let status = refused.expect("nothing that can be confirmed");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("cannot confirm within 10 s"), "{status}");
    one.promote(one.draft(0, 20)).await.expect("a receipt");
    assert!(answered(20).await.allowed, "the next record clears it");
    first.stop();
    second.stop();
}

/// One committed and one aborted transaction: their markers take offsets that consumers never see.
fn transaction(bootstrap: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", topic)
        .create()
        .expect("a producer");
    let within = Duration::from_secs(30);
    producer.init_transactions(within).expect("transactions");
    for commit in [true, false] {
        producer.begin_transaction().expect("a transaction");
        producer.send(BaseRecord::<str, [u8]>::to(topic).payload(b"junk in a transaction")).expect("queued");
        producer.flush(within).expect("flushed");
        if commit {
            producer.commit_transaction(within).expect("committed");
        } else {
            producer.abort_transaction(within).expect("aborted");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_recreated_topic_halts_the_node() {
    let Some(log) = kafka("foreign_topic") else { return };
    let dir = Directory::init(&log);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    node.stop();
    // Another ledger's topic under this node's configuration.
    let Some(other) = kafka("foreign_topic_other") else { return };
    let LogUnderTest::Kafka { topic, .. } = &other else { return };
    let other_dir = Directory::init(&other);
    Node::serve(&other_dir.path()).stop();
    let output = crate::harness::binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--dir"])
        .arg(dir.path())
        .env("PROMOTION_LEDGER_LOG__KAFKA__TOPIC", topic)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(4));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("the log ends at offset 1, but this node has 2 entries"), "{error}");
}

/// Deleted, made anew and filled past this node's offset between two of its fetches: its reader sees records that
/// follow, and only what it had read before tells that they follow something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_recreated_and_refilled_between_two_fetches_halts_the_node() {
    let Some(log) = kafka("refilled_topic") else { return };
    let LogUnderTest::Kafka { bootstrap, topic } = log.clone() else { return };
    let dir = Directory::init(&log);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let receipt = client.promote(client.draft(0, 0)).await.expect("a receipt");
    node.pause();
    let brokers = admin(&bootstrap);
    brokers.delete_topics(&[&topic], &options()).await.expect("asked")[0].as_ref().expect("deleted");
    let other = Directory::init_with(&["--kafka", &bootstrap, "--topic", &topic, "--development-topic"]);
    let junk: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).create().expect("a producer");
    for _ in 0..receipt.seq + 50 {
        junk.send(BaseRecord::<str, [u8]>::to(&topic).payload(b"of another ledger")).expect("queued");
    }
    junk.flush(Duration::from_secs(10)).expect("flushed");
    node.go_on();
    let (code, said) = tokio::task::block_in_place(|| node.ends(Duration::from_secs(60)));
    assert_eq!(code, 4, "{said}");
    // Both sides are named: what stands on the topic now, and what this node has.
    let halt = said.lines().find(|line| line.contains("has halted")).unwrap_or_else(|| panic!("{said}"));
    let digests = halt.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64).count();
    assert_eq!(digests, 2, "{halt}");
    drop(other);
}

/// A topic is made again from a node that holds holes, junk and duplicates: every other node derives the same from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_republished_topic_gives_the_same_ledger_holes_and_junk_included() {
    let Some(log) = kafka("republished_from") else { return };
    let LogUnderTest::Kafka { bootstrap, topic } = log.clone() else { return };
    let dir = Directory::init(&log);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let junk: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).create().expect("a producer");
    junk.send(BaseRecord::<str, [u8]>::to(&topic).payload(b"not a record")).expect("queued");
    junk.send(BaseRecord::<str, [u8]>::to(&topic).key("null")).expect("queued");
    let again = client.entries().await.pop().expect("the promotion").record;
    junk.send(BaseRecord::<str, [u8]>::to(&topic).payload(&again)).expect("queued");
    junk.flush(Duration::from_secs(10)).expect("flushed");
    transaction(&bootstrap, &topic);
    let last = client.promote(client.draft(0, 1)).await.expect("a receipt");
    let before = client.check().await;
    let summary = before.summary();
    // Both pieces of junk, two in transactions, and markers: the last of them may come after the promotion.
    assert_eq!((summary.outcomes[0], summary.outcomes[3] >= 5), (3, true), "{summary:?}");
    node.stop();
    let new = unique("republished_to");
    let path = dir.path().display().to_string();
    let republish =
        ["republish", "--dir", &path, "--bootstrap", &bootstrap, "--topic", &new, "--format", "json"];
    // One replica is only taken when it is asked for.
    let refused = run(&republish);
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
    let republish = [&republish[..], &["--development-topic"]].concat();
    for were_there in [0, last.seq + 1] {
        let output = run(&republish);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (said["records"].as_u64(), said["were_there"].as_u64()),
            (Some(last.seq + 1), Some(were_there))
        );
    }
    // The node itself goes on there, and an empty one derives the same from it.
    let elsewhere = [("PROMOTION_LEDGER_LOG__KAFKA__TOPIC", new.as_str())];
    let node = Node::serve_with(&dir.path(), &elsewhere);
    let twin_dir = dir.empty_twin();
    let twin = Node::serve_with(&twin_dir.path(), &elsewhere);
    let (one, two) = (node.client().await, twin.client().await);
    let (a, b) = (one.check().await, two.check().await);
    assert_eq!((a.size(), a.root(), a.link()), (before.size(), before.root(), before.link()));
    assert_eq!((b.size(), b.root(), b.link()), (before.size(), before.root(), before.link()));
    let next = one.promote(one.draft(0, 2)).await.expect("a receipt");
    assert_eq!(next.seq, last.seq + 1);
    node.stop();
    twin.stop();
    // Another ledger's topic is not written to, whether it holds more records than the node or fewer.
    let other = Directory::init(&LogUnderTest::Embedded);
    let Some(foreign) = kafka("republished_foreign") else { return };
    let LogUnderTest::Kafka { topic: foreign_topic, .. } = &foreign else { return };
    let _foreign = Directory::init(&foreign);
    let elsewhere = other.path().display().to_string();
    let cases =
        [(&elsewhere, &new, "records, the node 1"), (&path, foreign_topic, "another record than the node")];
    for (dir, topic, why) in cases {
        let output = run(&[
            "republish",
            "--dir",
            dir,
            "--bootstrap",
            &bootstrap,
            "--topic",
            topic,
            "--development-topic",
        ]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(why) && error.contains("use a new topic"), "{error}");
    }
}

/// What the README shows: the topic is readable without any code of this project.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_python_consumer_reads_the_topic() {
    let Some(log) = kafka("python_consumer") else { return };
    let LogUnderTest::Kafka { bootstrap, topic } = log.clone() else { return };
    let Ok(python) = std::env::var("KAFKA_PYTHON") else {
        assert!(std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "KAFKA_PYTHON is not set");
        eprintln!("SKIPPED a_plain_python_consumer_reads_the_topic: run it with `make test`");
        return;
    };
    let dir = Directory::init(&log);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let receipt = client.promote(client.draft(0, 0)).await.expect("a receipt");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/read_topic.py");
    let output = std::process::Command::new(python)
        .args([script, "--bootstrap", &bootstrap, "--topic", &topic])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len() as u64, receipt.seq + 1);
    let last = &lines[receipt.seq as usize];
    assert_eq!(last["offset"], receipt.seq);
    assert_eq!(last["event_digest"], hex::encode(&receipt.event_digest));
    assert_eq!(last["headers"]["ce_id"], hex::encode(&receipt.idempotency_key));
    assert_eq!(last["model"], "bench-test-0");
    node.stop();
}
