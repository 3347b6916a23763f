//! `gate check`: for pipelines. The exit code decides; a report and annotations say why.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    offline,
    report::{self, Outcome},
    target::{self, NodeArgs, TargetArgs},
};
use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, coloured, say},
        six_fields,
    },
    event::{
        Digest,
        proto::{CheckResponse, GateBasis, RegistryVersion, check_request::Subject},
    },
    proof::{checkpoint::LogKey, receipt::Receipt},
};

/// Arguments of `gate check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Offline: with --status-list, --receipt and --log-key no node is asked. How old the list may be decides, not\nhow old the receipt is, so that an outage never blocks a roll-back to an approved version. Offline always enforces."
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    offline: offline::OfflineArgs,
    /// Also write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print annotations that GitHub Actions shows (on by default where GITHUB_ACTIONS=true)
    #[arg(long, env = "GITHUB_ACTIONS", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = clap::builder::FalseyValueParser::new())]
    github: bool,
}

/// What would run: one of the three.
#[derive(Debug, Clone, clap::Args)]
struct What {
    /// SHA-256 of the artefact
    #[arg(long, value_name = "SHA256", group = "what")]
    artifact: Option<String>,
    /// The artefact itself; it is hashed here
    #[arg(long, value_name = "FILE", group = "what")]
    file: Option<PathBuf>,
    /// A concrete version in a registry; whether the bytes are those of the answer is for the caller to check
    #[arg(long, num_args = 3, value_names = ["REGISTRY_URI", "NAME", "VERSION"], group = "what")]
    version: Option<Vec<String>>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let what = subject(&args.what)?;
    let name = named(&what);
    let outcome = decide(&args, what).await;
    // A report of an earlier run must not stand for this one: what was not decided is reported too.
    let reported = outcome.as_ref().map_err(|failure| failure.message.as_str());
    if let Some(path) = &args.junit {
        let xml = report::junit(&name, &args.target.slot(), reported);
        std::fs::write(path, xml)
            .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))?;
    }
    if let Ok(outcome) = &outcome {
        print(&name, &args.target, outcome, format);
    }
    if args.github && format == Format::Text {
        report::annotations(&name, reported).iter().for_each(|line| say!("{line}"));
    }
    outcome.map(|outcome| if outcome.allowed { Exit::Ok } else { Exit::No })
}

/// By the status list, where one is given, else by the node.
async fn decide(args: &Args, what: Subject) -> Result<Outcome> {
    if let Some(list) = args.offline.open()? {
        let Subject::ArtifactSha256(bytes) = &what else {
            return Err(Failure::usage("offline, give --artifact or --file: a version names no bytes"));
        };
        let artifact = Digest::from_slice(bytes).unwrap_or_default();
        return Ok(list.decide(&artifact, &args.target.slot()));
    }
    let answer = args.node.open().await?.check(what, args.target.slot()).await?;
    if let Some(key) = args.offline.log_key()? {
        trusted(&answer, &key)?;
    }
    Ok(of_answer(&answer))
}

fn subject(what: &What) -> Result<Subject> {
    match (&what.artifact, &what.file, &what.version) {
        (Some(text), ..) => Ok(Subject::ArtifactSha256(target::sha256(text)?.0.to_vec())),
        (None, Some(path), _) => Ok(Subject::ArtifactSha256(hash(path)?.0.to_vec())),
        (None, None, Some(parts)) => {
            let [registry_uri, name, version] = <[String; 3]>::try_from(parts.clone())
                .map_err(|_| Failure::usage("--version takes three"))?;
            Ok(Subject::Version(RegistryVersion { registry_uri, name, version }))
        }
        _ => Err(Failure::usage("say what would run: --artifact, --file or --version")),
    }
}

fn hash(path: &Path) -> Result<Digest> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(Digest(hasher.finalize().into()));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn named(what: &Subject) -> String {
    match what {
        Subject::ArtifactSha256(bytes) => format!("sha256:{}", hex::encode(bytes)),
        Subject::Version(it) => format!("{} {} of {}", it.name, it.version, it.registry_uri),
    }
}

/// Whether the receipt in an answer holds under a key that the caller trusts.
fn trusted(answer: &CheckResponse, key: &LogKey) -> Result<()> {
    let Some(seq) = answer.seq else { return Ok(()) };
    let distrust = |why: String| Failure::new(Exit::No, format!("the node's receipt does not hold: {why}"));
    let receipt = Receipt::parse(&answer.tlog_proof).map_err(|error| distrust(error.to_string()))?;
    let (header, _) = receipt.verify(key).map_err(|error| distrust(error.to_string()))?;
    if header.seq != seq || header.event_digest.0[..] != answer.event_digest {
        return Err(distrust(format!("it is for entry {}", header.seq)));
    }
    Ok(())
}

/// An answer as reports take it.
pub fn of_answer(answer: &CheckResponse) -> Outcome {
    let basis = match answer.basis() {
        GateBasis::Promoted => "promoted",
        GateBasis::Undocumented => "undocumented",
        GateBasis::BreakGlass => "break-glass",
        GateBasis::Unspecified => "none",
    };
    Outcome {
        allowed: answer.allowed,
        basis: basis.into(),
        refusals: answer.refusals.iter().map(|refusal| refusal.words.clone()).collect(),
        warning: answer.warning.clone(),
        seq: answer.seq,
        slot: answer.slot.clone(),
        mode: answer.mode().as_str_name().trim_start_matches("GATE_MODE_").to_lowercase(),
        as_of: format!("{}, {} entries", output::utc(answer.as_of), answer.as_of_size),
        document: serde_json::to_value(answer).unwrap_or_default(),
    }
}

fn print(name: &str, target: &TargetArgs, outcome: &Outcome, format: Format) {
    if format == Format::Json {
        return output::json(&outcome.document);
    }
    let refused = !outcome.refusals.is_empty();
    let verdict = match (outcome.allowed, refused) {
        (true, false) => coloured("32", "allowed"),
        (true, true) => coloured("33", &format!("let pass, because the gate's mode is {}", outcome.mode)),
        (false, _) => coloured("31", "refused"),
    };
    say!("{verdict}: {name}");
    say!("  target    {}", six_fields::slot(Some(&target.slot())));
    if let Some(seq) = outcome.seq {
        say!("  by        entry {seq}, {} ({})", outcome.basis, six_fields::slot(outcome.slot.as_ref()));
    }
    outcome.refusals.iter().for_each(|words| say!("  because   {words}"));
    if !outcome.warning.is_empty() {
        say!("  warning   {}", outcome.warning);
    }
    say!("  mode      {}", outcome.mode);
    say!("  as of     {}", outcome.as_of);
}
