//! The form that a review's page posts -> a decision, or every reason why not. Pure.

use std::collections::BTreeMap;

use crate::{
    admission::reviews::decide::DecisionDraft,
    event::{
        promotion::Problem,
        proto::{Answer, ConditionDraft, Decision, Person},
    },
    review::screen::{
        CONDITIONS, DECISIONS, FIELD_AGREE, FIELD_ANSWER, FIELD_CONDITION, FIELD_DECISION, FIELD_REASON,
    },
};

/// Reads the fields; what only the ledger knows (questions, what was served) is checked when the decision is frozen.
///
/// # Errors
/// Every problem.
pub fn read(fields: Vec<(String, String)>) -> Result<DecisionDraft, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut all = BTreeMap::new();
    for (name, value) in fields {
        // Browsers send line ends as CRLF.
        if all.insert(name.clone(), value.replace("\r\n", "\n")).is_some() {
            problems.push(problem(&name, "stands twice in the form"));
        }
    }
    let text = |name: &str| all.get(name).cloned().unwrap_or_default();
    let decision = DECISIONS.iter().position(|name| *name == text(FIELD_DECISION));
    let kinds =
        [Decision::Approve, Decision::ApproveWithConditions, Decision::RequestChanges, Decision::Decline];
    let decision = decision.and_then(|at| kinds.get(at)).copied().unwrap_or_default();
    let approves = matches!(decision, Decision::Approve | Decision::ApproveWithConditions);
    if approves && text(FIELD_AGREE).is_empty() {
        problems.push(problem(FIELD_AGREE, "is missing: confirm what you agree to, above the buttons"));
    }
    let mut conditions = Vec::new();
    for at in 0..CONDITIONS {
        match condition(at, &|part| text(&format!("{FIELD_CONDITION}{at}.{part}")).trim().to_owned()) {
            Ok(found) => conditions.extend(found),
            Err(wrong) => problems.push(wrong),
        }
    }
    let answers = all.iter().filter_map(|(name, value)| {
        let question = name.strip_prefix(FIELD_ANSWER)?.to_owned();
        (!value.trim().is_empty()).then(|| Answer { question, text: value.clone() })
    });
    let (answers, reason) = (answers.collect(), text(FIELD_REASON));
    if problems.is_empty() {
        Ok(DecisionDraft { decision, answers, reason, conditions, ..DecisionDraft::default() })
    } else {
        Err(problems)
    }
}

fn problem(field: &str, description: &str) -> Problem {
    Problem { field: field.into(), description: description.into() }
}

/// One condition; `None` if nothing of it was filled in (the issuer is, by the page itself).
fn condition(at: usize, text: &impl Fn(&str) -> String) -> Result<Option<ConditionDraft>, Problem> {
    let parts = ["title", "owner_subject", "evidence", "slice", "due"];
    if parts.iter().all(|part| text(part).is_empty()) {
        return Ok(None);
    }
    let due = text("due");
    let due_at = end_of_day(&due).ok_or_else(|| {
        problem(&format!("condition {} due", at + 1), "is missing, or no date such as 2027-01-31")
    })?;
    let owner = Person { issuer: text("owner_issuer"), subject: text("owner_subject"), name: String::new() };
    Ok(Some(ConditionDraft {
        title: text("title"),
        owner: Some(owner),
        due_at,
        evidence_kind: text("evidence"),
        slice: text("slice"),
    }))
}

/// The last second of a day (YYYY-MM-DD) in UTC, microseconds.
fn end_of_day(date: &str) -> Option<u64> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let end = date.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(end.timestamp().as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_becomes_a_decision() {
        let draft = read(fields(&[
            ("answer.fair", "Yes,\r\nit is."),
            ("answer.other", "  "),
            ("condition.0.title", "Calibration"),
            ("condition.0.owner_issuer", "https://idp.example"),
            ("condition.0.owner_subject", "carl"),
            ("condition.0.slice", "age_band"),
            ("condition.0.due", "2027-01-31"),
            ("condition.1.owner_issuer", "https://idp.example"),
            ("agree", "yes"),
            ("decision", "approve_with_conditions"),
        ]))
        .expect("a decision");
        assert_eq!(draft.decision, Decision::ApproveWithConditions);
        assert_eq!(draft.answers, [Answer { question: "fair".into(), text: "Yes,\nit is.".into() }]);
        assert_eq!(draft.conditions.len(), 1, "the second was not filled in");
        assert_eq!(draft.conditions.first().map(|it| it.due_at), Some(1_801_439_999_000_000));
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let wrong = read(fields(&[
            ("decision", "approve"),
            ("decision", "decline"),
            ("condition.3.title", "No date"),
        ]));
        let problems = wrong.expect_err("problems");
        let named: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(named, ["decision", "condition 4 due"]);
        assert_eq!(
            read(fields(&[("decision", "approve")])).expect_err("no word").len(),
            1,
            "agreed to nothing"
        );
        assert!(read(fields(&[("decision", "decline")])).is_ok(), "a refusal agrees to nothing");
    }
}
