//! Pages for auditors: by an access token, or by the session of somebody who logged in with a browser and is an auditor.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use tonic::Status;

use crate::identity::{caller::Caller, principal::Role};

use super::{
    super::{
        authorize::{Needs, require},
        pages::{failed, local},
    },
    desk::{Desk, who},
};

/// Who may read the pages, and where these people log in.
#[derive(Clone)]
pub struct Readers {
    /// By a token.
    pub needs: Needs,
    /// By a login.
    pub desk: Arc<Desk>,
}

/// Lets auditors in. A browser that nobody logged in with is asked to; everything else is told that it needs a token.
pub async fn readers(State(readers): State<Readers>, mut request: Request, next: Next) -> Response {
    let Readers { needs, desk } = readers;
    if request.headers().contains_key(header::AUTHORIZATION) {
        return require(State(needs), request, next).await;
    }
    let Some(visitor) = desk.visitor(request.headers()) else {
        return match is_browser(request.headers()) && desk.has_logins() {
            true => desk.login_page("Log in to read the ledger", "ledger"),
            false => require(State(needs), request, next).await,
        };
    };
    let roles = needs.authorize.callers.roles(&visitor.principal);
    if !roles.iter().any(|role| needs.roles.contains(role)) {
        let needed: Vec<_> = needs.roles.iter().map(|role| Role::name(*role)).collect();
        let status = Status::permission_denied(format!(
            "{} is not {} of this ledger",
            who(&visitor.principal),
            needed.join(" or ")
        ));
        return desk.closed("You cannot read the ledger", &status, "ledger");
    }
    request.extensions_mut().insert(Caller { principal: visitor.principal.clone(), roles });
    next.run(request).await
}

/// A page of somebody else's whose name resolves to this machine must not read ours: these answer to the name at which the
/// ledger is published, and to this machine's own browser by this machine's own name.
pub async fn own_name(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if desk.is_published_at(request.headers()) || local(peer, request.headers()) {
        return next.run(request).await;
    }
    failed(Status::permission_denied(format!("these pages are at {}", desk.public)))
}

fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
