//! Pages for people: what was promoted, the six fields of each, two side by side.
//!
//! For auditors, by a token or by a login in the browser (`reviews::readers`).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tonic::{Code, Request as Call, Status};

use crate::{
    event::{
        Header, canonical, content,
        proto::{
            Body, GetEntryRequest, GetEntryResponse, ListEntriesRequest, Promoted,
            auditor_service_server::AuditorService, body::Event, get_entry_request::By,
        },
    },
    identity::caller::Caller,
    node::Node,
    page::{
        self, Exhibits, home,
        people::People,
        promotion::{self, Promotion},
        sections::Reading,
        shell::{PAGE_POLICY, Shell},
        words,
    },
    readable::PAGE_HEADERS,
};

use super::{evidence, sealed};

/// Promotions on one page of the list.
const LIST_LEN: u32 = 50;

/// Everything under `/promotions`, and the start page.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/", get(start))
        .route("/promotions/compare", get(compare))
        .route("/promotions/{seq}", get(slashed))
        .route("/promotions/{seq}/", get(one))
        .route("/promotions/{seq}/artefacts/{file}", get(evidence::of_promotion))
        .merge(sealed::router())
        .with_state(node)
}

/// Lets only this machine's own browser in. The name that it asked for matters too: a page of somebody else's whose
/// name resolves to this machine must not read ours.
pub async fn this_machine(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if local(peer, request.headers()) {
        next.run(request).await
    } else {
        failed(Status::permission_denied("this answers to this machine only: open it at http://127.0.0.1"))
    }
}

/// Whether this machine's own browser asks for this machine by its own name.
pub fn local(peer: SocketAddr, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    peer.ip().is_loopback() && matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// A page of ours, with the headers that go with it.
pub fn html(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = (status, bytes).into_response();
    let headers = response.headers_mut();
    for (name, value) in PAGE_HEADERS
        .into_iter()
        .chain([("content-type", "text/html; charset=utf-8"), ("content-security-policy", PAGE_POLICY)])
    {
        headers.insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}

/// What went wrong, in words, as text.
pub fn failed(status: Status) -> Response {
    let code = match status.code() {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unavailable | Code::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, axum::http::HeaderValue::from_static("nosniff"));
    (code, headers, format!("{}\n", status.message())).into_response()
}

/// What stands around these pages.
pub fn shell<'a>(title: &'a str, origin: &'a str) -> Shell<'a> {
    Shell { title, origin, home: Some("/"), mark: None, leave: None }
}

async fn slashed(Path(seq): Path<u64>) -> Redirect {
    Redirect::permanent(&format!("{seq}/"))
}

/// A promotion of the ledger, found by its number.
pub(super) struct Found {
    pub(super) answer: GetEntryResponse,
    pub(super) header: Header,
    pub(super) promoted: Promoted,
}

/// An entry, opened for whoever asks: the log of openings names that one.
pub(super) async fn entry(
    node: &Node,
    caller: &Caller,
    seq: u64,
    unseal: bool,
) -> Result<GetEntryResponse, Status> {
    let mut call = Call::new(GetEntryRequest { by: Some(By::Seq(seq)), unseal });
    call.extensions_mut().insert(caller.clone());
    Ok(node.auditor().get_entry(call).await?.into_inner())
}

pub(super) async fn find(node: &Node, caller: &Caller, seq: u64, unseal: bool) -> Result<Found, Status> {
    let answer = entry(node, caller, seq, unseal).await?;
    let entry = answer.entry.clone().unwrap_or_default();
    let header = Header::decode(&entry.header).map_err(|error| Status::data_loss(error.to_string()))?;
    match canonical::decode(&entry.record).map(|record| record.body) {
        Ok(Body { event: Some(Event::Promoted(promoted)), .. }) => Ok(Found { answer, header, promoted }),
        _ => Err(Status::not_found(format!("entry {seq} is not a promotion"))),
    }
}

/// Whether an entry is what its slot holds now.
fn is_current(node: &Node, seq: u64, promoted: &Promoted) -> bool {
    let head = node.ledger.head();
    let slot = promoted.slot.clone().unwrap_or_default();
    let slots =
        crate::projection::query::as_of(&node.ledger, &head, &slot.model, &slot.environment, u64::MAX);
    slots.unwrap_or_default().iter().any(|as_of| as_of.current == Some(seq))
}

#[derive(serde::Deserialize)]
struct Start {
    #[serde(default)]
    before: String,
}

async fn start(State(node): State<Arc<Node>>, Query(query): Query<Start>) -> Response {
    let request = ListEntriesRequest {
        kind: "promoted".into(),
        page_size: LIST_LEN,
        page_token: query.before,
        with_records: true,
        ..Default::default()
    };
    let answer = match node.auditor().list_entries(Call::new(request)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return failed(status),
    };
    let mut lines = Vec::new();
    for listed in &answer.entries {
        let entry = listed.entry.clone().unwrap_or_default();
        let (Ok(header), Ok(record)) = (Header::decode(&entry.header), canonical::decode(&entry.record))
        else {
            continue;
        };
        let Some(Event::Promoted(promoted)) = record.body.event else { continue };
        lines.push(home::Line {
            seq: header.seq,
            date: listed.date,
            title: promotion::title(&promoted),
            slot: words::slot(promoted.slot.as_ref()),
            tier: promoted.routing.as_ref().map(|routing| routing.tier.clone()).unwrap_or_default(),
            current: is_current(&node, header.seq, &promoted),
        });
    }
    let origin = node.ledger.head().state.origin.clone();
    let older = (!answer.next_page_token.is_empty()).then(|| format!("?before={}", answer.next_page_token));
    let alerts: Vec<_> =
        node.alerts.open().into_iter().map(|alert| format!("{}: {}", alert.name, alert.words)).collect();
    html(StatusCode::OK, home::page(shell("Promotions", &origin), &lines, older.as_deref(), &alerts))
}

#[derive(serde::Deserialize)]
struct One {
    /// Also open the sealed items whose subject records still exist. Logged.
    #[serde(default)]
    unseal: bool,
}

async fn one(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(seq): Path<u64>,
    Query(query): Query<One>,
) -> Response {
    let found = match find(&node, &caller, seq, query.unseal).await {
        Ok(found) => found,
        Err(status) => return failed(status),
    };
    let people = People::new(query.unseal.then_some(found.answer.opened.as_slice()));
    let checked = evidence::check(node.evidence.as_ref(), &content::evidence(&found.promoted)).await;
    let origin = node.ledger.head().state.origin.clone();
    let title = promotion::title(&found.promoted);
    let bytes = promotion::page(
        shell(&title, &origin),
        &Promotion {
            header: &found.header,
            date: found.answer.date,
            promoted: &found.promoted,
            taints: &found.answer.taints,
            current: is_current(&node, seq, &found.promoted),
            as_of_size: found.answer.as_of_size,
            checks: &checked.checks,
            reading: Reading { people: &people, exhibits: &checked.exhibits },
        },
    );
    html(StatusCode::OK, bytes)
}

#[derive(serde::Deserialize)]
struct Pair {
    a: u64,
    b: u64,
    #[serde(default)]
    unseal: bool,
}

async fn compare(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Query(pair): Query<Pair>,
) -> Response {
    let mut found = Vec::new();
    for seq in [pair.a, pair.b] {
        match find(&node, &caller, seq, pair.unseal).await {
            Ok(promotion) => found.push(promotion),
            Err(status) => return failed(status),
        }
    }
    let [a, b] = found.as_slice() else { return failed(Status::internal("two were asked for")) };
    let mut exhibits = Exhibits::default();
    for found in [a, b] {
        let profile =
            found.promoted.profile.iter().map(|profile| ("profile".into(), profile)).collect::<Vec<_>>();
        exhibits.extend(evidence::check(node.evidence.as_ref(), &profile).await.exhibits);
    }
    let people = [a, b].map(|found| People::new(pair.unseal.then_some(found.answer.opened.as_slice())));
    let origin = node.ledger.head().state.origin.clone();
    let [first, second] = &people;
    let sides = [side(a, first, &exhibits), side(b, second, &exhibits)];
    html(StatusCode::OK, page::compare(shell("Side by side", &origin), &sides))
}

fn side<'a>(found: &'a Found, people: &'a People, exhibits: &'a Exhibits) -> page::Side<'a> {
    let profile = found.promoted.profile.as_ref().and_then(|profile| exhibits.get(profile));
    page::Side {
        seq: found.header.seq,
        date: found.answer.date,
        promoted: &found.promoted,
        profile: profile.unwrap_or_default(),
        people,
    }
}
