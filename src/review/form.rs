//! The form of a decision. It needs no scripts: what an approval must have is marked for the browser, refusals skip it
//! (`formnovalidate`), and the server checks everything again.

use maud::{Markup, html};

use crate::{event::proto::FormQuestion, page::sections::section, readable::visible};

use super::package::Package;

/// Where the page posts the form, relative to the review's address.
pub const FORM_PATH: &str = "decide";
/// Field of the form: one of [`DECISIONS`].
pub const FIELD_DECISION: &str = "decision";
/// What can be decided, as the form says it.
pub const DECISIONS: [&str; 4] = ["approve", "approve_with_conditions", "request_changes", "decline"];
/// Field of the form: the box of [`WORDS`]; an approval needs it.
pub const FIELD_AGREE: &str = "agree";
/// Fields of the form that answer questions start with this; the question's id follows.
pub const FIELD_ANSWER: &str = "answer.";
/// Field of the form: why, in words; needed to decline or to request changes.
pub const FIELD_REASON: &str = "reason";
/// Fields of the form for condition 0 to 3: `condition.0.title`, `.owner_issuer`, `.owner_subject`, `.due`
/// (YYYY-MM-DD), `.evidence` (kind of evidence) or `.slice` (a dimension of segments).
pub const FIELD_CONDITION: &str = "condition.";
/// Conditions that one approval can carry by way of the form.
pub const CONDITIONS: usize = 4;
/// What an approver agrees to, word for word.
pub const WORDS: &str =
    "I have opened the documents of this review and take this decision on exactly what it shows.";

/// The section with the form.
pub fn decision(package: &Package) -> Markup {
    let form = package.promoted.approval_request.as_ref().and_then(|request| request.form.as_ref());
    let questions = form.map(|form| form.questions.as_slice()).unwrap_or_default();
    let content = html! {
        p { "You decide on exactly what stands above. After you send this form you log in again; your identity provider then signs your decision together with the digest of this page." }
        form method="post" action=(FORM_PATH) accept-charset="utf-8" {
            @for (at, question) in questions.iter().enumerate() { (asked(at, question)) }
            details { summary { "Conditions, for an approval with conditions" } (conditions(package)) }
            div.question {
                label for="reason" { "Reason" }
                p.hint id="reason-hint" { "Required if you request changes or decline; otherwise a remark for the record." }
                textarea id="reason" name=(FIELD_REASON) aria-describedby="reason-hint" maxlength="16000" {}
            }
            div.choice {
                input type="checkbox" id="agree" name=(FIELD_AGREE) value="yes" required;
                label for="agree" { (WORDS) }
            }
            div.actions {
                button type="submit" name=(FIELD_DECISION) value=(DECISIONS[0]) { "Approve" }
                button.second type="submit" name=(FIELD_DECISION) value=(DECISIONS[1]) { "Approve with conditions" }
                button.no type="submit" name=(FIELD_DECISION) value=(DECISIONS[2]) formnovalidate { "Request changes" }
                button.no type="submit" name=(FIELD_DECISION) value=(DECISIONS[3]) formnovalidate { "Decline" }
            }
        }
    };
    section("decision", "Your decision", None, &content)
}

fn asked(at: usize, question: &FormQuestion) -> Markup {
    let id = format!("question-{}", at + 1);
    html! {
        div.question {
            label for=(id) { (at + 1) ". " (visible(&question.text)) }
            p.hint id={ (id) "-hint" } { @if question.required { "Required for an approval." } @else { "Optional." } }
            textarea id=(id) name={ (FIELD_ANSWER) (question.id) } aria-describedby={ (id) "-hint" } maxlength="16000" required[question.required] {}
        }
    }
}

fn conditions(package: &Package) -> Markup {
    let request = package.promoted.approval_request.as_ref();
    let issuer =
        request.and_then(|request| request.requested_by.as_ref()).map_or("", |person| &person.issuer);
    html! {
        p.hint { "Each is enforced on this slot's next promotion until somebody other than its owner closes it. A title stands in clear for ever: no names in it." }
        @for at in 0..CONDITIONS { (condition(at, issuer)) }
    }
}

fn condition(at: usize, issuer: &str) -> Markup {
    let id = |part: &str| format!("condition-{at}-{part}");
    let text = |part: &str, label: &str, value: &str| {
        html! {
            div {
                label for=(id(part)) { (label) }
                input type="text" id=(id(part)) name=(format!("{FIELD_CONDITION}{at}.{part}")) value=(value) maxlength="256" autocomplete="off";
            }
        }
    };
    html! {
        fieldset {
            legend { "Condition " (at + 1) }
            (text("title", "What must be done", ""))
            div.pair {
                (text("owner_subject", "Owner: subject at the identity provider", ""))
                (text("owner_issuer", "Owner: identity provider", issuer))
                (text("evidence", "Closed by evidence of this kind", ""))
                (text("slice", "Or by metrics of this dimension, for instance age_band", ""))
            }
            div {
                label for=(id("due")) { "Due" }
                input type="date" id=(id("due")) name=(format!("{FIELD_CONDITION}{at}.due"));
            }
        }
    }
}
