//! One partition of a topic, as a log.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};
use tokio::sync::{mpsc, oneshot};

use super::{Config, producer, tail, topic};
use crate::{
    event::{Seq, canonical::RECORD_LEN_MAX},
    log::{Error, Log, Outgoing, Tail},
};

/// The only partition: offsets of two would not be one order.
pub(super) const PARTITION: i32 = 0;

const WATERMARKS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a partition may be without a leader before it is unavailable, and how often it is asked.
const LEADER_WITHIN: Duration = Duration::from_secs(10);
const LEADER_RETRY: Duration = Duration::from_millis(200);
/// Values between `append` and librdkafka, whose own queue (64 MiB) is where they wait for the broker.
const QUEUE_LEN: usize = 1024;

/// A topic of Apache Kafka as the ledger's log. Dropping it lets appends that were taken end in the background.
pub struct Kafka {
    config: Config,
    producer: Arc<producer::Producer>,
    queue: mpsc::Sender<producer::Pending>,
}

impl Kafka {
    /// Checks the topic and connects to it. `create`, which only `init` says, makes a missing topic. Async:
    /// needs a tokio runtime, on which the appends run from then on.
    ///
    /// Ends within a minute: [`Error::Unavailable`] if no broker answers, [`Error::Unfit`] with everything that
    /// is wrong and what to run against it if the configuration or the topic's settings do not keep what the
    /// log promises.
    pub async fn open(config: Config, create: bool) -> Result<Self, Error> {
        config.check()?;
        let config = config.with_secrets()?;
        topic::check(&config, create).await?;
        let producer = Arc::new(producer::Producer::new(&config)?);
        let (queue, taken) = mpsc::channel(QUEUE_LEN);
        tokio::spawn(producer::sequence(taken, Arc::clone(&producer)));
        Ok(Self { config, producer, queue })
    }

    /// The first offset that the topic still holds. Above 0, records were deleted: the topic cannot rebuild the
    /// ledger.
    pub async fn start_offset(&self) -> Result<Seq, Error> {
        Ok(self.watermarks().await?.0)
    }

    async fn watermarks(&self) -> Result<(Seq, Seq), Error> {
        let client = self.producer.client();
        let topic = self.config.topic.clone();
        let deadline = tokio::time::Instant::now() + LEADER_WITHIN;
        let (low, high) = loop {
            let (client, topic) = (client.clone(), topic.clone());
            let ask = move || client.client().fetch_watermarks(&topic, PARTITION, WATERMARKS_TIMEOUT);
            let answer = tokio::task::spawn_blocking(ask).await;
            let answer =
                answer.map_err(|error| Error::Unavailable(format!("asking for the topic's end: {error}")))?;
            match answer {
                Ok(watermarks) => break watermarks,
                // A topic that was made a moment ago, or whose leader is moving.
                Err(error) if without_leader(&error) && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(LEADER_RETRY).await;
                }
                Err(error) => {
                    return Err(Error::Unavailable(format!("the topic's end is not known: {error}")));
                }
            }
        };
        match (Seq::try_from(low), Seq::try_from(high)) {
            (Ok(low), Ok(high)) => Ok((low, high)),
            _ => Err(Error::Unavailable(format!("the broker answered with offsets {low} and {high}"))),
        }
    }
}

/// Whether the partition has no leader just now: brokers say so while one is elected.
fn without_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition))
}

#[tonic::async_trait]
impl Log for Kafka {
    async fn append(&self, outgoing: Outgoing) -> Result<(), Error> {
        let len = outgoing.value.len();
        if len > RECORD_LEN_MAX {
            return Err(Error::TooLarge { len, max: RECORD_LEN_MAX });
        }
        let (reply, outcome) = oneshot::channel();
        self.queue.try_send(producer::Pending { outgoing, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Full,
            mpsc::error::TrySendError::Closed(_) => Error::Unavailable("the producer has stopped".into()),
        })?;
        let stopped =
            |_| Error::Unavailable("the producer stopped; the record was possibly persisted".into());
        outcome.await.map_err(stopped)?
    }

    fn tail(&self, from: Seq) -> Result<Box<dyn Tail>, Error> {
        Ok(Box::new(tail::TopicTail::open(&self.config, from)?))
    }

    async fn end(&self) -> Result<Option<Seq>, Error> {
        Ok(Some(self.watermarks().await?.1))
    }
}
