//! The start page: what was promoted last, and where to go on.

use maud::html;

use crate::readable::visible;

use super::{
    parts::{state, time},
    shell::{Shell, document},
};

/// One promotion in a list.
pub struct Line {
    /// Its entry.
    pub seq: u64,
    /// Its date.
    pub date: u64,
    /// Model and version.
    pub title: String,
    /// The slot, in words.
    pub slot: String,
    /// Its tier.
    pub tier: String,
    /// Whether it is what its slot holds now.
    pub current: bool,
}

/// The page; `older`: address of the next page of the list.
pub fn page(shell: Shell<'_>, lines: &[Line], older: Option<&str>, alerts: &[String]) -> Vec<u8> {
    let content = html! {
        h1 { "Promotions" }
        p { a href="inbox" { "Your inbox" } " | " a href="sealed/" { "All reviews" } }
        @for alert in alerts { p.notice.bad role="alert" { (visible(alert)) } }
        section aria-labelledby="list-heading" {
            h2 id="list-heading" { "Newest first" }
            @if lines.is_empty() { p { "Nothing has been promoted yet." } }
            form action="promotions/compare" method="get" {
                div.scroll tabindex="0" { table.data.list {
                    caption { "Choose two to see them side by side" }
                    thead { tr {
                        th scope="col" { "First" } th scope="col" { "Second" } th scope="col" { "Model version" }
                        th scope="col" { "State" } th scope="col" { "Tier" } th scope="col" { "Date" } th scope="col" { "Slot" }
                    } }
                    tbody { @for (at, line) in lines.iter().enumerate() { tr {
                        td { input type="radio" name="a" value=(line.seq) aria-label={ "first: entry " (line.seq) } checked[at == 1]; }
                        td { input type="radio" name="b" value=(line.seq) aria-label={ "second: entry " (line.seq) } checked[at == 0]; }
                        th scope="row" { a href={ "promotions/" (line.seq) "/" } { (visible(&line.title)) } }
                        td { @if line.current { (state("good", "current")) } @else { (state("plain", "earlier")) } }
                        td { (visible(&line.tier)) }
                        td { (time(line.date)) }
                        td { (visible(&line.slot)) }
                    } } }
                } }
                @if lines.len() > 1 { div.actions { button.second type="submit" { "Side by side" } } }
            }
            @if let Some(older) = older { p { a href=(older) { "Older promotions" } } }
        }
    };
    document(shell, &content)
}
