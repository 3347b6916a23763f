//! The relay on a real Kafka: accepted entries, each exactly once and in order, however often it is killed; a plain consumer;
//! and the export for a SIEM.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use promotion_ledger::event::{Header, Kind, Outcome, digest::sha256};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::NewTopic,
    admin::TopicReplication,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};
use serde_json::Value;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, binary, kafka, run, unique},
    kafka_log::{admin, options},
};

/// An output topic of this test's own.
pub async fn topic(bootstrap: &str, partitions: i32) -> String {
    replicated(bootstrap, partitions, 1).await
}

/// The same with so many replicas, all but one of which must have each record.
pub async fn replicated(bootstrap: &str, partitions: i32, replicas: i32) -> String {
    let (topic, needed) = (unique("output"), (replicas - 1).max(1).to_string());
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(replicas));
    let new = new.set("min.insync.replicas", &needed);
    let made = admin(bootstrap).create_topics([&new], &options()).await.expect("an answer");
    made[0].as_ref().expect("a topic");
    topic
}

pub fn relay(node: &Node, bootstrap: &str, topic: &str, further: &[&str]) -> Child {
    let mut command = binary();
    command.args(["relay", "--url", &node.url, "--bootstrap", bootstrap, "--topic", topic]).args(further);
    command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("the binary starts")
}

pub fn ends(mut child: Child) -> Option<i32> {
    child.wait().expect("an end").code()
}

/// What a consumer sees that reads what was committed: headers and value of each record.
fn published(bootstrap: &str, topic: &str) -> Vec<(std::collections::BTreeMap<String, String>, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", topic)
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Offset::Beginning).expect("a place");
    consumer.assign(&place).expect("assigned");
    let mut found = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        match consumer.poll(Duration::from_secs(20)) {
            Some(Ok(message)) => {
                let headers = message.headers().expect("headers").iter().map(|header| {
                    let value = String::from_utf8(header.value.expect("a value").to_vec()).expect("text");
                    (header.key.to_owned(), value)
                });
                found.push((headers.collect(), message.payload().expect("a value").to_vec()));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return found,
            // A broker of several that is down is no end.
            Some(Err(error)) => assert!(std::time::Instant::now() < deadline, "{error}"),
            None => panic!("no answer"),
        }
    }
}

pub fn sequences(bootstrap: &str, topic: &str) -> Vec<u64> {
    let found = published(bootstrap, topic);
    found.iter().map(|(headers, _)| headers["ce_sequence"].parse().expect("a number")).collect()
}

/// Numbers of the accepted entries of a ledger.
pub async fn accepted(client: &Client) -> Vec<u64> {
    let entries = client.entries().await;
    let headers = entries.iter().map(|entry| Header::decode(&entry.header).expect("a header"));
    headers.filter(|header| header.outcome == Outcome::Accepted).map(|header| header.seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_entries_are_published_once_however_often_the_relay_is_killed() {
    let test = "accepted_entries_are_published_once_however_often_the_relay_is_killed";
    let Some(LogUnderTest::Kafka { bootstrap, .. }) = kafka(test) else { return };
    let output = topic(&bootstrap, 1).await;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let seed: u64 = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| getrandom::u64().expect("random"));
    eprintln!("SEED={seed}");
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    // Promotions go on while relays start, publish and are killed, at any place.
    let mut n = 0;
    for round in 0..12 {
        let mut running = relay(&node, &bootstrap, &output, &[]);
        let until = std::time::Instant::now() + Duration::from_millis(300 + random(2_000));
        while std::time::Instant::now() < until {
            client.promote(client.draft(0, n)).await.expect("a receipt");
            n += 1;
            tokio::time::sleep(Duration::from_millis(random(60))).await;
        }
        running.kill().expect("SIGKILL");
        running.wait().expect("an end");
        let sent = sequences(&bootstrap, &output);
        assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "round {round}: {sent:?}");
    }
    assert_eq!(ends(relay(&node, &bootstrap, &output, &["--until-end"])), Some(0));
    assert_eq!(sequences(&bootstrap, &output), accepted(&client).await, "SEED={seed}");

    // A newer relay of the same ledger and topic ends the older one; nothing is published twice.
    let mut older = relay(&node, &bootstrap, &output, &[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let newer = relay(&node, &bootstrap, &output, &[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    client.promote(client.draft(0, n)).await.expect("a receipt");
    let mut code = None;
    for _ in 0..150 {
        code = older.try_wait().expect("a status");
        if code.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _ = older.kill();
    assert_eq!(code.and_then(|status| status.code()), Some(1), "the older relay goes on");
    let mut newer = newer;
    newer.kill().expect("SIGKILL");
    newer.wait().expect("an end");
    assert_eq!(ends(relay(&node, &bootstrap, &output, &["--until-end"])), Some(0));
    assert_eq!(sequences(&bootstrap, &output), accepted(&client).await);
    client.check().await;
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_a_cloud_event_that_a_plain_consumer_reads() {
    let test = "a_record_is_a_cloud_event_that_a_plain_consumer_reads";
    let Some(LogUnderTest::Kafka { bootstrap, .. }) = kafka(test) else { return };
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let receipt = client.promote(client.draft(0, 0)).await.expect("a receipt");
    let (json, protobuf) = (topic(&bootstrap, 1).await, topic(&bootstrap, 1).await);
    assert_eq!(ends(relay(&node, &bootstrap, &json, &["--until-end"])), Some(0));
    assert_eq!(ends(relay(&node, &bootstrap, &protobuf, &["--until-end", "--data", "protobuf"])), Some(0));
    let status = client.status().await;
    let (headers, value) = published(&bootstrap, &json).pop().expect("a record");
    let digest = hex::encode(&receipt.event_digest);
    for (name, expected) in [
        ("ce_specversion", "1.0"),
        ("ce_id", &hex::encode(&receipt.idempotency_key)),
        ("ce_type", "promotion.v1.promoted"),
        ("ce_source", &status.origin),
        ("ce_sequence", &format!("{:020}", receipt.seq)),
        ("ce_ledgerid", &hex::encode(&status.ledger_id)),
        ("ce_eventdigest", &digest),
        ("content-type", "application/json"),
    ] {
        assert_eq!(headers[name], expected, "{name}");
    }
    let event: Value = serde_json::from_slice(&value).expect("JSON");
    assert_eq!(event["event"]["slot"]["model"], "bench-test-0");
    assert_eq!(event["event_digest"], digest.as_str());
    let (headers, value) = published(&bootstrap, &protobuf).pop().expect("a record");
    assert_eq!(headers["content-type"], "application/protobuf");
    assert_eq!(sha256(&value).to_string(), digest, "sha256sum of the data is the event's digest");

    // Not a topic that a relay can keep in order, and not another ledger's.
    let many = topic(&bootstrap, 3).await;
    assert_eq!(ends(relay(&node, &bootstrap, &many, &["--until-end"])), Some(1));
    let other = Directory::init(&LogUnderTest::Embedded);
    let other = Node::serve(&other.path());
    assert_eq!(ends(relay(&other, &bootstrap, &json, &["--until-end"])), Some(1));
    other.stop();

    if let Ok(python) = std::env::var("KAFKA_PYTHON") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/read_relay.py");
        let cursor = dir.path().with_file_name("cursor").display().to_string();
        let read = || {
            let output = std::process::Command::new(&python)
                .args([script, "--bootstrap", &bootstrap, "--topic", &json, "--cursor", &cursor])
                .output()
                .expect("Python runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).expect("text");
            text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>()
        };
        let lines = read();
        assert_eq!(lines.len(), accepted(&client).await.len());
        let last = lines.last().expect("a line");
        assert_eq!(
            (last["seq"].as_u64(), last["eventdigest"].as_str()),
            (Some(receipt.seq), Some(digest.as_str()))
        );
        assert_eq!(
            (last["model"].as_str(), last["data"]["kind"].as_str()),
            (Some("bench-test-0"), Some("promoted"))
        );
        assert_eq!(read().len(), 0, "it goes on from its cursor");
        client.promote(client.draft(0, 1)).await.expect("a receipt");
        assert_eq!(ends(relay(&node, &bootstrap, &json, &["--until-end"])), Some(0));
        assert_eq!(read().len(), 1);
    } else {
        assert!(std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "KAFKA_PYTHON is not set");
        eprintln!("SKIPPED the plain consumer: KAFKA_PYTHON is not set; run it with `make test`");
    }
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_where_its_file_ends() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let file = dir.path().with_file_name("ledger.jsonl");
    let path = file.display().to_string();
    let export = |format: &str, further: &[&str]| {
        let args = [&["export", "--format", format, "--url", &node.url], further].concat();
        let output = run(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>()
    };
    export("jsonl", &["--output", &path]);
    let whole = std::fs::read_to_string(&file).expect("a file");
    // Stopped in the middle of a line.
    std::fs::write(&file, &whole[..whole.len() - 40]).expect("a file");
    export("jsonl", &["--output", &path]);
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), whole);
    let receipt = client.promote(client.draft(0, 1)).await.expect("a receipt");
    export("jsonl", &["--output", &path]);
    let text = std::fs::read_to_string(&file).expect("a file");
    let numbers: Vec<_> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("JSON")["header"]["seq"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(numbers, (0..=receipt.seq).collect::<Vec<_>>());

    let events = export("ocsf", &["--from", "1"]);
    assert_eq!(events.len() as u64, receipt.seq);
    for event in &events {
        let class = event["class_uid"].as_u64().expect("a class");
        assert_eq!(
            event["type_uid"].as_u64(),
            Some(class * 100 + event["activity_id"].as_u64().expect("an activity"))
        );
        assert_eq!(event["metadata"]["version"], "1.3.0");
    }
    let last = events.last().expect("an event");
    assert_eq!(last["metadata"]["event_code"], Kind::Promoted.name());
    assert_eq!(
        (last["class_uid"].as_u64(), last["entity"]["name"].as_str()),
        (Some(3004), Some("bench-test-0"))
    );
    let wrong = run(&["status", "--format", "ocsf", "--url", &node.url]);
    assert_eq!(wrong.status.code(), Some(2));
    node.stop();
}
