//! `rollback`, `revoke`, `retire`: acts on a promotion that is recorded already.

use std::path::PathBuf;

use tonic::Status;

use super::{
    output::{Exit, Failure, Format, Result},
    source::connect,
    submit::{self, Emitter, request, retrying},
};
use crate::event::proto::{Person, Receipt, RetireRequest, RevokeRequest, RollBackRequest};

/// Which promotion, who, why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  promotion-ledger rollback 41 --reason \"v14 declines too many\" --actor-issuer https://idp.example.bank --actor-subject u-1001\n  promotion-ledger revoke 42 --reason \"wrong dataset\" --actor-issuer https://idp.example.bank --actor-subject u-2001\n\nThe reason is sealed with the data of the person who gives it.")]
pub struct Args {
    /// seq of the Promoted entry
    pub seq: u64,
    /// Why, in words
    #[arg(long)]
    pub reason: String,
    /// OpenID Connect issuer of the person who asks
    #[arg(long)]
    pub actor_issuer: String,
    /// The issuer's name for that person
    #[arg(long)]
    pub actor_subject: String,
    /// That person's name
    #[arg(long, default_value = "")]
    pub actor_name: String,
    /// Repeat it to ask again about the same act; random if it is not given
    #[arg(long)]
    pub request_id: Option<String>,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = super::source::URL_DEFAULT)]
    pub url: String,
    /// Write the receipt to this file
    #[arg(long)]
    pub receipt: Option<PathBuf>,
    /// The log key to verify the receipt with, instead of the one that the node says
    #[arg(long)]
    pub log_key: Option<String>,
}

/// Which act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Make an earlier promotion current again.
    RollBack,
    /// Take a promotion back for good.
    Revoke,
    /// Take the current promotion out of service.
    Retire,
}

/// Runs the command.
pub async fn run(act: Act, args: Args, format: Format) -> Result {
    let channel = connect(Some(&args.url)).await?;
    let key = submit::log_key(&channel, args.log_key.as_deref()).await?;
    let request_id = args.request_id.clone().map_or_else(random_id, Ok)?;
    let emitter = Emitter::new(channel);
    let answer = retrying(|| call(act, emitter.clone(), &args, request_id.clone())).await;
    let again = |failure: Failure| match failure.exit {
        // It may have happened: who asks again with this id learns it, and does nothing twice.
        Exit::Unreachable => {
            Failure { message: format!("{}; ask again with --request-id {request_id}", failure.message), ..failure }
        }
        _ => failure,
    };
    let recorded = submit::verified(answer.map_err(|status| again(status.into()))?, &key)?;
    if let Some(path) = &args.receipt {
        submit::write_receipt(&recorded, path)?;
    }
    let what = match act {
        Act::RollBack => format!("roll-back to entry {}", args.seq),
        Act::Revoke => format!("revocation of entry {}", args.seq),
        Act::Retire => format!("retirement of entry {}", args.seq),
    };
    submit::print(&what, &recorded, args.receipt.as_deref(), &[("request id", request_id.clone())], format);
    Ok(Exit::Ok)
}

async fn call(
    act: Act,
    mut emitter: Emitter<tonic::transport::Channel>,
    args: &Args,
    request_id: String,
) -> std::result::Result<tonic::Response<Option<Receipt>>, Status> {
    let actor = Some(Person {
        issuer: args.actor_issuer.clone(),
        subject: args.actor_subject.clone(),
        name: args.actor_name.clone(),
    });
    let (seq, reason) = (args.seq, args.reason.clone());
    Ok(match act {
        Act::RollBack => {
            let message = RollBackRequest { slot: None, to_seq: seq, actor, reason, request_id };
            emitter.roll_back(request(message)).await?.map(|answer| answer.receipt)
        }
        Act::Revoke => {
            let message = RevokeRequest { promoted_seq: seq, actor, reason, request_id };
            emitter.revoke(request(message)).await?.map(|answer| answer.receipt)
        }
        Act::Retire => {
            let message = RetireRequest { promoted_seq: seq, actor, reason, request_id };
            emitter.retire(request(message)).await?.map(|answer| answer.receipt)
        }
    })
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(Exit::Internal, format!("no random bytes: {error}")))?;
    Ok(hex::encode(bytes))
}
