//! A login from a terminal: the browser of this machine goes to the issuer and comes back to a port on loopback
//! (RFC 8252 section 7.3), with the code that is redeemed for the ID token.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::Mutex, sync::oneshot};

use crate::{
    cli::output::{Exit, Failure, Result},
    event::proto::LoginIssuer,
    identity::code_flow::{Ask, Client, Error},
};

/// How long somebody has to log in.
const WITHIN: Duration = Duration::from_secs(15 * 60);
const DONE: &str = "Logged in. You can close this page; the terminal says what was recorded.\n";

/// How the browser is found.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Port on loopback; 0: any. Some issuers let a login come back to one port only.
    pub port: u16,
    /// Open a browser here; otherwise only print the address.
    pub open: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Returned {
    state: String,
    code: String,
    error: String,
    error_description: String,
    iss: Option<String>,
}

type Waiting = Arc<Mutex<(String, Option<oneshot::Sender<Returned>>)>>;

/// The ID token of a fresh login that carries a nonce.
///
/// # Errors
/// Exit code 1 if the login did not succeed, 3 if the issuer cannot be reached.
pub async fn id_token(issuer: &LoginIssuer, nonce: &str, terminal: Terminal) -> Result<String> {
    let scopes = ["openid", "profile"].map(str::to_owned);
    let client = Client::discover(&issuer.issuer, &issuer.issuer, &issuer.client_id, None, &scopes)
        .await
        .map_err(failed)?;
    let internal = |error: std::io::Error| {
        Failure::new(Exit::Internal, format!("cannot listen on 127.0.0.1:{}: {error}", terminal.port))
    };
    let listener = TcpListener::bind(("127.0.0.1", terminal.port)).await.map_err(internal)?;
    let redirect = format!("http://{}/callback", listener.local_addr().map_err(internal)?);
    let started = client.start(Ask { redirect: &redirect, nonce, fresh: true }).map_err(failed)?;
    eprintln!("To sign this decision, log in with a browser on this machine:\n\n  {}\n", started.url);
    if terminal.open {
        open(&started.url);
    }
    let (sender, returned) = oneshot::channel();
    let waiting: Waiting = Arc::new(Mutex::new((started.state, Some(sender))));
    let router = Router::new().route("/callback", get(back)).with_state(waiting);
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(
        axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) }).into_future(),
    );
    let returned = tokio::time::timeout(WITHIN, returned).await;
    drop(stop);
    let returned = returned
        .map_err(|_| Failure::new(Exit::No, "nobody logged in within 15 minutes; nothing was recorded"))?
        .map_err(|_| Failure::new(Exit::Internal, "the browser's way back was closed"))?;
    if !returned.error.is_empty() || returned.code.is_empty() {
        let Returned { error, error_description, .. } = returned;
        let why = format!("{} says: {error} {error_description}", issuer.issuer);
        return Err(Failure::new(Exit::No, format!("the login did not succeed: {}", why.trim())));
    }
    if returned.iss.is_some_and(|iss| iss != issuer.issuer) {
        return Err(Failure::new(Exit::No, "the answer is from another identity provider than was asked"));
    }
    let token = client.redeem(&redirect, &returned.code, &started.verifier).await.map_err(failed);
    // The answer to the browser is out, or nobody reads it any more.
    let _ = tokio::time::timeout(Duration::from_secs(1), served).await;
    token
}

fn failed(error: Error) -> Failure {
    let exit = match &error {
        Error::Unavailable { .. } => Exit::Unreachable,
        Error::Refused { .. } => Exit::No,
    };
    Failure::new(exit, error.to_string())
}

/// The browser comes back. What does not belong to this login is not heard.
async fn back(State(waiting): State<Waiting>, Query(returned): Query<Returned>) -> Response {
    let mut waiting = waiting.lock().await;
    let (code, words) = if returned.state == waiting.0 {
        // Gone if the command gave up; then nobody needs it.
        if let Some(sender) = waiting.1.take() {
            let _ = sender.send(returned);
        }
        (StatusCode::OK, DONE)
    } else {
        (StatusCode::FORBIDDEN, "This is not the login that the terminal waits for.\n")
    };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (header::CONNECTION, "close"),
    ];
    (code, headers, words).into_response()
}

/// Tries this machine's way to open a browser; the address is printed in any case.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let mut command = std::process::Command::new(program);
    let _ = command.arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}
