//! `gate fetch`: bytes reach their place only if they have the digest that was asked for and may run there.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt;

use super::{
    check::of_answer,
    offline,
    target::{self, NodeArgs, TargetArgs},
};
use crate::{
    cli::{
        credentials,
        output::{self, Exit, Failure, Format, Result, say},
        six_fields,
        source::{Source, SourceArgs},
    },
    event::{
        Digest,
        proto::{ReadEvidenceRequest, check_request::Subject},
    },
    gate::admission_review::GATED,
};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Between two pieces of a download.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Arguments of `gate fetch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Sources: https://…, http://…, s3://bucket/key (credentials, region and endpoint as AWS tools take them), file:///…, and\nevidence://node#sha256:… for bytes in the ledger's evidence store. A leading gated+ is ignored, so that the URI of a\nKServe InferenceService can be handed over as it is.\n\nThe bytes are written beside their destination under a temporary name, hashed on the way, and renamed only if they have\nthe digest behind #sha256: and the gate lets them pass. Nothing else ever stands under that name."
)]
pub struct Args {
    /// Where the bytes are; `#sha256:` and a digest behind it says which bytes
    uri: String,
    /// Where they go; into an existing directory under the last part of the URI
    destination: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    offline: offline::OfflineArgs,
    /// Largest download, bytes
    #[arg(long, default_value_t = 64 << 30)]
    max_bytes: u64,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let uri = args.uri.strip_prefix(GATED).unwrap_or(&args.uri);
    let (location, stated) = match uri.rsplit_once('#') {
        Some((location, fragment)) => (location, Some(target::sha256(fragment)?)),
        None => (uri, None),
    };
    let list = args.offline.open()?;
    let path = destination(&args.destination, location)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", path.display()));
    let file = tempfile::Builder::new().prefix(".gate-").suffix(".part").tempfile_in(dir).map_err(failed)?;
    let mut part = Part { file, hasher: Sha256::new(), length: 0, max: args.max_bytes };
    download(location, stated.as_ref(), &args.node, &mut part).await?;
    let Part { file, hasher, length, .. } = part;
    let found = Digest(hasher.finalize().into());
    if let Some(stated) = stated.filter(|stated| *stated != found) {
        let what = format!("{location} has the SHA-256 {found}, not {stated}: nothing was handed over");
        return Err(Failure::new(Exit::No, what));
    }
    let outcome = match list {
        Some(list) => list.decide(&found, &args.target.slot()),
        None => {
            let subject = Subject::ArtifactSha256(found.0.to_vec());
            of_answer(&args.node.open().await?.check(subject, args.target.slot()).await?)
        }
    };
    if !outcome.allowed {
        let why = outcome.refusals.join("; ");
        let target = six_fields::slot(Some(&args.target.slot()));
        return Err(Failure::new(
            Exit::No,
            format!("refused for {target}: {why}; nothing was handed over (sha256 {found})"),
        ));
    }
    hand_over(file, &path).map_err(failed)?;
    for words in outcome.refusals.iter().chain((!outcome.warning.is_empty()).then_some(&outcome.warning)) {
        eprintln!("warning: {words}");
    }
    match format {
        Format::Json => output::json(&serde_json::json!({
            "file": path.display().to_string(), "sha256": found.to_string(), "length": length, "answer": outcome.document,
        })),
        Format::Text => {
            let by = outcome.seq.map(|seq| format!(" by entry {seq}")).unwrap_or_default();
            say!(
                "{length} bytes with sha256 {found}, {}{by}, handed over as {}",
                outcome.basis,
                path.display()
            );
        }
    }
    Ok(Exit::Ok)
}

fn destination(stated: &Path, location: &str) -> Result<PathBuf> {
    if !stated.is_dir() {
        return Ok(stated.to_path_buf());
    }
    let last = location.rsplit('/').next().unwrap_or_default();
    let last = last.split('?').next().unwrap_or_default();
    match last {
        "" | "." | ".." => {
            Err(Failure::usage(format!("{location} ends with no file name; name the destination")))
        }
        name => Ok(stated.join(name)),
    }
}

/// Makes the bytes durable and gives them their name at once; whoever serves them may read them.
fn hand_over(file: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// What was downloaded so far.
struct Part {
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    length: u64,
    max: u64,
}

impl Part {
    fn push(&mut self, chunk: &[u8]) -> Result<()> {
        self.length += chunk.len() as u64;
        if self.length > self.max {
            return Err(Failure::new(Exit::No, format!("more than {} bytes: see --max-bytes", self.max)));
        }
        self.hasher.update(chunk);
        self.file.write_all(chunk).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
    }
}

fn unreachable(location: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unreachable, format!("{location}: {error}"))
}

async fn download(location: &str, stated: Option<&Digest>, node: &NodeArgs, part: &mut Part) -> Result<()> {
    let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
    match scheme {
        "http" | "https" => http(location, part).await,
        "s3" => s3(location, rest, part).await,
        "file" => file(Path::new(rest), part),
        "evidence" => {
            let sha256 = stated.ok_or_else(|| Failure::usage("evidence:// needs #sha256: and a digest"))?;
            evidence(sha256, node, part).await
        }
        _ => {
            Err(Failure::usage(format!("{location} has none of the schemes https, http, s3, file, evidence")))
        }
    }
}

async fn http(location: &str, part: &mut Part) -> Result<()> {
    let mut client = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).read_timeout(READ_WITHIN);
    if let Some(pem) = credentials::authority()? {
        let authorities = reqwest::Certificate::from_pem_bundle(&pem);
        let authorities = authorities.map_err(|error| Failure::usage(format!("--ca-file: {error}")))?;
        client = authorities.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
    }
    let client = client.build();
    let client = client.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let mut response = client.get(location).send().await.map_err(|error| unreachable(location, error))?;
    if !response.status().is_success() {
        return Err(unreachable(location, format_args!("the server answered {}", response.status())));
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(location, error))? {
        part.push(&chunk)?;
    }
    Ok(())
}

async fn s3(location: &str, rest: &str, part: &mut Part) -> Result<()> {
    let (bucket, key) = rest
        .split_once('/')
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| Failure::usage(format!("{location} is not s3://bucket/key")))?;
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    // Stores other than Amazon's are addressed by path.
    let path_style = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style).build();
    let object = aws_sdk_s3::Client::from_conf(config).get_object().bucket(bucket).key(key).send().await;
    let object =
        object.map_err(|error| unreachable(location, aws_sdk_s3::error::DisplayErrorContext(&error)))?;
    let mut body = object.body;
    while let Some(chunk) = body.next().await {
        part.push(&chunk.map_err(|error| unreachable(location, error))?)?;
    }
    Ok(())
}

fn file(path: &Path, part: &mut Part) -> Result<()> {
    use std::io::Read;
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        part.push(buffer.get(..read).unwrap_or_default())?;
    }
}

async fn evidence(sha256: &Digest, node: &NodeArgs, part: &mut Part) -> Result<()> {
    let source = Source::open(&SourceArgs { url: Some(node.url.clone()), dir: None }).await?;
    let mut stream =
        source.read_evidence(ReadEvidenceRequest { sha256: sha256.0.to_vec(), unseal: false }).await?;
    while let Some(message) = stream.next().await {
        part.push(&message?.chunk)?;
    }
    Ok(())
}
