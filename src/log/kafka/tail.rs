//! Values from the topic, for the one thread that writes the ledger.
//!
//! librdkafka reports a batch that it cannot read (checksum, compression) and means to go on *behind* it; the
//! writer would take the gap for transaction markers, and this node's ledger would part from the others'. So after
//! every error that is not plainly about a connection the consumer is thrown away and another one reads from the
//! offset that is due. It starts one record earlier, and that record has to be the one that was delivered: a
//! topic that lost its tail in an outage does not go unnoticed.
//!
//! Not seen here: a topic that was deleted, made anew and filled past `next` before the next fetch. librdkafka
//! (2.12) may read on under the new topic id without a word; `ledger::comparison` sees it.

use std::{
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, Timestamp, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    Config,
    client::{Closing, Context, Quiet, refused},
    fate::{Fate, fate},
    partition::PARTITION,
};
use crate::{
    event::{Digest, Micros, Seq, digest::record_digest},
    log::{Delivery, Error, Tail},
};

const WATERMARKS_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two consumers.
const PAUSE: Duration = Duration::from_millis(250);
/// After an error that librdkafka mends itself. Short: an outage leaves hundreds of them in the queue, in front
/// of the first record after it. Polling waits by itself once they are gone.
const BREATH: Duration = Duration::from_millis(1);
/// Times that a batch may be unreadable, at one offset, before the topic and not the network is to blame.
const UNREADABLE_MAX: u32 = 8;

/// A reader of the topic from an offset on.
pub(super) struct TopicTail {
    config: Config,
    consumer: Closing<BaseConsumer<Context>>,
    /// The offset that is due; later ones may come instead.
    next: Seq,
    /// The last record that was delivered.
    last: Option<(Seq, Digest)>,
    doubt: Doubt,
    /// In a row, at `next`.
    unreadable: u32,
    halted: Option<Error>,
    warnings: Quiet,
}

/// Whether the consumer may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// The brokers were away: what comes next is read again by another consumer.
    Reconnected,
    /// Another consumer, not before this time.
    Replace(Instant),
    /// The next record must be `last` again.
    Verify,
}

/// What a poll brought.
enum Polled {
    Value(Delivery),
    Nothing,
    Failed(KafkaError),
}

impl TopicTail {
    pub(super) fn open(config: &Config, from: Seq) -> Result<Self, Error> {
        Ok(Self {
            config: config.clone(),
            consumer: consumer(config, from)?,
            next: from,
            last: None,
            doubt: Doubt::None,
            unreadable: 0,
            halted: None,
            warnings: Quiet::default(),
        })
    }

    /// One step: perhaps a value. An error halts the tail.
    fn step(&mut self, wait: Duration) -> Result<Option<Delivery>, Error> {
        if let Doubt::Replace(not_before) = self.doubt {
            let left = not_before.saturating_duration_since(Instant::now());
            thread::sleep(left.min(wait));
            if left <= wait {
                self.replace()?;
            }
            return Ok(None);
        }
        match poll(&self.consumer, wait) {
            Polled::Value(delivery) => self.accept(delivery),
            Polled::Nothing => Ok(None),
            Polled::Failed(error) => self.fail(&error, wait).map(|()| None),
        }
    }

    fn accept(&mut self, delivery: Delivery) -> Result<Option<Delivery>, Error> {
        match (self.doubt, self.last) {
            (Doubt::Reconnected, Some(_)) => {
                self.doubt = Doubt::Replace(Instant::now());
                return Ok(None);
            }
            (Doubt::Verify, Some((offset, digest))) => {
                let found = record_digest(&delivery.value);
                if delivery.offset != offset || found != digest {
                    return Err(self.replaced(offset, digest, delivery.offset, found));
                }
                self.doubt = Doubt::None;
                return Ok(None);
            }
            _ => self.doubt = Doubt::None,
        }
        if delivery.offset < self.next {
            let (topic, offset, next) = (&self.config.topic, delivery.offset, self.next);
            return Err(Error::Unfit(format!(
                "kafka: topic {topic} delivered offset {offset} where {next} is due"
            )));
        }
        self.next = delivery.offset + 1;
        self.unreadable = 0;
        Ok(Some(delivery))
    }

    fn fail(&mut self, error: &KafkaError, wait: Duration) -> Result<(), Error> {
        let fate = fate(error);
        if fate == Fate::Ignored {
            return Ok(());
        }
        if let Some(suppressed) = self.warnings.pass() {
            tracing::warn!(topic = self.config.topic, offset = self.next, %error, suppressed, "the tail waits");
        }
        match fate {
            Fate::Ignored => {}
            Fate::Away => {
                if self.doubt == Doubt::None {
                    self.doubt = Doubt::Reconnected;
                }
                thread::sleep(BREATH.min(wait));
            }
            Fate::Gone => return Err(self.gone(error)),
            Fate::Unreadable if self.unreadable >= UNREADABLE_MAX => {
                let (topic, next) = (&self.config.topic, self.next);
                return Err(Error::Unfit(format!(
                    "kafka: topic {topic} cannot be read at offset {next}: {error}"
                )));
            }
            Fate::Unreadable | Fate::Unclear => {
                self.unreadable += u32::from(fate == Fate::Unreadable);
                self.doubt = Doubt::Replace(Instant::now() + PAUSE);
            }
        }
        Ok(())
    }

    fn replace(&mut self) -> Result<(), Error> {
        let from = self.last.map_or(self.next, |(offset, _)| offset);
        self.consumer = consumer(&self.config, from)?;
        self.doubt = if self.last.is_some() { Doubt::Verify } else { Doubt::None };
        Ok(())
    }

    fn gone(&self, error: &KafkaError) -> Error {
        let topic = &self.config.topic;
        let due = self.last.filter(|_| self.doubt == Doubt::Verify).map_or(self.next, |(offset, _)| offset);
        let range = self.consumer.fetch_watermarks(topic, PARTITION, WATERMARKS_TIMEOUT);
        let range = range.map_or_else(
            |error| format!("which offsets it holds is not known ({error})"),
            |(low, high)| format!("it holds {low} up to and without {high}"),
        );
        Error::Unfit(format!(
            "kafka: topic {topic} was truncated or created again: offset {due} is due, {range} ({error})"
        ))
    }

    fn replaced(&self, offset: Seq, digest: Digest, found_offset: Seq, found: Digest) -> Error {
        let topic = &self.config.topic;
        Error::Unfit(format!(
            "kafka: topic {topic} was replaced: at offset {offset} it delivered record {digest}, and now delivers \
             {found} at offset {found_offset}"
        ))
    }
}

impl Tail for TopicTail {
    fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        if let Some(error) = &self.halted {
            return Err(error.clone());
        }
        let deadline = Instant::now() + wait;
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let first = deliveries.is_empty();
            let left =
                if first { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match self.step(left) {
                Ok(Some(delivery)) => deliveries.push(delivery),
                Ok(None) if left.is_zero() => break,
                Ok(None) => {}
                Err(error) if first => {
                    self.halted = Some(error.clone());
                    return Err(error);
                }
                // What came before the error is good, and is delivered first.
                Err(error) => {
                    self.halted = Some(error);
                    break;
                }
            }
        }
        if let Some(delivery) = deliveries.last() {
            self.last = Some((delivery.offset, record_digest(&delivery.value)));
        }
        Ok(deliveries)
    }
}

/// A consumer that starts at an offset, not knowing yet whether the topic has it.
fn consumer(config: &Config, from: Seq) -> Result<Closing<BaseConsumer<Context>>, Error> {
    let topic = &config.topic;
    let unfit = |error: KafkaError| Error::Unfit(format!("kafka: topic {topic} from offset {from}: {error}"));
    let offset = i64::try_from(from)
        .map_err(|_| Error::Unfit(format!("kafka: topic {topic} cannot have an offset {from}")))?;
    let consumer: BaseConsumer<Context> =
        config.consumer().create_with_context(Context::default()).map_err(refused)?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, PARTITION, Offset::Offset(offset)).map_err(unfit)?;
    consumer.assign(&assignment).map_err(unfit)?;
    Ok(Closing::new(consumer))
}

fn poll(consumer: &BaseConsumer<Context>, wait: Duration) -> Polled {
    match consumer.poll(wait) {
        None => Polled::Nothing,
        Some(Err(error)) => Polled::Failed(error),
        Some(Ok(message)) => match Seq::try_from(message.offset()) {
            Ok(offset) => Polled::Value(Delivery {
                offset,
                value: message.payload().unwrap_or_default().to_vec(),
                appended_at: appended_at(message.timestamp()),
            }),
            Err(_) => Polled::Failed(KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage)),
        },
    }
}

/// Only the broker's own time; a producer's says nothing about the log.
fn appended_at(timestamp: Timestamp) -> Option<Micros> {
    match timestamp {
        Timestamp::LogAppendTime(millis) => Micros::try_from(millis).ok()?.checked_mul(1000),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(from: Seq) -> TopicTail {
        let config = Config {
            bootstrap: "127.0.0.1:1".into(),
            topic: "t".into(),
            properties: std::collections::BTreeMap::new(),
            development_topic: true,
            message_timeout_ms: 1000,
        };
        TopicTail::open(&config, from).expect("connects later")
    }

    fn delivery(offset: Seq, value: &[u8]) -> Delivery {
        Delivery { offset, value: value.to_vec(), appended_at: None }
    }

    fn failed(code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::MessageConsumption(code)
    }

    #[test]
    fn accept_takes_gaps_and_rejects_repeated_or_earlier_offsets() {
        let mut tail = tail(5);
        assert_eq!(tail.accept(delivery(7, b"a")), Ok(Some(delivery(7, b"a"))));
        assert!(matches!(tail.accept(delivery(7, b"a")), Err(Error::Unfit(_))));
        assert!(matches!(tail.accept(delivery(6, b"a")), Err(Error::Unfit(_))));
        assert_eq!(tail.accept(delivery(8, b"")), Ok(Some(delivery(8, b""))));
    }

    /// It comes each time that the tail has caught up; the consumer stays.
    #[test]
    fn the_end_of_the_topic_is_not_an_error() {
        let mut tail = tail(5);
        assert_eq!(tail.fail(&KafkaError::PartitionEOF(0), Duration::ZERO), Ok(()));
        assert_eq!(tail.doubt, Doubt::None);
    }

    /// librdkafka may go on behind the batch: the consumer must not be polled again.
    #[test]
    fn an_unreadable_batch_replaces_the_consumer_and_then_halts() {
        let mut tail = tail(5);
        for _ in 0..UNREADABLE_MAX {
            assert_eq!(tail.fail(&failed(RDKafkaErrorCode::BadMessage), Duration::ZERO), Ok(()));
            assert!(matches!(tail.doubt, Doubt::Replace(_)));
        }
        let Err(Error::Unfit(text)) = tail.fail(&failed(RDKafkaErrorCode::BadMessage), Duration::ZERO) else {
            panic!("went on")
        };
        assert!(text.contains("offset 5"), "{text}");
    }

    /// After an outage the last record is read again, and must be the same.
    #[test]
    fn an_outage_makes_the_tail_verify_its_last_record() {
        for (offset, value, same) in [(4, &b"a"[..], true), (4, b"b", false), (5, b"a", false)] {
            let mut tail = tail(5);
            tail.last = Some((4, record_digest(b"a")));
            tail.fail(&failed(RDKafkaErrorCode::AllBrokersDown), Duration::ZERO).expect("waits");
            assert_eq!(tail.doubt, Doubt::Reconnected);
            assert_eq!(tail.accept(delivery(5, b"new")), Ok(None));
            assert_eq!(tail.step(Duration::from_millis(10)), Ok(None));
            assert_eq!(tail.doubt, Doubt::Verify);
            match tail.accept(delivery(offset, value)) {
                Ok(None) if same => {
                    assert_eq!(tail.accept(delivery(5, b"new")), Ok(Some(delivery(5, b"new"))))
                }
                Err(Error::Unfit(text)) if !same => assert!(text.contains("replaced"), "{text}"),
                other => panic!("{offset} {value:?}: {other:?}"),
            }
        }
    }

    /// Nobody listens: the tail waits as long as it was told, and does not spin or fail.
    #[test]
    fn next_without_a_broker_is_empty_and_in_time() {
        let mut tail = tail(0);
        let begun = Instant::now();
        assert_eq!(tail.next(10, Duration::from_millis(600)), Ok(Vec::new()));
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
        let begun = Instant::now();
        drop(tail);
        assert!(begun.elapsed() < Duration::from_millis(200));
    }

    #[test]
    fn appended_at_is_the_brokers_time_only() {
        assert_eq!(appended_at(Timestamp::LogAppendTime(5)), Some(5000));
        assert_eq!(appended_at(Timestamp::CreateTime(5)), None);
        assert_eq!(appended_at(Timestamp::LogAppendTime(-1)), None);
    }
}
