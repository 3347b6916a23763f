//! Enforced, not only declared: the node tries to break its evidence store at its start and on a schedule. What it finds
//! is an entry (one for each answer and day), decides whether promotions may rely on the store, and is an alert where
//! they may not.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    admission::gateway::Gateway,
    alert::Alerts,
    event::{
        Micros,
        custody::{ANSWER_LEN_MAX, ATTEMPTS_MAX},
        proto::{ProbeAttempt, StoreProbed, body::Event},
    },
    evidence::{Probe, standing::Standing},
};

/// How long a node that starts waits for the first answer: without it, it starts and admits no promotions.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// Before a probe that did not get an answer, or an entry that was not recorded, is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(10);
/// Microseconds of a day.
pub(super) const DAY: Micros = 24 * 3600 * 1_000_000;
/// Names of the alerts.
const NOT_WRITE_ONCE: &str = "evidence-store";
const NOT_PROBED: &str = "evidence-store-probe";

/// The running task.
pub struct Probing(JoinHandle<()>);

impl Probing {
    /// Probes once, then again after every `every`.
    pub async fn start(gateway: &Arc<Gateway>, alerts: &Arc<Alerts>, every: Duration) -> Self {
        let first = tokio::time::timeout(FIRST_WITHIN, probe(gateway, alerts)).await;
        let mut found = first.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
        if let Err(why) = &found {
            unanswered(gateway, alerts, why);
        }
        let (gateway, alerts) = (gateway.clone(), alerts.clone());
        Self(tokio::spawn(async move {
            loop {
                let wait = match found {
                    Ok(None) => every,
                    Ok(Some(probe)) => record(&gateway, &probe, every).await,
                    Err(_) => RETRY_WAIT.min(every),
                };
                tokio::time::sleep(wait).await;
                found = self::probe(&gateway, &alerts).await;
                if let Err(why) = &found {
                    unanswered(&gateway, &alerts, why);
                }
            }
        }))
    }

    /// Stops it.
    pub fn stop(&self) {
        self.0.abort();
    }
}

/// Tries to break the store, and draws the consequence.
async fn probe(gateway: &Gateway, alerts: &Alerts) -> Result<Option<Probe>, String> {
    let now = gateway.clock.now();
    let probe = gateway.evidence.probe(now).await.map_err(|error| error.to_string())?;
    let standing = Standing::of(probe.as_ref());
    alerts.clear(NOT_PROBED);
    match &standing {
        Standing::Broken(why) => {
            let words = format!("{why}. No promotion is admitted until a probe finds that this is mended");
            alerts.raise(NOT_WRITE_ONCE, &words, now);
        }
        _ => alerts.clear(NOT_WRITE_ONCE),
    }
    gateway.standing.set(standing);
    Ok(probe)
}

/// What was found out before stays: promotions ask the store anyway. What was never found out stays unknown.
fn unanswered(gateway: &Gateway, alerts: &Alerts, why: &str) {
    if let Standing::Unknown(_) = gateway.standing.get() {
        gateway.standing.set(Standing::Unknown(why.to_owned()));
    }
    let words = format!("whether the evidence store is write-once could not be found out: {why}");
    alerts.raise(NOT_PROBED, &words, gateway.clock.now());
}

/// Records what was found. How long until the next probe.
async fn record(gateway: &Gateway, probe: &Probe, every: Duration) -> Duration {
    match gateway.observe(event(probe, gateway.clock.now()), "").await {
        Ok(_) => every,
        Err(error) => {
            tracing::warn!(%error, "a probe of the evidence store could not be recorded yet");
            RETRY_WAIT.min(every)
        }
    }
}

fn event(probe: &Probe, now: Micros) -> Event {
    let attempts = probe.attempts.iter().take(ATTEMPTS_MAX).map(|attempt| ProbeAttempt {
        attempt: attempt.attempt.to_owned(),
        allowed: attempt.allowed,
        answer: bounded(&attempt.answer),
    });
    Event::StoreProbed(StoreProbed {
        uri: probe.uri.clone(),
        write_once: probe.write_once(),
        attempts: attempts.collect(),
        day: day(now),
    })
}

/// Days since the Unix epoch.
pub(super) fn day(now: Micros) -> u32 {
    u32::try_from(now / DAY).unwrap_or(u32::MAX)
}

/// As much of an answer as an entry holds.
pub(super) fn bounded(answer: &str) -> String {
    let end = (0..=ANSWER_LEN_MAX.min(answer.len())).rev().find(|end| answer.is_char_boundary(*end));
    answer.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
