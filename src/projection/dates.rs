//! Dates and positions: an entry's date is the running maximum, so dates grow with seq, except where a
//! ClockReset corrected them. Pure.

use crate::{
    event::{Micros, Seq},
    ledger::state::DateCorrection,
};

/// Ranges of seq whose entries are dated in `[from, to)`, in order, among the first `size` entries.
///
/// `date` gives an entry's date as it was when it was written.
///
/// # Errors
/// What `date` fails with.
pub fn ranges<E>(
    corrections: &[DateCorrection],
    size: u64,
    (from, to): (Micros, Micros),
    mut date: impl FnMut(Seq) -> Result<Micros, E>,
) -> Result<Vec<(Seq, Seq)>, E> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in corrections.iter().map(|c| c.to).filter(|to| *to <= size).chain([size]) {
        // Within a segment dates grow; what a later correction covers is dated by that one alone.
        let mut at = start;
        while at < end {
            let cover = corrections.iter().rev().find(|c| c.from <= at && at < c.to);
            let next = corrections
                .iter()
                .flat_map(|c| [c.from, c.to])
                .filter(|b| *b > at)
                .min()
                .unwrap_or(end)
                .min(end);
            match cover {
                Some(c) if (from..to).contains(&c.time) => found.push((at, next)),
                Some(_) => {}
                None => {
                    let first = partition(at, next, |seq| Ok(date(seq)? < from))?;
                    let last = partition(first, next, |seq| Ok(date(seq)? < to))?;
                    found.push((first, last));
                }
            }
            at = next;
        }
        start = end;
    }
    found.retain(|(first, last)| first < last);
    Ok(found)
}

/// First seq in `[low, high)` for which `before` is false.
fn partition<E>(
    mut low: Seq,
    mut high: Seq,
    mut before: impl FnMut(Seq) -> Result<bool, E>,
) -> Result<Seq, E> {
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn check(dates: &[Micros], corrections: &[DateCorrection]) {
        let size = dates.len() as u64;
        let corrected = |seq: u64| {
            let cover = corrections.iter().rev().find(|c| c.from <= seq && seq < c.to);
            cover.map_or(dates[seq as usize], |c| c.time)
        };
        for from in 0..40 {
            for to in from..40 {
                let found =
                    ranges(corrections, size, (from, to), |seq| Ok::<_, Infallible>(dates[seq as usize]))
                        .unwrap();
                let listed: Vec<_> = found.iter().flat_map(|(a, b)| *a..*b).collect();
                let expected: Vec<_> =
                    (0..size).filter(|seq| (from..to).contains(&corrected(*seq))).collect();
                assert_eq!(listed, expected, "[{from}, {to}) of {dates:?} with {corrections:?}");
            }
        }
    }

    #[test]
    fn ranges_are_those_of_a_plain_scan() {
        check(&[1, 1, 3, 3, 7, 9], &[]);
        check(&[], &[]);
        check(&[1, 2, 30, 31, 5, 6, 7], &[DateCorrection { from: 2, to: 4, time: 4 }]);
        let twice = [DateCorrection { from: 2, to: 4, time: 4 }, DateCorrection { from: 3, to: 6, time: 5 }];
        check(&[1, 2, 30, 31, 5, 33, 6, 7], &twice);
    }
}
