//! A review in words and as JSON. Pure, but for printing.

use serde_json::{Value, json};

use crate::{
    cli::output::{self, say},
    event::proto::{Artefact, OpenCondition, Promoted, Review, ReviewSealed, ReviewState},
    page::{promotion::title, words},
};

/// Where a review stands.
pub fn state(review: &Review) -> &'static str {
    match review.state() {
        ReviewState::Open if review.blocked.is_empty() => "open",
        ReviewState::Open => "blocked",
        ReviewState::Approved => "approved",
        ReviewState::Promoted => "promoted",
        ReviewState::Ended => "ended",
        ReviewState::Unspecified => "unknown",
    }
}

fn parts(review: &Review) -> (ReviewSealed, Promoted) {
    let sealed = review.sealed.clone().unwrap_or_default();
    let package = sealed.package.clone().unwrap_or_default();
    (sealed, package)
}

/// One line of a list.
pub fn line(review: &Review) -> String {
    let (_, package) = parts(review);
    let tier = package.routing.as_ref().map_or("", |routing| routing.tier.as_str());
    let (title, slot) = (title(&package), words::slot(package.slot.as_ref()));
    let more = if review.lacking.is_empty() {
        String::new()
    } else {
        format!(", needs {}", review.lacking.join(", "))
    };
    format!("{:>8}  {:<9} {title} for {slot}, tier {tier}{more}", review.seq, state(review))
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// For programs.
pub fn json(review: &Review) -> Value {
    let (sealed, package) = parts(review);
    let request = package.approval_request.clone().unwrap_or_default();
    let questions = request.form.map(|form| form.questions).unwrap_or_default();
    let document = |artefact: &Artefact| {
        json!({
            "name": artefact.name, "sha256": hex_of(&artefact.sha256), "length": artefact.length,
            "media_type": artefact.media_type, "required": artefact.required,
        })
    };
    let condition = |open: &OpenCondition| {
        let condition = open.condition.clone().unwrap_or_default();
        json!({
            "approved_seq": open.approved_seq, "id": condition.id, "title": condition.title,
            "due_at": output::utc(condition.due_at), "evidence_kind": condition.evidence_kind, "slice": condition.slice,
        })
    };
    json!({
        "review": review.seq, "state": state(review), "blocked": review.blocked, "lacking": review.lacking,
        "approvals": review.approvals, "ended_by": review.ended_by, "sealed_at": output::utc(review.sealed_at),
        "round": sealed.round, "path": format!("/reviews/{}/", review.seq),
        "promotion_key": hex_of(&review.promotion_key),
        "screen_sha256": sealed.screen.as_ref().map(|screen| hex_of(&screen.sha256)),
        "model_version": title(&package), "slot": words::slot(package.slot.as_ref()),
        "tier": package.routing.as_ref().map(|routing| &routing.tier),
        "required": sealed.required.iter().map(|it| json!({"group": it.group, "count": it.count})).collect::<Vec<_>>(),
        "questions": questions.iter().map(|it| json!({"id": it.id, "text": it.text, "required": it.required})).collect::<Vec<_>>(),
        "documents": sealed.artefacts.iter().map(document).collect::<Vec<_>>(),
        "open_conditions": sealed.conditions.iter().map(condition).collect::<Vec<_>>(),
        "words": sealed.words,
        "expires_at": (sealed.expires_at > 0).then(|| output::utc(sealed.expires_at)),
    })
}

/// For people: what an approver decides on, shortly; everything is on the page.
pub fn print(review: &Review) {
    let (sealed, package) = parts(review);
    say!("Review {}: {} for {}", review.seq, title(&package), words::slot(package.slot.as_ref()));
    say!("  state            {}{}", state(review), note(&review.blocked));
    say!("  sealed           {}, round {}", output::utc(review.sealed_at), sealed.round);
    if let Some(routing) = &package.routing {
        say!("  tier             {}", routing.tier);
        for matched in &routing.matched {
            say!("  because          {}", matched.reason);
        }
    }
    let comparison = package.challenger_comparison.clone().unwrap_or_default();
    if comparison.no_incumbent {
        say!("  compared with    nothing: a first promotion in this slot");
    }
    for comparator in &comparison.comparators {
        say!(
            "  compared with    {} {} ({})",
            comparator.name,
            comparator.version,
            words::comparator_role(comparator.role)
        );
    }
    for check in &comparison.band_checks {
        let within = if check.within { "within" } else { "OUTSIDE" };
        say!(
            "  band             {} on {}: {} against {}, {within} {}",
            check.metric,
            check.segment,
            check.candidate,
            check.incumbent,
            check.tolerance
        );
    }
    for required in &sealed.required {
        say!("  needs            {} of {}", required.count, required.group);
    }
    say!("  approvals        {} so far", review.approvals.len());
    for lacking in &review.lacking {
        say!("  still needed     {lacking}");
    }
    for open in &sealed.conditions {
        let condition = open.condition.clone().unwrap_or_default();
        let (title, due) = (&condition.title, output::utc(condition.due_at));
        say!("  open condition   {title}, due {due} ({} of entry {})", condition.id, open.approved_seq);
    }
    for artefact in &sealed.artefacts {
        let must = if artefact.required { "must be opened" } else { "" };
        say!("  document         {} {} {must}", hex_of(&artefact.sha256), artefact.name);
    }
    for question in
        package.approval_request.iter().flat_map(|request| &request.form).flat_map(|form| &form.questions)
    {
        let required = if question.required { "" } else { " (optional)" };
        say!("  question         {}: {}{required}", question.id, question.text);
    }
    if sealed.expires_at > 0 {
        say!("  until            {}", output::utc(sealed.expires_at));
    }
    if let Some(screen) = &sealed.screen {
        say!("  page             {}", hex_of(&screen.sha256));
    }
    say!("  in a browser     /reviews/{}/ at the node's HTTP address", review.seq);
}

fn note(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}
