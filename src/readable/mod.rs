//! Evidence as a person can read it: bytes and a media type in, safe HTML or a serving decision out. Pure.
//!
//! Nothing that came from outside is ever copied into a page as markup. JSON, CSV, Markdown and plain text become
//! fragments of our own; HTML is served as it is, but into a sandbox without scripts and without a network; pictures
//! and PDF are left to the browser. What such a sandbox would not show as its author meant it has [`Need`]s, and
//! then a static rendition must come with it ([`problem`]).
//!
//! NOT a sanitiser: bytes are shown exactly as they were hashed, or not at all.

mod active;
mod form;
mod json;
mod markdown;
mod plain;
mod problem;
mod served;
mod table;
mod visible;

use maud::Markup;

pub use active::Need;
pub use form::Form;
pub use problem::{Static, problem};
pub use served::{PAGE_HEADERS, Served, served};
pub use visible::{visible, visible_text};

/// Longest evidence that is read to be shown, bytes. Longer is offered as a file.
pub const READ_LEN_MAX: u64 = 16 * 1024 * 1024;

/// How a piece of evidence is shown.
#[derive(Debug, Clone)]
pub enum Shown {
    /// As part of the page.
    Fragment {
        /// Safe HTML of our own.
        markup: Markup,
        /// Whether that is all of it; otherwise the fragment says how much is left out.
        whole: bool,
    },
    /// In a sandboxed frame: HTML.
    Frame,
    /// As a picture.
    Picture,
    /// In the browser's own viewer: PDF.
    Document,
    /// Only as a file; why, in words.
    File(String),
}

/// Decides how a piece of evidence is shown, from its bytes. Its media type only says what to expect.
pub fn shown(media_type: &str, bytes: &[u8]) -> Shown {
    let form = match Form::of(media_type, bytes) {
        Ok(form) => form,
        Err(problem) => return Shown::File(problem),
    };
    let text = || std::str::from_utf8(bytes).unwrap_or_default();
    match form {
        Form::Html => Shown::Frame,
        Form::Svg | Form::Png | Form::Jpeg | Form::Gif | Form::Webp => Shown::Picture,
        Form::Pdf => Shown::Document,
        Form::Json => json::fragment(text()),
        Form::Csv => table::fragment(text()),
        Form::Markdown => markdown::fragment(text()),
        Form::Text => plain::fragment(text()),
        Form::File => Shown::File(format!("{media_type} is not something that a browser shows")),
    }
}

/// What a piece of evidence needs, beyond its bytes, to be shown as its author meant it. Empty for most.
pub fn needs(media_type: &str, bytes: &[u8]) -> Vec<Need> {
    match Form::of(media_type, bytes) {
        Ok(Form::Html) => active::needs(bytes, false),
        Ok(Form::Svg) => active::needs(bytes, true),
        Ok(Form::Markdown) => markdown::needs(std::str::from_utf8(bytes).unwrap_or_default()),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
