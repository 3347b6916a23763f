//! One person's list: what waits for that person, what waits for others.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use tonic::Status;

use crate::{
    event::Digest,
    ledger::review_rows::ReviewStatus,
    page::inbox::{self, Standing, Waiting},
    projection::reviews::{self, Review},
};

use super::{
    super::{pages::html, sealed::waiting},
    browser::Visitor,
    desk::{Desk, shell, who},
};

/// Reviews on the list.
const LIST_LEN: usize = 200;

/// `/inbox`.
pub async fn list(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let Some(visitor) = desk.visitor(&headers) else {
        return desk.login_page("Log in to see what waits for you", "inbox");
    };
    let (ledger, head) = (&desk.node.ledger, desk.node.ledger.head());
    let found = match tokio::task::block_in_place(|| reviews::newest(ledger, &head, LIST_LEN)) {
        Ok(found) => found,
        Err(error) => return desk.refused(&Status::from(error)),
    };
    let newest = found.iter().filter_map(|review| review.state.newest()).max();
    if let Err(error) = desk.node.gateway.until_synced(newest).await {
        return desk.refused(&Status::from(error));
    }
    let subject = desk.subject(&visitor.principal);
    let now = desk.now();
    let mut own: Vec<_> = found.iter().filter_map(|review| line(review, &visitor, subject, now)).collect();
    own.sort_by_key(|review| (review.due_at == 0, review.due_at));
    html(StatusCode::OK, inbox::page(shell("Reviews", &head.state.origin), &who(&visitor.principal), &own))
}

/// A review, if this reader decides it or has a part in it.
fn line(review: &Review, visitor: &Visitor, subject: Option<Digest>, now: u64) -> Option<Waiting> {
    let state = &review.state;
    let decides = state.required.iter().any(|(group, _)| visitor.principal.groups.contains(group));
    let is = |person: &Digest| Some(*person) == subject;
    let has_part = state.excluded.iter().any(is);
    if !decides && !has_part && !state.required.is_empty() {
        return None;
    }
    let decided = state.approvals.iter().any(|approval| is(&approval.subject));
    let mut line = Waiting { href: format!("reviews/{}/", review.header.seq), ..waiting(review, now) };
    if state.status == ReviewStatus::Open && (has_part || decided) {
        line.standing = Standing::WaitsForOthers;
    }
    Some(line)
}
