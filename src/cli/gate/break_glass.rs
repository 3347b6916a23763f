//! `gate break-glass`: lets an artefact in for a while without a promotion, in a person's own name.

use std::path::PathBuf;

use super::target::{NodeArgs, TargetArgs, sha256};
use crate::{
    cli::{
        act::random_id,
        output::{self, Exit, Failure, Format, Result},
        source::connect,
        submit::{self, log_key, request, retrying},
    },
    clock::{Clock, SystemClock},
    event::proto::BreakGlassRequest,
};

/// Arguments of `gate break-glass`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  promotion-ledger gate break-glass --artifact sha256:5f3a…e1 --environment production --model credit --for 4 --reason \"v12 rejects everybody; v11 is gone\" --id-token token.jwt\n\nThe node verifies the ID token against the pinned keys of [break_glass] in its configuration: a login of the last 15\nminutes, by a member of one of the groups there. It is recorded, raises an alert on every node, and is listed by\n`gate break-glass-list` until a promotion of that artefact in that slot covers it. It never becomes current."
)]
pub struct Args {
    /// SHA-256 of the artefact
    #[arg(long, value_name = "SHA256")]
    artifact: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Hours
    #[arg(long = "for", value_name = "HOURS")]
    hours: u32,
    /// Why, in words; sealed with your data
    #[arg(long)]
    reason: String,
    /// File with your ID token; a token on a command line would stand in the process list
    #[arg(long, value_name = "FILE")]
    id_token: PathBuf,
    /// Repeat it to ask again about the same emergency; random if it is not given
    #[arg(long)]
    request_id: Option<String>,
    /// Write the receipt to this file
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    if args.target.model.is_empty() {
        return Err(Failure::usage("--model is missing: an emergency is for one slot"));
    }
    let token = std::fs::read_to_string(&args.id_token)
        .map_err(|error| Failure::usage(format!("{}: {error}", args.id_token.display())))?;
    let request_id = args.request_id.clone().map_or_else(random_id, Ok)?;
    let message = BreakGlassRequest {
        slot: Some(args.target.slot()),
        artifact_sha256: sha256(&args.artifact)?.0.to_vec(),
        id_token: token.trim().to_owned(),
        reason: args.reason.clone(),
        expires_at: SystemClock.now() + u64::from(args.hours) * 3_600_000_000,
        request_id: request_id.clone(),
    };
    let expires = output::utc(message.expires_at);
    let key = log_key(&connect(Some(&args.node.url)).await?, None).await?;
    let client = args.node.open().await?.service();
    let answer = retrying(|| {
        let (mut client, message) = (client.clone(), message.clone());
        async move { client.break_glass(request(message)).await }
    });
    let recorded = submit::verified(answer.await?.receipt, &key)?;
    if let Some(path) = &args.receipt {
        submit::write_receipt(&recorded, path)?;
    }
    let extra = [("expires", expires), ("request id", request_id)];
    submit::print("break-glass", &recorded, args.receipt.as_deref(), &extra, format);
    Ok(Exit::Ok)
}
