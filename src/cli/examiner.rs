//! `export` of promotions: with everything that an outsider needs to check them, as one file.

mod evidence;
pub mod gather;
mod pages;
mod write;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::event::Seq;

use super::{
    attestation, list,
    output::{self, Exit, Failure, Format, Result, coloured, say},
    source::{Source, SourceArgs},
    when,
};

/// What makes an export an examiner bundle, or an attestation.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Examiner bundle")]
#[group(skip)]
pub struct Args {
    /// Promotions, by their entries
    #[arg(value_name = "PROMOTION", conflicts_with_all = ["model", "from", "to"])]
    seqs: Vec<Seq>,
    /// Promotions of this model
    #[arg(long)]
    model: Option<String>,
    /// Promotions before this time, or to the end of this date
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// IANA time zone for dates and times without an offset
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Leave personal data out: names stay sealed, and evidence in which people may be is withheld
    #[arg(long)]
    redact: bool,
    /// Leave all evidence out: its digests stay
    #[arg(long)]
    without_evidence: bool,
    /// Write one promotion as an in-toto Statement in a DSSE envelope instead
    #[arg(long, requires = "signing_key")]
    attestation: bool,
    /// Ed25519 key in PKCS#8 PEM, mode 0600, that signs the attestation
    #[arg(long, value_name = "FILE", requires = "attestation")]
    signing_key: Option<PathBuf>,
}

impl Args {
    /// Whether promotions are exported, and not entries as lines.
    pub fn is_asked(&self, output: Option<&Path>) -> bool {
        let zip = output.and_then(Path::extension).is_some_and(|ending| ending == "zip");
        let flags = self.redact || self.without_evidence || self.attestation || self.tz.is_some();
        zip || flags || !self.seqs.is_empty() || self.model.is_some() || self.to.is_some()
    }
}

/// What of a promotion goes into a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Sealed items are opened, and evidence in which people may be is here.
    pub people: bool,
    /// Evidence is here.
    pub evidence: bool,
}

/// Runs the command.
pub async fn run(
    args: Args,
    from: Option<&str>,
    output: Option<&Path>,
    source: &SourceArgs,
    format: Format,
) -> Result {
    let output = output.ok_or_else(|| Failure::usage("a bundle is a file: give its name with --output"))?;
    if args.seqs.is_empty() && args.model.is_none() && from.is_none() && args.to.is_none() {
        return Err(Failure::usage(
            "a bundle of what? Give the entries of promotions, or --model, --from, --to",
        ));
    }
    let source = Arc::new(Source::open(source).await?);
    if let Some(key) = args.signing_key.as_ref().filter(|_| args.attestation) {
        let [seq] = args.seqs.as_slice() else {
            return Err(Failure::usage("--attestation is about one promotion: give its entry"));
        };
        return attestation::run(&source, *seq, key, output, format).await;
    }
    let asked = if args.seqs.is_empty() {
        let zone = list::zone(&source, args.tz.as_deref()).await?;
        let interval = when::interval(None, from, args.to.as_deref(), &zone).map_err(Failure::usage)?;
        gather::Asked::Found { model: args.model.clone().unwrap_or_default(), interval }
    } else {
        gather::Asked::Entries(args.seqs.clone())
    };
    let parts = Parts { people: !args.redact, evidence: !args.without_evidence };
    let written = bundle(&source, &asked, parts, output).await?;
    print(&written, output, format);
    Ok(if written.missing.is_empty() { Exit::Ok } else { Exit::No })
}

/// What was written.
pub struct Written {
    /// Promotions.
    pub promotions: Vec<Seq>,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Pieces of evidence.
    pub evidence: usize,
    /// Pieces that were left out because somebody asked for that.
    pub withheld: usize,
    /// Pieces that are not as the ledger says, in words.
    pub missing: Vec<String>,
}

/// Writes a bundle.
///
/// # Errors
/// If something cannot be read or written; nothing is left under the name then.
pub async fn bundle(
    source: &Arc<Source>,
    asked: &gather::Asked,
    parts: Parts,
    output: &Path,
) -> Result<Written> {
    if output.exists() {
        return Err(Failure::usage(format!("{} exists already; give another name", output.display())));
    }
    let gathered = gather::gather(source, asked, parts).await?;
    let temporary = tempfile::tempdir().map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let evidence = evidence::fetch(source, &gathered, parts, temporary.path()).await?;
    let drawn = pages::draw(&gathered, &evidence, parts)?;
    write::write(&gathered, &evidence, &drawn, output)?;
    Ok(Written {
        promotions: gathered.promotions.clone(),
        size: gathered.headers.len() as u64,
        evidence: evidence.files.len(),
        withheld: evidence.withheld.len() - evidence.missing.len(),
        missing: evidence.missing,
    })
}

fn print(written: &Written, output: &Path, format: Format) {
    if format == Format::Json {
        output::json(&serde_json::json!({
            "bundle": output.display().to_string(), "promotions": written.promotions, "size": written.size,
            "evidence": written.evidence, "withheld": written.withheld, "missing": written.missing,
        }));
        return;
    }
    let (count, plural) = (written.promotions.len(), if written.promotions.len() == 1 { "" } else { "s" });
    say!(
        "{} {count} promotion{plural}, {} pieces of evidence, {} withheld, the headers of {} entries",
        output.display(),
        written.evidence,
        written.withheld,
        written.size
    );
    for missing in &written.missing {
        say!("  {} {missing}", coloured("31", "bad"));
    }
    say!("check it anywhere: promotion-ledger verify {}", output.display());
}
