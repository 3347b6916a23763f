//! Offset 0: recognised, not decided. Anything but the pinned genesis halts. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{
        Digest, Kind, canonical, digest,
        model::role,
        proto::{LedgerOpened, body::Event},
    },
    proof::tree,
};

use super::{
    decide::{Changes, Decided, Halt, Prepared, Verdict, bind, enter, expected_key},
    state::{KeyState, State},
};

/// The state after genesis, or why the ledger cannot start.
///
/// # Errors
/// [`Halt::Genesis`] if the value is not the pinned genesis.
pub fn open<E>(prepared: &Prepared, pinned: &Digest) -> Result<(State, Decided), Halt<E>> {
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
            && expected_key(&Event::LedgerOpened(opened.clone()))
                == Digest::from_slice(&record.body.idempotency_key)
            && key.is_some_and(|key| {
                canonical::signature_holds(
                    &record.envelope.body,
                    &record.envelope.signature,
                    &Digest::ZERO,
                    &key,
                )
            })
    });
    let mut state = state.ok_or(refuse(found))?;
    let mut changes = Changes::default();
    bind(&mut changes, prepared, &record.body, 0);
    let verdict = Verdict::accepted(None);
    let read = Some((record.body.recorded_at, Kind::LedgerOpened));
    let rules = state.rules;
    let decided = enter(&mut state, rules, prepared, read, verdict, changes);
    Ok((state, decided))
}

fn initial_state(opened: &LedgerOpened, ledger_id: Digest) -> Option<State> {
    let mut keys = BTreeMap::new();
    for key in &opened.keys {
        let public = canonical::public_key(&key.public_key)?;
        let front_door = key.roles != 0 && key.roles & !(role::ALL ^ role::ADMIN_SIGNER) == 0;
        let state = KeyState {
            public_key: public.to_bytes(),
            roles: key.roles,
            retired_at: None,
            compromised_from: None,
        };
        if !front_door || keys.insert(digest::key_id(&public), state).is_some() {
            return None;
        }
    }
    let admin_keys: Option<BTreeSet<[u8; 32]>> =
        opened.admin_keys.iter().map(|key| canonical::public_key(key).map(|key| key.to_bytes())).collect();
    let admin_keys = admin_keys?;
    let quorum = opened.admin_quorum;
    // What checkpoints allow as the name of a key.
    let origin =
        !opened.origin.is_empty() && !opened.origin.contains(|c: char| c == '+' || c.is_whitespace());
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
        policy: None,
        clock_resets: Vec::new(),
        holds: BTreeMap::new(),
        issuers: BTreeMap::new(),
        gate_modes: BTreeMap::new(),
        frontier: tree::Frontier::default(),
    })
}
