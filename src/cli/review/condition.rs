//! `close-condition`: a condition of an approval is met, and here is what shows it.

use std::path::{Path, PathBuf};

use crate::{
    cli::{
        act::ActArgs,
        output::{Exit, Failure, Format, Result},
        promotion_file::{Upload, hash_file},
        submit::{Emitter, request},
        upload::upload_missing,
    },
    event::{
        Digest, Seq,
        proto::{CloseConditionRequest, EvidenceRef, review_service_client::ReviewServiceClient},
    },
};

/// Close a condition that an approval set.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger close-condition 41 c1 --file calibration-by-age.json --media-type application/json --reason \"recalibrated\"\n  promotion-ledger close-condition 41 c1 --sha256 5f3a…e1 --media-type text/html --reason \"recalibrated\" --format json\n\n41 is the approval\'s entry, c1 the first of its conditions; `review show` of the slot\'s next review names those that\nare open. Until it is closed nothing is promoted into the slot. Anybody may close it but its owner."
)]
pub struct Args {
    /// The Approved entry that set it
    approval: Seq,
    /// Its id there: c1, c2, …
    condition: String,
    /// What shows that it is met; uploaded if the ledger does not have it (needs the role emitter)
    #[arg(long, required_unless_present = "sha256")]
    file: Option<PathBuf>,
    /// The same, uploaded before: its SHA-256
    #[arg(long, conflicts_with = "file", value_name = "HEX")]
    sha256: Option<String>,
    /// Media type of the evidence (RFC 6838)
    #[arg(long)]
    media_type: String,
    #[command(flatten)]
    act: ActArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let stated = args.sha256.as_deref().map(digest).transpose()?;
    let asked = args.act.open().await?;
    let sha256 = match (&args.file, stated) {
        (Some(file), _) => {
            let upload = upload(file, &args.media_type)?;
            let emitter = Emitter::new(asked.channel.clone());
            upload_missing(&emitter, std::slice::from_ref(&upload), format).await?;
            upload.sha256
        }
        (None, stated) => stated.unwrap_or_default(),
    };
    let evidence = EvidenceRef {
        sha256: sha256.0.to_vec(),
        media_type: args.media_type.clone(),
        ..EvidenceRef::default()
    };
    let reviews = ReviewServiceClient::new(asked.channel.clone());
    let call = || {
        let mut reviews = reviews.clone();
        let message = CloseConditionRequest {
            approved_seq: args.approval,
            condition_id: args.condition.clone(),
            evidence: Some(evidence.clone()),
            actor: asked.actor.clone(),
            reason: asked.reason.clone(),
            request_id: asked.request_id.clone(),
        };
        async move { Ok(reviews.close_condition(request(message)).await?.map(|answer| answer.receipt)) }
    };
    let what = format!("the end of condition {} of entry {}", args.condition, args.approval);
    asked.send(&what, call, format).await?;
    Ok(Exit::Ok)
}

fn digest(text: &str) -> Result<Digest> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    let bytes = hex::decode(text).ok().and_then(|bytes| Digest::from_slice(&bytes));
    bytes.ok_or_else(|| Failure::usage(format!("--sha256 {text:?} is not 64 hexadecimal digits")))
}

fn upload(file: &Path, media_type: &str) -> Result<Upload> {
    let hashed =
        hash_file(file).map_err(|error| Failure::usage(format!("--file {}: {error}", file.display())))?;
    Ok(Upload {
        path: file.to_owned(),
        sha256: hashed.sha256,
        length: hashed.length,
        media_type: media_type.to_owned(),
        fields: vec!["evidence".into()],
    })
}
