//! Who may see what over HTTP. Health, checkpoints and tiles are open: they hold numbers, times and digests, nobody's data.
//! Everything else needs a caller with a role, as every method of gRPC does.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tonic::{Code, Status};

use crate::{
    api::authorize::{Authorize, caller},
    identity::principal::Role::{self, Auditor, Emitter, Gate, Operator},
};

/// Who may ask the gate.
pub const GATES: &[Role] = &[Gate, Emitter, Auditor, Operator];
/// Who may see what was recorded.
pub const READERS: &[Role] = &[Auditor];

/// What a part of the routes needs.
#[derive(Clone)]
pub struct Needs {
    /// Knows who calls.
    pub authorize: Authorize,
    /// One of these roles.
    pub roles: &'static [Role],
}

/// Lets in who has one of the roles.
pub async fn require(State(needs): State<Needs>, mut request: Request, next: Next) -> Response {
    let found = caller(&needs.authorize, request.headers(), None, request.uri().path(), needs.roles).await;
    match found {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(status) => refused(&status),
    }
}

fn refused(status: &Status) -> Response {
    let code = match status.code() {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    };
    let body = Json(serde_json::json!({ "error": status.message() }));
    let mut response = (code, body).into_response();
    if code == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
