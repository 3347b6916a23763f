//! The development issuer's own pages: discovery, keys, a login where one chooses who to be, and the token endpoint
//! (RFC 6749 authorization code with RFC 7636 PKCE, S256 alone; RFC 9207 `iss`).
//!
//! Answers this machine only, and leads back to this machine only: a code never goes anywhere else.

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    clock::{Clock, SystemClock},
    identity::{
        development::{CLIENT_ID, Codes, Development, Granted, Login, TOKEN_LIFE},
        issuer::is_protected,
    },
    page::login::{self, Choice},
};

use super::pages::html;

/// Where a chosen person's code may go: a page of this machine, whatever its port.
const CHOOSE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self' http://127.0.0.1:* http://localhost:*; base-uri 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct Issuer {
    development: Arc<Development>,
    codes: Arc<Codes>,
    origin: String,
}

/// The authorization request (OpenID Connect Core section 3.1.2.1), as far as it is looked at.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Request {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
}

#[derive(Debug, Deserialize)]
struct Chosen {
    subject: String,
    #[serde(flatten)]
    request: Request,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Exchange {
    grant_type: String,
    code: String,
    redirect_uri: String,
    client_id: String,
    code_verifier: String,
}

/// The routes. `origin`: the ledger's name.
pub fn router(development: Arc<Development>, origin: String) -> Router {
    Router::new()
        .route("/development/.well-known/openid-configuration", get(discovery))
        .route("/development/jwks", get(jwks))
        .route("/development/authorize", get(choose).post(chosen))
        .route("/development/token", post(token))
        .with_state(Issuer { development, codes: Arc::default(), origin })
}

async fn discovery(State(issuer): State<Issuer>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    Json(issuer.development.discovery(&format!("http://{host}"))).into_response()
}

async fn jwks(State(issuer): State<Issuer>) -> Response {
    Json(issuer.development.keys()).into_response()
}

impl Request {
    /// What is wrong with it. Nobody is sent back to an address that was not checked.
    fn problem(&self) -> Option<&'static str> {
        let loopback = self.redirect_uri.starts_with("http://") && is_protected(&self.redirect_uri);
        let checks = [
            (loopback, "redirect_uri is not http on this machine"),
            (self.client_id == CLIENT_ID, "client_id is not promotion-ledger"),
            (self.response_type == "code", "response_type is not code"),
            (self.scope.split(' ').any(|scope| scope == "openid"), "scope does not hold openid"),
            (!self.nonce.is_empty(), "nonce is missing"),
            (self.code_challenge_method == "S256", "code_challenge_method is not S256"),
            (self.code_challenge.len() == 43, "code_challenge is no SHA-256 in base64url"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, why)| why)
    }
}

async fn choose(State(issuer): State<Issuer>, Query(request): Query<Request>) -> Response {
    if let Some(why) = request.problem() {
        return wrong(why);
    }
    let hidden = [
        ("response_type", request.response_type.as_str()),
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("scope", &request.scope),
        ("state", &request.state),
        ("nonce", &request.nonce),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", &request.code_challenge_method),
    ];
    let people: Vec<_> = issuer
        .development
        .people
        .iter()
        .map(|person| Choice { subject: &person.subject, name: &person.name, groups: &person.groups })
        .collect();
    let mut page = html(StatusCode::OK, login::choose(&issuer.origin, &people, &hidden));
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CHOOSE_POLICY));
    page
}

async fn chosen(State(issuer): State<Issuer>, Form(Chosen { subject, request }): Form<Chosen>) -> Response {
    if let Some(why) = request.problem() {
        return wrong(why);
    }
    let who = issuer.development.people.iter().find(|person| person.subject == subject);
    let (Some(who), Ok(mut back)) = (who, reqwest::Url::parse(&request.redirect_uri)) else {
        return wrong("subject is nobody of identity.development.people");
    };
    let granted = Granted {
        who: who.clone(),
        nonce: request.nonce,
        challenge: request.code_challenge,
        redirect_uri: request.redirect_uri,
        at: SystemClock.now(),
    };
    let Some(code) = issuer.codes.grant(granted) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many logins wait; try again\n").into_response();
    };
    let parts = [("code", &code), ("state", &request.state), ("iss", &issuer.development.issuer)];
    back.query_pairs_mut().extend_pairs(parts);
    Redirect::to(back.as_str()).into_response()
}

async fn token(State(issuer): State<Issuer>, Form(exchange): Form<Exchange>) -> Response {
    if exchange.grant_type != "authorization_code" {
        return refused("unsupported_grant_type", "grant_type is not authorization_code");
    }
    if exchange.client_id != CLIENT_ID {
        return refused("invalid_client", "client_id is not promotion-ledger");
    }
    let now = SystemClock.now();
    let Exchange { code, code_verifier, redirect_uri, .. } = &exchange;
    let granted = match issuer.codes.exchange(code, code_verifier, redirect_uri, now) {
        Ok(granted) => granted,
        Err(why) => return refused("invalid_grant", why),
    };
    let login = Login { nonce: &granted.nonce, auth_time: granted.at, issued_at: now, acr: "", amr: &[] };
    let tokens = issuer.development.id_token(&granted.who, &login).and_then(|id| {
        issuer.development.access_token(&granted.who, now, TOKEN_LIFE).map(|access| (id, access))
    });
    match tokens {
        Ok((id_token, access_token)) => {
            let body = json!({
                "id_token": id_token, "access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_LIFE,
            });
            ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    }
}

fn refused(error: &str, why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": why }))).into_response()
}

fn wrong(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}
