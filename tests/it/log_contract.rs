//! What every log promises (see `promotion_ledger::log::Log`), checked for each implementation.
//!
//! `check` takes a log whose next value gets the offset `from`, and leaves it with everything read.

use std::{
    collections::BTreeMap,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use promotion_ledger::{
    event::{Digest, Kind, Seq, canonical::RECORD_LEN_MAX},
    log::{Delivery, Error, Log, Outgoing, Tail, embedded::Embedded},
};

/// Longer than any healthy log needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// `Tail::next` may come back a little later than it was told.
const SLACK: Duration = Duration::from_secs(2);

/// A value on its way, in an unremarkable envelope.
pub fn outgoing(value: impl Into<Vec<u8>>) -> Outgoing {
    Outgoing {
        value: value.into(),
        model: "fraud".into(),
        idempotency_key: Digest([7; 32]),
        kind: Kind::Promoted,
        origin: "ledger.example/test".into(),
        recorded_at: 1_700_000_000_000_000,
    }
}

/// Exactly `count` deliveries, or a panic.
pub fn take(tail: &mut dyn Tail, count: usize) -> Vec<Delivery> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count} values came in {PATIENCE:?}", taken.len());
        let most = count - taken.len();
        let batch = tail.next(most, Duration::from_millis(200)).expect("a healthy log");
        assert!(batch.len() <= most, "asked for {most}, got {}", batch.len());
        taken.extend(batch);
    }
    taken
}

/// The whole contract.
pub async fn check(log: &dyn Log, from: Seq) {
    let mut tail = log.tail(from).expect("a tail");
    let mut next = from;
    one_caller_keeps_its_order(log, tail.as_mut(), &mut next).await;
    many_callers_lose_and_change_nothing(log, tail.as_mut(), &mut next).await;
    sizes(log, tail.as_mut(), &mut next).await;
    dropping_append_takes_nothing_back(log, tail.as_mut(), &mut next).await;
    an_idle_tail_waits_and_is_empty(tail.as_mut());
    if let Some(end) = log.end().await.expect("an end") {
        assert_eq!(end, next);
    }
}

/// Takes `count` values and checks their offsets.
fn in_order(tail: &mut dyn Tail, count: usize, next: &mut Seq) -> Vec<Vec<u8>> {
    let deliveries = take(tail, count);
    for delivery in &deliveries {
        assert!(delivery.offset >= *next, "{} came where {next} was due", delivery.offset);
        *next = delivery.offset + 1;
    }
    deliveries.into_iter().map(|delivery| delivery.value).collect()
}

async fn one_caller_keeps_its_order(log: &dyn Log, tail: &mut dyn Tail, next: &mut Seq) {
    let values: Vec<Vec<u8>> = (0..20).map(|index| format!("in sequence {index}").into_bytes()).collect();
    for value in &values {
        log.append(outgoing(value.as_slice())).await.expect("appended");
    }
    assert_eq!(in_order(tail, values.len(), next), values);
}

async fn many_callers_lose_and_change_nothing(log: &dyn Log, tail: &mut dyn Tail, next: &mut Seq) {
    let count = 200;
    let value = |index: usize| -> Vec<u8> { format!("{index}:").into_bytes().repeat(1 + index) };
    let mut waiting: Vec<_> = (0..count).map(|index| log.append(outgoing(value(index)))).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|append| match append.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                outcome.expect("appended");
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let mut times: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for value in in_order(tail, count, next) {
        *times.entry(value).or_default() += 1;
    }
    let expected: BTreeMap<_, _> = (0..count).map(|index| (value(index), 1)).collect();
    assert!(times == expected, "200 concurrent values did not come back as they were");
}

async fn sizes(log: &dyn Log, tail: &mut dyn Tail, next: &mut Seq) {
    let too_large = log.append(outgoing(vec![1; RECORD_LEN_MAX + 1])).await;
    assert_eq!(too_large, Err(Error::TooLarge { len: RECORD_LEN_MAX + 1, max: RECORD_LEN_MAX }));
    for len in [RECORD_LEN_MAX, 0, 1] {
        log.append(outgoing(vec![2; len])).await.expect("appended");
    }
    let lens: Vec<_> = in_order(tail, 3, next).iter().map(Vec::len).collect();
    assert_eq!(lens, [RECORD_LEN_MAX, 0, 1]);
}

async fn dropping_append_takes_nothing_back(log: &dyn Log, tail: &mut dyn Tail, next: &mut Seq) {
    let mut append = log.append(outgoing("dropped"));
    let _ = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(append);
    assert_eq!(in_order(tail, 1, next), [b"dropped"]);
}

fn an_idle_tail_waits_and_is_empty(tail: &mut dyn Tail) {
    let wait = Duration::from_millis(300);
    let begun = Instant::now();
    assert_eq!(tail.next(10, wait), Ok(Vec::new()));
    let took = begun.elapsed();
    assert!(took >= wait && took < wait + SLACK, "asked for {wait:?}, took {took:?}");
    assert_eq!(tail.next(10, Duration::ZERO), Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_keeps_the_contract() {
    check(&Embedded::new(1024), 0).await;
    check(&Embedded::new(1024), 42).await;
}

#[tokio::test]
async fn embedded_full_queue_answers_at_once() {
    let log = Embedded::new(2);
    for _ in 0..2 {
        log.append(outgoing("fits")).await.expect("appended");
    }
    assert_eq!(log.append(outgoing("does not")).await, Err(Error::Full));
    let mut tail = log.tail(0).expect("a tail");
    assert_eq!(take(tail.as_mut(), 1).len(), 1);
    assert_eq!(log.append(outgoing("fits again")).await, Ok(()));
}
