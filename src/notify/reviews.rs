//! What is told of reviews: asked, reminder, escalation, decided, closed.

use serde_json::json;

use crate::{
    event::{
        Seq,
        proto::{CloseReason, Promoted, ReviewDecision, ReviewSealed, body::Event},
        review::statement,
    },
    page::{
        promotion::title,
        words::{slot, utc},
    },
};

use super::message::{From, Message, Told, message, slot_json};

/// What is told of an entry of a review; `sealed` reads the review that it is about.
pub(super) fn told(event: &Event, seq: Seq, sealed: &dyn Fn(Seq) -> Option<ReviewSealed>) -> Option<Told> {
    match event {
        Event::ReviewSealed(review) => Some(asked("review.asked", "asks for approval", seq, review)),
        Event::Approved(decision) => decided("approved", decision, sealed),
        Event::Declined(decision) => decided("declined", decision, sealed),
        Event::ChangesRequested(decision) => decided("sent back for changes", decision, sealed),
        Event::ReviewClosed(closed) => {
            let review = sealed(closed.review_seq)?;
            let why = CloseReason::try_from(closed.reason).map_or("", |reason| reason.as_str_name());
            let why = why.trim_start_matches("CLOSE_REASON_").to_lowercase();
            let mut told = asked("review.closed", &format!("was closed: {why}"), closed.review_seq, &review);
            told.text = closed.detail.clone();
            set(&mut told, "reason", json!(why));
            Some(told)
        }
        _ => None,
    }
}

fn decided(
    how: &str,
    decision: &ReviewDecision,
    sealed: &dyn Fn(Seq) -> Option<ReviewSealed>,
) -> Option<Told> {
    let review = sealed(decision.review_seq)?;
    let conditions = statement(decision).map(|statement| statement.conditions.len()).unwrap_or_default();
    let mut told = asked("review.decided", &format!("was {how}"), decision.review_seq, &review);
    if conditions > 0 {
        told.title.push_str(", with conditions");
    }
    set(&mut told, "decision", json!(how));
    set(&mut told, "conditions", json!(conditions));
    Some(told)
}

fn asked(event: &'static str, what: &str, seq: Seq, review: &ReviewSealed) -> Told {
    let none = Promoted::default();
    let package = review.package.as_ref().unwrap_or(&none);
    let request = package.approval_request.clone().unwrap_or_default();
    let tier = package.routing.as_ref().map(|routing| routing.tier.clone()).unwrap_or_default();
    let mut groups = request.asked_groups;
    groups.extend(review.required.iter().map(|required| required.group.clone()));
    groups.sort();
    groups.dedup();
    let needed: Vec<_> =
        review.required.iter().map(|required| format!("{} of {}", required.count, required.group)).collect();
    let due = if request.due_at == 0 { String::new() } else { format!("\nDue {}", utc(request.due_at)) };
    let data = json!({
        "review": seq, "request": { "system": request.system, "id": request.id }, "tier": tier,
        "required": needed, "due_at": (request.due_at > 0).then(|| utc(request.due_at)),
        "model_version": title(package), "slot": slot_json(package.slot.as_ref()),
    });
    Told {
        event,
        title: format!("{} {what}", title(package)),
        text: format!(
            "For {}.\nRequest {} {}, tier {tier}.\nApproval needed: {}{due}",
            slot(package.slot.as_ref()),
            request.system,
            request.id,
            if needed.is_empty() { "one person".into() } else { needed.join(", ") },
        ),
        link: format!("/reviews/{seq}/"),
        groups,
        data,
    }
}

/// What is told of a review whose time comes (`review.reminder`) or has passed (`review.escalation`).
pub(super) fn of_deadline(
    from: &From,
    seq: Seq,
    review: &ReviewSealed,
    due_at: u64,
    passed: bool,
) -> Message {
    let (event, what) = match passed {
        false => ("review.reminder", format!("waits for approval until {}", utc(due_at))),
        true => ("review.escalation", format!("was not decided by {}", utc(due_at))),
    };
    let told = asked(event, &what, seq, review);
    message(from, &format!("{seq}-{event}"), due_at, told, json!({ "seq": seq }))
}

fn set(told: &mut Told, name: &str, value: serde_json::Value) {
    if let Some(data) = told.data.as_object_mut() {
        data.insert(name.to_owned(), value);
    }
}
