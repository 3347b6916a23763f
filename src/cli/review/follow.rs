//! Waits until a review is over: `promote --wait`, and `resume` after it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, say},
        source::{self, Channel, connect},
        submit::{self, Recorded, request, retrying},
    },
    event::{
        Header, Seq,
        proto::{
            GetReceiptRequest, Receipt, Review, ReviewState, auditor_service_client::AuditorServiceClient,
        },
    },
    proof::receipt,
};

use super::{command::get, words};

const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Go on with a promotion that waits for its approval.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger resume 7\n  promotion-ledger resume 7 --wait 3600 --receipt receipt.txt\n\nExit codes: 0 promoted, 1 declined, sent back or closed, 5 still awaiting approval."
)]
pub struct Args {
    /// The review
    review: Seq,
    /// Wait so many seconds for its end; without: only look
    #[arg(long, default_value_t = 0)]
    wait: u64,
    /// Write the promotion's receipt to this file
    #[arg(long)]
    receipt: Option<PathBuf>,
    /// The log key to verify the receipt with, instead of the one that the node says
    #[arg(long)]
    log_key: Option<String>,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = source::URL_DEFAULT)]
    url: String,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let channel = connect(Some(&args.url)).await?;
    let until =
        Until { within: Duration::from_secs(args.wait), receipt: args.receipt, log_key: args.log_key };
    follow(&channel, args.review, &until, format).await
}

/// How long, and what with the receipt.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// How long to wait.
    pub within: Duration,
    /// Where the promotion's receipt is written.
    pub receipt: Option<PathBuf>,
    /// What verifies it, if not what the node says.
    pub log_key: Option<String>,
}

/// Waits, and prints how it ended.
///
/// # Errors
/// Of the calls; exit code 1 if the receipt does not hold.
pub async fn follow(channel: &Channel, seq: Seq, until: &Until, format: Format) -> Result {
    let deadline = Instant::now() + until.within;
    let mut pause = LOOK_FIRST;
    loop {
        let review = get(channel, seq).await?;
        match (review.state(), review.ended_by) {
            (ReviewState::Promoted, Some(promoted)) => {
                let key = submit::log_key(channel, until.log_key.as_deref()).await?;
                let recorded = receipt_of(channel, promoted, &review, &key).await?;
                if let Some(path) = &until.receipt {
                    submit::write_receipt(&recorded, path)?;
                }
                let extra = [("review", seq.to_string())];
                submit::print("the promotion", &recorded, until.receipt.as_deref(), &extra, format);
                return Ok(Exit::Ok);
            }
            (ReviewState::Ended, ended_by) => {
                let by = ended_by.map_or_else(String::new, |by| format!(" with entry {by}"));
                return Err(Failure::new(Exit::No, format!("review {seq} ended{by}, without a promotion")));
            }
            _ if Instant::now() >= deadline => {
                waiting(&review, format);
                return Ok(Exit::AwaitingApproval);
            }
            _ => {
                let left = deadline.saturating_duration_since(Instant::now());
                tokio::time::sleep(pause.min(left)).await;
                pause = (pause * 2).min(LOOK_MAX);
            }
        }
    }
}

fn waiting(review: &Review, format: Format) {
    let seq = review.seq;
    match format {
        Format::Json => {
            let mut value = words::json(review);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("awaiting_approval".into(), true.into());
            }
            output::json(&value);
        }
        Format::Text => {
            say!("awaiting approval: {}", words::line(review).trim());
            say!("  go on with       promotion-ledger resume {seq} --wait 3600");
        }
    }
}

async fn receipt_of(
    channel: &Channel,
    seq: Seq,
    review: &Review,
    key: &crate::proof::checkpoint::LogKey,
) -> Result<Recorded> {
    let answer = retrying(|| {
        let mut auditor = AuditorServiceClient::new(channel.clone());
        async move { auditor.get_receipt(request(GetReceiptRequest { seq })).await }
    });
    let tlog_proof = answer.await?.tlog_proof;
    let distrust =
        |why: String| Failure::new(Exit::No, format!("the receipt of entry {seq} does not hold: {why}"));
    let parsed = receipt::Receipt::parse(&tlog_proof).map_err(|error| distrust(error.to_string()))?;
    let (header, _): (Header, _) = parsed.verify(key).map_err(|error| distrust(error.to_string()))?;
    let receipt = Receipt {
        seq,
        event_digest: header.event_digest.0.to_vec(),
        idempotency_key: review.promotion_key.clone(),
        tlog_proof,
        ..Receipt::default()
    };
    submit::verified(Some(receipt), key)
}
