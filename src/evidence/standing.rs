//! What a node found out about its store: whether promotions may rely on it.

use std::sync::Mutex;

use super::Probe;

/// What is known of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not found out yet, and why.
    Unknown(String),
    /// A store that promises nothing: its proofs say so.
    Unpromised,
    /// Everything that was tried against it was refused.
    WriteOnce,
    /// It let something happen.
    Broken(String),
}

impl Standing {
    /// What a probe shows.
    pub fn of(probe: Option<&Probe>) -> Self {
        let Some(probe) = probe else { return Self::Unpromised };
        if probe.write_once() {
            return Self::WriteOnce;
        }
        let allowed = probe.attempts.iter().filter(|attempt| attempt.allowed);
        let words: Vec<_> = allowed.map(|it| format!("{}: {}", it.attempt, it.answer)).collect();
        Self::Broken(format!("{} is not write-once: {}", probe.uri, words.join("; ")))
    }
}

/// The standing of a node's store, as last found out.
#[derive(Debug)]
pub struct Known(Mutex<Standing>);

impl Default for Known {
    fn default() -> Self {
        Self(Mutex::new(Standing::Unknown("it was not probed yet".into())))
    }
}

impl Known {
    /// What is known now.
    pub fn get(&self) -> Standing {
        self.lock().clone()
    }

    /// Something was found out.
    pub fn set(&self, standing: Standing) {
        *self.lock() = standing;
    }

    /// Why no promotion may rely on the store now; `None` if it may.
    pub fn refusal(&self) -> Option<String> {
        match &*self.lock() {
            Standing::WriteOnce | Standing::Unpromised => None,
            Standing::Unknown(why) => {
                Some(format!("whether the evidence store is write-once is not known: {why}"))
            }
            Standing::Broken(why) => Some(format!("the evidence store {why}")),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
