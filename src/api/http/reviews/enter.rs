//! Logins, there and back.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::Response,
};
use serde::Deserialize;
use tonic::Status;

use crate::{
    event::Seq,
    identity::{
        code_flow::{Ask, Error},
        logins::Asked,
    },
};

use super::{
    browser::{Cookie, Login, Progress, Purpose, Target, random},
    desk::{Desk, see},
};

/// `/login/<issuer>/inbox`.
pub async fn to_inbox(
    State(desk): State<Arc<Desk>>,
    Path(issuer): Path<usize>,
    headers: HeaderMap,
) -> Response {
    enter(&desk, issuer, Target::Inbox, &headers).await
}

/// `/login/<issuer>/ledger`.
pub async fn to_ledger(
    State(desk): State<Arc<Desk>>,
    Path(issuer): Path<usize>,
    headers: HeaderMap,
) -> Response {
    enter(&desk, issuer, Target::Ledger, &headers).await
}

/// `/login/<issuer>/reviews/<seq>`.
pub async fn to_review(
    State(desk): State<Arc<Desk>>,
    Path((issuer, seq)): Path<(usize, Seq)>,
    headers: HeaderMap,
) -> Response {
    enter(&desk, issuer, Target::Review(seq), &headers).await
}

async fn enter(desk: &Desk, issuer: usize, target: Target, headers: &HeaderMap) -> Response {
    let issuer = desk.node.gateway.logins.clients().nth(issuer).map(|(issuer, _)| issuer.to_owned());
    let Some(issuer) = issuer else { return desk.refused(&Status::not_found("no such identity provider")) };
    let browser = desk.cookies.read(headers, Cookie::Login).map_or_else(random, Some);
    let (Some(browser), Some(nonce)) = (browser, random()) else {
        return desk.refused(&Status::internal("the system gave no random bytes"));
    };
    let cookie = desk.cookies.set(Cookie::Login, &browser);
    let mut response = start(desk, issuer, nonce, browser, Purpose::Enter(target)).await;
    cookie.map(|cookie| response.headers_mut().append(header::SET_COOKIE, cookie));
    response
}

/// Sends a browser to its issuer. A decision needs a fresh login, a session does not.
pub async fn start(
    desk: &Desk,
    issuer: String,
    nonce: String,
    browser: String,
    purpose: Purpose,
) -> Response {
    let fresh = matches!(purpose, Purpose::Decide { .. });
    let started = match desk.node.gateway.logins.client(&issuer, &desk.public).await {
        Ok(client) => client.start(Ask { redirect: &desk.callback(), nonce: &nonce, fresh }),
        Err(error) => Err(error),
    };
    let started = match started {
        Ok(started) => started,
        Err(error) => return desk.refused(&status(&error)),
    };
    let (verifier, at) = (started.verifier, desk.now());
    let progress = tokio::sync::Mutex::default();
    desk.browsers.start(started.state, Login { issuer, nonce, verifier, browser, purpose, progress, at });
    see(&started.url)
}

fn status(error: &Error) -> Status {
    match error {
        Error::Unavailable { .. } => Status::unavailable(error.to_string()),
        Error::Refused { .. } => Status::failed_precondition(error.to_string()),
    }
}

/// What an issuer sends back (OpenID Connect Core section 3.1.2.5 and 3.1.2.6; `iss`: RFC 9207).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Returned {
    state: String,
    code: String,
    error: String,
    error_description: String,
    iss: Option<String>,
}

/// `/login/callback`.
pub async fn back(
    State(desk): State<Arc<Desk>>,
    Query(returned): Query<Returned>,
    headers: HeaderMap,
) -> Response {
    let inbox = [("/inbox", "Inbox")];
    let Some(login) = desk.browsers.login(&returned.state, desk.now()) else {
        let status = Status::failed_precondition(
            "this login is unknown to this node: it took too long, or was started at another node or before a restart",
        );
        return desk.refusal("This login is over", &status, "Open the review again and start anew.", &inbox);
    };
    let kind = match login.purpose {
        Purpose::Enter(_) => Cookie::Login,
        Purpose::Decide { .. } => Cookie::Session,
    };
    let ended =
        matches!(kind, Cookie::Session) && desk.browsers.visitor(&login.browser, desk.now()).is_none();
    if ended || desk.cookies.read(&headers, kind).as_ref() != Some(&login.browser) {
        let status = Status::permission_denied(
            "this login was started in another browser, or in a session that is over",
        );
        return desk.refusal(
            "This login is not yours",
            &status,
            "Open the review again and start anew.",
            &inbox,
        );
    }
    let target = match &login.purpose {
        Purpose::Enter(target) => target.path(),
        Purpose::Decide { review, visitor } => {
            format!("/reviews/{review}/in/{}/sign/{}", visitor.token, login.nonce)
        }
    };
    let again = [(target.as_str(), "Try again")];
    let not_now = |status: &Status| {
        desk.refusal(
            "The login did not succeed",
            status,
            "Nothing else was lost: what you decided waits for another login.",
            &again,
        )
    };
    if returned.iss.as_ref().is_some_and(|iss| *iss != login.issuer) {
        return not_now(&Status::permission_denied(
            "the answer is from another identity provider than was asked",
        ));
    }
    // Who comes twice, by a double click or the back button, waits here and gets what the first one got.
    let mut progress = login.progress.lock().await;
    if progress.id_token.is_none() {
        if !returned.error.is_empty() || returned.code.is_empty() {
            let Returned { error, error_description, .. } = &returned;
            let error = if error.is_empty() { "it gave no code" } else { error };
            return not_now(&Status::failed_precondition(format!(
                "{} says: {error} {error_description}",
                login.issuer
            )));
        }
        let redeemed = match desk.node.gateway.logins.client(&login.issuer, &desk.public).await {
            Ok(client) => client.redeem(&desk.callback(), &returned.code, &login.verifier).await,
            Err(error) => Err(error),
        };
        match redeemed {
            Ok(token) => progress.id_token = Some(token),
            Err(error) => return not_now(&status(&error)),
        }
    }
    let token = progress.id_token.clone().unwrap_or_default();
    match &login.purpose {
        Purpose::Enter(target) => entered(&desk, &login, &token, *target, &mut progress, &headers).await,
        Purpose::Decide { review, .. } => {
            let entry = match progress.entry {
                Some(entry) => entry,
                None => match desk.node.gateway.submit_decision(&login.nonce, &token).await {
                    Ok(decided) => decided.receipt.seq,
                    Err(error) => return not_recorded(&desk, *review, Status::from(error), &again),
                },
            };
            progress.entry = Some(entry);
            see(&format!("/reviews/{review}/decided/{entry}"))
        }
    }
}

async fn entered(
    desk: &Desk,
    login: &Login,
    token: &str,
    target: Target,
    progress: &mut Progress,
    headers: &HeaderMap,
) -> Response {
    // A session is made once for a login; who comes again has its cookie.
    if progress.entry.is_some() {
        return see(&target.path());
    }
    let gateway = &desk.node.gateway;
    let asked = Asked { nonce: Some(&login.nonce), after: None, at: desk.now() };
    let principal = match gateway.logins.verify(token, asked).await {
        Ok(verified) => verified.principal,
        Err(why) => {
            let status = Status::permission_denied(format!("the ID token {why}"));
            return desk.refusal("The login did not succeed", &status, "", &[(&target.path(), "Try again")]);
        }
    };
    let former = desk.cookies.read(headers, Cookie::Session);
    let session = gateway.reviews.open(desk.now());
    let cookie =
        session.and_then(|session| desk.browsers.enter(principal, session, former.as_deref(), desk.now()));
    let Some(cookie) = cookie.and_then(|cookie| desk.cookies.set(Cookie::Session, &cookie)) else {
        return desk.refused(&Status::resource_exhausted("too many sessions are open; try again"));
    };
    progress.entry = Some(0);
    let mut response = see(&target.path());
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Why a signed decision is not in the ledger.
fn not_recorded(desk: &Desk, review: Seq, status: Status, again: &[(&str, &str)]) -> Response {
    let path = format!("/reviews/{review}/");
    let mut on = vec![(path.as_str(), "The review")];
    on.extend(again);
    let advice = match status.code() {
        tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::ResourceExhausted => {
            "Reload this page: the same login is sent again, and there will be one entry however often you do."
        }
        _ => "Look at the review: it says where it stands.",
    };
    desk.refusal("Your decision was not recorded", &status, advice, &on)
}
