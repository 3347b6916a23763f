//! The Merkle tree over entry headers: RFC 6962 section 2.1, SHA-256.
//!
//! Node (level, index) is the root of the complete subtree over leaves [index << level, (index + 1) << level).
//! The tree keeps no hashes itself: whoever asks for a proof brings a [`Nodes`].

use sha2::{Digest as _, Sha256};

use crate::event::Digest;

/// SHA-256(0x00 || leaf).
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into())
}

/// SHA-256(0x01 || left || right).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest(Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// Root of the empty tree.
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// Roots of the complete subtrees at the tree's right edge, largest first: all that appending needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Frontier {
    size: u64,
    roots: Vec<Digest>,
}

impl Frontier {
    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it has one root for each bit of its size, as one that was read back must.
    pub fn is_sound(&self) -> bool {
        self.roots.len() as u32 == self.size.count_ones()
    }

    /// Appends a leaf hash; calls `completed(level, index, root)` for the leaf and every subtree that it completes.
    pub fn push(&mut self, leaf: Digest, mut completed: impl FnMut(u8, u64, Digest)) {
        let mut hash = leaf;
        let mut level = 0;
        completed(level, self.size, hash);
        let mut index = self.size;
        while index & 1 == 1 {
            let left = self.roots.pop().expect("one root for each bit of the size");
            hash = node_hash(&left, &hash);
            level += 1;
            index >>= 1;
            completed(level, index, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// Root of the whole tree.
    pub fn root(&self) -> Digest {
        let mut roots = self.roots.iter().rev();
        let Some(&last) = roots.next() else { return empty_root() };
        roots.fold(last, |right, left| node_hash(left, &right))
    }
}

/// Where a proof reads the roots of complete subtrees.
pub trait Nodes {
    /// What reading can fail with.
    type Error;
    /// Root of the complete subtree (level, index). Asked only for subtrees that the tree has.
    fn node(&mut self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

impl<E, F: FnMut(u8, u64) -> Result<Digest, E>> Nodes for F {
    type Error = E;
    fn node(&mut self, level: u8, index: u64) -> Result<Digest, E> {
        self(level, index)
    }
}

/// Root over leaves [from, to), to > from, by RFC 6962's split; `from` is a multiple of the split's sizes.
fn range_root<N: Nodes>(nodes: &mut N, from: u64, to: u64) -> Result<Digest, N::Error> {
    let len = to - from;
    if len.is_power_of_two() {
        let level = len.trailing_zeros();
        return nodes.node(level as u8, from >> level);
    }
    let middle = from + split(len);
    let left = range_root(nodes, from, middle)?;
    Ok(node_hash(&left, &range_root(nodes, middle, to)?))
}

/// The largest power of two below `len` (len of 2 or more).
fn split(len: u64) -> u64 {
    1 << (63 - (len - 1).leading_zeros())
}

/// Root of the tree of this size.
///
/// # Errors
/// What reading a node fails with.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Digest, N::Error> {
    if size == 0 { Ok(empty_root()) } else { range_root(nodes, 0, size) }
}

/// Inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962 section 2.1.1), leaf's sibling first.
///
/// # Errors
/// What reading a node fails with. Asking for `index >= size` is a bug.
pub fn inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    assert!(index < size, "leaf {index} is not in a tree of {size}");
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range_root(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(range_root(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Consistency proof between two sizes of one tree (RFC 6962 section 2.1.2), 0 < old <= new.
///
/// # Errors
/// What reading a node fails with.
pub fn consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Vec<Digest>, N::Error> {
    assert!(0 < old && old <= new, "no consistency proof from {old} to {new}");
    let (mut from, mut to) = (0, new);
    let mut path = Vec::new();
    // The subtree that is wholly old: left out where it is the old tree itself.
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(range_root(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(range_root(nodes, from, middle)?);
            from = middle;
        }
    }
    if from != 0 {
        path.push(range_root(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The index is not in a tree of that size, or the sizes are not in order.
    #[error("leaf or size {index} does not fit a tree of {size} leaves")]
    Range {
        /// Leaf index, or old size.
        index: u64,
        /// Tree size.
        size: u64,
    },
    /// Too few or too many hashes.
    #[error("the proof has {found} hashes; {expected} are needed")]
    Length {
        /// Hashes in the proof.
        found: usize,
        /// Hashes that this index and size need.
        expected: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to the root {found}, not {expected}")]
    Root {
        /// Root that the proof gives.
        found: Digest,
        /// Root that was claimed.
        expected: Digest,
    },
}

/// Checks an inclusion proof (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// [`Error`], with what was found and expected.
pub fn check_inclusion(
    leaf: Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), Error> {
    if index >= size {
        return Err(Error::Range { index, size });
    }
    let expected = path_len(index, size);
    if path.len() != expected {
        return Err(Error::Length { found: path.len(), expected });
    }
    let (mut fn_, mut sn, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if fn_ & 1 == 1 || fn_ == sn {
            hash = node_hash(sibling, &hash);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    if hash == *root { Ok(()) } else { Err(Error::Root { found: hash, expected: *root }) }
}

/// Hashes in the inclusion proof of this leaf.
fn path_len(index: u64, size: u64) -> usize {
    let (mut from, mut to, mut len) = (0, size, 0);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            to = middle
        } else {
            from = middle
        }
        len += 1;
    }
    len
}

/// Checks a consistency proof (RFC 9162 section 2.1.4.2).
///
/// # Errors
/// [`Error`]; [`Error::Root`] names the root, old or new, that the proof does not lead to.
pub fn check_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    path: &[Digest],
) -> Result<(), Error> {
    if old == 0 || old > new {
        return Err(Error::Range { index: old, size: new });
    }
    if old == new {
        let equal = old_root == new_root;
        return match path.len() {
            0 if equal => Ok(()),
            0 => Err(Error::Root { found: *old_root, expected: *new_root }),
            found => Err(Error::Length { found, expected: 0 }),
        };
    }
    let mut hashes = path.iter();
    let length = |expected| Error::Length { found: path.len(), expected };
    let (mut fn_, mut sn) = (old - 1, new - 1);
    while fn_ & 1 == 1 {
        fn_ >>= 1;
        sn >>= 1;
    }
    let first =
        if old.is_power_of_two() { *old_root } else { *hashes.next().ok_or(length(path.len() + 1))? };
    let (mut fr, mut sr) = (first, first);
    for hash in hashes {
        if sn == 0 {
            return Err(length(path.len() - 1));
        }
        if fn_ & 1 == 1 || fn_ == sn {
            fr = node_hash(hash, &fr);
            sr = node_hash(hash, &sr);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            sr = node_hash(&sr, hash);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    if sn != 0 {
        return Err(length(path.len() + 1));
    }
    if fr != *old_root {
        return Err(Error::Root { found: fr, expected: *old_root });
    }
    if sr != *new_root {
        return Err(Error::Root { found: sr, expected: *new_root });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
