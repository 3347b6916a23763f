//! `init`: genesis, keys and a configuration file with comments.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;

use crate::{
    clock::{Clock, SystemClock},
    config::FILE_NAME,
    event::{
        Digest, Micros, canonical, digest,
        model::role,
        proto::{Body, FrontDoorKey, LedgerOpened, body::Event},
        text::name_problem,
    },
    keyfile,
    ledger::{decide::expected_key, store::Store, writer},
    log::{Log, Outgoing, kafka},
    proof::checkpoint::LogKey,
};

use super::output::{self, Exit, Failure, Format, Result};

/// Make a new ledger.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger init --dir ledger\n  promotion-ledger init --dir ledger --name ledger.example.bank/credit --time-zone Europe/Berlin\n  promotion-ledger init --dir node-1 --kafka broker-1:9092 --topic promotions"
)]
pub struct Args {
    /// Directory of the new node; must not exist or be empty
    #[arg(long, default_value = "ledger")]
    pub dir: PathBuf,
    /// The ledger's name: origin of its checkpoints, a URL without scheme
    #[arg(long, default_value = "localhost/promotion-ledger")]
    pub name: String,
    /// IANA time zone in which dates without a zone are read
    #[arg(long, default_value = "UTC")]
    pub time_zone: String,
    /// Address of the gRPC services
    #[arg(long, default_value = "127.0.0.1:7420")]
    pub listen: SocketAddr,
    /// Where the administrator's key goes; keep it offline, away from the node
    #[arg(long)]
    pub admin_key: Option<PathBuf>,
    /// Public keys (hex) of administrators whose keys exist already, instead of making one
    #[arg(long = "admin", conflicts_with = "admin_key")]
    pub admins: Vec<String>,
    /// How many administrators must sign
    #[arg(long, default_value_t = 1)]
    pub admin_quorum: u32,
    /// Use Kafka: brokers, `host:port`, separated by commas
    #[arg(long, requires = "topic")]
    pub kafka: Option<String>,
    /// Topic of the ledger; made if it is not there
    #[arg(long)]
    pub topic: Option<String>,
    /// Take a topic with one replica, for development
    #[arg(long)]
    pub development_topic: bool,
}

/// What `init` made.
pub struct Made {
    /// The ledger's id.
    pub ledger_id: Digest,
    /// Key of checkpoints, for auditors.
    pub vkey: String,
    /// Where the administrator's key is, if one was made.
    pub admin_key: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let made = make(&args).await?;
    let (dir, config) = (args.dir.display().to_string(), args.dir.join(FILE_NAME).display().to_string());
    let admin_key = made.admin_key.as_ref().map(|path| path.display().to_string());
    match format {
        Format::Json => output::json(&serde_json::json!({
            "dir": dir, "config": config, "ledger_id": made.ledger_id.to_string(), "log_vkey": made.vkey, "admin_key": admin_key,
        })),
        Format::Text => {
            println!("Made the ledger {} in {dir}", args.name);
            println!("  ledger_id      {}", made.ledger_id);
            println!("  log key        {}", made.vkey);
            println!(
                "                 (give this line to auditors: receipts and checkpoints verify with it alone)"
            );
            println!("  configuration  {config}");
            if let Some(path) = admin_key {
                println!("  admin key      {path}");
                println!(
                    "                 (rules and keys change only with it: move it offline, and back it up)"
                );
            }
            println!("Next: promotion-ledger serve --dir {dir}");
        }
    }
    Ok(Exit::Ok)
}

/// Makes a ledger, now.
pub async fn make(args: &Args) -> Result<Made> {
    make_at(args, SystemClock.now()).await
}

/// Makes a ledger whose genesis bears a given time.
pub async fn make_at(args: &Args, now: Micros) -> Result<Made> {
    check(args)?;
    let keys = args.dir.join("keys");
    fs::create_dir_all(&keys)
        .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", keys.display())))?;
    let key_error = |error: keyfile::Error| Failure::new(Exit::Internal, error.to_string());
    let front_door = keyfile::create_signing_key(&keys.join("front-door.pem")).map_err(key_error)?;
    let log_key = keyfile::create_signing_key(&keys.join("log.pem")).map_err(key_error)?;
    keyfile::create_store_keys(&keys.join("subjects.key")).map_err(key_error)?;
    let mut admin_path = None;
    let mut admin_keys = parse_admins(&args.admins)?;
    if admin_keys.is_empty() {
        let path = args.admin_key.clone().unwrap_or_else(|| default_admin_key(&args.dir));
        let key = keyfile::create_signing_key(&path).map_err(key_error)?;
        admin_keys.push(key.verifying_key().to_bytes().to_vec());
        admin_path = Some(path);
    }
    let body = genesis(args, admin_keys, &front_door, &log_key, now)?;
    let value = canonical::seal_record(&body, 1, &Digest::ZERO, &front_door);
    let record = canonical::decode(&value)
        .map_err(|reason| Failure::new(Exit::Internal, format!("genesis is malformed: {reason}")))?;
    let ledger_id = digest::sha256(&record.envelope.body);
    if let (Some(bootstrap), Some(topic)) = (&args.kafka, &args.topic) {
        append_to_kafka(args, bootstrap, topic, &value, &body).await?;
    }
    apply_genesis(&args.dir, &ledger_id, value)?;
    let path = args.dir.join(FILE_NAME);
    fs::write(&path, config_file(args, &ledger_id))
        .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))?;
    let vkey = LogKey { origin: args.name.clone(), key: log_key.verifying_key() }.vkey();
    Ok(Made { ledger_id, vkey, admin_key: admin_path })
}

fn check(args: &Args) -> Result<()> {
    if fs::read_dir(&args.dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!(
            "{} is not empty; a ledger is made once, in a directory of its own",
            args.dir.display()
        )));
    }
    if let Some(problem) = name_problem(&args.name) {
        return Err(Failure::usage(format!("--name {problem}")));
    }
    if args.name.contains('+') || args.name.contains(char::is_whitespace) {
        return Err(Failure::usage("--name has a space or a plus, which checkpoints do not allow"));
    }
    if jiff::tz::TimeZone::get(&args.time_zone).is_err() {
        return Err(Failure::usage(format!(
            "--time-zone {:?} is not an IANA time zone such as Europe/Berlin",
            args.time_zone
        )));
    }
    let admins = args.admins.len().max(1);
    if args.admin_quorum == 0 || args.admin_quorum as usize > admins {
        return Err(Failure::usage(format!(
            "--admin-quorum {} does not fit {admins} administrators",
            args.admin_quorum
        )));
    }
    Ok(())
}

fn parse_admins(admins: &[String]) -> Result<Vec<Vec<u8>>> {
    let one = |text: &String| {
        let bytes = hex::decode(text).ok().filter(|bytes| canonical::public_key(bytes).is_some());
        bytes.ok_or_else(|| {
            Failure::usage(format!("--admin {text} is not an Ed25519 public key (64 hexadecimal digits)"))
        })
    };
    admins.iter().map(one).collect()
}

/// Beside the node's directory, not in it: who copies the node does not copy this.
fn default_admin_key(dir: &Path) -> PathBuf {
    let name = dir.file_name().map_or_else(|| "ledger".into(), |name| name.to_string_lossy().into_owned());
    dir.with_file_name(format!("{name}.admin.pem"))
}

fn genesis(
    args: &Args,
    admin_keys: Vec<Vec<u8>>,
    front_door: &SigningKey,
    log_key: &SigningKey,
    now: Micros,
) -> Result<Body> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| Failure::new(Exit::Internal, format!("no random bytes: {error}")))?;
    let key = FrontDoorKey {
        public_key: front_door.verifying_key().to_bytes().to_vec(),
        roles: role::DECISION | role::ADMIN_CARRIER | role::OBSERVATION,
    };
    let event = Event::LedgerOpened(LedgerOpened {
        origin: args.name.clone(),
        rules: 1,
        admin_keys,
        admin_quorum: args.admin_quorum,
        log_key: log_key.verifying_key().to_bytes().to_vec(),
        keys: vec![key],
        time_zone: args.time_zone.clone(),
        nonce: nonce.to_vec(),
    });
    let idempotency_key = expected_key(&event).unwrap_or_default().0.to_vec();
    Ok(Body { idempotency_key, recorded_at: now, event: Some(event), ..Body::default() })
}

async fn append_to_kafka(args: &Args, bootstrap: &str, topic: &str, value: &[u8], body: &Body) -> Result<()> {
    let unreachable = |error: crate::log::Error| Failure::new(Exit::Unreachable, format!("kafka: {error}"));
    let config = kafka::Config {
        bootstrap: bootstrap.to_owned(),
        topic: topic.to_owned(),
        properties: Default::default(),
        development_topic: args.development_topic,
        message_timeout_ms: 30_000,
    };
    let log = kafka::Kafka::open(config, true).await.map_err(unreachable)?;
    // Genesis is written by `init` alone, and only into an empty topic.
    if log.end().await.map_err(unreachable)? != Some(0) {
        return Err(Failure::usage(format!(
            "the topic {topic} is not empty; a ledger begins on a topic of its own"
        )));
    }
    let outgoing = Outgoing {
        value: value.to_vec(),
        model: String::new(),
        idempotency_key: Digest::from_slice(&body.idempotency_key).unwrap_or_default(),
        kind: crate::event::Kind::LedgerOpened,
        origin: args.name.clone(),
        recorded_at: body.recorded_at,
    };
    log.append(outgoing).await.map_err(unreachable)
}

fn apply_genesis(dir: &Path, ledger_id: &Digest, value: Vec<u8>) -> Result<()> {
    let failed = |error: String| Failure::new(Exit::Internal, error);
    let store = Store::open(&dir.join("ledger")).map_err(|error| failed(error.to_string()))?;
    let mut state = None;
    writer::apply(&store, ledger_id, &mut state, [(0, value)]).map_err(|error| failed(error.to_string()))?;
    Ok(())
}

fn config_file(args: &Args, ledger_id: &Digest) -> String {
    let kafka = match (&args.kafka, &args.topic) {
        (Some(bootstrap), Some(topic)) => format!(
            "kind = \"kafka\"\n\n[log.kafka]\nbootstrap = {bootstrap:?}\ntopic = {topic:?}\n# Takes a topic with one replica: a lost disk is a lost ledger.\ndevelopment_topic = {}\n# Further properties of librdkafka, for instance TLS and SASL.\n# [log.kafka.properties]\n# \"security.protocol\" = \"SSL\"",
            args.development_topic
        ),
        _ => "kind = \"embedded\"\n\n# For Kafka: kind = \"kafka\", and\n# [log.kafka]\n# bootstrap = \"broker-1:9092\"\n# topic = \"promotions\"\n# development_topic = false  # true takes a topic with one replica".to_owned(),
    };
    let shared = args.kafka.is_some();
    format!(
        r#"# A node of the ledger {name}.
# Environment wins over this file (PROMOTION_LEDGER_ and the path with two underscores, for instance
# PROMOTION_LEDGER_LISTEN=127.0.0.1:7421 or PROMOTION_LEDGER_LOG__KIND=embedded), flags win over both.
# Relative paths are relative to this file's directory.

# SHA-256 of the genesis body. A log or directory with another genesis is refused.
ledger_id = "{ledger_id}"

# Address of the gRPC services. Callers are not authenticated yet, so anything but loopback also needs
# listen_beyond_loopback = true, and a proxy in front that authenticates.
listen = "{listen}"
listen_beyond_loopback = false

[log]
# "embedded": the ledger itself is the durable log, no server needed. "kafka": one partition of a topic.
{kafka}

[evidence]
# Where uploaded evidence is kept, by its SHA-256.
dir = "evidence"
# True if every node of this ledger mounts the same directory. Needed with Kafka.
shared = {shared}

[subjects]
# One small record for each person; destroying it erases that person. The same directory for every node.
dir = "subjects"

[keys]
# Signs records. Its own on every node.
front_door = "keys/front-door.pem"
# Signs checkpoints. The same on every node.
log = "keys/log.pem"
# Opens subject records. The same on every node.
subjects = "keys/subjects.key"

[limits]
# Calls that wait for their entry at a time; more get RESOURCE_EXHAUSTED at once.
inflight = 2048
# Calls that the node works on at a time.
calls = 2048
# Streams of one connection.
streams = 128
# Seconds until a call that is not confirmed is told so.
confirm_seconds = 30
"#,
        name = args.name,
        listen = args.listen,
    )
}
