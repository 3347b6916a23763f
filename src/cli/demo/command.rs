//! The command: finds the example, sets the stage, plays, adds up.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    audit, people,
    stage::{Stage, time},
    step::{Step, say},
    story,
};
use crate::cli::output::{self, Exit, Failure, Format, Result, coloured};

/// Play the credit example on a real node.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger demo\n  promotion-ledger demo --dir /tmp/demo-ledger\n\nExits with 0 only if every step gave what it should."
)]
pub struct Args {
    /// Keep the ledger in this directory, which must not exist or be empty; else it goes when the demo ends
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The credit example, if it is not in examples/credit
    #[arg(long)]
    examples: Option<PathBuf>,
}

const OPENED: &str = "2026-11-02T08:00:00Z";

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let began = Instant::now();
    let examples = examples(args.examples)?;
    let temporary = tempfile::tempdir().map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().join("ledger"));
    let stage = Stage::set(&dir, examples, time(OPENED)).await?;
    if format == Format::Text {
        introduce(&stage);
    }
    let steps = play(&stage, format).await;
    stage.strike().await?;
    let failed = steps.iter().filter(|step| !step.ok()).count();
    let kept = args.dir.as_ref().map(|dir| dir.display().to_string());
    let seconds = began.elapsed().as_secs_f64();
    match format {
        Format::Json => output::json(&serde_json::json!({
            "ok": failed == 0, "steps": steps, "dir": kept, "seconds": seconds,
        })),
        Format::Text => conclude(steps.len(), failed, seconds, kept.as_deref()),
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::No })
}

async fn play(stage: &Stage, format: Format) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut show = |step: Step| {
        steps.push(step.clone());
        if format == Format::Text {
            step.print(steps.len());
        }
    };
    show(story::policy_activated(stage).await);
    show(story::first_promotion(stage).await);
    show(story::weekly_retrain(stage).await);
    show(story::threshold_change(stage).await);
    show(story::without_explanation(stage).await);
    show(people::decided(stage).await);
    show(story::regenerated_report(stage).await);
    show(audit::approved_on_the_14th(stage).await);
    show(audit::seen_on_the_21st(stage).await);
    show(audit::verified(stage).await);
    show(audit::flipped(stage).await);
    steps
}

/// `--examples`, or beside the current directory, or where this program was built.
fn examples(given: Option<PathBuf>) -> Result<PathBuf> {
    let complete = |dir: &Path| dir.join("2026-11-07/promotion.yaml").is_file();
    if let Some(dir) = given {
        let missing = || {
            Failure::usage(format!(
                "--examples {}: there is no 2026-11-07/promotion.yaml in it",
                dir.display()
            ))
        };
        return if complete(&dir) { Ok(dir) } else { Err(missing()) };
    }
    let built = option_env!("CARGO_MANIFEST_DIR").map(|dir| Path::new(dir).join("examples/credit"));
    let mut places = [Some(PathBuf::from("examples/credit")), built].into_iter().flatten();
    places.find(|dir| complete(dir)).ok_or_else(|| {
        Failure::usage(
            "examples/credit is not here; run this in a checkout of promotion-ledger, or give --examples DIR",
        )
    })
}

fn introduce(stage: &Stage) {
    say(&coloured(
        "1",
        "promotion-ledger demo: a credit model is promoted three times, then an auditor asks",
    ));
    say("");
    say(&format!("  node      {}, in this process, over real gRPC", stage.url));
    say(&format!("  ledger    {}", stage.dir.display()));
    say(&format!("  example   {}: real models, reports and SHAP values", stage.examples.display()));
    say("  clock     set by the demo, to tell a story of November 2026; the rest is what `serve` runs");
}

fn conclude(steps: usize, failed: usize, seconds: f64, kept: Option<&str>) {
    say("");
    match failed {
        0 => say(&format!(
            "{} all {steps} steps gave what they should, in {seconds:.1} s",
            coloured("32", "ok")
        )),
        n => say(&format!("{} {n} of {steps} steps did not give what they should", coloured("31", "FAILED"))),
    }
    match kept {
        Some(dir) => say(&format!("The ledger is kept: promotion-ledger verify --dir {dir}")),
        None => say("The ledger was temporary; keep one with: promotion-ledger demo --dir DIR"),
    }
}
