//! Entry header v1: the 168 bytes that the chain links and the tree holds.

use super::model::{Digest, Kind, Micros, Outcome, REFERS_TO_NONE, Reason, Seq};

/// Bytes in a header.
pub const HEADER_LEN: usize = 168;
/// Header version.
pub const HEADER_VERSION: u8 = 1;
/// Flag bit 0: this approval completed the quorum of its review.
pub const FLAG_QUORUM: u8 = 1;

/// One entry of the ledger, decoded. Byte layout: FORMAT.md, section "Entry header".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `None` for malformed entries.
    pub kind: Option<Kind>,
    /// What the writer decided.
    pub outcome: Outcome,
    /// Bit 0: quorum reached.
    pub flags: u8,
    /// Why, if refused or malformed.
    pub reason: Reason,
    /// Rules version under which the outcome was decided.
    pub rules: u16,
    /// Bytes of the record; 0 for a hole.
    pub record_len: u32,
    /// Position in the ledger = offset on the topic.
    pub seq: Seq,
    /// As signed in the record; a malformed entry has its predecessor's.
    pub recorded_at: Micros,
    /// Duplicates: the first entry. Roll-back, revocation, retirement: the promotion.
    pub refers_to: Option<Seq>,
    /// Link of the predecessor; zero at 0.
    pub prev_link: Digest,
    /// BLAKE3 of the record.
    pub record_digest: Digest,
    /// SHA-256 of the body; zero if malformed.
    pub event_digest: Digest,
    /// Zero until a rules version defines it.
    pub state_root: Digest,
}

/// Why 168 bytes are not a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Wrong length.
    #[error("an entry header has 168 bytes, not {0}")]
    Length(usize),
    /// A field has a value that version 1 does not allow.
    #[error("entry header: field {field} has the unknown value {value}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
}

impl Header {
    /// The 168 bytes, big-endian.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend([HEADER_VERSION, self.kind.map_or(0, Kind::number), self.outcome.number(), self.flags]);
        out.extend(self.reason.number().to_be_bytes());
        out.extend(self.rules.to_be_bytes());
        out.extend(self.record_len.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.seq.to_be_bytes());
        out.extend(self.recorded_at.to_be_bytes());
        out.extend(self.refers_to.unwrap_or(REFERS_TO_NONE).to_be_bytes());
        for digest in [self.prev_link, self.record_digest, self.event_digest, self.state_root] {
            out.extend(digest.0);
        }
        out.try_into().expect("the fields above add up to 168 bytes")
    }

    /// The header in these bytes.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Field`]; every accepted input encodes to the same bytes again.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader(bytes);
        if bytes.len() != HEADER_LEN {
            return Err(Error::Length(bytes.len()));
        }
        let [version, kind, outcome, flags] = rest.take::<4>();
        let unknown = |field, value: u64| Error::Field { field, value };
        if version != HEADER_VERSION {
            return Err(unknown("version", version.into()));
        }
        let kind = match kind {
            0 => None,
            number => Some(Kind::from_number(number).ok_or(unknown("kind", number.into()))?),
        };
        let outcome = Outcome::from_number(outcome).ok_or(unknown("outcome", outcome.into()))?;
        if flags & !FLAG_QUORUM != 0 {
            return Err(unknown("flags", flags.into()));
        }
        let reason = u16::from_be_bytes(rest.take());
        let reason = Reason::from_number(reason).ok_or(unknown("reason", reason.into()))?;
        let rules = u16::from_be_bytes(rest.take());
        let record_len = u32::from_be_bytes(rest.take());
        let zero = u32::from_be_bytes(rest.take());
        if zero != 0 {
            return Err(unknown("zero", zero.into()));
        }
        let seq = u64::from_be_bytes(rest.take());
        let recorded_at = u64::from_be_bytes(rest.take());
        let refers_to = u64::from_be_bytes(rest.take());
        Ok(Self {
            kind,
            outcome,
            flags,
            reason,
            rules,
            record_len,
            seq,
            recorded_at,
            refers_to: (refers_to != REFERS_TO_NONE).then_some(refers_to),
            prev_link: Digest(rest.take()),
            record_digest: Digest(rest.take()),
            event_digest: Digest(rest.take()),
            state_root: Digest(rest.take()),
        })
    }
}

/// Takes fixed-size fields from the front of a slice whose length was checked.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_first_chunk::<N>().expect("the caller checked the length");
        self.0 = tail;
        *head
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_header() -> impl Strategy<Value = Header> {
        let small = (0..=32u8, 1..=4u8, 0..=1u8, 0..Reason::ALL.len(), any::<u16>(), any::<u32>());
        let large = (any::<u64>(), any::<u64>(), prop::option::of(0..u64::MAX), any::<[[u8; 32]; 4]>());
        (small, large).prop_map(
            |((kind, outcome, flags, reason, rules, record_len), (seq, recorded_at, refers_to, d))| Header {
                kind: Kind::from_number(kind),
                outcome: Outcome::from_number(outcome).unwrap(),
                flags,
                reason: Reason::ALL[reason],
                rules,
                record_len,
                seq,
                recorded_at,
                refers_to,
                prev_link: Digest(d[0]),
                record_digest: Digest(d[1]),
                event_digest: Digest(d[2]),
                state_root: Digest(d[3]),
            },
        )
    }

    proptest! {
        #[test]
        fn header_roundtrip(header in any_header()) {
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(mut bytes in prop::collection::vec(any::<u8>(), HEADER_LEN), head in 0..=32u8) {
            bytes[..8].copy_from_slice(&[1, head, 1, 0, 0, 0, 0, 1]);
            bytes[12..16].fill(0);
            let header = Header::decode(&bytes).unwrap();
            prop_assert_eq!(header.encode().to_vec(), bytes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Header::decode(&bytes);
        }
    }

    #[test]
    fn rejects_unknown_values_by_field() {
        let good = [1u8, 18, 1, 0].into_iter().chain([0; 164]).collect::<Vec<_>>();
        assert!(Header::decode(&good).is_ok());
        for (at, value, field) in [
            (0, 2, "version"),
            (1, 33, "kind"),
            (2, 0, "outcome"),
            (3, 2, "flags"),
            (4, 9, "reason"),
            (15, 1, "zero"),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            let Err(Error::Field { field: named, .. }) = Header::decode(&bad) else {
                panic!("{field} accepted")
            };
            assert_eq!(named, field);
        }
        assert_eq!(Header::decode(&good[1..]), Err(Error::Length(167)));
    }
}
