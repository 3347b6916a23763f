//! What every act of one person has on the command line: who, why, which request, which node.

use std::{future::Future, path::PathBuf};

use crate::cli::source::Channel;
use tonic::{Response, Status};

use super::{
    credentials,
    output::{Exit, Failure, Format, Result},
    source::connect_as,
    submit::{self, Recorded, retrying},
};
use crate::event::proto::{Person, Receipt};

/// Who asks, why, which node.
#[derive(Debug, clap::Args)]
pub struct ActArgs {
    /// Why, in words
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub actor: ActorArgs,
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

/// Who asks. The node knows it by the token; who is named must be the same.
#[derive(Debug, Clone, clap::Args)]
pub struct ActorArgs {
    /// OpenID Connect issuer of the person who asks, if not the one who calls
    #[arg(long, requires = "actor_subject", default_value = "")]
    pub actor_issuer: String,
    /// The issuer's name for that person; with a development issuer the call is made as that person
    #[arg(long)]
    pub actor_subject: Option<String>,
    /// That person's name
    #[arg(long, requires = "actor_subject", default_value = "")]
    pub actor_name: String,
}

impl ActorArgs {
    /// The person, if one is named; of the issuer of the node's development issuer where none is.
    ///
    /// # Errors
    /// Exit code 2 if the issuer is not known.
    pub fn person(&self, url: &str) -> Result<Option<Person>> {
        let Some(subject) = self.actor_subject.clone() else { return Ok(None) };
        let issuer = match self.actor_issuer.as_str() {
            "" => credentials::development(url)?.map(|issuer| issuer.issuer).ok_or_else(|| {
                Failure::usage("--actor-issuer is missing; leave --actor-subject out to act as who calls")
            })?,
            issuer => issuer.to_owned(),
        };
        Ok(Some(Person { issuer, subject, name: self.actor_name.clone() }))
    }
}

/// One act, ready to be sent.
pub struct Act<'a> {
    args: &'a ActArgs,
    /// The node.
    pub channel: Channel,
    /// Who asks.
    pub actor: Option<Person>,
    /// Why.
    pub reason: String,
    /// Retries repeat it.
    pub request_id: String,
}

impl ActArgs {
    /// Connects to the node and fixes the request id.
    ///
    /// # Errors
    /// Exit code 3 if no node answers.
    pub async fn open(&self) -> Result<Act<'_>> {
        let actor = self.actor.person(&self.url)?;
        Ok(Act {
            args: self,
            channel: connect_as(Some(&self.url), actor.as_ref()).await?,
            actor,
            reason: self.reason.clone(),
            request_id: self.request_id.clone().map_or_else(random_id, Ok)?,
        })
    }
}

impl Act<'_> {
    /// Sends until the answer is final, verifies the receipt, keeps and prints it.
    ///
    /// # Errors
    /// Of the call; exit code 1 if the receipt does not hold.
    pub async fn send<F>(&self, what: &str, call: impl Fn() -> F, format: Format) -> Result<Recorded>
    where
        F: Future<Output = std::result::Result<Response<Option<Receipt>>, Status>>,
    {
        let key = submit::log_key(&self.channel, self.args.log_key.as_deref()).await?;
        let again = |failure: Failure| match failure.exit {
            // It may have happened: who asks again with this id learns it, and does nothing twice.
            Exit::Unreachable => Failure {
                message: format!("{}; ask again with --request-id {}", failure.message, self.request_id),
                ..failure
            },
            _ => failure,
        };
        let answer = retrying(call).await.map_err(|status| again(status.into()))?;
        let recorded = submit::verified(answer, &key)?;
        let file = self.args.receipt.as_deref();
        if let Some(path) = file {
            submit::write_receipt(&recorded, path)?;
        }
        submit::print(what, &recorded, file, &[("request id", self.request_id.clone())], format);
        Ok(recorded)
    }
}

/// A request id that nobody else uses.
///
/// # Errors
/// Exit code 4 without random bytes.
pub fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Internal, format!("no random bytes: {error}")))?;
    Ok(hex::encode(bytes))
}
