//! One piece of evidence on a page: what it is, its digest, a link to its bytes, and the evidence itself.

use std::{collections::BTreeMap, sync::Arc};

use maud::{Markup, html};

use crate::{
    event::proto::EvidenceRef,
    readable::{Form, Shown, needs, shown, visible},
};

use super::words::bytes;

/// Bytes of evidence, by SHA-256: those that are read to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exhibits {
    bytes: BTreeMap<Vec<u8>, Arc<[u8]>>,
    /// What shows a piece without scripts, by the piece's digest.
    renditions: BTreeMap<Vec<u8>, (String, u64, Vec<u8>)>,
}

impl Exhibits {
    /// Adds bytes under their digest, which the caller has checked.
    pub fn insert(&mut self, sha256: &[u8], bytes: impl Into<Arc<[u8]>>) {
        self.bytes.insert(sha256.to_vec(), bytes.into());
    }

    /// Says that a piece of evidence is shown by a static rendition first.
    pub fn render(&mut self, sha256: &[u8], rendition: &EvidenceRef) {
        let shown = (rendition.media_type.clone(), rendition.length, rendition.sha256.clone());
        self.renditions.insert(sha256.to_vec(), shown);
    }

    fn rendition(&self, reference: &EvidenceRef) -> Option<EvidenceRef> {
        let (media_type, length, sha256) = self.renditions.get(&reference.sha256)?.clone();
        Some(EvidenceRef { media_type, length, sha256, ..EvidenceRef::default() })
    }

    /// Adds everything of another.
    pub fn extend(&mut self, other: Self) {
        self.bytes.extend(other.bytes);
        self.renditions.extend(other.renditions);
    }

    /// The bytes, where they are there.
    pub fn get(&self, reference: &EvidenceRef) -> Option<&[u8]> {
        self.bytes.get(&reference.sha256).map(|bytes| &**bytes)
    }
}

/// Name of a piece of evidence below `artefacts/`: its digest, and an ending for who opens it from a directory.
pub fn file_name(reference: &EvidenceRef) -> String {
    // What the bytes are is checked where they are served; a name needs the media type's word only.
    let ending = match Form::of(&reference.media_type, b"") {
        Ok(form) => form.ending(),
        Err(_) => ending(&reference.media_type),
    };
    format!("{}.{ending}", hex::encode(&reference.sha256))
}

fn ending(media_type: &str) -> &'static str {
    match media_type.split(';').next().unwrap_or_default().trim() {
        "image/svg+xml" => "svg",
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "application/pdf" => "pdf",
        _ => "bin",
    }
}

/// A piece of evidence under a title. `folded`: closed at first, for what only supports the rest. Where a static
/// rendition comes with it, that one is shown first.
pub fn exhibit(title: &str, reference: &EvidenceRef, exhibits: &Exhibits, folded: bool) -> Markup {
    let Some(rendition) = exhibits.rendition(reference) else {
        return figure(title, reference, exhibits, folded);
    };
    html! {
        (figure(&format!("{title}, static rendition"), &rendition, exhibits, folded))
        (figure(&format!("{title}, as it was handed in"), reference, exhibits, true))
    }
}

fn figure(title: &str, reference: &EvidenceRef, exhibits: &Exhibits, folded: bool) -> Markup {
    let href = format!("artefacts/{}", file_name(reference));
    let shown = match exhibits.get(reference) {
        None if !reference.subject_id.is_empty() => html! {
            div.inside { p.none { "Sealed for the person whom it is about. Not shown: an auditor opens it (show --unseal --evidence DIR) while that person is not erased." } }
        },
        None => html! { div.inside { p.none { "Not shown here: open the file." } } },
        Some(found) => inside(title, &href, &reference.media_type, found),
    };
    html! {
        figure.exhibit {
            figcaption {
                b { (visible(title)) } ", " (visible(&reference.media_type)) ", " (bytes(reference.length)) ". "
                a href=(href) target="_blank" rel="noopener" { "Open in a tab of its own" span.aside { ": " (visible(title)) } }
                code.digest { "SHA-256 " (hex::encode(&reference.sha256)) }
                span.print-only { "On paper a frame shows what fits on one page; the whole document is the file with this digest." }
            }
            @if folded { details { summary { "Show " (visible(title)) } (shown) } } @else { (shown) }
        }
    }
}

fn inside(title: &str, href: &str, media_type: &str, found: &[u8]) -> Markup {
    let needed = needs(media_type, found);
    html! {
        @for need in &needed {
            p.notice { "This file " (visible(&need.to_string())) ". It is shown without that." }
        }
        @match shown(media_type, found) {
            Shown::Fragment { markup, .. } => div.inside { (markup) },
            Shown::Frame => {
                iframe sandbox="" src=(href) title={ (title) ", as it was handed in" } referrerpolicy="no-referrer" {}
            }
            Shown::Picture => img src=(href) alt={ (title) ", a picture as it was handed in" };,
            Shown::Document => iframe src=(href) title={ (title) ", a PDF as it was handed in" } {},
            Shown::File(why) => div.inside { p.none { "Offered as a file only: " (visible(&why)) "." } },
        }
    }
}
