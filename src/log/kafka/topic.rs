//! Is this topic fit to hold a ledger? Asked once, when the log is opened; all faults are named at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::{IsError, KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};
use tokio::time::{Instant, sleep};

use super::{
    Config,
    client::{Closing, Context, refused},
    producer,
};
use crate::log::Error;

/// For each question to the brokers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A new topic reaches all brokers within this time.
const CREATION_TIMEOUT: Duration = Duration::from_secs(15);
/// A record of 256 KiB with its key, its headers and the batch around it.
const MESSAGE_LEN_MIN: u64 = 300_000;
/// What `init` gives a new topic: Kafka's own default.
const MESSAGE_LEN_NEW: &str = "1048588";

/// Settings with one right value.
const EXACT: &[(&str, &str)] = &[
    // Compaction would remove records and keep their offsets.
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    // A replica that lags may not become the leader: acknowledged records would be replaced by others.
    ("unclean.leader.election.enable", "false"),
    // A time that no producer chooses.
    ("message.timestamp.type", "LogAppendTime"),
];
const MIN_INSYNC: &str = "min.insync.replicas";
const MAX_MESSAGE: &str = "max.message.bytes";

/// What the brokers say about the topic.
#[derive(Debug, Default)]
struct Found {
    partitions: usize,
    replicas: usize,
    settings: BTreeMap<String, String>,
}

/// Replicas, and of them those that must have a record before it is acknowledged.
const fn replicas_min(development_topic: bool) -> (usize, u64) {
    if development_topic { (1, 1) } else { (3, 2) }
}

/// Refuses a topic that does not keep what it acknowledges.
pub(super) async fn check(config: &Config, create: bool) -> Result<(), Error> {
    let context = Context::default();
    let client = Arc::new(producer::connect(config, context.clone())?);
    let admin: AdminClient<Context> =
        config.producer().create_with_context(context.clone()).map_err(refused)?;
    let admin = Closing::new(admin);
    let topic = Topic { config, client, context, admin };
    let mut found = topic.found().await?;
    if found.is_none() && create {
        make(config, &topic.admin).await?;
        found = Some(topic.appeared().await?);
    }
    let Some(found) = found else {
        let Config { topic, bootstrap, .. } = config;
        return Err(Error::Unfit(format!(
            "kafka: there is no topic {topic} on {bootstrap}; `promotion-ledger init` makes it"
        )));
    };
    verdict(config, &found)
}

/// A topic, and who is asked about it.
struct Topic<'a> {
    config: &'a Config,
    client: Arc<producer::Client>,
    context: Context,
    admin: Closing<AdminClient<Context>>,
}

impl Topic<'_> {
    /// `None` if there is no such topic.
    async fn found(&self) -> Result<Option<Found>, Error> {
        let Some((partitions, replicas)) = layout(self.config, &self.client, &self.context).await? else {
            return Ok(None);
        };
        let settings = settings(self.config, &self.admin).await?;
        Ok(Some(Found { partitions, replicas, settings }))
    }

    /// What is found of one that was made a moment ago: brokers learn of it one after the other, and it has no leader at first.
    async fn appeared(&self) -> Result<Found, Error> {
        let deadline = Instant::now() + CREATION_TIMEOUT;
        loop {
            let error = match self.found().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {
                    Error::Unavailable(format!("topic {} was made and is not there yet", self.config.topic))
                }
                Err(error @ Error::Unavailable(_)) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Partitions and, of the worst of them, replicas; `None` if there is no such topic.
async fn layout(
    config: &Config,
    client: &Arc<producer::Client>,
    context: &Context,
) -> Result<Option<(usize, usize)>, Error> {
    let (client, name) = (Arc::clone(client), config.topic.clone());
    let ask = move || client.client().fetch_metadata(Some(&name), ANSWER_TIMEOUT);
    let answer = tokio::task::spawn_blocking(ask).await;
    let unavailable = |error: String| {
        let why = context.last_error().map(|why| format!(" ({why})")).unwrap_or_default();
        Error::Unavailable(format!("no answer from kafka at {}: {error}{why}", config.bootstrap))
    };
    let metadata = answer
        .map_err(|error| unavailable(error.to_string()))?
        .map_err(|error| unavailable(error.to_string()))?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == config.topic) else {
        return Ok(None);
    };
    if let Some(raw) = topic.error().filter(IsError::is_error) {
        return match RDKafkaErrorCode::from(raw) {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(None),
            code @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::InvalidTopic) => {
                Err(Error::Unfit(format!("kafka: topic {}: {code}", config.topic)))
            }
            code => Err(unavailable(format!("topic {}: {code}", config.topic))),
        };
    }
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
    Ok(replicas.map(|replicas| (topic.partitions().len(), replicas)))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}

/// The topic as `init` makes it. Another node may be faster: then its settings are checked like any other's.
async fn make(config: &Config, admin: &AdminClient<Context>) -> Result<(), Error> {
    let (replicas, insync) = replicas_min(config.development_topic);
    let insync = insync.to_string();
    let replication = TopicReplication::Fixed(i32::try_from(replicas).expect("1 or 3"));
    let topic = NewTopic::new(&config.topic, 1, replication)
        .set(MIN_INSYNC, &insync)
        .set(MAX_MESSAGE, MESSAGE_LEN_NEW);
    let topic = EXACT.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    let answer = admin.create_topics([&topic], &options()).await.map_err(|error| {
        Error::Unavailable(format!("the topic {} was perhaps not created: {error}", config.topic))
    })?;
    for result in answer {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code @ RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(Error::Unfit(format!(
                    "kafka: topic {} needs {replicas} brokers: {code}; a development set-up of one broker says \
                     development_topic = true",
                    config.topic
                )));
            }
            Err((_, code)) => {
                return Err(Error::Unfit(format!("kafka: topic {} cannot be created: {code}", config.topic)));
            }
        }
    }
    Ok(())
}

async fn settings(config: &Config, admin: &AdminClient<Context>) -> Result<BTreeMap<String, String>, Error> {
    let topic = ResourceSpecifier::Topic(&config.topic);
    let answer = admin.describe_configs([&topic], &options()).await;
    let answer = answer.and_then(|mut results| match results.pop() {
        Some(Ok(resource)) => Ok(resource),
        Some(Err(code)) => Err(KafkaError::AdminOp(code)),
        None => Err(KafkaError::NoMessageReceived),
    });
    let resource = answer.map_err(|error| match error.rdkafka_error_code() {
        Some(
            code
            @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed),
        ) => Error::Unfit(format!(
            "kafka: the settings of topic {}: {code}; grant DescribeConfigs",
            config.topic
        )),
        _ => Error::Unavailable(format!("the settings of topic {} are not known: {error}", config.topic)),
    })?;
    known(config, resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// The settings, if the broker that was asked gave any. Every topic has some; rdkafka gives none, and no error, where the broker
/// answered for this topic with one.
fn known(config: &Config, settings: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    if settings.is_empty() {
        return Err(Error::Unavailable(format!(
            "a broker gives no settings of topic {}: it has not learned of the topic yet, or this user may not know them, and \
             needs the right DescribeConfigs",
            config.topic
        )));
    }
    Ok(settings)
}

/// All that is wrong, and the commands that mend it.
fn verdict(config: &Config, found: &Found) -> Result<(), Error> {
    let (replicas, insync) = replicas_min(config.development_topic);
    let mut faults = Vec::new();
    let mut mend = Vec::new();
    let mut commands = Vec::new();
    if found.partitions != 1 {
        faults.push(format!("it has {} partitions, must be 1", found.partitions));
        commands.push(
            "partitions cannot be taken away: let `promotion-ledger init` make another topic".to_owned(),
        );
    }
    if found.replicas < replicas {
        faults.push(format!("replication factor is {}, must be {replicas} or more", found.replicas));
        commands.push("raise the replication factor with kafka-reassign-partitions.sh".to_owned());
    }
    let value = |name: &str| found.settings.get(name).map_or("unknown", String::as_str);
    for (name, right) in EXACT {
        if value(name) != *right {
            faults.push(format!("{name} is {}, must be {right}", value(name)));
            mend.push(format!("{name}={right}"));
        }
    }
    for (name, least) in [(MIN_INSYNC, insync), (MAX_MESSAGE, MESSAGE_LEN_MIN)] {
        if !value(name).parse::<u64>().is_ok_and(|value| value >= least) {
            faults.push(format!("{name} is {}, must be {least} or more", value(name)));
            mend.push(format!("{name}={least}"));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let Config { topic, bootstrap, .. } = config;
    if !mend.is_empty() {
        commands.push(format!(
            "run: kafka-configs.sh --bootstrap-server {bootstrap} --entity-type topics --entity-name {topic} \
             --alter --add-config '{}'",
            mend.join(",")
        ));
    }
    let (faults, commands) = (faults.join("; "), commands.join("; "));
    Err(Error::Unfit(format!(
        "kafka: topic {topic} does not keep a ledger: {faults}; to mend it, {commands}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(development_topic: bool) -> Config {
        Config {
            bootstrap: "b:9092".into(),
            topic: "ledger".into(),
            properties: BTreeMap::new(),
            development_topic,
            message_timeout_ms: 30_000,
        }
    }

    fn fit(replicas: usize, insync: &str) -> Found {
        let exact = EXACT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let numbers =
            [(MIN_INSYNC.to_owned(), insync.to_owned()), (MAX_MESSAGE.to_owned(), "300000".to_owned())];
        Found { partitions: 1, replicas, settings: exact.chain(numbers).collect() }
    }

    #[test]
    fn verdict_takes_a_fit_topic() {
        assert_eq!(verdict(&config(false), &fit(3, "2")), Ok(()));
        assert_eq!(verdict(&config(true), &fit(1, "1")), Ok(()));
    }

    #[test]
    fn verdict_rejects_one_replica_outside_development() {
        let Err(Error::Unfit(text)) = verdict(&config(false), &fit(1, "1")) else { panic!("taken") };
        assert!(
            text.contains("replication factor is 1") && text.contains("min.insync.replicas is 1"),
            "{text}"
        );
        assert!(!text.contains("retention.ms"), "{text}");
    }

    /// A broker that does not know a new topic yet says nothing of it, and neither do brokers that may not: not a topic whose
    /// settings are all wrong.
    #[test]
    fn a_broker_that_gives_no_settings_is_asked_again() {
        let settings = fit(3, "2").settings;
        assert_eq!(known(&config(false), settings.clone()), Ok(settings));
        let Err(Error::Unavailable(text)) = known(&config(false), BTreeMap::new()) else {
            panic!("a verdict")
        };
        assert!(text.contains("topic ledger") && text.contains("DescribeConfigs"), "{text}");
    }

    /// Each setting alone is a reason, and says what would be right.
    #[test]
    fn verdict_rejects_each_setting_and_names_it() {
        let names = EXACT.iter().map(|(name, _)| *name).chain([MIN_INSYNC, MAX_MESSAGE]);
        for name in names {
            for wrong in [Some("0"), Some("nonsense"), None] {
                let mut found = fit(3, "2");
                match wrong {
                    Some(wrong) => found.settings.insert(name.into(), wrong.into()),
                    None => found.settings.remove(name),
                };
                let Err(Error::Unfit(text)) = verdict(&config(false), &found) else {
                    panic!("{name} {wrong:?}")
                };
                assert!(text.contains(&format!("{name} is ")) && text.contains("--add-config"), "{text}");
            }
        }
    }

    #[test]
    fn verdict_rejects_everything_at_once() {
        let Err(Error::Unfit(text)) = verdict(&config(false), &Found { partitions: 3, ..Found::default() })
        else {
            panic!("taken")
        };
        for (name, _) in EXACT {
            assert!(text.contains(name), "{text}");
        }
        assert!(text.contains("3 partitions") && text.contains("replication factor is 0"), "{text}");
    }
}
