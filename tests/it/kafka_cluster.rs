//! What a bank runs: three brokers, three replicas, two of which must have each record; and brokers that only talk over
//! TLS to clients that know a password. Each test starts brokers of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use crate::{
    faults::{Load, nothing_lost_nothing_doubled},
    harness::{Directory, LogUnderTest, Node, binary, service, unique},
    kafka_log::Broker,
    relay::{accepted, ends, relay, replicated, sequences, topic},
};

/// Three brokers, in three directories; killed when the test ends.
struct Cluster {
    control: String,
    dir: tempfile::TempDir,
    bootstrap: String,
}

impl Cluster {
    fn start(control: String) -> Self {
        let mut cluster =
            Self { control, dir: tempfile::tempdir().expect("a directory"), bootstrap: String::new() };
        let line = cluster.run("cluster", cluster.dir.path());
        let bootstrap = line.trim().strip_prefix("BOOTSTRAP=").expect("kafka.sh says where");
        cluster.bootstrap = bootstrap.to_owned();
        cluster
    }

    fn run(&self, verb: &str, dir: &Path) -> String {
        let output: Output = Command::new(&self.control)
            .arg(verb)
            .arg(dir)
            .env("KAFKA_HEAP_OPTS", "-Xmx256m")
            .output()
            .expect("kafka.sh runs");
        assert!(output.status.success(), "kafka.sh {verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn broker(&self, id: i32) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    fn signal(&self, id: i32, signal: rustix::process::Signal) {
        let pid = std::fs::read_to_string(self.broker(id).join("broker.pid")).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Who leads the topic's partition, which replicas it has, and which of them are in sync.
    fn partition(&self, topic: &str) -> (i32, Vec<i32>, Vec<i32>) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "observer")
            .create()
            .expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).expect("an answer");
        let partition = &metadata.topics()[0].partitions()[0];
        (partition.leader(), partition.replicas().to_vec(), partition.isr().to_vec())
    }

    /// Waits until so many replicas are in sync.
    fn in_sync(&self, topic: &str, count: usize) {
        let begun = Instant::now();
        while self.partition(topic).2.len() != count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", self.partition(topic));
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Not `stop`: the last one has no majority left to say goodbye to.
        for id in 1..=3 {
            let _ = Command::new(&self.control).arg("kill").arg(self.broker(id)).output();
        }
    }
}

/// The leader is killed, comes back, and then the leader of that time hangs; promotions go on all the while, and what
/// was acknowledged is there once.
#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_one_killed_and_one_paused_lose_nothing() {
    let test = "three_brokers_one_killed_and_one_paused_lose_nothing";
    let Some(control) = service("KAFKA_CONTROL", test) else { return };
    let cluster = Cluster::start(control);
    let topic = unique("cluster");
    let dir = Directory::init_with(&["--kafka", &cluster.bootstrap, "--topic", &topic]);
    let (_, replicas, _) = cluster.partition(&topic);
    assert_eq!(replicas.len(), 3);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let load = Load::start(&client, 8);
    let grown = async |what: &str| {
        let from = client.status().await.synced_size;
        for _ in 0..300 {
            if client.status().await.synced_size > from + 20 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no promotion went through {what}");
    };
    grown("with three brokers").await;
    tokio::task::block_in_place(|| cluster.in_sync(&topic, 3));
    let (leader, ..) = tokio::task::block_in_place(|| cluster.partition(&topic));
    tokio::task::block_in_place(|| cluster.run("kill", &cluster.broker(leader)));
    grown("with the leader killed").await;
    tokio::task::block_in_place(|| {
        cluster.run("start", &cluster.broker(leader));
        cluster.in_sync(&topic, 3);
    });
    let (leader, ..) = tokio::task::block_in_place(|| cluster.partition(&topic));
    cluster.signal(leader, rustix::process::Signal::STOP);
    grown("with the leader paused").await;
    cluster.signal(leader, rustix::process::Signal::CONT);
    tokio::task::block_in_place(|| cluster.in_sync(&topic, 3));
    grown("with all three again").await;
    let acknowledged = load.end().await;
    nothing_lost_nothing_doubled(&client, &acknowledged).await;
    node.stop();
}

/// Passwords over TLS, from a file; and what a person reads who has the password or the certificate wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_talks_to_a_broker_over_tls_with_a_password() {
    let Some(control) = service("KAFKA_CONTROL", "a_node_talks_to_a_broker_over_tls_with_a_password") else {
        return;
    };
    let broker = Broker::start_as(control, "secure");
    let (bootstrap, topic) = (broker.secure.clone().expect("a second listener"), unique("secure"));
    let ca = format!("ssl.ca.location={}", broker.dir.join("ca.pem").display());
    let password = broker.dir.join("password");
    let secret = format!("sasl.password=file:{}", password.display());
    let properties = ["security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", "sasl.username=ledger"];
    let mut args = vec!["--kafka", &bootstrap, "--topic", &topic, "--development-topic"];
    for property in properties.iter().chain([&ca.as_str(), &secret.as_str()]) {
        args.extend(["--property", property]);
    }
    let dir = Directory::init_with(&args);
    let known = std::fs::read_to_string(&password).expect("a password");
    let config = dir.path().join("promotion-ledger.toml");
    let written = std::fs::read_to_string(&config).expect("a configuration");
    assert!(!written.contains(known.trim()), "the password stands in the configuration");
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let receipt = client.promote(client.draft(0, 0)).await.expect("a receipt");
    client.check().await;
    node.stop();
    let refused = |what: &str| {
        let output = binary()
            .args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path())
            .output()
            .expect("the binary runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{what}: {error}");
        assert!(!error.contains(known.trim()), "{what}: the password is shown");
        error
    };
    std::fs::write(&password, "wrong").expect("written");
    let error = refused("a wrong password");
    assert!(error.to_lowercase().contains("authentication"), "{error}");
    std::fs::write(&password, &known).expect("written");
    // A certificate that nobody vouched for.
    std::fs::write(&config, written.replace("ssl.ca.location", "client.rack")).expect("written");
    let error = refused("an unknown certificate");
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    std::fs::write(&config, written).expect("written");
    let node = Node::serve(&dir.path());
    let again = node.client().await;
    let first = again.promote(again.draft(0, 0)).await.expect("the first receipt");
    assert_eq!((first.seq, first.duplicate), (receipt.seq, true));
    node.stop();
}

/// The output topic's leader is killed while the relay publishes, comes back, and the next one is killed too: consumers still
/// see each accepted entry once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_publishes_once_through_the_loss_of_a_broker() {
    let Some(control) = service("KAFKA_CONTROL", "a_relay_publishes_once_through_the_loss_of_a_broker")
    else {
        return;
    };
    let cluster = Cluster::start(control);
    let output = replicated(&cluster.bootstrap, 1, 3).await;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let mut running = relay(&node, &cluster.bootstrap, &output, &[]);
    let mut n = 0;
    // Promotes until consumers see what was promoted in the meantime; the relay may wait for the brokers, but never ends.
    let mut passes = async |what: &str, running: &mut std::process::Child| {
        let deadline = Instant::now() + Duration::from_secs(180);
        let mut first = None;
        loop {
            let receipt = client.promote(client.draft(0, n)).await.expect("a receipt");
            n += 1;
            let first = *first.get_or_insert(receipt.seq);
            assert_eq!(running.try_wait().expect("a status"), None, "the relay ended {what}");
            let seen = tokio::task::block_in_place(|| sequences(&cluster.bootstrap, &output));
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{what}: {seen:?}");
            if seen.last().is_some_and(|last| *last >= first) {
                return;
            }
            assert!(Instant::now() < deadline, "nothing was published {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    passes("with three brokers", &mut running).await;
    for what in ["with the leader killed", "with the next leader killed"] {
        tokio::task::block_in_place(|| cluster.in_sync(&output, 3));
        let (leader, ..) = tokio::task::block_in_place(|| cluster.partition(&output));
        tokio::task::block_in_place(|| cluster.run("kill", &cluster.broker(leader)));
        passes(what, &mut running).await;
        tokio::task::block_in_place(|| cluster.run("start", &cluster.broker(leader)));
        passes("with all three again", &mut running).await;
    }
    // The relay itself dies with a broker down, and the next one goes on where the topic ends.
    tokio::task::block_in_place(|| cluster.in_sync(&output, 3));
    let (leader, ..) = tokio::task::block_in_place(|| cluster.partition(&output));
    tokio::task::block_in_place(|| cluster.run("kill", &cluster.broker(leader)));
    running.kill().expect("SIGKILL");
    running.wait().expect("an end");
    assert_eq!(ends(relay(&node, &cluster.bootstrap, &output, &["--until-end"])), Some(0));
    assert_eq!(sequences(&cluster.bootstrap, &output), accepted(&client).await);
    client.check().await;
    node.stop();
}

/// Over TLS with a password from a file, killed and started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_publishes_over_tls_with_a_password() {
    let Some(control) = service("KAFKA_CONTROL", "a_relay_publishes_over_tls_with_a_password") else {
        return;
    };
    let broker = Broker::start_as(control, "secure");
    let secure = broker.secure.clone().expect("a second listener");
    let output = topic(&broker.bootstrap, 1).await;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let ca = format!("ssl.ca.location={}", broker.dir.join("ca.pem").display());
    let secret = format!("sasl.password=file:{}", broker.dir.join("password").display());
    let properties =
        ["security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", "sasl.username=ledger", &ca, &secret];
    let mut args: Vec<_> = properties.iter().flat_map(|property| ["--property", property]).collect();
    let mut n = 0;
    for _ in 0..3 {
        let mut running = relay(&node, &secure, &output, &args);
        let before = sequences(&broker.bootstrap, &output).len();
        let deadline = Instant::now() + Duration::from_secs(60);
        while sequences(&broker.bootstrap, &output).len() < before + 5 {
            client.promote(client.draft(0, n)).await.expect("a receipt");
            n += 1;
            assert!(Instant::now() < deadline, "nothing was published over TLS");
        }
        running.kill().expect("SIGKILL");
        running.wait().expect("an end");
    }
    args.push("--until-end");
    assert_eq!(ends(relay(&node, &secure, &output, &args)), Some(0));
    assert_eq!(sequences(&broker.bootstrap, &output), accepted(&client).await);
    // Who does not speak TLS there, or has no password, publishes nothing.
    for properties in [&[][..], &["--property", "security.protocol=SSL", "--property", &ca]] {
        client.promote(client.draft(0, n)).await.expect("a receipt");
        n += 1;
        let mut stranger = relay(&node, &secure, &output, properties);
        tokio::time::sleep(Duration::from_secs(5)).await;
        stranger.kill().expect("SIGKILL, unless it ended");
        stranger.wait().expect("an end");
        let last = sequences(&broker.bootstrap, &output).pop();
        assert!(last < accepted(&client).await.pop(), "published without a password");
    }
    node.stop();
}
