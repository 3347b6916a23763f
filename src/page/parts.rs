//! Small parts of pages: facts, digests, times, states.

use maud::{Markup, html};

use crate::{event::proto::EvidenceRef, readable::visible};

use super::{
    exhibit::file_name,
    words::{bytes, utc},
};

/// A name and what it is.
pub type Fact = (&'static str, Markup);

/// Facts, one below the other. A name that repeats stands once.
pub fn facts(facts: &[Fact]) -> Markup {
    let mut last = "";
    html! {
        dl.facts { @for (name, value) in facts {
            @let repeated = std::mem::replace(&mut last, name) == *name;
            @if !repeated { dt { (name) } }
            @if repeated { dd.more { (value) } } @else { dd { (value) } }
        } }
    }
}

/// A digest, whole.
pub fn digest(bytes: &[u8]) -> Markup {
    html! { code.digest { (hex::encode(bytes)) } }
}

/// A time that programs can read too.
pub fn time(micros: u64) -> Markup {
    let text = utc(micros);
    html! { time datetime=(text) { (text) } }
}

/// A state: never by its colour alone.
pub fn state(class: &'static str, words: &str) -> Markup {
    html! { span class={ "state " (class) } { (visible(words)) } }
}

/// A piece of evidence as a fact: link, form, size, digest.
pub fn evidence_fact(reference: &EvidenceRef) -> Markup {
    html! {
        a href={ "artefacts/" (file_name(reference)) } { (visible(&reference.media_type)) ", " (bytes(reference.length)) }
        br; (digest(&reference.sha256))
        @if let Some(lock) = &reference.lock {
            br; span.none { (locked(&lock.write_once, lock.retain_until)) }
        }
    }
}

fn locked(write_once: &str, until: u64) -> String {
    match write_once {
        "compliance" => format!("locked, write once, until {}", utc(until)),
        "none" => "kept in a directory, which is not write-once".into(),
        other => format!("lock {other}, until {}", utc(until)),
    }
}
