//! Calls that wait for their record to become a synced entry.
//!
//! Waiters resolve by record digest, whatever path the record took. The record that this process signed is kept
//! here in decoded form, so that the writer need not verify its own signature a moment later.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::event::{Digest, Header, Micros};

use super::decide::Prepared;

/// Bounded map of waiting calls.
pub struct Inflight {
    waiting: Mutex<HashMap<Digest, Waiting>>,
    max: usize,
    /// Calls that were begun and have not ended, with or without a record yet.
    begun: AtomicUsize,
}

/// A call that will probably bring the writer a record; it ends when this is dropped.
pub struct Call<'a>(&'a Inflight);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.begun.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Waiting {
    prepared: Option<Prepared>,
    appended_at: Option<Micros>,
    done: oneshot::Sender<Confirmed>,
}

/// What a waiting call is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The synced entry.
    pub header: Header,
    /// The log's own time of the append, where it keeps one.
    pub appended_at: Option<Micros>,
}

/// Why a call cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many calls are waiting.
    #[error("too many calls are waiting; try again")]
    Full,
    /// The very same record is on its way.
    #[error("the same record is on its way already; try again")]
    Same,
}

impl Inflight {
    /// At most `max` calls wait at a time.
    pub fn new(max: usize) -> Self {
        Self { waiting: Mutex::default(), max, begun: AtomicUsize::new(0) }
    }

    /// Announces a call, long before its record is signed.
    pub fn begin(&self) -> Call<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Call(self)
    }

    /// How many announced calls have not signed a record yet. A hint: it decides only how long the writer waits for more
    /// of them.
    pub fn on_their_way(&self) -> usize {
        self.begun.load(Ordering::Relaxed).saturating_sub(self.lock().len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Waiting>> {
        self.waiting.lock().expect("no code panics while holding this lock")
    }

    /// Waits for a record that this process made.
    ///
    /// # Errors
    /// [`Error`]; nothing was appended then.
    pub fn wait(&self, prepared: Prepared) -> Result<oneshot::Receiver<Confirmed>, Error> {
        let mut waiting = self.lock();
        if waiting.len() >= self.max {
            // Callers that went away leave their place once the writer has their record.
            waiting.retain(|_, call| !call.done.is_closed() || call.prepared.is_some());
            if waiting.len() >= self.max {
                return Err(Error::Full);
            }
        }
        let digest = prepared.record_digest;
        if waiting.contains_key(&digest) {
            return Err(Error::Same);
        }
        let (done, result) = oneshot::channel();
        waiting.insert(
            digest,
            Waiting { prepared: Some(Prepared { own: true, ..prepared }), appended_at: None, done },
        );
        Ok(result)
    }

    /// Gives up: the record was certainly not appended.
    pub fn forget(&self, digest: &Digest) {
        self.lock().remove(digest);
    }

    /// The decoded form of a delivered value, if this process made it.
    pub fn take_prepared(&self, digest: &Digest, appended_at: Option<Micros>) -> Option<Prepared> {
        let mut waiting = self.lock();
        let call = waiting.get_mut(digest)?;
        call.appended_at = call.appended_at.or(appended_at);
        call.prepared.take()
    }

    /// Tells the waiting calls: these entries are synced.
    pub fn resolve<'a>(&self, headers: impl IntoIterator<Item = &'a Header>) {
        let mut waiting = self.lock();
        for header in headers {
            if let Some(call) = waiting.remove(&header.record_digest) {
                // A caller that went away asks again and learns the truth from the idempotency key.
                let _ = call.done.send(Confirmed { header: header.clone(), appended_at: call.appended_at });
            }
        }
    }

    /// Drops every waiting call: the writer has halted, and no entry will come.
    pub fn abandon(&self) {
        self.lock().clear();
    }
}
