//! `examples/consumer.rs` does what it says: every accepted entry once, going on where it stopped, and nothing that does not
//! follow from what it had.

use std::fs;

use promotion_ledger::event::{Kind, proto::body::Event};

use crate::harness::{Directory, LogUnderTest, Node};

// The program as a reader finds it, compiled here too.
#[path = "../../examples/consumer.rs"]
#[allow(dead_code, reason = "its main is for the command line")]
mod consumer;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_consumer_goes_on_where_it_stopped_and_takes_no_other_ledger() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let (token, position) = (node.token("consumer"), dir.path().join("position"));

    let mut lines = Vec::new();
    let mut first = Vec::new();
    let at = consumer::follow(&node.url, &token, &position, |header, event| {
        first.push((header.seq, header.kind));
        lines.extend(consumer::line(header, event));
    });
    let at = at.await.expect("followed");
    assert_eq!((first[0], first.len() as u64), ((0, Some(Kind::LedgerOpened)), at.next));
    assert_eq!((lines.len(), lines[0].contains("promoted to")), (1, true), "{lines:?}");

    client.promote(client.draft(1, 0)).await.expect("a receipt");
    let mut second = Vec::new();
    let again = consumer::follow(&node.url, &token, &position, |header, event| {
        second.push((header.seq, matches!(event, Event::Promoted(_))));
    });
    let again = again.await.expect("followed");
    assert!(second.iter().all(|(seq, _)| *seq >= at.next) && second.iter().any(|(_, promoted)| *promoted));

    // Another ledger behind the same address: the next entry does not follow.
    let mut other = again;
    other.link.0[0] ^= 1;
    fs::write(&position, format!("{} {}\n", other.next, hex::encode(other.link.0))).expect("written");
    client.promote(client.draft(2, 0)).await.expect("a receipt");
    let refused = consumer::follow(&node.url, &token, &position, |_, _| panic!("nothing is handled")).await;
    assert!(refused.expect_err("refused").to_string().contains("does not follow"));
    assert!(consumer::follow(&node.url, "nonsense", &position, |_, _| {}).await.is_err());
    node.stop();
}
