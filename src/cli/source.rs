//! Where read commands read: a node (`--url`), or a stopped node's directory (`--dir`), through one interface.

use std::path::PathBuf;

use tonic::{Request, Status, service::interceptor::InterceptedService, transport};

use crate::{
    api::auditor::Auditor,
    config::Config,
    event::proto::{
        AsOfRequest, AsOfResponse, CheckArchiveRequest, CheckArchiveResponse, CheckEvidenceRequest,
        CheckEvidenceResponse, GetCheckpointRequest, GetCheckpointResponse, GetConsistencyProofRequest,
        GetConsistencyProofResponse, GetEntryRequest, GetEntryResponse, GetInclusionProofRequest,
        GetInclusionProofResponse, GetReceiptRequest, GetReceiptResponse, GetStatusRequest,
        GetStatusResponse, GetTimestampsRequest, GetTimestampsResponse, ListCheckpointsRequest,
        ListEntriesRequest, ListEntriesResponse, ListLegalHoldsRequest, ListLegalHoldsResponse,
        ListRelianceRequest, ListRelianceResponse, Person, ReadChainRequest, ReadChainResponse,
        ReadEvidenceRequest, ReadEvidenceResponse, StampedCheckpoint,
        auditor_service_client::AuditorServiceClient, auditor_service_server::AuditorService,
    },
    node,
};

use super::{
    credentials::{self, Bearer},
    output::{Exit, Failure, Result},
};

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

/// A connection to a node that carries the caller's token.
pub type Channel = InterceptedService<transport::Channel, Bearer>;

/// A node's address.
fn endpoint(url: &str) -> Result<transport::Endpoint> {
    let endpoint = transport::Channel::from_shared(url.to_owned())
        .map_err(|error| Failure::usage(format!("--url {url}: {error}")))?;
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => endpoint
            .tls_config(credentials::tls()?)
            .map_err(|error| Failure::usage(format!("--ca-file: {}", cause(&error)))),
        _ => Err(Failure::usage(format!("--url {url} does not say how: write http://{url}"))),
    }
}

/// Connects to a node.
///
/// # Errors
/// Exit code 3 if it cannot be reached, 2 for a token that cannot be used.
pub async fn connect(url: Option<&str>) -> Result<Channel> {
    connect_as(url, None).await
}

/// The same, for an act of a person whom the arguments name.
///
/// # Errors
/// As [`connect`].
pub async fn connect_as(url: Option<&str>, person: Option<&Person>) -> Result<Channel> {
    let url = url.unwrap_or(URL_DEFAULT);
    // Before anything goes out: a token may not be fit to be sent there.
    let bearer = Bearer::for_node(url, person)?;
    Ok(InterceptedService::new(open(url).await?, bearer))
}

/// Connects to a server that asks for no token.
///
/// # Errors
/// Exit code 3 if it cannot be reached.
pub async fn connect_bare(url: &str) -> Result<Channel> {
    Ok(InterceptedService::new(open(url).await?, Bearer::none()))
}

async fn open(url: &str) -> Result<transport::Channel> {
    let endpoint = endpoint(url)?.tcp_nodelay(true).connect_timeout(std::time::Duration::from_secs(5));
    endpoint.connect().await.map_err(|error| {
        let words = match url.starts_with("https:") {
            true => {
                format!("no node answers at {url}: {}; --ca-file names who vouches for it", cause(&error))
            }
            false => format!(
                "no node answers at {url}; start one with `promotion-ledger serve --dir DIR`, or give --url"
            ),
        };
        Failure::new(Exit::Unreachable, words)
    })
}

/// The innermost reason.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

/// A connection that is made when it is first used, and again when it was lost.
///
/// # Errors
/// Exit code 2 for an address that is none, or a token that cannot be used.
pub fn connect_lazily(url: &str) -> Result<Channel> {
    let within = std::time::Duration::from_secs(3);
    let connection = endpoint(url)?.connect_timeout(within).connect_lazy();
    Ok(InterceptedService::new(connection, Bearer::for_node(url, None)?))
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
                let opened = node::stopped(dir, &config).await;
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
        /// That an entry is in a tree.
        get_inclusion_proof(GetInclusionProofRequest) -> GetInclusionProofResponse;
        /// That one tree begins with another.
        get_consistency_proof(GetConsistencyProofRequest) -> GetConsistencyProofResponse;
        /// Time-stamped checkpoints around an entry.
        get_timestamps(GetTimestampsRequest) -> GetTimestampsResponse;
        /// Legal holds in force.
        list_legal_holds(ListLegalHoldsRequest) -> ListLegalHoldsResponse;
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

    /// All evidence, looked at.
    ///
    /// # Errors
    /// Of the call.
    pub async fn check_evidence(
        &self,
        request: CheckEvidenceRequest,
    ) -> std::result::Result<Messages<CheckEvidenceResponse>, Status> {
        Ok(match self {
            Self::Node(client) => Box::pin(client.clone().check_evidence(request).await?.into_inner()),
            Self::Dir(auditor) => auditor.check_evidence(Request::new(request)).await?.into_inner(),
        })
    }

    /// Checkpoints that others vouch for.
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_checkpoints(&self) -> std::result::Result<Messages<StampedCheckpoint>, Status> {
        let request = ListCheckpointsRequest {};
        Ok(match self {
            Self::Node(client) => Box::pin(client.clone().list_checkpoints(request).await?.into_inner()),
            Self::Dir(auditor) => auditor.list_checkpoints(Request::new(request)).await?.into_inner(),
        })
    }

    /// The archive, looked at.
    ///
    /// # Errors
    /// Of the call.
    pub async fn check_archive(
        &self,
        request: CheckArchiveRequest,
    ) -> std::result::Result<Messages<CheckArchiveResponse>, Status> {
        Ok(match self {
            Self::Node(client) => Box::pin(client.clone().check_archive(request).await?.into_inner()),
            Self::Dir(auditor) => auditor.check_archive(Request::new(request)).await?.into_inner(),
        })
    }

    /// Promotions that rely on evidence.
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_reliance(
        &self,
        request: ListRelianceRequest,
    ) -> std::result::Result<Messages<ListRelianceResponse>, Status> {
        Ok(match self {
            Self::Node(client) => Box::pin(client.clone().list_reliance(request).await?.into_inner()),
            Self::Dir(auditor) => auditor.list_reliance(Request::new(request)).await?.into_inner(),
        })
    }
}
