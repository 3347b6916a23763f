//! The Kafka log on a real broker: `tests/services/run-tests.sh` starts one. Every test has its own topic.
//!
//! Tests that kill a broker start one of their own, so that they can run beside all others.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use promotion_ledger::{
    event::Seq,
    log::{
        Delivery, Error, Log, Tail,
        kafka::{Config, Kafka},
    },
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    producer::{FutureProducer, FutureRecord, Producer},
};

use crate::{
    harness::service,
    log_contract::{self, outgoing, take},
};

const TIMEOUT: Duration = Duration::from_secs(20);

macro_rules! require {
    ($variable:literal, $test:literal) => {
        match service($variable, $test) {
            Some(value) => value,
            None => return,
        }
    };
}

fn config(bootstrap: &str, test: &str) -> Config {
    let topic = format!("{test}-{:016x}", getrandom::u64().expect("random"));
    eprintln!("topic {topic}");
    Config {
        bootstrap: bootstrap.into(),
        topic,
        properties: BTreeMap::new(),
        development_topic: true,
        message_timeout_ms: 30_000,
    }
}

async fn opened(config: &Config) -> Kafka {
    Kafka::open(config.clone(), true).await.expect("a new topic is fit")
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap);
    client
}

pub fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    client(bootstrap).create().expect("an admin client")
}

pub fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn unfit<T>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Unfit(text)) => text,
        Err(other) => panic!("not unfit, but: {other}"),
        Ok(_) => panic!("taken"),
    }
}

/// The first error of a tail that should meet one, and deliver nothing before it.
fn first_error(tail: &mut dyn Tail) -> Error {
    let begun = Instant::now();
    loop {
        match tail.next(10, Duration::from_millis(200)) {
            Err(error) => return error,
            Ok(deliveries) => assert!(deliveries.is_empty(), "{deliveries:?}"),
        }
        assert!(begun.elapsed() < TIMEOUT + TIMEOUT, "no error in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_the_contract() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "kafka_keeps_the_contract");
    let log = opened(&config(&bootstrap, "contract")).await;
    log_contract::check(&log, 0).await;
    assert_eq!(log.start_offset().await, Ok(0));
}

/// The same topic, opened again without `create`, after an append whose caller went away and a log that was
/// dropped with it; a tail from the middle; times of the broker.
#[tokio::test(flavor = "multi_thread")]
async fn tail_from_the_middle_of_a_reopened_topic() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "tail_from_the_middle_of_a_reopened_topic");
    let config = config(&bootstrap, "middle");
    let log = opened(&config).await;
    for index in 0..10 {
        log.append(outgoing(format!("value {index}"))).await.expect("appended");
    }
    let mut given_up = log.append(outgoing("value 10"));
    let _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(given_up);
    drop(log);
    let log = Kafka::open(config, false).await.expect("it exists now");
    let mut tail = log.tail(7).expect("a tail");
    let taken = take(tail.as_mut(), 4);
    assert_eq!(log.end().await, Ok(Some(11)));
    let values: Vec<_> = taken.iter().map(|delivery| (delivery.offset, delivery.value.clone())).collect();
    assert_eq!(values, [7, 8, 9, 10].map(|index| (index, format!("value {index}").into_bytes())));
    for delivery in taken {
        let micros = delivery.appended_at.expect("LogAppendTime");
        assert!(micros > 1_700_000_000_000_000 && micros.is_multiple_of(1000), "{micros}");
    }
}

/// What other consumers of the topic see.
#[tokio::test(flavor = "multi_thread")]
async fn records_carry_cloudevents_headers_and_the_model_as_key() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "records_carry_cloudevents_headers_and_the_model_as_key");
    let config = config(&bootstrap, "headers");
    let log = opened(&config).await;
    log.append(outgoing("value")).await.expect("appended");
    let consumer: BaseConsumer = client(&bootstrap).set("group.id", "test").create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&config.topic, 0, Offset::Offset(0)).expect("in range");
    consumer.assign(&assignment).expect("assigned");
    let message = consumer.poll(TIMEOUT).expect("in time").expect("no error").detach();
    assert_eq!((message.key(), message.payload()), (Some(&b"fraud"[..]), Some(&b"value"[..])));
    let headers: BTreeMap<_, _> =
        message.headers().expect("headers").iter().map(|h| (h.key, h.value)).collect();
    assert_eq!(headers.len(), 6);
    assert_eq!(headers["ce_type"], Some(&b"promotion.v1.promoted"[..]));
    assert_eq!(headers["ce_time"], Some(&b"2023-11-14T22:13:20Z"[..]));
}

/// Offsets of transaction markers are skipped; aborted records come like all others, and an open transaction
/// does not hide the end.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_transactions_leave_gaps_only() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "foreign_transactions_leave_gaps_only");
    let config = config(&bootstrap, "transactions");
    let log = opened(&config).await;
    let mut foreign = client(&bootstrap);
    foreign.set("transactional.id", &config.topic);
    let foreign: FutureProducer = foreign.create().expect("a producer");
    foreign.init_transactions(TIMEOUT).expect("initialised");
    let send = async |value: &str| {
        let record = FutureRecord::<(), str>::to(&config.topic).partition(0).payload(value);
        foreign.send(record, TIMEOUT).await.expect("sent").offset
    };

    log.append(outgoing("ours 0")).await.expect("appended");
    foreign.begin_transaction().expect("begun");
    assert_eq!(send("committed 1").await, 1);
    foreign.commit_transaction(TIMEOUT).expect("committed");
    foreign.begin_transaction().expect("begun");
    assert_eq!(send("aborted 3").await, 3);
    foreign.abort_transaction(TIMEOUT).expect("aborted");
    log.append(outgoing("ours 5")).await.expect("appended");
    foreign.begin_transaction().expect("begun");
    assert_eq!(send("open 6").await, 6);
    assert_eq!(log.end().await, Ok(Some(7)), "an open transaction hides the end");

    let mut tail = log.tail(0).expect("a tail");
    let mut seen: Vec<_> = take(tail.as_mut(), 5);
    foreign.abort_transaction(TIMEOUT).expect("aborted");
    log.append(outgoing("ours 8")).await.expect("appended");
    seen.extend(take(tail.as_mut(), 1));
    let seen: Vec<_> = seen.iter().map(|delivery| String::from_utf8_lossy(&delivery.value)).collect();
    assert_eq!(seen, ["ours 0", "committed 1", "aborted 3", "ours 5", "open 6", "ours 8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_and_empty_values_are_empty() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "null_and_empty_values_are_empty");
    let config = config(&bootstrap, "null");
    let log = opened(&config).await;
    let foreign: FutureProducer = client(&bootstrap).create().expect("a producer");
    let null = FutureRecord::<str, [u8]>::to(&config.topic).partition(0).key("null");
    foreign.send(null, TIMEOUT).await.expect("sent");
    let empty = FutureRecord::<str, [u8]>::to(&config.topic).partition(0).payload(&[]);
    foreign.send(empty, TIMEOUT).await.expect("sent");
    log.append(outgoing("value")).await.expect("appended");
    let mut tail = log.tail(0).expect("a tail");
    let values: Vec<_> = take(tail.as_mut(), 3).into_iter().map(|delivery| delivery.value).collect();
    assert_eq!(values, [&b""[..], b"", b"value"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_rejects_wrong_settings_and_names_all_of_them() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "open_rejects_wrong_settings_and_names_all_of_them");
    let wrong = [
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "1000"),
        ("retention.bytes", "1000000"),
        ("unclean.leader.election.enable", "true"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
    ];
    let config = Config { development_topic: false, ..config(&bootstrap, "wrong") };
    let topic = NewTopic::new(&config.topic, 2, TopicReplication::Fixed(1));
    let topic = wrong.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    admin(&bootstrap).create_topics([&topic], &options()).await.expect("asked")[0].as_ref().expect("created");
    let text = unfit(Kafka::open(config, true).await);
    for (name, value) in wrong {
        assert!(text.contains(&format!("{name} is {value}")), "{name}: {text}");
    }
    for name in ["2 partitions", "replication factor is 1", "min.insync.replicas is 1", "kafka-configs.sh"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_rejects_a_missing_topic_and_too_few_brokers() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "open_rejects_a_missing_topic_and_too_few_brokers");
    let config = Config { development_topic: false, ..config(&bootstrap, "missing") };
    assert!(unfit(Kafka::open(config.clone(), false).await).contains("there is no topic"));
    let text = unfit(Kafka::open(config.clone(), true).await);
    assert!(text.contains("development_topic"), "{text}");
    assert!(
        unfit(Kafka::open(config, false).await).contains("there is no topic"),
        "it was created after all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_topic_is_unfit() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "a_truncated_topic_is_unfit");
    let config = config(&bootstrap, "truncated");
    let log = opened(&config).await;
    for index in 0..5 {
        log.append(outgoing(format!("value {index}"))).await.expect("appended");
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&config.topic, 0, Offset::Offset(3)).expect("in range");
    admin(&bootstrap).delete_records(&before, &options()).await.expect("deleted");
    assert_eq!(log.start_offset().await, Ok(3));
    for from in [0, 9] {
        let mut tail = log.tail(from).expect("a tail");
        let text = unfit::<()>(Err(first_error(tail.as_mut())));
        assert!(text.contains(&format!("offset {from} is due")) && text.contains("holds 3"), "{text}");
    }
    let mut tail = log.tail(3).expect("a tail");
    assert_eq!(take(tail.as_mut(), 2)[0].offset, 3);
}

/// Deleted and made anew while a tail reads: it meets a topic that is shorter than it was. (One that is filled
/// again before the tail's next fetch goes unnoticed here; the node compares entries: kafka_node.rs.)
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_created_again_is_unfit() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "a_topic_that_was_created_again_is_unfit");
    let config = config(&bootstrap, "again");
    let log = opened(&config).await;
    for index in 0..5 {
        log.append(outgoing(format!("old {index}"))).await.expect("appended");
    }
    let mut tail = log.tail(0).expect("a tail");
    take(tail.as_mut(), 5);
    admin(&bootstrap).delete_topics(&[&config.topic], &options()).await.expect("asked")[0]
        .as_ref()
        .expect("done");
    let _again = opened(&config).await;
    let text = unfit::<()>(Err(first_error(tail.as_mut())));
    assert!(text.contains("created again") && text.contains("offset 5 is due"), "{text}");
}

/// Brokers measure a batch, not a record: in the smallest topic that is taken, all of a burst has to arrive.
#[tokio::test(flavor = "multi_thread")]
async fn batches_fit_into_the_smallest_topic() {
    let bootstrap = require!("KAFKA_BOOTSTRAP", "batches_fit_into_the_smallest_topic");
    let config = config(&bootstrap, "smallest");
    let log = opened(&config).await;
    let smaller = AlterConfig::new(ResourceSpecifier::Topic(&config.topic));
    let kept = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "300000"),
    ];
    let smaller = kept.iter().fold(smaller, |smaller, (name, value)| smaller.set(name, value));
    admin(&bootstrap).alter_configs([&smaller], &options()).await.expect("asked")[0]
        .as_ref()
        .expect("altered");
    drop(log);
    let log = Arc::new(Kafka::open(config, false).await.expect("still fit"));
    let sizes = [40_000, 90_000, 1000, 140_000, 262_144];
    let appends: Vec<_> = (0..100)
        .map(|index| {
            let (log, value) = (Arc::clone(&log), vec![7; sizes[index % sizes.len()]]);
            tokio::spawn(async move { log.append(outgoing(value)).await })
        })
        .collect();
    for append in appends {
        assert_eq!(append.await.expect("ended"), Ok(()));
    }
}

/// Connections that are refused, and a peer that takes them and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn open_without_a_broker_is_unavailable_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    for address in [closed, silent.local_addr().expect("an address")] {
        let begun = Instant::now();
        let outcome = Kafka::open(config(&address.to_string(), "nobody"), true).await;
        assert!(matches!(outcome, Err(Error::Unavailable(_))), "{:?}", outcome.err());
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
}

// --- tests that kill their broker --------------------------------------------------------------------------------

/// A broker for one test; stopped, by its process id, when the test ends.
pub struct Broker {
    control: String,
    pub dir: PathBuf,
    pub bootstrap: String,
    /// Of the listener for TLS and SASL, of a broker that was started as `secure`.
    pub secure: Option<String>,
    _removed: tempfile::TempDir,
}

impl Broker {
    pub fn start(control: String) -> Self {
        Self::start_as(control, "start")
    }

    /// With `start` or `secure` of kafka.sh.
    pub fn start_as(control: String, verb: &str) -> Self {
        let removed = tempfile::tempdir().expect("a directory");
        let dir = removed.path().join("kafka");
        let mut broker = Self { control, dir, bootstrap: String::new(), secure: None, _removed: removed };
        let line = broker.run(verb);
        let line = String::from_utf8_lossy(&line.stdout).into_owned();
        let word = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
        broker.bootstrap = word("BOOTSTRAP=").expect("kafka.sh says where").to_owned();
        broker.secure = word("SECURE=").map(str::to_owned);
        broker
    }

    pub fn run(&self, verb: &str) -> Output {
        let output = Command::new(&self.control).arg(verb).arg(&self.dir).output().expect("kafka.sh runs");
        assert!(output.status.success(), "kafka.sh {verb}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.dir.exists() {
            let _ = Command::new(&self.control).arg("stop").arg(&self.dir).output();
        }
    }
}

/// Reads a topic up to the end that it is told some time; until then, on and on.
fn follow(log: &Kafka, end: Arc<OnceLock<Seq>>) -> thread::JoinHandle<Vec<Delivery>> {
    let mut tail = log.tail(0).expect("a tail");
    thread::spawn(move || {
        let mut seen: Vec<Delivery> = Vec::new();
        let mut told = None;
        loop {
            let next = seen.last().map_or(0, |delivery| delivery.offset + 1);
            if end.get().is_some_and(|end| next >= *end) {
                return seen;
            }
            if end.get().is_some() {
                let told: Instant = *told.get_or_insert_with(Instant::now);
                assert!(told.elapsed() < TIMEOUT, "the tail stands still at {next}, before {end:?}");
            }
            seen.extend(tail.next(100, Duration::from_secs(1)).expect("the tail survives"));
        }
    })
}

/// SIGKILL in the middle of appends, twice: what was acknowledged is there, unchanged and in the order of each
/// caller.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_nothing_that_was_acknowledged() {
    let control = require!("KAFKA_CONTROL", "a_killed_broker_loses_nothing_that_was_acknowledged");
    let broker = Arc::new(Broker::start(control));
    let log = Arc::new(opened(&config(&broker.bootstrap, "killed")).await);
    let stop = Arc::new(AtomicBool::new(false));
    let end = Arc::new(OnceLock::new());
    let follower = follow(&log, Arc::clone(&end));
    let value = |caller: usize, index: usize| format!("caller {caller} value {index}").into_bytes();

    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                let mut index = 0;
                while !stop.load(Ordering::SeqCst) {
                    match log.append(outgoing(value(caller, index))).await {
                        Ok(()) => acknowledged.push(value(caller, index)),
                        Err(Error::Unavailable(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                    index += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let killed = Arc::clone(&broker);
        tokio::task::spawn_blocking(move || {
            killed.run("kill");
            thread::sleep(Duration::from_secs(1));
            killed.run("start");
        })
        .await
        .expect("restarted");
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.store(true, Ordering::SeqCst);

    let mut acknowledged = Vec::new();
    for caller in callers {
        acknowledged.push(caller.await.expect("ended"));
    }
    end.set(log.end().await.expect("the broker is back").expect("a topic has an end")).expect("set once");
    let seen = tokio::task::spawn_blocking(|| follower.join()).await.expect("joined").expect("ended");
    assert!(seen.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets went back");
    let mut first: BTreeMap<&[u8], Seq> = BTreeMap::new();
    for delivery in &seen {
        first.entry(&delivery.value).or_insert(delivery.offset);
    }
    for values in &acknowledged {
        let offsets: Vec<_> = values.iter().map(|value| first.get(value.as_slice())).collect();
        let gone: Vec<_> = values.iter().filter(|value| !first.contains_key(value.as_slice())).collect();
        assert!(gone.is_empty(), "acknowledged and gone: {gone:?}");
        assert!(offsets.is_sorted(), "a caller's values changed places");
    }
    let count: usize = acknowledged.iter().map(Vec::len).sum();
    eprintln!("{count} acknowledged, {} delivered, {} different", seen.len(), first.len());
    assert!(count > 200, "{count}");
}

/// Flips a bit of the stored batch that holds `needle`, behind the stopped broker's back.
fn corrupt(broker: &Broker, topic: &str, needle: &[u8]) {
    let segment = broker.dir.join("data").join(format!("{topic}-0")).join("00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).expect("the partition's segment");
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("the value is stored");
    *bytes.get_mut(at).expect("just found") ^= 1;
    std::fs::write(&segment, bytes).expect("written");
}

/// librdkafka reports a batch with a wrong checksum and means to go on behind it. The ledger must not have the
/// gap: it would be an entry that no other node has.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_batch_is_unfit_and_nothing_behind_it_is_delivered() {
    let control = require!("KAFKA_CONTROL", "a_corrupt_batch_is_unfit_and_nothing_behind_it_is_delivered");
    let broker = Broker::start(control);
    let config = config(&broker.bootstrap, "corrupt");
    let log = opened(&config).await;
    for value in ["first", "second", "third"] {
        log.append(outgoing(value)).await.expect("appended");
    }
    broker.run("stop");
    corrupt(&broker, &config.topic, b"second");
    broker.run("start");
    let mut tail = log.tail(0).expect("a tail");
    assert_eq!(take(tail.as_mut(), 1)[0].value, b"first");
    let text = unfit::<()>(Err(first_error(tail.as_mut())));
    assert!(text.contains("cannot be read at offset 1"), "{text}");
    assert_eq!(unfit(tail.next(10, Duration::ZERO)), text, "the tail goes on after all");
}

/// The broker is away: appends wait up to the limit, the queue's bound answers at once, closing does not hang,
/// and afterwards everything goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_answers_at_once_and_a_timeout_says_possibly_persisted() {
    let control =
        require!("KAFKA_CONTROL", "a_full_queue_answers_at_once_and_a_timeout_says_possibly_persisted");
    let broker = Broker::start(control);
    let mut config = config(&broker.bootstrap, "full");
    config.properties.insert("queue.buffering.max.messages".into(), "10".into());
    config.message_timeout_ms = 3000;
    let log = opened(&config).await;
    let mut tail = log.tail(0).expect("a tail");
    log.append(outgoing("before")).await.expect("appended");
    assert_eq!(take(tail.as_mut(), 1)[0].value, b"before");
    broker.run("kill");

    let begun = Instant::now();
    let log = Arc::new(log);
    let appends: Vec<_> = (0..30)
        .map(|index| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { (log.append(outgoing(format!("{index}"))).await, begun.elapsed()) })
        })
        .collect();
    let mut full = 0;
    for append in appends {
        match append.await.expect("ended") {
            (Err(Error::Full), took) => {
                assert!(took < Duration::from_millis(500), "{took:?}");
                full += 1;
            }
            (Err(Error::Unavailable(text)), took) => {
                assert!(text.contains("possibly persisted"), "{text}");
                assert!(took < Duration::from_secs(8), "{took:?}");
            }
            (other, _) => panic!("{other:?}"),
        }
    }
    assert_eq!(full, 20);
    assert!(matches!(log.end().await, Err(Error::Unavailable(_))));
    let mut second = log.tail(0).expect("a tail");
    assert_eq!(second.next(1, Duration::from_millis(500)), Ok(Vec::new()));
    let begun = Instant::now();
    drop(second);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());

    broker.run("start");
    let begun = Instant::now();
    while let Err(error) = log.append(outgoing("after")).await {
        assert!(begun.elapsed() < TIMEOUT, "{error}");
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&b"after".to_vec()) {
        assert!(begun.elapsed() < TIMEOUT + TIMEOUT, "{seen:?}");
        let batch = tail.next(100, Duration::from_millis(200)).expect("the tail survives");
        seen.extend(batch.into_iter().map(|delivery| delivery.value));
    }
}
