//! Other nodes of the same ledger: their checkpoints are compared with this node's own tree. Two roots at one size
//! stop both from admitting, and both notes are kept.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    ledger::Ledger,
    proof::checkpoint::{self, LogKey},
};

use super::split_view;

/// Between two looks at a peer.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest checkpoint that is read, bytes.
const CHECKPOINT_LEN_MAX: usize = 64 * 1024;

/// What comparing with peers needs.
pub struct Peers {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The key that signs its checkpoints on every node.
    pub log_key: LogKey,
    /// HTTP addresses of the others.
    pub urls: Vec<String>,
    /// Where a split view is kept.
    pub dir: PathBuf,
    /// Bounded by a timeout.
    pub http: reqwest::Client,
}

impl Peers {
    /// Compares until it is aborted.
    pub fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                for url in &self.urls {
                    if let Some(note) = self.checkpoint(url).await {
                        self.compare(url, &note);
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }

    /// The peer's newest checkpoint; a peer that does not answer is no contradiction.
    async fn checkpoint(&self, url: &str) -> Option<String> {
        let url = format!("{}/checkpoint", url.trim_end_matches('/'));
        let mut response =
            self.http.get(url).send().await.ok().filter(|response| response.status().is_success())?;
        let mut note = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            note.extend(chunk);
            if note.len() > CHECKPOINT_LEN_MAX {
                return None;
            }
        }
        String::from_utf8(note).ok()
    }

    fn compare(&self, url: &str, note: &str) {
        // Not signed by the log key: nobody of this ledger said that.
        let Ok(theirs) = checkpoint::open(note, &self.log_key) else { return };
        let head = self.ledger.head();
        if theirs.size > head.state.size() {
            return;
        }
        match self.ledger.root_at(theirs.size) {
            Ok(root) if root == theirs.root => {}
            Ok(root) => {
                let why = format!(
                    "at {} entries the node {url} signed the root {}, but here it is {root}: there are two histories of this ledger; keep both and compare them",
                    theirs.size, theirs.root
                );
                let evidence = format!("{note}\n{}\n{why}\n", head.checkpoint);
                split_view::found(&self.ledger, &self.dir, theirs.size, &evidence, &why);
            }
            Err(error) => tracing::error!(%error, "a peer's checkpoint cannot be compared"),
        }
    }
}
