//! The writer's rules, version 1: (state, record, position) -> (outcome, changes). Pure.
//!
//! Design section 3, rules 4 to 8. Nothing here reads a clock, a network or a configuration, so every node
//! that sees the same topic decides the same.

use crate::event::{
    Digest, Header, KeyId, Kind, Micros, Outcome, Reason, Seq,
    canonical::{self, Record},
    content::content_digest,
    digest,
    header::HEADER_LEN,
    model::role,
    promotion,
    proto::{
        AdminAct, AdminStatement, Body, ClockReset, KeyAdded, KeyCompromised, KeyRetired, LedgerOpened, Promoted,
        RulesActivated, Slot, body::Event,
    },
};

use crate::proof::tree;

use super::state::{Binding, DateCorrection, KeyState, Lookup, PromotionState, SlotState, State};

/// The newest rules version that this binary has.
pub const RULES_KNOWN: u16 = 1;
/// A basis may be this many entries old.
pub const BASIS_AGE_MAX: u64 = 1 << 20;

/// A value from the topic, with everything that needs no state worked out (and, by the caller, in parallel).
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The topic value, verbatim; empty for a hole.
    pub value: Vec<u8>,
    /// BLAKE3 of the value.
    pub record_digest: Digest,
    /// The record, or why it is malformed.
    pub record: Result<Record, Reason>,
    /// SHA-256 of the body; zero if malformed.
    pub event_digest: Digest,
    /// Content digest of the body; zero if malformed.
    pub content: Digest,
    /// Whether this process made the signature itself a moment ago; then it is not verified again.
    pub own: bool,
}

impl Prepared {
    /// Reads a topic value.
    pub fn new(value: Vec<u8>) -> Self {
        let record = canonical::decode(&value);
        let (event_digest, content) = match &record {
            Ok(record) => (digest::sha256(&record.envelope.body), content_digest(&record.body)),
            Err(_) => (Digest::ZERO, Digest::ZERO),
        };
        Self { record_digest: digest::record_digest(&value), value, record, event_digest, content, own: false }
    }
}

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
    /// The next entry activates rules that this binary does not have.
    #[error("entry {seq} activates rules version {rules}; this binary knows up to {RULES_KNOWN}: upgrade it")]
    Rules {
        /// The RulesActivated entry.
        seq: Seq,
        /// The version that it activates.
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
struct Verdict {
    outcome: Outcome,
    reason: Reason,
    refers_to: Option<Seq>,
}

impl Verdict {
    const fn refused(reason: Reason) -> Self {
        Self { outcome: Outcome::Refused, reason, refers_to: None }
    }

    const fn duplicate(of: Seq) -> Self {
        Self { outcome: Outcome::Duplicate, reason: Reason::None, refers_to: Some(of) }
    }

    const fn accepted(refers_to: Option<Seq>) -> Self {
        Self { outcome: Outcome::Accepted, reason: Reason::None, refers_to }
    }
}

/// The state after genesis, or why the ledger cannot start.
///
/// # Errors
/// [`Halt::Genesis`] if the value is not the pinned genesis.
pub fn genesis<E>(prepared: &Prepared, pinned: &Digest) -> Result<(State, Decided), Halt<E>> {
    let refuse = |found| Halt::Genesis { found, expected: *pinned };
    let Ok(record) = &prepared.record else { return Err(refuse(Digest::ZERO)) };
    let Some(Event::LedgerOpened(opened)) = &record.body.event else { return Err(refuse(Digest::ZERO)) };
    let found = prepared.event_digest;
    let state = initial_state(opened, found).filter(|state| {
        let signer = Digest::from_slice(&record.envelope.key_id).and_then(|id| state.active_key(&id));
        let carrier = signer.filter(|key| key.roles & record.kind.roles() != 0);
        let key = carrier.and_then(|key| canonical::public_key(&key.public_key));
        found == *pinned
            && record.envelope.version == u32::from(state.rules)
            && record.body.basis.is_none()
            && expected_key(&Event::LedgerOpened(opened.clone())) == Digest::from_slice(&record.body.idempotency_key)
            && key.is_some_and(|key| {
                canonical::signature_holds(&record.envelope.body, &record.envelope.signature, &Digest::ZERO, &key)
            })
    });
    let mut state = state.ok_or(refuse(found))?;
    let mut changes = Changes::default();
    bind(&mut changes, prepared, &record.body, 0);
    let verdict = Verdict::accepted(None);
    let decided = enter(&mut state, prepared, Some((record.body.recorded_at, Kind::LedgerOpened)), verdict, changes);
    Ok((state, decided))
}

fn initial_state(opened: &LedgerOpened, ledger_id: Digest) -> Option<State> {
    let mut keys = std::collections::BTreeMap::new();
    for key in &opened.keys {
        let public = canonical::public_key(&key.public_key)?;
        let front_door = key.roles != 0 && key.roles & !(role::ALL ^ role::ADMIN_SIGNER) == 0;
        let state =
            KeyState { public_key: public.to_bytes(), roles: key.roles, retired_at: None, compromised_from: None };
        if !front_door || keys.insert(digest::key_id(&public), state).is_some() {
            return None;
        }
    }
    let admin_keys: Option<std::collections::BTreeSet<[u8; 32]>> =
        opened.admin_keys.iter().map(|key| canonical::public_key(key).map(|key| key.to_bytes())).collect();
    let admin_keys = admin_keys?;
    let quorum = opened.admin_quorum;
    // What checkpoints allow as the name of a key.
    let origin = !opened.origin.is_empty() && !opened.origin.contains(|c: char| c == '+' || c.is_whitespace());
    let quorum_fits = quorum >= 1 && quorum as usize <= admin_keys.len();
    let usable = origin && quorum_fits && opened.rules == 1 && opened.nonce.len() == 32;
    usable.then_some(State {
        rules: 1,
        ledger_id,
        origin: opened.origin.clone(),
        time_zone: opened.time_zone.clone(),
        log_key: canonical::public_key(&opened.log_key)?.to_bytes(),
        link: Digest::ZERO,
        recorded_at: 0,
        date: 0,
        admin_seq: 0,
        admin_keys,
        admin_quorum: quorum,
        keys,
        clock_resets: Vec::new(),
        frontier: tree::Frontier::default(),
    })
}

/// Decides the next record and advances the state by one entry.
///
/// # Errors
/// [`Halt`]; the state is unchanged then.
pub fn decide<L: Lookup>(state: &mut State, look: &L, prepared: &Prepared) -> Result<Decided, Halt<L::Error>> {
    let record = match admissible(state, prepared) {
        Ok(record) => record,
        Err(reason) => {
            let verdict = Verdict { outcome: Outcome::Malformed, reason, refers_to: None };
            return Ok(enter(state, prepared, None, verdict, Changes::default()));
        }
    };
    let mut changes = Changes::default();
    let next = state.size();
    let mut after = None;
    let verdict = judge(state, look, prepared, record, &mut changes, &mut after)?;
    if look.replayed(&prepared.record_digest)?.is_none() {
        changes.replay = Some(prepared.record_digest);
    }
    if verdict.outcome == Outcome::Accepted {
        bind(&mut changes, prepared, &record.body, next);
        if let Some(apply) = after {
            apply(state, next);
        }
    }
    Ok(enter(state, prepared, Some((record.body.recorded_at, record.kind)), verdict, changes))
}

type Apply = Box<dyn FnOnce(&mut State, Seq)>;

fn bind(changes: &mut Changes, prepared: &Prepared, body: &Body, seq: Seq) {
    changes.replay = Some(prepared.record_digest);
    changes.binding =
        Digest::from_slice(&body.idempotency_key).map(|key| (key, Binding { seq, content: prepared.content }));
}

/// Rule 5, first half: what fails here is malformed.
fn admissible<'a>(state: &State, prepared: &'a Prepared) -> Result<&'a Record, Reason> {
    let record = prepared.record.as_ref().map_err(|reason| *reason)?;
    if record.envelope.version != u32::from(state.rules) {
        return Err(Reason::Version);
    }
    let key = Digest::from_slice(&record.envelope.key_id).and_then(|id| state.active_key(&id)).ok_or(Reason::Key)?;
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
    prepared: &Prepared,
    record: &Record,
    changes: &mut Changes,
    after: &mut Option<Apply>,
) -> Result<Verdict, Halt<L::Error>> {
    let roles = Digest::from_slice(&record.envelope.key_id).and_then(|id| state.active_key(&id)).map_or(0, |k| k.roles);
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
        Event::Promoted(promoted) => promoted_rules(state, look, body, promoted, changes).map_err(Halt::Lookup),
        Event::RolledBack(e) => {
            if !promotion::actor_is_whole(e.actor.as_ref(), &e.request_id) {
                return Ok(Verdict::refused(Reason::Incomplete));
            }
            let target = Target { slot: e.slot.as_ref(), promoted: e.to_seq, becomes: Becomes::Current };
            slot_change(state, look, body, &target, changes).map_err(Halt::Lookup)
        }
        Event::Revoked(e) => {
            if !promotion::actor_is_whole(e.actor.as_ref(), &e.request_id) {
                return Ok(Verdict::refused(Reason::Incomplete));
            }
            let target = Target { slot: e.slot.as_ref(), promoted: e.promoted_seq, becomes: Becomes::Revoked };
            slot_change(state, look, body, &target, changes).map_err(Halt::Lookup)
        }
        Event::Retired(e) => {
            if !promotion::actor_is_whole(e.actor.as_ref(), &e.request_id) {
                return Ok(Verdict::refused(Reason::Incomplete));
            }
            let target = Target { slot: e.slot.as_ref(), promoted: e.promoted_seq, becomes: Becomes::Retired };
            slot_change(state, look, body, &target, changes).map_err(Halt::Lookup)
        }
        _ => match canonical::admin_act(event) {
            Some(act) => admin_rules(state, record.kind, act, after),
            None => Ok(Verdict::refused(Reason::Statement)),
        },
    }
}

/// The idempotency key that an event must have.
pub fn expected_key(event: &Event) -> Option<Digest> {
    let request = |kind, actor: &Option<crate::event::proto::PersonRef>, request_id: &str| {
        let actor = actor.as_ref()?;
        Some(digest::request_key(kind, &actor.subject_id, request_id.as_bytes()))
    };
    match event {
        Event::Promoted(promoted) => Some(promotion::promotion_key(promoted)),
        Event::RolledBack(e) => request(Kind::RolledBack, &e.actor, &e.request_id),
        Event::Revoked(e) => request(Kind::Revoked, &e.actor, &e.request_id),
        Event::Retired(e) => request(Kind::Retired, &e.actor, &e.request_id),
        Event::LedgerOpened(opened) => Some(digest::request_key(Kind::LedgerOpened, &opened.nonce, b"")),
        event => {
            let act = canonical::admin_act(event)?;
            // A node makes this entry from a fact, the statement; signatures may be collected twice for one.
            let fact = digest::sha256(&act.statement);
            Some(digest::request_key(canonical::kind_of(event), b"administrators", &fact.0))
        }
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

/// Whether the slot is as admission saw it.
fn slot_as_admitted(body: &Body, slot: Option<&SlotState>) -> bool {
    let seen = body.preconditions.as_ref().and_then(|p| p.slot_changed_at);
    body.preconditions.is_some() && seen == slot.map(|slot| slot.changed_at)
}

fn promoted_rules<L: Lookup>(
    state: &State,
    look: &L,
    body: &Body,
    promoted: &Promoted,
    changes: &mut Changes,
) -> Result<Verdict, L::Error> {
    let Some(slot) = &promoted.slot else { return Ok(Verdict::refused(Reason::Incomplete)) };
    let slot = digest::slot(slot);
    let before = look.slot(&slot)?;
    if !slot_as_admitted(body, before.as_ref()) {
        return Ok(Verdict::refused(Reason::Precondition));
    }
    let current = before.and_then(|slot| slot.current);
    let first = promoted.challenger_comparison.as_ref().is_some_and(|comparison| comparison.no_incumbent);
    if !promotion::problems(promoted, body.recorded_at).is_empty() || first != current.is_none() {
        return Ok(Verdict::refused(Reason::Incomplete));
    }
    let seq = state.size();
    changes.slot = Some((slot, SlotState { current: Some(seq), changed_at: seq }));
    changes.promotion = Some((seq, PromotionState { slot, revoked: false }));
    Ok(Verdict::accepted(None))
}

struct Target<'a> {
    slot: Option<&'a Slot>,
    promoted: Seq,
    becomes: Becomes,
}

#[derive(PartialEq, Eq)]
enum Becomes {
    Current,
    Revoked,
    Retired,
}

fn slot_change<L: Lookup>(
    state: &State,
    look: &L,
    body: &Body,
    target: &Target<'_>,
    changes: &mut Changes,
) -> Result<Verdict, L::Error> {
    let Some(slot) = target.slot.map(digest::slot) else { return Ok(Verdict::refused(Reason::Target)) };
    let Some(before) = look.slot(&slot)? else { return Ok(Verdict::refused(Reason::Target)) };
    if !slot_as_admitted(body, Some(&before)) {
        return Ok(Verdict::refused(Reason::Precondition));
    }
    let promotion = look.promotion(target.promoted)?.filter(|p| p.slot == slot && !p.revoked);
    let Some(promotion) = promotion else { return Ok(Verdict::refused(Reason::Target)) };
    let is_current = before.current == Some(target.promoted);
    let changed_at = state.size();
    match target.becomes {
        Becomes::Current if is_current => return Ok(Verdict::refused(Reason::Target)),
        Becomes::Retired if !is_current => return Ok(Verdict::refused(Reason::Target)),
        Becomes::Current => changes.slot = Some((slot, SlotState { current: Some(target.promoted), changed_at })),
        Becomes::Retired => changes.slot = Some((slot, SlotState { current: None, changed_at })),
        Becomes::Revoked => {
            changes.promotion = Some((target.promoted, PromotionState { revoked: true, ..promotion }));
            // Revoking also changes what a roll-back may choose, so it counts as a change of the slot.
            let current = before.current.filter(|_| !is_current);
            changes.slot = Some((slot, SlotState { current, changed_at }));
        }
    }
    Ok(Verdict::accepted(Some(target.promoted)))
}

fn admin_rules<E>(
    state: &State,
    kind: Kind,
    act: &AdminAct,
    after: &mut Option<Apply>,
) -> Result<Verdict, Halt<E>> {
    let refused = |reason| Ok(Verdict::refused(reason));
    let Some(statement) = canonical::statement(act) else { return refused(Reason::Statement) };
    if statement.ledger_id != state.ledger_id.0 || statement.kind != u32::from(kind.number()) {
        return refused(Reason::Statement);
    }
    if admin_signers(state, act) < state.admin_quorum as usize {
        return refused(Reason::Quorum);
    }
    if statement.admin_seq != state.admin_seq + 1 {
        return refused(Reason::AdminSeq);
    }
    match admin_effect(state, kind, &statement)? {
        Ok(apply) => {
            *after = Some(Box::new(move |state: &mut State, seq| {
                state.admin_seq += 1;
                apply(state, seq);
            }));
            Ok(Verdict::accepted(None))
        }
        Err(reason) => refused(reason),
    }
}

/// Distinct administrators whose signature over the statement holds.
fn admin_signers(state: &State, act: &AdminAct) -> usize {
    let holds = |signature: &&crate::event::proto::AdminSignature| {
        let listed = <[u8; 32]>::try_from(signature.public_key.as_slice())
            .is_ok_and(|key| state.admin_keys.contains(&key));
        listed
            && canonical::public_key(&signature.public_key)
                .is_some_and(|key| canonical::statement_signature_holds(&act.statement, &key, &signature.signature))
    };
    let signers: std::collections::BTreeSet<_> =
        act.signatures.iter().filter(holds).map(|signature| &signature.public_key).collect();
    signers.len()
}

#[expect(clippy::type_complexity, reason = "halt, or refuse, or the change to make")]
fn admin_effect<E>(state: &State, kind: Kind, statement: &AdminStatement) -> Result<Result<Apply, Reason>, Halt<E>> {
    let payload = statement.payload.as_slice();
    let effect: Option<Result<Apply, Reason>> = match kind {
        Kind::RulesActivated => match canonical::decode_exact::<RulesActivated>(payload) {
            Some(act) if act.rules > u32::from(RULES_KNOWN) && act.rules == u32::from(state.rules) + 1 => {
                return Err(Halt::Rules { seq: state.size(), rules: act.rules });
            }
            // Rules only go up, by one; a known binary has nothing above its newest.
            Some(_) => Some(Err(Reason::AdminAct)),
            None => None,
        },
        Kind::KeyAdded => canonical::decode_exact::<KeyAdded>(payload).map(|act| key_added(state, &act)),
        Kind::KeyRetired => canonical::decode_exact::<KeyRetired>(payload).map(|act| key_retired(state, &act.key_id, None)),
        Kind::KeyCompromised => canonical::decode_exact::<KeyCompromised>(payload)
            .map(|act| key_retired(state, &act.key_id, Some(act.from_seq))),
        Kind::ClockReset => canonical::decode_exact::<ClockReset>(payload).map(|act| clock_reset(state, &act)),
        _ => None,
    };
    Ok(effect.unwrap_or(Err(Reason::Statement)))
}

fn key_added(state: &State, act: &KeyAdded) -> Result<Apply, Reason> {
    let key = act.key.as_ref().ok_or(Reason::AdminAct)?;
    let public = canonical::public_key(&key.public_key).ok_or(Reason::AdminAct)?;
    let (id, public_key, roles) = (digest::key_id(&public), public.to_bytes(), key.roles);
    let admin = roles & role::ADMIN_SIGNER != 0;
    let known = state.keys.contains_key(&id) || state.admin_keys.contains(&public_key);
    let meaningful = roles != 0 && roles & !role::ALL == 0 && (!admin || roles == role::ADMIN_SIGNER);
    if known || !meaningful {
        return Err(Reason::AdminAct);
    }
    Ok(Box::new(move |state, _| {
        if admin {
            state.admin_keys.insert(public_key);
        } else {
            let key = KeyState { public_key, roles, retired_at: None, compromised_from: None };
            state.keys.insert(id, key);
        }
    }))
}

fn key_retired(state: &State, key_id: &[u8], compromised_from: Option<Seq>) -> Result<Apply, Reason> {
    let id = Digest::from_slice(key_id).ok_or(Reason::AdminAct)?;
    let admin = state
        .admin_keys
        .iter()
        .find(|key| canonical::public_key(&key[..]).is_some_and(|key| digest::key_id(&key) == id))
        .copied();
    if let Some(admin) = admin {
        // Never fewer administrators than must sign: nobody could act any more.
        let spare = state.admin_keys.len() > state.admin_quorum as usize;
        return if spare { Ok(Box::new(move |state, _| {
            state.admin_keys.remove(&admin);
        })) } else { Err(Reason::AdminAct) };
    }
    let key = state.keys.get(&id).ok_or(Reason::AdminAct)?;
    let news = match compromised_from {
        None => key.retired_at.is_none(),
        Some(from) => key.compromised_from.is_none() && from <= state.size(),
    };
    // Never the last key that carries admin acts: add another one first, or nobody could act any more.
    let carries = |(other, key): (&KeyId, &KeyState)| {
        *other != id && key.retired_at.is_none() && key.roles & role::ADMIN_CARRIER != 0
    };
    if !news || !state.keys.iter().any(carries) {
        return Err(Reason::AdminAct);
    }
    Ok(Box::new(move |state, seq| {
        if let Some(key) = state.keys.get_mut(&id) {
            key.retired_at = key.retired_at.or(Some(seq));
            key.compromised_from = key.compromised_from.or(compromised_from);
        }
    }))
}

fn clock_reset(state: &State, act: &ClockReset) -> Result<Apply, Reason> {
    let (from, time) = (act.from_seq, act.time);
    if from == 0 || from > state.size() || time == 0 {
        return Err(Reason::AdminAct);
    }
    Ok(Box::new(move |state, seq| {
        state.clock_resets.push(DateCorrection { from, to: seq, time });
        state.date = time;
    }))
}

/// Makes the entry: header, link, tree, running times.
fn enter(
    state: &mut State,
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
        flags: 0,
        reason: verdict.reason,
        rules: state.rules,
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
