//! What a walk finds. Pure.

use serde::Serialize;

use crate::event::gate::SIX_FIELDS;

/// Whether a field could be shown to an auditor as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Bound by digest to the decision, and its bytes are there.
    Frozen,
    /// It is nowhere, or somewhere where it can change: who asks later gets what somebody puts together again.
    Reconstruct,
}

/// One of the six fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name.
    pub field: &'static str,
    /// Where it comes from.
    pub source: String,
    /// How it is kept.
    pub state: State,
    /// What there is, line by line.
    pub found: Vec<String>,
    /// Why it would have to be reconstructed, and what freezes it.
    pub lacks: Vec<String>,
}

impl Field {
    /// A field about which nothing is known yet.
    pub fn new(field: &'static str, source: impl Into<String>) -> Self {
        Self { field, source: source.into(), state: State::Frozen, found: Vec::new(), lacks: Vec::new() }
    }

    /// There is something.
    pub fn finds(&mut self, line: impl Into<String>) {
        self.found.push(line.into());
    }

    /// Something is missing: the field would have to be reconstructed.
    pub fn lacks(&mut self, line: impl Into<String>) {
        self.state = State::Reconstruct;
        self.lacks.push(line.into());
    }
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Walk {
    /// What was walked, in one line.
    pub subject: String,
    /// Where that was found.
    pub origin: String,
    /// What else is to be known of it.
    pub about: Vec<(String, String)>,
    /// The six fields, in their order.
    pub fields: Vec<Field>,
}

impl Walk {
    /// Whether nothing would have to be reconstructed.
    pub fn is_documented(&self) -> bool {
        self.fields.len() == SIX_FIELDS.len() && self.fields.iter().all(|field| field.state == State::Frozen)
    }

    /// `documented` or `undocumented`.
    pub fn verdict(&self) -> &'static str {
        if self.is_documented() { "documented" } else { "undocumented" }
    }

    /// Fields that would have to be reconstructed.
    pub fn open(&self) -> Vec<&'static str> {
        let open = self.fields.iter().filter(|field| field.state == State::Reconstruct);
        open.map(|field| field.field).collect()
    }
}

/// A field's name for people.
pub fn title(field: &str) -> &'static str {
    match field {
        "model_version" => "Model version",
        "challenger_comparison" => "Challenger comparison",
        "approval_request" => "Approval request",
        "approver_identity" => "Approver identity",
        "explanation" => "Explanation",
        "dataset" => "Dataset",
        _ => "Field",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_open_field_makes_the_whole_undocumented() {
        let mut walk = Walk {
            subject: "credit".into(),
            origin: "a ledger".into(),
            about: Vec::new(),
            fields: SIX_FIELDS.iter().map(|field| Field::new(field, "x")).collect(),
        };
        assert_eq!((walk.verdict(), walk.open().len()), ("documented", 0));
        walk.fields[4].lacks("no report");
        assert_eq!((walk.verdict(), walk.open()), ("undocumented", vec!["explanation"]));
        walk.fields.pop();
        walk.fields[4].state = State::Frozen;
        assert_eq!(walk.verdict(), "undocumented", "a field that nobody looked at");
    }
}
