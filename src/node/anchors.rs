//! What others saw of the ledger, asked before anything is admitted (design section 3, rule 11).

use std::{path::Path, sync::Arc};

use ed25519_dalek::SigningKey;

use crate::{
    alert::Alerts,
    config::Config,
    ledger::{Ledger, recover, writer::Writer},
    proof::checkpoint::LogKey,
    witness::{self, Witnesses},
};

use super::{COMPARE_ATTEMPTS, Error, Parts};

/// Starts the witnesses, the anchor and the time-stamps. Where one of them saw more than this node has, the log may have it:
/// another node may have recorded it since this one looked.
pub(super) async fn start(
    dir: &Path,
    config: &Config,
    parts: &Parts,
    ledger: &Arc<Ledger>,
    writer: &Writer,
    alerts: &Arc<Alerts>,
    log_key: &SigningKey,
) -> Result<Witnesses, Error> {
    let state = &ledger.head().state;
    let seen_by = witness::Parts {
        ledger: ledger.clone(),
        log_key: LogKey { origin: state.origin.clone(), key: log_key.verifying_key() },
        alerts: alerts.clone(),
        clock: parts.clock.clone(),
        ledger_id: state.ledger_id,
    };
    let mut attempts = 0..COMPARE_ATTEMPTS;
    loop {
        match Witnesses::start(dir, &config.witnesses, &seen_by).await {
            Err(witness::Error::Behind { seen, .. })
                if attempts.next().is_some() && parts.log.end().await?.is_some_and(|end| end >= seen) =>
            {
                recover::catch_up(ledger, parts.log.as_ref(), writer.health()).await?;
            }
            started => return Ok(started?),
        }
    }
}
