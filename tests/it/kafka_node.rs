//! Nodes on a real Kafka: equal ledgers on every node, rebuilt from the topic, unharmed by junk and lost brokers.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::harness::{Directory, LogUnderTest, Node, kafka};

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
        .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
        .arg(dir.path())
        .env("PROMOTION_LEDGER_LOG__KAFKA__TOPIC", topic)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(4));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("the log ends at offset 1, but this node has 2 entries"), "{error}");
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
