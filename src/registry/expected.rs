//! What a registry should say, folded from the ledger's entries. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    config::Target,
    pointer::{Pointer, tag},
};
use crate::event::{
    Digest, Header, Outcome, Seq,
    promotion::slot_changed_by,
    proto::{Promoted, Slot, Undocumented, body::Event},
};

/// Index of a configured target.
pub type At = usize;

/// A promotion of a version of this registry into a target's slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The registered model.
    pub name: String,
    /// The version.
    pub version: String,
    /// The promoted bytes.
    pub artifact: Digest,
    /// Which target.
    pub at: At,
    /// SHA-256 of the event.
    event_digest: Digest,
}

/// What stands in a slot, as far as this registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stands {
    /// A promotion.
    Promoted(Seq),
    /// A version from before the ledger: its entry, name and version.
    Undocumented(Seq, String, String),
}

/// Where an alias should point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// To a promoted version.
    Promoted(Seq),
    /// To a version from before the ledger, where nobody moves it.
    Undocumented(String),
}

/// What an entry asks of the registry.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Change {
    /// A promotion whose version gets a pointer.
    pub pointer: Option<Seq>,
    /// Models whose alias may have to move.
    pub aliases: BTreeSet<(String, At)>,
}

/// The fold.
#[derive(Debug, Clone)]
pub struct Expected {
    uri: String,
    origin: String,
    targets: Vec<Target>,
    promotions: BTreeMap<Seq, Promotion>,
    /// By model of the slot and target: the entry that changed it last, and what stands there.
    slots: BTreeMap<(String, At), (Seq, Stands)>,
    /// The newest promotion of a version into a target.
    pointers: BTreeMap<(String, String, At), Seq>,
}

impl Expected {
    /// Before the first entry.
    pub fn new(uri: &str, origin: &str, targets: &[Target]) -> Self {
        Self {
            uri: uri.to_owned(),
            origin: origin.to_owned(),
            targets: targets.to_vec(),
            promotions: BTreeMap::new(),
            slots: BTreeMap::new(),
            pointers: BTreeMap::new(),
        }
    }

    /// Folds the next entry.
    pub fn apply(&mut self, header: &Header, event: &Event) -> Change {
        let slot = slot_changed_by(event).filter(|_| header.outcome == Outcome::Accepted);
        let Some((slot, at)) = slot.and_then(|slot| Some((slot, self.target(slot)?))) else {
            return Change::default();
        };
        let key = (slot.model.clone(), at);
        let mut change = Change::default();
        change.aliases.extend(self.alias_of(&key));
        let stands = match event {
            Event::Promoted(promoted) => {
                let promotion = self.promotion(header, promoted, at);
                change.pointer = promotion.as_ref().map(|_| header.seq);
                promotion.map(|promotion| {
                    let named = (promotion.name.clone(), promotion.version.clone(), at);
                    self.pointers.insert(named, header.seq);
                    self.promotions.insert(header.seq, promotion);
                    Stands::Promoted(header.seq)
                })
            }
            Event::RolledBack(e) => {
                self.promotions.contains_key(&e.to_seq).then_some(Stands::Promoted(e.to_seq))
            }
            Event::Revoked(e) => self.after(&key, e.promoted_seq),
            Event::Retired(e) => self.after(&key, e.promoted_seq),
            Event::Undocumented(e) => self.undocumented(header.seq, e),
            _ => None,
        };
        match stands {
            Some(stands) => drop(self.slots.insert(key.clone(), (header.seq, stands))),
            None => drop(self.slots.remove(&key)),
        }
        change.aliases.extend(self.alias_of(&key));
        change
    }

    fn target(&self, slot: &Slot) -> Option<At> {
        self.targets.iter().position(|target| {
            (&target.environment, &target.region, target.role())
                == (&slot.environment, &slot.region, Some(slot.role))
        })
    }

    fn promotion(&self, header: &Header, promoted: &Promoted, at: At) -> Option<Promotion> {
        let model = promoted.model_version.as_ref().filter(|model| model.registry_uri == self.uri)?;
        Some(Promotion {
            name: model.name.clone(),
            version: model.version.clone(),
            artifact: Digest::from_slice(&model.artifact_sha256)?,
            at,
            event_digest: header.event_digest,
        })
    }

    fn undocumented(&self, seq: Seq, e: &Undocumented) -> Option<Stands> {
        let here = e.registry_uri == self.uri && !e.version.is_empty();
        here.then(|| Stands::Undocumented(seq, e.name.clone(), e.version.clone()))
    }

    /// What stands after an entry was taken back: nothing, if it stood there.
    fn after(&self, key: &(String, At), gone: Seq) -> Option<Stands> {
        let stands = self.slots.get(key).map(|(_, stands)| stands.clone());
        stands.filter(|stands| match stands {
            Stands::Promoted(seq) | Stands::Undocumented(seq, ..) => *seq != gone,
        })
    }

    fn alias_of(&self, key: &(String, At)) -> Option<(String, At)> {
        let name = match &self.slots.get(key)?.1 {
            Stands::Promoted(seq) => self.promotions.get(seq)?.name.clone(),
            Stands::Undocumented(_, name, _) => name.clone(),
        };
        Some((name, key.1))
    }

    /// The promotion of an entry.
    pub fn promotion_of(&self, seq: Seq) -> Option<&Promotion> {
        self.promotions.get(&seq)
    }

    /// What the tag of a promotion's version says, and the tag's name.
    pub fn pointer(&self, seq: Seq) -> Option<(String, Pointer)> {
        let promotion = self.promotions.get(&seq)?;
        let alias = &self.targets.get(promotion.at)?.alias;
        let event_digest = promotion.event_digest.to_string();
        Some((tag(alias), Pointer { origin: self.origin.clone(), seq, event_digest }))
    }

    /// The alias of a target.
    pub fn alias(&self, at: At) -> &str {
        self.targets.get(at).map_or("", |target| &target.alias)
    }

    /// Every target.
    pub fn targets(&self) -> impl Iterator<Item = At> + use<> {
        0..self.targets.len()
    }

    /// Where each alias should point. Where several slots share a registered model, the one that changed last says.
    pub fn aims(&self) -> BTreeMap<(String, At), Aim> {
        let mut newest: BTreeMap<(String, At), (Seq, Aim)> = BTreeMap::new();
        for ((_, at), (changed_by, stands)) in &self.slots {
            let (name, aim) = match stands {
                Stands::Promoted(seq) => {
                    let Some(promotion) = self.promotions.get(seq) else { continue };
                    (promotion.name.clone(), Aim::Promoted(*seq))
                }
                Stands::Undocumented(_, name, version) => (name.clone(), Aim::Undocumented(version.clone())),
            };
            let known = newest.get(&(name.clone(), *at)).is_some_and(|(seq, _)| seq > changed_by);
            if !known {
                newest.insert((name, *at), (*changed_by, aim));
            }
        }
        newest.into_iter().map(|(key, (_, aim))| (key, aim)).collect()
    }

    /// The newest promotion of each version of a model, by target.
    pub fn pointers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, At, Seq)> + use<'a> {
        let from = (name.to_owned(), String::new(), 0);
        let of_model = self.pointers.range(from..).take_while(move |((model, ..), _)| model == name);
        of_model.map(|((_, version, at), seq)| (version.as_str(), *at, *seq))
    }

    /// Registered models that anything was ever promoted from.
    pub fn models(&self) -> BTreeSet<String> {
        self.pointers.keys().map(|(name, ..)| name.clone()).collect()
    }
}
