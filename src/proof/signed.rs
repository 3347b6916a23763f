//! What verification does off the serial path: everything that one entry gives by itself, and its signature, on any
//! thread.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use ed25519_dalek::VerifyingKey;

use super::{tree, verify::StoredEntry};
use crate::event::{Digest, KeyId, Micros, canonical, digest, header::HEADER_LEN};

/// What an entry's bytes give, without its predecessor. Each byte is read from memory once: the digests of a record are made,
/// and its signature is checked, one after the other, while it is in the processor's cache.
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
    /// Whether its signature holds under the key that it names; `None` if that was not looked at.
    pub(super) holds: Option<bool>,
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

/// Recomputes one entry. `known`: under which keys its signature is checked while its bytes are at hand.
pub(super) fn recomputed<'a>(entry: &'a StoredEntry, known: Option<&Known>) -> Recomputed<'a> {
    // The slow digest first: while SHA-256 waits for itself the processor has the time to fetch what comes next, and BLAKE3, which
    // would wait for the memory, then finds all of it in the cache.
    let signed = envelope(&entry.record).map(|envelope| Signed {
        event_digest: digest::sha256(envelope.body),
        recorded_at: recorded_at(envelope.body),
        holds: known.and_then(|known| known.holds(&envelope)),
        envelope,
    });
    let record_digest = digest::record_digest(&entry.record);
    Recomputed { record_digest, signed, chained: Chained::of(&entry.header) }
}

/// The keys that are known before any of some entries is chained. Which of them could sign at an entry's position, and
/// what, is decided there.
pub(super) struct Known {
    pub(super) ledger_id: Digest,
    pub(super) keys: BTreeMap<KeyId, VerifyingKey>,
}

impl Known {
    /// `None` where the key is not known, or has yet to be.
    fn holds(&self, envelope: &Envelope<'_>) -> Option<bool> {
        let key = self.keys.get(&Digest::from_slice(envelope.key_id)?)?;
        Some(envelope.holds(&self.ledger_id, key))
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

impl Envelope<'_> {
    pub(super) fn holds(&self, ledger_id: &Digest, key: &VerifyingKey) -> bool {
        canonical::signature_holds(self.body, self.signature, ledger_id, key)
    }
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
const FEW: usize = 64;
/// Entries that a thread takes at once: little enough that they stay in its cache from the first digest to the last.
const BLOCK: usize = 16;

/// Maps `items` on `threads` threads, of which this one is one, and gives each result to `then`, on this thread, in order and
/// as soon as it is its turn.
///
/// # Errors
/// The first that `then` gives; nothing is mapped after it but what was begun.
pub(super) fn in_order<'a, T: Sync, R: Send, E>(
    items: &'a [T],
    threads: usize,
    map: impl Fn(&'a T) -> R + Sync,
    mut then: impl FnMut(&'a T, R) -> Result<(), E>,
) -> Result<(), E> {
    let others = if items.len() < FEW { 0 } else { threads.saturating_sub(1) };
    let blocks: Vec<_> = items.chunks(BLOCK).collect();
    let next = AtomicUsize::new(0);
    let mapped = || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let block = blocks.get(n)?;
        Some((n, block.iter().map(&map).collect::<Vec<_>>()))
    };
    // Room for all of them: who has made one never waits.
    let (sender, receiver) = mpsc::sync_channel(blocks.len());
    std::thread::scope(|scope| {
        // Dropped once each of the others has its own: this thread is told when they are gone.
        let sender = sender;
        for _ in 0..others {
            let sender = sender.clone();
            let mapped = &mapped;
            scope.spawn(move || {
                while let Some(one) = mapped() {
                    sender.send(one).expect("its receiver outlives this scope");
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        for (n, block) in blocks.iter().enumerate() {
            let results = loop {
                early.extend(receiver.try_iter());
                if let Some(results) = early.remove(&n) {
                    break results;
                }
                // One that nobody has begun; or else this one is being made.
                let one = mapped().unwrap_or_else(|| receiver.recv().expect("mapping does not panic"));
                early.extend([one]);
            };
            for (item, result) in block.iter().zip(results) {
                then(item, result).inspect_err(|_| next.store(blocks.len(), Ordering::Relaxed))?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thread or several, few items or many: each result is given once, in order, and nothing after an error.
    #[test]
    fn results_come_in_order_and_end_with_the_first_error() {
        for (len, threads) in [(0, 3), (1, 3), (FEW - 1, 2), (FEW, 2), (1000, 1), (1000, 2), (1000, 5)] {
            let items: Vec<usize> = (0..len).collect();
            // Blocks end in another order than they begin.
            let slowly = |item: &usize| {
                if item % 64 < BLOCK {
                    std::thread::yield_now();
                }
                item * 3
            };
            for stop_at in [len, len / 2, 0] {
                let mut given = Vec::new();
                let end = in_order(&items, threads, slowly, |item, result| {
                    assert_eq!(result, item * 3);
                    given.push(*item);
                    if *item == stop_at { Err(*item) } else { Ok(()) }
                });
                assert_eq!(end, if stop_at < len { Err(stop_at) } else { Ok(()) });
                assert_eq!(given, items[..len.min(stop_at + 1)], "{len} items on {threads} threads");
            }
        }
    }
}
