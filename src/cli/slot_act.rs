//! `rollback`, `revoke`, `retire`: acts on a promotion that is recorded already.

use super::{
    act::ActArgs,
    output::{Exit, Format, Result},
    submit::{Emitter, request},
};
use crate::event::proto::{RetireRequest, RevokeRequest, RollBackRequest};

/// Which promotion, who, why.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger rollback 41 --reason \"v14 declines too many\"\n  promotion-ledger revoke 42 --reason \"wrong dataset\"\n\nThe reason is sealed with the data of the person who gives it."
)]
pub struct Args {
    /// seq of the Promoted entry
    pub seq: u64,
    #[command(flatten)]
    act: ActArgs,
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
    let asked = args.act.open().await?;
    let emitter = Emitter::new(asked.channel.clone());
    let what = match act {
        Act::RollBack => format!("roll-back to entry {}", args.seq),
        Act::Revoke => format!("revocation of entry {}", args.seq),
        Act::Retire => format!("retirement of entry {}", args.seq),
    };
    let call = || {
        let (mut emitter, seq) = (emitter.clone(), args.seq);
        let (actor, reason, request_id) =
            (asked.actor.clone(), asked.reason.clone(), asked.request_id.clone());
        async move {
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
    };
    asked.send(&what, call, format).await?;
    Ok(Exit::Ok)
}
