//! The writer's rules, version 1: (state, record, position) -> (outcome, changes). Pure.
//!
//! Design section 3, rules 4 to 8. Nothing here reads a clock, a network or a configuration, so every node
//! that sees the same topic decides the same.

use crate::{
    event::{
        Digest, Header, Kind, Micros, Outcome, Reason, Seq,
        canonical::{self, Record},
        digest,
        header::{FLAG_QUORUM, HEADER_LEN},
        promotion,
        proto::{Body, PersonRef, body::Event},
    },
    proof::tree,
};

use super::{
    admin::{self, Apply},
    custody, gates, issuers,
    review_rows::{ReviewKey, ReviewRow},
    reviews,
    slots::{self, Becomes, Target},
    state::{Binding, Lookup, PromotionState, SlotState, State},
};

pub use super::prepared::Prepared;

/// The newest rules version that this binary has.
pub const RULES_KNOWN: u16 = 1;
/// A basis may be this many entries old.
pub const BASIS_AGE_MAX: u64 = 1 << 20;

/// Changes that an entry makes to the large part of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The record digest is known from here on.
    pub replay: Option<Digest>,
    /// The idempotency key is bound from here on.
    pub binding: Option<(Digest, Binding)>,
    /// New state of a slot.
    pub slot: Option<(Digest, SlotState)>,
    /// New state of a promotion.
    pub promotion: Option<(Seq, PromotionState)>,
    /// New rows of reviews, conditions and delegations.
    pub review_rows: Vec<(ReviewKey, ReviewRow)>,
}

/// One decided entry.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Its header.
    pub header: Header,
    /// The header's 168 bytes.
    pub bytes: [u8; HEADER_LEN],
    /// Its link.
    pub link: Digest,
    /// Its date (running maximum).
    pub date: Micros,
    /// Complete subtrees of the Merkle tree that this leaf completes: (level, index, root), the leaf included.
    pub subtrees: Vec<(u8, u64, Digest)>,
    /// Changes to the large part of the state.
    pub changes: Changes,
}

/// Why the writer must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt<E> {
    /// Offset 0 is not the genesis that this node's configuration pins.
    #[error("offset 0 is not the genesis of this ledger: ledger_id {found}, expected {expected}")]
    Genesis {
        /// ledger_id of what stands there; zero if it is no genesis.
        found: Digest,
        /// Pinned by the configuration.
        expected: Digest,
    },
    /// The next entry activates rules that this binary does not have, or stands under such rules.
    #[error("entry {seq} needs rules version {rules}, which this binary does not have: upgrade it")]
    Rules {
        /// The RulesActivated entry, or the first one after it that this binary was asked to decide.
        seq: Seq,
        /// The version that is needed.
        rules: u32,
    },
    /// Looking something up failed.
    #[error(transparent)]
    Lookup(E),
}

impl<E> From<E> for Halt<E> {
    fn from(error: E) -> Self {
        Self::Lookup(error)
    }
}

/// What the rules say about a record, before it becomes an entry.
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    reason: Reason,
    refers_to: Option<Seq>,
    /// This approval completes the quorum of its review.
    pub(super) quorum: bool,
}

impl Verdict {
    pub(super) const fn refused(reason: Reason) -> Self {
        Self { outcome: Outcome::Refused, reason, refers_to: None, quorum: false }
    }

    const fn duplicate(of: Seq) -> Self {
        Self { outcome: Outcome::Duplicate, reason: Reason::None, refers_to: Some(of), quorum: false }
    }

    pub(super) const fn accepted(refers_to: Option<Seq>) -> Self {
        Self { outcome: Outcome::Accepted, reason: Reason::None, refers_to, quorum: false }
    }
}

/// Decides the next record and advances the state by one entry. `rules_known`: the newest rules version that the
/// binary has, which is [`RULES_KNOWN`] for this one.
///
/// # Errors
/// [`Halt`]; the state is unchanged then.
pub fn decide<L: Lookup>(
    state: &mut State,
    look: &L,
    rules_known: u16,
    prepared: &Prepared,
) -> Result<Decided, Halt<L::Error>> {
    let rules = state.rules;
    // An older binary than the one that wrote last: it would decide by rules that are not in force.
    if rules > rules_known {
        return Err(Halt::Rules { seq: state.size(), rules: u32::from(rules) });
    }
    let record = match admissible(state, prepared) {
        Ok(record) => record,
        Err(reason) => {
            let verdict = Verdict { outcome: Outcome::Malformed, reason, refers_to: None, quorum: false };
            return Ok(enter(state, rules, prepared, None, verdict, Changes::default()));
        }
    };
    let mut changes = Changes::default();
    let next = state.size();
    let mut after = None;
    let verdict = judge(state, look, rules_known, prepared, record, &mut changes, &mut after)?;
    if look.replayed(&prepared.record_digest)?.is_none() {
        changes.replay = Some(prepared.record_digest);
    }
    if verdict.outcome == Outcome::Accepted {
        bind(&mut changes, prepared, &record.body, next);
        if let Some(apply) = after {
            apply(state, next);
        }
    }
    Ok(enter(state, rules, prepared, Some((record.body.recorded_at, record.kind)), verdict, changes))
}

pub(super) fn bind(changes: &mut Changes, prepared: &Prepared, body: &Body, seq: Seq) {
    changes.replay = Some(prepared.record_digest);
    changes.binding = Digest::from_slice(&body.idempotency_key)
        .map(|key| (key, Binding { seq, content: prepared.content }));
}

/// Rule 5, first half: what fails here is malformed.
fn admissible<'a>(state: &State, prepared: &'a Prepared) -> Result<&'a Record, Reason> {
    let record = prepared.record.as_ref().map_err(|reason| *reason)?;
    if record.envelope.version != u32::from(state.rules) {
        return Err(Reason::Version);
    }
    let key = Digest::from_slice(&record.envelope.key_id)
        .and_then(|id| state.active_key(&id))
        .ok_or(Reason::Key)?;
    if prepared.own {
        return Ok(record);
    }
    let public = canonical::public_key(&key.public_key).ok_or(Reason::Key)?;
    let envelope = &record.envelope;
    if canonical::signature_holds(&envelope.body, &envelope.signature, &state.ledger_id, &public) {
        Ok(record)
    } else {
        Err(Reason::Signature)
    }
}

/// Rule 5, second half: role, replay, idempotency key, basis, preconditions, rules of the kind.
fn judge<L: Lookup>(
    state: &State,
    look: &L,
    rules_known: u16,
    prepared: &Prepared,
    record: &Record,
    changes: &mut Changes,
    after: &mut Option<Apply>,
) -> Result<Verdict, Halt<L::Error>> {
    let roles = Digest::from_slice(&record.envelope.key_id)
        .and_then(|id| state.active_key(&id))
        .map_or(0, |k| k.roles);
    if record.kind.roles() & roles == 0 {
        return Ok(Verdict::refused(Reason::Role));
    }
    if let Some(first) = look.replayed(&prepared.record_digest)? {
        return Ok(Verdict::duplicate(first));
    }
    let body = &record.body;
    let Some(key) = Digest::from_slice(&body.idempotency_key) else {
        return Ok(Verdict::refused(Reason::IdempotencyKey));
    };
    if let Some(bound) = look.bound(&key)? {
        let same = bound.content == prepared.content;
        return Ok(if same { Verdict::duplicate(bound.seq) } else { Verdict::refused(Reason::Conflict) });
    }
    if let Some(reason) = basis(state, look, body)? {
        return Ok(Verdict::refused(reason));
    }
    let Some(event) = &body.event else { return Ok(Verdict::refused(Reason::Statement)) };
    if expected_key(event) != Some(key) {
        return Ok(Verdict::refused(Reason::IdempotencyKey));
    }
    match event {
        Event::LedgerOpened(_) => Ok(Verdict::refused(Reason::Genesis)),
        Event::Promoted(promoted) => {
            slots::promoted(state, look, prepared, body, promoted, changes).map_err(Halt::Lookup)
        }
        Event::RolledBack(_) | Event::Revoked(_) | Event::Retired(_) if !prepared.whole => {
            Ok(Verdict::refused(Reason::Incomplete))
        }
        Event::RolledBack(e) => {
            let target = Target { slot: e.slot.as_ref(), promoted: e.to_seq, becomes: Becomes::Current };
            slots::change(state, look, body, &target, changes).map_err(Halt::Lookup)
        }
        Event::Revoked(e) => {
            let target =
                Target { slot: e.slot.as_ref(), promoted: e.promoted_seq, becomes: Becomes::Revoked };
            slots::change(state, look, body, &target, changes).map_err(Halt::Lookup)
        }
        Event::Retired(e) => {
            let target =
                Target { slot: e.slot.as_ref(), promoted: e.promoted_seq, becomes: Becomes::Retired };
            slots::change(state, look, body, &target, changes).map_err(Halt::Lookup)
        }
        event @ (Event::BreakGlass(_) | Event::Undocumented(_)) => {
            gates::judge(state, look, prepared, body, event, changes).map_err(Halt::Lookup)
        }
        // An observation: it changes nothing, and names what it saw.
        Event::AttemptRefused(_) if prepared.whole => Ok(Verdict::accepted(None)),
        Event::AttemptRefused(_) => Ok(Verdict::refused(Reason::Incomplete)),
        event => {
            if let Some(verdict) = reviews::judge(state, look, prepared, body, changes)? {
                return Ok(verdict);
            }
            if let Some(verdict) = issuers::judge(state, event, prepared.whole) {
                return Ok(verdict);
            }
            match (custody::judge(state, event, prepared.whole, after), canonical::admin_act(event)) {
                (Some(verdict), _) => Ok(verdict),
                (None, Some(act)) => admin::rules(state, rules_known, record.kind, act, after),
                (None, None) => Ok(Verdict::refused(Reason::Statement)),
            }
        }
    }
}

/// The idempotency key that an event must have.
pub fn expected_key(event: &Event) -> Option<Digest> {
    let request = |kind, actor: &Option<PersonRef>, request_id: &str| {
        let actor = actor.as_ref()?;
        Some(digest::request_key(kind, &actor.subject_id, request_id.as_bytes()))
    };
    match event {
        Event::Promoted(promoted) => Some(promotion::promotion_key(promoted)),
        Event::RolledBack(e) => request(Kind::RolledBack, &e.actor, &e.request_id),
        Event::Revoked(e) => request(Kind::Revoked, &e.actor, &e.request_id),
        Event::Retired(e) => request(Kind::Retired, &e.actor, &e.request_id),
        Event::LedgerOpened(opened) => Some(digest::request_key(Kind::LedgerOpened, &opened.nonce, b"")),
        Event::AttemptRefused(e) => {
            let fact = [&e.content[..], &e.policy_sha256].concat();
            Some(digest::request_key(Kind::AttemptRefused, &e.promotion_key, &fact))
        }
        event => custody::expected_key(event)
            .or_else(|| gates::expected_key(event))
            .or_else(|| reviews::expected_key(event))
            .or_else(|| issuers::expected_key(event))
            .or_else(|| {
                let act = canonical::admin_act(event)?;
                // A node makes this entry from a fact, the statement; signatures may be collected twice for one.
                let fact = digest::sha256(&act.statement);
                Some(digest::request_key(canonical::kind_of(event), b"administrators", &fact.0))
            }),
    }
}

fn basis<L: Lookup>(state: &State, look: &L, body: &Body) -> Result<Option<Reason>, L::Error> {
    let Some(basis) = &body.basis else { return Ok(Some(Reason::Fork)) };
    if basis.size == 0 || basis.size > state.size() {
        return Ok(Some(Reason::Fork));
    }
    let link = look.link(basis.size - 1)?;
    if link.is_none() || link != Digest::from_slice(&basis.link) {
        return Ok(Some(Reason::Fork));
    }
    Ok((state.size() - basis.size > BASIS_AGE_MAX).then_some(Reason::Stale))
}

/// Makes the entry: header, link, tree, running times. `rules`: the version that decided it, which an accepted
/// RulesActivated has raised in the state already.
pub(super) fn enter(
    state: &mut State,
    rules: u16,
    prepared: &Prepared,
    read: Option<(Micros, Kind)>,
    verdict: Verdict,
    changes: Changes,
) -> Decided {
    let (recorded_at, kind) = match read {
        Some((recorded_at, kind)) => (recorded_at, Some(kind)),
        None => (state.recorded_at, None),
    };
    let header = Header {
        kind,
        outcome: verdict.outcome,
        flags: if verdict.quorum { FLAG_QUORUM } else { 0 },
        reason: verdict.reason,
        rules,
        record_len: u32::try_from(prepared.value.len()).unwrap_or(u32::MAX),
        seq: state.size(),
        recorded_at,
        refers_to: verdict.refers_to,
        prev_link: state.link,
        record_digest: prepared.record_digest,
        event_digest: if kind.is_some() { prepared.event_digest } else { Digest::ZERO },
        state_root: Digest::ZERO,
    };
    let bytes = header.encode();
    let link = digest::link(&bytes);
    state.link = link;
    state.recorded_at = recorded_at;
    if verdict.outcome == Outcome::Accepted && !matches!(kind, Some(Kind::ClockReset)) {
        state.date = state.date.max(recorded_at);
    }
    let mut subtrees = Vec::with_capacity(2);
    state.frontier.push(tree::leaf_hash(&bytes), |level, index, root| subtrees.push((level, index, root)));
    Decided { header, bytes, link, date: state.date, subtrees, changes }
}
