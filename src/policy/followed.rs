//! What each slot holds, followed through the accepted entries of a ledger from their first on: for readers, who have no
//! state of the writer at hand. One fold, so that an audit and a command line see the same incumbent.

use std::collections::HashMap;

use crate::event::{
    Digest, Seq, digest,
    promotion::by_people,
    proto::{Promoted, Slot, body::Event},
};

/// The slots of a ledger. `P` is what is kept of each promotion.
pub struct Followed<P> {
    promotions: HashMap<Seq, Kept<P>>,
    slots: HashMap<Digest, Standing>,
}

struct Kept<P> {
    by_people: bool,
    what: P,
}

/// Seqs of promotions.
#[derive(Default)]
struct Standing {
    current: Option<Seq>,
    /// The last one that was current and that people approved.
    human: Option<Seq>,
}

impl<P> Default for Followed<P> {
    fn default() -> Self {
        Self { promotions: HashMap::new(), slots: HashMap::new() }
    }
}

impl<P> Followed<P> {
    /// Goes past the next accepted entry. `keep` is called for a promotion.
    pub fn push(&mut self, seq: Seq, event: &Event, keep: impl FnOnce(&Promoted) -> P) {
        match event {
            Event::Promoted(promoted) => {
                let kept = Kept { by_people: by_people(promoted), what: keep(promoted) };
                self.promotions.insert(seq, kept);
                self.make_current(promoted.slot.as_ref(), seq);
            }
            Event::RolledBack(e) => self.make_current(e.slot.as_ref(), e.to_seq),
            // An undocumented model that is retired was never current.
            Event::Retired(e) => self.standing(e.slot.as_ref()).current = None,
            Event::Revoked(e) => {
                let standing = self.standing(e.slot.as_ref());
                standing.current = standing.current.filter(|seq| *seq != e.promoted_seq);
                standing.human = standing.human.filter(|seq| *seq != e.promoted_seq);
            }
            _ => {}
        }
    }

    fn make_current(&mut self, slot: Option<&Slot>, seq: Seq) {
        let by_people = self.promotions.get(&seq).is_some_and(|kept| kept.by_people);
        let standing = self.standing(slot);
        standing.current = Some(seq);
        if by_people {
            standing.human = Some(seq);
        }
    }

    fn standing(&mut self, slot: Option<&Slot>) -> &mut Standing {
        self.slots.entry(slot.map(digest::slot).unwrap_or_default()).or_default()
    }

    /// The slot's current promotion.
    pub fn current(&self, slot: &Digest) -> Option<(Seq, &P)> {
        self.kept(self.slots.get(slot)?.current)
    }

    /// The slot's last current promotion that people approved.
    pub fn human(&self, slot: &Digest) -> Option<(Seq, &P)> {
        self.kept(self.slots.get(slot)?.human)
    }

    fn kept(&self, seq: Option<Seq>) -> Option<(Seq, &P)> {
        let seq = seq?;
        self.promotions.get(&seq).map(|kept| (seq, &kept.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::proto::{Approval, Retired, Revoked, RolledBack};

    fn slot() -> Slot {
        Slot { model: "credit".into(), environment: "production".into(), ..Slot::default() }
    }

    fn promoted(standing_policy: &str) -> Event {
        let approval = Approval { standing_policy: standing_policy.into(), ..Approval::default() };
        Event::Promoted(Promoted { slot: Some(slot()), approvals: vec![approval], ..Promoted::default() })
    }

    /// As the writer's rules have it (`ledger::slots`): seqs of current and human after each step.
    #[test]
    fn a_slot_is_followed_as_the_writer_follows_it() {
        let back =
            |to_seq| Event::RolledBack(RolledBack { slot: Some(slot()), to_seq, ..Default::default() });
        let revoked =
            |promoted_seq| Event::Revoked(Revoked { slot: Some(slot()), promoted_seq, ..Default::default() });
        let retired = Event::Retired(Retired { slot: Some(slot()), ..Default::default() });
        let steps = [
            (promoted(""), Some(1), Some(1)),
            (promoted("weekly"), Some(2), Some(1)),
            (promoted(""), Some(3), Some(3)),
            (back(2), Some(2), Some(3)),
            (back(1), Some(1), Some(1)),
            (revoked(3), Some(1), Some(1)),
            (revoked(1), None, None),
            (promoted("weekly"), Some(8), None),
            (retired, None, None),
        ];
        let mut followed = Followed::default();
        for (i, (event, current, human)) in steps.iter().enumerate() {
            let seq = i as u64 + 1;
            followed.push(seq, event, |_| seq);
            let key = digest::slot(&slot());
            let seen = [followed.current(&key), followed.human(&key)].map(|found| found.map(|(seq, _)| seq));
            assert_eq!(seen, [*current, *human], "after step {seq}");
        }
        assert!(followed.current(&digest::slot(&Slot::default())).is_none(), "another slot");
    }
}
