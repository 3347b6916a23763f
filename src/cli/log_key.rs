//! The key that checkpoints are verified with: the one that the caller gives, or the one in the ledger's genesis.

use std::sync::Arc;

use crate::{event::Digest, proof::checkpoint::LogKey};

use super::{
    chain,
    output::{Exit, Failure, Result},
    source::Source,
    verification,
};

/// Reads `--key`: a file that holds the line, or the line itself.
///
/// # Errors
/// Exit code 2 if it is not a verifier key.
pub fn given(key: &str) -> Result<LogKey> {
    let line = std::fs::read_to_string(key).unwrap_or_else(|_| key.to_owned());
    LogKey::parse(&line).map_err(|error| Failure::usage(format!("--key: {error}")))
}

/// The key that was given, else the one in genesis; the ledger_id is that genesis' own.
///
/// # Errors
/// If the ledger cannot be read, or does not begin with a genesis.
pub async fn of(source: &Arc<Source>, key: Option<&str>) -> Result<(LogKey, Option<Digest>)> {
    if let Some(key) = key {
        return Ok((given(key)?, None));
    }
    let first = chain::from_node(source.clone(), 0, 1).recv().await;
    if let Some(Err(chain::Unread::Failed(failure))) = first {
        return Err(failure);
    }
    let genesis = verification::genesis(first, None);
    let (ledger_id, key) = genesis.ok_or_else(|| {
        Failure::new(Exit::No, "entry 0 is not a genesis: there is no ledger, or another's")
    })?;
    Ok((key, Some(ledger_id)))
}
