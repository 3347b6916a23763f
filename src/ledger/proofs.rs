//! Proofs, tiles and entry bundles of a ledger, read from what is synced. The writer is not asked.

use crate::{
    event::{Digest, Seq},
    proof::{
        tile::{self, Content, Tile},
        tree,
    },
};

use super::{
    Ledger,
    nodes::LedgerNodes,
    store::{Error, Store},
};

impl Ledger {
    fn nodes(&self) -> LedgerNodes<'_> {
        LedgerNodes { store: &self.store, recent: &self.recent }
    }

    /// Root of the tree at a size that this ledger has reached.
    ///
    /// # Errors
    /// [`Error`].
    pub fn root_at(&self, size: u64) -> Result<Digest, Error> {
        tree::root(&mut self.nodes(), size)
    }

    /// RFC 6962 inclusion proof of an entry in the tree of a size; `seq < size`, and the ledger has that many entries.
    ///
    /// # Errors
    /// [`Error`].
    pub fn inclusion(&self, seq: Seq, size: u64) -> Result<Vec<Digest>, Error> {
        tree::inclusion(&mut self.nodes(), seq, size)
    }

    /// RFC 6962 consistency proof between two sizes; `0 < old <= new`, and the ledger has that many entries.
    ///
    /// # Errors
    /// [`Error`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        tree::consistency(&mut self.nodes(), old, new)
    }

    /// The bytes of a tile or bundle; `None` if the synced ledger does not have all of it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, Error> {
        if tile.is_in(self.head().state.size()) { read(&self.store, tile) } else { Ok(None) }
    }
}

fn read(store: &Store, tile: &Tile) -> Result<Option<Vec<u8>>, Error> {
    let Some((level, nodes)) = tile.nodes() else { return Ok(None) };
    let (from, to) = (nodes.start, nodes.end);
    if level > 0 {
        let roots = store.subtrees(level, from, to)?;
        return Ok(Some(roots.iter().flat_map(|root| root.0).collect()));
    }
    let headers = store.headers(from, to)?;
    if headers.len() as u64 != to - from {
        return Err(Error::Row(format!("entries/{}", from + headers.len() as u64)));
    }
    Ok(Some(match tile.content {
        Content::Entries => tile::bundle(&headers),
        Content::Hashes(_) => headers.iter().flat_map(|header| tree::leaf_hash(header).0).collect(),
    }))
}
