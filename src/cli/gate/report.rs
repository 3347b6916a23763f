//! A gate's result for pipelines: JUnit XML, and annotations as GitHub Actions reads them.

use crate::{
    cli::{six_fields, xml::escaped},
    event::proto::Slot,
};

/// What a gate decided.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Whether it may pass.
    pub allowed: bool,
    /// By which kind of entry.
    pub basis: String,
    /// Why the ledger does not allow it; it may pass all the same where the mode does not enforce.
    pub refusals: Vec<String>,
    /// What people should see although it passes.
    pub warning: String,
    /// The entry that allows it.
    pub seq: Option<u64>,
    /// Its slot.
    pub slot: Option<Slot>,
    /// How strict the gate is.
    pub mode: String,
    /// How new the answer is.
    pub as_of: String,
    /// The whole answer.
    pub document: serde_json::Value,
}

/// A JUnit file with one test; an error in it is why nothing was decided.
pub fn junit(name: &str, target: &Slot, decided: Result<&Outcome, &str>) -> String {
    let failures = u8::from(decided.is_ok_and(|outcome| !outcome.allowed));
    let errors = u8::from(decided.is_err());
    let inner = match decided {
        Err(why) => format!("<error message=\"not decided\">{}</error>", escaped(why)),
        Ok(outcome) if !outcome.allowed => {
            format!("<failure message=\"refused\">{}</failure>", escaped(&outcome.refusals.join("\n")))
        }
        Ok(outcome) => {
            let words = outcome.refusals.join("\n");
            let seq = outcome.seq.map(|seq| format!("entry {seq}, ")).unwrap_or_default();
            let out = format!("{seq}{}; {}\n{}\n{words}", outcome.basis, outcome.as_of, outcome.warning);
            format!("<system-out>{}</system-out>", escaped(out.trim_end()))
        }
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"promotion-ledger gate\" tests=\"1\" failures=\"{failures}\" errors=\"{errors}\">\n<testcase classname=\"{}\" name=\"{}\">{inner}</testcase>\n</testsuite>\n</testsuites>\n",
        escaped(&six_fields::slot(Some(target))),
        escaped(name),
    )
}

/// Workflow commands: an error for a refusal and for what was not decided, a warning for what people should see, a notice for an
/// allowed artefact.
pub fn annotations(name: &str, decided: Result<&Outcome, &str>) -> Vec<String> {
    // docs.github.com, workflow commands: a message is one line.
    let line = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let outcome = match decided {
        Ok(outcome) => outcome,
        Err(why) => return vec![format!("::error title=Gate::{}: not decided: {}", line(name), line(why))],
    };
    let mut lines = Vec::new();
    let level = if outcome.allowed { "warning" } else { "error" };
    for words in &outcome.refusals {
        lines.push(format!("::{level} title=Gate ({})::{}: {}", outcome.mode, line(name), line(words)));
    }
    if !outcome.warning.is_empty() && outcome.refusals.is_empty() {
        lines.push(format!("::warning title=Gate::{}: {}", line(name), line(&outcome.warning)));
    }
    if outcome.refusals.is_empty() {
        let seq = outcome.seq.unwrap_or_default();
        lines.push(format!("::notice title=Gate::{} allowed by entry {seq} ({})", line(name), outcome.basis));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Outcome {
        Outcome {
            refusals: vec!["50% < \"all\"\nsecond line".into()],
            mode: "enforce".into(),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_refusal_is_a_failed_test_and_an_error_on_one_line() {
        let xml = junit("sha256:ab", &Slot::default(), Ok(&refused()));
        assert!(xml.contains("failures=\"1\" errors=\"0\""), "{xml}");
        assert!(xml.contains("50% &lt; &quot;all&quot;"), "{xml}");
        let lines = annotations("sha256:ab", Ok(&refused()));
        assert_eq!(lines, ["::error title=Gate (enforce)::sha256:ab: 50%25 < \"all\"%0Asecond line"]);
    }

    #[test]
    fn what_passes_by_its_mode_is_a_warning() {
        let observed = Outcome { allowed: true, mode: "observe".into(), ..refused() };
        assert!(annotations("x", Ok(&observed))[0].starts_with("::warning"));
        assert!(junit("x", &Slot::default(), Ok(&observed)).contains("failures=\"0\""));
    }

    #[test]
    fn what_was_not_decided_is_an_error_and_no_pass() {
        let xml = junit("x", &Slot::default(), Err("no node answers"));
        assert!(xml.contains("failures=\"0\" errors=\"1\"") && xml.contains("no node answers"), "{xml}");
        assert_eq!(annotations("x", Err("no\nnode")), ["::error title=Gate::x: not decided: no%0Anode"]);
    }
}
