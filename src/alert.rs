//! Alerts: what a node found that somebody must look at. Each is a log line at level ERROR with the target
//! `promotion_ledger::alert` when it is raised, and stands in `status` until whoever raised it clears it.
//!
//! NOT the record: a finding that must outlive the node is an entry of the ledger.

use std::{collections::BTreeMap, sync::Mutex};

use crate::event::Micros;

/// Alerts that are kept; beyond it the newest are only logged.
const ALERTS_MAX: usize = 1_000;

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Names what it is about; the same name replaces the words and keeps the time.
    pub name: String,
    /// What is wrong and what to do, in words.
    pub words: String,
    /// When it was raised first.
    pub since: Micros,
}

/// The open alerts of a node.
#[derive(Debug, Default)]
pub struct Alerts {
    open: Mutex<BTreeMap<String, Alert>>,
}

impl Alerts {
    /// Raises an alert, or changes the words of one that is open.
    pub fn raise(&self, name: &str, words: &str, now: Micros) {
        let mut open = self.lock();
        if let Some(alert) = open.get_mut(name) {
            if alert.words == words {
                return;
            }
            words.clone_into(&mut alert.words);
        } else if open.len() < ALERTS_MAX {
            let alert = Alert { name: name.to_owned(), words: words.to_owned(), since: now };
            open.insert(name.to_owned(), alert);
        }
        tracing::error!(target: "promotion_ledger::alert", name, "{words}");
    }

    /// It is over.
    pub fn clear(&self, name: &str) {
        if self.lock().remove(name).is_some() {
            tracing::info!(target: "promotion_ledger::alert", name, "cleared");
        }
    }

    /// What is open, by name.
    pub fn open(&self) -> Vec<Alert> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Alert>> {
        self.open.lock().expect("no code panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_stands_until_it_is_cleared_and_keeps_its_time() {
        let alerts = Alerts::default();
        alerts.raise("store", "it let itself be deleted", 1);
        alerts.raise("store", "it let itself be overwritten", 2);
        let words = "it let itself be overwritten".to_owned();
        assert_eq!(alerts.open(), [Alert { name: "store".into(), words, since: 1 }]);
        alerts.clear("store");
        assert_eq!(alerts.open(), []);
    }
}
