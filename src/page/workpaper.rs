//! An auditor's workpaper: what was sampled, how, and how each attribute ended. Made to be printed.

use maud::html;

use crate::readable::visible;

use super::{
    parts::{Fact, facts, state},
    shell::{Shell, document},
};

/// One promotion of the sample.
pub struct Row {
    /// Its entry.
    pub seq: u64,
    /// Model and version, slot, date, in words.
    pub what: String,
    /// Event digest.
    pub event_digest: String,
    /// For each attribute, in order: how it ended (`good`, `bad` or `plain`), in words, and what was found.
    pub results: Vec<(&'static str, &'static str, String)>,
    /// What was recorded about it since.
    pub later: String,
}

/// The page. `about`: how population and sample came to be; `attributes`: letter and what it tests.
pub fn page(
    shell: Shell<'_>,
    about: &[(&'static str, String)],
    attributes: &[(char, &str)],
    rows: &[Row],
) -> Vec<u8> {
    let about: Vec<Fact> = about.iter().map(|(name, text)| (*name, html! { (visible(text)) })).collect();
    let content = html! {
        p.kind { "Workpaper" }
        h1 { "Test of promotions" }
        (facts(&about))
        section aria-labelledby="attributes" {
            h2 id="attributes" { "Attributes" }
            dl.facts { @for (letter, what) in attributes { dt { (letter) } dd { (what) } } }
        }
        section aria-labelledby="results" {
            h2 id="results" { "Results" }
            div.scroll tabindex="0" { table.data {
                thead { tr { th scope="col" { "Entry" } th scope="col" { "Promotion" } @for (letter, _) in attributes { th scope="col" { (letter) } } } }
                tbody { @for row in rows { tr {
                    th scope="row" { a href={ "#entry-" (row.seq) } { (row.seq) } }
                    td { (visible(&row.what)) }
                    @for (class, words, _) in &row.results { td { (state(class, words)) } }
                } } }
            } }
        }
        @for row in rows {
            section aria-labelledby={ "entry-" (row.seq) } {
                h2 id={ "entry-" (row.seq) } { "Entry " (row.seq) ": " (visible(&row.what)) }
                p { "Event digest " code.digest { (row.event_digest) } }
                dl.facts { @for ((letter, _), (class, words, found)) in attributes.iter().zip(&row.results) {
                    dt { (letter) } dd { (state(class, words)) " " (visible(found)) }
                } }
                @if !row.later.is_empty() { p.notice { "Since then: " (visible(&row.later)) } }
            }
        }
        section aria-labelledby="signed" {
            h2 id="signed" { "Tested by" }
            dl.facts { dt { "Name" } dd { "\u{a0}" } dt { "Date" } dd { "\u{a0}" } dt { "Signature" } dd { "\u{a0}" } }
        }
    };
    document(shell, &content)
}
