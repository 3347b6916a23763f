//! What a version's tag says: which entry promoted it. Pure.

use serde::{Deserialize, Serialize};

use crate::event::Seq;

/// What the names of our tags start with; the alias follows.
pub const PREFIX: &str = "promotion-ledger.";

/// The entry that made a version current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Name of the ledger.
    pub origin: String,
    /// Position of the Promoted entry.
    pub seq: Seq,
    /// SHA-256 of its body, in hex: sha256sum says the same.
    pub event_digest: String,
}

impl Pointer {
    /// The tag's text.
    pub fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Whether a tag says this, however its JSON is written.
    pub fn is(&self, text: &str) -> bool {
        serde_json::from_str::<Self>(text).is_ok_and(|found| found == *self)
    }
}

/// The tag that belongs to an alias.
pub fn tag(alias: &str) -> String {
    format!("{PREFIX}{alias}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_one_tag() {
        let pointer = Pointer { origin: "ledger.example/a".into(), seq: 7, event_digest: "ab".repeat(32) };
        assert!(pointer.text().starts_with(r#"{"event_digest":"abab"#), "{}", pointer.text());
        assert!(pointer.is(&pointer.text()));
        assert!(pointer.is(&pointer.text().replace(',', ", ")));
        assert!(!pointer.is(&pointer.text().replace('7', "8")));
        assert!(!pointer.is(""));
        assert_eq!(tag("champion"), "promotion-ledger.champion");
    }
}
