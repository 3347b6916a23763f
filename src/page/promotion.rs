//! A promotion that the ledger holds: the six fields, who approved, and the evidence, from the entry itself.

use maud::{Markup, html};

use crate::{
    event::{
        Header, Outcome,
        proto::{Promoted, Taint},
    },
    readable::visible,
};

use super::{
    checks::{Check, checks},
    parts::{digest, facts, state, time},
    sections::{self, Reading},
    shell::{Shell, document},
    words,
};

/// What the page is made from.
pub struct Promotion<'a> {
    /// The entry's header.
    pub header: &'a Header,
    /// Its date.
    pub date: u64,
    /// The event.
    pub promoted: &'a Promoted,
    /// What of its evidence must not be relied on any more.
    pub taints: &'a [Taint],
    /// Whether it is what its slot holds now, and up to which size that was asked.
    pub current: bool,
    /// Entries that the answer holds up to.
    pub as_of_size: u64,
    /// How each piece of evidence compares with the ledger.
    pub checks: &'a [Check],
    /// Names and evidence.
    pub reading: Reading<'a>,
}

/// The page.
pub fn page(shell: Shell<'_>, promotion: &Promotion<'_>) -> Vec<u8> {
    document(shell, &content(promotion))
}

/// `german-credit-pd 14`.
pub fn title(promoted: &Promoted) -> String {
    let model = promoted.model_version.as_ref();
    model.map(|model| format!("{} {}", model.name, model.version)).unwrap_or_default()
}

fn content(promotion: &Promotion<'_>) -> Markup {
    let Promotion { promoted, reading, .. } = *promotion;
    let model = promoted.model_version.clone().unwrap_or_default();
    let comparison = promoted.challenger_comparison.clone().unwrap_or_default();
    let request = promoted.approval_request.clone().unwrap_or_default();
    let routing = promoted.routing.clone().unwrap_or_default();
    let profile =
        promoted.profile.as_ref().and_then(|profile| reading.exhibits.get(profile)).unwrap_or_default();
    html! {
        p.kind { "Promotion, entry " (promotion.header.seq) }
        h1 { (visible(&title(promoted))) }
        p.for { "for " (visible(&words::slot(promoted.slot.as_ref()))) }
        (in_short(promotion))
        (sections::contents(&[
            ("model", "Model version"), ("change", "What changes"), ("comparison", "Comparison"),
            ("calibration", "Calibration"), ("explanation", "Explanation"), ("dataset", "Dataset"),
            ("request", "Request"), ("tier", "Tier"), ("approvals", "Approvers"), ("evidence", "Evidence"),
        ]))
        (sections::model_version(&model, promoted.slot.as_ref()))
        (sections::change(&routing))
        (sections::comparison(&comparison, profile, reading))
        (sections::calibration(profile))
        (sections::explanations(&promoted.explanations, reading))
        (sections::dataset(&promoted.dataset.clone().unwrap_or_default(), reading))
        (sections::request(&request, reading))
        (sections::routing(&routing))
        (sections::approvals(&promoted.approvals, request.form.as_ref(), reading))
        (sections::section(
            "evidence", "Evidence against the ledger", Some("evidence store, hashed as this page was made"), &checks(promotion.checks),
        ))
    }
}

fn in_short(promotion: &Promotion<'_>) -> Markup {
    let header = promotion.header;
    let standing = match (header.outcome, promotion.current) {
        (Outcome::Accepted, true) => state("good", "current in its slot"),
        (Outcome::Accepted, false) => state("plain", "accepted, not current now"),
        _ => state("bad", "not accepted"),
    };
    html! {
        @for taint in promotion.taints {
            p.notice.bad { "Evidence " (digest(&taint.sha256)) " must not be relied on any more (entry " (taint.seq) ")." }
        }
        (facts(&[
            ("State", html! { (standing) " " span.none { "as of " (promotion.as_of_size) " entries" } }),
            ("Date", time(promotion.date)),
            ("Event digest", digest(&header.event_digest.0)),
        ]))
        @if let Some(review) = &promotion.promoted.review {
            p { a href={ "../../sealed/" (review.seq) "/" } { "What the approvers saw: review of entry " (review.seq) } }
        }
    }
}
