use std::convert::Infallible;

use proptest::prelude::*;
use tlog_tiles::tlog;

use super::*;

/// RFC 6962 as written: recursion over the leaves.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

fn leaves(n: u64) -> Vec<Digest> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn nodes(leaves: &[Digest]) -> impl FnMut(u8, u64) -> Result<Digest, Infallible> {
    move |level, index| {
        let from = (index << level) as usize;
        Ok(naive_root(&leaves[from..from + (1 << level)]))
    }
}

#[test]
fn frontier_gives_the_naive_root_and_every_complete_subtree() {
    let leaves = leaves(70);
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), empty_root());
    for n in 0..leaves.len() {
        frontier.push(leaves[n], |level, index, root| {
            let from = (index << level) as usize;
            assert_eq!(root, naive_root(&leaves[from..from + (1 << level)]));
        });
        assert_eq!(frontier.root(), naive_root(&leaves[..=n]));
    }
}

#[test]
fn proofs_are_those_of_the_crate_tlog_tiles() {
    let leaves = leaves(40);
    let stored: Vec<tlog::Hash> = {
        let mut all: Vec<tlog::Hash> = Vec::new();
        for (i, _) in leaves.iter().enumerate() {
            let data = (i as u64).to_be_bytes();
            let reader = Stored(&all);
            let new = tlog::stored_hashes(i as u64, &data, &reader).unwrap();
            all.extend(new);
        }
        all
    };
    let reader = Stored(&stored);
    for size in 1..=leaves.len() as u64 {
        let theirs = tlog::tree_hash(size, &reader).unwrap();
        assert_eq!(root(&mut nodes(&leaves), size).unwrap().0, theirs.0);
        for index in 0..size {
            let ours = inclusion(&mut nodes(&leaves), index, size).unwrap();
            let proof: Vec<_> = ours.iter().map(|hash| tlog::Hash(hash.0)).collect();
            assert_eq!(proof, tlog::prove_record(size, index, &reader).unwrap());
        }
        for old in 1..=size {
            let ours = consistency(&mut nodes(&leaves), old, size).unwrap();
            let proof: Vec<_> = ours.iter().map(|hash| tlog::Hash(hash.0)).collect();
            assert_eq!(proof, tlog::prove_tree(size, old, &reader).unwrap(), "{old} in {size}");
        }
    }
}

struct Stored<'a>(&'a [tlog::Hash]);

impl tlog::HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes.iter().map(|i| self.0[*i as usize]).collect())
    }
}

proptest! {
    #[test]
    fn inclusion_and_consistency_hold_and_damaged_ones_do_not(size in 1u64..300, a in any::<u64>(), b in any::<u64>(), flip in any::<(usize, u8)>()) {
        let leaves = leaves(size);
        let root_ = naive_root(&leaves);
        let index = a % size;
        let leaf = leaves[index as usize];
        let path = inclusion(&mut nodes(&leaves), index, size).unwrap();
        prop_assert_eq!(check_inclusion(leaf, index, size, &path, &root_), Ok(()));
        let old = b % size + 1;
        let old_root = naive_root(&leaves[..old as usize]);
        let proof = consistency(&mut nodes(&leaves), old, size).unwrap();
        prop_assert_eq!(check_consistency((old, &old_root), (size, &root_), &proof), Ok(()));

        prop_assert!(check_inclusion(leaf_hash(b"other"), index, size, &path, &root_).is_err());
        prop_assert!(check_inclusion(leaf, index, size, &path, &leaf_hash(b"root")).is_err());
        prop_assert!(check_consistency((old, &leaf_hash(b"r")), (size, &root_), &proof).is_err());
        prop_assert!(check_consistency((old, &old_root), (size, &leaf_hash(b"r")), &proof).is_err());
        let longer = [&path[..], &[leaf]].concat();
        prop_assert!(check_inclusion(leaf, index, size, &longer, &root_).is_err());
        let longer = [&proof[..], &[leaf]].concat();
        prop_assert!(check_consistency((old, &old_root), (size, &root_), &longer).is_err());
        for (proof_, is_path) in [(path, true), (proof, false)] {
            if proof_.is_empty() { continue }
            let mut bad = proof_.clone();
            let at = flip.0 % bad.len();
            bad[at].0[usize::from(flip.1) % 32] ^= 1;
            let shorter = &proof_[1..];
            if is_path {
                prop_assert!(check_inclusion(leaf, index, size, &bad, &root_).is_err());
                prop_assert!(check_inclusion(leaf, index, size, shorter, &root_).is_err());
            } else {
                prop_assert!(check_consistency((old, &old_root), (size, &root_), &bad).is_err());
                prop_assert!(check_consistency((old, &old_root), (size, &root_), shorter).is_err());
            }
        }
    }
}
