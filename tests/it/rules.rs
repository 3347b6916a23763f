//! The writer's rules as tables: every outcome, every reason, the order of the checks, every slot transition.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use promotion_ledger::{
    event::{
        Digest, Kind, Outcome, Reason, Seq,
        canonical::RECORD_LEN_MAX,
        digest::{self, sha256},
        model::role,
        promotion,
        proto::{
            AdminAct, AttemptRefused, Basis, Body, ClockReset, FrontDoorKey, KeyAdded, KeyCompromised,
            KeyRetired, LedgerOpened, PolicyActivated, Preconditions, Promoted, Routing, RulesActivated,
            Shortfall, body::Event,
        },
    },
    ledger::{
        decide::{BASIS_AGE_MAX, Halt, expected_key},
        plan::Stop,
        state::SlotState,
    },
};
use prost::Message;

use crate::samples::*;

pub type Expected = (Outcome, Reason, Option<Seq>);

pub const fn accepted(refers_to: Option<Seq>) -> Expected {
    (Outcome::Accepted, Reason::None, refers_to)
}

pub const fn duplicate(of: Seq) -> Expected {
    (Outcome::Duplicate, Reason::None, Some(of))
}

pub const fn refused(reason: Reason) -> Expected {
    (Outcome::Refused, reason, None)
}

const fn malformed(reason: Reason) -> Expected {
    (Outcome::Malformed, reason, None)
}

/// Makes the next value; may push entries before it.
pub type Make = fn(&mut Ledger) -> Vec<u8>;

fn first() -> Event {
    Event::Promoted(promoted("fraud", 1, None))
}

fn changed(event: Event, change: impl FnOnce(&mut Promoted)) -> Event {
    let Event::Promoted(mut promoted) = event else { panic!("not a promotion") };
    change(&mut promoted);
    Event::Promoted(promoted)
}

fn with_body(ledger: &Ledger, event: Event, change: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = ledger.body(event);
    change(&mut body);
    ledger.seal(&body)
}

/// Every outcome and reason except those of admin acts and of slots, which have tables of their own.
const RECORDS: &[(&str, Make, Expected)] = &[
    ("a whole promotion", |l| l.record(first()), accepted(None)),
    ("no value", |_| Vec::new(), malformed(Reason::Hole)),
    ("one byte", |_| vec![0x0a], malformed(Reason::Framing)),
    ("text", |_| b"not a record of this ledger".to_vec(), malformed(Reason::Framing)),
    (
        "too long",
        |l| seal_bytes(vec![0; RECORD_LEN_MAX], 1, &l.pinned, &front_door()),
        malformed(Reason::Size),
    ),
    (
        "unknown field in the envelope",
        |l| [l.record(first()), vec![0x28, 1]].concat(),
        malformed(Reason::Canonical),
    ),
    ("nothing but an unknown field", |_| vec![0x28, 1], malformed(Reason::Canonical)),
    (
        "body is no message",
        |l| seal_bytes(vec![0x0a, 9], 1, &l.pinned, &front_door()),
        malformed(Reason::Canonical),
    ),
    (
        "unknown field in the body",
        |l| {
            seal_bytes(
                [l.body(first()).encode_to_vec(), vec![0xb8, 6, 1]].concat(),
                1,
                &l.pinned,
                &front_door(),
            )
        },
        malformed(Reason::Canonical),
    ),
    ("no event", |l| with_body(l, first(), |body| body.event = None), malformed(Reason::Kind)),
    (
        "reserved kind",
        |l| {
            seal_bytes(
                [l.body(first()).encode_to_vec(), vec![0x82, 3, 0]].concat(),
                1,
                &l.pinned,
                &front_door(),
            )
        },
        malformed(Reason::Kind),
    ),
    (
        "rules version 2",
        |l| seal_bytes(l.body(first()).encode_to_vec(), 2, &l.pinned, &front_door()),
        malformed(Reason::Version),
    ),
    (
        "rules version 0",
        |l| seal_bytes(l.body(first()).encode_to_vec(), 0, &l.pinned, &front_door()),
        malformed(Reason::Version),
    ),
    (
        "unknown key",
        |l| seal_bytes(l.body(first()).encode_to_vec(), 1, &l.pinned, &key(99)),
        malformed(Reason::Key),
    ),
    (
        "an administrator's key",
        |l| seal_bytes(l.body(first()).encode_to_vec(), 1, &l.pinned, &key(11)),
        malformed(Reason::Key),
    ),
    (
        "signed for another ledger",
        |l| seal_bytes(l.body(first()).encode_to_vec(), 1, &Digest([8; 32]), &front_door()),
        malformed(Reason::Signature),
    ),
    ("genesis again", |_| genesis(), malformed(Reason::Signature)),
    ("genesis again, signed for this ledger", |l| l.seal(&genesis_body(opened())), duplicate(0)),
    (
        "another genesis",
        |l| l.record(Event::LedgerOpened(LedgerOpened { nonce: vec![6; 32], ..opened() })),
        refused(Reason::Genesis),
    ),
    (
        "an observer promotes",
        |l| seal_bytes(l.body(first()).encode_to_vec(), 1, &l.pinned, &observer()),
        refused(Reason::Role),
    ),
    (
        "an observer carries an admin act",
        |l| {
            let event = l.admin(Kind::ClockReset, &ClockReset { from_seq: 1, time: T0 });
            seal_bytes(l.body(event).encode_to_vec(), 1, &l.pinned, &observer())
        },
        refused(Reason::Role),
    ),
    (
        "the same record again",
        |l| {
            let value = l.record(first());
            l.push(value.clone());
            l.push(Vec::new());
            value
        },
        duplicate(1),
    ),
    (
        "the same refused record again",
        |l| {
            let value = with_body(l, first(), |body| body.preconditions = None);
            l.push(value.clone());
            value
        },
        duplicate(1),
    ),
    (
        "the same duplicate record again: the first entry with these bytes",
        |l| {
            l.push(l.record(first()));
            let retry = l.record(first());
            l.push(retry.clone());
            retry
        },
        duplicate(2),
    ),
    (
        "the same malformed record again",
        |l| {
            let value = seal_bytes(l.body(first()).encode_to_vec(), 2, &l.pinned, &front_door());
            l.push(value.clone());
            value
        },
        malformed(Reason::Version),
    ),
    (
        "a retry: other time, basis, precondition, tokens, lock, routing and sealed items",
        |l| {
            l.push(l.record(first()));
            let event = changed(first(), |promoted| {
                promoted.routing = None;
                let approval = &mut promoted.approvals[0];
                approval.assertion_sha256 = hash_of("another login");
                approval.auth_time += SECOND;
                approval.verified_by = "kid".into();
                promoted.profile.as_mut().unwrap().lock = None;
            });
            with_body(l, event, |body| {
                body.basis = None;
                body.sealed = vec![Default::default()];
            })
        },
        duplicate(1),
    ),
    (
        "the same key with other content",
        |l| {
            l.push(l.record(first()));
            l.record(changed(first(), |promoted| {
                promoted.dataset.as_mut().unwrap().snapshot_id = "other".into()
            }))
        },
        refused(Reason::Conflict),
    ),
    (
        "a refused record binds no key: its whole successor is accepted",
        |l| {
            l.push(l.record(changed(first(), |promoted| promoted.explanations.clear())));
            l.record(first())
        },
        accepted(None),
    ),
    ("no basis", |l| with_body(l, first(), |body| body.basis = None), refused(Reason::Fork)),
    (
        "basis of size 0",
        |l| with_body(l, first(), |body| body.basis = Some(Basis { size: 0, link: vec![0; 32] })),
        refused(Reason::Fork),
    ),
    (
        "basis ahead of the ledger",
        |l| with_body(l, first(), |body| body.basis.as_mut().unwrap().size += 1),
        refused(Reason::Fork),
    ),
    (
        "basis with another link",
        |l| with_body(l, first(), |body| body.basis.as_mut().unwrap().link[0] ^= 1),
        refused(Reason::Fork),
    ),
    (
        "basis with a link of 31 bytes",
        |l| with_body(l, first(), |body| body.basis.as_mut().unwrap().link.truncate(31)),
        refused(Reason::Fork),
    ),
    (
        "an older basis of this chain",
        |l| {
            let basis = l.body(first()).basis;
            l.push(Vec::new());
            l.push(Vec::new());
            with_body(l, first(), |body| body.basis = basis)
        },
        accepted(None),
    ),
    (
        "an idempotency key of 31 bytes",
        |l| with_body(l, first(), |body| body.idempotency_key.truncate(31)),
        refused(Reason::IdempotencyKey),
    ),
    (
        "another idempotency key",
        |l| with_body(l, first(), |body| body.idempotency_key = hash_of("mine")),
        refused(Reason::IdempotencyKey),
    ),
    (
        "a roll-back without actor has no key",
        |l| {
            let Event::RolledBack(mut event) = rolled_back("fraud", 1, "r") else { unreachable!() };
            event.actor = None;
            with_body(l, Event::RolledBack(event), |body| body.idempotency_key = hash_of("mine"))
        },
        refused(Reason::IdempotencyKey),
    ),
    (
        "no preconditions",
        |l| with_body(l, first(), |body| body.preconditions = None),
        refused(Reason::Precondition),
    ),
    (
        "admission saw a change of a slot that never changed",
        |l| {
            with_body(l, first(), |body| {
                body.preconditions =
                    Some(Preconditions { slot_changed_at: Some(0), ..Preconditions::default() })
            })
        },
        refused(Reason::Precondition),
    ),
    (
        "the race of two promotions for one slot: the second loses",
        |l| {
            let loser = l.record(Event::Promoted(promoted("fraud", 2, None)));
            l.push(l.record(first()));
            loser
        },
        refused(Reason::Precondition),
    ),
    (
        "an explanation is missing",
        |l| l.record(changed(first(), |p| p.explanations.clear())),
        refused(Reason::Incomplete),
    ),
    (
        "the slot is missing",
        |l| {
            with_body(l, changed(first(), |p| p.slot = None), |body| {
                body.preconditions = Some(Preconditions::default())
            })
        },
        refused(Reason::Incomplete),
    ),
    (
        "no incumbent, but there is one",
        |l| {
            l.push(l.record(first()));
            l.record(Event::Promoted(promoted("fraud", 2, None)))
        },
        refused(Reason::Incomplete),
    ),
    (
        "an incumbent, but there is none",
        |l| l.record(Event::Promoted(promoted("fraud", 2, Some(1)))),
        refused(Reason::Incomplete),
    ),
    (
        "a roll-back without request id",
        |l| {
            l.push(l.record(first()));
            l.record(rolled_back("fraud", 1, ""))
        },
        refused(Reason::Incomplete),
    ),
    (
        "a revocation by nobody",
        |l| {
            l.push(l.record(first()));
            let Event::Revoked(mut event) = revoked("fraud", 1, "r") else { unreachable!() };
            event.actor.as_mut().unwrap().subject_id.clear();
            l.record(Event::Revoked(event))
        },
        refused(Reason::Incomplete),
    ),
    (
        "a roll-back to another model's promotion",
        |l| {
            l.push(l.record(first()));
            l.push(l.record(Event::Promoted(promoted("credit", 1, None))));
            l.record(rolled_back("fraud", 2, "r"))
        },
        refused(Reason::Target),
    ),
    (
        "a revocation without a slot",
        |l| {
            l.push(l.record(first()));
            let Event::Revoked(mut event) = revoked("fraud", 1, "r") else { unreachable!() };
            event.slot = None;
            l.record(Event::Revoked(event))
        },
        refused(Reason::Target),
    ),
    (
        "a retirement that admission decided on an older slot",
        |l| {
            l.push(l.record(first()));
            with_body(l, retired("fraud", 1, "r"), |body| body.preconditions = Some(Preconditions::default()))
        },
        refused(Reason::Precondition),
    ),
    (
        "the same request again",
        |l| {
            l.push(l.record(first()));
            l.push(l.record(retired("fraud", 1, "r")));
            l.record(retired("fraud", 1, "r"))
        },
        duplicate(2),
    ),
    (
        "the same request id for another act is another request",
        |l| {
            l.push(l.record(first()));
            l.push(l.record(retired("fraud", 1, "r")));
            l.record(rolled_back("fraud", 1, "r"))
        },
        accepted(Some(1)),
    ),
    (
        "the same request id with another target",
        |l| {
            l.push(l.record(first()));
            l.push(l.record(retired("fraud", 1, "r")));
            l.record(retired("fraud", 7, "r"))
        },
        refused(Reason::Conflict),
    ),
];

/// The state before is one genesis; `make` may add to it.
pub fn outcome(name: &str, make: Make, (outcome, reason, refers_to): Expected) -> Ledger {
    let mut ledger = Ledger::new();
    let value = make(&mut ledger);
    let before = ledger.clone();
    let header = ledger.push(value.clone());
    assert_eq!((header.outcome, header.reason, header.refers_to), (outcome, reason, refers_to), "{name}");
    assert_eq!(header.kind.is_none(), outcome == Outcome::Malformed, "{name}");
    assert_eq!(
        (header.record_digest, header.record_len as usize),
        (digest::record_digest(&value), value.len()),
        "{name}"
    );
    if outcome == Outcome::Malformed {
        assert_eq!(
            (header.event_digest, header.recorded_at),
            (Digest::ZERO, before.last().recorded_at),
            "{name}"
        );
    }
    if outcome != Outcome::Accepted {
        assert_eq!(ledger.look.bindings, before.look.bindings, "{name}");
        assert_eq!(ledger.look.slots, before.look.slots, "{name}");
        assert_eq!(ledger.look.promotions, before.look.promotions, "{name}");
        assert_eq!(ledger.dates.last(), before.dates.last(), "{name}: only accepted entries move the date");
    }
    ledger.check();
    ledger
}

#[test]
fn every_record_gets_its_outcome() {
    for (name, make, expected) in RECORDS {
        outcome(name, *make, *expected);
    }
}

#[test]
fn the_tables_have_every_reason() {
    let records = RECORDS.iter().map(|(_, _, (_, reason, _))| *reason);
    let acts = ADMIN_ACTS.iter().map(|(_, _, (_, reason, _))| *reason);
    let mut covered: BTreeSet<_> = records.chain(acts).collect();
    covered.insert(Reason::Stale);
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !covered.contains(reason)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

// --- order of the checks -----------------------------------------------------------------------------------

/// A record in the making, and what is wrong with it.
struct Wrong {
    body: Body,
    extra: Vec<u8>,
    rules: u32,
    ledger_id: Digest,
    key: SigningKey,
    tail: Vec<u8>,
}

type Spoil = fn(&mut Wrong);

/// In the order of the checks: what it spoils (two that spoil the same thing cannot be had at once), and the reason.
const STAGES: &[(&str, Spoil, Reason)] = &[
    ("tail", |w| w.tail = vec![0x2a, 9], Reason::Framing),
    ("extra", |w| w.extra = [vec![0xba, 6, 0x80, 0x80, 0x10], vec![0; 1 << 18]].concat(), Reason::Size),
    ("tail", |w| w.tail = vec![0x28, 1], Reason::Canonical),
    ("extra", |w| w.extra = vec![0x82, 3, 0], Reason::Kind),
    ("extra", |w| w.extra = vec![0xb8, 6, 1], Reason::Canonical),
    ("rules", |w| w.rules = 7, Reason::Version),
    ("key", |w| w.key = key(99), Reason::Key),
    ("ledger", |w| w.ledger_id = Digest([8; 32]), Reason::Signature),
    ("key", |w| w.key = observer(), Reason::Role),
    ("idempotency", |w| w.body.idempotency_key = vec![1; 31], Reason::IdempotencyKey),
    ("idempotency", |w| spoil(w, |promoted| *promoted = taken()), Reason::Conflict),
    ("basis", |w| w.body.basis.as_mut().unwrap().link = vec![3; 32], Reason::Fork),
    ("idempotency", |w| w.body.idempotency_key = hash_of("mine"), Reason::IdempotencyKey),
    (
        "precondition",
        |w| {
            w.body.preconditions =
                Some(Preconditions { slot_changed_at: Some(77), ..Preconditions::default() })
        },
        Reason::Precondition,
    ),
    ("event", |w| spoil(w, |promoted| promoted.profile = None), Reason::Incomplete),
];

/// A promotion whose key is bound already, with other content.
fn taken() -> Promoted {
    Promoted { profile: Some(evidence("another profile", "application/json")), ..promoted("taken", 1, None) }
}

fn spoil(wrong: &mut Wrong, change: impl FnOnce(&mut Promoted)) {
    let Some(Event::Promoted(promoted)) = &mut wrong.body.event else { panic!("not a promotion") };
    change(promoted);
    wrong.body.idempotency_key = bytes(promotion::promotion_key(promoted));
}

#[test]
fn the_first_of_two_failures_decides() {
    let mut base = Ledger::new();
    base.push(base.record(Event::Promoted(promoted("taken", 1, None))));
    let mut pairs = 0;
    for (i, (part, spoil, reason)) in STAGES.iter().enumerate() {
        for (other_part, other, other_reason) in &STAGES[i..] {
            let same = std::ptr::fn_addr_eq(*spoil, *other);
            if part == other_part && !same {
                continue;
            }
            let mut wrong = Wrong {
                body: base.body(first()),
                extra: Vec::new(),
                rules: 1,
                ledger_id: base.pinned,
                key: front_door(),
                tail: Vec::new(),
            };
            // Keys follow the event, so the one that is spoilt first must be spoilt last.
            other(&mut wrong);
            spoil(&mut wrong);
            let Wrong { body, extra, rules, ledger_id, key, tail } = wrong;
            let body = [body.encode_to_vec(), extra].concat();
            let value = [seal_bytes(body, rules, &ledger_id, &key), tail].concat();
            let header = base.clone().push(value);
            assert_eq!(header.reason, *reason, "{part} and then {other_part} ({other_reason})");
            pairs += 1;
        }
    }
    assert!(pairs > 80, "{pairs}");
}

#[test]
fn replay_comes_before_everything_but_the_role() {
    for (part, spoil, reason) in &STAGES[8..] {
        let mut ledger = Ledger::new();
        ledger.push(ledger.record(Event::Promoted(promoted("taken", 1, None))));
        let body = ledger.body(first());
        let mut wrong = Wrong {
            body,
            extra: vec![],
            rules: 1,
            ledger_id: ledger.pinned,
            key: front_door(),
            tail: vec![],
        };
        spoil(&mut wrong);
        let value = seal_bytes(wrong.body.encode_to_vec(), 1, &ledger.pinned, &wrong.key);
        assert_eq!(ledger.push(value.clone()).reason, *reason);
        let again = ledger.push(value);
        let expected = if *reason == Reason::Role { refused(Reason::Role) } else { duplicate(2) };
        assert_eq!((again.outcome, again.reason, again.refers_to), expected, "{part} {reason}");
    }
}

// --- basis -------------------------------------------------------------------------------------------------

/// A ledger with this many entries, of which only those links exist that are put into its look-up.
fn tall(size: u64) -> Ledger {
    let mut ledger = Ledger::new();
    let roots = vec![Digest([1; 32]); size.count_ones() as usize];
    let frontier = serde_json::json!({ "size": size, "roots": roots });
    ledger.state.as_mut().unwrap().frontier = serde_json::from_value(frontier).unwrap();
    ledger
}

#[test]
fn a_basis_may_be_two_to_the_twentieth_entries_old() {
    let size = BASIS_AGE_MAX + 100;
    for (basis, expected) in
        [(100, accepted(None)), (99, refused(Reason::Stale)), (98, refused(Reason::Fork))]
    {
        let mut ledger = tall(size);
        let link = Digest([4; 32]);
        ledger.look.links.extend([(98, link), (99, link), (97, Digest([5; 32]))]);
        let mut body = ledger.body(first());
        body.basis = Some(Basis { size: basis, link: bytes(link) });
        ledger.deliver([(size, ledger.seal(&body))]);
        let header = ledger.last();
        assert_eq!((header.outcome, header.reason, header.refers_to), expected, "basis {basis}");
    }
}

// --- holes -------------------------------------------------------------------------------------------------

#[test]
fn gaps_and_null_values_become_holes() {
    let mut ledger = Ledger::new();
    let (one, two) = (ledger.record(first()), ledger.record(Event::Promoted(promoted("credit", 1, None))));
    assert!(ledger.deliver([(3, one), (4, Vec::new()), (8, two)]).is_none());
    ledger.check();
    assert_eq!(ledger.size(), 9);
    for seq in 1..9 {
        let header = promotion_ledger::event::Header::decode(&ledger.headers[seq]).unwrap();
        assert_eq!(header.seq, seq as u64);
        match seq {
            3 | 8 => assert_eq!(header.outcome, Outcome::Accepted),
            _ => {
                assert_eq!((header.outcome, header.reason), (Outcome::Malformed, Reason::Hole));
                assert_eq!((header.record_len, header.record_digest), (0, digest::record_digest(b"")));
                assert_eq!((header.kind, header.event_digest), (None, Digest::ZERO));
            }
        }
    }
    assert_eq!(ledger.look.slots[&digest::slot(&slot("credit"))].current, Some(8));
}

#[test]
fn an_offset_at_or_below_the_last_halts_and_changes_nothing() {
    for offset in [0, 1, 2] {
        let mut ledger = Ledger::new();
        ledger.push(Vec::new());
        ledger.push(Vec::new());
        let before = ledger.state.clone();
        let stop = ledger.deliver([(offset, ledger.record(first()))]);
        assert!(matches!(stop, Some(Stop::Behind { offset: o, size: 3 }) if o == offset));
        assert_eq!(ledger.state, before);
    }
    let mut ledger = Ledger::new();
    let stop = ledger.deliver([(1, Vec::new()), (2, ledger.record(first())), (2, Vec::new())]);
    assert!(matches!(stop, Some(Stop::Behind { offset: 2, size: 3 })));
    assert_eq!(ledger.size(), 3, "what came before stands");
    ledger.check();
}

// --- slots -------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Act {
    First,
    Over,
    Back(Seq),
    Revoke(Seq),
    Retire(Seq),
}

impl Act {
    fn event(self, size: u64) -> Event {
        let request = format!("request {size}");
        match self {
            Act::First => Event::Promoted(promoted("fraud", size as u32 + 10, None)),
            Act::Over => Event::Promoted(promoted("fraud", size as u32 + 10, Some(1))),
            Act::Back(seq) => rolled_back("fraud", seq, &request),
            Act::Revoke(seq) => revoked("fraud", seq, &request),
            Act::Retire(seq) => retired("fraud", seq, &request),
        }
    }
}

/// What becomes of the slot: this entry is current, an earlier one is, none is, or the act is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Own,
    Is(Seq),
    Empty,
    No(Reason),
}

#[test]
fn every_slot_transition() {
    use Act::*;
    use Then::{Empty as E, Is, Own as O};
    const T: Then = Then::No(Reason::Target);
    const I: Then = Then::No(Reason::Incomplete);
    // Promoted entries are 1 and 2; genesis is 0.
    let acts = [First, Over, Back(0), Back(1), Back(2), Revoke(1), Revoke(2), Retire(1), Retire(2)];
    let table: &[(&str, &[Act], [Then; 9])] = &[
        ("never changed", &[], [O, I, T, T, T, T, T, T, T]),
        ("1 current", &[First], [I, O, T, T, T, E, T, E, T]),
        ("2 current after 1", &[First, Over], [I, O, T, Is(1), T, Is(2), E, T, E]),
        ("1 retired", &[First, Retire(1)], [O, I, T, Is(1), T, E, T, T, T]),
        ("1 revoked", &[First, Revoke(1)], [O, I, T, T, T, T, T, T, T]),
        ("2 current, 1 revoked", &[First, Over, Revoke(1)], [I, O, T, T, T, T, E, T, E]),
        ("2 revoked after 1", &[First, Over, Revoke(2)], [O, I, T, Is(1), T, E, T, T, T]),
        ("rolled back to 1", &[First, Over, Back(1)], [I, O, T, T, Is(2), E, Is(1), E, T]),
        ("2 retired after 1", &[First, Over, Retire(2)], [O, I, T, Is(1), Is(2), E, E, T, T]),
        ("retired, then back", &[First, Retire(1), Back(1)], [I, O, T, T, T, E, T, E, T]),
    ];
    for (state, before, row) in table {
        let mut ledger = Ledger::new();
        for act in *before {
            let header = ledger.push(ledger.record(act.event(ledger.size())));
            assert_eq!(header.outcome, Outcome::Accepted, "{state}: {act:?}");
        }
        for (act, then) in acts.iter().zip(row) {
            check_transition(state, ledger.clone(), *act, *then);
        }
    }
}

fn check_transition(state: &str, mut ledger: Ledger, act: Act, then: Then) {
    let at = digest::slot(&slot("fraud"));
    let before = ledger.look.slots.get(&at).copied();
    let own = ledger.size();
    let header = ledger.push(ledger.record(act.event(own)));
    let found = match (header.outcome, ledger.look.slots.get(&at).copied()) {
        (Outcome::Accepted, Some(SlotState { current, changed_at, .. })) => {
            assert_eq!(changed_at, own, "{state}: {act:?}");
            current.map_or(Then::Empty, |seq| if seq == own { Then::Own } else { Then::Is(seq) })
        }
        (_, after) => {
            assert_eq!(after, before, "{state}: {act:?}");
            Then::No(header.reason)
        }
    };
    assert_eq!(found, then, "{state}: {act:?}");
    let target = match act {
        Act::Back(seq) | Act::Revoke(seq) | Act::Retire(seq) if header.outcome == Outcome::Accepted => {
            Some(seq)
        }
        _ => None,
    };
    assert_eq!(header.refers_to, target, "{state}: {act:?}");
    ledger.check();
}

// --- policies -----------------------------------------------------------------------------------------------

fn policy(yaml: &str) -> PolicyActivated {
    PolicyActivated {
        yaml: yaml.as_bytes().to_vec(),
        sha256: bytes(sha256(yaml.as_bytes())),
        id: "credit".into(),
        version: 1,
        ..PolicyActivated::default()
    }
}

fn activate(ledger: &mut Ledger, yaml: &str) {
    let record = admin(ledger, Kind::PolicyActivated, &policy(yaml));
    assert_eq!(ledger.push(record).outcome, Outcome::Accepted);
}

/// A first promotion that was routed by a policy.
fn routed(yaml: &str) -> Promoted {
    let mut promoted = promoted("fraud", 1, None);
    promoted.routing = Some(Routing {
        tier: "high".into(),
        engine: "test".into(),
        policy_sha256: bytes(sha256(yaml.as_bytes())),
        ..Routing::default()
    });
    promoted
}

fn refused_attempt() -> AttemptRefused {
    let Some(slot) = promoted("fraud", 1, None).slot else { unreachable!() };
    AttemptRefused {
        slot: Some(slot),
        promotion_key: hash_of("key"),
        content: hash_of("content"),
        artifact_sha256: hash_of("artefact"),
        policy_sha256: hash_of("policy"),
        tier: "high".into(),
        shortfalls: vec![Shortfall { field: "approvals".into(), description: "lacks one".into() }],
    }
}

fn observed(ledger: &Ledger, event: Event) -> Vec<u8> {
    seal_bytes(ledger.body(event).encode_to_vec(), 1, &ledger.pinned, &observer())
}

/// The policy in force is a precondition of every promotion; what its file says is not the writer's business.
const POLICIES: &[(&str, Make, Expected)] = &[
    (
        "routed by the policy in force",
        |l| {
            activate(l, "a");
            l.record(Event::Promoted(routed("a")))
        },
        accepted(None),
    ),
    (
        "routed by no policy although one is in force",
        |l| {
            activate(l, "a");
            l.record(first())
        },
        refused(Reason::Incomplete),
    ),
    (
        "routed by another policy than the one that it names",
        |l| {
            activate(l, "a");
            l.record(Event::Promoted(routed("b")))
        },
        refused(Reason::Incomplete),
    ),
    (
        "routed by a policy although none is in force",
        |l| l.record(Event::Promoted(routed("a"))),
        refused(Reason::Incomplete),
    ),
    (
        "the race of a promotion with an activation: the promotion loses",
        |l| {
            activate(l, "a");
            let loser = l.record(Event::Promoted(routed("a")));
            activate(l, "b");
            loser
        },
        refused(Reason::Precondition),
    ),
    (
        "an automated approval without a policy",
        |l| {
            let mut promoted = promoted("fraud", 1, None);
            promoted.approvals[0].standing_policy = "SP-1".into();
            promoted.approvals[0].accountable = promoted.approvals[0].approver.clone();
            l.record(Event::Promoted(promoted))
        },
        refused(Reason::Incomplete),
    ),
    (
        "an automated approval that nobody answers for",
        |l| {
            activate(l, "a");
            let mut promoted = routed("a");
            promoted.approvals[0].standing_policy = "SP-1".into();
            l.record(Event::Promoted(promoted))
        },
        refused(Reason::Incomplete),
    ),
    (
        "somebody answers for an approval that is a person's",
        |l| {
            activate(l, "a");
            let mut promoted = routed("a");
            promoted.approvals[0].accountable = promoted.approvals[0].approver.clone();
            l.record(Event::Promoted(promoted))
        },
        refused(Reason::Incomplete),
    ),
    (
        "the policy that is in force already",
        |l| {
            activate(l, "a");
            let again = PolicyActivated { commit: "4f2a".into(), ..policy("a") };
            admin(l, Kind::PolicyActivated, &again)
        },
        refused(Reason::AdminAct),
    ),
    (
        "a digest that is not the file's",
        |l| admin(l, Kind::PolicyActivated, &PolicyActivated { sha256: hash_of("x"), ..policy("a") }),
        refused(Reason::AdminAct),
    ),
    (
        "its author among the signers",
        |l| {
            let author_key = public(&admins()[0]);
            admin(l, Kind::PolicyActivated, &PolicyActivated { author_key, ..policy("a") })
        },
        refused(Reason::AdminAct),
    ),
    (
        "its author not among the signers",
        |l| {
            let author_key = public(&admins()[2]);
            admin(l, Kind::PolicyActivated, &PolicyActivated { author_key, ..policy("a") })
        },
        accepted(None),
    ),
    ("a refused attempt", |l| observed(l, Event::AttemptRefused(refused_attempt())), accepted(None)),
    (
        "a refused attempt without reasons",
        |l| {
            observed(l, Event::AttemptRefused(AttemptRefused { shortfalls: Vec::new(), ..refused_attempt() }))
        },
        refused(Reason::Incomplete),
    ),
    (
        "the same refused attempt again",
        |l| {
            l.push(observed(l, Event::AttemptRefused(refused_attempt())));
            observed(l, Event::AttemptRefused(refused_attempt()))
        },
        duplicate(1),
    ),
];

#[test]
fn every_policy_case_gets_its_outcome() {
    for (name, make, expected) in POLICIES {
        outcome(name, *make, *expected);
    }
}

/// What a slot remembers of people: the last promotion that they approved, was current, and was not revoked.
#[test]
fn a_slot_remembers_the_last_promotion_that_people_approved() {
    let mut l = Ledger::new();
    activate(&mut l, "a");
    let by = |n: u32, current: Option<u32>, people: bool| {
        let mut promoted = Promoted { routing: routed("a").routing, ..promoted("fraud", n, current) };
        if !people {
            promoted.approvals[0].standing_policy = "SP-1".into();
            promoted.approvals[0].accountable = promoted.approvals[0].approver.clone();
        }
        Event::Promoted(promoted)
    };
    let human = |l: &Ledger| l.look.slots.values().next().and_then(|slot| slot.human);
    for (event, expected) in [
        (by(1, None, true), Some(2)),
        (by(2, Some(1), false), Some(2)),
        (by(3, Some(2), true), Some(4)),
        (rolled_back("fraud", 3, "r1"), Some(4)),
        (rolled_back("fraud", 2, "r2"), Some(2)),
    ] {
        assert_eq!(l.push(l.record(event)).outcome, Outcome::Accepted);
        assert_eq!(human(&l), expected);
    }
    assert_eq!(l.push(l.record(revoked("fraud", 2, "r3"))).outcome, Outcome::Accepted);
    assert_eq!(human(&l), None);
}

// --- administrators ----------------------------------------------------------------------------------------

fn add(seed: u8, roles: u32) -> KeyAdded {
    KeyAdded { key: Some(FrontDoorKey { public_key: public(&key(seed)), roles }) }
}

fn retire(seed: u8) -> KeyRetired {
    KeyRetired { key_id: bytes(id_of(&key(seed))) }
}

fn compromise(seed: u8, from_seq: Seq) -> KeyCompromised {
    KeyCompromised { key_id: bytes(id_of(&key(seed))), from_seq }
}

pub fn admin(ledger: &Ledger, kind: Kind, payload: &impl Message) -> Vec<u8> {
    ledger.record(ledger.admin(kind, payload))
}

/// An act on a statement that was tampered with before it was signed.
fn tampered(
    ledger: &Ledger,
    signers: &[SigningKey],
    change: impl FnOnce(&mut promotion_ledger::event::proto::AdminStatement),
) -> Vec<u8> {
    let mut statement =
        statement(&ledger.pinned, Kind::KeyAdded, ledger.state().admin_seq + 1, &add(2, role::DECISION));
    change(&mut statement);
    ledger.record(Event::KeyAdded(act(&statement, signers)))
}

fn signed_by(ledger: &Ledger, change: impl FnOnce(&mut AdminAct)) -> Vec<u8> {
    let Event::KeyAdded(mut act) = ledger.admin(Kind::KeyAdded, &add(2, role::DECISION)) else {
        unreachable!()
    };
    change(&mut act);
    ledger.record(Event::KeyAdded(act))
}

const ADMIN_ACTS: &[(&str, Make, Expected)] = &[
    ("a key", |l| admin(l, Kind::KeyAdded, &add(2, role::DECISION)), accepted(None)),
    ("a key with every front-door role", |l| admin(l, Kind::KeyAdded, &add(2, 7)), accepted(None)),
    ("an administrator", |l| admin(l, Kind::KeyAdded, &add(14, role::ADMIN_SIGNER)), accepted(None)),
    ("all three sign", |l| signed_by(l, |a| *a = act(&statement_of(a), &admins())), accepted(None)),
    ("one signature", |l| signed_by(l, |act| act.signatures.truncate(1)), refused(Reason::Quorum)),
    ("no signature", |l| signed_by(l, |act| act.signatures.clear()), refused(Reason::Quorum)),
    (
        "one administrator twice",
        |l| signed_by(l, |act| act.signatures[1] = act.signatures[0].clone()),
        refused(Reason::Quorum),
    ),
    (
        "one signature is wrong",
        |l| signed_by(l, |act| act.signatures[1].signature[5] ^= 1),
        refused(Reason::Quorum),
    ),
    (
        "one signer is no administrator",
        |l| signed_by(l, |a| *a = act(&statement_of(a), &[key(11), front_door()])),
        refused(Reason::Quorum),
    ),
    (
        "wrong signatures beside enough good ones",
        |l| signed_by(l, |a| *a = act(&statement_of(a), &[front_door(), key(12), key(50), key(13)])),
        accepted(None),
    ),
    (
        "signed by an administrator who was retired",
        |l| {
            l.push(admin(l, Kind::KeyRetired, &retire(12)));
            admin(l, Kind::KeyAdded, &add(2, role::DECISION))
        },
        refused(Reason::Quorum),
    ),
    (
        "signed by an administrator who was added",
        |l| {
            l.push(admin(l, Kind::KeyAdded, &add(14, role::ADMIN_SIGNER)));
            tampered(l, &[key(14), key(13)], |_| {})
        },
        accepted(None),
    ),
    (
        "for another ledger",
        |l| tampered(l, &admins(), |statement| statement.ledger_id = vec![7; 32]),
        refused(Reason::Statement),
    ),
    (
        "for another kind",
        |l| tampered(l, &admins(), |statement| statement.kind = Kind::KeyRetired.number().into()),
        refused(Reason::Statement),
    ),
    (
        "an unreadable payload",
        |l| tampered(l, &admins(), |statement| statement.payload = vec![0x0a, 9]),
        refused(Reason::Statement),
    ),
    (
        "a payload that is not canonical",
        |l| tampered(l, &admins(), |statement| statement.payload.extend([0x98, 6, 1])),
        refused(Reason::Statement),
    ),
    (
        "a statement that is not canonical",
        |l| signed_by(l, |act| act.statement.extend([0x98, 6, 1])),
        refused(Reason::Statement),
    ),
    (
        "admin_seq 0",
        |l| tampered(l, &admins(), |statement| statement.admin_seq = 0),
        refused(Reason::AdminSeq),
    ),
    (
        "admin_seq skips one",
        |l| tampered(l, &admins(), |statement| statement.admin_seq = 2),
        refused(Reason::AdminSeq),
    ),
    (
        "an old admin_seq",
        |l| {
            l.push(admin(l, Kind::KeyAdded, &add(4, role::DECISION)));
            tampered(l, &admins(), |statement| statement.admin_seq = 1)
        },
        refused(Reason::AdminSeq),
    ),
    (
        "too few signatures and an old admin_seq",
        |l| tampered(l, &admins()[..1], |statement| statement.admin_seq = 9),
        refused(Reason::Quorum),
    ),
    (
        "the same statement again",
        |l| {
            let event = l.admin(Kind::KeyAdded, &add(2, role::DECISION));
            l.push(l.record(event.clone()));
            l.record(event)
        },
        duplicate(1),
    ),
    (
        "the same statement again, with signatures of others",
        |l| {
            let Event::KeyAdded(first) = l.admin(Kind::KeyAdded, &add(2, role::DECISION)) else {
                unreachable!()
            };
            l.push(l.record(Event::KeyAdded(first.clone())));
            l.record(Event::KeyAdded(act(&statement_of(&first), &admins()[1..])))
        },
        duplicate(1),
    ),
    ("a key that is there", |l| admin(l, Kind::KeyAdded, &add(1, role::DECISION)), refused(Reason::AdminAct)),
    (
        "an administrator's key",
        |l| admin(l, Kind::KeyAdded, &add(11, role::DECISION)),
        refused(Reason::AdminAct),
    ),
    (
        "a key that was retired",
        |l| {
            l.push(admin(l, Kind::KeyRetired, &retire(3)));
            admin(l, Kind::KeyAdded, &add(3, role::DECISION))
        },
        refused(Reason::AdminAct),
    ),
    ("a key without roles", |l| admin(l, Kind::KeyAdded, &add(2, 0)), refused(Reason::AdminAct)),
    ("a key with an unknown role", |l| admin(l, Kind::KeyAdded, &add(2, 17)), refused(Reason::AdminAct)),
    (
        "an administrator who also promotes",
        |l| admin(l, Kind::KeyAdded, &add(2, 9)),
        refused(Reason::AdminAct),
    ),
    ("no key", |l| admin(l, Kind::KeyAdded, &KeyAdded { key: None }), refused(Reason::AdminAct)),
    (
        "a key of small order",
        |l| {
            let public_key = [vec![1], vec![0; 31]].concat();
            admin(l, Kind::KeyAdded, &KeyAdded { key: Some(FrontDoorKey { public_key, roles: 1 }) })
        },
        refused(Reason::AdminAct),
    ),
    ("retire a key", |l| admin(l, Kind::KeyRetired, &retire(3)), accepted(None)),
    ("retire an unknown key", |l| admin(l, Kind::KeyRetired, &retire(99)), refused(Reason::AdminAct)),
    (
        "retire a key twice",
        |l| {
            l.push(admin(l, Kind::KeyRetired, &retire(3)));
            admin(l, Kind::KeyRetired, &retire(3))
        },
        refused(Reason::AdminAct),
    ),
    (
        "retire the last key that carries admin acts",
        |l| admin(l, Kind::KeyRetired, &retire(1)),
        refused(Reason::AdminAct),
    ),
    (
        "the last key that carries admin acts was stolen",
        |l| admin(l, Kind::KeyCompromised, &compromise(1, 0)),
        refused(Reason::AdminAct),
    ),
    (
        "the same after another one was added",
        |l| {
            l.push(admin(l, Kind::KeyAdded, &add(2, role::ADMIN_CARRIER)));
            admin(l, Kind::KeyCompromised, &compromise(1, 0))
        },
        accepted(None),
    ),
    (
        "records of a retired key",
        |l| {
            l.push(admin(l, Kind::KeyAdded, &add(2, 3)));
            l.push(admin(l, Kind::KeyRetired, &retire(2)));
            seal_bytes(l.body(first()).encode_to_vec(), 1, &l.pinned, &key(2))
        },
        malformed(Reason::Key),
    ),
    (
        "records of an added key",
        |l| {
            l.push(admin(l, Kind::KeyAdded, &add(2, role::DECISION)));
            seal_bytes(l.body(first()).encode_to_vec(), 1, &l.pinned, &key(2))
        },
        accepted(None),
    ),
    (
        "an added key keeps to its roles",
        |l| {
            l.push(admin(l, Kind::KeyAdded, &add(2, role::DECISION)));
            let body = l.body(l.admin(Kind::KeyRetired, &retire(3)));
            seal_bytes(body.encode_to_vec(), 1, &l.pinned, &key(2))
        },
        refused(Reason::Role),
    ),
    ("an administrator leaves", |l| admin(l, Kind::KeyRetired, &retire(13)), accepted(None)),
    (
        "fewer administrators than must sign",
        |l| {
            l.push(admin(l, Kind::KeyRetired, &retire(13)));
            admin(l, Kind::KeyRetired, &retire(12))
        },
        refused(Reason::AdminAct),
    ),
    ("a stolen key", |l| admin(l, Kind::KeyCompromised, &compromise(3, 1)), accepted(None)),
    (
        "stolen from the future on",
        |l| admin(l, Kind::KeyCompromised, &compromise(3, 2)),
        refused(Reason::AdminAct),
    ),
    (
        "a retired key was stolen before",
        |l| {
            l.push(admin(l, Kind::KeyRetired, &retire(3)));
            admin(l, Kind::KeyCompromised, &compromise(3, 0))
        },
        accepted(None),
    ),
    (
        "stolen twice",
        |l| {
            l.push(admin(l, Kind::KeyCompromised, &compromise(3, 0)));
            admin(l, Kind::KeyCompromised, &compromise(3, 1))
        },
        refused(Reason::AdminAct),
    ),
    (
        "rules that are in force",
        |l| admin(l, Kind::RulesActivated, &RulesActivated { rules: 1 }),
        refused(Reason::AdminAct),
    ),
    (
        "rules skip a version",
        |l| admin(l, Kind::RulesActivated, &RulesActivated { rules: 3 }),
        refused(Reason::AdminAct),
    ),
    (
        "rules 2 without quorum do not halt anybody",
        |l| {
            let mut act = l.admin(Kind::RulesActivated, &RulesActivated { rules: 2 });
            let Event::RulesActivated(inner) = &mut act else { unreachable!() };
            inner.signatures.truncate(1);
            l.record(act)
        },
        refused(Reason::Quorum),
    ),
    ("a clock reset", |l| admin(l, Kind::ClockReset, &ClockReset { from_seq: 1, time: T0 }), accepted(None)),
    (
        "a clock reset of genesis",
        |l| admin(l, Kind::ClockReset, &ClockReset { from_seq: 0, time: T0 }),
        refused(Reason::AdminAct),
    ),
    (
        "a clock reset of the future",
        |l| admin(l, Kind::ClockReset, &ClockReset { from_seq: 2, time: T0 }),
        refused(Reason::AdminAct),
    ),
    (
        "a clock reset to nothing",
        |l| admin(l, Kind::ClockReset, &ClockReset { from_seq: 1, time: 0 }),
        refused(Reason::AdminAct),
    ),
];

fn statement_of(act: &AdminAct) -> promotion_ledger::event::proto::AdminStatement {
    promotion_ledger::event::canonical::statement(act).expect("canonical")
}

#[test]
fn every_admin_act_gets_its_outcome() {
    for (name, make, expected) in ADMIN_ACTS {
        let ledger = outcome(name, *make, *expected);
        let accepted =
            ledger.headers.iter().map(|header| promotion_ledger::event::Header::decode(header).unwrap());
        let acts =
            accepted.filter(|h| h.outcome == Outcome::Accepted && h.kind != Some(Kind::Promoted)).count() - 1;
        assert_eq!(ledger.state().admin_seq, acts as u64, "{name}");
    }
}

#[test]
fn a_compromised_key_keeps_its_past() {
    let mut ledger = Ledger::new();
    ledger.push(admin(&ledger, Kind::KeyAdded, &add(2, role::DECISION)));
    let value = seal_bytes(ledger.body(first()).encode_to_vec(), 1, &ledger.pinned, &key(2));
    assert_eq!(ledger.push(value).outcome, Outcome::Accepted);
    ledger.push(admin(&ledger, Kind::KeyCompromised, &compromise(2, 1)));
    assert_eq!(ledger.look.slots[&digest::slot(&slot("fraud"))].current, Some(2));
    let state = &ledger.state().keys[&id_of(&key(2))];
    assert_eq!((state.retired_at, state.compromised_from), (Some(3), Some(1)));
    ledger.check();
}

#[test]
fn rules_that_this_binary_lacks_halt_before_the_entry() {
    let mut ledger = Ledger::new();
    ledger.push(Vec::new());
    let value = admin(&ledger, Kind::RulesActivated, &RulesActivated { rules: 2 });
    assert_eq!(ledger.halts(value), Halt::Rules { seq: 2, rules: 2 });
    ledger.check();
}

/// A binary that has the next rules goes on under them; the entry that activates them was decided by the old ones.
#[test]
fn rules_go_up_for_a_binary_that_has_them_and_an_older_one_cannot_come_back() {
    let mut ledger = Ledger { rules_known: 2, ..Ledger::new() };
    let value = admin(&ledger, Kind::RulesActivated, &RulesActivated { rules: 2 });
    let header = ledger.push(value);
    assert_eq!((header.outcome, header.rules, ledger.state().rules), (Outcome::Accepted, 1, 2));
    let under = |ledger: &Ledger, rules, n| {
        let body = ledger.body(Event::Promoted(promoted("fraud", n, None))).encode_to_vec();
        seal_bytes(body, rules, &ledger.pinned, &front_door())
    };
    let old = ledger.push(under(&ledger, 1, 1));
    assert_eq!((old.outcome, old.reason, old.rules), (Outcome::Malformed, Reason::Version, 2));
    let new = ledger.push(under(&ledger, 2, 1));
    assert_eq!((new.outcome, new.rules), (Outcome::Accepted, 2));
    ledger.check();
    ledger.rules_known = 1;
    let next = under(&ledger, 2, 2);
    assert_eq!(ledger.halts(next), Halt::Rules { seq: 4, rules: 2 });
}

// --- dates -------------------------------------------------------------------------------------------------

#[test]
fn a_clock_reset_dates_what_lies_between() {
    let mut ledger = Ledger::new();
    let promote = |ledger: &mut Ledger, n: u32, recorded_at| {
        let event = Event::Promoted(promoted(&format!("model {n}"), n, None));
        let value = with_body(ledger, event, |body| body.recorded_at = recorded_at);
        assert_eq!(ledger.push(value).outcome, Outcome::Accepted);
    };
    promote(&mut ledger, 1, T0 + 10);
    promote(&mut ledger, 2, T0 + 5); // a slower clock: the date does not go back
    promote(&mut ledger, 3, T0 + 900 * HOUR); // a wrong one
    promote(&mut ledger, 4, T0 + 20);
    let event = ledger.admin(Kind::ClockReset, &ClockReset { from_seq: 3, time: T0 + 15 });
    let value = with_body(&ledger, event, |body| body.recorded_at = T0 + 901 * HOUR);
    assert_eq!(ledger.push(value).outcome, Outcome::Accepted);
    promote(&mut ledger, 6, T0 + 12);
    promote(&mut ledger, 7, T0 + 30);
    ledger.push(Vec::new());
    let wrong = T0 + 900 * HOUR;
    assert_eq!(ledger.dates, [T0, T0 + 10, T0 + 10, wrong, wrong, T0 + 15, T0 + 15, T0 + 30, T0 + 30]);
    let corrected: Vec<_> =
        (0..).zip(&ledger.dates).map(|(seq, date)| ledger.state().corrected_date(seq, *date)).collect();
    let flags: Vec<_> = corrected.iter().map(|(_, flagged)| *flagged).collect();
    assert_eq!(flags, [false, false, false, true, true, false, false, false, false]);
    assert!(corrected.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{corrected:?}");
    let header = promotion_ledger::event::Header::decode(&ledger.headers[8]).unwrap();
    assert_eq!(header.recorded_at, T0 + 30, "a malformed entry's time is its predecessor's");
    ledger.check();
}

// --- genesis -----------------------------------------------------------------------------------------------

#[test]
fn genesis_is_whole_or_there_is_no_ledger() {
    type Change = fn(&mut LedgerOpened);
    let keys: &[(&str, Change)] = &[
        ("rules 0", |g| g.rules = 0),
        ("rules 2", |g| g.rules = 2),
        ("no quorum", |g| g.admin_quorum = 0),
        ("quorum above the administrators", |g| g.admin_quorum = 4),
        ("an administrator twice", |g| {
            g.admin_keys = vec![public(&key(11)); 3];
        }),
        ("an administrator's key of 31 bytes", |g| g.admin_keys[0].truncate(31)),
        ("a log key of small order", |g| g.log_key = vec![0; 32]),
        ("no log key", |g| g.log_key.clear()),
        ("no front-door key", |g| g.keys.clear()),
        ("the signer is not listed", |g| g.keys[0].public_key = public(&key(50))),
        ("the signer carries no admin acts", |g| g.keys[0].roles = role::DECISION),
        ("a key without roles", |g| g.keys[1].roles = 0),
        ("an administrator among the front doors", |g| g.keys[1].roles = role::ADMIN_SIGNER),
        ("an unknown role", |g| g.keys[1].roles = 16),
        ("a key twice", |g| g.keys[1].public_key = g.keys[0].public_key.clone()),
        ("a nonce of 31 bytes", |g| g.nonce = vec![5; 31]),
        ("no origin", |g| g.origin.clear()),
        ("white space in the origin", |g| g.origin = "my ledger".into()),
        ("a plus in the origin", |g| g.origin = "a+b".into()),
    ];
    for (name, change) in keys {
        let mut genesis = opened();
        change(&mut genesis);
        refuses(name, &genesis_body(genesis), 1, &Digest::ZERO, None);
    }
    let body = genesis_body(opened());
    refuses("another version", &body, 2, &Digest::ZERO, None);
    refuses("signed for a ledger", &body, 1, &sha256(&body.encode_to_vec()), None);
    refuses("another genesis is pinned", &body, 1, &Digest::ZERO, Some(Digest([1; 32])));
    let based = Body { basis: Some(Basis { size: 1, link: vec![0; 32] }), ..body.clone() };
    refuses("a basis", &based, 1, &Digest::ZERO, None);
    refuses("another key", &Body { idempotency_key: hash_of("mine"), ..body }, 1, &Digest::ZERO, None);
}

fn refuses(name: &str, body: &Body, rules: u32, ledger_id: &Digest, pinned: Option<Digest>) {
    let bytes = body.encode_to_vec();
    let found = sha256(&bytes);
    let expected = pinned.unwrap_or(found);
    let mut ledger = Ledger { pinned: expected, ..Ledger::empty() };
    let value = seal_bytes(bytes, rules, ledger_id, &front_door());
    assert_eq!(ledger.halts(value), Halt::Genesis { found, expected }, "{name}");
}

#[test]
fn what_is_no_genesis_at_offset_0_halts() {
    let expected = Ledger::empty().pinned;
    let halt = Halt::Genesis { found: Digest::ZERO, expected };
    for value in [Vec::new(), b"junk".to_vec(), Ledger::new().record(first())] {
        assert_eq!(Ledger::empty().halts(value), halt);
    }
    let stop = Ledger::empty().deliver([(1, genesis())]);
    assert!(matches!(stop, Some(Stop::Halt(found)) if found == halt), "a hole at 0");
}

#[test]
fn genesis_binds_its_key_and_is_the_first_accepted_entry() {
    let ledger = Ledger::new();
    let header = ledger.last();
    assert_eq!((header.kind, header.outcome), (Some(Kind::LedgerOpened), Outcome::Accepted));
    assert_eq!((header.prev_link, header.event_digest), (Digest::ZERO, ledger.pinned));
    let key = expected_key(&Event::LedgerOpened(opened())).unwrap();
    assert_eq!(ledger.look.bindings[&key].seq, 0);
    ledger.check();
}
