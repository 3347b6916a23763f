//! `delegate`: lets somebody else decide for a while, and ends that early.

use jiff::tz::TimeZone;

use crate::{
    cli::{
        act::{Act, ActArgs},
        output::{Exit, Failure, Format, Result},
        submit::request,
        when,
    },
    clock::{Clock, SystemClock},
    event::{
        Seq,
        proto::{DelegateRequest, EndDelegationRequest, Person, review_service_client::ReviewServiceClient},
    },
};

/// Let somebody else decide in reviews for you, or end that.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger delegate --delegate-issuer https://idp.example.bank --delegate-subject u-1042 --group model-risk --to 2027-01-06 --reason \"on leave\"\n  promotion-ledger delegate --delegate-issuer https://idp.example.bank --delegate-subject u-1042 --group model-risk --from 2026-12-24 --to 2027-01-06 --reason \"on leave\" --format json\n  promotion-ledger delegate --end 41 --reason \"back early\"\n\nWrites an entry with both names, sealed; its number is what the delegate gives: approve --review 7 --delegation NUMBER.\nThe delegate must be in the group too, and counts for you, once. It ends at its time, or earlier by --end NUMBER of one of\nthe two: no later entry decides under it, and what was decided stays. Dates are whole days in UTC."
)]
pub struct Args {
    /// End the delegation of this entry instead
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["delegate_issuer", "delegate_subject", "delegate_name", "group", "from", "to"])]
    end: Option<Seq>,
    /// OpenID Connect issuer of the delegate
    #[arg(long, value_name = "URI", required_unless_present = "end")]
    delegate_issuer: Option<String>,
    /// That issuer's name for the delegate
    #[arg(long, value_name = "SUBJECT", required_unless_present = "end")]
    delegate_subject: Option<String>,
    /// The delegate's name
    #[arg(long)]
    delegate_name: Option<String>,
    /// The group in which the delegate decides for you
    #[arg(long, required_unless_present = "end")]
    group: Option<String>,
    /// From when, a date or a time; default: now
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, a date (included) or a time
    #[arg(long, value_name = "TIME", required_unless_present = "end")]
    to: Option<String>,
    #[command(flatten)]
    act: ActArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    if let Some(seq) = args.end {
        return end(seq, &args.act.open().await?, format).await;
    }
    let now = SystemClock.now();
    let (from, to) = (args.from.as_deref(), args.to.as_deref());
    let during = when::interval(None, from, to, &TimeZone::UTC).map_err(Failure::usage)?;
    let (from_at, until) = (if from.is_some() { during.from } else { now }, during.to);
    if until <= now {
        return Err(Failure::usage(format!("--to {} is over already", to.unwrap_or_default())));
    }
    let delegate = Person {
        issuer: args.delegate_issuer.clone().unwrap_or_default(),
        subject: args.delegate_subject.clone().unwrap_or_default(),
        name: args.delegate_name.clone().unwrap_or_default(),
    };
    let asked = args.act.open().await?;
    let reviews = ReviewServiceClient::new(asked.channel.clone());
    let call = || {
        let mut reviews = reviews.clone();
        let message = DelegateRequest {
            delegator: asked.actor.clone(),
            delegate: Some(delegate.clone()),
            group: args.group.clone().unwrap_or_default(),
            from_at,
            until,
            reason: asked.reason.clone(),
            request_id: asked.request_id.clone(),
        };
        async move { Ok(reviews.delegate(request(message)).await?.map(|answer| answer.receipt)) }
    };
    asked.send("delegation", call, format).await?;
    Ok(Exit::Ok)
}

async fn end(delegation_seq: Seq, asked: &Act<'_>, format: Format) -> Result {
    let reviews = ReviewServiceClient::new(asked.channel.clone());
    let call = || {
        let mut reviews = reviews.clone();
        let message = EndDelegationRequest {
            delegation_seq,
            actor: asked.actor.clone(),
            reason: asked.reason.clone(),
            request_id: asked.request_id.clone(),
        };
        async move { Ok(reviews.end_delegation(request(message)).await?.map(|answer| answer.receipt)) }
    };
    asked.send(&format!("the end of the delegation of entry {delegation_seq}"), call, format).await?;
    Ok(Exit::Ok)
}
