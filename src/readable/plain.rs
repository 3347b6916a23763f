//! Plain text, as it is.

use maud::html;

use super::{Shown, visible};

/// Text that is shown in a page, bytes.
const TEXT_LEN_MAX: usize = 200_000;

/// Text with its own line breaks.
pub fn fragment(text: &str) -> Shown {
    let end = (0..=TEXT_LEN_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (shown, rest) = text.split_at(end);
    let markup = html! {
        pre.text tabindex="0" { (visible(shown)) }
        @if !rest.is_empty() {
            p.left-out { "Only the first " (end) " of " (text.len()) " bytes are shown here; the file has the rest." }
        }
    };
    Shown::Fragment { markup, whole: rest.is_empty() }
}
