//! Text that hides nothing: characters that cannot be seen, or that reorder what can, are named where they stand.

use maud::{Markup, PreEscaped, html};

use crate::event::text::unseen;

/// Text as safe HTML. Line breaks and tabs stay what they are.
pub fn visible(text: &str) -> Markup {
    if text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return html! { (text) };
    }
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars() {
        if unseen(c) && !matches!(c, '\n' | '\t') {
            out.push_str(&escaped(&std::mem::take(&mut run)));
            let name = format!("U+{:04X}", c as u32);
            out.push_str(
                &html! { span.unseen title="a character that cannot be seen" { "\u{27E8}" (name) "\u{27E9}" } }
                    .into_string(),
            );
        } else {
            run.push(c);
        }
    }
    out.push_str(&escaped(&run));
    // Text in another direction does not reorder what stands beside it.
    html! { bdi { (PreEscaped(out)) } }
}

fn escaped(text: &str) -> String {
    html! { (text) }.into_string()
}

/// The same without markup, for a window's title.
pub fn visible_text(text: &str) -> String {
    let one = |c: char| if unseen(c) { format!("\u{27E8}U+{:04X}\u{27E9}", c as u32) } else { c.to_string() };
    text.chars().map(one).collect()
}
