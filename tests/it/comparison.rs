//! The log is exchanged under a running node whose reader notices nothing: the comparison does.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use promotion_ledger::{
    clock::SystemClock,
    config::Config,
    event::{Seq, digest::record_digest},
    ledger::{Ledger, comparison, recover},
    log::{Delivery, Error, Log, Outgoing, Tail},
    node::{self, Node, Parts},
};

use crate::harness::{Directory, LogUnderTest};

/// A log in memory whose values can be exchanged, with readers that go on at their offset as if nothing had happened.
#[derive(Clone, Default)]
struct Exchangeable(Arc<Mutex<Vec<Vec<u8>>>>);

impl Exchangeable {
    fn with<T>(&self, f: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        f(&mut self.0.lock().expect("no panic"))
    }
}

#[tonic::async_trait]
impl Log for Exchangeable {
    async fn append(&self, outgoing: Outgoing) -> Result<(), Error> {
        self.with(|values| values.push(outgoing.value));
        Ok(())
    }

    fn tail(&self, from: Seq) -> Result<Box<dyn Tail>, Error> {
        Ok(Box::new(Reader { log: self.clone(), next: from }))
    }

    async fn end(&self) -> Result<Option<Seq>, Error> {
        Ok(Some(self.with(|values| values.len() as u64)))
    }
}

struct Reader {
    log: Exchangeable,
    next: Seq,
}

impl Tail for Reader {
    fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let from = self.next as usize;
        let values = self.log.with(|values| values.iter().skip(from).take(max).cloned().collect::<Vec<_>>());
        if values.is_empty() {
            std::thread::sleep(wait.min(Duration::from_millis(20)));
        }
        let deliveries = values.into_iter().zip(self.next..).map(|(value, offset)| Delivery {
            offset,
            value,
            appended_at: None,
        });
        let deliveries: Vec<_> = deliveries.collect();
        self.next += deliveries.len() as u64;
        Ok(deliveries)
    }
}

/// A node on a log that holds its genesis.
async fn node_on(log: &Exchangeable, dir: &Directory) -> Node {
    let config = Config::load(&dir.path(), serde_json::Map::new()).expect("a configuration");
    let stopped = node::stopped(&dir.path(), &config).await.expect("a ledger");
    log.with(|values| *values = stopped.ledger.store.records(0, 1).expect("genesis"));
    drop(stopped);
    let parts = Parts { log: Arc::new(log.clone()), clock: Arc::new(SystemClock), evidence: None };
    Node::start(&dir.path(), &config, parts).await.expect("a node")
}

async fn reaches(ledger: &Ledger, size: u64) {
    let begun = Instant::now();
    while ledger.head().state.size() < size {
        assert!(begun.elapsed() < Duration::from_secs(20), "the node does not follow its log");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_exchanged_under_a_reader_is_noticed() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let log = Exchangeable::default();
    let node = node_on(&log, &dir).await;
    log.with(|values| values.extend((0..200).map(|n| format!("junk {n}").into_bytes())));
    reaches(&node.ledger, 201).await;
    let every = Duration::from_millis(50);
    let shared: Arc<dyn Log> = Arc::new(log.clone());
    let (ledger, other) = (node.ledger.clone(), shared.clone());
    let following = tokio::spawn(async move { comparison::follow(&ledger, &other, 201, every).await });
    tokio::time::sleep(every * 6).await;
    assert!(!following.is_finished(), "the same log is no finding");
    // Another log, longer than what the reader has seen: it reads on.
    log.with(|values| {
        values.iter_mut().skip(1).for_each(|value| value.insert(0, b'x'));
        values.extend((0..200).map(|n| format!("more {n}").into_bytes()));
    });
    reaches(&node.ledger, 401).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), following).await.expect("noticed in time");
    let Err(recover::Error::Fork { seq, found, expected }) = ended.expect("no panic") else {
        panic!("taken")
    };
    assert!(seq < 201, "entry {seq} came from the other log itself");
    assert_eq!(found, record_digest(&log.with(|values| values[seq as usize].clone())));
    assert_eq!(expected, node.ledger.header(seq).expect("read").expect("an entry").record_digest);
    // And one that is shorter than what the node has.
    log.with(|values| values.truncate(100));
    let ended = comparison::follow(&node.ledger, &shared, 201, every).await;
    assert!(matches!(ended, Err(recover::Error::LogBehind { end: 100, size: 401, .. })), "{ended:?}");
    tokio::task::block_in_place(|| node.stop());
}
