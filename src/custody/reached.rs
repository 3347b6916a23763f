//! How a walk over all evidence goes, and how far it is: for the walk itself, `status`, and an auditor's own look.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::round::Round;

/// How the walk goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// In what time everything is looked at.
    pub within: Duration,
    /// Most looks in a second.
    pub per_second: u32,
    /// Reads all bytes.
    pub deep: bool,
    /// Days for which evidence is kept where no policy says, and the archive.
    pub retain_days: u32,
}

/// How far the walk is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// The round that is under way.
    pub round: Round,
    /// Pieces of evidence and of the archive with findings that are not over.
    pub open: u64,
    /// Locks that were made longer since the start.
    pub extended: u64,
    /// Why something cannot be looked at now; empty if nothing is wrong.
    pub trouble: String,
}

/// How far a walk is; shared.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Reached>>);

impl Progress {
    /// How far it is.
    pub fn reached(&self) -> Reached {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
