//! `init`: genesis, keys and a configuration file with comments.

mod config_file;

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
    node::DEVELOPMENT_KEY,
    proof::checkpoint::LogKey,
};

use self::config_file::config_file;
use super::output::{self, Exit, Failure, Format, Result};

/// Make a new ledger.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger init --dir ledger\n  promotion-ledger init --dir ledger --name ledger.example.bank/credit --time-zone Europe/Berlin\n  promotion-ledger init --dir node-1 --kafka broker-1:9092 --topic promotions\n  promotion-ledger init --dir node-1 --kafka broker-1:9093 --topic promotions --property security.protocol=SASL_SSL \\\n    --property sasl.mechanism=SCRAM-SHA-512 --property sasl.username=ledger \\\n    --property sasl.password=file:/run/secrets/kafka-password"
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
    /// A property of librdkafka, for instance security.protocol=SASL_SSL; a value file:PATH is read from that file
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = kafka::property, requires = "kafka")]
    pub properties: Vec<(String, String)>,
    /// Whether evidence about one person may be encrypted, so that erasing the person makes it unreadable; asked for on a
    /// terminal
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no, num_args = 0..=1, default_missing_value = "yes")]
    pub encrypt_evidence: Option<bool>,
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

fn yes_or_no(text: &str) -> std::result::Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" | "" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

/// What is asked where nobody said it, with what follows from either answer.
const ENCRYPT_QUESTION: &str = "\
Evidence is kept where nobody can delete it, for years. Some of it may be about one person, for instance why one
applicant was declined. Shall such evidence be encrypted under that person's subject record (`evidence seal`)?
  yes  Erasing the person makes it unreadable for good, for auditors too. What was kept, when, under which digest, and
       that it was not changed still verifies; what it said does not. Lose the subject records or keys/subjects.key,
       and it is unreadable as well: back them up.
  no   Evidence stays readable until its retention ends, whatever a person asks for. Evidence that is stated to be about
       one person is refused; keep personal data out of it.
Encrypt it? [y/N] ";

/// Asks on a terminal; everywhere else the answer is no.
fn ask_encrypt() -> Result<bool> {
    use std::io::{IsTerminal, Write};
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut answer = String::new();
    let asked = write!(std::io::stderr(), "{ENCRYPT_QUESTION}")
        .and_then(|()| std::io::stderr().flush())
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    asked.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    yes_or_no(answer.trim()).map_err(|error| Failure::usage(format!("{error}; nothing was made")))
}

/// Runs the command.
pub async fn run(mut args: Args, format: Format) -> Result {
    check(&args)?;
    if args.encrypt_evidence.is_none() {
        args.encrypt_evidence = Some(ask_encrypt()?);
    }
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
    if config_file::has_development_issuer(args) {
        keyfile::create_signing_key(&args.dir.join(DEVELOPMENT_KEY)).map_err(key_error)?;
    }
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
    if let Some(file) = args.dir.ancestors().find(|path| path.is_file()) {
        return Err(Failure::usage(format!(
            "{} is a file; a ledger is made in a directory of its own",
            file.display()
        )));
    }
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
        properties: args.properties.iter().cloned().collect(),
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
