//! The newest entries as the writer decoded them, so that who follows the head need not read and decode them again.

use std::{
    collections::VecDeque,
    sync::{Arc, RwLock},
};

use crate::event::{Header, Seq, proto::Body};

use super::plan::WriteSet;

/// Entries in memory.
const RECENT_MAX: usize = 2048;

/// An entry and what its record says.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentEntry {
    /// Its header.
    pub header: Header,
    /// The body; `None` if the record is malformed.
    pub body: Option<Body>,
}

/// A bounded number of newest entries, some perhaps not synced yet.
#[derive(Default)]
pub struct RecentEntries(RwLock<VecDeque<Arc<RecentEntry>>>);

impl RecentEntries {
    /// Adds what was written.
    pub(super) fn add(&self, set: WriteSet) {
        let read = set.entries.into_iter().map(|(decided, prepared)| {
            let body = prepared.record.ok().map(|record| record.body);
            Arc::new(RecentEntry { header: decided.header, body })
        });
        let read: Vec<_> = read.collect();
        let mut entries = self.0.write().expect("no code panics while holding this lock");
        entries.extend(read);
        let excess = entries.len().saturating_sub(RECENT_MAX);
        entries.drain(..excess);
    }

    /// Entries `[from, to)`, if all of them are here.
    pub fn range(&self, from: Seq, to: Seq) -> Option<Vec<Arc<RecentEntry>>> {
        let entries = self.0.read().expect("no code panics while holding this lock");
        let first = entries.front()?.header.seq;
        let skip = usize::try_from(from.checked_sub(first)?).ok()?;
        let len = usize::try_from(to.checked_sub(from)?).ok()?;
        let found: Vec<_> = entries.range(skip.min(entries.len())..).take(len).cloned().collect();
        (found.len() == len).then_some(found)
    }
}
