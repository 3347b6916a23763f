//! The look-ups of a replay in memory, for a ledger that is read from a node.

use std::collections::HashMap;

use crate::event::{Digest, Seq};

use super::{
    plan::WriteSet,
    replay::{Fault, Past},
    review_rows::{ReviewKey, ReviewRow},
    state::{Binding, Lookup, PromotionState, SlotState, State},
};

/// The look-ups in memory: about 300 bytes for each entry.
#[derive(Default)]
pub struct Remembered {
    links: Vec<Digest>,
    replay: HashMap<Digest, Seq>,
    bindings: HashMap<Digest, Binding>,
    slots: HashMap<Digest, SlotState>,
    promotions: HashMap<Seq, PromotionState>,
    review_rows: HashMap<ReviewKey, ReviewRow>,
}

impl Lookup for Remembered {
    type Error = Fault;

    fn replayed(&self, record: &Digest) -> Result<Option<Seq>, Fault> {
        Ok(self.replay.get(record).copied())
    }

    fn bound(&self, key: &Digest) -> Result<Option<Binding>, Fault> {
        Ok(self.bindings.get(key).copied())
    }

    fn link(&self, seq: Seq) -> Result<Option<Digest>, Fault> {
        Ok(usize::try_from(seq).ok().and_then(|seq| self.links.get(seq)).copied())
    }

    fn slot(&self, slot: &Digest) -> Result<Option<SlotState>, Fault> {
        Ok(self.slots.get(slot).copied())
    }

    fn promotion(&self, seq: Seq) -> Result<Option<PromotionState>, Fault> {
        Ok(self.promotions.get(&seq).copied())
    }

    fn review_row(&self, key: &ReviewKey) -> Result<Option<ReviewRow>, Fault> {
        Ok(self.review_rows.get(key).cloned())
    }
}

impl Past for Remembered {
    fn advance(&mut self, set: &WriteSet) -> Result<(), Fault> {
        for (decided, _) in &set.entries {
            let changes = &decided.changes;
            self.links.push(decided.link);
            self.replay.extend(changes.replay.map(|digest| (digest, decided.header.seq)));
            self.bindings.extend(changes.binding);
            self.slots.extend(changes.slot);
            self.promotions.extend(changes.promotion);
            self.review_rows.extend(changes.review_rows.iter().cloned());
        }
        Ok(())
    }

    fn finish(&self, _: &State) -> Result<(), Fault> {
        Ok(())
    }
}
