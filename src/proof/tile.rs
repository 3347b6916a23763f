//! C2SP tlog-tiles: the names of tiles and entry bundles, and the bytes of a bundle.
//!
//! A tile is 256 hashes of one level of the tree, eight tree levels above the tile level below it; a bundle is the 256
//! headers below a tile of level 0. Both are named by level, index and width, and never change once the tree has them.

use std::ops::Range;

use crate::event::{Seq, header::HEADER_LEN};

/// Hashes in a full tile, headers in a full bundle.
pub const WIDTH: u64 = 256;
/// Tree levels that one tile level spans.
pub const HEIGHT: u8 = 8;
/// Tile levels that the specification names.
const LEVEL_MAX: u8 = 63;

/// What a resource below `/tile/` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Hashes of this tile level: at 0 leaf hashes, above it roots of full tiles of the level below.
    Hashes(u8),
    /// Headers.
    Entries,
}

/// A tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// What it holds.
    pub content: Content,
    /// Which one of its level.
    pub index: u64,
    /// Hashes or headers in it: 256, or fewer at the right edge of a tree.
    pub width: u16,
}

/// Why a path names no tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is not the path of a tile: {problem} (c2sp.org/tlog-tiles)")]
pub struct Error {
    /// As asked for.
    pub path: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Tile {
    /// Reads what follows `/tile/`: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`, in their one spelling.
    ///
    /// # Errors
    /// [`Error`].
    pub fn parse(path: &str) -> Result<Self, Error> {
        let error = |problem| Error { path: path.chars().take(128).collect(), problem };
        let (level, rest) = path.split_once('/').ok_or(error("it has no index"))?;
        let content = if level == "entries" {
            Content::Entries
        } else {
            let number = decimal(level, LEVEL_MAX.into());
            Content::Hashes(number.ok_or(error("the level is not a number from 0 to 63, or entries"))? as u8)
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((index, width)) => {
                let width = decimal(width, WIDTH - 1).filter(|width| *width > 0);
                (index, width.ok_or(error("the width is not a number from 1 to 255"))?)
            }
        };
        let index = parse_index(index).ok_or(error("the index is not elements of three digits"))?;
        let tile = Self { content, index, width: width as u16 };
        if tile.path() == path {
            Ok(tile)
        } else {
            Err(error("the index has elements that it does not need"))
        }
    }

    /// What follows `/tile/`.
    pub fn path(&self) -> String {
        let index = number_path(self.index);
        let level = match self.content {
            Content::Hashes(level) => level.to_string(),
            Content::Entries => "entries".to_owned(),
        };
        let width = if u64::from(self.width) < WIDTH { format!(".p/{}", self.width) } else { String::new() };
        format!("{level}/{index}{width}")
    }

    /// The nodes of the tree that it holds: their tree level, and their indices there. `None` where no tree reaches.
    pub fn nodes(&self) -> Option<(u8, Range<u64>)> {
        let level = match self.content {
            Content::Hashes(level) => level.checked_mul(HEIGHT).filter(|level| *level < 64)?,
            Content::Entries => 0,
        };
        let from = self.index.checked_mul(WIDTH)?;
        let to = from.checked_add(self.width.into())?;
        to.checked_mul(1 << level)?;
        Some((level, from..to))
    }

    /// Whether a tree of this size has it whole.
    pub fn is_in(&self, size: u64) -> bool {
        self.nodes().is_some_and(|(level, nodes)| nodes.end <= size >> level)
    }
}

/// A number as a path: groups of three digits, all but the last with an `x` before them.
pub fn number_path(mut number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    while number >= 1000 {
        number /= 1000;
        path = format!("x{:03}/{path}", number % 1000);
    }
    path
}

fn decimal(text: &str, max: u64) -> Option<u64> {
    let number: u64 = text.parse().ok().filter(|number| *number <= max)?;
    (number.to_string() == text).then_some(number)
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index = 0_u64;
    let mut elements = text.split('/').peekable();
    while let Some(element) = elements.next() {
        let digits = if elements.peek().is_some() { element.strip_prefix('x')? } else { element };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

/// The bytes of an entry bundle: each header after its length as a big-endian u16.
pub fn bundle(headers: &[[u8; HEADER_LEN]]) -> Vec<u8> {
    let len = (HEADER_LEN as u16).to_be_bytes();
    headers.iter().flat_map(|header| len.iter().chain(header).copied()).collect()
}

/// What is wrong with the bytes of an entry bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}, byte {at} of the bundle: {problem}")]
pub struct BundleError {
    /// The entry.
    pub seq: Seq,
    /// Where in the bundle.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Reads the headers of an entry bundle whose first entry is `from`.
///
/// # Errors
/// [`BundleError`], with entry and byte.
pub fn parse_bundle(bytes: &[u8], from: Seq) -> Result<Vec<[u8; HEADER_LEN]>, BundleError> {
    let mut headers = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let error = |problem| BundleError { seq: from + headers.len() as u64, at, problem };
        if headers.len() as u64 == WIDTH {
            return Err(error("it goes on after 256 entries"));
        }
        let (len, rest) = rest.split_first_chunk().ok_or(error("it ends within a length"))?;
        if usize::from(u16::from_be_bytes(*len)) != HEADER_LEN {
            return Err(error("the entry has not the 168 bytes of a header"));
        }
        let header = rest.first_chunk().ok_or(error("it ends within an entry"))?;
        headers.push(*header);
        at += len.len() + HEADER_LEN;
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tile(content: Content, index: u64, width: u16) -> Tile {
        Tile { content, index, width }
    }

    #[test]
    fn paths_of_the_specification_roundtrip() {
        let expected = [
            ("0/x001/x234/067", tile(Content::Hashes(0), 1_234_067, 256)),
            ("0/000", tile(Content::Hashes(0), 0, 256)),
            ("63/999.p/1", tile(Content::Hashes(63), 999, 1)),
            ("1/x001/000.p/255", tile(Content::Hashes(1), 1000, 255)),
            ("entries/x273/112.p/9", tile(Content::Entries, 273_112, 9)),
        ];
        for (path, tile) in expected {
            assert_eq!(Tile::parse(path), Ok(tile));
            assert_eq!(tile.path(), path);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "",
            "0",
            "0/",
            "00/000",
            "64/000",
            "-1/000",
            "+1/000",
            "data/000",
            "0/0",
            "0/0000",
            "0/x000/000",
            "0/001/000",
            "0/x001",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/000.p",
            "0/000/",
            "0/../000",
            "0/00a",
            "0/٠٠٠",
            "0/x018/x446/x744/x073/x709/x551/616",
            "entries",
            "entries/000.p/1.p/1",
            "8/0/000",
        ] {
            assert!(Tile::parse(path).is_err(), "{path}");
        }
    }

    /// The specification's example: a tree of 70,000.
    #[test]
    fn a_tree_has_the_tiles_of_the_specification() {
        let has = |path| Tile::parse(path).expect("a tile").is_in(70_000);
        for path in
            ["0/272", "0/273.p/112", "0/273.p/1", "1/000", "1/001.p/17", "2/000.p/1", "entries/273.p/112"]
        {
            assert!(has(path), "{path}");
        }
        for path in [
            "0/273",
            "0/273.p/113",
            "1/001",
            "1/001.p/18",
            "2/000",
            "2/000.p/2",
            "3/000.p/1",
            "8/000.p/1",
            "63/000",
        ] {
            assert!(!has(path), "{path}");
        }
        assert!(!Tile::parse("0/x018/x446/x744/x073/x709/x551/615").expect("a tile").is_in(u64::MAX));
    }

    #[test]
    fn bundles_roundtrip_and_damage_is_named() {
        let headers: Vec<_> = (0..256).map(|i| [i as u8; HEADER_LEN]).collect();
        let bytes = bundle(&headers);
        assert_eq!(bytes.len(), 256 * 170);
        assert_eq!(parse_bundle(&bytes, 512), Ok(headers));
        let error = |bytes: &[u8]| parse_bundle(bytes, 512).expect_err("damaged");
        assert_eq!((error(&bytes[..171]).seq, error(&bytes[..171]).at), (513, 170));
        assert_eq!(error(&bytes[..bytes.len() - 1]).seq, 767);
        assert_eq!(error(&[&bytes[..], &bytes[..170]].concat()).seq, 768);
        let mut long = bytes;
        long[1] += 1;
        assert_eq!((error(&long).seq, error(&long).at), (512, 0));
    }

    proptest! {
        #[test]
        fn whatever_path_is_read_is_the_one_spelling(path in "(entries|[0-9]{1,2})/([x0-9/]{3,9})(\\.p/[0-9]{1,3})?") {
            if let Ok(tile) = Tile::parse(&path) {
                prop_assert_eq!(tile.path(), path);
                // Whether a tree has it is asked of any size.
                prop_assert!(!tile.is_in(0));
            }
        }

        #[test]
        fn every_tile_has_a_path_that_names_it(level in 0u8..64, entries in any::<bool>(), index in any::<u64>(), width in 1u16..=256) {
            let content = if entries { Content::Entries } else { Content::Hashes(level) };
            let tile = tile(content, index, width);
            prop_assert_eq!(Tile::parse(&tile.path()), Ok(tile));
        }

        #[test]
        fn arbitrary_text_and_bytes_never_panic(text in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..600), from in 0..u64::MAX / 2) {
            let _ = Tile::parse(&text);
            if let Ok(headers) = parse_bundle(&bytes, from) {
                prop_assert_eq!(bundle(&headers), bytes);
            }
        }

        /// One byte of a bundle changed: another header, or an error that names the entry; never a shift of the others.
        #[test]
        fn a_changed_byte_of_a_bundle_stays_where_it_is(count in 1usize..20, at in any::<prop::sample::Index>(), flip in 1u8..) {
            let headers: Vec<_> = (0..count).map(|i| [i as u8; HEADER_LEN]).collect();
            let mut bytes = bundle(&headers);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            match parse_bundle(&bytes, 0) {
                Ok(found) => prop_assert_eq!(found.iter().zip(&headers).filter(|(a, b)| a != b).count(), 1),
                Err(error) => prop_assert!(error.seq as usize <= at / (HEADER_LEN + 2)),
            }
        }
    }
}
