//! `--environment` and what else names a target, and the call that asks about it.

use crate::cli::source::Channel;

use crate::{
    cli::{
        admin::SlotRole,
        output::{Failure, Result},
        source::{URL_DEFAULT, connect},
        submit::{request, retrying},
    },
    event::{
        Digest,
        proto::{
            CheckRequest, CheckResponse, Slot, check_request::Subject, gate_service_client::GateServiceClient,
        },
    },
};

/// Where something would run.
#[derive(Debug, Clone, clap::Args)]
pub struct TargetArgs {
    /// Environment, for instance production
    #[arg(long, env = "GATE_ENVIRONMENT")]
    pub environment: String,
    /// Region, where there are several
    #[arg(long, env = "GATE_REGION", default_value = "")]
    pub region: String,
    /// Model; without it every model's slot there counts
    #[arg(long, env = "GATE_MODEL", default_value = "")]
    pub model: String,
    /// Role of the slot
    #[arg(long, env = "GATE_ROLE", value_enum, default_value = "champion")]
    pub role: SlotRole,
}

impl TargetArgs {
    /// The slot that is asked about; its model may be empty.
    pub fn slot(&self) -> Slot {
        Slot {
            model: self.model.clone(),
            environment: self.environment.clone(),
            region: self.region.clone(),
            role: self.role.number(),
        }
    }
}

/// A node's gate.
#[derive(Debug, Clone)]
pub struct Node(GateServiceClient<Channel>);

/// `--url` of commands that ask a node alone.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = URL_DEFAULT)]
    pub url: String,
}

impl NodeArgs {
    /// Connects.
    ///
    /// # Errors
    /// Exit code 3 if no node answers.
    pub async fn open(&self) -> Result<Node> {
        Ok(Node(GateServiceClient::new(connect(Some(&self.url)).await?)))
    }
}

impl Node {
    /// The service itself.
    pub fn service(&self) -> GateServiceClient<Channel> {
        self.0.clone()
    }

    /// Asks until the answer is final.
    ///
    /// # Errors
    /// Exit code 3 if the node cannot say.
    pub async fn check(&self, subject: Subject, target: Slot) -> Result<CheckResponse> {
        let answer = retrying(|| {
            let mut client = self.0.clone();
            let message = CheckRequest { subject: Some(subject.clone()), target: Some(target.clone()) };
            async move { client.check(request(message)).await }
        });
        Ok(answer.await?)
    }
}

/// A SHA-256 that the user gave, with or without `sha256:`.
///
/// # Errors
/// Exit code 2.
pub fn sha256(text: &str) -> Result<Digest> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    Digest::from_hex(digits)
        .ok_or_else(|| Failure::usage(format!("{text} is not a SHA-256 (64 hexadecimal digits)")))
}
