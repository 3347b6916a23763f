//! The members of a bundle, by what they are; nothing in them is believed yet.

use std::collections::BTreeMap;

use crate::event::{Digest, Seq, canonical};

use super::{
    container,
    names::{self, Name},
    verify::{Error, error},
};

/// Longest members that are kept in memory, bytes; others are hashed on their way.
pub(super) fn kept(name: &str) -> Option<u64> {
    match Name::parse(name)? {
        Name::Manifest => Some(64 << 20),
        Name::Headers => Some(container::LEN_MAX),
        Name::Record(_) | Name::Claims(..) => Some(canonical::RECORD_LEN_MAX as u64),
        Name::Checkpoint | Name::Receipt(_) | Name::Stamped(_) | Name::Stamp(..) => Some(64 << 10),
        Name::Evidence(_) | Name::Screen(_) | Name::Drawn => None,
    }
}

/// A bundle's members, by what they are.
#[derive(Default)]
pub(super) struct Parts {
    pub manifest: Vec<u8>,
    pub note: String,
    pub headers: Vec<u8>,
    pub records: BTreeMap<Seq, Vec<u8>>,
    pub receipts: BTreeMap<Seq, String>,
    pub evidence: BTreeMap<Digest, u64>,
    pub screens: BTreeMap<Seq, (Digest, u64)>,
    pub claims: BTreeMap<(Seq, Digest), Vec<u8>>,
    pub stamped: BTreeMap<u64, String>,
    pub stamps: BTreeMap<(u64, u64), Vec<u8>>,
    pub drawn: BTreeMap<String, String>,
}

impl Parts {
    pub fn new(members: Vec<container::Member>) -> Result<Self, Error> {
        let mut parts = Self::default();
        for container::Member { name, length, sha256, bytes } in members {
            let bytes = bytes.unwrap_or_default();
            let text = |bytes| String::from_utf8(bytes).map_err(|_| error(&name, "is not UTF-8"));
            match Name::parse(&name).ok_or_else(|| error(&name, "is no part of a bundle"))? {
                Name::Manifest => parts.manifest = bytes,
                Name::Checkpoint => parts.note = text(bytes)?,
                Name::Headers => parts.headers = bytes,
                Name::Record(seq) => drop(parts.records.insert(seq, bytes)),
                Name::Receipt(seq) => drop(parts.receipts.insert(seq, text(bytes)?)),
                Name::Evidence(digest) if digest != sha256 => {
                    return Err(error(&name, format!("its SHA-256 is {sha256}: it was changed")));
                }
                Name::Evidence(digest) => {
                    if parts.evidence.insert(digest, length).is_some() {
                        return Err(error(&name, "is there under another ending as well"));
                    }
                }
                Name::Screen(seq) => drop(parts.screens.insert(seq, (sha256, length))),
                Name::Claims(seq, subject) => drop(parts.claims.insert((seq, subject), bytes)),
                Name::Stamped(size) => drop(parts.stamped.insert(size, text(bytes)?)),
                Name::Stamp(size, i) => drop(parts.stamps.insert((size, i), bytes)),
                Name::Drawn => drop(parts.drawn.insert(name, sha256.to_string())),
            }
        }
        let missing = [
            (names::MANIFEST, parts.manifest.is_empty()),
            (names::CHECKPOINT, parts.note.is_empty()),
            (names::HEADERS, parts.headers.is_empty()),
        ];
        match missing.into_iter().find(|(_, missing)| *missing) {
            Some((name, _)) => Err(error(name, "is missing")),
            None => Ok(parts),
        }
    }
}
