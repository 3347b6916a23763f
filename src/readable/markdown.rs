//! Markdown: CommonMark with tables. Raw HTML is shown as the text that it is; nothing is fetched or followed.

use maud::{PreEscaped, html};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{Need, Shown, active::What, plain, visible};

/// Longest text that is laid out, bytes.
const MARKDOWN_LEN_MAX: usize = 400_000;

/// A text laid out.
pub fn fragment(text: &str) -> Shown {
    if text.len() > MARKDOWN_LEN_MAX {
        return plain::fragment(text);
    }
    let mut out = String::new();
    let mut pictures = Vec::new();
    pulldown_cmark::html::push_html(&mut out, parser(text).map(|event| harmless(event, &mut pictures)));
    Shown::Fragment { markup: html! { div.markdown { (PreEscaped(out)) } }, whole: true }
}

/// Pictures that are not in the file.
pub fn needs(text: &str) -> Vec<Need> {
    let mut places = Vec::new();
    for (event, range) in parser(text).into_offset_iter() {
        if let Event::Start(Tag::Image { dest_url, .. }) = event {
            let line = 1 + text.get(..range.start).unwrap_or_default().matches('\n').count() as u64;
            places.push((line, dest_url.chars().take(60).collect()));
        }
    }
    places.truncate(3);
    if places.is_empty() { Vec::new() } else { vec![Need { what: What::Network, places }] }
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// The same event without anything active: links and pictures leave their address as text.
fn harmless<'a>(event: Event<'a>, open: &mut Vec<CowStr<'a>>) -> Event<'a> {
    let text = |text: &str| Event::InlineHtml(visible(text).into_string().into());
    match event {
        Event::Html(raw) | Event::InlineHtml(raw) | Event::Text(raw) => text(&raw),
        Event::Code(code) => Event::InlineHtml(html! { code { (visible(&code)) } }.into_string().into()),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        // The page's own headings are the first three.
        Event::Start(Tag::Heading { level, .. }) => Event::Start(Tag::Heading {
            level: below(level),
            id: None,
            classes: Vec::new(),
            attrs: Vec::new(),
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        Event::Start(Tag::CodeBlock(_)) => {
            Event::Start(Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented))
        }
        Event::Start(Tag::Link { dest_url, .. }) => {
            open.push(dest_url);
            Event::InlineHtml("<span>".into())
        }
        Event::Start(Tag::Image { dest_url, .. }) => {
            open.push(dest_url);
            Event::InlineHtml("<span>[picture, not shown: ".into())
        }
        Event::End(TagEnd::Link) => {
            let address = open.pop().unwrap_or_else(|| "".into());
            Event::InlineHtml(
                html! { " (" (visible(&address)) ")" (PreEscaped("</span>")) }.into_string().into(),
            )
        }
        Event::End(TagEnd::Image) => {
            let address = open.pop().unwrap_or_else(|| "".into());
            Event::InlineHtml(
                html! { " " (visible(&address)) "]" (PreEscaped("</span>")) }.into_string().into(),
            )
        }
        other => other,
    }
}

const fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H4,
        HeadingLevel::H2 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}
