//! The evidence of a bundle: fetched, compared with its digest, or withheld with a reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    bundle::names,
    cli::{
        evidence_out::write,
        output::{Exit, Failure, Result},
        source::Source,
    },
    event::{
        Digest, Seq, content,
        proto::{EvidenceRef, body::Event},
    },
    evidence::personal::{SAMPLE_LEN, scan},
    page::{Check, Exhibits, Found, file_name, sealed},
    readable::READ_LEN_MAX,
};

use super::{Parts, gather::Gathered};

/// What was fetched.
#[derive(Default)]
pub struct Evidence {
    /// Name of the member -> the file with its bytes.
    pub files: BTreeMap<String, PathBuf>,
    /// Why a piece is not here, by its SHA-256.
    pub withheld: BTreeMap<String, String>,
    /// Pieces that are not as the ledger says.
    pub missing: Vec<String>,
    /// Bytes that pages show.
    pub exhibits: Exhibits,
    /// How each piece of each promotion compares with the ledger.
    pub checks: BTreeMap<Seq, Vec<Check>>,
}

/// A piece, and where it goes.
struct Wanted {
    seq: Seq,
    field: String,
    reference: EvidenceRef,
    member: String,
}

fn wanted(gathered: &Gathered) -> Vec<Wanted> {
    let mut all = Vec::new();
    for seq in &gathered.promotions {
        let Some(promoted) = gathered.entries.get(seq).and_then(super::gather::Fetched::promoted) else {
            continue;
        };
        let review = promoted
            .review
            .as_ref()
            .and_then(|review| Some((review.seq, gathered.entries.get(&review.seq)?)));
        if let Some((review_seq, entry)) = review
            && let Some(Event::ReviewSealed(review)) = &entry.body.event
        {
            for (i, (name, reference)) in sealed::evidence(review).into_iter().enumerate() {
                let member = if i == 0 && review.screen.is_some() {
                    names::screen(review_seq)
                } else {
                    artefact(&reference)
                };
                all.push(Wanted { seq: review_seq, field: format!("review {name}"), reference, member });
            }
        }
        for (field, reference) in content::evidence(promoted) {
            let (field, member) = (field.into_owned(), artefact(reference));
            all.push(Wanted { seq: *seq, field, reference: reference.clone(), member });
        }
    }
    all
}

fn artefact(reference: &EvidenceRef) -> String {
    format!("artefacts/{}", file_name(reference))
}

/// Why a piece may not go out with `--redact`, judged before its bytes are read.
fn personal_by_kind(one: &Wanted) -> Option<&'static str> {
    if !one.reference.subject_id.is_empty() {
        return Some("redacted: it is sealed for one person");
    }
    let rows = one.field == "dataset.copy" || one.field.ends_with("sample_manifest");
    rows.then_some("redacted: rows of a dataset may be about people")
}

fn personal_by_content(one: &Wanted, file: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read;
    let mut sample = Vec::new();
    fs::File::open(file)?.take(SAMPLE_LEN as u64).read_to_end(&mut sample)?;
    let found = scan(&one.reference.media_type, &sample);
    Ok(found.first().map(|finding| format!("redacted: {finding}")))
}

/// Fetches every piece into a directory.
///
/// # Errors
/// If the directory cannot be written.
pub async fn fetch(source: &Source, gathered: &Gathered, parts: Parts, dir: &Path) -> Result<Evidence> {
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    let mut evidence = Evidence::default();
    let mut done = BTreeSet::new();
    for one in wanted(gathered) {
        let sha256 = hex::encode(&one.reference.sha256);
        if done.insert(sha256.clone()) {
            let withheld = match (parts.evidence, personal_by_kind(&one).filter(|_| !parts.people)) {
                (false, _) => Some("not asked for".to_owned()),
                (true, why) => why.map(str::to_owned),
            };
            let withheld = match withheld {
                Some(why) => Some(why),
                None => get(source, &one, parts, dir, &mut evidence).await.map_err(failed)?,
            };
            evidence.withheld.extend(withheld.map(|why| (sha256.clone(), why)));
        }
        let found = match evidence.withheld.get(&sha256) {
            None => Found::Match,
            Some(why) if why.starts_with("missing") => Found::Mismatch(why.clone()),
            Some(why) => Found::Failed(why.clone()),
        };
        let Wanted { seq, field, reference, .. } = one;
        evidence.checks.entry(seq).or_default().push(Check { field, reference, found });
    }
    Ok(evidence)
}

/// Fetches one piece; why it does not go into the bundle after all.
async fn get(
    source: &Source,
    one: &Wanted,
    parts: Parts,
    dir: &Path,
    evidence: &mut Evidence,
) -> std::io::Result<Option<String>> {
    let file = dir.join(Digest::from_slice(&one.reference.sha256).unwrap_or_default().to_string());
    let written = write(source, one.field.clone(), &one.reference, file.clone(), false).await?;
    if let Some(problem) = written.problem() {
        evidence.missing.push(format!("entry {}, {}: {problem}", one.seq, one.field));
        return Ok(Some(format!("missing: {problem}")));
    }
    let file = written.file().unwrap_or(&file).to_path_buf();
    if !parts.people
        && let Some(why) = personal_by_content(one, &file)?
    {
        return Ok(Some(why));
    }
    if one.reference.subject_id.is_empty() && one.reference.length <= READ_LEN_MAX {
        evidence.exhibits.insert(&one.reference.sha256, fs::read(&file)?);
    }
    evidence.files.insert(one.member.clone(), file);
    Ok(None)
}
