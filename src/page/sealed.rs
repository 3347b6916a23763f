//! What was put before the approvers, for auditors: the sealed page itself, its bytes compared with the ledger, and who
//! decided what, on what they were served.

use maud::{Markup, PreEscaped, html};

use crate::{
    event::{
        Header, canonical,
        proto::{
            Approval, Artefact, Decision, DecisionAnswers, DecisionStatement, EvidenceRef, Opened, Promoted,
            ReviewSealed, SealedClaims,
        },
    },
    readable::visible,
};

use super::{
    checks::{Check, checks},
    parts::{Fact, digest, facts, state, time},
    people::People,
    promotion::title,
    sections::section,
    shell::{Shell, document, framed},
    words,
};

/// What the page is made from.
pub struct Sealed<'a> {
    /// Header of the ReviewSealed entry.
    pub header: &'a Header,
    /// Its date.
    pub date: u64,
    /// What was sealed.
    pub sealed: &'a ReviewSealed,
    /// Where it stands, in words, and whether that is an end.
    pub standing: (&'a str, bool),
    /// The Promoted entry, if it came to that.
    pub promoted_seq: Option<u64>,
    /// The page first, then every artefact.
    pub checks: &'a [Check],
    /// Entries that decided it.
    pub decisions: &'a [Decided],
}

/// An entry that decided.
pub struct Decided {
    /// Its number.
    pub seq: u64,
    /// Its date.
    pub date: u64,
    /// Who, and how they logged in.
    pub decider: Approval,
    /// What was frozen before the login.
    pub statement: DecisionStatement,
    /// What was answered, where it was opened.
    pub answers: Option<DecisionAnswers>,
    /// Names of that entry, where they are open.
    pub people: People,
}

/// Reads sealed answers.
pub fn answers(bytes: &[u8]) -> Option<DecisionAnswers> {
    (!bytes.is_empty()).then(|| canonical::decode_exact(bytes)).flatten()
}

/// The page. The sealed one is framed from `sealed/`, below this page's address.
pub fn page(shell: Shell<'_>, review: &Sealed<'_>) -> Vec<u8> {
    let none = Promoted::default();
    let package = review.sealed.package.as_ref().unwrap_or(&none);
    let content = html! {
        p.kind { "Review, entry " (review.header.seq) }
        h1 { (visible(&title(package))) }
        p.for { "for " (visible(&words::slot(package.slot.as_ref()))) }
        (facts(&in_short(review)))
        (section("checks", "Sealed bytes against the ledger", Some("evidence store, hashed as this page was made"), &checks(review.checks)))
        (seen())
        (decisions(review))
    };
    document(shell, &content)
}

fn in_short(review: &Sealed<'_>) -> Vec<Fact> {
    let (words, over) = review.standing;
    let mut rows = vec![
        ("State", state(if over { "plain" } else { "warn" }, words)),
        ("Sealed", time(review.date)),
        ("Event digest", digest(&review.header.event_digest.0)),
        ("Round", html! { (review.sealed.round) }),
        ("Agreed to", html! { (visible(&review.sealed.words)) }),
    ];
    if let Some(seq) = review.promoted_seq {
        rows.insert(1, ("Promoted", html! { a href={ "../../promotions/" (seq) "/" } { "entry " (seq) } }));
    }
    rows
}

fn seen() -> Markup {
    let content = html! {
        p.left-out { "These are the sealed bytes. The form cannot be sent from here." }
        figure.exhibit {
            figcaption { b { "The page that approvers were served" } ". " a href="sealed/" target="_blank" rel="noopener" { "Open in a tab of its own" } }
            iframe sandbox="allow-same-origin allow-popups" src="sealed/" title="The page that approvers were served" referrerpolicy="no-referrer" {}
        }
    };
    section("seen", "What they saw", Some("evidence store"), &content)
}

fn decisions(review: &Sealed<'_>) -> Markup {
    let content = html! {
        @if review.decisions.is_empty() { p { "Nobody has decided yet." } }
        @for decided in review.decisions {
            h3 { (visible(&decided.people.name(decided.decider.approver.as_ref()))) " " (decision(decided.statement.decision)) }
            (facts(&about(decided, review)))
            @if let Some(answers) = &decided.answers {
                details open { summary { "Answers" }
                    @for answer in &answers.answers { p { b { (visible(&question(review.sealed, &answer.path))) } } div.prose { (visible(&answer.text)) } }
                    @if !answers.reason.is_empty() { p { b { "Reason" } } div.prose { (visible(&answers.reason)) } }
                }
            }
        }
    };
    section("decisions", "Decisions", Some("identity provider and ledger"), &content)
}

fn decision(number: i32) -> Markup {
    match Decision::try_from(number) {
        Ok(Decision::Approve) => state("good", "approved"),
        Ok(Decision::ApproveWithConditions) => state("good", "approved with conditions"),
        Ok(Decision::RequestChanges) => state("warn", "requested changes"),
        Ok(Decision::Decline) => state("bad", "declined"),
        _ => state("plain", "unknown"),
    }
}

/// A question of the form in words; its id where the form has none such.
pub fn question(sealed: &ReviewSealed, id: &str) -> String {
    let form = sealed.package.as_ref().and_then(|package| package.approval_request.as_ref()?.form.as_ref());
    let found = form.iter().flat_map(|form| &form.questions).find(|question| question.id == id);
    found.map_or_else(|| id.to_owned(), |question| question.text.clone())
}

fn about(decided: &Decided, review: &Sealed<'_>) -> Vec<Fact> {
    let (decider, statement) = (&decided.decider, &decided.statement);
    let mut rows = vec![
        ("Entry", html! { (decided.seq) ", " (time(decided.date)) }),
        ("Decided at", time(decider.decided_at)),
        ("Counted for", html! { (visible(&decider.matched_groups.join(", "))) }),
        (
            "Logged in",
            html! { (time(decider.auth_time)) ", level " (visible(&decider.acr)) ", by " (visible(&decider.amr.join(" "))) },
        ),
        ("Verified by", html! { "key " (visible(&decider.verified_by)) }),
        ("Words", html! { (visible(&statement.words)) }),
    ];
    if let Some(seq) = statement.delegation_seq {
        rows.push(("Delegation", html! { "entry " (seq) }));
    }
    for condition in &statement.conditions {
        rows.push(("Condition", html! {
            (visible(&condition.title)) ", by " (time(condition.due_at)) ", owner " (visible(&decided.people.name(condition.owner.as_ref())))
        }));
    }
    for served in &statement.served {
        rows.push((
            "Served in full",
            html! { (visible(&named(review.sealed, &served.sha256))) ", " (time(served.at)) },
        ));
    }
    rows
}

/// What a digest stands for in a review.
pub fn named(sealed: &ReviewSealed, sha256: &[u8]) -> String {
    let is_page = sealed.screen.as_ref().is_some_and(|screen| screen.sha256 == sha256);
    let artefact = sealed.artefacts.iter().find(|artefact| artefact.sha256 == sha256);
    match (is_page, artefact) {
        (true, _) => "the page".into(),
        (false, Some(artefact)) => artefact.name.clone(),
        (false, None) => hex::encode(sha256),
    }
}

/// The sheet of people: what was sealed of each, at the path `screen`, for those who are not erased.
pub fn sheet(opened: &[Opened]) -> Vec<u8> {
    let claims = opened.iter().filter_map(|item| canonical::decode_exact::<SealedClaims>(&item.claims));
    let fragments: Vec<_> =
        claims.flat_map(|claims| claims.statements).filter(|statement| statement.path == "screen").collect();
    let content = html! {
        // Made by the server from escaped text when the review was sealed, and sealed with each person's data.
        @for fragment in &fragments { (PreEscaped(&fragment.text)) }
        @if fragments.is_empty() { p { "Nobody is named here: nothing was written, or everybody was erased." } }
    };
    framed("People, justification and residual risk", &content)
}

/// Everything that was sealed, by the name that the check shows: the page first.
pub fn evidence(sealed: &ReviewSealed) -> Vec<(String, EvidenceRef)> {
    let one = |artefact: &Artefact| {
        let Artefact { name, sha256, length, media_type, .. } = artefact.clone();
        (name, EvidenceRef { sha256, length, media_type, ..EvidenceRef::default() })
    };
    let page = sealed.screen.clone().map(|screen| ("the page".to_owned(), screen));
    page.into_iter().chain(sealed.artefacts.iter().map(one)).collect()
}
