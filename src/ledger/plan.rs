//! A batch of deliveries -> one write set. Pure: the same for the live path, recovery, rebuild and verification.

use std::collections::HashMap;

use crate::event::{Digest, Seq};

use super::{
    decide::{self, Decided, Halt, Prepared},
    genesis,
    review_rows::{ReviewKey, ReviewRow},
    state::{Binding, Lookup, PromotionState, SlotState, State},
};

/// One prepared value and where the log put it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Offset on the log.
    pub offset: Seq,
    /// What stands there.
    pub prepared: Prepared,
}

/// What one batch adds: written as one atomic batch, then synced.
#[derive(Debug, Clone, Default)]
pub struct WriteSet {
    /// Entries in order, each with its record.
    pub entries: Vec<(Decided, Prepared)>,
}

/// Why planning stopped. Everything before it is in the write set.
#[derive(Debug, thiserror::Error)]
pub enum Stop<E> {
    /// A rule that stops the writer.
    #[error(transparent)]
    Halt(Halt<E>),
    /// The log delivered an offset a second time, or went back.
    #[error("the log delivered offset {offset}, but the ledger has {size} entries already")]
    Behind {
        /// Delivered.
        offset: Seq,
        /// Size of the ledger.
        size: u64,
    },
}

/// Decides deliveries in order, filling gaps with holes.
///
/// `state` is `None` before genesis; `pinned` is the ledger_id of the configuration, `rules_known` the newest rules
/// version of the binary. Returns what to write and, if the writer must stop after that, why.
pub fn plan<L: Lookup>(
    state: &mut Option<State>,
    look: &L,
    pinned: &Digest,
    rules_known: u16,
    deliveries: impl IntoIterator<Item = Delivered>,
) -> (WriteSet, Option<Stop<L::Error>>) {
    let mut pending = Pending { first: state.as_ref().map_or(0, State::size), ..Pending::new(look) };
    let deliveries = deliveries.into_iter();
    let mut set = WriteSet { entries: Vec::with_capacity(deliveries.size_hint().0) };
    for Delivered { offset, prepared } in deliveries {
        let mut size = state.as_ref().map_or(0, State::size);
        if offset < size {
            return (set, Some(Stop::Behind { offset, size }));
        }
        while size < offset {
            let hole = Prepared::new(Vec::new());
            match enter(state, &mut pending, pinned, rules_known, hole) {
                Ok(entry) => set.entries.push(entry),
                Err(halt) => return (set, Some(Stop::Halt(halt))),
            }
            size += 1;
        }
        match enter(state, &mut pending, pinned, rules_known, prepared) {
            Ok(entry) => set.entries.push(entry),
            Err(halt) => return (set, Some(Stop::Halt(halt))),
        }
    }
    (set, None)
}

fn enter<L: Lookup>(
    state: &mut Option<State>,
    pending: &mut Pending<'_, L>,
    pinned: &Digest,
    rules_known: u16,
    prepared: Prepared,
) -> Result<(Decided, Prepared), Halt<L::Error>> {
    let decided = match state {
        Some(state) => decide::decide(state, pending, rules_known, &prepared)?,
        None => {
            let (opened, decided) = genesis::open(&prepared, pinned)?;
            *state = Some(opened);
            decided
        }
    };
    pending.add(&decided);
    Ok((decided, prepared))
}

/// What this batch has decided so far, over what is stored.
struct Pending<'a, L> {
    look: &'a L,
    first: Seq,
    links: Vec<Digest>,
    replay: HashMap<Digest, Seq>,
    bindings: HashMap<Digest, Binding>,
    slots: HashMap<Digest, SlotState>,
    promotions: HashMap<Seq, PromotionState>,
    review_rows: HashMap<ReviewKey, ReviewRow>,
}

impl<'a, L> Pending<'a, L> {
    fn new(look: &'a L) -> Self {
        Self {
            look,
            first: 0,
            links: Vec::new(),
            replay: HashMap::new(),
            bindings: HashMap::new(),
            slots: HashMap::new(),
            promotions: HashMap::new(),
            review_rows: HashMap::new(),
        }
    }

    fn add(&mut self, decided: &Decided) {
        self.links.push(decided.link);
        let changes = &decided.changes;
        self.replay.extend(changes.replay.map(|digest| (digest, decided.header.seq)));
        self.bindings.extend(changes.binding);
        self.slots.extend(changes.slot);
        self.promotions.extend(changes.promotion);
        self.review_rows.extend(changes.review_rows.iter().cloned());
    }
}

impl<L: Lookup> Lookup for Pending<'_, L> {
    type Error = L::Error;

    fn replayed(&self, record: &Digest) -> Result<Option<Seq>, L::Error> {
        self.replay.get(record).map_or_else(|| self.look.replayed(record), |seq| Ok(Some(*seq)))
    }

    fn bound(&self, key: &Digest) -> Result<Option<Binding>, L::Error> {
        self.bindings.get(key).map_or_else(|| self.look.bound(key), |bound| Ok(Some(*bound)))
    }

    fn link(&self, seq: Seq) -> Result<Option<Digest>, L::Error> {
        match seq.checked_sub(self.first) {
            Some(at) => Ok(usize::try_from(at).ok().and_then(|at| self.links.get(at)).copied()),
            None => self.look.link(seq),
        }
    }

    fn slot(&self, slot: &Digest) -> Result<Option<SlotState>, L::Error> {
        self.slots.get(slot).map_or_else(|| self.look.slot(slot), |state| Ok(Some(*state)))
    }

    fn promotion(&self, seq: Seq) -> Result<Option<PromotionState>, L::Error> {
        self.promotions.get(&seq).map_or_else(|| self.look.promotion(seq), |state| Ok(Some(*state)))
    }

    fn review_row(&self, key: &ReviewKey) -> Result<Option<ReviewRow>, L::Error> {
        self.review_rows.get(key).map_or_else(|| self.look.review_row(key), |row| Ok(Some(row.clone())))
    }
}
