//! What is wrong with a request, by field path: all of it at once.

use std::fmt::Display;

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// Path of the field, for instance `explanations[0].content.sha256`.
    pub field: String,
    /// What is wrong, in words.
    pub description: String,
}

/// Collects problems under a field path. Paths and descriptions are formatted only where a rule is broken, so that
/// a whole promotion costs no allocation for them.
#[derive(Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, field: impl Display, description: impl Display) {
        self.0.push(Problem { field: field.to_string(), description: description.to_string() });
    }

    /// Notes a problem if there is one.
    pub fn add_some(&mut self, field: impl Display, problem: Option<String>) {
        if let Some(problem) = problem {
            self.add(field, problem);
        }
    }

    /// Notes a problem unless the rule holds.
    pub fn require(&mut self, holds: bool, field: impl Display, description: impl Display) {
        if !holds {
            self.add(field, description);
        }
    }

    /// All problems, in field order, each once.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}
