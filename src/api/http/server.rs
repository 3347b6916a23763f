//! The HTTP server: all routers on one socket, stopped together with gRPC.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::{Router, middleware, routing::get};
use tokio::net::TcpListener;

use crate::{api::authorize::Authorize, clock::SystemClock, node::Node};

use super::{
    authorize::{GATES, Needs, READERS, require},
    development, gate, pages, registry,
    reviews::{self, Readers},
    tiles,
};

/// Everything that is served on `bound`; `public_url`: where browsers find it, if not there.
pub fn router(node: &Arc<Node>, public_url: Option<String>, bound: SocketAddr) -> Router {
    let authorize = Authorize { callers: node.callers.clone(), clock: Arc::new(SystemClock) };
    let needs = |roles| {
        let needs = Needs { authorize: authorize.clone(), roles };
        middleware::from_fn_with_state(needs, require)
    };
    let origin = node.ledger.head().state.origin.clone();
    let desk = Arc::new(reviews::Desk::new(node.clone(), public_url, bound));
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

/// Serves until `stop` resolves.
///
/// # Errors
/// Of the transport.
pub async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    public_url: Option<String>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let bound = listener.local_addr()?;
    let service = router(&node, public_url, bound).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}
