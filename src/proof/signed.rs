//! What verification does off the serial path: event digest, time and signature of one record, on any thread.

use ed25519_dalek::VerifyingKey;

use super::verify::{Fault, What};
use crate::event::{Digest, KeyId, Micros, Seq, canonical, digest};

/// A record whose event digest and signature are checked off the serial path.
pub(super) struct Job<'a> {
    pub(super) seq: Seq,
    pub(super) event_digest: Digest,
    pub(super) recorded_at: Micros,
    pub(super) envelope: Envelope<'a>,
    pub(super) key: VerifyingKey,
    pub(super) key_id: KeyId,
    pub(super) ledger_id: Digest,
    pub(super) signature: bool,
}

impl Job<'_> {
    pub(super) fn run(&self) -> Option<Fault> {
        let fault = |what| Some(Fault { seq: self.seq, what });
        let found = digest::sha256(self.envelope.body);
        if found != self.event_digest {
            let (found, expected) = (self.event_digest.to_string(), found.to_string());
            return fault(What::Field { field: "event_digest", found, expected });
        }
        let stated = recorded_at(self.envelope.body);
        if stated != Some(self.recorded_at) {
            let (found, expected) = (self.recorded_at.to_string(), stated.unwrap_or_default().to_string());
            return fault(What::Field { field: "recorded_at", found, expected });
        }
        let holds = || {
            canonical::signature_holds(
                self.envelope.body,
                self.envelope.signature,
                &self.ledger_id,
                &self.key,
            )
        };
        if self.signature && !holds() { fault(What::Signature(self.key_id)) } else { None }
    }
}

/// `recorded_at` of a canonical body, whose fields stand in ascending order; 0 where it is left out.
fn recorded_at(mut body: &[u8]) -> Option<Micros> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    const RECORDED_AT: u32 = 3;
    while !body.is_empty() {
        match decode_key(&mut body).ok()? {
            (RECORDED_AT, WireType::Varint) => return decode_varint(&mut body).ok(),
            (number, _) if number > RECORDED_AT => break,
            (number, wire) => skip_field(wire, number, &mut body, DecodeContext::default()).ok()?,
        }
    }
    Some(0)
}

/// The fields of a [`crate::event::proto::SignedRecord`], borrowed from its canonical bytes.
pub(super) struct Envelope<'a> {
    pub(super) key_id: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) body: &'a [u8],
}

pub(super) fn envelope(record: &[u8]) -> Option<Envelope<'_>> {
    use prost::encoding::{WireType, decode_key, decode_varint};
    let mut rest = record;
    let mut fields: [&[u8]; 5] = [&[]; 5];
    while !rest.is_empty() {
        let (number, wire) = decode_key(&mut rest).ok()?;
        let value = decode_varint(&mut rest).ok()?;
        match (wire, number) {
            (WireType::Varint, 1) => {}
            (WireType::LengthDelimited, 2..=4) => {
                let (field, tail) = rest.split_at_checked(usize::try_from(value).ok()?)?;
                *fields.get_mut(number as usize)? = field;
                rest = tail;
            }
            _ => return None,
        }
    }
    let [_, _, key_id, signature, body] = fields;
    Some(Envelope { key_id, signature, body })
}

/// Maps in order on `threads` threads.
pub(super) fn parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    map: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    if items.len() <= share || items.len() < 64 {
        return items.iter().map(map).collect();
    }
    std::thread::scope(|scope| {
        let map = &map;
        let parts: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(map).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("hashing does not panic")).collect()
    })
}
