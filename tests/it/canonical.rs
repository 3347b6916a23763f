//! One event has one encoding: what is not canonical is malformed, and no bytes make the reader panic.

use promotion_ledger::event::{
    Kind, Reason,
    canonical::{self, RECORD_LEN_MAX, decode, decode_exact, seal_record},
    proto::{BandCheck, Body, Preconditions, Promoted, SignedRecord, body::Event},
};
use proptest::prelude::*;
use prost::Message;

use crate::{samples::*, six_fields::a_promotion};

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn read_varint(bytes: &[u8]) -> (u64, usize) {
    let len = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a whole varint") + 1;
    (bytes[..len].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)), len)
}

/// A field of a message: its key and its payload, which for length-delimited fields has its length before it.
#[derive(Clone, PartialEq, Debug)]
struct Field {
    key: Vec<u8>,
    length: Vec<u8>,
    payload: Vec<u8>,
}

impl Field {
    fn bytes(&self) -> Vec<u8> {
        [&self.key[..], &self.length, &self.payload].concat()
    }
}

fn split(mut bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (key, key_len) = read_varint(bytes);
        let rest = &bytes[key_len..];
        let (length_len, payload_len) = match key & 7 {
            0 => (0, read_varint(rest).1),
            1 => (0, 8),
            2 => {
                let (length, len) = read_varint(rest);
                (len, length as usize)
            }
            wire => panic!("wire type {wire}"),
        };
        let end = key_len + length_len + payload_len;
        fields.push(Field {
            key: bytes[..key_len].to_vec(),
            length: rest[..length_len].to_vec(),
            payload: bytes[key_len + length_len..end].to_vec(),
        });
        bytes = &bytes[end..];
    }
    fields
}

fn join(fields: &[Field]) -> Vec<u8> {
    fields.iter().flat_map(Field::bytes).collect()
}

fn padded(varint: &[u8]) -> Vec<u8> {
    let mut out = varint.to_vec();
    if let Some(last) = out.last_mut() {
        *last |= 0x80;
        out.push(0);
    }
    out
}

/// The same message in ways that are not canonical.
fn disguises(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let fields = split(bytes);
    let mut out = vec![("an unknown field", [bytes, &[0xf8, 0x7f, 1]].concat())];
    out.push(("an unknown field first", [&[0xf8, 0x7f, 1], bytes].concat()));
    for i in 0..fields.len() {
        let with = |field: Field| {
            let mut changed = fields.clone();
            changed[i] = field;
            join(&changed)
        };
        out.push(("an overlong key", with(Field { key: padded(&fields[i].key), ..fields[i].clone() })));
        if fields[i].length.is_empty() {
            if fields[i].key[0] & 7 == 0 {
                out.push((
                    "an overlong number",
                    with(Field { payload: padded(&fields[i].payload), ..fields[i].clone() }),
                ));
            }
        } else {
            out.push((
                "an overlong length",
                with(Field { length: padded(&fields[i].length), ..fields[i].clone() }),
            ));
        }
        if i > 0 && fields[i - 1].key != fields[i].key {
            let mut swapped = fields.clone();
            swapped.swap(i - 1, i);
            out.push(("fields out of order", join(&swapped)));
        }
    }
    out
}

/// The body around other bytes of its event.
fn with_event(body: &Body, event: &[u8]) -> Vec<u8> {
    let around = Body { event: None, ..body.clone() }.encode_to_vec();
    [&around[..], &varint(34 << 3 | 2), &varint(event.len() as u64), event].concat()
}

fn promotion_body(promoted: Promoted) -> Body {
    let ledger = Ledger::new();
    ledger.body(Event::Promoted(promoted))
}

fn sealed(body: Vec<u8>) -> Vec<u8> {
    seal_bytes(body, 1, &Ledger::empty().pinned, &front_door())
}

#[test]
fn whatever_is_not_canonical_is_malformed() {
    let body = promotion_body(promoted("credit", 2, Some(1)));
    let body_bytes = body.encode_to_vec();
    let Some(Event::Promoted(promoted)) = &body.event else { unreachable!() };
    assert_eq!(with_event(&body, &promoted.encode_to_vec()), body_bytes);
    let value = sealed(body_bytes.clone());
    assert_eq!(decode(&value).unwrap().body, body);
    let mut count = 0;
    let mut check = |name: &str, value: &[u8]| {
        assert_eq!(decode(value).err(), Some(Reason::Canonical), "{name}");
        count += 1;
    };
    for (name, envelope) in disguises(&value) {
        check(name, &envelope);
    }
    for (name, body) in disguises(&body_bytes) {
        check(name, &sealed(body));
    }
    for (name, event) in disguises(&promoted.encode_to_vec()) {
        check(name, &sealed(with_event(&body, &event)));
    }
    assert!(count > 50, "{count}");
}

#[test]
fn defaults_are_left_out_and_doubles_have_no_negative_zero() {
    let body = promotion_body(promoted("credit", 2, Some(1)));
    let Some(Event::Promoted(promoted)) = &body.event else { unreachable!() };
    // Routing once more, with an empty tier and without anything.
    for (name, event) in [
        ("an explicit default", [&promoted.encode_to_vec()[..], &[0x4a, 2, 0x0a, 0]].concat()),
        ("a message twice", [&promoted.encode_to_vec()[..], &[0x4a, 0]].concat()),
    ] {
        assert_eq!(decode(&sealed(with_event(&body, &event))).err(), Some(Reason::Canonical), "{name}");
    }
    for zero in [0.0f64, -0.0] {
        let check = [&[0x0a, 1, b'm', 0x19][..], &zero.to_le_bytes()].concat();
        assert!(BandCheck::decode(&check[..]).is_ok());
        assert_eq!(decode_exact::<BandCheck>(&check), None, "{zero}");
    }
    let nan = BandCheck { candidate: f64::from_bits(0x7ff8_0000_dead_beef), ..BandCheck::default() }
        .encode_to_vec();
    assert!(decode_exact::<BandCheck>(&nan).is_some(), "NaN is kept bit by bit");
    // An optional field is there even when it is 0.
    let zero = Preconditions { slot_changed_at: Some(0), ..Preconditions::default() }.encode_to_vec();
    assert_eq!(zero, [8, 0]);
    assert_eq!(
        decode_exact::<Preconditions>(&zero),
        Some(Preconditions { slot_changed_at: Some(0), ..Preconditions::default() })
    );
}

#[test]
fn numbers_wider_than_their_type_are_not_canonical() {
    let envelope = SignedRecord::decode(&sealed(Vec::new())[..]).unwrap();
    let rest = SignedRecord { version: 0, ..envelope }.encode_to_vec();
    for version in [1u64 << 32 | 1, u64::MAX] {
        let value = [&[8][..], &varint(version), &rest].concat();
        assert_eq!(decode(&value).err(), Some(Reason::Canonical), "{version}");
    }
    // bool 2
    assert_eq!(decode_exact::<BandCheck>(&[0x30, 2]), None);
    assert!(decode_exact::<BandCheck>(&[0x30, 1]).is_some());
    // Text that is no UTF-8 does not decode at all.
    assert_eq!(decode_exact::<BandCheck>(&[0x0a, 1, 0xff]), None);
}

#[test]
fn two_events_in_one_body_are_not_canonical() {
    let one = promotion_body(promoted("credit", 2, Some(1))).encode_to_vec();
    for two in [[&one[..], &[0xaa, 2, 0]].concat(), [&one[..], &[0x92, 2, 0]].concat()] {
        assert_eq!(decode(&sealed(two)).err(), Some(Reason::Canonical));
    }
}

#[test]
fn reserved_kinds_are_known_by_their_number_alone() {
    let around = Body { event: None, ..promotion_body(promoted("credit", 1, None)) }.encode_to_vec();
    for kind in Kind::ALL {
        let field = varint((16 + u64::from(kind.number())) << 3 | 2);
        let garbage = [&around[..], &field, &[3, 0xff, 0xff, 0xff]].concat();
        let with_message = canonical::admin_event(*kind, Default::default()).is_some()
            || matches!(
                kind,
                Kind::LedgerOpened
                    | Kind::IssuerListed
                    | Kind::IssuerKeys
                    | Kind::ReviewSealed
                    | Kind::Approved
                    | Kind::Declined
                    | Kind::ChangesRequested
                    | Kind::ReviewClosed
                    | Kind::Delegated
                    | Kind::ConditionClosed
                    | Kind::Promoted
                    | Kind::RolledBack
                    | Kind::Revoked
                    | Kind::Retired
                    | Kind::BreakGlass
                    | Kind::Undocumented
                    | Kind::AttemptRefused
                    | Kind::EvidenceFinding
                    | Kind::StoreProbed
                    | Kind::Tainted
                    | Kind::LegalHoldSet
                    | Kind::LegalHoldReleased
                    | Kind::KeyShredded
                    | Kind::RegistryFinding
            );
        let expected = if with_message { Reason::Canonical } else { Reason::Kind };
        assert_eq!(decode(&sealed(garbage)).err(), Some(expected), "{kind}");
    }
    for number in [16u64, 49, 50, 200] {
        let unknown = [&around[..], &varint(number << 3 | 2), &[0]].concat();
        assert_eq!(decode(&sealed(unknown)).err(), Some(Reason::Canonical), "field {number}");
    }
    assert_eq!(decode(&sealed(around)).err(), Some(Reason::Kind), "no event");
    assert_eq!(decode(&sealed(Vec::new())).err(), Some(Reason::Kind), "an empty body");
}

#[test]
fn size_counts_the_whole_value() {
    let empty = sealed(Vec::new()).len();
    // An envelope with a body of this length: one byte of key, three of length.
    let fits = RECORD_LEN_MAX - empty - 4;
    for (len, expected) in [(fits, Reason::Canonical), (fits + 1, Reason::Size)] {
        let value = sealed(vec![0xff; len]);
        assert_eq!(value.len() - RECORD_LEN_MAX, len - fits);
        assert_eq!(decode(&value).err(), Some(expected));
    }
}

#[test]
fn key_ids_and_signatures_have_their_length() {
    let good = SignedRecord::decode(&sealed(promotion_body(promoted("credit", 1, None)).encode_to_vec())[..])
        .unwrap();
    assert!(decode(&good.encode_to_vec()).is_ok());
    for (key_id, signature) in [(31, 64), (33, 64), (0, 64), (32, 63), (32, 65), (32, 0)] {
        let bad = SignedRecord { key_id: vec![1; key_id], signature: vec![1; signature], ..good.clone() };
        assert_eq!(decode(&bad.encode_to_vec()).err(), Some(Reason::Canonical), "{key_id} {signature}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn decoding_gives_back_what_was_encoded(promoted in a_promotion()) {
        let ledger = Ledger::new();
        let body = ledger.body(Event::Promoted(promoted));
        let value = seal_record(&body, 1, &ledger.pinned, &front_door());
        let record = decode(&value).unwrap();
        prop_assert_eq!(&record.body, &body);
        prop_assert_eq!(record.kind, Kind::Promoted);
        prop_assert_eq!(record.envelope.encode_to_vec(), value);
        prop_assert_eq!(record.body.encode_to_vec(), record.envelope.body);
    }

    #[test]
    fn disguised_promotions_are_malformed(promoted in a_promotion(), which in any::<prop::sample::Index>()) {
        let body = promotion_body(promoted.clone());
        let event = disguises(&promoted.encode_to_vec());
        let (name, event) = &event[which.index(event.len())];
        prop_assert_eq!(decode(&sealed(with_event(&body, event))).err(), Some(Reason::Canonical), "{}", name);
    }

    /// A changed byte gives another record or none, never the same record in another encoding.
    #[test]
    fn a_changed_byte_never_passes_as_the_same_record(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let value = sealed(promotion_body(promoted("credit", 2, Some(1))).encode_to_vec());
        let mut changed = value.clone();
        let at = at.index(value.len());
        changed[at] = to;
        if let (Ok(record), true) = (decode(&changed), changed != value) {
            prop_assert_ne!(&record, &decode(&value).unwrap());
            prop_assert_eq!(record.envelope.encode_to_vec(), changed);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes);
        let _ = decode(&sealed(bytes.clone()));
        let body = promotion_body(promoted("credit", 2, Some(1)));
        let _ = decode(&sealed(with_event(&body, &bytes)));
    }
}
