//! `POST /registry/v1/{name}/webhook`: a model registry says that something changed.
//!
//! 202: the model that it names is swept; 401: the signature is not the shared secret's; 404: no registry of that name. What
//! a delivery says is not believed: it only makes the node look.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};

use crate::{
    node::Node,
    registry::{Headers, Refusal},
};

/// Longest delivery, bytes.
const BODY_LEN_MAX: usize = 1 << 20;

/// The route.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/registry/v1/{name}/webhook", post(told))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(node)
}

async fn told(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(registry) = node.registries.get(&name) else {
        return (StatusCode::NOT_FOUND, "no registry of this name is configured\n").into_response();
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let said = Headers {
        id: header("x-mlflow-delivery-id"),
        timestamp: header("x-mlflow-timestamp"),
        signature: header("x-mlflow-signature"),
    };
    match registry.told(said, &body) {
        Ok(()) => (StatusCode::ACCEPTED, "swept soon\n").into_response(),
        Err(refusal @ (Refusal::Signature | Refusal::Age)) => {
            (StatusCode::UNAUTHORIZED, format!("{refusal}\n")).into_response()
        }
        Err(refusal @ Refusal::Body) => (StatusCode::BAD_REQUEST, format!("{refusal}\n")).into_response(),
    }
}
