//! The inbox: reviews that wait for one person, or for the groups that the person is in.

use maud::{Markup, html};

use crate::readable::visible;

use super::{
    parts::{state, time},
    shell::{Shell, document},
};

/// One review.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Address of the review.
    pub href: String,
    /// Model and version.
    pub title: String,
    /// The slot, in words.
    pub slot: String,
    /// Its tier.
    pub tier: String,
    /// The request, as its system names it.
    pub request: String,
    /// Groups that are asked.
    pub groups: Vec<String>,
    /// When it was asked, microseconds.
    pub asked_at: u64,
    /// Until when, microseconds; 0: no date.
    pub due_at: u64,
    /// Where it stands.
    pub standing: Standing,
    /// Approvals there are, and how many are needed.
    pub approvals: (u32, u32),
}

/// Where a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a decision.
    Waits,
    /// The reader has decided; it waits for others.
    WaitsForOthers,
    /// Its date has passed.
    Overdue,
    /// Enough have approved; the promotion is being written.
    Approved,
    /// It was closed without a promotion.
    Closed,
}

impl Standing {
    fn markup(self) -> Markup {
        match self {
            Self::Waits => state("warn", "waits"),
            Self::WaitsForOthers => state("plain", "waits for others"),
            Self::Overdue => state("bad", "overdue"),
            Self::Approved => state("good", "approved"),
            Self::Closed => state("plain", "closed"),
        }
    }
}

/// The page, reviews in the order in which they should be looked at.
pub fn page(shell: Shell<'_>, reader: &str, reviews: &[Waiting]) -> Vec<u8> {
    let (yours, others): (Vec<_>, Vec<_>) =
        reviews.iter().partition(|review| matches!(review.standing, Standing::Waits | Standing::Overdue));
    let content = html! {
        p.kind { "Inbox of " (visible(reader)) }
        h1 { "Reviews" }
        section aria-labelledby="yours-heading" {
            h2 id="yours-heading" { "Waiting for a decision (" (yours.len()) ")" }
            @if yours.is_empty() { p { "Nothing waits for you." } } @else { (table("Reviews that wait", &yours)) }
        }
        @if !others.is_empty() {
            section aria-labelledby="others-heading" {
                h2 id="others-heading" { "Others" }
                (table("Reviews that were decided, or wait for somebody else", &others))
            }
        }
    };
    document(shell, &content)
}

fn table(caption: &str, reviews: &[&Waiting]) -> Markup {
    html! {
        div.scroll tabindex="0" { table.data.list {
            caption { (caption) }
            thead { tr {
                th scope="col" { "Model version" } th scope="col" { "Slot" } th scope="col" { "Tier" } th scope="col" { "Request" }
                th scope="col" { "Asked groups" } th scope="col" { "Asked at" } th scope="col" { "Due" }
                th scope="col" { "Approvals" } th scope="col" { "State" }
            } }
            tbody { @for review in reviews { tr {
                th scope="row" { a href=(review.href) { (visible(&review.title)) } }
                td { (visible(&review.slot)) }
                td { (visible(&review.tier)) }
                td { (visible(&review.request)) }
                td { (visible(&review.groups.join(", "))) }
                td { (time(review.asked_at)) }
                td { @if review.due_at == 0 { "no date" } @else { (time(review.due_at)) } }
                td.n { (review.approvals.0) " of " (review.approvals.1) }
                td { (review.standing.markup()) }
            } } }
        } }
    }
}
