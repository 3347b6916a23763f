//! What a decision must say before it is frozen. Pure.

use crate::event::{
    Digest,
    promotion::{Problem, Problems},
    proto::{Answer, Decision},
    review::{self as shape, required_questions},
    text::{free_text_problem, name_problem},
};

use super::{super::draft, decide::DecisionDraft, standing::Known};

/// Everything that is wrong with a decision.
pub(super) fn problems(draft: &DecisionDraft, known: &Known, served: &[(Digest, u64)]) -> Vec<Problem> {
    let mut p = Problems::default();
    let kind = shape::kind_of(draft.decision);
    p.require(
        kind.is_some(),
        "decision",
        "is missing; approve, approve_with_conditions, request_changes or decline",
    );
    let approves = kind == Some(crate::event::Kind::Approved);
    let package = known.sealed.package.clone().unwrap_or_default();
    let form = package.approval_request.as_ref().and_then(|request| request.form.as_ref());
    for (i, answer) in draft.answers.iter().enumerate() {
        let asked =
            form.is_some_and(|form| form.questions.iter().any(|question| question.id == answer.question));
        p.require(asked, format_args!("answers[{i}].question"), "is not a question of the form");
        if !answer.text.trim().is_empty() {
            p.add_some(format_args!("answers[{i}].text"), free_text_problem(&answer.text));
        }
    }
    if approves {
        for question in required_questions(&package) {
            let given = |answer: &Answer| answer.question == question && !answer.text.trim().is_empty();
            p.require(
                draft.answers.iter().any(given),
                "answers",
                format_args!("the required question {question:?} is not answered"),
            );
        }
        let was = |sha256: &[u8]| served.iter().any(|(it, _)| it.0 == sha256);
        p.require(
            was(&known.state.screen.0),
            "served",
            "the page was not served in full in this session; open it",
        );
        for artefact in known.sealed.artefacts.iter().filter(|artefact| artefact.required) {
            p.require(
                was(&artefact.sha256),
                "served",
                format_args!("{} was not served in full in this session; open it", artefact.name),
            );
        }
    } else {
        p.add_some("reason", free_text_problem(&draft.reason));
    }
    let conditional = draft.decision == Decision::ApproveWithConditions;
    p.require(
        conditional != draft.conditions.is_empty(),
        "conditions",
        if conditional { "are missing" } else { "belong to an approval with conditions" },
    );
    for (i, condition) in draft.conditions.iter().enumerate() {
        let at = format_args!("conditions[{i}]");
        p.add_some(format_args!("{at}.title"), name_problem(&condition.title));
        draft::person_rules(&mut p, format_args!("{at}.owner"), condition.owner.as_ref());
        p.require(
            condition.due_at > known.state.sealed_at,
            format_args!("{at}.due_at"),
            "is missing, or over",
        );
        let one = condition.evidence_kind.is_empty() != condition.slice.is_empty();
        p.require(one, at, "needs either a kind of evidence or a slice that must be given");
    }
    p.into_sorted()
}
