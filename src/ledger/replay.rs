//! The writer's rules over a ledger that is written already: every outcome is derived again and compared.
//!
//! The rules need look-ups at each position. [`Historic`] answers them from the tables of the ledger itself, as
//! they were at that position, and checks every row that it uses or that an entry must have made: memory stays
//! flat. [`super::remembered::Remembered`] keeps them in memory, for a ledger that is read from a node.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::{
    event::{
        Digest, Header, Kind, Outcome, Seq, canonical, content::content_digest, digest, proto::body::Event,
    },
    proof::verify::{self, StoredEntry, What},
};

use super::{
    decide::{Decided, Halt, Prepared, RULES_KNOWN},
    keys,
    plan::{self, Delivered, Stop, WriteSet},
    review_rows::{ReviewKey, ReviewRow},
    rows,
    state::{Binding, Lookup, PromotionState, SlotState, State},
    store::{self, Store},
};

/// What is wrong, or why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The rules give another entry.
    #[error("{0}")]
    Entry(#[from] verify::Fault),
    /// A row of the tables is not what the entries give. The entries are good; the tables can be made again.
    #[error(
        "entry {seq}: the table row {row} does not fit the entries: found {found}, expected {expected}; the entries themselves are good, rebuild this directory from its log"
    )]
    Row {
        /// The entry that the row belongs to.
        seq: Seq,
        /// Its key.
        row: String,
        /// In the table.
        found: String,
        /// By the entries.
        expected: String,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The entries go on under rules that this binary does not have.
    #[error("{0}")]
    Rules(String),
}

/// The look-ups at a position that moves forward.
pub trait Past: Lookup<Error = Fault> {
    /// Goes past entries that were derived again and are equal.
    ///
    /// # Errors
    /// [`Fault::Row`] if a table does not hold what they changed.
    fn advance(&mut self, set: &WriteSet) -> Result<(), Fault>;

    /// Compares what is left to compare at the end.
    ///
    /// # Errors
    /// [`Fault::Row`].
    fn finish(&self, state: &State) -> Result<(), Fault>;
}

/// Derives entries again, in order.
pub struct Replay<P> {
    state: Option<State>,
    pinned: Digest,
    past: P,
}

impl<P: Past> Replay<P> {
    /// Starts before genesis.
    pub fn new(pinned: Digest, past: P) -> Self {
        Self { state: None, pinned, past }
    }

    /// Derives the next entries and compares them. The signatures of all that are not malformed were verified.
    ///
    /// # Errors
    /// The first [`Fault`]; the replay must not be used after it.
    pub fn push(&mut self, entries: Vec<StoredEntry>) -> Result<(), Fault> {
        let base = self.state.as_ref().map_or(0, State::size);
        let headers: Vec<_> = entries.iter().map(|entry| entry.header.clone()).collect();
        let prepare = |(i, entry): (usize, StoredEntry)| {
            let malformed = entry.header.get(2) == Some(&Outcome::Malformed.number());
            let prepared = Prepared { own: !malformed, ..Prepared::new(entry.record) };
            Delivered { offset: base + i as u64, prepared }
        };
        let delivered: Vec<_> = entries.into_par_iter().enumerate().map(prepare).collect();
        let (set, stop) = plan::plan(&mut self.state, &self.past, &self.pinned, RULES_KNOWN, delivered);
        for ((decided, _), found) in set.entries.iter().zip(&headers) {
            compare(decided, found)?;
        }
        if let Some(stop) = stop {
            return Err(stopped(stop, base + set.entries.len() as u64));
        }
        self.past.advance(&set)
    }

    /// Compares what is left to compare at the end.
    ///
    /// # Errors
    /// [`Fault::Row`].
    pub fn finish(&self) -> Result<(), Fault> {
        self.state.as_ref().map_or(Ok(()), |state| self.past.finish(state))
    }
}

fn stopped(stop: Stop<Fault>, seq: Seq) -> Fault {
    match stop {
        Stop::Halt(Halt::Lookup(fault)) => fault,
        Stop::Halt(Halt::Genesis { found, expected }) => {
            Fault::Entry(verify::Fault { seq, what: What::Genesis { found, expected } })
        }
        Stop::Halt(halt @ Halt::Rules { .. }) => Fault::Rules(halt.to_string()),
        Stop::Behind { .. } => Fault::Rules(stop.to_string()),
    }
}

fn compare(decided: &Decided, found: &[u8]) -> Result<(), Fault> {
    if decided.bytes == found {
        return Ok(());
    }
    let seq = decided.header.seq;
    let what = match Header::decode(found) {
        Err(error) => What::Header(error),
        Ok(found) => first_difference(&found, &decided.header),
    };
    Err(Fault::Entry(verify::Fault { seq, what }))
}

fn first_difference(found: &Header, expected: &Header) -> What {
    let optional =
        |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let fields = |h: &Header| {
        [
            ("outcome", h.outcome.to_string()),
            ("reason", h.reason.to_string()),
            ("kind", h.kind.map_or("none", Kind::name).to_owned()),
            ("flags", h.flags.to_string()),
            ("rules", h.rules.to_string()),
            ("record_len", h.record_len.to_string()),
            ("seq", h.seq.to_string()),
            ("recorded_at", h.recorded_at.to_string()),
            ("refers_to", optional(h.refers_to)),
            ("prev_link", h.prev_link.to_string()),
            ("record_digest", h.record_digest.to_string()),
            ("event_digest", h.event_digest.to_string()),
            ("state_root", h.state_root.to_string()),
        ]
    };
    let differing =
        fields(found).into_iter().zip(fields(expected)).find(|(found, expected)| found != expected);
    let ((field, found), (_, expected)) = differing.unwrap_or_default();
    What::Rules { field, found, expected }
}

/// The tables of a ledger as they were before an entry: rows that later entries made are not there yet.
pub struct Historic<'a> {
    store: &'a Store,
    before: Seq,
    slots: BTreeMap<Digest, SlotState>,
    revoked: BTreeSet<Seq>,
    review_rows: BTreeMap<ReviewKey, ReviewRow>,
    made: [u64; 3],
}

const TAGS: [u8; 3] = [b'r', b'k', b'p'];

fn differs<T: PartialEq + std::fmt::Debug>(
    seq: Seq,
    row: String,
    found: &T,
    expected: &T,
) -> Result<(), Fault> {
    if found == expected {
        return Ok(());
    }
    Err(Fault::Row { seq, row, found: format!("{found:?}"), expected: format!("{expected:?}") })
}

impl<'a> Historic<'a> {
    /// Before genesis.
    pub fn new(store: &'a Store) -> Self {
        Self {
            store,
            before: 0,
            slots: BTreeMap::new(),
            revoked: BTreeSet::new(),
            review_rows: BTreeMap::new(),
            made: [0; 3],
        }
    }

    fn header(&self, seq: Seq) -> Result<Option<Header>, Fault> {
        Ok(self.store.header(seq)?.and_then(|bytes| Header::decode(&bytes).ok()))
    }

    /// Rows that an entry must have made.
    fn made_by(&self, decided: &Decided) -> Result<(), Fault> {
        let (seq, changes, store) = (decided.header.seq, &decided.changes, self.store);
        differs(seq, format!("state/d{seq}"), &store.date(seq)?, &Some(decided.date))?;
        if let Some(digest) = &changes.replay {
            differs(seq, format!("state/r{digest}"), &store.replayed(digest)?, &Some(seq))?;
        }
        if let Some((key, binding)) = &changes.binding {
            differs(seq, format!("state/k{key}"), &store.bound(key)?, &Some(*binding))?;
        }
        if let Some((promotion, made)) = &changes.promotion {
            // Whether it was revoked later is compared at the end.
            let same = |state: PromotionState| PromotionState { revoked: false, ..state };
            let found = store.promotion(*promotion)?.map(same);
            differs(seq, format!("state/p{promotion}"), &found, &Some(same(*made)))?;
        }
        for (level, index, root) in
            decided.subtrees.iter().filter(|(level, ..)| *level >= keys::TREE_LEVEL_STORED)
        {
            differs(seq, format!("tree/{level}/{index}"), &store.subtree(*level, *index)?, &Some(*root))?;
        }
        Ok(())
    }
}

impl Lookup for Historic<'_> {
    type Error = Fault;

    fn replayed(&self, record: &Digest) -> Result<Option<Seq>, Fault> {
        let Some(seq) = self.store.replayed(record)?.filter(|seq| *seq < self.before) else {
            return Ok(None);
        };
        let found = self.header(seq)?.filter(|header| header.outcome != Outcome::Malformed);
        differs(seq, format!("state/r{record}"), &found.map(|header| header.record_digest), &Some(*record))?;
        Ok(Some(seq))
    }

    fn bound(&self, key: &Digest) -> Result<Option<Binding>, Fault> {
        let Some(bound) = self.store.bound(key)?.filter(|bound| bound.seq < self.before) else {
            return Ok(None);
        };
        let seq = bound.seq;
        let accepted = self.header(seq)?.is_some_and(|header| header.outcome == Outcome::Accepted);
        let record =
            self.store.record(seq)?.filter(|_| accepted).and_then(|value| canonical::decode(&value).ok());
        let binds = record.map(|record| {
            (
                Digest::from_slice(&record.body.idempotency_key).unwrap_or_default(),
                content_digest(&record.body),
            )
        });
        differs(seq, format!("state/k{key}"), &binds, &Some((*key, bound.content)))?;
        Ok(Some(bound))
    }

    fn link(&self, seq: Seq) -> Result<Option<Digest>, Fault> {
        Ok(if seq < self.before { self.store.link(seq)? } else { None })
    }

    fn slot(&self, slot: &Digest) -> Result<Option<SlotState>, Fault> {
        Ok(self.slots.get(slot).copied())
    }

    fn promotion(&self, seq: Seq) -> Result<Option<PromotionState>, Fault> {
        if seq >= self.before {
            return Ok(None);
        }
        let Some(row) = self.store.promotion(seq)? else { return Ok(None) };
        let accepted = self.header(seq)?.is_some_and(|header| header.outcome == Outcome::Accepted);
        let record =
            self.store.record(seq)?.filter(|_| accepted).and_then(|value| canonical::decode(&value).ok());
        let slot = record.and_then(|record| match record.body.event {
            Some(Event::Promoted(promoted)) => promoted.slot.as_ref().map(digest::slot),
            _ => None,
        });
        differs(seq, format!("state/p{seq}"), &Some(row.slot), &slot)?;
        Ok(Some(PromotionState { revoked: self.revoked.contains(&seq), ..row }))
    }

    fn review_row(&self, key: &ReviewKey) -> Result<Option<ReviewRow>, Fault> {
        Ok(self.review_rows.get(key).cloned())
    }
}

impl Past for Historic<'_> {
    fn advance(&mut self, set: &WriteSet) -> Result<(), Fault> {
        // The first one in order is named, whichever thread finds its own first.
        let found: Vec<_> = set.entries.par_iter().map(|(decided, _)| self.made_by(decided)).collect();
        found.into_iter().collect::<Result<Vec<()>, Fault>>()?;
        for (decided, _) in &set.entries {
            let changes = &decided.changes;
            let promoted = changes.promotion.filter(|(_, promotion)| !promotion.revoked);
            let [replays, bindings, promotions] = &mut self.made;
            *replays += u64::from(changes.replay.is_some());
            *bindings += u64::from(changes.binding.is_some());
            *promotions += u64::from(promoted.is_some());
            self.revoked
                .extend(changes.promotion.filter(|(_, promotion)| promotion.revoked).map(|(seq, _)| seq));
            self.slots.extend(changes.slot);
            self.review_rows.extend(changes.review_rows.iter().cloned());
            self.before = decided.header.seq + 1;
        }
        Ok(())
    }

    fn finish(&self, state: &State) -> Result<(), Fault> {
        let last = self.before.saturating_sub(1);
        let mut slots = BTreeMap::new();
        self.store.state_rows(b's', |key, row| {
            let slot: Option<SlotState> = rows::decode(row);
            slots.insert(key.get(1..).and_then(Digest::from_slice).unwrap_or_default(), slot);
        })?;
        for slot in self.slots.keys().chain(slots.keys()) {
            let (found, expected) = (slots.get(slot).copied().flatten(), self.slots.get(slot).copied());
            differs(
                expected.map_or(last, |slot| slot.changed_at),
                format!("state/s{slot}"),
                &found,
                &expected,
            )?;
        }
        let mut review_rows = 0_usize;
        self.store.state_rows(b'v', |_, _| review_rows += 1)?;
        differs(last, "state: rows v, counted".into(), &review_rows, &self.review_rows.len())?;
        for (key, row) in &self.review_rows {
            let found = self.store.review_row(key)?;
            differs(last, format!("state/v {key:?}"), &found.as_ref(), &Some(row))?;
        }
        let mut revoked = BTreeSet::new();
        let mut rows_found = [0; 3];
        for (tag, count) in TAGS.into_iter().zip(&mut rows_found) {
            self.store.state_rows(tag, |key, row| {
                *count += 1;
                let promotion: Option<PromotionState> = if tag == b'p' { rows::decode(row) } else { None };
                if promotion.is_some_and(|promotion| promotion.revoked) {
                    revoked.extend(key.get(1..).and_then(keys::parse_seq));
                }
            })?;
        }
        // Every row that an entry made was compared; as many rows as that means that no other is there.
        differs(last, "state: rows r, k and p, counted".into(), &rows_found, &self.made)?;
        differs(last, "state/p…: revoked promotions".into(), &revoked, &self.revoked)?;
        let same = self.store.state()?.as_ref() == Some(state);
        differs(
            last,
            "state/h (keys, administrators, dates, tree)".into(),
            &if same { "equal" } else { "other" },
            &"equal",
        )
    }
}
