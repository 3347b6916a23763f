//! `evidence check`: is all evidence there, unchanged and locked, and which promotions rely on what is not; and is the
//! ledger's archive.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::{
    archive::pieces::BUNDLE_LEN,
    event::{
        Digest,
        proto::{
            CheckArchiveRequest, CheckArchiveResponse, CheckEvidenceRequest, CheckEvidenceResponse,
            EvidenceFinding, GetStatusRequest, ListRelianceResponse, SlotRole,
        },
    },
};

use super::{
    custody_words::problem,
    output::{self, Exit, Failure, Format, Result, coloured, say},
    progress,
    source::{Source, SourceArgs},
};

/// How often a call that broke off is made again before anything was looked at.
const ATTEMPTS: u32 = 5;
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// Between two writes of the file that `--resume` names.
const KEEP_AFTER: Duration = Duration::from_secs(1);

/// Look at all evidence and at the ledger's archive: is it there, with its length and digest, locked as it was, for long
/// enough?
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Also read all bytes and hash them; without it the store's own checksum is asked for where it keeps one
    #[arg(long)]
    deep: bool,
    /// A file that says how far it got: run it again with the same file after an interruption, and it goes on there
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// How far a check got, and what it found: the file that `--resume` names, and what `--format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    ledger_id: String,
    deep: bool,
    /// Whether everything was looked at.
    complete: bool,
    /// The evidence that was looked at last.
    after: String,
    /// Pieces of evidence that were looked at.
    looked_at: u64,
    /// Bytes that were read.
    bytes_read: u64,
    findings: Vec<Finding>,
    /// What relies on any of it, by entry.
    promotions: BTreeMap<u64, Promotion>,
    archive: ArchiveLook,
}

/// How far a check of the archive got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ArchiveLook {
    /// Bundles of 256 entries that were looked at, the first ones.
    bundles: u64,
    /// Entries that are archived.
    size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Finding {
    sha256: String,
    uri: String,
    version_id: String,
    /// In words.
    problem: String,
    detail: String,
    /// Entries of the promotions that rely on it; none rely on a piece of the archive.
    promotions: Vec<u64>,
}

impl Finding {
    fn of(found: &EvidenceFinding, promotions: Vec<u64>) -> Self {
        Self {
            sha256: hex::encode(&found.sha256),
            uri: found.uri.clone(),
            version_id: found.version_id.clone(),
            problem: problem(found.problem).to_owned(),
            detail: found.detail.clone(),
            promotions,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Promotion {
    event_digest: String,
    model: String,
    environment: String,
    region: String,
    role: String,
    current: bool,
}

impl Promotion {
    fn of(relying: &ListRelianceResponse) -> Self {
        let slot = relying.slot.clone().unwrap_or_default();
        let role = SlotRole::try_from(slot.role).unwrap_or_default();
        Self {
            event_digest: hex::encode(&relying.event_digest),
            role: role.as_str_name().trim_start_matches("SLOT_ROLE_").to_ascii_lowercase(),
            model: slot.model,
            environment: slot.environment,
            region: slot.region,
            current: relying.current,
        }
    }
}

impl Report {
    fn new(ledger_id: String, deep: bool) -> Self {
        Self {
            ledger_id,
            deep,
            complete: false,
            after: String::new(),
            looked_at: 0,
            bytes_read: 0,
            findings: Vec::new(),
            promotions: BTreeMap::new(),
            archive: ArchiveLook::default(),
        }
    }

    fn add(&mut self, looked: &CheckEvidenceResponse) {
        self.after = hex::encode(&looked.sha256);
        self.looked_at += 1;
        self.bytes_read += looked.bytes_read;
        let promotions: Vec<_> = looked.promotions.iter().map(|relying| relying.seq).collect();
        self.promotions.extend(looked.promotions.iter().map(|relying| (relying.seq, Promotion::of(relying))));
        self.findings.extend(looked.findings.iter().map(|found| Finding::of(found, promotions.clone())));
    }

    fn add_bundle(&mut self, looked: &CheckArchiveResponse) {
        // What is said about the end of the archive is said anew after an interruption.
        self.archive.bundles = (looked.bundle + 1).min(looked.archived_size.div_ceil(BUNDLE_LEN));
        self.archive.size = looked.archived_size;
        self.bytes_read += looked.bytes_read;
        self.findings.extend(looked.findings.iter().map(|found| Finding::of(found, Vec::new())));
    }

    fn print(&self) {
        let read = if self.bytes_read > 0 {
            format!("; {} bytes of it were read", self.bytes_read)
        } else {
            String::new()
        };
        let ArchiveLook { bundles, size } = self.archive;
        say!(
            "Looked at {} pieces of evidence, and {bundles} bundles of the archive of {size} entries{read}.",
            self.looked_at
        );
        for found in &self.findings {
            say!("  {} {} {}", coloured("31", "bad"), found.sha256, found.problem);
            say!("      where      {} {}", found.uri, found.version_id);
            say!("      detail     {}", found.detail);
            for seq in &found.promotions {
                let Some(promotion) = self.promotions.get(seq) else { continue };
                let now = if promotion.current { coloured("31", "current") } else { "earlier".into() };
                let Promotion { model, environment, region, role, .. } = promotion;
                let place =
                    if region.is_empty() { environment.clone() } else { format!("{environment} {region}") };
                say!("      relied on by entry {seq} ({now}): {model} in {place} as {role}");
            }
        }
        if self.findings.is_empty() {
            say!("{}: all of it is there, unchanged, and locked as it must be.", coloured("32", "Good"));
            return;
        }
        let current = self.promotions.values().filter(|promotion| promotion.current).count();
        say!(
            "{} findings; {} promotions rely on this evidence, {current} of them current.",
            self.findings.len(),
            self.promotions.len()
        );
    }
}

/// Runs the command.
pub async fn run(args: CheckArgs, format: Format) -> Result {
    let source = Source::open(&args.source).await?;
    let status = source.get_status(GetStatusRequest {}).await?;
    let ledger_id = hex::encode(&status.ledger_id);
    let mut report = match &args.resume {
        Some(path) => kept(path, &ledger_id, args.deep)?,
        None => None,
    }
    .unwrap_or_else(|| Report::new(ledger_id, args.deep));
    let file = args.resume.as_deref();
    let mut walk = Walk { source: &source, report: &mut report, file, bar: None, kept: Instant::now() };
    let ended = walk.run().await;
    if let Some(path) = &args.resume {
        report.complete = ended.is_ok();
        keep(path, &report)?;
    }
    ended.map_err(|failure| broken_off(failure, &report, args.resume.as_deref()))?;
    report.complete = true;
    match format {
        Format::Json => output::json(&report),
        Format::Text => report.print(),
    }
    Ok(if report.findings.is_empty() { Exit::Ok } else { Exit::No })
}

fn broken_off(failure: Failure, report: &Report, file: Option<&Path>) -> Failure {
    let on = match file {
        Some(file) => format!("go on with --resume {}", file.display()),
        None => "with --resume FILE it could go on from there".to_owned(),
    };
    let found = report.findings.len();
    let message = format!(
        "{}; {} pieces were looked at and {} bundles of the archive, with {found} findings; {on}",
        failure.message, report.looked_at, report.archive.bundles
    );
    Failure { message, ..failure }
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Evidence,
    Archive,
}

/// A check under way.
struct Walk<'a> {
    source: &'a Source,
    report: &'a mut Report,
    file: Option<&'a Path>,
    bar: Option<ProgressBar>,
    kept: Instant,
}

impl Walk<'_> {
    /// Asks until everything was looked at. A call that broke off goes on where it was.
    async fn run(&mut self) -> Result<()> {
        for part in [Part::Evidence, Part::Archive] {
            let mut failed = 0;
            loop {
                let before = (self.report.looked_at, self.report.archive.bundles);
                let Err(status) = self.one_call(part).await else { break };
                let looked = (self.report.looked_at, self.report.archive.bundles) != before;
                failed = if looked { 1 } else { failed + 1 };
                let again = matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Aborted
                );
                if !again || failed >= ATTEMPTS {
                    return Err(status.into());
                }
                tokio::time::sleep(RETRY_WAIT).await;
            }
            self.bar.take().iter().for_each(ProgressBar::finish_and_clear);
        }
        Ok(())
    }

    async fn one_call(&mut self, part: Part) -> std::result::Result<(), tonic::Status> {
        let deep = self.report.deep;
        match part {
            Part::Evidence => {
                let after = Digest::from_hex(&self.report.after).map(|after| after.0.to_vec());
                let request = CheckEvidenceRequest { deep, after: after.unwrap_or_default() };
                let mut stream = self.source.check_evidence(request).await?;
                while let Some(message) = stream.next().await {
                    let looked = message?;
                    self.report.add(&looked);
                    self.looked(self.report.looked_at, looked.left, "evidence")?;
                }
            }
            Part::Archive => {
                let request = CheckArchiveRequest { deep, from_bundle: self.report.archive.bundles };
                let mut stream = self.source.check_archive(request).await?;
                while let Some(message) = stream.next().await {
                    let looked = message?;
                    self.report.add_bundle(&looked);
                    self.looked(self.report.archive.bundles, looked.left, "bundles of the archive")?;
                }
            }
        }
        Ok(())
    }

    fn looked(&mut self, done: u64, left: u64, what: &'static str) -> std::result::Result<(), tonic::Status> {
        self.bar.get_or_insert_with(|| progress::shown(done + left, what)).set_position(done);
        if let Some(file) = self.file
            && self.kept.elapsed() >= KEEP_AFTER
        {
            keep(file, self.report).map_err(|failure| tonic::Status::internal(failure.message))?;
            self.kept = Instant::now();
        }
        Ok(())
    }
}

/// What an interrupted check left; `None` where there is nothing to go on from.
fn kept(path: &Path, ledger_id: &str, deep: bool) -> Result<Option<Report>> {
    let name = path.display();
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::usage(format!("--resume {name}: {error}"))),
    };
    let report: Report = serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("--resume {name} is no file of this command: {error}")))?;
    if report.ledger_id != ledger_id {
        return Err(Failure::usage(format!("--resume {name} is about the ledger {}", report.ledger_id)));
    }
    if report.deep != deep {
        let begun = if report.deep { "with" } else { "without" };
        return Err(Failure::usage(format!(
            "--resume {name} was begun {begun} --deep; go on in the same way"
        )));
    }
    // A new check begins in the same file.
    Ok((!report.complete).then_some(report))
}

/// Replaces the file whole.
fn keep(path: &Path, report: &Report) -> Result<()> {
    let failed = |error: std::io::Error| Failure::usage(format!("--resume {}: {error}", path.display()));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = fs::File::create(&new).map_err(failed)?;
    let text = serde_json::to_vec(report).map_err(|error| failed(error.into()))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_check_goes_on_and_a_complete_one_begins_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("check.json");
        assert_eq!(kept(&path, "aa", true).expect("an answer"), None);
        let mut report = Report::new("aa".into(), true);
        report.add(&CheckEvidenceResponse { sha256: vec![0xab; 32], bytes_read: 7, ..Default::default() });
        keep(&path, &report).expect("a file");
        assert_eq!(kept(&path, "aa", true).expect("an answer"), Some(report.clone()));
        assert!(kept(&path, "aa", false).is_err(), "another depth");
        assert!(kept(&path, "bb", true).is_err(), "another ledger");
        let bundle =
            CheckArchiveResponse { bundle: 1, archived_size: 300, bytes_read: 5, ..Default::default() };
        report.add_bundle(&bundle);
        assert_eq!((report.archive.bundles, report.archive.size, report.bytes_read), (2, 300, 12));
        let end = CheckArchiveResponse { bundle: 2, findings: vec![EvidenceFinding::default()], ..bundle };
        report.add_bundle(&end);
        assert_eq!((report.archive.bundles, report.findings.len()), (2, 1), "about the end, not a bundle");
        keep(&path, &Report { complete: true, ..report }).expect("a file");
        assert_eq!(kept(&path, "aa", true).expect("an answer"), None);
        fs::write(&path, "{}").expect("a file");
        assert!(kept(&path, "aa", true).is_err(), "no file of this command");
    }
}
