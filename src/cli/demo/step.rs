//! One step of the demo: what happened, what was expected, what came out.

use std::fmt::Display;

use serde::Serialize;

use crate::{
    cli::output::{Failure, Result, coloured, utc},
    event::Micros,
};

const WIDTH: usize = 94;

/// A line of a step.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Something to read.
    Note(String),
    /// Something that must be so.
    Check { ok: bool, what: String, expected: String, found: String },
}

/// A step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    title: String,
    /// What the node's clock shows.
    at: String,
    lines: Vec<Line>,
}

impl Step {
    /// Plays a step; a failure of any call in it is a failed check.
    pub async fn play(title: &str, at: Micros, body: impl AsyncFnOnce(&mut Self) -> Result<()>) -> Self {
        let mut step = Self { title: title.into(), at: utc(at), lines: Vec::new() };
        if let Err(failure) = body(&mut step).await {
            step.broke_off(&failure);
        }
        step
    }

    fn broke_off(&mut self, failure: &Failure) {
        self.check(false, "the step ran to its end", "no error", &failure.message);
        for problem in &failure.problems {
            self.note(format!("{} {}", problem.field, problem.description));
        }
    }

    /// Something to read.
    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// Something that must be equal to what is expected.
    pub fn expect<T: PartialEq + Display>(&mut self, what: impl Into<String>, expected: T, found: T) {
        self.check(expected == found, what, expected, found);
    }

    /// Something that must hold.
    pub fn check(&mut self, ok: bool, what: impl Into<String>, expected: impl Display, found: impl Display) {
        self.lines.push(Line::Check {
            ok,
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        });
    }

    /// Whether every check held; a step without checks shows nothing.
    pub fn ok(&self) -> bool {
        let mut checks = self.lines.iter().filter_map(|line| match line {
            Line::Check { ok, .. } => Some(*ok),
            Line::Note(_) => None,
        });
        checks.next().is_some_and(|first| first) && checks.all(|ok| ok)
    }

    /// Prints it.
    pub fn print(&self, number: usize) {
        let shown = self.at.strip_suffix(":00Z").unwrap_or(&self.at).replace('T', " ");
        say(&format!("\n{number:>2}  {}  {}", coloured("36", &shown), coloured("1", &self.title)));
        for line in &self.lines {
            match line {
                Line::Note(text) => wrapped(text).iter().for_each(|line| say(&format!("      {line}"))),
                Line::Check { ok: true, what, .. } => say(&format!("    {} {what}", coloured("32", "ok"))),
                Line::Check { ok: false, what, expected, found } => {
                    say(&format!("    {} {what}", coloured("31", "FAILED")));
                    say(&format!("      expected: {expected}"));
                    say(&format!("      found:    {found}"));
                }
            }
        }
    }
}

/// Text in lines that fit a terminal; words longer than a line stay whole.
fn wrapped(text: &str) -> Vec<String> {
    if text.chars().count() <= WIDTH {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}

/// Prints a line. The demo plays to its end, and ends with its own exit code, even if nobody reads any more.
pub fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
