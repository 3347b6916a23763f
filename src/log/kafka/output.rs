//! A topic that entries are published to, each once: whole batches in transactions, and the position in the topic itself.
//!
//! Whoever opens it ends what an older publisher of the same name left open (a fence, by Kafka's transactional id), and then
//! reads the last committed record: what comes next follows from it and from nothing else. A crash at any place is repaired
//! by opening it again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{FutureRecord, Producer as _},
};

use super::{
    Config,
    client::{Closing, Context, refused},
    partition::PARTITION,
    producer::Client,
};
use crate::log::Error;

/// For each question to the brokers, and for a commit.
const WITHIN: Duration = Duration::from_secs(30);
/// Offsets before the end in which the last record is looked for first: there are markers between records.
const BACK: i64 = 64;

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Topic key; empty: none.
    pub key: String,
    /// In order.
    pub headers: Vec<(&'static str, String)>,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// The headers of a record that was read.
pub type ReadHeaders = BTreeMap<String, String>;

/// Where an output topic ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nothing was ever published.
    Empty,
    /// Everything that was published is deleted: the topic says nothing any more.
    Deleted,
    /// The last committed record.
    Last(ReadHeaders),
}

/// An open output topic.
pub struct Output {
    topic: String,
    producer: Arc<Client>,
}

impl Output {
    /// Opens a topic for one publisher, and says where it ends.
    ///
    /// # Errors
    /// [`Error::Unfit`]: the configuration or the topic; [`Error::Unavailable`]: try again.
    pub async fn open(config: Config, transactional_id: &str) -> Result<(Self, End), Error> {
        config.check()?;
        let config = config.with_secrets()?;
        let client = config.publisher(transactional_id);
        let producer = client.create_with_context(Context::default()).map_err(refused)?;
        let producer: Arc<Client> = Arc::new(Closing::new(producer));
        let opened = Self { topic: config.topic.clone(), producer: producer.clone() };
        let end = blocking(move || {
            one_partition(&producer, &config.topic)?;
            producer.init_transactions(WITHIN).map_err(|error| of_transaction(&error))?;
            end(&config)
        });
        Ok((opened, end.await?))
    }

    /// Publishes records: all of them, in order, or none.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: whether they were published is not known; open the topic again. [`Error::Unfit`]: another
    /// publisher of this name has taken over.
    pub async fn publish(&self, records: Vec<Record>) -> Result<(), Error> {
        let (producer, topic) = (self.producer.clone(), self.topic.clone());
        blocking(move || {
            producer.begin_transaction().map_err(|error| of_transaction(&error))?;
            for record in &records {
                let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value.as_str()) })
                });
                let mut outgoing = FutureRecord::<str, [u8]>::to(&topic)
                    .partition(PARTITION)
                    .payload(record.value.as_slice())
                    .headers(headers);
                if !record.key.is_empty() {
                    outgoing = outgoing.key(record.key.as_str());
                }
                // The commit fails if a delivery does.
                producer.send_result(outgoing).map_err(|(error, _)| of_transaction(&error))?;
            }
            producer.commit_transaction(WITHIN).map_err(|error| of_transaction(&error))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string())))
}

fn of_transaction(error: &KafkaError) -> Error {
    let fatal = matches!(error, KafkaError::Transaction(error) if error.is_fatal());
    match fatal {
        true => {
            Error::Unfit(format!("kafka: another publisher of this name took over, or never may: {error}"))
        }
        false => Error::Unavailable(format!("the batch was not committed, as far as is known: {error}")),
    }
}

/// The order of entries is the topic's order: that needs one partition.
fn one_partition(producer: &Client, topic: &str) -> Result<(), Error> {
    let metadata = producer.client().fetch_metadata(Some(topic), WITHIN);
    let metadata = metadata.map_err(|error| Error::Unavailable(format!("no answer from kafka: {error}")))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    match found.map(|found| found.partitions().len()) {
        Some(1) => Ok(()),
        None | Some(0) => {
            Err(Error::Unfit(format!("kafka: there is no topic {topic}; make it with one partition")))
        }
        Some(n) => Err(Error::Unfit(format!(
            "kafka: topic {topic} has {n} partitions; the order of entries needs one"
        ))),
    }
}

fn end(config: &Config) -> Result<End, Error> {
    let unavailable =
        |error: KafkaError| Error::Unavailable(format!("the topic's end is not known: {error}"));
    let consumer: BaseConsumer<Context> =
        config.committed().create_with_context(Context::default()).map_err(refused)?;
    let consumer = Closing::new(consumer);
    let (low, high) = consumer.fetch_watermarks(&config.topic, PARTITION, WITHIN).map_err(unavailable)?;
    let mut back = BACK;
    loop {
        let from = low.max(high.saturating_sub(back));
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&config.topic, PARTITION, Offset::Offset(from)).map_err(unavailable)?;
        consumer.assign(&place).map_err(unavailable)?;
        let last = if from < high { last(&consumer)? } else { None };
        match last {
            Some(headers) => return Ok(End::Last(headers)),
            None if from > low => back = back.saturating_mul(16),
            None if low > 0 => return Ok(End::Deleted),
            None => return Ok(End::Empty),
        }
    }
}

/// Reads on to the end; the last record's headers.
fn last(consumer: &BaseConsumer<Context>) -> Result<Option<ReadHeaders>, Error> {
    let mut last = None;
    loop {
        match consumer.poll(WITHIN) {
            Some(Ok(message)) => last = Some(headers(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
            Some(Err(error)) => {
                return Err(Error::Unavailable(format!("the topic's end cannot be read: {error}")));
            }
            None => return Err(Error::Unavailable("the topic's end was not delivered".into())),
        }
    }
}

fn headers(message: &BorrowedMessage<'_>) -> ReadHeaders {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.filter_map(|header| Some((header.key.to_owned(), text(header.value?)))).collect()
}
