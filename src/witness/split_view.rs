//! Two histories of one ledger: what shows it is kept first, and only then does the node say so. Whoever is told finds the
//! evidence, and a crash in between leaves what the next look finds again.

use std::path::Path;

use crate::{durable, ledger::Ledger};

/// Keeps `evidence` in `dir`, whole and durable, and stops admission. What was kept of an earlier look at the same size stands.
pub(super) fn found(ledger: &Ledger, dir: &Path, size: u64, evidence: &str, why: &str) {
    let file = dir.join(format!("split-view-{size}.txt"));
    if let Err(error) = durable::create(&file, evidence.as_bytes(), 0o444) {
        tracing::error!(%error, file = %file.display(), "the evidence of a split view was not kept");
    }
    ledger.contradicted(why);
}
