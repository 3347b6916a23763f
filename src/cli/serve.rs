//! `serve`: runs a node until it is told to stop, or until it must.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    api::{http, server, tls},
    config::{self, Config},
    ledger::writer::Health,
    node::{self, Node},
};

use super::{
    credentials,
    output::{self, Exit, Failure, Format, Result},
};

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
    /// Address of pages, tiles and hooks, instead of the configuration's
    #[arg(long)]
    pub http_listen: Option<SocketAddr>,
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
    if let Some(listen) = args.http_listen {
        flags.insert("http".into(), serde_json::json!({ "listen": listen.to_string() }));
    }
    let config = Config::load(&args.dir, flags).map_err(|error| match error {
        config::Error::Missing(..) => Failure::usage(error.to_string()),
        error => Failure::usage(error.to_string()),
    })?;
    let tls = config.tls.as_ref().map(|tls| tls.load(&args.dir)).transpose().map_err(Failure::usage)?;
    let grpc_tls = tls.as_ref().map(|tls| tls.grpc.clone());
    let https = config.http.as_ref().is_some_and(|http| http.tls);
    let http_tls = tls.as_ref().filter(|_| https).map(|tls| tls.http.clone());
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let (listener, address) = bind(config.listen, "--listen").await?;
    let http = match &config.http {
        Some(http) => Some(bind(http.listen, "--http-listen").await?),
        None => None,
    };
    let node = Arc::new(Node::open(&args.dir, &config).await.map_err(failed)?);
    if let Some(issuer) = &node.development {
        credentials::note(address, issuer, &args.dir.join(node::DEVELOPMENT_KEY))?;
    }
    let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    announce(&node, &url, address, http.as_ref().map(|(_, address)| *address), format);
    let mut health = node.health();
    let mut halted = node.health();
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = health.wait_for(|health| *health != Health::Running) => {}
        }
    };
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let public_url = config.http.as_ref().and_then(|http| http.public_url.clone());
    let http = http.map(|(listener, _)| {
        // Also when the sender is dropped.
        let stop = async { drop(stopped.await) };
        tokio::spawn(http::server::serve(node.clone(), listener, public_url, http_tls, stop))
    });
    let renewal = tls.map(|tls| tokio::spawn(tls::renewed(tls, node.alerts.clone())));
    let served = server::serve(node.clone(), listener, &config.limits, grpc_tls, stop).await;
    drop(stopping);
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    if let Some(http) = http {
        // A connection that is kept open does not hold up the end.
        let _ = tokio::time::timeout(Duration::from_secs(2), http).await;
    }
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

async fn bind(listen: SocketAddr, flag: &str) -> Result<(TcpListener, SocketAddr)> {
    let bound = async {
        let listener = server::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: std::io::Error| {
        Failure::new(Exit::Usage, format!("cannot listen on {listen}: {error}; choose another with {flag}"))
    })
}

fn announce(node: &Node, url: &str, address: SocketAddr, http: Option<SocketAddr>, format: Format) {
    let head = node.ledger.head();
    let state = &head.state;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "development_issuer": node.development.as_ref().map(|issuer| issuer.issuer.as_str()),
            "listening": address.to_string(), "http": http.map(|http| http.to_string()), "origin": state.origin, "ledger_id": state.ledger_id.to_string(), "size": state.size(),
        })),
        Format::Text => {
            println!(
                "{} listening on {url}, {} entries, ledger_id {}",
                state.origin,
                state.size(),
                state.ledger_id
            );
            if let Some(issuer) = &node.development {
                println!(
                    "DEVELOPMENT ISSUER {}: its logins prove nothing; never for real decisions",
                    issuer.issuer
                );
            }
        }
    }
}
