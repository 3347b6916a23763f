//! Names of a bundle's members, and what each is.

use crate::event::{Digest, Seq};

/// What the bundle is about.
pub const MANIFEST: &str = "bundle.json";
/// The checkpoint that everything is proven against, with its cosignatures.
pub const CHECKPOINT: &str = "checkpoint.txt";
/// Every header of the ledger up to it.
pub const HEADERS: &str = "headers.bin";
/// For people.
pub const README: &str = "README.txt";
/// For people, in a browser.
pub const INDEX: &str = "index.html";
/// Names, where they were opened; the review's page shows it in a frame.
pub const PEOPLE: &str = "people";

/// A member, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// [`MANIFEST`].
    Manifest,
    /// [`CHECKPOINT`].
    Checkpoint,
    /// [`HEADERS`].
    Headers,
    /// `entries/<seq>.record`: the topic value.
    Record(Seq),
    /// `entries/<seq>.tlog-proof`: its receipt, against the checkpoint.
    Receipt(Seq),
    /// `artefacts/<sha256>.<ending>`: evidence, as it was shown.
    Evidence(Digest),
    /// `review-<seq>.html`: the sealed page of a ReviewSealed entry.
    Screen(Seq),
    /// `claims/<seq>-<subject_id>.claims`: a sealed item of an entry, opened.
    Claims(Seq, Digest),
    /// `timestamps/<size>.txt`: a checkpoint that was time-stamped.
    Stamped(u64),
    /// `timestamps/<size>-<i>.tsr`: the i-th stamp of it.
    Stamp(u64, u64),
    /// Drawn from the above for people: README, index, a promotion's page, the sheet of people.
    Drawn,
}

impl Name {
    /// Reads a name; `None` for one that no bundle has.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            MANIFEST => return Some(Self::Manifest),
            CHECKPOINT => return Some(Self::Checkpoint),
            HEADERS => return Some(Self::Headers),
            README | INDEX | PEOPLE => return Some(Self::Drawn),
            _ => {}
        }
        if let Some(rest) = name.strip_prefix("entries/") {
            let (seq, ending) = rest.split_once('.')?;
            let seq = decimal(seq)?;
            return match ending {
                "record" => Some(Self::Record(seq)),
                "tlog-proof" => Some(Self::Receipt(seq)),
                _ => None,
            };
        }
        if let Some(rest) = name.strip_prefix("artefacts/") {
            let (digest, ending) = rest.split_once('.')?;
            let plain = (1..=8).contains(&ending.len())
                && ending.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            return Some(Self::Evidence(lower_hex(digest)?)).filter(|_| plain);
        }
        if let Some(rest) = name.strip_prefix("claims/") {
            let (seq, subject) = rest.strip_suffix(".claims")?.split_once('-')?;
            return Some(Self::Claims(decimal(seq)?, lower_hex(subject)?));
        }
        if let Some(rest) = name.strip_prefix("timestamps/") {
            if let Some(size) = rest.strip_suffix(".txt") {
                return Some(Self::Stamped(decimal(size)?));
            }
            let (size, i) = rest.strip_suffix(".tsr")?.split_once('-')?;
            return Some(Self::Stamp(decimal(size)?, decimal(i)?));
        }
        if let Some(rest) = name.strip_prefix("review-") {
            return Some(Self::Screen(decimal(rest.strip_suffix(".html")?)?));
        }
        decimal(name.strip_prefix("promotion-")?.strip_suffix(".html")?).map(|_| Self::Drawn)
    }
}

/// `entries/<seq>.record`.
pub fn record(seq: Seq) -> String {
    format!("entries/{seq}.record")
}

/// `entries/<seq>.tlog-proof`.
pub fn receipt(seq: Seq) -> String {
    format!("entries/{seq}.tlog-proof")
}

/// `claims/<seq>-<subject_id>.claims`.
pub fn claims(seq: Seq, subject_id: &Digest) -> String {
    format!("claims/{seq}-{subject_id}.claims")
}

/// `timestamps/<size>.txt`.
pub fn stamped(size: u64) -> String {
    format!("timestamps/{size}.txt")
}

/// `timestamps/<size>-<i>.tsr`.
pub fn stamp(size: u64, i: u64) -> String {
    format!("timestamps/{size}-{i}.tsr")
}

/// `review-<seq>.html`.
pub fn screen(seq: Seq) -> String {
    format!("review-{seq}.html")
}

/// `promotion-<seq>.html`.
pub fn promotion(seq: Seq) -> String {
    format!("promotion-{seq}.html")
}

fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn lower_hex(text: &str) -> Option<Digest> {
    Digest::from_hex(text).filter(|digest| digest.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_roundtrip_and_others_are_none() {
        let digest = Digest([0xab; 32]);
        let hex = "ab".repeat(32);
        let cases = [
            (record(7), Name::Record(7)),
            (receipt(0), Name::Receipt(0)),
            (format!("artefacts/{hex}.html"), Name::Evidence(digest)),
            (claims(3, &digest), Name::Claims(3, digest)),
            (screen(4), Name::Screen(4)),
            (stamped(5), Name::Stamped(5)),
            (stamp(5, 1), Name::Stamp(5, 1)),
            (promotion(9), Name::Drawn),
        ];
        for (name, expected) in cases {
            assert_eq!(Name::parse(&name), Some(expected), "{name}");
        }
        for name in [
            "x",
            "entries/07.record",
            "entries/7.exe",
            "entries/-1.record",
            "artefacts/ab.html",
            "claims/1-ab.claims",
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
        assert_eq!(Name::parse(&format!("artefacts/{}.html", hex.to_uppercase())), None);
        assert_eq!(Name::parse(&format!("artefacts/{hex}.")), None);
    }
}
