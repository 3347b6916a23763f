//! Logout: a browser's session ends, here and at the front door that noted what was served in it.

use std::sync::Arc;

use axum::{
    Form,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use tonic::Status;

use crate::page::desk;

use super::{
    super::pages::html,
    browser::Cookie,
    desk::{Desk, shell, who},
};

/// Where it is.
pub const PATH: &str = "/logout";

/// Says who is logged in, with the form that ends it.
pub async fn ask(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let origin = desk.origin();
    match desk.visitor(&headers) {
        Some(visitor) => {
            let form = (PATH, visitor.token.as_str());
            let page = desk::leave(shell("Log out", &origin), &who(&visitor.principal), form);
            let mut response = html(StatusCode::OK, page);
            // A browser says where a form comes from only if the page may say so to its own host.
            response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
            response
        }
        None => html(StatusCode::OK, desk::left(shell("Logged out", &origin))),
    }
}

/// The form.
#[derive(Debug, Deserialize)]
pub struct Leave {
    #[serde(default)]
    token: String,
}

/// Ends the session that the form is of, and has the browser forget its cookies.
pub async fn end(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    Form(Leave { token }): Form<Leave>,
) -> Response {
    if let Some(visitor) = desk.visitor(&headers) {
        if visitor.token != token {
            let status = Status::permission_denied("this form is of another login");
            return desk.refusal("You are not logged out", &status, "", &[(PATH, "Log out")]);
        }
        desk.cookies.read(&headers, Cookie::Session).iter().for_each(|cookie| desk.browsers.leave(cookie));
        desk.node.gateway.reviews.close(&visitor.session);
    }
    let mut response = html(StatusCode::OK, desk::left(shell("Logged out", &desk.origin())));
    for cookie in [Cookie::Session, Cookie::Login] {
        let cleared = desk.cookies.clear(cookie);
        cleared.map(|cookie| response.headers_mut().append(header::SET_COOKIE, cookie));
    }
    response
}
