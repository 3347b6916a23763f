//! The gate over HTTP, for what has no gRPC: `GET /gate/v1/check` and `GET /gate/v1/status-list`.
//!
//! 200: let it pass; 403: do not; 400: the question is wrong; 503: this node cannot say. The body is the answer as JSON.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tonic::Code;

use crate::{
    api::gate::Gate,
    event::{
        Digest,
        proto::{CheckRequest, GetStatusListRequest, RegistryVersion, Slot, check_request::Subject},
    },
    gate::question::role,
};

/// `artifact=sha256:…`, or `registry_uri`, `name` and `version`; and the target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    artifact: Option<String>,
    registry_uri: Option<String>,
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    model: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    region: String,
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListAsked {
    environment: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    valid_seconds: u32,
}

/// The routes.
pub fn router(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/gate/v1/check", get(check))
        .route("/gate/v1/status-list", get(status_list))
        .with_state(gate)
}

impl Asked {
    fn request(self) -> Result<CheckRequest, String> {
        let name = self.role.as_deref().unwrap_or("champion");
        let role =
            role(name).ok_or(format!("role {name:?} is none of champion, challenger, shadow, canary"))?;
        let subject = match (self.artifact, self.version) {
            (Some(_), Some(_)) => return Err("give artifact or version, not both".into()),
            (Some(artifact), None) => {
                let digits = artifact.strip_prefix("sha256:").unwrap_or(&artifact);
                let digest = Digest::from_hex(digits);
                let digest = digest
                    .ok_or(format!("artifact {artifact:?} is not sha256: and 64 hexadecimal digits"))?;
                Some(Subject::ArtifactSha256(digest.0.to_vec()))
            }
            (None, Some(version)) => Some(Subject::Version(RegistryVersion {
                registry_uri: self.registry_uri.unwrap_or_default(),
                name: self.name.unwrap_or_default(),
                version,
            })),
            (None, None) => None,
        };
        let target =
            Slot { model: self.model, environment: self.environment, region: self.region, role: role.into() };
        Ok(CheckRequest { subject, target: Some(target) })
    }
}

async fn check(State(gate): State<Arc<Gate>>, Query(asked): Query<Asked>) -> Response {
    let request = match asked.request() {
        Ok(request) => request,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    match gate.answer(request).await {
        Ok(answer) if answer.allowed => Json(answer).into_response(),
        Ok(answer) => (StatusCode::FORBIDDEN, Json(answer)).into_response(),
        Err(status) => failed(&status),
    }
}

async fn status_list(State(gate): State<Arc<Gate>>, Query(asked): Query<ListAsked>) -> Response {
    let ListAsked { environment, model, valid_seconds } = asked;
    match gate.status_list(GetStatusListRequest { environment, model, valid_seconds }).await {
        Ok(list) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], list).into_response(),
        Err(status) => failed(&status),
    }
}

fn failed(status: &tonic::Status) -> Response {
    let code = match status.code() {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(code, status.message())
}

fn refuse(code: StatusCode, why: &str) -> Response {
    (code, Json(serde_json::json!({ "error": why }))).into_response()
}
