//! Names and bytes of the archive's pieces. Pure. The layout is section 16 of `src/event/FORMAT.md`.
//!
//! Everything about a piece follows from its position and from the ledger: no clock, no random number, no compression.
//! Two nodes that write the same name write the same bytes.

use crate::{
    event::{Digest, Seq, canonical::RECORD_LEN_MAX},
    proof::tile::{self, Content, Tile, number_path},
};

/// Entries in a full bundle (C2SP tlog-tiles).
pub const BUNDLE_LEN: u64 = tile::WIDTH;
/// Bytes of the longest piece: a bundle of the longest records.
pub const PIECE_LEN_MAX: usize = BUNDLE_LEN as usize * (4 + RECORD_LEN_MAX);

/// One piece. Its bytes never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// The first `len` headers of a bundle, 1 to 256.
    Entries {
        /// Which bundle: the first entry is 256 times this.
        bundle: u64,
        /// How many headers.
        len: u64,
    },
    /// Topic values of `[first, first + len)`: `len` is a power of two up to 256 and divides `first`.
    Records {
        /// The first entry.
        first: Seq,
        /// How many.
        len: u64,
    },
    /// The checkpoint of exactly this size.
    Checkpoint {
        /// Entries that it covers.
        size: u64,
    },
}

impl Piece {
    /// Its name in the store.
    pub fn name(&self, ledger_id: &Digest) -> String {
        let path = match *self {
            Self::Entries { bundle, len } => {
                format!(
                    "tile/{}",
                    Tile { content: Content::Entries, index: bundle, width: len as u16 }.path()
                )
            }
            Self::Records { first, len: BUNDLE_LEN } => {
                format!("records/{}", number_path(first / BUNDLE_LEN))
            }
            Self::Records { first, len } => {
                let (bundle, from) = (first / BUNDLE_LEN, first % BUNDLE_LEN);
                format!("records/{}.p/{from}-{}", number_path(bundle), from + len - 1)
            }
            Self::Checkpoint { size } => format!("checkpoint/{}", number_path(size)),
        };
        format!("archive/{ledger_id}/{path}")
    }
}

/// The next pieces that bring an archive from one size nearer to another, in the order of writing: a checkpoint comes
/// after everything that it covers, so whoever finds it finds the rest. At most to the end of a bundle.
pub fn next_step(archived: u64, size: u64) -> Vec<Piece> {
    if archived >= size {
        return Vec::new();
    }
    let bundle = archived / BUNDLE_LEN;
    let first = bundle * BUNDLE_LEN;
    let reached = size.min(first + BUNDLE_LEN);
    let mut pieces = vec![Piece::Entries { bundle, len: reached - first }];
    if reached == first + BUNDLE_LEN {
        pieces.push(Piece::Records { first, len: BUNDLE_LEN });
    } else {
        pieces.extend(aligned(archived, reached));
    }
    pieces.push(Piece::Checkpoint { size: reached });
    pieces
}

/// The size that a step reaches.
pub fn reached(step: &[Piece]) -> Option<u64> {
    match step.last() {
        Some(Piece::Checkpoint { size }) => Some(*size),
        _ => None,
    }
}

/// Pieces of records that cover `[from, to)` inside one bundle, each as long as its place allows.
fn aligned(mut from: Seq, to: Seq) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while from < to {
        let len = lengths_at(from, to).next().unwrap_or(1);
        pieces.push(Piece::Records { first: from, len });
        from += len;
    }
    pieces
}

/// Lengths that a piece of records which begins at `from` and ends at or before `to` may have, longest first.
pub fn lengths_at(from: Seq, to: Seq) -> impl Iterator<Item = u64> {
    let fits = move |len: &u64| from.is_multiple_of(*len) && from + len <= to;
    (0..=8).rev().map(|level| 1 << level).filter(fits)
}

/// Bytes of a piece of records: each with its length before it (u32, big-endian); a hole has length 0.
pub fn records<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend((record.len() as u32).to_be_bytes());
        bytes.extend(record);
    }
    bytes
}

/// Reads a piece of records.
///
/// # Errors
/// What is wrong, in words.
pub fn read_records(bytes: &[u8], len: u64) -> Result<Vec<Vec<u8>>, String> {
    let found = split(bytes)?;
    match found.len() as u64 {
        n if n == len => Ok(found),
        n => Err(format!("it holds {n} entries, not {len}")),
    }
}

/// Parts with four bytes of length before each.
fn split(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let torn = || format!("it ends inside its part {}", parts.len());
        let (length, rest) = bytes.split_first_chunk().ok_or_else(torn)?;
        let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(torn)?;
        parts.push(part.to_vec());
        bytes = rest;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_of_the_format() {
        let id = Digest([0xab; 32]);
        let hex = "ab".repeat(32);
        let cases = [
            (Piece::Entries { bundle: 0, len: 256 }, "tile/entries/000"),
            (Piece::Entries { bundle: 1_234_067, len: 256 }, "tile/entries/x001/x234/067"),
            (Piece::Entries { bundle: 1_234, len: 7 }, "tile/entries/x001/234.p/7"),
            (Piece::Records { first: 512, len: 256 }, "records/002"),
            (Piece::Records { first: 516, len: 4 }, "records/002.p/4-7"),
            (Piece::Records { first: 517, len: 1 }, "records/002.p/5-5"),
            (Piece::Checkpoint { size: 1_000 }, "checkpoint/x001/000"),
        ];
        for (piece, name) in cases {
            assert_eq!(piece.name(&id), format!("archive/{hex}/{name}"));
        }
    }

    #[test]
    fn a_step_ends_with_its_checkpoint_and_at_the_end_of_a_bundle() {
        assert_eq!(next_step(5, 5), []);
        let records = |first, len| Piece::Records { first, len };
        assert_eq!(
            next_step(5, 12),
            [
                Piece::Entries { bundle: 0, len: 12 },
                records(5, 1),
                records(6, 2),
                records(8, 4),
                Piece::Checkpoint { size: 12 }
            ]
        );
        assert_eq!(
            next_step(300, 2_000),
            [Piece::Entries { bundle: 1, len: 256 }, records(256, 256), Piece::Checkpoint { size: 512 }]
        );
    }

    #[test]
    fn pieces_read_back_and_a_cut_or_longer_one_does_not() {
        let values = [&b"one"[..], b"", b"three"];
        let kept = records(values);
        assert_eq!(kept, [&[0, 0, 0, 3][..], b"one", &[0, 0, 0, 0], &[0, 0, 0, 5], b"three"].concat());
        assert_eq!(read_records(&kept, 3).unwrap(), values.map(<[u8]>::to_vec));
        for cut in 1..kept.len() {
            assert!(read_records(&kept[..cut], 3).is_err(), "{cut}");
        }
        assert!(read_records(&[&kept[..], &[0]].concat(), 3).is_err());
        assert!(tile::parse_bundle(&kept, 0).is_err(), "records are no headers");
    }

    proptest! {
        /// Whatever two nodes wrote, at whatever times, a reader who takes the longest piece at each place gets through.
        #[test]
        fn the_longest_piece_at_each_place_leads_to_the_end(
            end in 1u64..256,
            mut one in prop::collection::vec(0u64..256, 0..12),
            mut other in prop::collection::vec(0u64..256, 0..12),
        ) {
            let mut there = BTreeSet::new();
            for stops in [&mut one, &mut other] {
                stops.retain(|stop| *stop < end);
                stops.push(end);
                stops.sort_unstable();
                let mut archived = 0;
                for stop in stops.iter() {
                    for piece in next_step(archived, *stop) {
                        if let Piece::Records { first, len } = piece {
                            there.insert((first, len));
                        }
                    }
                    archived = *stop;
                }
            }
            let mut at = 0;
            while at < end {
                let len = lengths_at(at, end).find(|len| there.contains(&(at, *len)));
                prop_assert!(len.is_some(), "nothing begins at {at}");
                at += len.unwrap_or(1);
            }
            prop_assert_eq!(at, end);
        }
    }
}
