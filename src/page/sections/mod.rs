//! The six fields, and what the server derived from them: one file for each section of a page.

mod approvals;
mod calibration;
mod change;
mod comparison;
mod dataset;
mod explanation;
mod model;
mod request;
mod routing;

use maud::{Markup, html};

pub use approvals::approvals;
pub use calibration::calibration;
pub use change::change;
pub use comparison::comparison;
pub use dataset::dataset;
pub use explanation::explanations;
pub use model::model_version;
pub use request::request;
pub use routing::routing;

use super::{exhibit::Exhibits, people::People};

/// What sections read besides their fields.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Names, where they are open.
    pub people: &'a People,
    /// Bytes of evidence.
    pub exhibits: &'a Exhibits,
}

/// A section with a heading, and the system that its content came from.
pub fn section(id: &str, title: &str, source: Option<&str>, content: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-heading" } {
            h2 id={ (id) "-heading" } { (title) }
            @if let Some(source) = source { p.from { "From the " (source) "." } }
            (content)
        }
    }
}

/// Links to the sections of a page.
pub fn contents(sections: &[(&str, &str)]) -> Markup {
    html! {
        nav.contents aria-label="On this page" {
            ol { @for (id, title) in sections { li { a href={ "#" (id) } { (title) } } } }
        }
    }
}
