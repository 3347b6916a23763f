//! Reminders before a review's time is over, and escalation after: told once for each destination, also over restarts.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    alert::Alerts,
    clock::Clock,
    event::{
        Micros, Seq, canonical,
        proto::{CloseReason, body::Event},
    },
    ledger::{Ledger, review_rows::ReviewStatus},
    projection::reviews::{self, Review},
};

use super::{message::From, reviews::of_deadline, worker::Destination};

/// Between two looks at what is open.
const LOOK: Duration = Duration::from_secs(2);
/// Reviews that are looked at, newest first.
const REVIEWS_MAX: usize = 1_000;
const HOUR: Micros = 3_600 * 1_000_000;
/// How long after its closing an expired review is still told of, so that a new destination is not told of old ones.
const EXPIRED_LATELY: Micros = 24 * HOUR;

/// What one destination was told: review and whether its time had passed.
type Sent = BTreeSet<(Seq, bool)>;

/// Tells one destination of the time of every open review.
pub(super) struct Deadlines {
    pub(super) destination: Arc<Destination>,
    pub(super) from: From,
    pub(super) ledger: Arc<Ledger>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) remind_hours: u64,
    file: PathBuf,
    sent: Sent,
}

impl Deadlines {
    /// With what was told before, from a file.
    pub(super) fn open(
        dir: &Path,
        destination: &Arc<Destination>,
        from: &From,
        parts: &super::Parts,
        remind_hours: u64,
    ) -> io::Result<Self> {
        let file = dir.join(format!("{}.deadlines", destination.name));
        let sent = match fs::read_to_string(&file) {
            Ok(text) => text.lines().filter_map(parse).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Sent::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            destination: destination.clone(),
            from: from.clone(),
            ledger: parts.ledger.clone(),
            alerts: parts.alerts.clone(),
            clock: parts.clock.clone(),
            remind_hours,
            file,
            sent,
        })
    }

    /// Looks again and again.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let head = self.ledger.head();
            let open = tokio::task::block_in_place(|| reviews::newest(&self.ledger, &head, REVIEWS_MAX));
            let Ok(open) = open.inspect_err(|error| tracing::error!(%error, "reviews cannot be read")) else {
                continue;
            };
            let now = self.clock.now();
            let undecided = |review: &Review| review.state.is_open() || self.expired(review, now);
            let open: Vec<_> = open.into_iter().filter(undecided).collect();
            for (review, passed) in due(&open, &self.sent, now, self.remind_hours) {
                let seq = review.header.seq;
                let message = of_deadline(&self.from, seq, &review.sealed, review.due_at(), passed);
                if self.destination.wants(&message) {
                    self.destination.deliver(&message, &self.alerts).await;
                }
                self.sent.insert((seq, passed));
                self.keep();
            }
        }
    }

    /// Whether a review was closed lately because its time was over: the node closes it within a minute, which may be
    /// before anybody was told.
    fn expired(&self, review: &Review, now: Micros) -> bool {
        let ReviewStatus::Ended(seq) = review.state.status else { return false };
        let record = self.ledger.store.record(seq).ok().flatten();
        let body = record.and_then(|record| canonical::decode(&record).ok()).map(|record| record.body);
        body.is_some_and(|body| {
            let lately = body.recorded_at.saturating_add(EXPIRED_LATELY) > now;
            lately
                && matches!(body.event, Some(Event::ReviewClosed(it)) if it.reason() == CloseReason::Expired)
        })
    }

    fn keep(&self) {
        let write = || -> io::Result<()> {
            let new = self.file.with_extension("new-deadlines");
            let mut file = File::create(&new)?;
            for (seq, passed) in &self.sent {
                writeln!(file, "{seq} {}", if *passed { "escalation" } else { "reminder" })?;
            }
            file.sync_all()?;
            fs::rename(&new, &self.file)
        };
        if let Err(error) = tokio::task::block_in_place(write) {
            tracing::error!(%error, "what was told was not kept: after a restart some reminders are sent twice");
        }
    }
}

fn parse(line: &str) -> Option<(Seq, bool)> {
    let (seq, kind) = line.split_once(' ')?;
    Some((seq.parse().ok()?, kind == "escalation"))
}

/// Reviews whose time comes or has passed, and which were not told of that yet.
fn due<'a>(open: &'a [Review], sent: &Sent, now: Micros, remind_hours: u64) -> Vec<(&'a Review, bool)> {
    let mut found = Vec::new();
    for review in open {
        let (seq, due_at) = (review.header.seq, review.due_at());
        let passed = due_at > 0 && due_at <= now;
        let comes = due_at > 0 && !passed && due_at.saturating_sub(remind_hours * HOUR) <= now;
        if (passed || comes) && !sent.contains(&(seq, passed)) {
            found.push((review, passed));
        }
    }
    found
}
