//! What was sealed, served to one person: the page, its sheet of people, its documents. What is served to its end is
//! noted in that person's session.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Redirect, Response},
};
use tokio_stream::Stream;
use tonic::Status;

use crate::{
    admission::reviews::standing::{Known, Obstacle},
    event::{Digest, Seq},
    identity::principal::Principal,
    ledger::review_rows::ReviewStatus,
    page::{
        desk::{self, Standing},
        sealed,
        shell::{FRAMED_POLICY, PAGE_POLICY},
    },
    readable::PAGE_HEADERS,
};

use super::{
    super::{evidence, pages::html, sealed::sheet_of},
    browser::Visitor,
    desk::{Desk, about, see, shell, words_of},
};

/// `/reviews/<seq>`: the slash matters to the page's relative addresses.
pub async fn slashed(Path(seq): Path<Seq>) -> Redirect {
    Redirect::permanent(&format!("/reviews/{seq}/"))
}

/// `/reviews/<seq>/`: to the page, or where the review stands.
pub async fn review(State(desk): State<Arc<Desk>>, Path(seq): Path<Seq>, headers: HeaderMap) -> Response {
    let (visitor, known) = match desk.reader(&headers, seq).await {
        Ok(found) => found,
        Err(instead) => return *instead,
    };
    let page = format!("in/{}/", visitor.token);
    let own = decided_by(&desk, &known, &visitor.principal);
    let obstacle = match desk.node.gateway.shown_obstacle(&known).await {
        Ok(obstacle) => obstacle,
        Err(error) => return desk.refused(&Status::from(error)),
    };
    if own.is_none() && obstacle.is_none() {
        return see(&format!("/reviews/{seq}/{page}"));
    }
    let (words, origin) = (words_of(&known), desk.origin());
    let lacking = desk.node.gateway.lacks(&known);
    let blocked = obstacle.map(|obstacle| obstacle.words());
    let standing = standing(&known, &lacking, blocked.as_deref());
    html(StatusCode::OK, desk::standing(shell(&words.0, &origin), about(&words), standing, own, &page))
}

/// The entry by which somebody approved, while it counts.
fn decided_by(desk: &Desk, known: &Known, principal: &Principal) -> Option<Seq> {
    let id = desk.subject(principal)?;
    known.state.approvals.iter().find(|approval| approval.subject == id).map(|approval| approval.seq)
}

/// Where a review stands.
pub fn standing<'a>(known: &Known, lacking: &'a [String], blocked: Option<&'a str>) -> Standing<'a> {
    match (known.state.status, blocked) {
        (ReviewStatus::Promoted(seq), _) => Standing::Promoted(seq),
        (ReviewStatus::Ended(seq), _) => Standing::Ended(seq),
        (ReviewStatus::Quorum(_), _) => Standing::Approved,
        (ReviewStatus::Open, Some(words)) => Standing::Blocked(words),
        (ReviewStatus::Open, None) => Standing::Lacks(lacking),
    }
}

/// The same as words that stand in the way.
pub async fn blocked(desk: &Desk, known: &Known) -> Option<String> {
    desk.node.gateway.shown_obstacle(known).await.ok().flatten().as_ref().map(Obstacle::words)
}

/// The sealed page, byte for byte.
pub async fn page(
    State(desk): State<Arc<Desk>>,
    Path((seq, token)): Path<(Seq, String)>,
    headers: HeaderMap,
) -> Response {
    let (visitor, known) = match desk.reader_at(&headers, seq, &token).await {
        Ok(found) => found,
        Err(instead) => return *instead,
    };
    let screen = known.sealed.screen.unwrap_or_default();
    let mut response = match evidence::serve_exact(&desk.node.evidence, &screen).await {
        Ok(response) => response,
        Err(status) => return desk.not_shown(seq, "The page of this review", &status),
    };
    let headers = response.headers_mut();
    for (name, value) in PAGE_HEADERS.into_iter().chain([("content-security-policy", PAGE_POLICY)]) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A browser says where a form comes from only if the page may say so to its own host.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    noted(&desk, &visitor, seq, &screen.sha256, response)
}

/// Who reloads the address that the form is posted to gets the page.
pub async fn reopen(
    State(desk): State<Arc<Desk>>,
    Path((seq, token)): Path<(Seq, String)>,
    headers: HeaderMap,
) -> Response {
    match desk.reader_at(&headers, seq, &token).await {
        Ok(_) => see(&format!("/reviews/{seq}/in/{token}/")),
        Err(instead) => *instead,
    }
}

/// The sheet of people, of those who are not erased.
pub async fn people(
    State(desk): State<Arc<Desk>>,
    Path((seq, token)): Path<(Seq, String)>,
    headers: HeaderMap,
) -> Response {
    match desk.reader_at(&headers, seq, &token).await {
        Ok((visitor, _)) => sheet_of(&desk.node, &visitor.caller(), seq).await,
        Err(instead) => *instead,
    }
}

/// A document of the review, and of no other.
pub async fn artefact(
    State(desk): State<Arc<Desk>>,
    Path((seq, token, file)): Path<(Seq, String, String)>,
    headers: HeaderMap,
) -> Response {
    let (visitor, known) = match desk.reader_at(&headers, seq, &token).await {
        Ok(found) => found,
        Err(instead) => return *instead,
    };
    let name = file.split('.').next().unwrap_or_default();
    let all = sealed::evidence(&known.sealed);
    let Some((_, reference)) = all.iter().find(|(_, reference)| hex::encode(&reference.sha256) == name)
    else {
        return desk.refused(&Status::not_found(format!("review {seq} has no such document")));
    };
    let response = match evidence::serve_exact(&desk.node.evidence, reference).await {
        Ok(response) => response,
        Err(status) => {
            let mut refusal = desk.not_shown(seq, "This document", &status);
            // The page of the review shows documents in frames: what is wrong with one is read there.
            let headers = refusal.headers_mut();
            headers.remove(header::X_FRAME_OPTIONS);
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FRAMED_POLICY));
            return refusal;
        }
    };
    noted(&desk, &visitor, seq, &reference.sha256, response)
}

/// Notes that bytes were served, once the last of them has left.
fn noted(desk: &Arc<Desk>, visitor: &Visitor, seq: Seq, sha256: &[u8], response: Response) -> Response {
    let Some(sha256) = Digest::from_slice(sha256).filter(|_| response.status() == StatusCode::OK) else {
        return response;
    };
    let (desk, session) = (desk.clone(), visitor.session.clone());
    let note: Note = Box::new(move || desk.node.gateway.reviews.note(&session, seq, sha256, desk.now()));
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::from_stream(Noted { bytes: body.into_data_stream(), note: Some(note) }))
}

type Note = Box<dyn FnOnce() + Send>;

/// A body that says when all of it was taken. One that breaks off, or is never read (HEAD), says nothing.
struct Noted {
    bytes: BodyDataStream,
    note: Option<Note>,
}

impl Stream for Noted {
    type Item = <BodyDataStream as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.bytes).poll_next(context);
        match &polled {
            Poll::Ready(None) => {
                if let Some(note) = self.note.take() {
                    note();
                }
            }
            Poll::Ready(Some(Err(_))) => self.note = None,
            _ => {}
        }
        polled
    }
}
