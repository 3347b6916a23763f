//! Where a walk over all evidence is: kept in a small file, so that it goes on after a restart. Pure but for the file.
//!
//! Digests are spread evenly, so a digest's place in their order is its share of the work: evidence is due when that share
//! of the period has passed, and the store is asked at an even pace. The archive's bundles are due by their number.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::event::{Digest, Micros};

/// What a round may take longer than its period, beside an eighth of it, microseconds.
const LATE: Micros = 15 * 1_000_000;

/// One walk over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// When it began, microseconds; 0: none has begun.
    pub began: Micros,
    /// The evidence that was looked at last, in hexadecimal digits; empty: none yet.
    pub evidence: String,
    /// Whether there is no evidence behind it.
    pub evidence_done: bool,
    /// Bundles of the archive that were looked at.
    pub bundles: u64,
    /// Looks in this round.
    pub looks: u64,
    /// When a round ended last, microseconds; 0: none did.
    pub ended: Micros,
    /// Evidence, in hexadecimal digits, of which the store said nothing when its turn came: asked again until it does.
    pub unanswered: BTreeSet<String>,
}

impl Round {
    /// Reads the file. `None`: there is none, or it holds none, and everything is looked at from the beginning.
    ///
    /// # Errors
    /// Of the file system.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file whole.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    /// The evidence that was looked at last.
    pub fn after(&self) -> Option<Digest> {
        Digest::from_hex(&self.evidence)
    }

    /// When the evidence with a digest is due.
    pub fn evidence_due(&self, digest: &Digest, within: Micros) -> Micros {
        let share = digest.0.iter().take(8).fold(0u64, |share, byte| (share << 8) | u64::from(*byte));
        self.due(u128::from(share), 1 << 64, within)
    }

    /// When a bundle is due, of so many.
    pub fn bundle_due(&self, bundle: u64, bundles: u64, within: Micros) -> Micros {
        self.due(u128::from(bundle), u128::from(bundles.max(1)), within)
    }

    fn due(&self, share: u128, of: u128, within: Micros) -> Micros {
        let passed = share * u128::from(within) / of;
        self.began.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The next round: a period after this one began, or now if that is over already.
    pub fn next(&self, now: Micros, within: Micros) -> Self {
        let began = self.began.saturating_add(within);
        let ended = if self.began == 0 { 0 } else { now };
        Self {
            began: if self.began == 0 || began < now { now } else { began },
            ended,
            unanswered: self.unanswered.clone(),
            ..Self::default()
        }
    }

    /// Whether it takes notably longer than the period.
    pub fn is_late(&self, now: Micros, within: Micros) -> bool {
        let end = self.began.saturating_add(within).saturating_add(within / 8).saturating_add(LATE);
        self.began != 0 && now > end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_due_once_in_a_period_at_an_even_pace() {
        let round = Round { began: 1_000, ..Round::default() };
        let digest = |first: u8| {
            let mut bytes = [0; 32];
            bytes[0] = first;
            Digest(bytes)
        };
        let due: Vec<_> =
            [0, 64, 128, 255].iter().map(|first| round.evidence_due(&digest(*first), 256)).collect();
        assert_eq!(due, [1_000, 1_064, 1_128, 1_255]);
        let due: Vec<_> = (0..4).map(|bundle| round.bundle_due(bundle, 4, 100)).collect();
        assert_eq!(due, [1_000, 1_025, 1_050, 1_075]);
        assert_eq!(round.bundle_due(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn a_round_follows_the_other_after_a_period_and_a_late_one_at_once() {
        let first = Round::default().next(500, 100);
        assert_eq!((first.began, first.ended), (500, 0));
        let second = Round { looks: 7, evidence: "ab".into(), ..first }.next(560, 100);
        assert_eq!(second, Round { began: 600, ended: 560, ..Round::default() });
        let late = 700 + 12 + LATE;
        assert!(!second.is_late(late, 100) && second.is_late(late + 1, 100));
        assert_eq!(second.next(900, 100).began, 900);
    }

    #[test]
    fn it_survives_in_a_file_and_a_damaged_file_means_from_the_beginning() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("evidence-checks.json");
        assert_eq!(Round::read(&path).expect("an answer"), None);
        let round = Round { began: 5, evidence: "ab".repeat(32), bundles: 3, looks: 9, ..Round::default() };
        round.write(&path).expect("a file");
        assert_eq!(Round::read(&path).expect("an answer"), Some(round.clone()));
        assert_eq!(round.after(), Some(Digest([0xab; 32])));
        fs::write(&path, "{").expect("a file");
        assert_eq!(Round::read(&path).expect("an answer"), None);
    }
}
