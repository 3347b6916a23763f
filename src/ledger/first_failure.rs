//! Of two calls that one fault ends, the one that knows its reason is heard.
//!
//! The deciding thread writes while the syncing thread syncs, in one write-ahead log. Where one of them meets the end of
//! the disk, RocksDB tells the other only that [the writer has a previous error](FOLLOWS), often sooner than the first has
//! returned; and whoever is told first is who halts the node and says why.

use std::{
    fmt::Display,
    sync::{OnceLock, RwLock},
};

/// What RocksDB answers without a reason, once the log's file has failed (its file/writable_file_writer.cc).
const FOLLOWS: &str = "Writer has previous error";

/// The first failure that came with a reason.
#[derive(Debug, Default)]
pub(super) struct FirstFailure {
    /// Held for reading by each call until its failure is kept.
    calls: RwLock<()>,
    kept: OnceLock<String>,
}

impl FirstFailure {
    /// Makes a call.
    ///
    /// # Errors
    /// Why it failed; for a failure that only follows from another, that one, once every call in progress has ended.
    pub(super) fn of<T, E: Display>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
        let result = {
            let _call = self.calls.read().expect("no code panics while holding this lock");
            let result = call().map_err(|error| error.to_string());
            if let Err(error) = &result
                && !error.contains(FOLLOWS)
            {
                self.kept.get_or_init(|| error.clone());
            }
            result
        };
        result.map_err(|error| if error.contains(FOLLOWS) { self.reason().unwrap_or(error) } else { error })
    }

    /// The reason, after every call in progress.
    fn reason(&self) -> Option<String> {
        let _ended = self.calls.write().expect("no code panics while holding this lock");
        self.kept.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn who_follows_says_why_the_first_failed_however_late_that_returns() {
        let failures = FirstFailure::default();
        let (met, others_told) = mpsc::channel();
        thread::scope(|threads| {
            let first = threads.spawn(|| {
                failures.of(|| {
                    met.send(()).expect("the other waits");
                    // The file is marked as failed; the call itself takes its time to return.
                    thread::sleep(Duration::from_millis(100));
                    Err::<(), _>("No space left on device")
                })
            });
            others_told.recv().expect("the first has met the fault");
            let follows = failures.of(|| Err::<(), _>("IO error: Writer has previous error."));
            assert_eq!(follows, Err("No space left on device".into()));
            assert_eq!(first.join().expect("no panic"), Err("No space left on device".into()));
        });
    }

    #[test]
    fn a_failure_with_a_reason_says_its_own_and_one_without_any_is_not_lost() {
        let failures = FirstFailure::default();
        assert_eq!(failures.of(|| Ok::<_, String>(1)), Ok(1));
        let alone = failures.of(|| Err::<(), _>("IO error: Writer has previous error."));
        assert_eq!(alone, Err("IO error: Writer has previous error.".into()));
        assert_eq!(failures.of(|| Err::<(), _>("disk full")), Err("disk full".into()));
        assert_eq!(failures.of(|| Err::<(), _>("bad block")), Err("bad block".into()));
        let follows = failures.of(|| Err::<(), _>("IO error: Writer has previous error."));
        assert_eq!(follows, Err("disk full".into()));
    }
}
