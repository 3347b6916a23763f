//! Pages around a decision: log in, sign what was frozen, what was recorded, where a review stands, what went wrong.

use maud::{Markup, html};

use crate::{
    event::{
        digest::sha256,
        proto::{Approval, Decision, DecisionAnswers, DecisionStatement},
    },
    readable::visible,
};

use super::{
    parts::{Fact, digest, facts, state, time},
    shell::{Shell, document},
};

/// A link: address and words.
pub type Link<'a> = (&'a str, &'a str);

fn links(links: &[Link<'_>]) -> Markup {
    html! { ul.plainly { @for (href, words) in links { li { a href=(href) { (visible(words)) } } } } }
}

/// What a review is about: model and version, and the slot in words.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Model and version.
    pub title: &'a str,
    /// The slot.
    pub slot: &'a str,
}

/// A decision in words.
pub fn decision_words(number: i32) -> &'static str {
    match Decision::try_from(number) {
        Ok(Decision::Approve) => "approve",
        Ok(Decision::ApproveWithConditions) => "approve with conditions",
        Ok(Decision::RequestChanges) => "request changes",
        Ok(Decision::Decline) => "decline",
        _ => "unknown",
    }
}

/// The page before everything else: who are you; `issuers`: address that leads there, and its name.
pub fn login(shell: Shell<'_>, what: &str, issuers: &[(String, String)]) -> Vec<u8> {
    let content = html! {
        p.kind { "Login" }
        h1 { (visible(what)) }
        section aria-labelledby="login-heading" {
            h2 id="login-heading" { "Who are you?" }
            p { "What is served to you is noted from here on: a decision says which documents you were served, and when." }
            @if issuers.is_empty() {
                p.notice.bad { "Nobody can log in: this node has no identity provider configured ([[logins]] in its configuration)." }
            }
            @for (href, issuer) in issuers {
                div.actions { a.button href=(href) { "Log in at " (visible(issuer)) } }
            }
        }
    };
    document(shell, &content)
}

/// The page that ends a session; `who` is logged in, and `form` says where the form goes, with the token that it carries.
pub fn leave(shell: Shell<'_>, who: &str, form: (&str, &str)) -> Vec<u8> {
    let content = html! {
        p.kind { "Logout" }
        h1 { "Log out" }
        section aria-labelledby="leave-heading" {
            h2 id="leave-heading" { "You are " (visible(who)) }
            p { "This browser's session ends here. What was served in it counts no longer: to decide, open the review again. The session at your identity provider goes on; end it there." }
            form method="post" action=(form.0) accept-charset="utf-8" {
                input type="hidden" name="token" value=(form.1);
                div.actions { button type="submit" { "Log out" } }
            }
        }
    };
    document(shell, &content)
}

/// The page after a session ended, or where there was none.
pub fn left(shell: Shell<'_>) -> Vec<u8> {
    let content = html! {
        p.kind { "Logout" }
        h1 { "You are logged out" }
        (links(&[("/inbox", "Log in again")]))
    };
    document(shell, &content)
}

/// A frozen decision that waits for its login.
pub struct Frozen<'a> {
    /// Of which review.
    pub about: About<'a>,
    /// Canonical DecisionStatement.
    pub bytes: &'a [u8],
    /// The same, read.
    pub statement: &'a DecisionStatement,
    /// Question and answer.
    pub answers: &'a [(String, String)],
    /// Why; may be empty.
    pub reason: &'a str,
    /// The nonce of the login.
    pub nonce: &'a str,
    /// Where the login starts.
    pub sign: &'a str,
    /// Who must log in.
    pub who: &'a str,
    /// Until when.
    pub expires_at: u64,
    /// What a digest stands for.
    pub named: &'a dyn Fn(&[u8]) -> String,
}

/// The page that leads to the login which signs a decision.
pub fn sign(shell: Shell<'_>, frozen: &Frozen<'_>) -> Vec<u8> {
    let statement = frozen.statement;
    let words = decision_words(statement.decision);
    let mut rows: Vec<Fact> = vec![("Decision", html! { b { (words) } })];
    for condition in &statement.conditions {
        rows.push((
            "Condition",
            html! { (visible(&condition.title)) ", by " (time(condition.due_at)) ", closed by "
            @if condition.slice.is_empty() { "evidence: " (visible(&condition.evidence_kind)) }
            @else { "metrics by " (visible(&condition.slice)) } },
        ));
    }
    rows.push(("You agree", html! { (visible(&statement.words)) }));
    for served in &statement.served {
        rows.push((
            "Served in full",
            html! { (visible(&(frozen.named)(&served.sha256))) ", " (time(served.at)) },
        ));
    }
    let content = html! {
        p.kind { "Not recorded yet: one step is left" }
        h1 { "Sign your decision: " (words) }
        p.for { (visible(frozen.about.title)) ", for " (visible(frozen.about.slot)) }
        section aria-labelledby="sign-heading" {
            h2 id="sign-heading" { "What you sign" }
            (facts(&rows))
            @if !frozen.answers.is_empty() || !frozen.reason.is_empty() {
                h3 { "What you wrote" }
                @for (question, answer) in frozen.answers { p { b { (visible(question)) } } div.prose { (visible(answer)) } }
                @if !frozen.reason.is_empty() { p { b { "Reason" } } div.prose { (visible(frozen.reason)) } }
            }
            div.actions { a.button href=(frozen.sign) { "Log in again and sign" } }
            p { "Log in as " (visible(frozen.who)) ". Your identity provider asks for your credentials anew and signs the number below, which stands for exactly this decision on exactly that page. Take it until " (time(frozen.expires_at)) "." }
            details {
                summary { "The number that is signed" }
                (facts(&[
                    ("Nonce", html! { code.digest { (frozen.nonce) } }),
                    ("Statement", html! { "SHA-256 " (digest(&sha256(frozen.bytes).0)) }),
                    ("Review", html! { "event " (digest(&statement.review_digest)) }),
                ]))
            }
        }
        p { "To change something, go back: nothing is recorded before you have logged in." }
    };
    document(shell, &content)
}

/// A recorded decision.
pub struct Recorded<'a> {
    /// Of which review.
    pub about: About<'a>,
    /// Its entry.
    pub seq: u64,
    /// When.
    pub date: u64,
    /// SHA-256 of its event, 32 bytes.
    pub event_digest: &'a [u8],
    /// What was frozen.
    pub statement: &'a DecisionStatement,
    /// Who, and how they logged in.
    pub decider: &'a Approval,
    /// What was written, where the reader wrote it.
    pub answers: Option<&'a DecisionAnswers>,
    /// A question in words, by its id.
    pub question: &'a dyn Fn(&str) -> String,
    /// Where the review stands now.
    pub standing: Standing<'a>,
    /// The log key, with which the receipt verifies.
    pub log_key: &'a str,
}

/// Where a review stands.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// Others must approve still.
    Lacks(&'a [String]),
    /// Enough have approved; the promotion is being recorded.
    Approved,
    /// By this entry.
    Promoted(u64),
    /// By this entry, without a promotion.
    Ended(u64),
    /// Nothing can be decided now, in words.
    Blocked(&'a str),
}

impl Standing<'_> {
    fn markup(self) -> Markup {
        match self {
            Self::Lacks(lacking) => {
                html! { (state("warn", "open")) " still needed: " (visible(&lacking.join(", "))) }
            }
            Self::Approved => {
                html! { (state("good", "approved")) " the promotion is being recorded; look again in a moment" }
            }
            Self::Promoted(seq) => html! { (state("good", "promoted")) " by entry " (seq) },
            Self::Ended(seq) => {
                html! { (state("plain", "ended")) " by entry " (seq) ", without a promotion" }
            }
            Self::Blocked(words) => html! { (state("bad", "no decisions now")) " " (visible(words)) },
        }
    }
}

/// The page after the login.
pub fn recorded(shell: Shell<'_>, entry: &Recorded<'_>) -> Vec<u8> {
    let words = decision_words(entry.statement.decision);
    let decider = entry.decider;
    let content = html! {
        p.kind { "Decision, entry " (entry.seq) }
        h1 { "Your decision is recorded: " (words) }
        p.for { (visible(entry.about.title)) ", for " (visible(entry.about.slot)) }
        section aria-labelledby="recorded-heading" {
            h2 id="recorded-heading" { "What stands in the ledger" }
            (facts(&[
                ("Review now", entry.standing.markup()),
                ("Entry", html! { (entry.seq) ", " (time(entry.date)) }),
                ("Event digest", digest(entry.event_digest)),
                ("Counted for", html! { @if decider.matched_groups.is_empty() { "no group" } @else { (visible(&decider.matched_groups.join(", "))) } }),
                ("Logged in", html! { (time(decider.auth_time)) ", level " (visible(&decider.acr)) }),
                ("Words", html! { (visible(&entry.statement.words)) }),
            ]))
            @if let Some(answers) = entry.answers {
                @for answer in &answers.answers { p { b { (visible(&(entry.question)(&answer.path))) } } div.prose { (visible(&answer.text)) } }
                @if !answers.reason.is_empty() { p { b { "Reason" } } div.prose { (visible(&answers.reason)) } }
            }
        }
        section aria-labelledby="receipt-heading" {
            h2 id="receipt-heading" { "Your receipt" }
            p { "Keep it: with the log key it shows, without this ledger and without a network, that your decision stands in it. "
                "It holds numbers, times and digests, no words and no names." }
            (links(&[(&format!("{}/receipt", entry.seq), "Download the receipt")]))
            pre.text { "promotion-ledger verify --receipt entry-" (entry.seq) ".tlog-proof --key '" (visible(entry.log_key)) "'" }
        }
        (links(&[("../", "The review"), ("/inbox", "Inbox")]))
    };
    document(shell, &content)
}

/// A review in which this reader has nothing to decide now; `own`: the entry of the reader's decision.
pub fn standing(
    shell: Shell<'_>,
    about: About<'_>,
    standing: Standing<'_>,
    own: Option<u64>,
    page: &str,
) -> Vec<u8> {
    let own_link = own.map(|seq| (format!("decided/{seq}"), format!("Your decision, entry {seq}")));
    let mut all: Vec<Link<'_>> =
        own_link.iter().map(|(href, words)| (href.as_str(), words.as_str())).collect();
    all.extend([(page, "What was put before the approvers"), ("/inbox", "Inbox")]);
    let content = html! {
        p.kind { "Review" }
        h1 { (visible(about.title)) }
        p.for { "for " (visible(about.slot)) }
        section aria-labelledby="standing-heading" {
            h2 id="standing-heading" { @if own.is_some() { "You have decided" } @else { "Nothing for you to decide" } }
            p { (standing.markup()) }
            (links(&all))
        }
    };
    document(shell, &content)
}

/// What went wrong, what to do, where to go on.
pub fn refused(
    shell: Shell<'_>,
    what: &str,
    problems: &[(String, String)],
    advice: &str,
    on: &[Link<'_>],
) -> Vec<u8> {
    let content = html! {
        p.kind { "Nothing was recorded by this" }
        h1 { (visible(what)) }
        section aria-labelledby="why-heading" {
            h2 id="why-heading" { "Why" }
            div.notice.bad role="alert" {
                ul.plainly { @for (field, description) in problems {
                    li { @if !field.is_empty() { b { (visible(field)) } " " } (visible(description)) }
                } }
            }
            p { (visible(advice)) }
            @if !on.is_empty() { (links(on)) }
        }
    };
    document(shell, &content)
}
