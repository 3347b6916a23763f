//! The HTTP server: all routers on one socket, stopped together with gRPC.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware, routing::get};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use tokio::net::TcpListener;

use crate::{api::authorize::Authorize, clock::SystemClock, node::Node};

use super::{
    authorize::{GATES, Needs, READERS, require},
    development, gate, pages, registry,
    reviews::{self, Readers},
    tiles,
};

/// How long what is on its way may take after the server was told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Everything that is served at `public`: scheme and host at which browsers find it.
pub fn router(node: &Arc<Node>, public: String) -> Router {
    let authorize = Authorize { callers: node.callers.clone(), clock: Arc::new(SystemClock) };
    let needs = |roles| {
        let needs = Needs { authorize: authorize.clone(), roles };
        middleware::from_fn_with_state(needs, require)
    };
    let origin = node.ledger.head().state.origin.clone();
    let desk = Arc::new(reviews::Desk::new(node.clone(), public));
    let readers =
        Readers { needs: Needs { authorize: authorize.clone(), roles: READERS }, desk: desk.clone() };
    let development = node.development.clone().map(|issuer| development::router(issuer, origin));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(gate::router(Arc::new(node.gate())).layer(needs(GATES)))
        .merge(registry::router(node.clone()))
        .merge(
            pages::router(node.clone())
                .layer(middleware::from_fn_with_state(readers, reviews::readers))
                .layer(middleware::from_fn_with_state(desk.clone(), reviews::own_name)),
        )
        .merge(development.unwrap_or_default().layer(middleware::from_fn(pages::this_machine)))
        .merge(reviews::router(desk))
        .merge(tiles::router(node.ledger.clone()))
}

/// Serves until `stop` resolves; `public_url`: where browsers find it, if not at the address.
///
/// # Errors
/// Of the transport.
pub async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    public_url: Option<String>,
    tls: Option<RustlsConfig>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let bound = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public = public_url.unwrap_or_else(|| format!("{scheme}://{bound}"));
    let service = router(&node, public).into_make_service_with_connect_info::<SocketAddr>();
    let Some(tls) = tls else {
        return axum::serve(listener, service).with_graceful_shutdown(stop).await;
    };
    let handle = Handle::new();
    let stopping = handle.clone();
    tokio::spawn(async move {
        stop.await;
        stopping.graceful_shutdown(Some(STOP_WITHIN));
    });
    axum_server::from_tcp_rustls(listener.into_std()?, tls)?.handle(handle).serve(service).await
}
