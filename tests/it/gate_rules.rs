//! What gates answer from, as tables: modes, undocumented models, break-glass.

use promotion_ledger::{
    event::{
        Digest, Kind, Outcome, Reason, digest,
        proto::{
            BreakGlass, GateMode, GateModeSet, KnownFact, PersonRef, SlotPattern, SlotRole, Undocumented,
            body::Event,
        },
    },
    ledger::{
        gates::{GATE_MODES_MAX, mode_of},
        state::{self, Baseline},
    },
};

use crate::{
    rules::{Expected, Make, accepted, admin, duplicate, outcome, refused},
    samples::*,
};

const DAY: u64 = 24 * HOUR;

/// An undocumented model with the artefact of version 1, changed.
fn baseline(change: impl FnOnce(&mut Undocumented)) -> Event {
    let mut event = undocumented("fraud", 1, "baseline");
    change(&mut event);
    Event::Undocumented(event)
}

/// An emergency for version 2, changed.
fn emergency(change: impl FnOnce(&mut BreakGlass)) -> Event {
    let mut event = break_glass("fraud", 2, "emergency");
    change(&mut event);
    Event::BreakGlass(event)
}

/// A promotion of version `n` over the version `champion`.
fn over(n: u32, champion: Option<u32>) -> Event {
    Event::Promoted(promoted("fraud", n, champion))
}

/// Enters something that must be accepted.
fn given(ledger: &mut Ledger, event: Event) {
    let header = ledger.push(ledger.record(event));
    assert_eq!(header.outcome, Outcome::Accepted, "{}", header.reason);
}

const I: Expected = refused(Reason::Incomplete);

const BASELINES: &[(&str, Make, Expected)] = &[
    ("into a slot that never changed", |l| l.record(baseline(|_| {})), accepted(None)),
    ("of an unknown artefact", |l| l.record(baseline(|e| e.artifact_sha256.clear())), accepted(None)),
    (
        "in no registry",
        |l| {
            l.record(baseline(|e| {
                (e.registry_uri, e.name, e.version) = Default::default();
            }))
        },
        accepted(None),
    ),
    (
        "the same request again",
        |l| {
            given(l, baseline(|_| {}));
            let mut body = l.body(baseline(|_| {}));
            body.recorded_at += 1;
            l.seal(&body)
        },
        duplicate(1),
    ),
    (
        "into a slot that an undocumented model fills",
        |l| {
            given(l, baseline(|_| {}));
            l.record(baseline(|e| e.request_id = "another".into()))
        },
        refused(Reason::Target),
    ),
    (
        "again, after the first one was retired",
        |l| {
            given(l, baseline(|_| {}));
            given(l, retired("fraud", 1, "retire"));
            l.record(baseline(|e| e.request_id = "another".into()))
        },
        accepted(None),
    ),
    (
        "over a promotion",
        |l| {
            given(l, over(1, None));
            l.record(baseline(|_| {}))
        },
        refused(Reason::Target),
    ),
    (
        "into a slot that is empty, but held a promotion",
        |l| {
            given(l, over(1, None));
            given(l, retired("fraud", 1, "retire"));
            l.record(baseline(|_| {}))
        },
        refused(Reason::Target),
    ),
    (
        "into a slot whose only promotion was revoked",
        |l| {
            given(l, over(1, None));
            given(l, revoked("fraud", 1, "revoke"));
            l.record(baseline(|_| {}))
        },
        refused(Reason::Target),
    ),
    (
        "the race of two for one slot",
        |l| {
            let loser = l.record(baseline(|e| e.request_id = "another".into()));
            given(l, baseline(|_| {}));
            loser
        },
        refused(Reason::Precondition),
    ),
    ("without a slot", |l| l.record(baseline(|e| e.slot = None)), I),
    ("that lacks nothing", |l| l.record(baseline(|e| e.missing.clear())), I),
    ("that lacks what is no field", |l| l.record(baseline(|e| e.missing.push("luck".into()))), I),
    ("whose sunset is past", |l| l.record(baseline(|e| e.sunset = T0)), I),
    ("without a sunset", |l| l.record(baseline(|e| e.sunset = 0)), I),
    ("whose sunset is too far", |l| l.record(baseline(|e| e.sunset = T0 + 731 * DAY)), I),
    ("that nobody says", |l| l.record(baseline(|e| e.actor = Some(PersonRef::default()))), I),
    ("of half a digest", |l| l.record(baseline(|e| e.artifact_sha256.truncate(16))), I),
    ("of an alias", |l| l.record(baseline(|e| e.version = "champion".into())), I),
    ("of a version in no registry", |l| l.record(baseline(|e| e.registry_uri.clear())), I),
    ("a fact from nowhere", |l| l.record(baseline(|e| e.known = vec![KnownFact::default()])), I),
    (
        "retired by another slot",
        |l| {
            given(l, baseline(|_| {}));
            given(l, Event::Undocumented(undocumented("credit", 1, "credit")));
            l.record(retired("credit", 1, "retire"))
        },
        refused(Reason::Target),
    ),
    (
        "revoked: there is nothing to take back",
        |l| {
            given(l, baseline(|_| {}));
            l.record(revoked("fraud", 1, "revoke"))
        },
        refused(Reason::Target),
    ),
    (
        "rolled back to",
        |l| {
            given(l, baseline(|_| {}));
            given(l, over(2, Some(1)));
            l.record(rolled_back("fraud", 1, "back"))
        },
        refused(Reason::Target),
    ),
];

/// The first promotion after an undocumented model.
const FIRST: &[(&str, Make, Expected)] = &[
    (
        "compared with it",
        |l| {
            given(l, baseline(|_| {}));
            l.record(over(2, Some(1)))
        },
        accepted(None),
    ),
    (
        "compared with nothing",
        |l| {
            given(l, baseline(|_| {}));
            l.record(over(2, None))
        },
        I,
    ),
    (
        "compared with another model",
        |l| {
            given(l, baseline(|_| {}));
            l.record(over(2, Some(3)))
        },
        I,
    ),
    (
        "of the undocumented model itself",
        |l| {
            given(l, baseline(|_| {}));
            l.record(over(1, None))
        },
        accepted(None),
    ),
    (
        "of the undocumented model itself, compared with another model",
        |l| {
            given(l, baseline(|_| {}));
            l.record(over(1, Some(3)))
        },
        I,
    ),
    (
        "after a model that nobody knows",
        |l| {
            given(l, baseline(|e| e.artifact_sha256.clear()));
            l.record(over(2, None))
        },
        accepted(None),
    ),
    (
        "after a model that nobody knows, compared with something",
        |l| {
            given(l, baseline(|e| e.artifact_sha256.clear()));
            l.record(over(2, Some(1)))
        },
        I,
    ),
    (
        "after it was retired",
        |l| {
            given(l, baseline(|_| {}));
            given(l, retired("fraud", 1, "retire"));
            l.record(over(2, None))
        },
        accepted(None),
    ),
];

const EMERGENCIES: &[(&str, Make, Expected)] = &[
    ("into an empty slot", |l| l.record(emergency(|_| {})), accepted(None)),
    (
        "beside what is current",
        |l| {
            given(l, over(1, None));
            l.record(emergency(|_| {}))
        },
        accepted(None),
    ),
    (
        "the same request with a new login",
        |l| {
            given(l, emergency(|_| {}));
            l.record(emergency(|e| {
                (e.auth_time, e.assertion_sha256) = (T0 + 1, hash_of("another"));
            }))
        },
        duplicate(1),
    ),
    (
        "the same request for another artefact",
        |l| {
            given(l, emergency(|_| {}));
            l.record(emergency(|e| e.artifact_sha256 = hash_of("another")))
        },
        refused(Reason::Conflict),
    ),
    ("without an artefact", |l| l.record(emergency(|e| e.artifact_sha256.clear())), I),
    ("without a group", |l| l.record(emergency(|e| e.group.clear())), I),
    ("with some of the groups", |l| l.record(emergency(|e| e.groups_complete = false)), I),
    ("without a login", |l| l.record(emergency(|e| e.auth_time = 0)), I),
    ("without an assertion", |l| l.record(emergency(|e| e.assertion_sha256.clear())), I),
    ("with an assertion that nothing verified", |l| l.record(emergency(|e| e.verified_by.clear())), I),
    ("without an end", |l| l.record(emergency(|e| e.expires_at = 0)), I),
    ("for too long", |l| l.record(emergency(|e| e.expires_at = T0 + 8 * DAY)), I),
    ("by nobody", |l| l.record(emergency(|e| e.actor = Some(PersonRef::default()))), I),
];

#[test]
fn every_undocumented_model_gets_its_outcome() {
    for (name, make, expected) in BASELINES.iter().chain(FIRST) {
        outcome(name, *make, *expected);
    }
}

#[test]
fn a_promotion_takes_the_place_of_what_was_undocumented() {
    let at = digest::slot(&slot("fraud"));
    let mut l = Ledger::new();
    given(&mut l, baseline(|_| {}));
    let artifact = Digest::from_slice(&hash_of("fraud 1"));
    let filled = l.look.slots[&at];
    assert_eq!((filled.current, filled.baseline), (None, Some(Baseline { seq: 1, artifact })));
    given(&mut l, over(2, Some(1)));
    let promoted = l.look.slots[&at];
    assert_eq!((promoted.current, promoted.baseline, promoted.promoted), (Some(2), None, true));
    l.check();
}

#[test]
fn every_emergency_gets_its_outcome_and_none_becomes_current() {
    for (name, make, expected) in EMERGENCIES {
        let ledger = outcome(name, *make, *expected);
        let current = ledger.look.slots.get(&digest::slot(&slot("fraud"))).and_then(|slot| slot.current);
        assert!(current.is_none_or(|seq| seq == 1), "{name}: {current:?}");
    }
}

// --- modes -------------------------------------------------------------------------------------------------

fn pattern(model: &str, environment: &str, region: &str, role: SlotRole) -> SlotPattern {
    let [model, environment, region] = [model, environment, region].map(str::to_owned);
    SlotPattern { model, environment, region, role: role.into() }
}

fn mode(target: SlotPattern, mode: GateMode) -> GateModeSet {
    GateModeSet { target: Some(target), mode: mode.into() }
}

fn production(set: GateMode) -> GateModeSet {
    mode(pattern("", "production", "", SlotRole::Unspecified), set)
}

const MODES: &[(&str, Make, Expected)] = &[
    ("of an environment", |l| admin(l, Kind::GateModeSet, &production(GateMode::Observe)), accepted(None)),
    (
        "another one",
        |l| {
            l.push(admin(l, Kind::GateModeSet, &production(GateMode::Observe)));
            admin(l, Kind::GateModeSet, &production(GateMode::Enforce))
        },
        accepted(None),
    ),
    (
        "the one that it has",
        |l| {
            l.push(admin(l, Kind::GateModeSet, &production(GateMode::Observe)));
            admin(l, Kind::GateModeSet, &production(GateMode::Observe))
        },
        refused(Reason::AdminAct),
    ),
    (
        "taken away",
        |l| {
            l.push(admin(l, Kind::GateModeSet, &production(GateMode::Observe)));
            admin(l, Kind::GateModeSet, &production(GateMode::Unspecified))
        },
        accepted(None),
    ),
    (
        "taken away where none is",
        |l| admin(l, Kind::GateModeSet, &production(GateMode::Unspecified)),
        refused(Reason::AdminAct),
    ),
    (
        "of everything",
        |l| {
            let all = mode(SlotPattern::default(), GateMode::Observe);
            admin(l, Kind::GateModeSet, &all)
        },
        refused(Reason::AdminAct),
    ),
    (
        "without a target",
        |l| admin(l, Kind::GateModeSet, &GateModeSet { target: None, mode: 1 }),
        refused(Reason::AdminAct),
    ),
    (
        "a mode that is none",
        |l| admin(l, Kind::GateModeSet, &GateModeSet { mode: 4, ..production(GateMode::Warn) }),
        refused(Reason::AdminAct),
    ),
    (
        "of a role that is none",
        |l| {
            let target = SlotPattern { role: 9, ..SlotPattern::default() };
            admin(l, Kind::GateModeSet, &mode(target, GateMode::Warn))
        },
        refused(Reason::AdminAct),
    ),
    (
        "more than there is room for",
        |l| {
            for n in 0..GATE_MODES_MAX {
                let target = pattern(&format!("m{n}"), "", "", SlotRole::Unspecified);
                l.push(admin(l, Kind::GateModeSet, &mode(target, GateMode::Warn)));
            }
            admin(l, Kind::GateModeSet, &production(GateMode::Observe))
        },
        refused(Reason::AdminAct),
    ),
];

#[test]
fn every_gate_mode_gets_its_outcome() {
    for (name, make, expected) in MODES {
        outcome(name, *make, *expected);
    }
}

#[test]
fn the_most_specific_target_gives_the_mode_and_of_equals_the_strictest() {
    use state::GateMode::{Enforce, Observe, Warn};
    let mut l = Ledger::new();
    let fraud = slot("fraud");
    assert_eq!(mode_of(l.state(), &fraud), Enforce, "nothing set is nothing allowed");
    let any = SlotRole::Unspecified;
    for (target, set, expected) in [
        (pattern("", "production", "", any), GateMode::Observe, Observe),
        (pattern("", "staging", "", any), GateMode::Enforce, Observe),
        (pattern("", "", "eu", any), GateMode::Warn, Warn),
        (pattern("fraud", "", "", any), GateMode::Observe, Warn),
        (pattern("fraud", "production", "", any), GateMode::Observe, Observe),
        (pattern("fraud", "production", "us", any), GateMode::Enforce, Observe),
        (pattern("", "", "eu", SlotRole::Champion), GateMode::Enforce, Enforce),
        (pattern("fraud", "production", "eu", SlotRole::Champion), GateMode::Warn, Warn),
    ] {
        let what = format!("{target:?}");
        assert_eq!(l.push(admin(&l, Kind::GateModeSet, &mode(target, set))).outcome, Outcome::Accepted);
        assert_eq!(mode_of(l.state(), &fraud), expected, "after {what}");
    }
    assert_eq!(mode_of(l.state(), &slot("credit")), Enforce);
    l.check();
}
