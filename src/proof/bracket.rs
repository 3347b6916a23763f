//! Between which times entries were recorded, by the word of others than the operator.
//!
//! Whoever vouches for a tree of `size` entries at a time says of each entry before `size` that it was there then, and of
//! every other one that it was not yet in what was shown.

use serde::Serialize;

use crate::event::{Micros, Seq, text::utc};

/// Somebody saw a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its entries.
    pub size: u64,
    /// When.
    pub time: Micros,
    /// Who.
    pub by: String,
}

/// A time, and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct At {
    /// Microseconds since the Unix epoch.
    pub time: Micros,
    /// Who.
    pub by: String,
}

/// What others say of the age of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bracket {
    /// It was not yet in what somebody was shown then.
    pub not_before: Option<At>,
    /// It was there then.
    pub not_after: Option<At>,
}

/// Entries of the same bracket, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first one.
    pub first: Seq,
    /// The last one.
    pub last: Seq,
    /// Their bracket.
    #[serde(flatten)]
    pub bracket: Bracket,
}

impl Seen {
    fn at(&self) -> At {
        At { time: self.time, by: self.by.clone() }
    }
}

impl Bracket {
    /// In words, without a subject.
    pub fn words(&self) -> String {
        let not_before = self
            .not_before
            .as_ref()
            .map(|at| format!("not yet in what {} was shown at {}", at.by, utc(at.time)));
        let not_after = self.not_after.as_ref().map(|at| format!("there at {}, by {}", utc(at.time), at.by));
        let both: Vec<_> = not_before.into_iter().chain(not_after).collect();
        if both.is_empty() { "seen by nobody".into() } else { both.join(", and was ") }
    }
}

/// The bracket of one entry.
pub fn of(seen: &[Seen], seq: Seq) -> Bracket {
    let not_after = seen.iter().filter(|seen| seen.size > seq).min_by_key(|seen| seen.time);
    let not_before = seen.iter().filter(|seen| seen.size <= seq).max_by_key(|seen| seen.time);
    Bracket { not_before: not_before.map(Seen::at), not_after: not_after.map(Seen::at) }
}

/// The brackets of all entries of a ledger of `size` entries, in order, without a gap.
pub fn ranges(seen: &[Seen], size: u64) -> Vec<Range> {
    let mut seen: Vec<_> = seen.iter().filter(|seen| seen.size > 0).collect();
    seen.sort_by_key(|seen| seen.size);
    // Of those from i on, the earliest.
    let mut there: Vec<Option<&Seen>> = vec![None; seen.len() + 1];
    for i in (0..seen.len()).rev() {
        there[i] = match there[i + 1] {
            Some(later) if later.time < seen[i].time => Some(later),
            _ => Some(seen[i]),
        };
    }
    let mut ranges: Vec<Range> = Vec::new();
    let (mut first, mut not_yet) = (0, None::<&Seen>);
    for (i, there) in there.iter().enumerate() {
        let end = seen.get(i).map_or(size, |seen| seen.size.min(size));
        if end > first {
            let bracket = Bracket { not_before: not_yet.map(Seen::at), not_after: there.map(Seen::at) };
            match ranges.last_mut().filter(|range| range.bracket == bracket) {
                Some(range) => range.last = end - 1,
                None => ranges.push(Range { first, last: end - 1, bracket }),
            }
            first = end;
        }
        if let Some(&seen) = seen.get(i) {
            not_yet = Some(not_yet.filter(|before| before.time > seen.time).unwrap_or(seen));
        }
    }
    ranges
}

/// What an operator with the log key could still have done, in lines. `seen`: whether somebody vouches for a time at all.
pub fn still_possible(seen: bool) -> Vec<String> {
    let mut lines = vec![
        "What this does not show: that the people behind the keys meant what was recorded; that bytes were read and not only".to_owned(),
        "served; what was never put into the ledger. Without your own copy of an earlier checkpoint the operator could have".into(),
    ];
    if seen {
        lines.push(
            "held entries back and shown them late, but not dated one before it was seen; and without a witness that you name"
                .into(),
        );
        lines.push("here it could still show others another ledger under the same key.".into());
    } else {
        lines.push(
            "written all of this at once, with any dates, and could show others another ledger under the same key.".into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(size: u64, time: Micros) -> Seen {
        Seen { size, time, by: format!("w{size}-{time}") }
    }

    #[test]
    fn ranges_lie_between_those_who_saw() {
        let found = ranges(&[seen(7, 300), seen(3, 100)], 10);
        let times = |range: &Range| {
            let time = |at: &Option<At>| at.as_ref().map(|at| at.time);
            (range.first, range.last, time(&range.bracket.not_before), time(&range.bracket.not_after))
        };
        let expected = [(0, 2, None, Some(100)), (3, 6, Some(100), Some(300)), (7, 9, Some(300), None)];
        assert_eq!(found.iter().map(times).collect::<Vec<_>>(), expected);
        assert_eq!(ranges(&[], 4).len(), 1);
        assert_eq!(ranges(&[seen(3, 1)], 0), []);
        assert_eq!(
            found[1].bracket.words(),
            "not yet in what w3-100 was shown at 1970-01-01T00:00:00Z, and was there at 1970-01-01T00:00:00Z, by w7-300"
        );
        assert_eq!(ranges(&[], 4)[0].bracket.words(), "seen by nobody");
    }

    proptest! {
        /// A later, larger tree that was seen earlier narrows what is before it, and the other way round.
        #[test]
        fn every_entry_has_the_bracket_of_its_range(trees in prop::collection::vec((0..12_u64, 0..50_u64), 0..8), size in 0..10_u64) {
            let trees: Vec<_> = trees.into_iter().map(|(size, time)| seen(size, time)).collect();
            let ranges = ranges(&trees, size);
            let time = |at: &Option<At>| at.as_ref().map(|at| at.time);
            let mut next = 0;
            for range in &ranges {
                prop_assert_eq!(range.first, next);
                next = range.last + 1;
                for seq in range.first..next {
                    // What was seen at size 0 says nothing.
                    let trees: Vec<_> = trees.iter().filter(|tree| tree.size > 0).cloned().collect();
                    let alone = of(&trees, seq);
                    prop_assert_eq!(time(&alone.not_before), time(&range.bracket.not_before));
                    prop_assert_eq!(time(&alone.not_after), time(&range.bracket.not_after));
                }
            }
            prop_assert_eq!(next, size);
        }
    }
}
