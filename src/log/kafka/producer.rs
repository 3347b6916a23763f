//! Values on their way to the topic: one task hands them to librdkafka, in order.

use std::sync::{Arc, Mutex};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _, future_producer::DeliveryFuture},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Config,
    client::{Closing, Context, lock, refused},
    partition::PARTITION,
};
use crate::{
    event::{Micros, canonical::RECORD_LEN_MAX},
    log::{Error, Outgoing},
};

/// A producer of librdkafka, and the thread that serves it.
pub(super) type Client = Closing<FutureProducer<Context>>;

/// A value that waits for librdkafka's queue.
pub(super) struct Pending {
    pub(super) outgoing: Outgoing,
    /// Told once: the record is acknowledged, or why that is not known.
    pub(super) reply: oneshot::Sender<Result<(), Error>>,
}

/// The producer in use. An idempotent producer that loses its place in the sequence is dead for good; then
/// another takes its place, and what the dead one had in flight is possibly persisted.
pub(super) struct Producer {
    config: Config,
    current: Mutex<Arc<Client>>,
}

/// A client that was not connected yet.
pub(super) fn connect(config: &Config, context: Context) -> Result<Client, Error> {
    Ok(Closing::new(config.producer().create_with_context(context).map_err(refused)?))
}

/// Sends values in the order of the queue until its last sender is gone. Never waits for the broker: each
/// delivery is awaited by a task of its own, which also keeps the client alive until then, so that a caller
/// who gave up, or who dropped the log, takes nothing back.
pub(super) async fn sequence(mut queue: mpsc::Receiver<Pending>, producer: Arc<Producer>) {
    while let Some(Pending { outgoing, reply }) = queue.recv().await {
        match producer.send(&outgoing) {
            // A caller who went away is not told.
            Ok((client, delivery)) => drop(tokio::spawn(async move {
                let outcome = delivered(delivery).await;
                drop(client);
                let _ = reply.send(outcome);
            })),
            Err(error) => drop(reply.send(Err(error))),
        }
    }
}

impl Producer {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let client = connect(config, Context::default())?;
        Ok(Self { config: config.clone(), current: Mutex::new(Arc::new(client)) })
    }

    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&lock(&self.current))
    }

    /// Puts a value into librdkafka's queue. Does not block.
    fn send(&self, outgoing: &Outgoing) -> Result<(Arc<Client>, DeliveryFuture), Error> {
        let mut client = self.client();
        if let Some((code, reason)) = client.client().fatal_error() {
            tracing::warn!(%code, reason, "the kafka producer lost its place and is replaced");
            client = Arc::new(connect(&self.config, Context::default())?);
            *lock(&self.current) = Arc::clone(&client);
        }
        match client.send_result(record(&self.config.topic, outgoing)) {
            Ok(delivery) => Ok((client, delivery)),
            Err((error, _)) => Err(not_sent(&error, outgoing.value.len())),
        }
    }
}

/// librdkafka did not take the value: nothing was appended.
fn not_sent(error: &KafkaError, len: usize) -> Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => Error::Full,
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Error::TooLarge { len, max: RECORD_LEN_MAX },
        _ => Error::Unavailable(format!("the record was not sent: {error}")),
    }
}

/// The broker's word, or that there is none. librdkafka says of some failures that nothing was persisted; that
/// is not passed on, because only the ledger's entries decide.
async fn delivered(delivery: DeliveryFuture) -> Result<(), Error> {
    let unknown = |why: String| Err(Error::Unavailable(format!("{why}; the record was possibly persisted")));
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => unknown(format!("not acknowledged: {error}")),
        Err(_) => unknown("the producer was closed".into()),
    }
}

/// The value with a CloudEvents envelope in binary mode: consumers of the topic can route it unread. None of
/// it affects an outcome.
fn record<'a>(topic: &'a str, outgoing: &'a Outgoing) -> FutureRecord<'a, str, [u8]> {
    let record = FutureRecord::to(topic).partition(PARTITION).payload(outgoing.value.as_slice());
    // A value that is no event (republished junk) has no envelope either.
    let record = if outgoing.origin.is_empty() { record } else { record.headers(headers(outgoing)) };
    if outgoing.model.is_empty() { record } else { record.key(outgoing.model.as_str()) }
}

fn headers(outgoing: &Outgoing) -> OwnedHeaders {
    let (id, kind) = (outgoing.idempotency_key.to_string(), format!("promotion.v1.{}", outgoing.kind.name()));
    let time = rfc3339(outgoing.recorded_at);
    let named = [
        ("ce_specversion", Some("1.0")),
        ("ce_id", Some(id.as_str())),
        ("ce_type", Some(kind.as_str())),
        ("ce_source", Some(outgoing.origin.as_str())),
        ("ce_time", time.as_deref()),
        ("content-type", Some("application/protobuf")),
    ];
    let present = named.into_iter().filter(|(_, value)| value.is_some());
    present.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }))
}

/// `None` for a time that RFC 3339 cannot write; CloudEvents does not need it.
fn rfc3339(micros: Micros) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()?;
    Some(time.to_string())
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;
    use crate::event::{Digest, Kind};

    fn outgoing(model: &str) -> Outgoing {
        Outgoing {
            value: vec![1, 2, 3],
            model: model.into(),
            idempotency_key: Digest([0xab; 32]),
            kind: Kind::RolledBack,
            origin: "ledger.example/prod".into(),
            recorded_at: 1_700_000_000_123_456,
        }
    }

    /// Consumers outside this project match on these bytes.
    #[test]
    fn record_pins_the_cloudevents_headers_and_key() {
        let outgoing = outgoing("fraud");
        let record = record("t", &outgoing);
        assert_eq!(
            (record.partition, record.key, record.payload),
            (Some(0), Some("fraud"), Some(&[1, 2, 3][..]))
        );
        let headers = record.headers.expect("set");
        let found: Vec<_> = headers
            .iter()
            .map(|header| (header.key, String::from_utf8(header.value.expect("set").to_vec()).expect("text")))
            .collect();
        let id = "ab".repeat(32);
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", id.as_str()),
            ("ce_type", "promotion.v1.rolled_back"),
            ("ce_source", "ledger.example/prod"),
            ("ce_time", "2023-11-14T22:13:20.123456Z"),
            ("content-type", "application/protobuf"),
        ];
        assert_eq!(found, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn record_of_no_model_has_no_key() {
        assert_eq!(record("t", &outgoing("")).key, None);
    }

    #[test]
    fn rfc3339_rejects_times_that_it_cannot_write() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(rfc3339(u64::MAX), None);
    }

    #[test]
    fn not_sent_tells_a_full_queue_from_the_rest() {
        let error = |code| not_sent(&KafkaError::MessageProduction(code), 7);
        assert_eq!(error(RDKafkaErrorCode::QueueFull), Error::Full);
        assert_eq!(
            error(RDKafkaErrorCode::MessageSizeTooLarge),
            Error::TooLarge { len: 7, max: RECORD_LEN_MAX }
        );
        assert!(matches!(error(RDKafkaErrorCode::UnknownTopic), Error::Unavailable(_)));
    }
}
