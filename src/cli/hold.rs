//! `hold`: personal data that must be kept, whoever asks for its erasure.

use crate::event::{
    Seq,
    proto::{
        ListLegalHoldsRequest, ReleaseLegalHoldRequest, SetLegalHoldRequest,
        custodian_service_client::CustodianServiceClient as Custodian,
    },
};

use super::{
    act::ActArgs,
    output::{self, Exit, Format, Result, say},
    privacy::SubjectArgs,
    source::{Source, SourceArgs},
    submit::request,
};

/// Legal holds: set, release, list.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger hold set \"BaFin 2026-114\" --subject-id 5f3a…e1 --reason \"request of 2 November\"\n  promotion-ledger hold list\n  promotion-ledger hold release 57 --reason \"closed\"\n\nWithout a subject a hold covers everybody. The name of the matter stands in clear: no personal data."
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep personal data from now on
    Set {
        /// Name of the matter, for instance "BaFin 2026-114"
        matter: String,
        #[command(flatten)]
        subject: SubjectArgs,
        #[command(flatten)]
        act: ActArgs,
    },
    /// It need no longer be kept
    Release {
        /// seq of the entry that set the hold
        hold: Seq,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Holds in force
    List {
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.command {
        Command::List { source } => list(&Source::open(&source).await?, format).await,
        Command::Set { matter, subject, act } => {
            let subject = subject.given()?;
            let asked = act.open().await?;
            let custodian = Custodian::new(asked.channel.clone());
            let call = || {
                let mut custodian = custodian.clone();
                let message = SetLegalHoldRequest {
                    matter: matter.clone(),
                    subject: subject.clone(),
                    actor: asked.actor.clone(),
                    reason: asked.reason.clone(),
                    request_id: asked.request_id.clone(),
                };
                async move { Ok(custodian.set_legal_hold(request(message)).await?.map(|answer| answer.receipt)) }
            };
            asked.send(&format!("legal hold {matter:?}"), call, format).await?;
            Ok(Exit::Ok)
        }
        Command::Release { hold, act } => {
            let asked = act.open().await?;
            let custodian = Custodian::new(asked.channel.clone());
            let call = || {
                let mut custodian = custodian.clone();
                let message = ReleaseLegalHoldRequest {
                    hold_seq: hold,
                    actor: asked.actor.clone(),
                    reason: asked.reason.clone(),
                    request_id: asked.request_id.clone(),
                };
                async move {
                    Ok(custodian.release_legal_hold(request(message)).await?.map(|answer| answer.receipt))
                }
            };
            asked.send(&format!("release of legal hold {hold}"), call, format).await?;
            Ok(Exit::Ok)
        }
    }
}

async fn list(source: &Source, format: Format) -> Result {
    let answer = source.list_legal_holds(ListLegalHoldsRequest {}).await?;
    match format {
        Format::Json => output::json(&answer),
        Format::Text => {
            for hold in &answer.holds {
                let whose = match hold.subject_id.as_slice() {
                    [] => "everybody".to_owned(),
                    id => hex::encode(id),
                };
                say!("  entry {:<8} {:<40} {whose}", hold.seq, hold.matter);
            }
            say!("{} in force, among the first {} entries", answer.holds.len(), answer.as_of_size);
        }
    }
    Ok(Exit::Ok)
}
