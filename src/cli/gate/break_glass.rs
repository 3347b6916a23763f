//! `gate break-glass`: lets an artefact in for a while without a promotion, in a person's own name.

use std::path::PathBuf;

use super::target::{NodeArgs, TargetArgs, sha256};
use crate::{
    cli::{
        act::random_id,
        output::{self, Exit, Failure, Format, Result, say},
        source::connect,
        submit::{self, log_key, request, retrying},
        when,
    },
    clock::{Clock, SystemClock},
    event::{
        Micros,
        digest::{break_glass, login_nonce},
        proto::BreakGlassRequest,
    },
};

/// Arguments of `gate break-glass`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger gate break-glass --artifact sha256:5f3a…e1 --environment production --model credit --for 4 --reason \"v12 rejects everybody; v11 is gone\"\n  promotion-ledger gate break-glass --artifact sha256:5f3a…e1 --environment production --model credit --until 2026-11-26T23:00:00Z --request-id 7b2c… --reason \"v12 rejects everybody; v11 is gone\" --id-token token.jwt\n\nWithout --id-token it prints a nonce, which stands for exactly this emergency, and the arguments of the second call: log in\nwith that nonce in between. The node verifies the ID token against the pinned keys of [break_glass] in its configuration: a\nlogin of the last 15 minutes, by a member of one of the groups there. `verify --unseal` verifies it again. It is recorded, raises an alert on every node, and is listed by\n`gate break-glass-list` until a promotion of that artefact in that slot covers it. It never becomes current."
)]
pub struct Args {
    /// SHA-256 of the artefact
    #[arg(long, value_name = "SHA256")]
    artifact: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Hours
    #[arg(long = "for", value_name = "HOURS", required_unless_present = "until")]
    hours: Option<u32>,
    /// The same as a time: as the first call printed it
    #[arg(long, value_name = "TIME", conflicts_with = "hours")]
    until: Option<String>,
    /// Why, in words; sealed with your data
    #[arg(long)]
    reason: String,
    /// File with your ID token, of a login with the nonce; a token on a command line would stand in the process list
    #[arg(long, value_name = "FILE", requires = "request_id")]
    id_token: Option<PathBuf>,
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
    let (slot, artifact) = (args.target.slot(), sha256(&args.artifact)?.0.to_vec());
    let expires_at = args.expires_at()?;
    let request_id = args.request_id.clone().map_or_else(random_id, Ok)?;
    let Some(file) = &args.id_token else {
        let nonce = login_nonce(&break_glass(&slot, &artifact, expires_at, &request_id));
        print_nonce(&nonce, expires_at, &request_id, format);
        return Ok(Exit::AwaitingApproval);
    };
    let token = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let message = BreakGlassRequest {
        slot: Some(slot),
        artifact_sha256: artifact,
        id_token: token.trim().to_owned(),
        reason: args.reason.clone(),
        expires_at,
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

impl Args {
    /// In whole seconds, so that it can be written down.
    fn expires_at(&self) -> Result<Micros> {
        let second = 1_000_000;
        match (&self.until, self.hours) {
            (Some(text), _) => when::moment(text, &jiff::tz::TimeZone::UTC)
                .map_err(|why| Failure::usage(format!("--until {why}"))),
            (None, hours) => {
                Ok(SystemClock.now() / second * second + u64::from(hours.unwrap_or_default()) * 3600 * second)
            }
        }
    }
}

fn print_nonce(nonce: &str, expires_at: Micros, request_id: &str, format: Format) {
    let until = output::utc(expires_at);
    match format {
        Format::Json => output::json(
            &serde_json::json!({ "nonce": nonce, "until": until, "request_id": request_id, "recorded": false }),
        ),
        Format::Text => {
            say!(
                "Nothing is recorded yet. Log in with this nonce, and call again with the same artefact and slot, and:"
            );
            say!("  nonce  {nonce}");
            say!("  --until {until} --request-id {request_id} --id-token FILE");
        }
    }
}
