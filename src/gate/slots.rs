//! Every slot's newest change, and entries by what they are about: synced entries only.

use rocksdb::Direction;

use crate::{
    event::{
        Digest, Header, Outcome, Seq, canonical, digest, promotion,
        proto::{Slot, body::Event},
    },
    ledger::{Ledger, rows, store::Error},
    projection::{fold::SlotChange, keys},
};

/// An accepted entry.
pub struct Found {
    /// Its header.
    pub header: Header,
    /// The key that signed it.
    pub key_id: Digest,
    /// Its event.
    pub event: Event,
}

/// An accepted entry; `None` for any other.
///
/// # Errors
/// [`Error`].
pub fn accepted(ledger: &Ledger, seq: Seq) -> Result<Option<Found>, Error> {
    let Some(header) = ledger.header(seq)?.filter(|header| header.outcome == Outcome::Accepted) else {
        return Ok(None);
    };
    let damaged = || Error::Row(format!("records/{seq}"));
    let value = ledger.store.record(seq)?.ok_or_else(damaged)?;
    let record = canonical::decode(&value).map_err(|_| damaged())?;
    let key_id = Digest::from_slice(&record.envelope.key_id).unwrap_or_default();
    Ok(record.body.event.map(|event| Found { header, key_id, event }))
}

/// Newest entries under a prefix of the projections, at most `max`.
///
/// # Errors
/// [`Error`].
pub fn newest(ledger: &Ledger, prefix: &[u8], max: usize) -> Result<Vec<Seq>, Error> {
    let mut found = Vec::new();
    ledger.store.view_scan(prefix, &keys::at(prefix, Seq::MAX), Direction::Reverse, |key, _| {
        found.extend(keys::seq_of(key));
        found.len() < max
    })?;
    Ok(found)
}

/// The newest change of a slot, and the entry that made it.
///
/// # Errors
/// [`Error`].
pub fn change(ledger: &Ledger, slot: &Slot) -> Result<Option<(Seq, SlotChange)>, Error> {
    let prefix = keys::slot(&slot.model, &slot.environment, &digest::slot(slot));
    let mut found = None;
    ledger.store.view_scan(&prefix, &keys::at(&prefix, Seq::MAX), Direction::Reverse, |key, row| {
        found = keys::seq_of(key).zip(rows::decode(row));
        false
    })?;
    Ok(found)
}

/// Calls `each` with every slot that ever changed: one seek for each slot, however often it changed.
///
/// # Errors
/// [`Error`].
pub fn every(
    ledger: &Ledger,
    mut each: impl FnMut(Slot, Seq, SlotChange) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = vec![keys::SLOTS[0] + 1];
    loop {
        let mut last: Option<(Vec<u8>, SlotChange)> = None;
        ledger.store.view_scan(keys::SLOTS, &from, Direction::Reverse, |key, row| {
            last = rows::decode(row).map(|change| (key.to_vec(), change));
            false
        })?;
        let Some((key, change)) = last else { return Ok(()) };
        let seq = keys::seq_of(&key).unwrap_or_default();
        from = key.strip_suffix(&seq.to_be_bytes()).unwrap_or(&key).to_vec();
        if let Some(slot) =
            accepted(ledger, seq)?.and_then(|found| promotion::slot_changed_by(&found.event).cloned())
        {
            each(slot, seq, change)?;
        }
    }
}

/// Promotions of a slot, newest first, at most `max`.
///
/// # Errors
/// [`Error`].
pub fn promoted_in(ledger: &Ledger, slot: &Slot, max: usize) -> Result<Vec<Seq>, Error> {
    let prefix = keys::slot(&slot.model, &slot.environment, &digest::slot(slot));
    let mut found = Vec::new();
    ledger.store.view_scan(&prefix, &keys::at(&prefix, Seq::MAX), Direction::Reverse, |key, row| {
        let change: Option<SlotChange> = rows::decode(row);
        // The change that a promotion made has its own number.
        found.extend(keys::seq_of(key).filter(|seq| change.is_some_and(|it| it.current == Some(*seq))));
        found.len() < max
    })?;
    Ok(found)
}
