//! `bundle.json`: what a bundle is about, and what was left out of it. Canonical JSON, so that it has one spelling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Micros, Seq};

/// The first member of every manifest.
pub const FORMAT: &str = "promotion-ledger bundle v1";

/// What a bundle says of itself. Members in ascending order of their names: that is the order in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// SHA-256 of every member that was drawn for people, by its name: nothing in the ledger proves them.
    pub drawn: BTreeMap<String, String>,
    /// [`FORMAT`].
    pub format: String,
    /// ledger_id, 64 hexadecimal digits.
    pub ledger_id: String,
    /// The period whose promotions these are, all of them; null: no claim that there are no others.
    pub period: Option<Period>,
    /// The promotions that were asked for, in ascending order.
    pub promotions: Vec<Seq>,
    /// Evidence that these promotions refer to and that is not here: why, by its SHA-256.
    pub withheld: BTreeMap<String, String>,
}

/// `[from, to)` by the entries' dates, microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Inclusive.
    pub from: Micros,
    /// Exclusive.
    pub to: Micros,
}

impl Manifest {
    /// Its bytes: no white space, and a line feed at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("text and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a manifest in its one spelling.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT {
            return Err(format!("its format is {:?}, not {FORMAT:?}", manifest.format));
        }
        if manifest.to_bytes() != bytes {
            return Err("it is not in the one spelling that a manifest has".into());
        }
        if !manifest.promotions.is_sorted_by(|a, b| a < b) {
            return Err("promotions are there twice, or out of order".into());
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            drawn: BTreeMap::from([("README.txt".into(), "ab".repeat(32))]),
            format: FORMAT.into(),
            ledger_id: "cd".repeat(32),
            period: Some(Period { from: 1, to: 2 }),
            promotions: vec![3, 7],
            withheld: BTreeMap::new(),
        }
    }

    #[test]
    fn one_spelling_reads_back_and_no_other() {
        let manifest = manifest();
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes), Ok(manifest));
        let text = String::from_utf8(bytes).unwrap();
        let bad = [
            text.trim_end().to_owned(),
            text.replace(",\"format\"", ", \"format\""),
            text.replace("[3,7]", "[7,3]"),
            text.replace("[3,7]", "[3,3]"),
            text.replace("v1", "v2"),
            text.replace("\"withheld\":{}", "\"withheld\":{},\"x\":1"),
            text.replace("[3,7]", "[3,7.0]"),
        ];
        for bad in bad {
            assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&bytes);
        }
    }
}
