//! How long the writer waits for more records before it writes: one write, one sync and one checkpoint for many.
//!
//! Two reasons to wait. Calls that have begun and have no record yet will bring one in a moment. And where the last sync
//! served many, as many are on their way again: in requests that nobody has read yet. That is a guess, so that it costs
//! little where it is wrong: who waited in vain does not wait for it again for a while.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::log::{self, Delivery, Tail};

use super::{inflight::Inflight, writer::Counters};

/// This share of the calls that have begun is waited for (numerator, denominator): few wait for nobody.
const SHARE: (usize, usize) = (3, 5);
/// But not for more than so many, nor for longer than this.
const SHARE_MAX: usize = 64;
const WAIT_MAX: Duration = Duration::from_millis(8);
/// A sync of so many entries is followed by another one of at least [`MANY`].
const MANY_AFTER: u64 = 12;
const MANY: usize = 24;
/// After waiting for many in vain.
const PAUSE: Duration = Duration::from_millis(500);

/// What the writer knows of the last waiting.
#[derive(Default)]
pub struct Gathering {
    /// Many are not waited for before this.
    paused_until: Option<Instant>,
}

impl Gathering {
    /// Waits a moment for more records than there are.
    ///
    /// # Errors
    /// Of the log.
    pub fn gather(
        &mut self,
        tail: &mut dyn Tail,
        inflight: &Inflight,
        counters: &Counters,
        most: usize,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), log::Error> {
        let begun_at = Instant::now();
        let paused = self.paused_until.is_some_and(|until| begun_at < until);
        let many = !paused && counters.last_sync.load(Ordering::Relaxed) >= MANY_AFTER;
        loop {
            let calls = inflight.on_their_way() + deliveries.len();
            let enough = enough(calls, many);
            if deliveries.len() >= enough {
                return Ok(());
            }
            let left = (begun_at + WAIT_MAX).saturating_duration_since(Instant::now());
            let more = tail.next(most.saturating_sub(deliveries.len()), left)?;
            if more.is_empty() {
                self.paused_until = many.then(|| Instant::now() + PAUSE);
                return Ok(());
            }
            deliveries.extend(more);
        }
    }
}

/// Records that are enough to write, where so many calls have one or will.
fn enough(calls: usize, many: bool) -> usize {
    let share = (calls * SHARE.0 / SHARE.1).min(SHARE_MAX);
    if many { share.max(MANY) } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_for_nobody_and_many_for_each_other() {
        assert_eq!([0, 1, 2, 4, 10, 1000].map(|calls| enough(calls, false)), [0, 0, 1, 2, 6, 64]);
        assert_eq!([1, 10, 1000].map(|calls| enough(calls, true)), [24, 24, 64]);
    }

    struct Arriving(Vec<usize>);

    impl Tail for Arriving {
        fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, log::Error> {
            if self.0.is_empty() {
                std::thread::sleep(wait);
                return Ok(Vec::new());
            }
            let delivery = |offset| Delivery { offset, value: Vec::new(), appended_at: None };
            Ok((0..self.0.remove(0).min(max) as u64).map(delivery).collect())
        }
    }

    #[test]
    fn who_waited_for_many_in_vain_does_not_wait_for_them_again() {
        let (inflight, counters) = (Inflight::new(8), Counters::default());
        let mut gathering = Gathering::default();
        let mut gathered = |arriving: &[usize]| {
            let mut deliveries = Vec::new();
            let mut tail = Arriving(arriving.to_vec());
            gathering.gather(&mut tail, &inflight, &counters, 1024, &mut deliveries).expect("a log");
            (deliveries.len(), tail.0.len())
        };
        assert_eq!(gathered(&[1, 1]), (0, 2), "nobody is on the way");
        counters.last_sync.store(MANY_AFTER, Ordering::Relaxed);
        assert_eq!(gathered(&[10, 10, 10, 10]), (30, 1), "as many as last time");
        assert_eq!(gathered(&[10]), (10, 0), "they did not come");
        assert_eq!(gathered(&[10, 10, 10]), (0, 3), "so nobody waits for them now");
    }
}
