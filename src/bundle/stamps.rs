//! Time-stamped checkpoints in a bundle: each is over the first headers of it, and was stamped at a time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    event::{Digest, Micros, digest::sha256},
    proof::{
        checkpoint::{self, LogKey},
        timestamp::{self, Root},
        tree::{Frontier, leaf_hash},
    },
};

use super::{
    names,
    parts::Parts,
    verify::{Error, error},
};

/// A checkpoint that an authority stamped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// Entries that it covers.
    pub size: u64,
    /// When, microseconds since the Unix epoch; none where no root was given that verifies it.
    pub time: Option<Micros>,
}

/// Checks them all. Without roots a stamp is only compared with what it must be about; with roots, one of them must verify it.
pub(super) fn check(
    parts: &Parts,
    rows: &[[u8; 168]],
    key: &LogKey,
    roots: &[Root],
) -> Result<Vec<Stamp>, Error> {
    let tree_roots = tree_roots(rows, parts.stamped.keys().copied());
    for (size, note) in &parts.stamped {
        let member = names::stamped(*size);
        let opened = checkpoint::open(note, key).map_err(|cause| error(&member, cause.to_string()))?;
        if (opened.size, Some(&opened.root)) != (*size, tree_roots.get(size)) {
            return Err(error(&member, "is not over the first headers of this bundle"));
        }
        if !parts.stamps.contains_key(&(*size, 0)) {
            return Err(error(&member, "is there without a stamp"));
        }
    }
    let mut stamps = Vec::new();
    for ((size, i), answer) in &parts.stamps {
        let member = names::stamp(*size, *i);
        let note =
            parts.stamped.get(size).ok_or_else(|| error(&member, "is there without its checkpoint"))?;
        let imprint = sha256(note.as_bytes()).0;
        if !answer.windows(imprint.len()).any(|window| window == imprint) {
            return Err(error(&member, "is not about this checkpoint"));
        }
        let times: Vec<_> = roots.iter().map(|root| timestamp::verify(answer, note, root)).collect();
        let time = times.iter().find_map(|time| time.as_ref().ok()).copied();
        if let (None, Some(Err(cause))) = (time, times.first()) {
            return Err(error(&member, cause.to_string()));
        }
        stamps.push(Stamp { size: *size, time });
    }
    Ok(stamps)
}

/// Roots of the trees over the first headers.
fn tree_roots(rows: &[[u8; 168]], sizes: impl Iterator<Item = u64>) -> BTreeMap<u64, Digest> {
    let wanted: std::collections::BTreeSet<u64> = sizes.collect();
    let (mut frontier, mut roots) = (Frontier::default(), BTreeMap::new());
    if wanted.is_empty() {
        return roots;
    }
    for row in rows {
        frontier.push(leaf_hash(row), |_, _, _| {});
        if wanted.contains(&frontier.size()) {
            roots.insert(frontier.size(), frontier.root());
        }
    }
    roots
}
