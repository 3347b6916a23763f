//! Proofs against test vectors in the style of transparency-dev/merkle: good cases, and each kind of damage.
//!
//! `tests/vectors/merkle.json` is our own: made here, checked again by check.py, and by that project's own verifier in Go
//! (tests/clients/go). Its published vectors are read from the Go module cache, where they are there.

use std::{collections::BTreeMap, convert::Infallible, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use promotion_ledger::{
    event::Digest,
    proof::tree::{self, leaf_hash},
};
use serde::{Deserialize, Serialize};

use crate::{harness::clients, vectors::pin};

/// An inclusion case, as that project spells it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    desc: String,
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    #[serde(default, deserialize_with = "or_default")]
    proof: Vec<String>,
    want_err: bool,
}

/// A consistency case.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    desc: String,
    size1: u64,
    size2: u64,
    #[serde(default, deserialize_with = "or_default")]
    root1: String,
    #[serde(default, deserialize_with = "or_default")]
    root2: String,
    #[serde(default, deserialize_with = "or_default")]
    proof: Vec<String>,
    want_err: bool,
}

/// Go writes an absent slice as null.
fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn text(hash: &Digest) -> String {
    BASE64_STANDARD.encode(hash.0)
}

/// 32 bytes; anything else is no hash, and with it no proof.
fn hash(text: &str) -> Option<Digest> {
    BASE64_STANDARD.decode(text).ok().and_then(|bytes| Digest::from_slice(&bytes))
}

fn hashes(texts: &[String]) -> Option<Vec<Digest>> {
    texts.iter().map(|text| hash(text)).collect()
}

impl Inclusion {
    fn holds(&self) -> bool {
        let parts = hash(&self.leaf_hash).zip(hash(&self.root)).zip(hashes(&self.proof));
        parts.is_some_and(|((leaf, root), path)| {
            tree::check_inclusion(leaf, self.leaf_idx, self.tree_size, &path, &root).is_ok()
        })
    }
}

impl Consistency {
    fn holds(&self) -> bool {
        let parts = hash(&self.root1).zip(hash(&self.root2)).zip(hashes(&self.proof));
        parts.is_some_and(|((old, new), path)| {
            tree::check_consistency((self.size1, &old), (self.size2, &new), &path).is_ok()
        })
    }
}

fn leaves() -> Vec<Digest> {
    (0..21_u64).map(|i| leaf_hash(format!("leaf {i}").as_bytes())).collect()
}

fn nodes(leaves: &[Digest]) -> impl FnMut(u8, u64) -> Result<Digest, Infallible> + '_ {
    move |level, index| {
        let mut frontier = tree::Frontier::default();
        let from = (index << level) as usize;
        leaves[from..from + (1 << level)].iter().for_each(|leaf| frontier.push(*leaf, |_, _, _| {}));
        Ok(frontier.root())
    }
}

/// Each way to damage a list of hashes.
fn damaged_paths(path: &[String], foreign: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut made = BTreeMap::new();
    let mut add = |desc: String, path: Vec<String>| made.insert(desc, path);
    let random = text(&Digest([0xa5; 32]));
    for (at, element) in path.iter().enumerate() {
        let with = |element: String| {
            let mut path = path.to_vec();
            path[at] = element;
            path
        };
        let mut bytes = BASE64_STANDARD.decode(element).expect("base64");
        bytes[at % 32] ^= 1 << (at % 8);
        add(format!("bit flipped in hash {at}"), with(BASE64_STANDARD.encode(&bytes)));
        if at == 0 {
            add("a short hash".into(), with(BASE64_STANDARD.encode(&bytes[..31])));
            add("an empty hash".into(), with(String::new()));
        }
        add(format!("hash {at} is missing"), [&path[..at], &path[at + 1..]].concat());
        add(format!("hash {at} is doubled"), [&path[..=at], &path[at..]].concat());
    }
    for (name, extra) in [("a random hash", &random), ("a hash of this tree", &foreign[0])] {
        add(format!("{name} before it"), [std::slice::from_ref(extra), path].concat());
        add(format!("{name} after it"), [path, std::slice::from_ref(extra)].concat());
    }
    if path.len() > 1 {
        add("reversed".into(), path.iter().rev().cloned().collect());
        add("first two swapped".into(), [&[path[1].clone(), path[0].clone()], &path[2..]].concat());
    }
    if !path.is_empty() {
        add("no hashes".into(), Vec::new());
    }
    add("another leaf's proof".into(), foreign.to_vec());
    // A swap of equal hashes, or a foreign proof that is this one, is no damage.
    made.retain(|_, made| made != path);
    made
}

fn damaged_inclusions(good: &Inclusion, foreign: &[String]) -> Vec<Inclusion> {
    let bad = |desc: &str| Inclusion { desc: desc.into(), want_err: true, ..good.clone() };
    let mut made = vec![
        Inclusion { leaf_idx: good.leaf_idx + 1, ..bad("index plus 1") },
        Inclusion { leaf_idx: good.leaf_idx.wrapping_sub(1), ..bad("index minus 1") },
        Inclusion { leaf_idx: good.leaf_idx ^ 2, ..bad("index xor 2") },
        Inclusion { leaf_idx: good.tree_size, ..bad("index is the size") },
        Inclusion { tree_size: good.tree_size * 2, ..bad("size times 2") },
        Inclusion { tree_size: 0, ..bad("size 0") },
        Inclusion { root: text(&leaf_hash(b"x")), ..bad("another root") },
        Inclusion { root: String::new(), ..bad("no root") },
        Inclusion { leaf_hash: text(&leaf_hash(b"x")), ..bad("another leaf") },
        Inclusion { leaf_hash: String::new(), ..bad("no leaf") },
    ];
    made.extend(
        damaged_paths(&good.proof, foreign)
            .into_iter()
            .map(|(desc, proof)| Inclusion { proof, ..bad(&format!("proof: {desc}")) }),
    );
    made
}

fn damaged_consistencies(good: &Consistency, foreign: &[String]) -> Vec<Consistency> {
    let bad = |desc: &str| Consistency { desc: desc.into(), want_err: true, ..good.clone() };
    let other = text(&leaf_hash(b"x"));
    let mut made = vec![
        Consistency { size1: 0, ..bad("older size 0") },
        Consistency { size1: good.size2 + 1, ..bad("older size beyond the newer") },
        Consistency { size1: good.size1 ^ 1, ..bad("older size xor 1") },
        Consistency { size2: good.size2 * 2, ..bad("newer size times 2") },
        Consistency { size1: good.size2, size2: good.size1, ..bad("sizes swapped") },
        Consistency { root1: other.clone(), ..bad("another older root") },
        Consistency { root2: other, ..bad("another newer root") },
        Consistency { root1: good.root2.clone(), root2: good.root1.clone(), ..bad("roots swapped") },
        Consistency { root1: String::new(), ..bad("no older root") },
    ];
    made.extend(
        damaged_paths(&good.proof, foreign)
            .into_iter()
            .map(|(desc, proof)| Consistency { proof, ..bad(&format!("proof: {desc}")) }),
    );
    if good.size1 == good.size2 {
        // Swapped, they are the same.
        made.retain(|case| !case.desc.ends_with("swapped"));
    }
    made
}

fn inclusions(leaves: &[Digest]) -> Vec<Inclusion> {
    let path = |index, size| {
        let path = tree::inclusion(&mut nodes(leaves), index, size).expect("a proof");
        path.iter().map(text).collect::<Vec<_>>()
    };
    let case = |index: u64, size: u64| Inclusion {
        desc: format!("entry {index} of {size}"),
        leaf_idx: index,
        tree_size: size,
        root: text(&tree::root(&mut nodes(leaves), size).expect("a root")),
        leaf_hash: text(&leaves[index as usize]),
        proof: path(index, size),
        want_err: false,
    };
    let mut cases: Vec<_> =
        [1, 2, 3, 7, 8].into_iter().flat_map(|size| (0..size).map(move |index| case(index, size))).collect();
    for (index, size) in [(0, 1), (0, 8), (6, 7), (11, 21), (20, 21)] {
        let mut foreign = path((index + 3) % size, size);
        foreign.push(text(&leaves[index as usize]));
        cases.extend((size == 21).then(|| case(index, size)));
        cases.extend(damaged_inclusions(&case(index, size), &foreign));
    }
    cases
}

fn consistencies(leaves: &[Digest]) -> Vec<Consistency> {
    let root = |size| text(&tree::root(&mut nodes(leaves), size).expect("a root"));
    let path = |old, new| {
        let path = tree::consistency(&mut nodes(leaves), old, new).expect("a proof");
        path.iter().map(text).collect::<Vec<_>>()
    };
    let case = |size1, size2| Consistency {
        desc: format!("{size1} to {size2}"),
        size1,
        size2,
        root1: root(size1),
        root2: root(size2),
        proof: path(size1, size2),
        want_err: false,
    };
    let mut cases: Vec<_> =
        [1, 2, 7, 8].into_iter().flat_map(|new| (1..=new).map(move |old| case(old, new))).collect();
    for (old, new) in [(1, 2), (8, 8), (8, 21), (6, 7), (13, 21)] {
        let mut foreign = path(new / 2, new);
        foreign.push(text(&leaves[0]));
        cases.extend((new == 21).then(|| case(old, new)));
        cases.extend(damaged_consistencies(&case(old, new), &foreign));
    }
    cases
}

#[test]
fn our_vectors() {
    let leaves = leaves();
    let (inclusions, consistencies) = (inclusions(&leaves), consistencies(&leaves));
    for case in &inclusions {
        assert_eq!(case.holds(), !case.want_err, "{} in {}: {}", case.leaf_idx, case.tree_size, case.desc);
    }
    for case in &consistencies {
        assert_eq!(case.holds(), !case.want_err, "{} to {}: {}", case.size1, case.size2, case.desc);
    }
    pin("merkle", &serde_json::json!({ "inclusion": inclusions, "consistency": consistencies }));
}

/// Reads every case below a directory of transparency-dev/merkle.
fn published<T: for<'de> Deserialize<'de>>(dir: &Path) -> Vec<(String, T)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let case =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push((path.display().to_string(), case));
        }
    }
    found
}

/// The vectors that the project publishes, read from its module in Go's module cache.
#[test]
fn published_vectors_of_transparency_dev() {
    let Some(clients) = clients("published_vectors_of_transparency_dev") else { return };
    let dir = std::fs::read_to_string(clients.join("merkle-testdata")).expect("the path of the vectors");
    let dir = Path::new(dir.trim());
    let inclusions = published::<Inclusion>(&dir.join("inclusion"));
    let consistencies = published::<Consistency>(&dir.join("consistency"));
    // As many as the version has that tests/clients/go/go.mod names: none is left out.
    let good = (
        inclusions.iter().filter(|(_, case)| !case.want_err).count(),
        consistencies.iter().filter(|(_, case)| !case.want_err).count(),
    );
    assert_eq!((inclusions.len(), consistencies.len(), good), (98, 98, (6, 6)));
    for (path, case) in &inclusions {
        assert_eq!(case.holds(), !case.want_err, "{path}");
    }
    for (path, case) in consistencies {
        // Its roots are the words "don't care 2", which are equal; here nothing but 32 bytes is a root.
        let words = path.ends_with("additional/sizes-are-equal-one-and-proof-is-empty.json");
        let root = text(&leaf_hash(b"x"));
        assert!(!words || !case.holds(), "{path}");
        let case = if words { Consistency { root1: root.clone(), root2: root, ..case } } else { case };
        assert_eq!(case.holds(), !case.want_err, "{path}");
    }
}

/// The project's own verifier says the same about our vectors as they do.
#[test]
fn the_fields_own_verifier_agrees_with_our_vectors() {
    let Some(clients) = clients("the_fields_own_verifier_agrees_with_our_vectors") else { return };
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/merkle.json");
    let done = std::process::Command::new(clients.join("tlog-client")).arg("-vectors").arg(vectors).output();
    let done = done.expect("the client runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let cases = inclusions(&leaves()).len() + consistencies(&leaves()).len();
    assert_eq!(said.trim(), format!("{cases} cases"));
}
