//! Rules of the kinds that keep evidence and personal data: findings, taints, legal holds, erasures. Pure.

use crate::event::{
    Digest, Kind, Reason, custody as shape, digest,
    proto::{KeyShredded, LegalHoldReleased, LegalHoldSet, PersonRef, body::Event},
};

use super::{admin::Apply, decide::Verdict, state::State};

/// Most legal holds in force at a time: the state that is stored with each batch names them all.
pub const HOLDS_MAX: usize = 1_024;

/// Whether a hold in force covers a person.
pub fn covers(state: &State, subject: &Digest) -> bool {
    state.holds.values().any(|held| held == subject || *held == Digest::ZERO)
}

/// What the rules say of such an event; `None` for other kinds.
pub(super) fn judge(state: &State, event: &Event, whole: bool, after: &mut Option<Apply>) -> Option<Verdict> {
    if !whole && shape::is_whole(event).is_some() {
        return Some(Verdict::refused(Reason::Incomplete));
    }
    let judged = match event {
        // They change nothing and say what was seen, or what somebody says of evidence.
        Event::EvidenceFinding(e) if e.follows.is_some_and(|seq| seq >= state.size()) => {
            Verdict::refused(Reason::Target)
        }
        Event::EvidenceFinding(e) => Verdict::accepted(e.follows),
        Event::StoreProbed(_) | Event::RegistryFinding(_) | Event::Tainted(_) => Verdict::accepted(None),
        Event::LegalHoldSet(e) => set(state, e, after),
        Event::LegalHoldReleased(e) => released(state, e, after),
        Event::KeyShredded(e) => shredded(state, e),
        _ => return None,
    };
    Some(judged)
}

/// The idempotency key that such an event must have; `None` for other kinds, and where nobody acts.
pub(super) fn expected_key(event: &Event) -> Option<Digest> {
    let request = |kind, actor: &Option<PersonRef>, request_id: &str| {
        let actor = actor.as_ref()?;
        Some(digest::request_key(kind, &actor.subject_id, request_id.as_bytes()))
    };
    match event {
        Event::Tainted(e) => request(Kind::Tainted, &e.actor, &e.request_id),
        Event::LegalHoldSet(e) => request(Kind::LegalHoldSet, &e.actor, &e.request_id),
        Event::LegalHoldReleased(e) => request(Kind::LegalHoldReleased, &e.actor, &e.request_id),
        Event::KeyShredded(e) => request(Kind::KeyShredded, &e.requested_by, &e.request_id),
        Event::EvidenceFinding(e) => {
            // Without an occurrence before it the key is what it was before there were occurrences.
            let follows = e.follows.map(u64::to_be_bytes);
            let follows = follows.as_ref().map_or(&[][..], <[u8; 8]>::as_slice);
            let fact = [&e.problem.to_be_bytes()[..], &e.day.to_be_bytes(), follows].concat();
            Some(digest::request_key(Kind::EvidenceFinding, &e.sha256, &fact))
        }
        Event::RegistryFinding(e) => {
            // Names hold no NUL.
            let words = [&e.name, &e.version, &e.alias].map(|text| text.as_bytes()).join(&0);
            let fact = [&e.problem.to_be_bytes()[..], &e.day.to_be_bytes(), &words].concat();
            Some(digest::request_key(Kind::RegistryFinding, e.registry_uri.as_bytes(), &fact))
        }
        Event::StoreProbed(e) => {
            let allowed: Vec<u8> = e.attempts.iter().map(|attempt| u8::from(attempt.allowed)).collect();
            let fact = [&e.day.to_be_bytes()[..], &[u8::from(e.write_once)], &allowed].concat();
            Some(digest::request_key(Kind::StoreProbed, e.uri.as_bytes(), &fact))
        }
        _ => None,
    }
}

fn set(state: &State, e: &LegalHoldSet, after: &mut Option<Apply>) -> Verdict {
    if state.holds.len() >= HOLDS_MAX {
        return Verdict::refused(Reason::Precondition);
    }
    let subject = Digest::from_slice(&e.subject_id).unwrap_or(Digest::ZERO);
    *after = Some(Box::new(move |state: &mut State, seq| {
        state.holds.insert(seq, subject);
    }));
    Verdict::accepted(None)
}

fn released(state: &State, e: &LegalHoldReleased, after: &mut Option<Apply>) -> Verdict {
    let hold = e.hold_seq;
    if !state.holds.contains_key(&hold) {
        return Verdict::refused(Reason::Target);
    }
    *after = Some(Box::new(move |state: &mut State, _| {
        state.holds.remove(&hold);
    }));
    Verdict::accepted(Some(hold))
}

/// A hold that came first wins on every node, whatever the front door knew.
fn shredded(state: &State, e: &KeyShredded) -> Verdict {
    let subject = Digest::from_slice(&e.subject_id).unwrap_or(Digest::ZERO);
    if covers(state, &subject) {
        return Verdict::refused(Reason::Precondition);
    }
    Verdict::accepted(None)
}
