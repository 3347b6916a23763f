//! `review seal | show | list | withdraw`.

use std::path::PathBuf;

use crate::{
    cli::{
        act::ActorArgs,
        output::{self, Exit, Format, Result, say},
        source::{self, Channel, connect, connect_as},
        submit::{self, request, retrying},
    },
    event::{
        Seq,
        proto::{
            CloseReviewRequest, GetReviewRequest, ListReviewsRequest, Review,
            review_service_client::ReviewServiceClient,
        },
    },
};

use super::{seal, words};

/// Reviews: seal, show, list, withdraw.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger review seal -f promotion.yaml\n  promotion-ledger review show 7\n  promotion-ledger review list --pending\n  promotion-ledger review withdraw 7 --reason \"Not yet.\"\n\nDecide with `approve`, `request-changes` and `decline`, or in a browser at http://NODE/reviews/7/."
)]
pub struct Args {
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = source::URL_DEFAULT, global = true)]
    url: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Freeze what is put before the approvers; nothing can be changed afterwards
    Seal {
        /// The promotion, YAML, without approvals; paths in it are relative to it
        #[arg(short, long)]
        file: PathBuf,
        /// Shown first instead of a report that needs scripts: REPORT=FILE, a PNG, SVG, PDF or static HTML
        #[arg(long = "rendition", value_name = "REPORT=FILE")]
        renditions: Vec<String>,
        /// Write the receipt to this file
        #[arg(long)]
        receipt: Option<PathBuf>,
    },
    /// What was sealed, who must approve, where it stands
    Show {
        /// Its number
        review: Seq,
    },
    /// Reviews, newest first
    List {
        /// Only those that wait for something
        #[arg(long)]
        pending: bool,
        /// At most so many
        #[arg(long, default_value_t = 64)]
        limit: u32,
    },
    /// Take a review back; only who requested, triggered or contributed may
    Withdraw {
        /// Its number
        review: Seq,
        /// Why, in words
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        actor: ActorArgs,
    },
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let channel = connect(Some(&args.url)).await?;
    match args.command {
        Command::Seal { file, renditions, receipt } => {
            let sealed = seal::seal(&channel, &file, &renditions, format).await?;
            if let Some(path) = &receipt {
                submit::write_receipt(&sealed.recorded, path)?;
            }
            let page = [("page", sealed.path)];
            submit::print(&sealed.what, &sealed.recorded, receipt.as_deref(), &page, format);
            Ok(Exit::Ok)
        }
        Command::Show { review } => {
            let review = get(&channel, review).await?;
            match format {
                Format::Json => output::json(&words::json(&review)),
                Format::Text => words::print(&review),
            }
            Ok(Exit::Ok)
        }
        Command::List { pending, limit } => {
            let answer = retrying(|| {
                let mut reviews = ReviewServiceClient::new(channel.clone());
                async move { reviews.list_reviews(request(ListReviewsRequest { pending, limit })).await }
            });
            for review in answer.await?.reviews {
                match format {
                    Format::Json => output::json(&words::json(&review)),
                    Format::Text => say!("{}", words::line(&review)),
                }
            }
            Ok(Exit::Ok)
        }
        Command::Withdraw { review, reason, actor } => {
            let actor = actor.person(&args.url)?;
            let channel = connect_as(Some(&args.url), actor.as_ref()).await?;
            let asked = CloseReviewRequest { review_seq: review, actor, detail: reason };
            let answer = retrying(|| {
                let (mut reviews, asked) = (ReviewServiceClient::new(channel.clone()), asked.clone());
                async move { reviews.close_review(request(asked)).await }
            });
            let receipt = answer.await?.receipt;
            let key = submit::log_key(&channel, None).await?;
            let recorded = submit::verified(receipt, &key)?;
            submit::print(&format!("the end of review {review}"), &recorded, None, &[], format);
            Ok(Exit::Ok)
        }
    }
}

/// A review, without a session.
///
/// # Errors
/// Of the call.
pub async fn get(channel: &Channel, review_seq: Seq) -> Result<Review> {
    let answer = retrying(|| {
        let mut reviews = ReviewServiceClient::new(channel.clone());
        async move { reviews.get_review(request(GetReviewRequest { review_seq, open_session: false })).await }
    });
    Ok(answer.await?.review.unwrap_or_default())
}
