//! `audit test`: the sampled promotions with their evidence, each attribute tested, as CSV and as a page.

use std::{path::Path, sync::Arc};

use crate::{
    bundle::{
        attributes::{ATTRIBUTES, Attribute, Verdict, later, test},
        verify::{Bundle, Known},
        words,
    },
    cli::{
        examiner::{self, Parts, gather::Asked},
        output::{self, Exit, Failure, Format, Result, say, utc},
        source::Source,
        verify_bundle,
    },
    event::Seq,
    page::{self, shell::Shell, workpaper::Row},
};

use super::{Sample, drawn_by};

/// Name of the bundle that was tested.
const BUNDLE: &str = "sample.zip";
const CSV: &str = "workpaper.csv";
const PAGE: &str = "workpaper.html";

/// One promotion, tested.
struct Tested {
    seq: Seq,
    what: String,
    event_digest: String,
    attributes: Vec<Attribute>,
    later: String,
}

/// Runs the command.
pub async fn run(source: &Arc<Source>, sample: &Sample, known: &Known, dir: &Path, format: Format) -> Result {
    let failed = |error: String| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    std::fs::create_dir(dir).map_err(|error| Failure::usage(format!("{}: {error}", dir.display())))?;
    let path = dir.join(BUNDLE);
    let asked = Asked::Entries(sample.seqs.clone());
    examiner::bundle(source, &asked, Parts { people: true, evidence: true }, &path).await?;
    let bundle = tokio::task::block_in_place(|| verify_bundle::open(&path, known))?;
    continues(&sample.population, &bundle)?;
    let tested: Vec<_> = sample.seqs.iter().filter_map(|seq| one(&bundle, *seq)).collect();
    std::fs::write(dir.join(CSV), csv(&tested).map_err(failed)?)
        .map_err(|error| failed(error.to_string()))?;
    std::fs::write(dir.join(PAGE), drawn(sample, &bundle, &tested))
        .map_err(|error| failed(error.to_string()))?;
    let count =
        |verdict| tested.iter().flat_map(|one| &one.attributes).filter(|one| one.verdict == verdict).count();
    let (holds, fails, open) = (count(Verdict::Holds), count(Verdict::Fails), count(Verdict::NotTested));
    match format {
        Format::Json => output::json(&serde_json::json!({
            "workpaper": dir.display().to_string(), "sample": sample.seqs, "holds": holds, "fails": fails, "not_tested": open,
        })),
        Format::Text => {
            say!(
                "{}: {} promotions tested; {holds} attributes hold, {fails} fail, {open} not tested",
                dir.display(),
                tested.len()
            );
            for one in &tested {
                for found in one.attributes.iter().filter(|found| found.verdict == Verdict::Fails) {
                    say!("  entry {} {}: {}", one.seq, found.letter, found.found);
                }
            }
        }
    }
    Ok(if fails == 0 { Exit::Ok } else { Exit::No })
}

/// What was fetched must be of the ledger that the population shows: it begins with the same headers.
fn continues(population: &Bundle, sample: &Bundle) -> Result<()> {
    if sample.headers.starts_with(&population.headers) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::No,
        "the ledger does not continue the population: its first entries are others, or fewer; keep both files",
    ))
}

fn one(bundle: &Bundle, seq: Seq) -> Option<Tested> {
    let promoted = words::promoted(bundle, seq)?;
    let model = promoted.model_version.clone().unwrap_or_default();
    let slot = page::words::slot(promoted.slot.as_ref());
    let later: Vec<_> =
        later(bundle, seq).iter().map(|(seq, kind)| format!("{kind} by entry {seq}")).collect();
    Some(Tested {
        seq,
        what: format!("{} {} for {slot}, {}", model.name, model.version, utc(words::date(bundle, seq))),
        event_digest: bundle.entries.get(&seq)?.header.event_digest.to_string(),
        attributes: test(bundle, seq)?,
        later: later.join(", "),
    })
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn csv(tested: &[Tested]) -> std::result::Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["entry", "promotion", "event_digest", "attribute", "tests", "result", "found", "since"];
    writer.write_record(head).map_err(|error| error.to_string())?;
    for one in tested {
        for (found, (_, tests)) in one.attributes.iter().zip(ATTRIBUTES) {
            let (seq, letter) = (one.seq.to_string(), found.letter.to_string());
            let (what, why, later) = (cell(&one.what), cell(&found.found), cell(&one.later));
            let row = [&seq, &what, &one.event_digest, &letter, tests, found.verdict.words(), &why, &later];
            writer.write_record(row).map_err(|error| error.to_string())?;
        }
    }
    writer.into_inner().map_err(|error| error.to_string())
}

fn drawn(sample: &Sample, bundle: &Bundle, tested: &[Tested]) -> Vec<u8> {
    let class = |verdict| match verdict {
        Verdict::Holds => "good",
        Verdict::Fails => "bad",
        Verdict::NotTested => "plain",
    };
    let rows: Vec<_> = tested
        .iter()
        .map(|one| Row {
            seq: one.seq,
            what: one.what.clone(),
            event_digest: one.event_digest.clone(),
            results: one
                .attributes
                .iter()
                .map(|found| (class(found.verdict), found.verdict.words(), found.found.clone()))
                .collect(),
            later: one.later.clone(),
        })
        .collect();
    let period = &sample.seed.period;
    let about = [
        ("Ledger", format!("{}, ledger_id {}", bundle.key.origin, bundle.manifest.ledger_id)),
        ("Period", format!("{} to before {}", utc(period.from), utc(period.to))),
        (
            "Population",
            format!(
                "{} promotions; the headers of {} entries show that none is missing",
                sample.population.manifest.promotions.len(),
                sample.population.checkpoint.size
            ),
        ),
        ("Sample", format!("{}, drawn by {}", tested.len(), drawn_by(sample))),
        (
            "Tested on",
            format!("{BUNDLE}: {} entries, root {}", bundle.checkpoint.size, bundle.checkpoint.root),
        ),
    ];
    let shell = Shell { title: "Workpaper", origin: &bundle.key.origin, home: None, mark: None, leave: None };
    page::workpaper::page(shell, &about, &ATTRIBUTES, &rows)
}
