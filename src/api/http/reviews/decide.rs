//! The click: the form is frozen, a login signs it, the entry is shown.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use tonic::Status;

use crate::{
    admission::{
        Error,
        reviews::{
            decide::{DecisionDraft, Prepared},
            standing::Known,
        },
    },
    event::{
        Header, Seq, canonical,
        proto::{DecisionAnswers, DecisionStatement, ReviewDecision, SealedClaims, body::Event},
        review,
    },
    node::Node,
    page::{
        desk::{self, Frozen, Recorded},
        sealed,
    },
    proof::checkpoint::LogKey,
};

use super::{
    super::pages::html,
    browser::{Cookie, Purpose, Visitor},
    desk::{Desk, about, shell, who, words_of},
    enter, form,
    show::{blocked, standing},
};

/// Takes the form, freezes the decision. Nothing is written.
pub async fn freeze(
    State(desk): State<Arc<Desk>>,
    Path((seq, token)): Path<(Seq, String)>,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let (visitor, known) = match desk.reader(&headers, seq).await {
        Ok(found) => found,
        Err(instead) => return *instead,
    };
    let path = format!("/reviews/{seq}/");
    let review = [(path.as_str(), "The review")];
    if visitor.token != token {
        let status = Status::permission_denied(
            "this form is of another login; that session is over, and what it was served does not count here",
        );
        return desk.refusal("Open the review again", &status, "Then decide there.", &review);
    }
    let draft = form::read(fields).map(|draft| DecisionDraft {
        review: seq,
        session: visitor.session.clone(),
        person: Some((visitor.principal.issuer.clone(), visitor.principal.subject.clone())),
        ..draft
    });
    let prepared = match draft {
        Ok(draft) => {
            let prepared = desk.node.gateway.prepare_decision(draft.clone()).await;
            prepared.map(|prepared| (draft, prepared))
        }
        Err(problems) => Err(Error::Invalid(problems)),
    };
    match prepared {
        Ok((draft, prepared)) => sign_page(&desk, &visitor, &known, &draft, &prepared),
        Err(error) => desk.refusal(
            "The decision cannot be taken like this",
            &Status::from(error),
            "Go back with your browser: what you wrote is still there.",
            &review,
        ),
    }
}

fn sign_page(
    desk: &Desk,
    visitor: &Visitor,
    known: &Known,
    draft: &DecisionDraft,
    prepared: &Prepared,
) -> Response {
    let statement = canonical::decode_exact::<DecisionStatement>(&prepared.statement).unwrap_or_default();
    // In the order in which the form asks.
    let form =
        known.sealed.package.as_ref().and_then(|package| package.approval_request.as_ref()?.form.as_ref());
    let questions = form.map(|form| form.questions.as_slice()).unwrap_or_default();
    let text = |id: &str| draft.answers.iter().find(|answer| answer.question == id).map(|it| it.text.clone());
    let answers: Vec<_> = questions.iter().filter_map(|it| Some((it.text.clone(), text(&it.id)?))).collect();
    let (words, origin, who) = (words_of(known), desk.origin(), who(&visitor.principal));
    let page = desk::sign(
        shell("Sign your decision", &origin),
        &Frozen {
            about: about(&words),
            bytes: &prepared.statement,
            statement: &statement,
            answers: &answers,
            reason: &draft.reason,
            nonce: &prepared.nonce,
            sign: &format!("sign/{}", prepared.nonce),
            who: &who,
            expires_at: prepared.expires_at,
            named: &|sha256| sealed::named(&known.sealed, sha256),
        },
    );
    html(StatusCode::OK, page)
}

/// To the login that signs a frozen decision of this visitor.
pub async fn sign(
    State(desk): State<Arc<Desk>>,
    Path((seq, token, nonce)): Path<(Seq, String, String)>,
    headers: HeaderMap,
) -> Response {
    let visitor = match desk.reader_at(&headers, seq, &token).await {
        Ok((visitor, _)) => visitor,
        Err(instead) => return *instead,
    };
    let own = (&visitor.principal.issuer, &visitor.principal.subject);
    let frozen = desk.node.gateway.reviews.frozen(&nonce, desk.now());
    let frozen = frozen.filter(|it| {
        it.review == seq && it.person.as_ref().is_some_and(|(issuer, subject)| (issuer, subject) == own)
    });
    let cookie = desk.cookies.read(&headers, Cookie::Session);
    let (Some(_), Some(browser)) = (frozen, cookie) else {
        let status = Status::failed_precondition(
            "no such decision waits for your login: it was frozen too long ago, or before this node was restarted",
        );
        let path = format!("/reviews/{seq}/");
        return desk.refusal(
            "Decide again",
            &status,
            "Open the review and send the form anew.",
            &[(&path, "The review")],
        );
    };
    let issuer = visitor.principal.issuer.clone();
    enter::start(&desk, issuer, nonce, browser, Purpose::Decide { review: seq, visitor }).await
}

/// A recorded decision of this reader.
pub async fn decided(
    State(desk): State<Arc<Desk>>,
    Path((seq, entry)): Path<(Seq, Seq)>,
    headers: HeaderMap,
) -> Response {
    let (visitor, known) = match desk.reader(&headers, seq).await {
        Ok(found) => found,
        Err(instead) => return *instead,
    };
    let found = match own_decision(&desk, &visitor, seq, entry).await {
        Ok(found) => found,
        Err(status) => return desk.refused(&status),
    };
    let (words, origin) = (words_of(&known), desk.origin());
    let (lacking, blocked) = (desk.node.gateway.lacks(&known), blocked(&desk, &known).await);
    let recorded = Recorded {
        about: about(&words),
        seq: entry,
        date: found.date,
        event_digest: &found.header.event_digest.0,
        statement: &found.statement,
        decider: &found.decision.decider.clone().unwrap_or_default(),
        answers: found.answers.as_ref(),
        question: &|id| sealed::question(&known.sealed, id),
        standing: standing(&known, &lacking, blocked.as_deref()),
        log_key: &log_key(&desk.node),
    };
    html(StatusCode::OK, desk::recorded(shell("Your decision", &origin), &recorded))
}

/// The receipt of a decision of this reader, as a file: a C2SP tlog-proof that verifies offline.
pub async fn receipt(
    State(desk): State<Arc<Desk>>,
    Path((seq, entry)): Path<(Seq, Seq)>,
    headers: HeaderMap,
) -> Response {
    let (visitor, _) = match desk.reader(&headers, seq).await {
        Ok(found) => found,
        Err(instead) => return *instead,
    };
    if let Err(status) = own_decision(&desk, &visitor, seq, entry).await {
        return desk.refused(&status);
    }
    match desk.node.ledger.newest_receipt(entry) {
        Ok(receipt) => (
            [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"entry-{entry}.tlog-proof\"")),
                (header::CACHE_CONTROL, "no-store".into()),
            ],
            receipt.to_text(),
        )
            .into_response(),
        Err(error) => desk.refused(&error.into()),
    }
}

/// The ledger's log key, as a verifier key.
fn log_key(node: &Node) -> String {
    let state = &node.ledger.head().state;
    let key = canonical::public_key(&state.log_key);
    key.map(|key| LogKey { origin: state.origin.clone(), key }.vkey()).unwrap_or_default()
}

struct Own {
    header: Header,
    date: u64,
    decision: ReviewDecision,
    statement: DecisionStatement,
    answers: Option<DecisionAnswers>,
}

/// An entry, if it is a decision of this reader in this review.
async fn own_decision(desk: &Desk, visitor: &Visitor, review: Seq, entry: Seq) -> Result<Own, Status> {
    let none = || Status::not_found(format!("entry {entry} is no decision of yours in this review"));
    let answer = super::super::pages::entry(&desk.node, &visitor.caller(), entry, true).await?;
    let stored = answer.entry.clone().unwrap_or_default();
    let header = Header::decode(&stored.header).map_err(|error| Status::data_loss(error.to_string()))?;
    let decision = match canonical::decode(&stored.record).ok().and_then(|record| record.body.event) {
        Some(Event::Approved(e) | Event::Declined(e) | Event::ChangesRequested(e))
            if e.review_seq == review =>
        {
            e
        }
        _ => return Err(none()),
    };
    let decider = decision.decider.as_ref().and_then(|decider| decider.approver.as_ref());
    let id = desk.subject(&visitor.principal).ok_or_else(none)?;
    if decider.is_none_or(|person| person.subject_id != id.0) {
        return Err(none());
    }
    let claims =
        answer.opened.iter().filter_map(|item| canonical::decode_exact::<SealedClaims>(&item.claims));
    let answers = claims.map(|claims| sealed::answers(&claims.answers)).find(Option::is_some).flatten();
    let statement = review::statement(&decision).unwrap_or_default();
    Ok(Own { header, date: answer.date, decision, statement, answers })
}
