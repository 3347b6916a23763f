//! Evidence looked at for an auditor, one piece after the other; and how far the node's own walk is.

use tokio::sync::mpsc::Sender;
use tonic::Status;

use crate::{
    custody::{
        examination::{Care, Examined, Locks, examine},
        reached::{Pace, Progress},
    },
    event::{
        Digest, Micros,
        proto::{CheckEvidenceRequest, CheckEvidenceResponse, EvidenceChecksStatus},
    },
    projection::{
        held::{self, Held, Windows},
        reliance,
    },
};

use super::auditor::{Auditor, RELIANCE_MAX};

/// Digests that are read from the index at a time.
const PAGE: usize = 256;

/// Least that a lock may end early without being a finding, microseconds.
const TOLERANCE_MIN: Micros = 3_600 * 1_000_000;

/// What an auditor's look needs to know of the node's own walk.
#[derive(Clone)]
pub struct Checks {
    /// How far it is; absent for a stopped node's directory.
    pub progress: Option<Progress>,
    /// How it goes.
    pub pace: Pace,
}

impl Checks {
    /// How much earlier than it must a lock may end, microseconds: who makes locks longer comes by within it, and a node that
    /// was stopped a moment ago does not.
    pub(super) fn tolerance(&self) -> Micros {
        let twice = u64::try_from(self.pace.within.as_micros().saturating_mul(2));
        twice.unwrap_or(u64::MAX).max(TOLERANCE_MIN)
    }

    /// For `GetStatus`.
    pub(super) fn status(&self) -> Option<EvidenceChecksStatus> {
        let reached = self.progress.as_ref()?.reached();
        Some(EvidenceChecksStatus {
            began: reached.round.began,
            looks: reached.round.looks,
            after_sha256: reached.round.after().map(|after| after.0.to_vec()).unwrap_or_default(),
            archive_bundles: reached.round.bundles,
            ended: reached.round.ended,
            open_findings: reached.open,
            extended: reached.extended,
            trouble: reached.trouble,
        })
    }
}

impl Auditor {
    /// Looks at all evidence behind a digest, in the order of digests, and sends a message for each piece.
    pub(super) async fn check_all(
        self,
        asked: CheckEvidenceRequest,
        sender: Sender<Result<CheckEvidenceResponse, Status>>,
    ) {
        if let Err(status) = self.walk(&asked, &sender).await {
            // Nobody listens any more: then nobody needs the reason either.
            let _ = sender.send(Err(status)).await;
        }
    }

    async fn walk(
        &self,
        asked: &CheckEvidenceRequest,
        sender: &Sender<Result<CheckEvidenceResponse, Status>>,
    ) -> Result<(), Status> {
        let mut after = Digest::from_slice(&asked.after);
        let mut left = tokio::task::block_in_place(|| held::count(&self.ledger, after.as_ref()))?;
        let mut windows = Windows::new(self.checks.pace.retain_days);
        loop {
            let page = tokio::task::block_in_place(|| held::after(&self.ledger, after.as_ref(), PAGE))?;
            for sha256 in &page {
                left = left.saturating_sub(1);
                let message = self.look(sha256, asked.deep, &mut windows).await?;
                if sender.send(Ok(CheckEvidenceResponse { left, ..message })).await.is_err() {
                    return Ok(());
                }
            }
            match page.last() {
                Some(last) => after = Some(*last),
                None => return Ok(()),
            }
        }
    }

    async fn look(
        &self,
        sha256: &Digest,
        deep: bool,
        windows: &mut Windows,
    ) -> Result<CheckEvidenceResponse, Status> {
        let (ledger, now) = (&self.ledger, self.now());
        let held = tokio::task::block_in_place(|| held::held(ledger, &ledger.head(), sha256, windows, now))?;
        let Some(held) = held else {
            return Ok(CheckEvidenceResponse { sha256: sha256.0.to_vec(), ..Default::default() });
        };
        let locks = Locks::Read(self.checks.tolerance());
        let examined = examine(self.evidence.as_ref(), &held, Care { deep, locks }, now).await?;
        self.message(&held, &examined, now)
    }

    fn message(
        &self,
        held: &Held,
        examined: &Examined,
        now: Micros,
    ) -> Result<CheckEvidenceResponse, Status> {
        let findings: Vec<_> = examined.found.iter().map(|found| found.event(&held.sha256, now)).collect();
        let promotions = if findings.is_empty() {
            Vec::new()
        } else {
            let head = self.ledger.head();
            tokio::task::block_in_place(|| {
                reliance::reliance(&self.ledger, &head, &held.sha256, RELIANCE_MAX)
            })?
        };
        Ok(CheckEvidenceResponse {
            sha256: held.sha256.0.to_vec(),
            bytes_read: examined.read,
            findings,
            promotions,
            left: 0,
        })
    }

    pub(super) fn now(&self) -> Micros {
        use crate::clock::{Clock, SystemClock};
        self.gateway.as_ref().map_or_else(|| SystemClock.now(), |gateway| gateway.clock.now())
    }
}
