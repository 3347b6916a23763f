//! `promote`: a promotion file becomes one event, or every reason why not.

use std::path::PathBuf;

use crate::cli::source::Channel;

use super::{
    credentials,
    output::{self, Exit, Failure, Format, Result, say},
    personal_data,
    promotion_file::{self, Converted},
    review::{self, follow::Until},
    source::connect,
    submit::{self, Emitter, request, retrying},
    upload,
};
use crate::event::{
    Digest,
    promotion::Problem,
    proto::{self, CheckPromotionRequest, CheckPromotionResponse},
};

/// Record a promotion.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger promote -f promotion.yaml\n  promotion-ledger promote -f promotion.yaml --dry-run\n  promotion-ledger promote -f promotion.yaml --receipt receipt.txt --url http://ledger:7420\n  promotion-ledger promote -f promotion.yaml --wait 3600\n\nHashes the files that it names, uploads what the ledger does not have, and submits. Run it again after any\nerror: the same promotion gives one event."
)]
pub struct Args {
    /// The promotion, YAML; paths in it are relative to it
    #[arg(short, long)]
    pub file: PathBuf,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = super::source::URL_DEFAULT)]
    pub url: String,
    /// Only say what is wrong and what would be required; write and upload nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the receipt to this file: it verifies offline
    #[arg(long, conflicts_with = "dry_run")]
    pub receipt: Option<PathBuf>,
    /// The log key (<origin>+<hash>+<base64>) to verify the receipt with, instead of the one that the node says
    #[arg(long)]
    pub log_key: Option<String>,
    /// A file without approvals: seal it as a review and wait so many seconds for its approvers; exit code 5 if they
    /// have not decided by then (go on with `resume`)
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "86400", conflicts_with = "dry_run")]
    pub wait: Option<u64>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let path = args.file.clone();
    let read = tokio::task::spawn_blocking(move || promotion_file::read(&path)).await;
    let mut file = read.map_err(|error| Failure::new(Exit::Internal, error.to_string()))??;
    let logins = match credentials::development(&args.url)? {
        Some(issuer) => issuer.log_in(&mut file.draft).map_err(|why| Failure::new(Exit::Internal, why))?,
        None => 0,
    };
    if args.dry_run || !file.problems.is_empty() {
        return dry_run(&args, &file, format).await;
    }
    let channel = connect(Some(&args.url)).await?;
    if let Some(seconds) = args.wait.filter(|_| file.draft.approvals.is_empty()) {
        let review = review::seal(&channel, &args.file, &[], format).await?.recorded.receipt.seq;
        let within = std::time::Duration::from_secs(seconds);
        let until = Until { within, receipt: args.receipt, log_key: args.log_key };
        return review::follow::follow(&channel, review, &until, format).await;
    }
    let key = submit::log_key(&channel, args.log_key.as_deref()).await?;
    let emitter = Emitter::new(channel);
    let uploaded = upload::upload_missing(&emitter, &file.uploads, format).await?;
    let recorded = submit::submit(&emitter, &file.draft, &key).await?;
    if let Some(path) = &args.receipt {
        submit::write_receipt(&recorded, path)?;
    }
    let evidence = format!(
        "{} files sent ({} bytes), {} there already",
        uploaded.files, uploaded.bytes, uploaded.present
    );
    let mut extra = vec![("evidence", evidence)];
    if logins > 0 {
        extra.push(("logins", format!("{logins} of the development issuer, which prove nothing")));
    }
    if !uploaded.warnings.is_empty() {
        let warned: Vec<_> =
            uploaded.warnings.iter().map(|it| format!("{}: {}", it.field, it.description)).collect();
        extra.push(("personal data", warned.join("; ")));
    }
    submit::print(&what(&file), &recorded, args.receipt.as_deref(), &extra, format);
    Ok(Exit::Ok)
}

fn what(file: &Converted) -> String {
    let model = file.draft.model_version.clone().unwrap_or_default();
    let slot = file.draft.slot.clone().unwrap_or_default();
    let place =
        [slot.environment, slot.region].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    format!("{} {} in {}", model.name, model.version, place.join("/"))
}

/// All problems of a file, its own and those that the ledger finds, and what the ledger would require. Warnings of the
/// answer are about all evidence, whether it is stored or only here.
///
/// # Errors
/// Of the call.
pub async fn check(channel: &Channel, file: &Converted) -> Result<(Vec<Problem>, CheckPromotionResponse)> {
    let emitter = Emitter::new(channel.clone());
    // What is not stored but here will be uploaded: that is no problem.
    let missing = upload::missing(&emitter, &file.uploads).await?;
    let coming: Vec<_> = missing.iter().flat_map(|upload| &upload.fields).collect();
    let answer = retrying(|| {
        let (mut emitter, promotion) = (emitter.clone(), Some(file.draft.clone()));
        async move { emitter.check_promotion(request(CheckPromotionRequest { promotion })).await }
    });
    let mut answer = answer.await?;
    let here = tokio::task::block_in_place(|| personal_data::warnings(missing.iter().copied()));
    answer
        .warnings
        .extend(here.into_iter().map(|it| proto::Problem { field: it.field, description: it.description }));
    let mut problems = file.problems.clone();
    let found = answer
        .problems
        .iter()
        .filter(|problem| !coming.contains(&&problem.field) && !file.explains(&problem.field));
    problems.extend(found.map(|p| Problem { field: p.field.clone(), description: p.description.clone() }));
    problems.sort();
    Ok((problems, answer))
}

async fn dry_run(args: &Args, file: &Converted, format: Format) -> Result {
    let checked = match connect(Some(&args.url)).await {
        Ok(channel) => check(&channel, file).await,
        Err(unreachable) => Err(unreachable),
    };
    let name = args.file.display();
    // The file's own problems are known without a node.
    if !file.problems.is_empty() {
        let (problems, note) = match checked {
            Ok((problems, _)) => (problems, String::new()),
            Err(why) => {
                (file.problems.clone(), format!("; the ledger's own checks are missing: {}", why.message))
            }
        };
        let count =
            if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
        return Err(Failure {
            problems,
            ..Failure::usage(format!("{name}: {count}, nothing was sent{note}"))
        });
    }
    let (problems, answer) = checked?;
    let exit = if problems.is_empty() { Exit::Ok } else { Exit::No };
    print_dry_run(file, &problems, &answer, format);
    Ok(exit)
}

fn print_dry_run(file: &Converted, problems: &[Problem], answer: &CheckPromotionResponse, format: Format) {
    let key = Digest::from_slice(&answer.idempotency_key).unwrap_or_default().to_string();
    if format == Format::Json {
        return output::json(&serde_json::json!({
            "problems": problems, "warnings": answer.warnings, "tier": answer.tier, "requirements": answer.requirements,
            "idempotency_key": key, "recorded_as": answer.recorded_as, "routing": answer.routing,
        }));
    }
    match (problems.len(), answer.recorded_as) {
        (0, Some(seq)) => say!("{} is recorded already, as entry {seq}", what(file)),
        (0, None) => say!("{} would be recorded; nothing was written", what(file)),
        (1, _) => say!("{} would be refused: 1 problem", what(file)),
        (n, _) => say!("{} would be refused: {n} problems", what(file)),
    }
    for problem in problems {
        say!("  {:<44} {}", problem.field, problem.description);
    }
    for warning in &answer.warnings {
        say!("  {:<44} {}: {}", warning.field, output::coloured("33", "personal data?"), warning.description);
    }
    say!("  idempotency key  {key}");
    if !answer.tier.is_empty() {
        say!("  tier             {}", answer.tier);
    }
    for matched in answer.routing.iter().flat_map(|routing| &routing.matched) {
        say!("  rule             {} -> {}: {}", matched.rule, matched.tier, matched.reason);
    }
    for reason in answer.routing.iter().flat_map(|routing| &routing.floor_reasons) {
        say!("  floor            {reason}");
    }
    if answer.tier.is_empty() && problems.is_empty() && answer.recorded_as.is_none() {
        say!(
            "  tier             derived from the evidence, which is not stored yet: `promote` uploads it first"
        );
    }
    for (i, requirement) in answer.requirements.iter().enumerate() {
        say!("  {:<15}  {requirement}", if i == 0 { "requires" } else { "" });
    }
}
