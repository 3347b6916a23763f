//! With which headers bytes are served: the sandbox is in the answer itself, so it holds in every frame and tab.

use super::Form;

/// Headers of every page of our own. `style-src` is added by the page, as the hash of its style sheet.
pub const PAGE_HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Evidence that came from somebody else: no scripts, no network, an origin of its own, framed by our pages only.
const SANDBOX: &str = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";
/// A browser's PDF viewer does not run in a sandbox; a PDF is no page and cannot reach ours.
const VIEWER: &str =
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// How bytes are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// What the browser is told that they are: ours, never the sender's words.
    pub content_type: &'static str,
    /// The policy that the browser holds them to.
    pub content_security_policy: &'static str,
    /// Whether they are offered as a file only.
    pub attachment: bool,
}

/// How some bytes are served.
pub fn served(media_type: &str, bytes: &[u8]) -> Served {
    let form = Form::of(media_type, bytes).unwrap_or(Form::File);
    let content_type = match form {
        Form::Html => "text/html; charset=utf-8",
        Form::Svg => "image/svg+xml",
        Form::Png => "image/png",
        Form::Jpeg => "image/jpeg",
        Form::Gif => "image/gif",
        Form::Webp => "image/webp",
        Form::Pdf => "application/pdf",
        // Readable as it is in any browser, and never run.
        Form::Json | Form::Csv | Form::Markdown | Form::Text => "text/plain; charset=utf-8",
        Form::File => "application/octet-stream",
    };
    let content_security_policy = if form == Form::Pdf { VIEWER } else { SANDBOX };
    Served { content_type, content_security_policy, attachment: form == Form::File }
}
