//! The ledger's archive looked at for an auditor, bundle after bundle. Nothing is mended.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use tokio::sync::mpsc::Sender;
use tonic::Status;

use crate::{
    admission,
    archive::{
        archiver,
        check::{self, Against, Care, Finding},
        pieces::Piece,
        reader::{Archive, Conflict, Error as ArchiveError},
        store::Error as StoreError,
    },
    custody::examination::of_archive,
    event::{
        Micros,
        digest::sha256,
        proto::{ArchiveStatus, CheckArchiveRequest, CheckArchiveResponse, EvidenceProblem},
    },
    proof::checkpoint::LogKey,
};

use super::auditor::Auditor;

const DAY: Micros = 24 * 3600 * 1_000_000;

/// What an auditor's look at the archive needs.
#[derive(Clone)]
pub struct Archived {
    /// The archive.
    pub archive: Archive,
    /// Signs its checkpoints.
    pub log_key: Arc<SigningKey>,
    /// How long an entry may wait for the archive before that is a finding, microseconds.
    pub late_after: Micros,
}

type Message = Result<CheckArchiveResponse, Status>;

impl Auditor {
    /// For `GetStatus`.
    pub(super) fn archive_status(&self) -> Option<ArchiveStatus> {
        let reached = self.gateway.as_ref()?.archive.reached();
        let waiting_since = reached.waiting_since.unwrap_or(0);
        Some(ArchiveStatus { size: reached.size, waiting_since, trouble: reached.trouble })
    }

    /// Looks at all bundles from one on, and sends a message for each.
    pub(super) async fn check_bundles(self, asked: CheckArchiveRequest, sender: Sender<Message>) {
        if let Err(status) = self.bundles(&asked, &sender).await {
            // Nobody listens any more: then nobody needs the reason either.
            let _ = sender.send(Err(status)).await;
        }
    }

    async fn bundles(&self, asked: &CheckArchiveRequest, sender: &Sender<Message>) -> Result<(), Status> {
        let Archived { archive, log_key, .. } = &self.archived;
        let (size, now) = (self.ledger.head().state.size(), self.now());
        let archived_size = self.archived_size(size).await?;
        let against = Against {
            archive,
            ledger: &self.ledger,
            log_key,
            until: now.saturating_add(u64::from(self.checks.pace.retain_days) * DAY),
            care: Care::Look { deep: asked.deep, tolerance: self.checks.tolerance() },
        };
        let end = check::bundles(archived_size);
        for bundle in asked.from_bundle..end {
            let checked = against.bundle(bundle, archived_size).await.map_err(failed)?;
            let findings = checked.findings.iter().map(|finding| of_archive(finding, now));
            let message = CheckArchiveResponse {
                bundle,
                bytes_read: checked.read,
                findings: findings.collect(),
                left: end - bundle - 1,
                archived_size,
            };
            if sender.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
        if let Some(finding) = self.end(archived_size, size, now).await? {
            let findings = vec![of_archive(&finding, now)];
            let message = CheckArchiveResponse { bundle: end, findings, archived_size, ..Default::default() };
            // As above.
            let _ = sender.send(Ok(message)).await;
        }
        Ok(())
    }

    /// How many entries are archived: what a running node knows; for a stopped one its newest checkpoint there, and at least
    /// all full bundles.
    async fn archived_size(&self, size: u64) -> Result<u64, Status> {
        let Some(gateway) = &self.gateway else {
            return self.archived.archive.newest_inside(size).await.map_err(away);
        };
        let reached = gateway.archive.reached();
        if reached.agrees {
            return Ok(reached.size);
        }
        let words = format!("the archive was not compared with this ledger yet; {}", reached.trouble);
        Err(admission::Error::Unavailable(words).into())
    }

    /// What is wrong with where the archive ends: entries wait too long for it, or it goes on where the ledger ends.
    async fn end(&self, archived_size: u64, size: u64, now: Micros) -> Result<Option<Finding>, Status> {
        let Archived { archive, log_key, late_after } = &self.archived;
        let problem = if archived_size < size {
            let since = self.ledger.store.date(archived_size)?.unwrap_or(0);
            let words = format!("entries {archived_size} to {} are not archived", size - 1);
            (since.saturating_add(*late_after) < now).then_some((EvidenceProblem::Missing, words))
        } else if self.gateway.is_none() {
            let key =
                LogKey { origin: self.ledger.head().state.origin.clone(), key: log_key.verifying_key() };
            match archive.compare(&self.ledger, &key).await {
                Err(conflict @ Conflict::Behind { .. }) => {
                    Some((EvidenceProblem::Length, conflict.to_string()))
                }
                Err(Conflict::Unread(ArchiveError::Store(StoreError::Unavailable(why)))) => {
                    return Err(away(StoreError::Unavailable(why)));
                }
                // Another history, or a piece that cannot be read: found where the pieces were looked at.
                _ => None,
            }
        } else {
            None
        };
        let Some((problem, detail)) = problem else { return Ok(None) };
        let newest = Piece::Checkpoint { size };
        let expected = archiver::bytes(newest, &self.ledger, log_key)?;
        let uri = archive.store.uri(&archive.name(newest));
        Ok(Some(Finding { sha256: sha256(&expected), uri, problem, detail }))
    }
}

fn away(error: StoreError) -> Status {
    admission::Error::Unavailable(error.to_string()).into()
}

fn failed(error: check::Error) -> Status {
    match error {
        check::Error::Ledger(error) => error.into(),
        check::Error::Store(error) => away(error),
    }
}
