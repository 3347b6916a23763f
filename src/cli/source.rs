//! Where read commands read: a node (`--url`), or a stopped node's directory (`--dir`), through one interface.

use std::path::PathBuf;

use tonic::{Request, Status, transport::Channel};

use crate::{
    api::auditor::Auditor,
    config::Config,
    event::proto::{
        AsOfRequest, AsOfResponse, GetCheckpointRequest, GetCheckpointResponse, GetEntryRequest,
        GetEntryResponse, GetReceiptRequest, GetReceiptResponse, GetStatusRequest, GetStatusResponse,
        ListEntriesRequest, ListEntriesResponse, ReadChainRequest, ReadChainResponse, ReadEvidenceRequest,
        ReadEvidenceResponse, auditor_service_client::AuditorServiceClient,
        auditor_service_server::AuditorService,
    },
    node,
};

use super::output::{Exit, Failure, Result};

/// Address of a node when neither `--url` nor `--dir` is given.
pub const URL_DEFAULT: &str = "http://127.0.0.1:7420";

/// `--url` and `--dir` of read commands.
#[derive(Debug, Clone, clap::Args)]
pub struct SourceArgs {
    /// A running node, for instance http://127.0.0.1:7420 (the default); --dir wins over it
    // No conflict with --dir: who has the variable in the environment could not use --dir at all.
    #[arg(long, env = "PROMOTION_LEDGER_URL")]
    pub url: Option<String>,
    /// The directory of a stopped node, opened read-only
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// Connects to a node.
///
/// # Errors
/// Exit code 3 if it cannot be reached.
pub async fn connect(url: Option<&str>) -> Result<Channel> {
    let url = url.unwrap_or(URL_DEFAULT).to_owned();
    let endpoint =
        Channel::from_shared(url.clone()).map_err(|error| Failure::usage(format!("--url {url}: {error}")))?;
    endpoint.tcp_nodelay(true).connect_timeout(std::time::Duration::from_secs(5)).connect().await.map_err(|_| {
        Failure::new(Exit::Unreachable, format!("no node answers at {url}; start one with `promotion-ledger serve --dir DIR`, or give --url"))
    })
}

/// An open source.
pub enum Source {
    /// A node.
    Node(AuditorServiceClient<Channel>),
    /// A stopped node's directory.
    Dir(Box<Auditor>),
}

/// A stream of messages from either source.
pub type Messages<T> =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = std::result::Result<T, Status>> + Send>>;

macro_rules! unary {
    ($($(#[$meta:meta])* $name:ident($request:ty) -> $response:ty;)+) => {
        $($(#[$meta])*
        pub async fn $name(&self, request: $request) -> std::result::Result<$response, Status> {
            let response = match self {
                Self::Node(client) => client.clone().$name(request).await,
                Self::Dir(auditor) => auditor.$name(Request::new(request)).await,
            };
            response.map(tonic::Response::into_inner)
        })+
    };
}

impl Source {
    /// Opens what the arguments name.
    ///
    /// # Errors
    /// Exit code 3 if the node cannot be reached, 4 if the directory cannot be opened.
    pub async fn open(args: &SourceArgs) -> Result<Self> {
        match &args.dir {
            None => {
                let channel = connect(args.url.as_deref()).await?;
                Ok(Self::Node(AuditorServiceClient::new(channel).max_decoding_message_size(64 << 20)))
            }
            Some(dir) => {
                let config = Config::load(dir, serde_json::Map::new())
                    .map_err(|error| Failure::usage(error.to_string()))?;
                let opened = node::stopped(dir, &config);
                Ok(Self::Dir(Box::new(
                    opened.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?,
                )))
            }
        }
    }

    unary! {
        /// One entry.
        get_entry(GetEntryRequest) -> GetEntryResponse;
        /// Entries that match.
        list_entries(ListEntriesRequest) -> ListEntriesResponse;
        /// What was current.
        as_of(AsOfRequest) -> AsOfResponse;
        /// The newest checkpoint.
        get_checkpoint(GetCheckpointRequest) -> GetCheckpointResponse;
        /// A receipt.
        get_receipt(GetReceiptRequest) -> GetReceiptResponse;
        /// How the node is doing.
        get_status(GetStatusRequest) -> GetStatusResponse;
    }

    /// The chain.
    ///
    /// # Errors
    /// Of the call.
    pub async fn read_chain(
        &self,
        request: ReadChainRequest,
    ) -> std::result::Result<Messages<ReadChainResponse>, Status> {
        Ok(match self {
            Self::Node(client) => Box::pin(client.clone().read_chain(request).await?.into_inner()),
            Self::Dir(auditor) => auditor.read_chain(Request::new(request)).await?.into_inner(),
        })
    }

    /// The bytes of a piece of evidence.
    ///
    /// # Errors
    /// Of the call.
    pub async fn read_evidence(
        &self,
        request: ReadEvidenceRequest,
    ) -> std::result::Result<Messages<ReadEvidenceResponse>, Status> {
        Ok(match self {
            Self::Node(client) => Box::pin(client.clone().read_evidence(request).await?.into_inner()),
            Self::Dir(auditor) => auditor.read_evidence(Request::new(request)).await?.into_inner(),
        })
    }
}
