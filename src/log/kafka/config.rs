//! What an operator says about the topic, and the librdkafka properties that are not the operator's to say.

use std::{collections::BTreeMap, fmt};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};
use serde::Deserialize;

use crate::log::Error;

/// Never committed: it exists because librdkafka takes no assignment without a group.
const GROUP: &str = "promotion-ledger";
/// Bytes of a batch, at most. Brokers compare the whole batch, not the record, with `max.message.bytes`: a batch
/// of small records has to fit into the smallest topic that is taken (`topic::MESSAGE_LEN_MIN`).
const BATCH_LEN_MAX: &str = "290000";
/// What begins a value that stands in a file.
const FROM_FILE: &str = "file:";
/// A batch that is open for longer is ended by the broker: it was left by somebody who is gone.
const TRANSACTION_TIMEOUT_MS: &str = "60000";
/// Shorter: ordinary elections of a partition leader become failures. Longer: no caller waits that long.
const MESSAGE_TIMEOUT_MS: std::ops::RangeInclusive<u32> = 1_000..=600_000;

/// Ours unless the operator says otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "promotion-ledger"),
    // 10 s by default: a restarted broker would be ignored for that long.
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.keepalive.enable", "true"),
    // 60 s by default: a leader that hangs with its connections open would hold every promotion up for that long,
    // although another leader was elected. Retries are safe, the producer is idempotent.
    ("socket.timeout.ms", "10000"),
];

const PINNED_PRODUCER: &[(&str, &str)] = &[
    // False by default. Without it a retry can reorder what one caller sent in sequence.
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("allow.auto.create.topics", "false"),
    ("queue.buffering.max.kbytes", "65536"),
    ("linger.ms", "1"),
    ("batch.size", BATCH_LEN_MAX),
    ("message.max.bytes", "1000000"),
    // A consumer's property, but ListOffsets of any client goes by it: with the default, `end` would stop in
    // front of somebody's open transaction, whose records the tail delivers.
    ("isolation.level", "read_uncommitted"),
];

const PINNED_CONSUMER: &[(&str, &str)] = &[
    ("group.id", GROUP),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // "error": any other value would jump over records that are gone, silently.
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("isolation.level", "read_uncommitted"),
    ("enable.partition.eof", "true"),
    ("allow.auto.create.topics", "false"),
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.wait.max.ms", "10"),
    ("fetch.min.bytes", "1"),
];

/// Other names of pinned properties, and properties that would turn a promise of this log into its opposite.
const RESERVED: &[&str] = &[
    "auto.commit.enable",
    "bootstrap.servers",
    "default_topic_conf",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "enabled_events",
    "group.instance.id",
    "group.protocol",
    "log.queue",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "queue.buffering.max.ms",
    "request.required.acks",
    "retries",
    // A mock broker inside this process: it acknowledges everything and keeps nothing.
    "test.mock.num.brokers",
    "topic.blacklist",
    "transactional.id",
];

/// The topic that holds the ledger, and how to reach it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Brokers to ask first: `host:port`, separated by commas.
    pub bootstrap: String,
    /// Name of the topic. It belongs to one ledger.
    pub topic: String,
    /// Further properties of librdkafka, such as TLS and SASL. Those that the log pins are refused. Their
    /// values are never logged. A value `file:PATH` is read from that file when the log is opened: passwords need
    /// not stand in a configuration file.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Takes a topic with one replica, for development: a lost disk is a lost ledger.
    #[serde(default)]
    pub development_topic: bool,
    /// How long an append may wait for its acknowledgement, in milliseconds, before it is
    /// [`Error::Unavailable`]; 1 000 to 600 000, 30 000 if nothing is said.
    #[serde(default = "message_timeout_ms")]
    pub message_timeout_ms: u32,
}

fn message_timeout_ms() -> u32 {
    30_000
}

/// Names of the properties, not their values: some of those are passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("bootstrap", &self.bootstrap)
            .field("topic", &self.topic)
            .field("properties", &self.properties.keys())
            .field("development_topic", &self.development_topic)
            .field("message_timeout_ms", &self.message_timeout_ms)
            .finish()
    }
}

impl Config {
    /// Everything that is wrong with it, in one error.
    pub(super) fn check(&self) -> Result<(), Error> {
        let mut faults = Vec::new();
        if self.bootstrap.trim().is_empty() {
            faults.push("bootstrap names no broker".to_owned());
        }
        if self.topic.is_empty() {
            faults.push("topic has no name".to_owned());
        }
        if !MESSAGE_TIMEOUT_MS.contains(&self.message_timeout_ms) {
            let (least, most) = (MESSAGE_TIMEOUT_MS.start(), MESSAGE_TIMEOUT_MS.end());
            faults.push(format!("message_timeout_ms is {}, not {least} to {most}", self.message_timeout_ms));
        }
        let refused: Vec<_> =
            self.properties.keys().map(String::as_str).filter(|name| is_ours(name)).collect();
        if !refused.is_empty() {
            let names = refused.join(", ");
            faults.push(format!("these properties are set by the log itself, remove them: {names}"));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Unfit(format!("kafka: {}", faults.join("; ")))) }
    }

    /// The same with every `file:PATH` replaced by what the file holds, without the end of its last line.
    pub(super) fn with_secrets(mut self) -> Result<Self, Error> {
        let mut faults = Vec::new();
        for (name, value) in &mut self.properties {
            let Some(path) = value.strip_prefix(FROM_FILE) else { continue };
            match std::fs::read_to_string(path) {
                Ok(text) => *value = text.trim_end_matches(['\n', '\r']).to_owned(),
                Err(error) => faults.push(format!("{name} is read from {path}: {error}")),
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(Error::Unfit(format!("kafka: {}", faults.join("; ")))) }
    }

    /// For the producer, and for questions about the topic.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut client = self.client(PINNED_PRODUCER);
        client.set("message.timeout.ms", self.message_timeout_ms.to_string());
        client
    }

    /// For a tail.
    pub(super) fn consumer(&self) -> ClientConfig {
        self.client(PINNED_CONSUMER)
    }

    /// For a producer of whole batches or nothing. The newest one of a name ends what older ones left open.
    pub(super) fn publisher(&self, transactional_id: &str) -> ClientConfig {
        let mut client = self.client(PINNED_PRODUCER);
        client.set("transactional.id", transactional_id);
        client.set("message.timeout.ms", self.message_timeout_ms.to_string());
        client.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
        client
    }

    /// For a reader of what was committed.
    pub(super) fn committed(&self) -> ClientConfig {
        let mut client = self.client(PINNED_CONSUMER);
        client.set("isolation.level", "read_committed");
        client
    }

    fn client(&self, pinned: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (name, value) in DEFAULTS {
            client.set(*name, *value);
        }
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        for (name, value) in pinned {
            client.set(*name, *value);
        }
        client.set("bootstrap.servers", &self.bootstrap);
        client.set_log_level(RDKafkaLogLevel::Notice);
        client
    }
}

/// A property as flags give it, `NAME=VALUE`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("a property is NAME=VALUE, for instance security.protocol=SSL")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn is_ours(name: &str) -> bool {
    let pinned = PINNED_PRODUCER.iter().chain(PINNED_CONSUMER).any(|(pinned, _)| *pinned == name);
    pinned || RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(properties: &[(&str, &str)]) -> Config {
        Config {
            bootstrap: "127.0.0.1:9092".into(),
            topic: "ledger".into(),
            properties: properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            development_topic: false,
            message_timeout_ms: message_timeout_ms(),
        }
    }

    #[test]
    fn check_rejects_every_pinned_property_and_names_all_of_them() {
        let given = [
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("auto.offset.reset", "latest"),
            ("retries", "0"),
        ];
        let Err(Error::Unfit(text)) = config(&given).check() else { panic!("accepted") };
        for (name, _) in given {
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn check_takes_tls_and_sasl_and_never_shows_their_values() {
        let given = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.password", "hunter2"),
            ("ssl.key.password", "hunter2"),
        ];
        let config = config(&given);
        config.check().expect("nothing is pinned here");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(format!("{config:?}").contains("sasl.password"));
    }

    #[test]
    fn with_secrets_reads_files_and_names_those_that_are_not_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2\n").expect("written");
        let (there, missing) = (format!("file:{}", path.display()), format!("file:{}.not", path.display()));
        let read = config(&[("sasl.password", &there), ("sasl.username", "ledger")]).with_secrets();
        let read = read.expect("the file is there");
        assert_eq!((read.properties["sasl.password"].as_str(), read.properties.len()), ("hunter2", 2));
        let Err(Error::Unfit(text)) = config(&[("sasl.password", &missing)]).with_secrets() else {
            panic!("taken")
        };
        assert!(text.contains("sasl.password is read from") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn check_rejects_a_config_without_identity() {
        let empty =
            Config { bootstrap: " ".into(), topic: String::new(), message_timeout_ms: 5, ..config(&[]) };
        let Err(Error::Unfit(text)) = empty.check() else { panic!("accepted") };
        assert!(
            text.contains("bootstrap") && text.contains("topic") && text.contains("message_timeout_ms"),
            "{text}"
        );
    }

    #[test]
    fn config_roundtrip_from_json_rejects_unknown_fields() {
        let given = r#"{"bootstrap": "a:1", "topic": "t"}"#;
        let config: Config = serde_json::from_str(given).expect("complete");
        assert_eq!((config.message_timeout_ms, config.development_topic), (30_000, false));
        assert!(
            serde_json::from_str::<Config>(r#"{"bootstrap": "a:1", "topic": "t", "acks": "1"}"#).is_err()
        );
        assert!(serde_json::from_str::<Config>(r#"{"bootstrap": "a:1"}"#).is_err());
    }

    /// librdkafka knows each name and takes each value.
    #[test]
    fn pinned_properties_are_accepted_by_librdkafka() {
        config(&[]).producer().create_native_config().expect("producer");
        config(&[]).consumer().create_native_config().expect("consumer");
    }
}
