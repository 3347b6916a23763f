//! Evidence against the ledger: for each piece the digest that was frozen, and whether the stored bytes have it.

use maud::{Markup, html};

use crate::{event::proto::EvidenceRef, readable::visible};

use super::{
    exhibit::file_name,
    parts::{digest, state},
    words::bytes,
};

/// What was found of a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The stored bytes have the digest and the length that the ledger states.
    Match,
    /// They do not; what they have.
    Mismatch(String),
    /// The store does not have it.
    Missing,
    /// The store did not answer.
    Failed(String),
    /// Too long to be hashed for a page.
    NotRead,
}

/// One comparison.
#[derive(Debug, Clone)]
pub struct Check {
    /// Path of the field that refers to it.
    pub field: String,
    /// What the ledger says.
    pub reference: EvidenceRef,
    /// What the store has.
    pub found: Found,
}

/// A sentence for all of them, then a table.
pub fn checks(checks: &[Check]) -> Markup {
    let bad =
        checks.iter().filter(|check| matches!(check.found, Found::Mismatch(_) | Found::Missing)).count();
    let matching = checks.iter().filter(|check| check.found == Found::Match).count();
    html! {
        @if bad > 0 {
            p.notice.bad role="alert" { (bad) " of " (checks.len()) " pieces are not what the ledger says." }
        } @else if matching == checks.len() {
            p.notice.good { "All " (checks.len()) " pieces are byte for byte what the ledger says." }
        } @else {
            p.notice { (matching) " of " (checks.len()) " pieces were compared and match; the others were not read." }
        }
        div.scroll tabindex="0" { table.data {
            caption { "SHA-256 in the ledger, compared with the bytes in the store" }
            thead { tr { th scope="col" { "Field" } th scope="col" { "SHA-256 in the ledger" } th scope="col" { "Bytes in the store" } th scope="col" { "File" } } }
            tbody { @for check in checks { tr class=[matches!(check.found, Found::Mismatch(_) | Found::Missing).then_some("out")] {
                th scope="row" { (visible(&check.field)) }
                td { (digest(&check.reference.sha256)) }
                td { (found(&check.found)) }
                td { a href={ "artefacts/" (file_name(&check.reference)) } { (bytes(check.reference.length)) } }
            } } }
        } }
    }
}

fn found(found: &Found) -> Markup {
    match found {
        Found::Match => state("good", "match"),
        Found::Mismatch(is) => html! { (state("bad", "mismatch")) " " (visible(is)) },
        Found::Missing => state("bad", "missing"),
        Found::Failed(why) => html! { (state("warn", "not read")) " " (visible(why)) },
        Found::NotRead => {
            html! { (state("plain", "not read")) " too long for a page; show --evidence checks it" }
        }
    }
}
