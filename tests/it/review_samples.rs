//! Valid reviews: what is sealed, decided, closed, and the promotion that follows.

use promotion_ledger::{
    event::{
        Digest, Seq, canonical, digest,
        proto::{
            Approval, Artefact, ArtefactRole, CloseReason, Condition, ConditionClosed, Decision,
            DecisionAnswers, DecisionRef, DecisionStatement, Delegated, IncumbentChange, Promoted,
            RequiredApproval, ReviewClosed, ReviewDecision, ReviewRef, ReviewSealed, Served, Statement,
            body::Event,
        },
    },
    ledger::review_rows::{self, ReviewKey, ReviewRow, ReviewState},
};
use prost::Message;

use crate::samples::*;

pub const WORDS: &str = "I take this decision on exactly what this review shows.";

impl MemoryLookup {
    /// Entries of all reviews, in order.
    pub fn reviews(&self) -> Vec<Seq> {
        let reviews = self.review_rows.keys().filter_map(|key| match key {
            ReviewKey::Review(seq) => Some(*seq),
            _ => None,
        });
        let mut reviews: Vec<_> = reviews.collect();
        reviews.sort_unstable();
        reviews
    }

    pub fn review(&self, seq: Seq) -> ReviewState {
        match self.review_rows.get(&ReviewKey::Review(seq)) {
            Some(ReviewRow::Review(review)) => review.clone(),
            other => panic!("entry {seq} is no review: {other:?}"),
        }
    }
}

/// What is put before the approvers of a version of a model: two members of `model-risk`.
pub fn review_sealed(model: &str, n: u32, champion: Option<u32>) -> ReviewSealed {
    let package = Promoted { approvals: Vec::new(), ..promoted(model, n, champion) };
    let artefact = |role: ArtefactRole, what: &str, media_type: &str, required| Artefact {
        role: role.into(),
        name: what.into(),
        sha256: hash_of(what),
        length: 1000,
        media_type: media_type.into(),
        required,
        renders: Vec::new(),
    };
    ReviewSealed {
        package: Some(package),
        round: 1,
        screen: Some(evidence(&format!("screen-{model}-{n}"), "text/html")),
        artefacts: vec![
            artefact(ArtefactRole::ComparisonReport, "report", "text/html", true),
            Artefact {
                renders: hash_of("report"),
                ..artefact(ArtefactRole::StaticRendition, "report.png", "image/png", false)
            },
            artefact(ArtefactRole::Explanation, "shap", "text/html", true),
        ],
        required: vec![RequiredApproval { group: "model-risk".into(), count: 2 }],
        conditions: Vec::new(),
        words: WORDS.into(),
        expires_at: T0 + 24 * HOUR,
        on_incumbent_change: IncumbentChange::Supersede.into(),
    }
}

pub fn condition(id: &str) -> Condition {
    Condition {
        id: id.into(),
        title: "Calibration by age band".into(),
        owner: Some(person("Carl")),
        due_at: T0 + 90 * 24 * HOUR,
        evidence_kind: String::new(),
        slice: "age_band".into(),
    }
}

/// The statement of a decision in a review of a ledger.
pub fn decision_statement(ledger: &Ledger, review: Seq, decision: Decision) -> DecisionStatement {
    let known = match ledger.look.review_rows.get(&ReviewKey::Review(review)) {
        Some(ReviewRow::Review(known)) => Some(known.clone()),
        _ => None,
    };
    let (review_digest, screen) =
        known.map_or((vec![7; 32], vec![8; 32]), |known| (bytes(known.event_digest), bytes(known.screen)));
    DecisionStatement {
        ledger_id: bytes(ledger.pinned),
        review_digest,
        decision: decision.into(),
        answers_digest: bytes(digest::decision_answers(&answers().encode_to_vec())),
        answered: vec!["fair".into()],
        words: WORDS.into(),
        conditions: (decision == Decision::ApproveWithConditions)
            .then(|| condition("c1"))
            .into_iter()
            .collect(),
        served: [screen, hash_of("report"), hash_of("shap")]
            .into_iter()
            .map(|sha256| Served { sha256, at: T0 })
            .collect(),
        delegation_seq: None,
    }
}

/// What was written in the form.
pub fn answers() -> DecisionAnswers {
    let answer = Statement { path: "fair".into(), text: "Yes, in all segments.".into() };
    DecisionAnswers { blind: vec![0x57; 32], answers: vec![answer], reason: String::new() }
}

/// A decision of somebody in some groups.
pub fn decision(ledger: &Ledger, review: Seq, decision: Decision, who: &str, groups: &[&str]) -> Event {
    let statement = decision_statement(ledger, review, decision);
    decided(review, &statement, decision, decider(ledger, who, groups))
}

/// Who decides, just now.
pub fn decider(ledger: &Ledger, who: &str, groups: &[&str]) -> Approval {
    let now = T0 + ledger.size() * SECOND;
    Approval {
        approver: Some(person(who)),
        decided_at: now,
        matched_groups: groups.iter().map(|&group| group.to_owned()).collect(),
        groups_complete: true,
        auth_time: now,
        acr: "mfa".into(),
        amr: vec!["pwd".into(), "otp".into()],
        assertion_sha256: hash_of(&format!("token of {who}")),
        answered: vec!["fair".into()],
        verified_by: "kid-1".into(),
        ..Approval::default()
    }
}

pub fn decided(review_seq: Seq, statement: &DecisionStatement, kind: Decision, decider: Approval) -> Event {
    let statement = statement.encode_to_vec();
    let decision = ReviewDecision { review_seq, statement, salt: vec![0x58; 32], decider: Some(decider) };
    match kind {
        Decision::Decline => Event::Declined(decision),
        Decision::RequestChanges => Event::ChangesRequested(decision),
        _ => Event::Approved(decision),
    }
}

/// The promotion of a review, as its finisher makes it from the entries.
pub fn promoted_after(ledger: &Ledger, review: Seq) -> Event {
    let body = |seq: Seq| canonical::decode(&ledger.records[seq as usize]).expect("a record").body;
    let state = ledger.look.review(review);
    let Some(Event::ReviewSealed(package)) = body(review).event else { panic!("no review") };
    let approvals = state.approvals.iter().map(|approved| {
        let Some(Event::Approved(decision)) = body(approved.seq).event else { panic!("no approval") };
        let decided = DecisionRef { seq: approved.seq, event_digest: bytes(approved.event_digest) };
        Approval { decided: Some(decided), ..decision.decider.expect("a decider") }
    });
    Event::Promoted(Promoted {
        approvals: approvals.collect(),
        review: Some(ReviewRef {
            seq: review,
            event_digest: bytes(state.event_digest),
            screen: package.screen.clone(),
        }),
        ..package.package.expect("a package")
    })
}

pub fn review_closed(review_seq: Seq, reason: CloseReason) -> Event {
    let actor = (reason == CloseReason::Withdrawn).then(|| person("Rita"));
    Event::ReviewClosed(ReviewClosed { review_seq, reason: reason.into(), actor, ..ReviewClosed::default() })
}

pub fn delegated(from: &str, to: &str, group: &str) -> Event {
    Event::Delegated(Delegated {
        delegator: Some(person(from)),
        delegate: Some(person(to)),
        group: group.into(),
        from_at: T0,
        until: T0 + 24 * HOUR,
        request_id: format!("{from} to {to}"),
        ..Delegated::default()
    })
}

pub fn delegation_ended(seq: Seq, by: &str) -> Event {
    Event::Delegated(Delegated {
        ends_seq: Some(seq),
        actor: Some(person(by)),
        request_id: format!("{by} ends {seq}"),
        ..Delegated::default()
    })
}

pub fn condition_closed(model: &str, approved_seq: Seq, id: &str, who: &str) -> Event {
    Event::ConditionClosed(ConditionClosed {
        slot: Some(slot(model)),
        approved_seq,
        condition_id: id.into(),
        evidence: Some(evidence("calibration-by-age-band", "application/json")),
        actor: Some(person(who)),
        request_id: format!("close {id}"),
    })
}

/// Open conditions of a slot.
pub fn open_conditions(ledger: &Ledger, model: &str) -> Vec<(Seq, String)> {
    let slot: Digest = digest::slot(&slot(model));
    let open = review_rows::conditions(&ledger.look, &slot).expect("infallible");
    open.into_iter().map(|condition| (condition.approved, condition.id)).collect()
}
