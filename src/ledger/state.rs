//! What the writer knows at a position, and what it must be able to look up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    event::{Digest, KeyId, Micros, Seq, model::role},
    proof::tree::Frontier,
};

use super::review_rows::{ReviewKey, ReviewRow};

/// The small part of the state: held in memory, stored whole with each batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Rules version in force.
    pub rules: u16,
    /// SHA-256 of the genesis body.
    pub ledger_id: Digest,
    /// Name of the ledger.
    pub origin: String,
    /// IANA time zone in which dates without a zone are read.
    pub time_zone: String,
    /// Ed25519 key of checkpoints.
    pub log_key: [u8; 32],
    /// Link of the last entry.
    pub link: Digest,
    /// `recorded_at` of the last entry.
    pub recorded_at: Micros,
    /// Running maximum of `recorded_at` over accepted entries.
    pub date: Micros,
    /// Number of the last accepted admin act.
    pub admin_seq: u64,
    /// Public keys of the administrators.
    pub admin_keys: BTreeSet<[u8; 32]>,
    /// How many of them must sign.
    pub admin_quorum: u32,
    /// Keys that sign or signed records.
    pub keys: BTreeMap<KeyId, KeyState>,
    /// The policy in force.
    pub policy: Option<ActivePolicy>,
    /// Issuers whose logins may decide, by `iss`; none: nobody has listed any.
    pub issuers: BTreeMap<String, ListedIssuer>,
    /// How strict gates are, by pattern of targets.
    pub gate_modes: BTreeMap<GatePattern, GateMode>,
    /// Legal holds in force, by their entry: whose data must be kept; zero is everybody's.
    pub holds: BTreeMap<Seq, Digest>,
    /// Accepted corrections of dates, in order.
    pub clock_resets: Vec<DateCorrection>,
    /// Right edge of the tree; its size is the number of entries.
    pub frontier: Frontier,
}

/// A front-door key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Bits of [`role`].
    pub roles: u32,
    /// Entry that retired it.
    pub retired_at: Option<Seq>,
    /// First entry that is in doubt.
    pub compromised_from: Option<Seq>,
}

/// The policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivePolicy {
    /// The PolicyActivated entry.
    pub seq: Seq,
    /// SHA-256 of its YAML.
    pub sha256: Digest,
    /// As the file states it.
    pub id: String,
    /// As the file states it.
    pub version: u32,
}

/// An issuer on the administrators' list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedIssuer {
    /// The IssuerListed entry.
    pub seq: Seq,
    /// The client as which people log in.
    pub audience: String,
    /// What its tokens may be signed with; none: it was taken off the list.
    pub algorithms: Vec<String>,
    /// SHA-256 of the JWKs that alone may verify; none: any.
    pub pinned: Vec<Digest>,
}

/// Slots of a gate's mode; an empty name or role 0 means any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GatePattern {
    /// Model.
    pub model: String,
    /// Environment.
    pub environment: String,
    /// Region.
    pub region: String,
    /// Number of the role.
    pub role: i32,
}

/// How strict a gate is; in order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GateMode {
    /// It says what it would refuse.
    Observe,
    /// It warns.
    Warn,
    /// It refuses.
    Enforce,
}

/// Entries in `[from, to)` are dated `time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateCorrection {
    /// First entry.
    pub from: Seq,
    /// The ClockReset entry.
    pub to: Seq,
    /// Their date.
    pub time: Micros,
}

impl State {
    /// Entries in the ledger = seq of the next one.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// A front-door key that may sign now.
    pub fn active_key(&self, id: &KeyId) -> Option<&KeyState> {
        self.keys.get(id).filter(|key| key.retired_at.is_none() && key.roles & role::ADMIN_SIGNER == 0)
    }

    /// The date of an entry that had `date` when it was written, and whether a ClockReset set it.
    pub fn corrected_date(&self, seq: Seq, date: Micros) -> (Micros, bool) {
        let covers = |c: &&DateCorrection| c.from <= seq && seq < c.to;
        self.clock_resets.iter().rev().find(covers).map_or((date, false), |c| (c.time, true))
    }
}

/// What an idempotency key is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The accepted entry.
    pub seq: Seq,
    /// Digest of its content.
    pub content: Digest,
}

/// State of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotState {
    /// The Promoted entry that is current.
    pub current: Option<Seq>,
    /// Entry that changed the slot last.
    pub changed_at: Seq,
    /// The last promotion that was current here, that people approved, and that was not revoked.
    pub human: Option<Seq>,
    /// What fills the slot although nothing was ever promoted into it.
    pub baseline: Option<Baseline>,
    /// Whether a promotion was ever current here: then nothing undocumented can fill it any more.
    pub promoted: bool,
}

/// An undocumented model in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The Undocumented entry.
    pub seq: Seq,
    /// SHA-256 of its artefact, if that is known.
    pub artifact: Option<Digest>,
}

/// State of an accepted promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionState {
    /// Digest of its slot.
    pub slot: Digest,
    /// SHA-256 of its artefact.
    pub artifact: Digest,
    /// SHA-256 of its model profile.
    pub profile: Digest,
    /// Whether people approved it; otherwise a service did, under a standing policy.
    pub by_people: bool,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// The large part of the state: looked up, never held whole. All answers are for one position.
pub trait Lookup {
    /// What reading can fail with.
    type Error;
    /// The first entry with this record digest, malformed entries left out.
    fn replayed(&self, record: &Digest) -> Result<Option<Seq>, Self::Error>;
    /// What an idempotency key is bound to.
    fn bound(&self, key: &Digest) -> Result<Option<Binding>, Self::Error>;
    /// Link of an entry.
    fn link(&self, seq: Seq) -> Result<Option<Digest>, Self::Error>;
    /// State of a slot, by its digest; `None` if it never changed.
    fn slot(&self, slot: &Digest) -> Result<Option<SlotState>, Self::Error>;
    /// An accepted promotion.
    fn promotion(&self, seq: Seq) -> Result<Option<PromotionState>, Self::Error>;
    /// What is known of reviews, conditions and delegations.
    fn review_row(&self, key: &ReviewKey) -> Result<Option<ReviewRow>, Self::Error>;
}
