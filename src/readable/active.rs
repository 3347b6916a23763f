//! What a page or a drawing needs beyond its own bytes: found with a browser-grade tokenizer (html5ever).
//!
//! This decides whether a static rendition is needed, not whether it is safe to show: the sandbox does that, for
//! whatever this overlooks. Where a browser could read it either way, it counts as a need.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
};

use html5ever::{
    tendril::StrTendril,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
        states::RawKind,
    },
};

/// Places that are kept of each need.
const PLACES_MAX: usize = 3;
/// Longest excerpt of a place, characters.
const EXCERPT_LEN_MAX: usize = 60;

/// What a sandbox without scripts and network would not give.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// What.
    pub what: What,
    /// Where first: line (from 1) and excerpt.
    pub places: Vec<(u64, String)>,
}

/// What it is that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It runs scripts.
    Scripts,
    /// It fetches something from elsewhere.
    Network,
    /// It embeds another document.
    Documents,
    /// It replaces itself with another page.
    Redirect,
    /// It is a drawing with a document type, whose entities can hide anything.
    Entities,
}

impl What {
    const fn words(self) -> &'static str {
        match self {
            Self::Scripts => "runs scripts",
            Self::Network => "fetches something that is not in the file",
            Self::Documents => "embeds another document",
            Self::Redirect => "replaces itself with another page",
            Self::Entities => "declares a document type",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> =
            self.places.iter().map(|(line, excerpt)| format!("line {line}: {excerpt}")).collect();
        write!(f, "{} ({})", self.what.words(), places.join("; "))
    }
}

/// Everything that a page (or a drawing) needs.
pub fn needs(bytes: &[u8], drawing: bool) -> Vec<Need> {
    let scan = Scan { drawing, ..Scan::default() };
    let tokenizer = Tokenizer::new(scan, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(String::from_utf8_lossy(bytes).as_ref()));
    // Stops after each script and is told to go on: nothing is ever run.
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    let found = tokenizer.sink.found.take();
    found.into_iter().map(|(what, places)| Need { what, places }).collect()
}

#[derive(Default)]
struct Scan {
    drawing: bool,
    found: RefCell<BTreeMap<What, Vec<(u64, String)>>>,
    /// How deep in `svg` or `math`: there, contents of `style` and `title` are markup.
    foreign: Cell<usize>,
    /// Whether the text that comes is a style sheet.
    style: Cell<bool>,
}

impl TokenSink for Scan {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return self.start(&tag, line),
            Token::TagToken(tag) => self.end_tag(&tag),
            Token::CharacterTokens(text) if self.style.get() => self.style_sheet(&text, line),
            Token::DoctypeToken(_) if self.drawing => self.need(What::Entities, line, "<!DOCTYPE"),
            _ => {}
        }
        TokenSinkResult::Continue
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.foreign.get() > 0
    }
}

impl Scan {
    fn need(&self, what: What, line: u64, excerpt: &str) {
        let mut found = self.found.borrow_mut();
        let places = found.entry(what).or_default();
        if places.len() < PLACES_MAX {
            places.push((line, excerpt.chars().take(EXCERPT_LEN_MAX).collect()));
        }
    }

    fn start(&self, tag: &Tag, line: u64) -> TokenSinkResult<()> {
        let name = tag.name.to_ascii_lowercase();
        let attribute = |wanted: &str| {
            let found = tag.attrs.iter().find(|a| str::eq_ignore_ascii_case(&a.name.local, wanted));
            found.map(|a| a.value.trim().to_ascii_lowercase())
        };
        self.attributes(tag, &name, line);
        match &*name {
            "script" if runs(attribute("type").as_deref()) => {
                let source = attribute("src").map(|src| format!(" src={src}")).unwrap_or_default();
                self.need(What::Scripts, line, &format!("<script{source}>"));
            }
            "iframe" | "frame" | "object" | "embed" | "applet" | "portal" => {
                self.need(What::Documents, line, &format!("<{}>", &*name));
            }
            "meta" if attribute("http-equiv").as_deref() == Some("refresh") => {
                self.need(What::Redirect, line, "<meta http-equiv=refresh>");
            }
            "base" => self.need(What::Network, line, "<base>"),
            _ => {}
        }
        self.style.set(&*name == "style" && !tag.self_closing);
        if matches!(&*name, "svg" | "math") && !tag.self_closing {
            self.foreign.set(self.foreign.get() + 1);
        }
        if self.drawing || self.foreign.get() > 0 || tag.self_closing && &*name == "script" {
            return TokenSinkResult::Continue;
        }
        match &*name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }

    fn end_tag(&self, tag: &Tag) {
        match &*tag.name.to_ascii_lowercase() {
            "style" => self.style.set(false),
            "svg" | "math" => self.foreign.set(self.foreign.get().saturating_sub(1)),
            _ => {}
        }
    }

    fn attributes(&self, tag: &Tag, element: &str, line: u64) {
        for attribute in &tag.attrs {
            let name = attribute.name.local.to_ascii_lowercase();
            let value = attribute.value.trim();
            let place = || format!("<{element} {}={value}>", &*name);
            match &*name {
                handler if handler.starts_with("on") => self.need(What::Scripts, line, &place()),
                "style" => self.style_sheet(value, line),
                "srcdoc" => self.need(What::Documents, line, &place()),
                "href" | "xlink:href" | "action" | "formaction" if is_script(value) => {
                    self.need(What::Scripts, line, &place());
                }
                // A link is followed by a person, or not at all.
                "href" | "xlink:href" if matches!(element, "a" | "area" | "base") => {}
                "href" if element == "link" && !loads(tag) => {}
                "src" | "href" | "xlink:href" | "poster" | "background" | "data"
                    if element != "script" && elsewhere(value) =>
                {
                    self.need(What::Network, line, &place());
                }
                "srcset" | "imagesrcset" if value.split(',').any(elsewhere_candidate) => {
                    self.need(What::Network, line, &place());
                }
                _ => {}
            }
        }
    }

    fn style_sheet(&self, text: &str, line: u64) {
        let lower = text.to_ascii_lowercase();
        if lower.contains("@import") {
            self.need(What::Network, line, "@import in a style sheet");
        }
        for after in lower.split("url(").skip(1) {
            let address = after.split(')').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            if elsewhere(address) {
                self.need(What::Network, line, &format!("url({address})"));
            }
        }
    }
}

/// Whether a `link` brings something that is shown.
fn loads(link: &Tag) -> bool {
    let rel = link.attrs.iter().find(|a| str::eq_ignore_ascii_case(&a.name.local, "rel"));
    let rel = rel.map(|rel| rel.value.to_ascii_lowercase()).unwrap_or_default();
    rel.split_ascii_whitespace().any(|word| matches!(word, "stylesheet" | "import"))
}

/// Whether a script's type is one that runs; data blocks (JSON, templates) are not.
fn runs(kind: Option<&str>) -> bool {
    let Some(kind) = kind else { return true };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.is_empty()
        || essence.ends_with("javascript")
        || essence.ends_with("ecmascript")
        || matches!(essence, "module" | "importmap" | "text/jscript" | "text/livescript" | "speculationrules")
}

fn is_script(value: &str) -> bool {
    // A browser leaves out tabs and line ends in a scheme.
    let scheme: String =
        value.chars().filter(|c| !c.is_ascii_whitespace() && !c.is_control()).take(11).collect();
    scheme.eq_ignore_ascii_case("javascript:")
}

/// Whether an address is not in the file itself.
fn elsewhere(address: &str) -> bool {
    let inside = address.is_empty()
        || address.starts_with('#')
        || address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    !inside
}

/// One candidate of a `srcset`. A comma inside a `data:` address leaves a piece without scheme or dot.
fn elsewhere_candidate(candidate: &str) -> bool {
    let address = candidate.split_ascii_whitespace().next().unwrap_or_default();
    elsewhere(address) && address.contains(['.', ':'])
}
