//! The page as one self-contained HTML document.

use maud::{Markup, html};

use super::findings::{Field, State, Walk, title};
use crate::{
    page::shell::{Shell, document},
    readable::visible,
};

/// The document: no script, no address of anything else.
pub fn page(walk: &Walk) -> Vec<u8> {
    let open = walk.open().len();
    let content = html! {
        h1 { (visible(&walk.subject)) }
        p {
            strong { (walk.verdict()) }
            @if open > 0 { ": " (open) " of six fields would have to be reconstructed" }
            @else { ": all six fields are frozen" }
        }
        dl {
            @for (name, value) in &walk.about {
                dt { (visible(name)) }
                dd { (visible(value)) }
            }
        }
        @for field in &walk.fields { (section(field)) }
    };
    let shell = Shell { title: &walk.subject, origin: &walk.origin, home: None, mark: None, leave: None };
    document(shell, &content)
}

fn section(field: &Field) -> Markup {
    let state = match field.state {
        State::Frozen => "frozen",
        State::Reconstruct => "would have to be reconstructed",
    };
    html! {
        section {
            h2 { (title(field.field)) ": " (state) }
            p { "Source system: " (visible(&field.source)) }
            @if !field.found.is_empty() {
                ul { @for line in &field.found { li { (visible(line)) } } }
            }
            @if !field.lacks.is_empty() {
                p { strong { "Missing" } }
                ul { @for line in &field.lacks { li { (visible(line)) } } }
            }
        }
    }
}
