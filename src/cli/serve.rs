//! `serve`: runs a node until it is told to stop, or until it must.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    api::server,
    config::{self, Config},
    ledger::writer::Health,
    node::{self, Node},
};

use super::output::{self, Exit, Failure, Format, Result};

/// Run a node.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger serve --dir ledger\n  promotion-ledger serve --dir ledger --listen 127.0.0.1:7500\n\nStops cleanly on SIGINT or SIGTERM. Exits with 4 if it must halt; start it again and it recovers or says why not."
)]
pub struct Args {
    /// Directory of the node, made by `init`
    #[arg(long, default_value = "ledger")]
    pub dir: PathBuf,
    /// Address of the gRPC services, instead of the configuration's
    #[arg(long)]
    pub listen: Option<SocketAddr>,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PROMOTION_LEDGER_LOG_LEVEL")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber exists only where this process embeds several nodes.
    let _ = match format {
        Format::Json => lines.json().try_init(),
        Format::Text => lines.try_init(),
    };
    let mut flags = serde_json::Map::new();
    if let Some(listen) = args.listen {
        flags.insert("listen".into(), listen.to_string().into());
    }
    let config = Config::load(&args.dir, flags).map_err(|error| match error {
        config::Error::Missing(..) => Failure::usage(error.to_string()),
        error => Failure::usage(error.to_string()),
    })?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let listener = server::bind(config.listen).await.map_err(|error| {
        Failure::new(
            Exit::Internal,
            format!("cannot listen on {}: {error}; choose another with --listen", config.listen),
        )
    })?;
    let node = Arc::new(Node::open(&args.dir, &config).await.map_err(failed)?);
    let address = listener.local_addr().map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    announce(&node, address, format);
    let mut health = node.health();
    let mut halted = node.health();
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = health.wait_for(|health| *health != Health::Running) => {}
        }
    };
    let served = server::serve(node.clone(), listener, &config.limits, stop).await;
    let halt = match &*halted.borrow_and_update() {
        Health::Halted(error) => Some(error.to_string()),
        Health::Running | Health::Stopped => None,
    };
    tokio::task::block_in_place(|| node.stop());
    served.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    match halt {
        Some(why) => Err(Failure::new(Exit::Internal, format!("the node has halted: {why}"))),
        None => Ok(Exit::Ok),
    }
}

fn failed(error: node::Error) -> Failure {
    let exit = match &error {
        node::Error::Config(_) => Exit::Usage,
        node::Error::Log(crate::log::Error::Unavailable(_)) => Exit::Unreachable,
        _ => Exit::Internal,
    };
    Failure::new(exit, error.to_string())
}

fn announce(node: &Node, address: SocketAddr, format: Format) {
    let head = node.ledger.head();
    let state = &head.state;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "listening": address.to_string(), "origin": state.origin, "ledger_id": state.ledger_id.to_string(), "size": state.size(),
        })),
        Format::Text => {
            println!(
                "{} listening on http://{address}, {} entries, ledger_id {}",
                state.origin,
                state.size(),
                state.ledger_id
            );
        }
    }
}
