//! The document around every page: language, landmarks, style, and the policy that the browser holds it to.

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    event::digest::sha256,
    readable::{visible, visible_text},
};

const STYLE: &str = include_str!("style.css");

/// What stands around a page's content.
#[derive(Debug, Clone, Copy)]
pub struct Shell<'a> {
    /// Of the window.
    pub title: &'a str,
    /// The ledger's name.
    pub origin: &'a str,
    /// Address of the start page; none where the page is sealed and stands for itself.
    pub home: Option<&'a str>,
    /// What everybody must know before they read on, for instance that this is a development ledger.
    pub mark: Option<&'a str>,
    /// Address of the page that ends a session; none where nobody is logged in.
    pub leave: Option<&'a str>,
}

/// The whole document.
pub fn document(shell: Shell<'_>, content: &Markup) -> Vec<u8> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                // No browser asks for a picture of its own.
                link rel="icon" href="data:,";
                title { (visible_text(shell.title)) " \u{2013} " (shell.origin) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    div.wrap {
                        @match shell.home {
                            Some(home) => a.where href=(home) { (visible(shell.origin)) },
                            None => span.where { (visible(shell.origin)) },
                        }
                        span { "promotion-ledger" }
                        @if let Some(leave) = shell.leave { a href=(leave) { "Log out" } }
                    }
                    @if let Some(mark) = shell.mark { p.mark { span.wrap { (visible(mark)) } } }
                }
                main #content tabindex="-1" { div.wrap { (content) } }
            }
        }
    };
    page.into_string().into_bytes()
}

/// A page that another one shows in a frame: the same style, no landmarks of its own.
pub fn framed(title: &str, content: &Markup) -> Vec<u8> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body.framed { main { (content) } }
        }
    };
    page.into_string().into_bytes()
}

/// What a page may do, inside the page: it holds for its bytes wherever they are opened. The style sheet is named by
/// its hash, so no other style is applied and no script ever runs. Where a form may lead is left to the header: a
/// browser holds it against the redirect to a login too, and that address is not the page's to know.
fn policy() -> String {
    let style = STANDARD.encode(sha256(STYLE.as_bytes()).0);
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src 'self' data:; frame-src 'self'; base-uri 'none'"
    )
}

/// The header that goes with every page of ours; the page itself narrows it. Browsers apply `form-action` to the
/// redirects that answer a form too: one that leads to a login elsewhere needs a link on a page instead.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The same for a page that one of ours shows in a frame.
pub const FRAMED_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";
