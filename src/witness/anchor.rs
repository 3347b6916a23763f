//! Checkpoints in write-once storage under other credentials: whoever holds the ledger, its log and its evidence cannot take
//! back what stands there.
//!
//! `anchor/<ledger_id>/<n>` is the n-th checkpoint, n from 0 without a gap, so the newest is found without a list of names.
//! Several nodes may write: a name is taken once.

use std::{path::Path, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    event::digest::sha256,
    proof::checkpoint::{self, Checkpoint},
};

use super::{
    anchored::{Anchored, Standing},
    config::AnchorConfig,
    worker::{Error, Parts},
};

/// Microseconds of a day.
const DAY: u64 = 24 * 3600 * 1_000_000;
/// When a checkpoint that could not be put is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Name of the alert.
const ALERT: &str = "anchor";

/// The bucket, and what goes there.
pub struct Anchor {
    anchored: Anchored,
    parts: Parts,
    every: Duration,
    retained: u64,
}

impl Anchor {
    /// Talks to nobody yet.
    pub async fn connect(dir: &Path, config: &AnchorConfig, parts: Parts) -> Result<Self, Error> {
        let anchored = Anchored::connect(dir, &config.s3, parts.ledger_id).await?;
        let every = Duration::from_secs(config.every_seconds);
        Ok(Self { anchored, parts, every, retained: u64::from(config.retain_days) * DAY })
    }

    /// The n-th checkpoint.
    async fn get(&self, n: u64) -> Result<(String, Checkpoint), String> {
        let Standing { uri, note, .. } = self.anchored.get(n).await?;
        let opened =
            checkpoint::open(&note, &self.parts.log_key).map_err(|error| format!("{uri}: {error}"))?;
        Ok((note, opened))
    }

    /// The ledger must have at least what was anchored, and the same. An anchor that cannot be asked raises an alert.
    ///
    /// # Errors
    /// [`Error::Behind`].
    pub async fn compare(&self) -> Result<(), Error> {
        let newest = async {
            match self.anchored.count().await? {
                0 => Ok(None),
                count => self.get(count - 1).await.map(Some),
            }
        };
        let newest: Result<Option<(String, Checkpoint)>, String> = newest.await;
        let (note, anchored) = match newest {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => found,
            Err(why) => {
                self.alert(&format!("it cannot be compared with the ledger: {why}"));
                return Ok(());
            }
        };
        let size = self.parts.ledger.head().state.size();
        if anchored.size > size {
            return Err(Error::Behind { who: "the anchor".into(), seen: anchored.size, size });
        }
        match self.parts.ledger.root_at(anchored.size) {
            Ok(root) if root == anchored.root => {}
            Ok(root) => self.parts.ledger.contradicted(&format!(
                "the anchor holds a checkpoint of {} entries with the root {}, but here it is {root}: there are two histories of this ledger; keep both and compare them:\n{note}",
                anchored.size, anchored.root
            )),
            Err(error) => self.alert(&error.to_string()),
        }
        Ok(())
    }

    fn alert(&self, why: &str) {
        self.parts.alerts.raise(ALERT, why, self.parts.clock.now());
    }

    /// Puts checkpoints until it is aborted.
    pub fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut heads = self.parts.ledger.heads();
            let (mut next, mut anchored) = (None, 0);
            loop {
                let wait = match self.put(&mut next, &mut anchored).await {
                    Ok(()) => {
                        self.parts.alerts.clear(ALERT);
                        self.every
                    }
                    Err(why) => {
                        self.alert(&format!("no checkpoint was put: {why}"));
                        next = None;
                        RETRY_AFTER
                    }
                };
                tokio::time::sleep(wait).await;
                // Ends when the ledger is gone.
                if heads.borrow_and_update().state.size() == anchored && heads.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// Puts what others are shown, or the newest where that is older than what stands there.
    async fn put(&self, next: &mut Option<u64>, anchored: &mut u64) -> Result<(), String> {
        let mut n = match *next {
            Some(n) => n,
            None => {
                let count = self.anchored.count().await?;
                if count > 0 {
                    *anchored = self.get(count - 1).await?.1.size;
                }
                count
            }
        };
        let (mut size, mut note) = self.parts.ledger.shown();
        if size <= *anchored {
            let head = self.parts.ledger.head();
            (size, note) = (head.state.size(), head.checkpoint.clone());
        }
        if size > *anchored {
            let until = self.parts.clock.now() + self.retained;
            let (bytes, digest) = (note.clone().into_bytes(), sha256(note.as_bytes()));
            while !self
                .anchored
                .bucket
                .put_new(&self.anchored.name(n), bytes.clone(), &digest, until)
                .await
                .map_err(|e| e.to_string())?
            {
                // Another node was there first.
                n += 1;
            }
            n += 1;
            *anchored = size;
        }
        *next = Some(n);
        Ok(())
    }
}
