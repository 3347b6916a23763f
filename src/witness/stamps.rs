//! Time-stamps (RFC 3161) on checkpoints that cover a human approval, kept beside the database.
//!
//! `timestamps/<size>.txt` is the checkpoint, `<size>-<i>.tsr` the answer of the i-th authority. Each is verified before it is
//! kept.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::header::CONTENT_TYPE;
use tokio::task::JoinHandle;

use crate::{
    durable,
    event::{
        Header, Kind, Outcome, Seq, canonical,
        proto::{StampedCheckpoint, body::Event},
    },
    ledger::{Head, Ledger, store},
    proof::timestamp::{self, ANSWER_LEN_MAX, REQUEST_TYPE, Root},
};

use super::{
    config::Authority,
    kept::sizes,
    worker::{Error, Parts},
};

/// Directory, below the node's.
pub(super) const DIR: &str = "timestamps";
/// Between two checkpoints that are stamped at least.
const STAMP_EVERY: Duration = Duration::from_secs(1);
/// When an authority that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Entries looked at in one step.
const STEP: u64 = 1_024;

/// The authorities.
pub struct Stamps {
    parts: Parts,
    authorities: Vec<(String, Root)>,
    dir: PathBuf,
    http: reqwest::Client,
}

impl Stamps {
    /// Reads the authorities' roots.
    pub fn open(
        dir: &Path,
        config: &[Authority],
        parts: Parts,
        http: reqwest::Client,
    ) -> Result<Self, Error> {
        let read = |authority: &Authority| {
            let path = dir.join(&authority.root);
            let pem = std::fs::read(&path).map_err(|error| error.to_string());
            let root = pem.and_then(|pem| Root::from_pem(&pem).map_err(|error| error.to_string()));
            let root = root.map_err(|why| Error::Authority { path, why })?;
            Ok((authority.url.clone(), root))
        };
        let authorities = config.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        let dir = dir.join(DIR);
        let made = std::fs::create_dir_all(&dir);
        made.map_err(|error| Error::Authority { path: dir.clone(), why: error.to_string() })?;
        Ok(Self { parts, authorities, dir, http })
    }

    /// Stamps until it is aborted.
    pub fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut heads = self.parts.ledger.heads();
            let mut looked = sizes(&self.dir).into_iter().max().unwrap_or(0);
            loop {
                let head = heads.borrow_and_update().clone();
                let wait = match self.step(&head, looked).await {
                    Ok(()) => {
                        looked = head.state.size();
                        self.parts.alerts.clear("timestamps");
                        STAMP_EVERY
                    }
                    Err(why) => {
                        let why = format!("a checkpoint over a human approval is not stamped: {why}");
                        self.parts.alerts.raise("timestamps", &why, self.parts.clock.now());
                        RETRY_AFTER
                    }
                };
                tokio::time::sleep(wait).await;
                // Ends when the ledger is gone.
                if heads.borrow().state.size() == looked && heads.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// Stamps a head if a human approval came since the last one.
    async fn step(&self, head: &Arc<Head>, looked: Seq) -> Result<(), String> {
        let (ledger, size) = (self.parts.ledger.clone(), head.state.size());
        let found = tokio::task::spawn_blocking(move || has_approval(&ledger, looked, size)).await;
        if !found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())? {
            return Ok(());
        }
        let note = head.checkpoint.as_str();
        let mut answers = Vec::new();
        for (url, root) in &self.authorities {
            let answer = self.ask(url, note).await.map_err(|why| format!("{url}: {why}"))?;
            timestamp::verify(&answer, note, root).map_err(|error| format!("{url}: {error}"))?;
            answers.push(answer);
        }
        let keep = |name: String, bytes: &[u8]| durable::create(&self.dir.join(name), bytes, 0o444);
        let kept = answers
            .iter()
            .enumerate()
            .try_for_each(|(i, answer)| keep(format!("{size}-{i}.tsr"), answer).map(|_| ()));
        // The checkpoint last: where it is, its stamps are.
        kept.and_then(|()| keep(format!("{size}.txt"), note.as_bytes()))
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    async fn ask(&self, url: &str, note: &str) -> Result<Vec<u8>, String> {
        let words = |error: reqwest::Error| error.without_url().to_string();
        let request = self.http.post(url).header(CONTENT_TYPE, REQUEST_TYPE).body(timestamp::request(note));
        let mut response = request.send().await.map_err(words)?;
        if !response.status().is_success() {
            return Err(format!("it answered {}", response.status()));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(words)? {
            answer.extend(chunk);
            if answer.len() > ANSWER_LEN_MAX {
                return Err("its answer is longer than 64 KiB".into());
            }
        }
        Ok(answer)
    }
}

/// Whether `[from, to)` has an approval by a person: an Approved entry, or a promotion that carries one.
fn has_approval(ledger: &Ledger, mut from: Seq, to: Seq) -> Result<bool, store::Error> {
    while from < to {
        let headers = ledger.store.headers(from, to.min(from + STEP))?;
        if headers.is_empty() {
            return Err(store::Error::Row(format!("entries/{from}")));
        }
        for header in headers.iter().filter_map(|header| Header::decode(header).ok()) {
            let accepted = header.outcome == Outcome::Accepted;
            let human = match header.kind.filter(|_| accepted) {
                Some(Kind::Approved) => true,
                Some(Kind::Promoted) => {
                    ledger.store.record(header.seq)?.is_some_and(|record| by_people(&record))
                }
                _ => false,
            };
            if human {
                return Ok(true);
            }
        }
        from += headers.len() as u64;
    }
    Ok(false)
}

fn by_people(record: &[u8]) -> bool {
    match canonical::decode(record).ok().and_then(|record| record.body.event) {
        Some(Event::Promoted(promoted)) => {
            promoted.approvals.iter().any(|approval| approval.standing_policy.is_empty())
        }
        _ => false,
    }
}

/// The stamped checkpoints around an entry: the last one that does not have it, and the first one that does.
pub fn around(node: &Path, seq: Seq) -> Vec<StampedCheckpoint> {
    let dir = node.join(DIR);
    let sizes = sizes(&dir);
    let before = sizes.iter().filter(|size| **size <= seq).max();
    let after = sizes.iter().filter(|size| **size > seq).min();
    before.into_iter().chain(after).filter_map(|size| read(&dir, *size)).collect()
}

/// The stamped checkpoint of a size.
pub(super) fn read(dir: &Path, size: u64) -> Option<StampedCheckpoint> {
    let checkpoint = std::fs::read_to_string(dir.join(format!("{size}.txt"))).ok()?;
    let answer = |i| std::fs::read(dir.join(format!("{size}-{i}.tsr"))).ok();
    let timestamps = (0..).map_while(answer).collect();
    Some(StampedCheckpoint { tree_size: size, checkpoint, timestamps, ..StampedCheckpoint::default() })
}
