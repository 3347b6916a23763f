//! `token`: a token of a node's development issuer.

use std::path::PathBuf;

use super::{
    credentials,
    output::{self, Exit, Failure, Format, Result},
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    identity::{
        development::{API_AUDIENCE, CLIENT_ID, Development, Login, Somebody, TOKEN_LIFE},
        principal::Role,
    },
    node,
};

/// Longest life of a token, hours.
const HOURS_MAX: u64 = 24;

/// Make a token with the key of a node's development issuer: who may read that key may be anybody.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger token --as svc-train --role emitter > pipeline.jwt\n  promotion-ledger token --as maria --login --nonce N --group model-risk-approvers\n\nAn access token calls the API (--token-file, or `authorization: Bearer`). A login (--login) is what approvers give: it\nopens nothing, and commits to a nonce."
)]
pub struct Args {
    /// The node's directory; without it a node that runs on this machine is looked for at --url
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = super::source::URL_DEFAULT)]
    url: String,
    /// What the holder may do; none given: everything
    #[arg(long = "role", value_parser = role, conflicts_with = "login")]
    roles: Vec<Role>,
    /// A group that policies and reviews know; repeat it for each
    #[arg(long = "group")]
    groups: Vec<String>,
    /// The holder's name
    #[arg(long, default_value = "")]
    name: String,
    /// For how long an access token is good
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=HOURS_MAX))]
    hours: u64,
    /// An ID token of a login just now, instead of an access token
    #[arg(long, requires = "nonce")]
    login: bool,
    /// What the login commits to: the nonce of a frozen decision, or a promotion key in base64url
    // One in 64 begins with a hyphen: base64url.
    #[arg(long, requires = "login", allow_hyphen_values = true)]
    nonce: Option<String>,
}

fn role(name: &str) -> std::result::Result<Role, String> {
    let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
    let found = Role::ALL.into_iter().find(|role| role.name() == name);
    found.ok_or_else(|| format!("{name:?} is none of {}", names.join(", ")))
}

/// Runs the command.
pub fn run(args: Args, format: Format) -> Result {
    let issuer = issuer(&args)?;
    let now = SystemClock.now();
    let roles = if args.roles.is_empty() && !args.login { Role::ALL.to_vec() } else { args.roles };
    let who = Somebody { subject: credentials::subject(), name: args.name, groups: args.groups, roles };
    let (token, audience, seconds) = match &args.nonce {
        Some(nonce) => {
            let login = Login { nonce, auth_time: now, issued_at: now, acr: "", amr: &[] };
            (issuer.id_token(&who, &login), CLIENT_ID, TOKEN_LIFE)
        }
        None => {
            let seconds = args.hours * 3600;
            (issuer.access_token(&who, now, seconds), API_AUDIENCE, seconds)
        }
    };
    let token = token.map_err(|why| Failure::new(Exit::Internal, why))?;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "token": token, "issuer": issuer.issuer, "subject": who.subject, "audience": audience, "seconds": seconds,
        })),
        Format::Text => println!("{token}"),
    }
    Ok(Exit::Ok)
}

fn issuer(args: &Args) -> Result<Development> {
    let found = match &args.dir {
        Some(dir) => {
            let config = Config::load(dir, serde_json::Map::new())
                .map_err(|error| Failure::usage(error.to_string()))?;
            node::development(dir, &config).map_err(|error| Failure::usage(error.to_string()))?
        }
        None => credentials::development(&args.url)?,
    };
    found.ok_or_else(|| {
        Failure::usage(
            "there is no development issuer: the node's configuration has no [identity.development], or it does not run here; give --dir, or ask your identity provider for a token",
        )
    })
}
