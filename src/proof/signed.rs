//! What verification does off the serial path: everything that one entry gives by itself, and its signature, on any
//! thread.

use std::sync::{Mutex, mpsc};

use ed25519_dalek::VerifyingKey;

use super::{
    tree,
    verify::{Fault, StoredEntry, What},
};
use crate::event::{Digest, KeyId, Micros, Seq, canonical, digest, header::HEADER_LEN};

/// What an entry's bytes give, without its predecessor. Each byte is read once: the digests of a record are made one
/// after the other, while it is in the processor's cache.
pub(super) struct Recomputed<'a> {
    /// Of the whole record.
    pub(super) record_digest: Digest,
    /// The record's fields; `None` if it cannot be read.
    pub(super) signed: Option<Signed<'a>>,
    /// Link and leaf of the header; `None` if it has not 168 bytes.
    pub(super) chained: Option<Chained>,
}

/// A record that can be read.
pub(super) struct Signed<'a> {
    pub(super) envelope: Envelope<'a>,
    pub(super) event_digest: Digest,
    pub(super) recorded_at: Option<Micros>,
}

/// What the next header and the tree hold of a header.
pub(super) struct Chained {
    pub(super) link: Digest,
    pub(super) leaf: Digest,
}

impl Chained {
    /// `None` if the header has not 168 bytes.
    pub(super) fn of(header: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_LEN] = header.try_into().ok()?;
        Some(Self { link: digest::link(bytes), leaf: tree::leaf_hash(bytes) })
    }
}

pub(super) fn recomputed(entry: &StoredEntry) -> Recomputed<'_> {
    let signed = envelope(&entry.record).map(|envelope| Signed {
        event_digest: digest::sha256(envelope.body),
        recorded_at: recorded_at(envelope.body),
        envelope,
    });
    let chained = Chained::of(&entry.header);
    Recomputed { record_digest: digest::record_digest(&entry.record), signed, chained }
}

/// A record whose signature is checked off the serial path.
pub(super) struct Job<'a> {
    pub(super) seq: Seq,
    pub(super) envelope: Envelope<'a>,
    pub(super) key: VerifyingKey,
    pub(super) key_id: KeyId,
    pub(super) ledger_id: Digest,
}

impl Job<'_> {
    pub(super) fn run(&self) -> Option<Fault> {
        let Envelope { body, signature, .. } = self.envelope;
        let holds = canonical::signature_holds(body, signature, &self.ledger_id, &self.key);
        (!holds).then_some(Fault { seq: self.seq, what: What::Signature(self.key_id) })
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
#[derive(Clone, Copy)]
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

/// Of fewer entries no thread makes anything faster.
pub(super) const FEW: usize = 64;

/// Maps in order on `threads` threads.
pub(super) fn parallel<'a, T: Sync, R: Send>(
    items: &'a [T],
    threads: usize,
    map: impl Fn(&'a T) -> R + Sync,
) -> Vec<R> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    if items.len() <= share || items.len() < FEW {
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

/// Checks signatures on `threads` threads, this one among them once `make` has made all jobs; the others begin with the first.
/// Gives back what `make` does, and every fault that was found, in no order. `most`: as many jobs as there may be.
pub(super) fn checked<'a, R>(
    threads: usize,
    most: usize,
    make: impl FnOnce(&mut dyn FnMut(Job<'a>)) -> R,
) -> (R, Vec<Fault>) {
    // Room for all of them: making one never waits.
    let (sender, receiver) = mpsc::sync_channel::<Job<'a>>(most.max(1));
    let receiver = Mutex::new(receiver);
    let check = || {
        let next = || receiver.lock().expect("no code panics while holding this lock").recv().ok();
        std::iter::from_fn(next).filter_map(|job| job.run()).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        // Dropped at the end of this block, whatever ends it: the others then stop.
        let sender = sender;
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(check)).collect();
        let made = make(&mut |job| sender.send(job).expect("its receiver lives longer"));
        drop(sender);
        let own = check();
        let found = others.into_iter().flat_map(|other| other.join().expect("checking does not panic"));
        (made, own.into_iter().chain(found).collect())
    })
}
