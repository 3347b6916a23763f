//! Rules for text in events: names, URIs, media types.

/// Longest name or id, characters.
pub const NAME_LEN_MAX: usize = 256;
/// Longest URI, bytes.
pub const URI_LEN_MAX: usize = 2048;
/// Longest free text (justification, answer), bytes.
pub const FREE_TEXT_LEN_MAX: usize = 16 * 1024;

/// What is wrong with a name, id or label; `None` if nothing is.
pub fn name_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is missing".into());
    }
    // Nearly every name: one pass over its bytes says that nothing below can be wrong.
    if text.len() <= NAME_LEN_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    if text.chars().count() > NAME_LEN_MAX {
        return Some(format!("is longer than {NAME_LEN_MAX} characters"));
    }
    if let Some(c) = text.chars().find(|c| invisible(*c)) {
        return Some(format!("contains the control character U+{:04X}; remove it", c as u32));
    }
    (text.trim() != text).then(|| "starts or ends with white space; remove it".into())
}

/// Control characters, and format characters that change how text is shown (bidirectional overrides, zero width).
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{061C}')
}

/// Characters that a reader would not see in text from elsewhere: what events never hold, and what is not refused
/// there but hides as well (soft hyphen, fillers, tags, private use).
pub fn unseen(c: char) -> bool {
    invisible(c)
        || matches!(
            c,
            '\u{AD}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
                | '\u{206A}'..='\u{206F}' | '\u{3164}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{E0FFF}' | '\u{F0000}'..
        )
}

/// What is wrong with free text; line breaks and tabs are fine.
pub fn free_text_problem(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("is missing".into());
    }
    if text.len() > FREE_TEXT_LEN_MAX {
        return Some(format!("is longer than {FREE_TEXT_LEN_MAX} bytes"));
    }
    let plain = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    let mut chars = if plain { "".chars() } else { text.chars() };
    chars
        .find(|c| invisible(*c) && !matches!(c, '\n' | '\t' | '\r'))
        .map(|c| format!("contains the control character U+{:04X}; remove it", c as u32))
}

/// What is wrong with a URI: it needs a scheme, and carries no credentials.
pub fn uri_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is missing".into());
    }
    if text.len() > URI_LEN_MAX {
        return Some(format!("is longer than {URI_LEN_MAX} bytes"));
    }
    let plain = text.bytes().all(|b| b.is_ascii_graphic());
    if !plain && text.chars().any(|c| c.is_whitespace() || invisible(c)) {
        return Some("contains white space or control characters".into());
    }
    // Bytes, not characters: an event has some twenty URIs, and every delimiter is ASCII.
    let Some(colon) = text.bytes().position(|b| b == b':') else {
        return Some("has no scheme; write it in full, for instance mlflow://registry.example.bank".into());
    };
    let (scheme, rest) = text.as_bytes().split_at(colon);
    let rest = rest.get(1..).unwrap_or_default();
    let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !valid || rest.is_empty() {
        return Some(
            "has no valid scheme; write it in full, for instance mlflow://registry.example.bank".into(),
        );
    }
    let authority = rest.strip_prefix(b"//").unwrap_or_default();
    let credentials = authority.iter().take_while(|b| **b != b'/').any(|b| *b == b'@');
    credentials.then(|| "carries credentials or an alias before @; remove them".into())
}

/// What is wrong with a registry's URI: as [`uri_problem`], and it names no alias or stage, which can move.
pub fn registry_uri_problem(text: &str) -> Option<String> {
    if let Some(problem) = uri_problem(text) {
        return Some(problem);
    }
    // `models:/credit@champion`; a digest (`@sha256:...`) is no alias.
    let alias = text.rsplit_once('@').is_some_and(|(_, after)| !after.contains(':'));
    // `models:/credit/Production`.
    let path = text.strip_prefix("models:").unwrap_or_default().trim_matches('/');
    let last = path.split('/').skip(1).last().unwrap_or_default();
    let stage = ALIASES.contains(&last.to_lowercase().as_str());
    (alias || stage).then(|| {
        "names an alias or stage, which can move; leave it out, and give the concrete version id".into()
    })
}

/// What is wrong with a media type.
pub fn media_type_problem(text: &str) -> Option<String> {
    let token = |part: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !part.is_empty() && part.bytes().all(known)
    };
    let essence = text.split(';').next().unwrap_or_default();
    let valid = text.len() <= 127
        && !text.chars().any(invisible)
        && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype.trim_end()));
    (!valid).then(|| format!("{text:?} is not a media type such as text/html"))
}

const ALIASES: [&str; 19] = [
    "latest",
    "newest",
    "current",
    "stable",
    "production",
    "prod",
    "staging",
    "archived",
    "none",
    "champion",
    "challenger",
    "shadow",
    "canary",
    "head",
    "main",
    "master",
    "default",
    "candidate",
    "release",
];

/// What is wrong with a registry version: only a concrete version id names the same bytes tomorrow.
pub fn version_problem(version: &str) -> Option<String> {
    if let Some(problem) = name_problem(version) {
        return Some(problem);
    }
    // A plain number, as most registries count.
    if version.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let lower = version.to_lowercase();
    let words: Vec<_> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let alias = words.iter().any(|word| ALIASES.contains(word));
    let range = version.contains(['*', '^', '~', '@', '<', '>']);
    let concrete = version.chars().any(|c| c.is_ascii_digit());
    (alias || range || !concrete).then(|| {
        format!("{version:?} is a tag, alias, stage or range, which can move; give the concrete version id")
    })
}
/// A time in UTC, to the second, as RFC 3339.
pub fn utc(micros: u64) -> String {
    let time =
        i64::try_from(micros / 1_000_000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{micros} µs"), |time| time.to_string())
}
