//! What every client of librdkafka shares here: where its log lines go, and how it is closed.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::log::Error;

/// An outage repeats its lines many times a second; one line in this time tells as much.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Passes librdkafka's lines and errors on to `tracing`, a few of them.
#[derive(Clone, Default)]
pub(super) struct Context {
    lines: Arc<Quiet>,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Context {
    /// The last error that the client met on its own, such as a refused connection: why nobody answers.
    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // Says that `isolation.level` is a consumer's property; see config.rs.
        if facility == "CONFWARN" || matches!(level, RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug) {
            tracing::debug!(target: "librdkafka", facility, line);
        } else if let Some(suppressed) = self.lines.pass() {
            tracing::warn!(target: "librdkafka", facility, line, suppressed);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        *lock(&self.last_error) = Some(reason.to_owned());
        if let Some(suppressed) = self.lines.pass() {
            tracing::warn!(target: "librdkafka", %error, reason, suppressed);
        }
    }
}

impl ConsumerContext for Context {}

/// Lets one line through in [`LINE_EVERY`].
#[derive(Default)]
pub(super) struct Quiet(Mutex<(Option<Instant>, u64)>);

impl Quiet {
    /// `Some` if a line may be written now: how many were not since the last one.
    pub(super) fn pass(&self) -> Option<u64> {
        let mut state = lock(&self.0);
        let (last, suppressed) = *state;
        if last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
            state.1 += 1;
            return None;
        }
        *state = (Some(Instant::now()), 0);
        Some(suppressed)
    }
}

/// Drops a client on a thread of its own. Closing waits for librdkafka's threads, and they may be waiting for a
/// broker that is not there; neither the writer nor an async task may stand still for that.
pub(super) struct Closing<T: Send + 'static>(Option<T>);

impl<T: Send> Closing<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send> Deref for Closing<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only drop takes it")
    }
}

impl<T: Send> Drop for Closing<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Without a thread to be had, the closure and the client with it are dropped here.
        if let Ok(closing) = thread::Builder::new().name("kafka-close".into()).spawn(move || drop(client)) {
            let mut all = lock(&CLOSING);
            all.retain(|one| !one.is_finished());
            all.push(closing);
        }
    }
}

/// Threads that close clients.
static CLOSING: Mutex<Vec<thread::JoinHandle<()>>> = Mutex::new(Vec::new());

/// Waits for clients that are being closed. A process that ends before them takes OpenSSL's tables away from under
/// librdkafka's threads, and may end by a signal instead of its exit code.
pub fn wait_until_closed(within: Duration) {
    let deadline = Instant::now() + within;
    while lock(&CLOSING).iter().any(|one| !one.is_finished()) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}

/// A client that librdkafka refused to make. The value of a property is left out: it may be a password.
pub(super) fn refused(error: KafkaError) -> Error {
    Error::Unfit(match error {
        KafkaError::ClientConfig(_, _, name, _) => {
            format!("kafka: librdkafka does not know the property {name}, or does not take its value")
        }
        KafkaError::ClientCreation(reason) => format!("kafka: {reason}"),
        other => format!("kafka: {other}"),
    })
}

/// What these mutexes guard is whole after every statement, so that a panic elsewhere spoils nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn quiet_passes_one_line_and_counts_the_others() {
        let quiet = Quiet::default();
        assert_eq!(quiet.pass(), Some(0));
        assert_eq!(quiet.pass(), None);
        assert_eq!(lock(&quiet.0).1, 1);
    }

    #[test]
    fn closing_does_not_wait() {
        struct Slow(mpsc::Receiver<()>);
        impl Drop for Slow {
            fn drop(&mut self) {
                self.0.recv().expect("released");
            }
        }
        let (release, wait) = mpsc::channel();
        drop(Closing::new(Slow(wait)));
        release.send(()).expect("still being dropped");
    }

    #[test]
    fn refused_rejects_without_showing_the_value() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("security.protocol", "hunter2");
        let error = config.create_native_config().err().expect("no such protocol");
        let text = refused(error).to_string();
        assert!(text.contains("security.protocol") && !text.contains("hunter2"), "{text}");
    }
}
