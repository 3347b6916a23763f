//! What some bytes are: the media type says what to expect, the first bytes say whether it is that.

/// Forms that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Html,
    /// A drawing: active content like a page.
    Svg,
    /// A picture.
    Png,
    /// A picture.
    Jpeg,
    /// A picture.
    Gif,
    /// A picture.
    Webp,
    /// A document.
    Pdf,
    /// RFC 8259.
    Json,
    /// RFC 4180, with commas, semicolons or tabs.
    Csv,
    /// CommonMark.
    Markdown,
    /// Any other text.
    Text,
    /// Nothing that a browser shows.
    File,
}

impl Form {
    /// The form of some bytes.
    ///
    /// # Errors
    /// In words, if they are not what their media type says: then nobody can know what was shown.
    pub fn of(media_type: &str, bytes: &[u8]) -> Result<Self, String> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let form = match essence.as_str() {
            "text/html" | "application/xhtml+xml" => Self::Html,
            "image/svg+xml" => Self::Svg,
            "image/png" => Self::Png,
            "image/jpeg" => Self::Jpeg,
            "image/gif" => Self::Gif,
            "image/webp" => Self::Webp,
            "application/pdf" => Self::Pdf,
            "text/csv" | "text/tab-separated-values" => Self::Csv,
            "text/markdown" => Self::Markdown,
            "application/yaml" | "application/x-yaml" | "application/sql" | "application/toml" => Self::Text,
            json if json == "application/json" || json.ends_with("+json") => Self::Json,
            text if text.starts_with("text/") => Self::Text,
            _ => return Ok(Self::File),
        };
        if form.starts(bytes) {
            Ok(form)
        } else if form.is_text() {
            Err(format!("its media type is {essence}, but its bytes are not UTF-8 text"))
        } else {
            Err(format!("its media type is {essence}, but its first bytes are not of that form"))
        }
    }

    const fn is_text(self) -> bool {
        matches!(self, Self::Html | Self::Svg | Self::Json | Self::Csv | Self::Markdown | Self::Text)
    }

    /// Text is UTF-8 and has no zero bytes; everything else starts with its signature.
    fn starts(self, bytes: &[u8]) -> bool {
        let text = || !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
        match self {
            Self::Png => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => bytes.starts_with(b"\xff\xd8\xff"),
            Self::Gif => bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"),
            Self::Webp => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP".as_slice()),
            Self::Pdf => bytes.starts_with(b"%PDF-"),
            Self::Svg => text() && bytes.windows(4).any(|four| four == b"<svg"),
            Self::Html | Self::Json | Self::Csv | Self::Markdown | Self::Text => text(),
            Self::File => true,
        }
    }

    /// The ending of a file's name.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
            Self::Webp => "webp",
            Self::Pdf => "pdf",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::File => "bin",
        }
    }
}
