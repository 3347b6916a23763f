//! Time enters the program here, so that everything else takes it as a value.

use crate::event::Micros;

/// A clock.
pub trait Clock: Send + Sync {
    /// Now, microseconds since the Unix epoch.
    fn now(&self) -> Micros;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Micros {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // Before 1970 every check of times refuses, which is what a clock like that deserves.
        since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still, for tests and simulations.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(
    /// What it shows.
    pub Micros,
);

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        self.0
    }
}
