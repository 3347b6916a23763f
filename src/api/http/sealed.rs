//! What was sealed, for auditors: each review with its sealed bytes, compared with the ledger; and the list of them.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tonic::Status;

use crate::{
    event::{
        canonical,
        proto::{ReviewDecision, SealedClaims, body::Event},
        review,
    },
    identity::caller::Caller,
    ledger::review_rows::ReviewStatus,
    node::Node,
    page::{
        inbox::{self, Standing, Waiting},
        people::People,
        promotion::title,
        sealed::{self, Decided, Sealed},
        shell::FRAMED_POLICY,
        words,
    },
    projection::reviews::{self, Review},
};

use super::{
    evidence,
    pages::{self, failed, html},
};

/// Reviews on the list.
const LIST_LEN: usize = 200;

/// Everything under `/sealed`, and the list of reviews.
pub fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/sealed", get(|| async { Redirect::permanent("/sealed/") }))
        .route("/sealed/", get(list))
        .route("/sealed/{seq}", get(slashed))
        .route("/sealed/{seq}/", get(one))
        .route("/sealed/{seq}/sealed/", get(page))
        .route("/sealed/{seq}/sealed/people", get(people))
        .route("/sealed/{seq}/artefacts/{file}", get(artefact))
        .route("/sealed/{seq}/sealed/artefacts/{file}", get(artefact))
}

#[derive(serde::Deserialize)]
struct Unseal {
    #[serde(default)]
    unseal: bool,
}

async fn slashed(Path(seq): Path<u64>) -> Redirect {
    Redirect::permanent(&format!("{seq}/"))
}

fn find(node: &Node, seq: u64) -> Result<Review, Status> {
    let found = tokio::task::block_in_place(|| reviews::review(&node.ledger, &node.ledger.head(), seq))?;
    found.ok_or_else(|| Status::not_found(format!("entry {seq} is not a review")))
}

fn standing(review: &Review) -> (String, bool) {
    match review.state.status {
        ReviewStatus::Open => ("open".into(), false),
        ReviewStatus::Quorum(seq) => (format!("enough have approved, since entry {seq}"), false),
        ReviewStatus::Promoted(seq) => (format!("promoted by entry {seq}"), true),
        ReviewStatus::Ended(seq) => (format!("ended by entry {seq}"), true),
    }
}

/// Reviews that are open, and those that were.
async fn list(State(node): State<Arc<Node>>) -> Response {
    let head = node.ledger.head();
    let found = match tokio::task::block_in_place(|| reviews::newest(&node.ledger, &head, LIST_LEN)) {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let newest = found.iter().filter_map(|review| review.state.newest()).max();
    if let Err(error) = node.gateway.until_synced(newest).await {
        return failed(error.into());
    }
    let now = node.gateway.clock.now();
    let mut waiting: Vec<_> = found.iter().map(|review| waiting(review, now)).collect();
    waiting.sort_by_key(|review| (review.due_at == 0, review.due_at));
    html(StatusCode::OK, inbox::page(pages::shell("Reviews", &head.state.origin), "everybody", &waiting))
}

/// A line of a list of reviews, as it is for auditors.
pub(super) fn waiting(review: &Review, now: u64) -> Waiting {
    let package = review.sealed.package.clone().unwrap_or_default();
    let request = package.approval_request.clone().unwrap_or_default();
    let due_at = review.due_at();
    let needed: u32 = review.state.required.iter().map(|(_, count)| count).sum();
    Waiting {
        href: format!("{}/", review.header.seq),
        title: title(&package),
        slot: words::slot(package.slot.as_ref()),
        tier: package.routing.map(|routing| routing.tier).unwrap_or_default(),
        request: format!("{} {}", request.system, request.id),
        groups: review.state.required.iter().map(|(group, _)| group.clone()).collect(),
        asked_at: request.asked_at,
        due_at,
        standing: match review.state.status {
            ReviewStatus::Open if due_at > 0 && due_at <= now => Standing::Overdue,
            ReviewStatus::Open => Standing::Waits,
            ReviewStatus::Quorum(_) | ReviewStatus::Promoted(_) => Standing::Approved,
            ReviewStatus::Ended(_) => Standing::Closed,
        },
        approvals: (review.state.approvals.len() as u32, needed.max(1)),
    }
}

async fn one(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(seq): Path<u64>,
    Query(query): Query<Unseal>,
) -> Response {
    let made = async {
        let review = find(&node, seq)?;
        node.gateway.until_synced(review.state.newest()).await?;
        let all = sealed::evidence(&review.sealed);
        let references: Vec<_> =
            all.iter().map(|(name, reference)| (name.clone().into(), reference)).collect();
        let checked = evidence::check(node.evidence.as_ref(), &references).await;
        let mut decisions = Vec::new();
        for seq in review.decisions() {
            decisions.extend(decided(&node, &caller, seq, query.unseal).await?);
        }
        let (words, over) = standing(&review);
        let promoted_seq = match review.state.status {
            ReviewStatus::Promoted(seq) => Some(seq),
            _ => None,
        };
        let package = review.sealed.package.clone().unwrap_or_default();
        let origin = node.ledger.head().state.origin.clone();
        let sealed = Sealed {
            header: &review.header,
            date: review.date,
            sealed: &review.sealed,
            standing: (&words, over),
            promoted_seq,
            checks: &checked.checks,
            decisions: &decisions,
        };
        Ok::<_, Status>(sealed::page(pages::shell(&title(&package), &origin), &sealed))
    };
    match made.await {
        Ok(bytes) => html(StatusCode::OK, bytes),
        Err(status) => failed(status),
    }
}

/// A decision of the review; `None` for other entries that ended it.
async fn decided(node: &Node, caller: &Caller, seq: u64, unseal: bool) -> Result<Option<Decided>, Status> {
    let answer = pages::entry(node, caller, seq, unseal).await?;
    let record = answer.entry.as_ref().and_then(|entry| canonical::decode(&entry.record).ok());
    let decision: ReviewDecision = match record.and_then(|record| record.body.event) {
        Some(Event::Approved(e) | Event::Declined(e) | Event::ChangesRequested(e)) => e,
        _ => return Ok(None),
    };
    let claims =
        answer.opened.iter().filter_map(|item| canonical::decode_exact::<SealedClaims>(&item.claims));
    let answers = claims.map(|claims| sealed::answers(&claims.answers)).find(Option::is_some).flatten();
    Ok(Some(Decided {
        seq,
        date: answer.date,
        statement: review::statement(&decision).unwrap_or_default(),
        decider: decision.decider.unwrap_or_default(),
        answers,
        people: People::new(unseal.then_some(answer.opened.as_slice())),
    }))
}

/// The sealed bytes, where nothing can be sent from.
async fn page(State(node): State<Arc<Node>>, Path(seq): Path<u64>) -> Response {
    let screen = match find(&node, seq) {
        Ok(review) => review.sealed.screen.unwrap_or_default(),
        Err(status) => return failed(status),
    };
    let mut response = evidence::serve(&node.evidence, &screen).await;
    if response.status() == StatusCode::OK {
        // Framed by the auditors' page; its own frames are evidence, each in a sandbox of its own. It keeps its origin, or
        // those could not be framed by it; without scripts and forms it can do nothing with that.
        let policy = "sandbox allow-same-origin allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    response
}

async fn people(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(seq): Path<u64>,
) -> Response {
    sheet_of(&node, &caller, seq).await
}

/// The sheet of people, of those who are not erased.
pub(super) async fn sheet_of(node: &Node, caller: &Caller, seq: u64) -> Response {
    let opened = match pages::entry(node, caller, seq, true).await {
        Ok(answer) => answer.opened,
        Err(status) => return failed(status),
    };
    let mut response = (StatusCode::OK, sealed::sheet(&opened)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FRAMED_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Only what that review refers to.
async fn artefact(State(node): State<Arc<Node>>, Path((seq, file)): Path<(u64, String)>) -> Response {
    let review = match find(&node, seq) {
        Ok(review) => review,
        Err(status) => return failed(status),
    };
    let name = file.split('.').next().unwrap_or_default();
    let all = sealed::evidence(&review.sealed);
    match all.iter().find(|(_, reference)| hex::encode(&reference.sha256) == name) {
        Some((_, reference)) => evidence::serve(&node.evidence, reference).await,
        None => failed(Status::not_found(format!("review {seq} refers to no such evidence"))),
    }
}
