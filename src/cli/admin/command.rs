//! The subcommands of `admin`.

use std::path::{Path, PathBuf};

use crate::cli::source::Channel;
use ed25519_dalek::SigningKey;
use prost::Message;

use super::statement::{self, Act};
use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, say},
        source::connect,
        submit::{self, Recorded, request, retrying},
    },
    event::{
        Digest, Kind, canonical, digest,
        proto::{
            AdminAct, AdminSignature, AdminStatement, GetAdminStateRequest, GetAdminStateResponse,
            SubmitStatementRequest, operator_service_client::OperatorServiceClient,
        },
    },
    keyfile,
};

/// Acts of the administrators: prepare, sign offline, submit.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  promotion-ledger admin key --new second.pem\n  promotion-ledger admin prepare -o add.bin key-added --public-key 5f…\n  promotion-ledger admin sign add.bin --key admin.pem -o add.sig\n  promotion-ledger admin submit add.bin --signature add.sig"
)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Make an Ed25519 key and print its public part
    Key {
        /// New file, PKCS#8 PEM, readable by its owner alone
        #[arg(long)]
        new: PathBuf,
    },
    /// Write down what is to be signed
    Prepare(Prepare),
    /// Sign a statement; needs no network
    Sign {
        /// From `prepare`
        statement: PathBuf,
        /// An administrator's key, PKCS#8 PEM
        #[arg(long)]
        key: PathBuf,
        /// Where the signature goes
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Hand in a statement with its signatures
    Submit {
        /// From `prepare`
        statement: PathBuf,
        /// From `sign`; once for each administrator
        #[arg(long = "signature", required = true)]
        signatures: Vec<PathBuf>,
        /// A running node
        #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = crate::cli::source::URL_DEFAULT)]
        url: String,
    },
}

#[derive(Debug, clap::Args)]
struct Prepare {
    /// Where the statement goes
    #[arg(short, long)]
    output: PathBuf,
    /// A running node, asked for ledger_id and admin_seq
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = crate::cli::source::URL_DEFAULT)]
    url: String,
    /// Offline: the ledger's id
    #[arg(long, requires = "admin_seq")]
    ledger_id: Option<String>,
    /// Offline: the number of the next act
    #[arg(long, requires = "ledger_id")]
    admin_seq: Option<u64>,
    #[command(subcommand)]
    act: Act,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.step {
        Step::Key { new } => key(&new, format),
        Step::Prepare(args) => prepare(&args, format).await,
        Step::Sign { statement, key, output } => sign(&statement, &key, &output, format),
        Step::Submit { statement, signatures, url } => submit(&statement, &signatures, &url, format).await,
    }
}

fn key(path: &Path, format: Format) -> Result {
    let key = keyfile::create_signing_key(path).map_err(|error| Failure::usage(error.to_string()))?;
    let (public, id) = (hex::encode(key.verifying_key().to_bytes()), digest::key_id(&key.verifying_key()));
    match format {
        Format::Json => output::json(&serde_json::json!({
            "file": path.display().to_string(), "public_key": public, "key_id": id.to_string(),
        })),
        Format::Text => {
            say!("Made the key {}", path.display());
            say!("  public key  {public}");
            say!("  key_id      {id}");
        }
    }
    Ok(Exit::Ok)
}

async fn state(url: &str) -> Result<GetAdminStateResponse> {
    let operator = OperatorServiceClient::new(connect(Some(url)).await?);
    let answer = retrying(|| {
        let mut operator: OperatorServiceClient<Channel> = operator.clone();
        async move { operator.get_admin_state(request(GetAdminStateRequest {})).await }
    });
    Ok(answer.await?)
}

async fn prepare(args: &Prepare, format: Format) -> Result {
    let (ledger_id, admin_seq, known) = match (&args.ledger_id, args.admin_seq) {
        (Some(hex), Some(admin_seq)) => {
            let id = Digest::from_hex(hex)
                .ok_or_else(|| Failure::usage("--ledger-id is not 64 hexadecimal digits"))?;
            (id, admin_seq, Vec::new())
        }
        _ => {
            let state = state(&args.url).await?;
            let id = Digest::from_slice(&state.ledger_id).unwrap_or_default();
            let keys = state.keys.iter();
            let known = keys.filter_map(|key| {
                Some((Digest::from_slice(&key.key_id)?, Digest::from_slice(&key.public_key)?))
            });
            (id, state.next_admin_seq, known.collect())
        }
    };
    let bytes = statement::encode(&args.act, &ledger_id, admin_seq, &known).map_err(Failure::usage)?;
    write(&args.output, &bytes)?;
    describe("To be signed", &bytes, &args.output, format)?;
    Ok(Exit::Ok)
}

fn sign(path: &Path, key: &Path, to: &Path, format: Format) -> Result {
    let bytes = read(path)?;
    let key = keyfile::signing_key(key).map_err(|error| Failure::usage(error.to_string()))?;
    let signature = canonical::sign_statement(&bytes, &key);
    // Nobody signs what cannot be said in words.
    describe("Signed", &bytes, to, format)?;
    let line = format!("{} {}\n", hex::encode(key.verifying_key().to_bytes()), hex::encode(signature));
    write(to, line.as_bytes())?;
    Ok(Exit::Ok)
}

/// The next statement of a ledger, to be signed: asks a node for ledger_id and number.
///
/// # Errors
/// If the node cannot be reached.
pub async fn next_statement(kind: Kind, payload: Vec<u8>, url: &str) -> Result<Vec<u8>> {
    let state = state(url).await?;
    let statement = AdminStatement {
        ledger_id: state.ledger_id,
        kind: kind.number().into(),
        admin_seq: state.next_admin_seq,
        payload,
    };
    Ok(statement.encode_to_vec())
}

/// Writes a statement down for `admin sign`, and says in words what it is.
///
/// # Errors
/// Of the file system.
pub fn write_statement(statement: &[u8], path: &Path, format: Format) -> Result {
    write(path, statement)?;
    describe("To be signed", statement, path, format)?;
    Ok(Exit::Ok)
}

/// Signs a statement with one administrator's key and hands it in.
///
/// # Errors
/// If the node cannot be reached, or the ledger refuses it.
pub async fn sign_and_hand_in(statement: Vec<u8>, key: &SigningKey, url: &str) -> Result<Recorded> {
    let signature = AdminSignature {
        public_key: key.verifying_key().to_bytes().to_vec(),
        signature: canonical::sign_statement(&statement, key).to_vec(),
    };
    hand_in(statement, vec![signature], url).await
}

/// Prints what an act became.
pub fn print(statement: &[u8], recorded: &Recorded, signatures: usize, format: Format) {
    let words = statement::words(statement).unwrap_or_default();
    let act = words.first().map(|(_, text)| text.clone()).unwrap_or_default();
    submit::print(&act, recorded, None, &[("signatures", signatures.to_string())], format);
}

async fn submit(path: &Path, signatures: &[PathBuf], url: &str, format: Format) -> Result {
    let statement = read(path)?;
    words(&statement, path)?;
    let signatures = signatures.iter().map(|file| signature(file, &statement)).collect::<Result<Vec<_>>>()?;
    let count = signatures.len();
    let recorded = hand_in(statement.clone(), signatures, url).await?;
    print(&statement, &recorded, count, format);
    Ok(Exit::Ok)
}

async fn hand_in(statement: Vec<u8>, signatures: Vec<AdminSignature>, url: &str) -> Result<Recorded> {
    let channel = connect(Some(url)).await?;
    let key = submit::log_key(&channel, None).await?;
    let operator = OperatorServiceClient::new(channel);
    let answer = retrying(|| {
        let mut operator = operator.clone();
        let act = Some(AdminAct { statement: statement.clone(), signatures: signatures.clone() });
        async move { operator.submit_statement(request(SubmitStatementRequest { act })).await }
    });
    submit::verified(answer.await?.receipt, &key)
}

/// A signature file: public key and signature in hex, on one line.
fn signature(path: &Path, statement: &[u8]) -> Result<AdminSignature> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    let mut parts = text.split_whitespace().map(hex::decode);
    let (Some(Ok(public_key)), Some(Ok(signature)), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Failure::usage(format!("{} is not a signature made by `admin sign`", path.display())));
    };
    let holds = canonical::public_key(&public_key)
        .is_some_and(|key| canonical::statement_signature_holds(statement, &key, &signature));
    if !holds {
        return Err(Failure::usage(format!("{} is not a signature of this statement", path.display())));
    }
    Ok(AdminSignature { public_key, signature })
}

fn words(bytes: &[u8], path: &Path) -> Result<Vec<(&'static str, String)>> {
    statement::words(bytes).ok_or_else(|| {
        Failure::usage(format!("{} is not a statement that this version knows", path.display()))
    })
}

fn describe(done: &str, bytes: &[u8], to: &Path, format: Format) -> Result<()> {
    let words = words(bytes, to)?;
    let sha256 = digest::sha256(bytes).to_string();
    if format == Format::Json {
        let mut value: serde_json::Map<_, _> =
            words.into_iter().map(|(name, text)| (name.replace(' ', "_"), text.into())).collect();
        value.insert("statement_sha256".into(), sha256.into());
        value.insert("file".into(), to.display().to_string().into());
        output::json(&value);
        return Ok(());
    }
    say!("{done}:");
    for (name, text) in words {
        say!("  {name:<12} {text}");
    }
    say!("  {:<12} {sha256}", "sha256");
    say!("  {:<12} {}", "written to", to.display());
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))
}
