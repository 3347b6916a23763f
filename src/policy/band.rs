//! Whether every metric of a band stayed inside it.

use super::{change::Difference, file::BandEntry};

/// All segments in which either model has a value.
pub(super) const EVERY_SEGMENT: &str = "*";

/// What is outside a band, in words; empty if nothing is.
pub(super) fn outside(band: &[BandEntry], change: &Difference) -> Vec<String> {
    let mut outside = Vec::new();
    for entry in band {
        for segment in &entry.segments {
            if segment == EVERY_SEGMENT {
                every_segment(entry, change, &mut outside);
            } else {
                one(entry, segment, change.delta(segment, &entry.metric), &mut outside);
            }
        }
    }
    outside
}

/// Without allocating: routing asks this for every promotion.
pub(super) fn holds(band: &[BandEntry], change: &Difference) -> bool {
    !band.is_empty()
        && band.iter().all(|entry| {
            entry.segments.iter().all(|segment| match segment.as_str() {
                EVERY_SEGMENT => {
                    let mut measured = measured(entry, change).peekable();
                    measured.peek().is_some() && measured.all(|(_, delta)| within(entry, delta))
                }
                segment => within(entry, change.delta(segment, &entry.metric)),
            })
        })
}

fn measured<'a>(entry: &BandEntry, change: &'a Difference) -> impl Iterator<Item = (&'a str, Option<f64>)> {
    // A metric that neither model has in a segment is absent there.
    change.segments.iter().filter_map(move |(segment, metrics)| {
        metrics.get(entry.metric.as_str()).map(|delta| (segment.as_ref(), *delta))
    })
}

/// A value that one of the models lacks is outside: nobody knows how far it moved.
fn within(entry: &BandEntry, delta: Option<f64>) -> bool {
    delta.is_some_and(|delta| delta.abs() <= entry.tolerance)
}

fn every_segment(entry: &BandEntry, change: &Difference, outside: &mut Vec<String>) {
    let mut any = false;
    for (segment, delta) in measured(entry, change) {
        any = true;
        one(entry, segment, delta, outside);
    }
    if !any {
        outside.push(format!("{} was measured in no segment", entry.metric));
    }
}

fn one(entry: &BandEntry, segment: &str, delta: Option<f64>, outside: &mut Vec<String>) {
    if within(entry, delta) {
        return;
    }
    outside.push(match delta {
        Some(delta) => format!("{} of {segment} moved by {delta}; at most {}", entry.metric, entry.tolerance),
        None => format!("{} of {segment} was not measured for both models", entry.metric),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::change::Pair;

    fn entry(metric: &str, segments: &[&str], tolerance: f64) -> BandEntry {
        let segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
        BandEntry { metric: metric.into(), segments, tolerance }
    }

    fn change() -> Difference {
        let mut change = Difference::default();
        change.overall.insert("auc".into(), Pair { candidate: Some(0.80), incumbent: Some(0.78) });
        change.overall.insert("ks".into(), Pair { candidate: None, incumbent: Some(0.4) });
        let young = [("auc".into(), Some(-0.03)), ("ks".into(), None)].into_iter().collect();
        change.segments.insert("age:young".into(), young);
        change.segments.insert("age:old".into(), Default::default());
        change
    }

    #[test]
    fn a_named_segment_without_a_value_is_outside_and_a_star_passes_over_it() {
        let holds = |band: &[BandEntry]| {
            let holds = holds(band, &change());
            assert_eq!(holds, outside(band, &change()).is_empty());
            holds
        };
        assert!(holds(&[entry("auc", &["overall"], 0.02)]), "0.80 - 0.78 is 0.02");
        assert!(!holds(&[entry("auc", &["overall"], 0.019)]));
        assert!(!holds(&[entry("ks", &["overall"], 1.0)]), "null on one side");
        assert!(!holds(&[entry("brier", &["overall"], 1.0)]), "not measured at all");
        assert!(holds(&[entry("auc", &["*"], 0.03)]), "age:old has no value on either side");
        assert!(!holds(&[entry("auc", &["*"], 0.02)]));
        assert!(!holds(&[entry("ks", &["*"], 1.0)]), "null on one side");
        assert!(!holds(&[entry("auc", &["age:old"], 1.0)]), "named, and not measured");
        assert!(!holds(&[entry("brier", &["*"], 1.0)]));
    }
}
