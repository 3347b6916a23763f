//! `delegate`: lets somebody else decide for a while.

use jiff::tz::TimeZone;

use crate::{
    cli::{
        act::ActArgs,
        output::{Exit, Failure, Format, Result},
        submit::request,
        when,
    },
    clock::{Clock, SystemClock},
    event::proto::{DelegateRequest, Person, review_service_client::ReviewServiceClient},
};

/// Let somebody else decide in reviews for you.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger delegate --delegate-issuer https://idp.example.bank --delegate-subject u-1042 --group model-risk --to 2027-01-06 --reason \"on leave\"\n  promotion-ledger delegate --delegate-issuer https://idp.example.bank --delegate-subject u-1042 --group model-risk --from 2026-12-24 --to 2027-01-06 --reason \"on leave\" --format json\n\nWrites an entry with both names, sealed; its number is what the delegate gives: approve --review 7 --delegation NUMBER.\nThe delegate must be in the group too, and counts for you, once. It ends at its time; nothing ends it earlier.\nDates are whole days in UTC."
)]
pub struct Args {
    /// OpenID Connect issuer of the delegate
    #[arg(long, value_name = "URI")]
    delegate_issuer: String,
    /// That issuer's name for the delegate
    #[arg(long, value_name = "SUBJECT")]
    delegate_subject: String,
    /// The delegate's name
    #[arg(long, default_value = "")]
    delegate_name: String,
    /// The group in which the delegate decides for you
    #[arg(long)]
    group: String,
    /// From when, a date or a time; default: now
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, a date (included) or a time
    #[arg(long, value_name = "TIME")]
    to: String,
    #[command(flatten)]
    act: ActArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let now = SystemClock.now();
    let during =
        when::interval(None, args.from.as_deref(), Some(&args.to), &TimeZone::UTC).map_err(Failure::usage)?;
    let (from_at, until) = (if args.from.is_some() { during.from } else { now }, during.to);
    if until <= now {
        return Err(Failure::usage(format!("--to {} is over already", args.to)));
    }
    let delegate = Person {
        issuer: args.delegate_issuer.clone(),
        subject: args.delegate_subject.clone(),
        name: args.delegate_name.clone(),
    };
    let asked = args.act.open().await?;
    let reviews = ReviewServiceClient::new(asked.channel.clone());
    let call = || {
        let mut reviews = reviews.clone();
        let message = DelegateRequest {
            delegator: asked.actor.clone(),
            delegate: Some(delegate.clone()),
            group: args.group.clone(),
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
