//! Where proofs read subtree roots: recent ones from memory, old ones from the store.
//!
//! A receipt for an entry of the newest batch touches no disk; one for an old entry reads at most 256 headers
//! and a few rows.

use std::{collections::HashMap, sync::RwLock};

use crate::{
    event::{Digest, Seq},
    proof::tree::{self, Nodes},
};

use super::{
    keys::TREE_LEVEL_STORED,
    plan::WriteSet,
    store::{Error, Store},
};

/// Leaves whose subtrees stay in memory: between this many and twice as many.
const RECENT_LEAVES: u64 = 1 << 15;

type Generation = HashMap<(u8, u64), Digest>;

/// Subtree roots of recent entries, in two generations.
#[derive(Default)]
pub struct RecentNodes {
    generations: RwLock<(Generation, Generation)>,
}

impl RecentNodes {
    /// Adds the subtrees that a write set completes.
    pub fn add(&self, set: &WriteSet) {
        let mut lock = self.generations.write().expect("no code panics while holding this lock");
        let (young, old) = &mut *lock;
        for (decided, _) in &set.entries {
            for (level, index, root) in &decided.subtrees {
                young.insert((*level, *index), *root);
            }
            if (decided.header.seq + 1) % RECENT_LEAVES == 0 {
                *old = std::mem::take(young);
            }
        }
    }

    fn get(&self, level: u8, index: u64) -> Option<Digest> {
        let lock = self.generations.read().expect("no code panics while holding this lock");
        lock.0.get(&(level, index)).or_else(|| lock.1.get(&(level, index))).copied()
    }
}

/// Subtree roots of a ledger.
pub struct LedgerNodes<'a> {
    /// For old subtrees.
    pub store: &'a Store,
    /// For recent subtrees.
    pub recent: &'a RecentNodes,
}

impl Nodes for LedgerNodes<'_> {
    type Error = Error;

    fn node(&mut self, level: u8, index: u64) -> Result<Digest, Error> {
        if let Some(root) = self.recent.get(level, index) {
            return Ok(root);
        }
        if level >= TREE_LEVEL_STORED {
            let missing = || Error::Row(format!("tree/{level}/{index}"));
            return self.store.subtree(level, index)?.ok_or_else(missing);
        }
        let (from, to) = (index << level, (index + 1) << level);
        subtree_from_headers(self.store, from, to)
    }
}

fn subtree_from_headers(store: &Store, from: Seq, to: Seq) -> Result<Digest, Error> {
    let headers = store.headers(from, to)?;
    if headers.len() as u64 != to - from {
        return Err(Error::Row(format!("entries/{}", from + headers.len() as u64)));
    }
    let mut frontier = tree::Frontier::default();
    headers.iter().for_each(|header| frontier.push(tree::leaf_hash(header), |_, _, _| {}));
    Ok(frontier.root())
}
