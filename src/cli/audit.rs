//! `audit`: the auditor's own procedure. The population of a period with a proof that none is missing, a sample that
//! nobody chose, and a workpaper of what was tested.

mod workpaper;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    bundle::{
        sample::{Seed, draw},
        verify::{Bundle, Known},
        words,
    },
    event::Seq,
    proof::cosignature::{WitnessKey, cosignature_bytes},
};

use super::{
    examiner::{self, Parts, gather::Asked},
    list,
    output::{self, Exit, Failure, Format, Result, say, utc},
    source::{Source, SourceArgs},
    verify_bundle, when,
};

/// The auditor's procedure: the population of a period, a sample that nobody chose, a workpaper.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger audit population --from 2026-01-01 --to 2026-03-31 -o population.zip\n  promotion-ledger audit sample population.zip -n 25 --witness 'witness.example/w1+…'\n  promotion-ledger audit test population.zip -n 25 --witness 'witness.example/w1+…' -o workpapers\n\nThe sample follows from the checkpoint in the population, which must have been made after the period: whoever has the\npopulation draws the same. With --witness the witness' cosignature takes part, so that nobody, the ledger's operator\nincluded, could try out samples before."
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Drawn {
    /// The population, as `audit population` wrote it
    population: PathBuf,
    /// How many promotions
    #[arg(short = 'n', long, default_value_t = 25)]
    number: usize,
    /// The ledger_id that you know (64 hexadecimal digits)
    #[arg(long, value_name = "HEX")]
    ledger_id: Option<String>,
    /// The ledger's log key that you know: a file with it, or the line itself
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// A witness that must have cosigned the population's checkpoint; its cosignature takes part in the draw
    #[arg(long, value_name = "VKEY")]
    witness: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Every promotion of a period, with all headers of the ledger as the proof that none is missing
    Population {
        /// From this time or date on
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Before this time, or to the end of this date
        #[arg(long, value_name = "TIME")]
        to: String,
        /// IANA time zone for dates and times without an offset
        #[arg(long, value_name = "ZONE")]
        tz: Option<String>,
        /// The file; not overwritten
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Which promotions to look at, offline: chosen by the checkpoint in the population
    Sample {
        #[command(flatten)]
        drawn: Drawn,
    },
    /// Fetch the sampled promotions with their evidence, test them, and write a workpaper: CSV and a page to print
    Test {
        #[command(flatten)]
        drawn: Drawn,
        /// A directory that is not there yet
        #[arg(long, short, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// A sample of a population.
pub struct Sample {
    /// The population.
    pub population: Bundle,
    /// What drew it.
    pub seed: Seed,
    /// Name of the witness whose cosignature takes part.
    pub witness: Option<String>,
    /// What was drawn.
    pub seqs: Vec<Seq>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.command {
        Command::Population { from, to, tz, output, source } => {
            population((&from, &to), tz.as_deref(), &output, &source, format).await
        }
        Command::Sample { drawn } => {
            let sample = tokio::task::block_in_place(|| drawn.draw())?.0;
            print_sample(&sample, format);
            Ok(Exit::Ok)
        }
        Command::Test { drawn, output, source } => {
            let (sample, known) = tokio::task::block_in_place(|| drawn.draw())?;
            let source = Arc::new(Source::open(&source).await?);
            workpaper::run(&source, &sample, &known, &output, format).await
        }
    }
}

async fn population(
    (from, to): (&str, &str),
    tz: Option<&str>,
    output: &Path,
    source: &SourceArgs,
    format: Format,
) -> Result {
    let source = Arc::new(Source::open(source).await?);
    let zone = list::zone(&source, tz).await?;
    let interval = when::interval(None, Some(from), Some(to), &zone).map_err(Failure::usage)?;
    let asked = Asked::Found { model: String::new(), interval };
    let written = examiner::bundle(&source, &asked, Parts { people: false, evidence: false }, output).await?;
    // What is handed to an auditor was checked as the auditor will check it.
    let bundle = tokio::task::block_in_place(|| verify_bundle::open(output, &Known::default()))?;
    let over = is_over(&bundle);
    match format {
        Format::Json => output::json(&serde_json::json!({
            "population": output.display().to_string(), "promotions": written.promotions, "period": bundle.manifest.period,
            "interval_utc": interval.to_string(), "size": bundle.checkpoint.size, "over": over,
        })),
        Format::Text => {
            say!(
                "{}: {} promotions, {interval}; the headers of {} entries show that none is missing",
                output.display(),
                written.promotions.len(),
                bundle.checkpoint.size
            );
            if !over {
                say!(
                    "The period is not over for the ledger: no entry is dated after it yet, so nothing can be sampled from this file."
                );
            }
        }
    }
    Ok(Exit::Ok)
}

/// Whether the checkpoint covers an entry that is dated after the period.
fn is_over(bundle: &Bundle) -> bool {
    let last = bundle.dates.last().copied().unwrap_or(0);
    bundle.manifest.period.is_some_and(|period| last >= period.to)
}

impl Drawn {
    /// Checks the population and draws.
    fn draw(&self) -> Result<(Sample, Known)> {
        let witnesses: Vec<_> = self.witness.iter().cloned().collect();
        let known = verify_bundle::known(self.ledger_id.as_deref(), self.key.as_deref(), &witnesses, &[])?;
        let population = verify_bundle::open(&self.population, &known)?;
        let no = |what: &str| Failure::new(Exit::No, format!("{}: {what}", self.population.display()));
        let period = population.manifest.period.filter(|_| is_over(&population));
        let period = period.ok_or_else(|| {
            no("nothing to draw from: it has no period that was over when its checkpoint was made; write it again with `audit population` once an entry is dated after the period")
        })?;
        let cosignature = |witness: &WitnessKey| cosignature_bytes(&population.note, witness);
        let seed = Seed {
            root: population.checkpoint.root,
            size: population.checkpoint.size,
            period,
            cosignature: known.witnesses.first().and_then(cosignature).unwrap_or_default(),
        };
        let seqs = draw(&seed, &population.manifest.promotions, self.number);
        let witness = known.witnesses.first().map(|witness| witness.name.clone());
        // The fetched sample may be under a later checkpoint, which the witness has perhaps not seen yet.
        let known = Known { witnesses: Vec::new(), key: Some(population.key.clone()), ..known };
        Ok((Sample { population, seed, witness, seqs }, known))
    }
}

fn print_sample(sample: &Sample, format: Format) {
    let population = &sample.population;
    let row = |seq: &Seq| {
        let promoted = words::promoted(population, *seq).cloned().unwrap_or_default();
        let model = promoted.model_version.unwrap_or_default();
        (*seq, format!("{} {}", model.name, model.version), utc(words::date(population, *seq)))
    };
    let rows: Vec<_> = sample.seqs.iter().map(row).collect();
    if format == Format::Json {
        output::json(&serde_json::json!({
            "population": population.manifest.promotions.len(), "sample": sample.seqs, "period": sample.seed.period,
            "size": sample.seed.size, "root": sample.seed.root.to_string(), "witness": sample.witness,
        }));
        return;
    }
    say!(
        "{} of {} promotions, drawn by {}",
        rows.len(),
        population.manifest.promotions.len(),
        drawn_by(sample)
    );
    for (seq, title, date) in rows {
        say!("  entry {seq:<8} {date}  {title}");
    }
}

/// What drew a sample, in words.
fn drawn_by(sample: &Sample) -> String {
    let Seed { root, size, .. } = &sample.seed;
    match &sample.witness {
        Some(witness) => format!("the root {root} of {size} entries and the cosignature of {witness}"),
        None => format!(
            "the root {root} of {size} entries; no witness took part, so the operator could have tried others"
        ),
    }
}
