//! Where a verification stopped, so that the next one checks only what is new.
//!
//! Going on from a position proves that the ledger is still the one that was verified: the right edge of its tree is
//! here, and the next signed checkpoint must follow from it and the new entries alone.

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::LogKey,
    keys::Keys,
    tree::Frontier,
    verify::{Depth, Summary, Verifier},
};
use crate::event::{Digest, canonical};

/// A position, and everything that checking the next entry needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Position {
    depth: Depth,
    ledger_id: Digest,
    origin: String,
    log_key: [u8; 32],
    keys: Keys,
    frontier: Frontier,
    link: Digest,
    recorded_at: u64,
    summary: Summary,
}

impl Position {
    /// Entries that were verified.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Of which ledger.
    pub fn ledger_id(&self) -> Digest {
        self.ledger_id
    }

    /// How much was recomputed.
    pub fn depth(&self) -> Depth {
        self.depth
    }
}

impl Verifier {
    /// Where it is; `None` before genesis.
    pub fn position(&self) -> Option<Position> {
        let log_key = self.log_key.as_ref()?;
        Some(Position {
            depth: self.depth,
            ledger_id: self.ledger_id?,
            origin: log_key.origin.clone(),
            log_key: log_key.key.to_bytes(),
            keys: self.keys.clone(),
            frontier: self.frontier.clone(),
            link: self.link,
            recorded_at: self.recorded_at,
            summary: self.summary.clone(),
        })
    }

    /// Goes on from a position; `None` if it is damaged.
    pub fn resume(position: Position) -> Option<Self> {
        if !position.frontier.is_sound() {
            return None;
        }
        let log_key = LogKey { origin: position.origin, key: canonical::public_key(&position.log_key)? };
        Some(Self {
            depth: position.depth,
            ledger_id: Some(position.ledger_id),
            pinned: Some(position.ledger_id),
            log_key: Some(log_key),
            keys: position.keys.resumed()?,
            frontier: position.frontier,
            link: position.link,
            recorded_at: position.recorded_at,
            summary: position.summary,
        })
    }
}
