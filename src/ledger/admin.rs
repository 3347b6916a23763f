//! Rules of admin acts: k distinct administrators signed the next statement, and it fits the state. Pure.

use std::collections::BTreeSet;

use crate::event::{
    Digest, KeyId, Kind, Reason, Seq, canonical, digest,
    model::role,
    proto::{
        AdminAct, AdminSignature, AdminStatement, ClockReset, GateModeSet, IssuerListed, KeyAdded,
        KeyCompromised, KeyRetired, PolicyActivated, RulesActivated,
    },
};

use super::{
    decide::{Halt, Verdict},
    gates, issuers,
    state::{ActivePolicy, DateCorrection, KeyState, State},
};

/// A change of the small state, made once the act is an entry.
pub(super) type Apply = Box<dyn FnOnce(&mut State, Seq)>;

/// Whether an admin act is accepted.
pub(super) fn rules<E>(
    state: &State,
    rules_known: u16,
    kind: Kind,
    act: &AdminAct,
    after: &mut Option<Apply>,
) -> Result<Verdict, Halt<E>> {
    let refused = |reason| Ok(Verdict::refused(reason));
    let Some(statement) = canonical::statement(act) else { return refused(Reason::Statement) };
    if statement.ledger_id != state.ledger_id.0 || statement.kind != u32::from(kind.number()) {
        return refused(Reason::Statement);
    }
    let signers = signers(state, act);
    if signers.len() < state.admin_quorum as usize {
        return refused(Reason::Quorum);
    }
    if statement.admin_seq != state.admin_seq + 1 {
        return refused(Reason::AdminSeq);
    }
    match effect(state, rules_known, kind, &statement, &signers)? {
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

/// Public keys of the distinct administrators whose signature over the statement holds.
fn signers<'a>(state: &State, act: &'a AdminAct) -> BTreeSet<&'a [u8]> {
    let holds = |signature: &&AdminSignature| {
        let listed = <[u8; 32]>::try_from(signature.public_key.as_slice())
            .is_ok_and(|key| state.admin_keys.contains(&key));
        listed
            && canonical::public_key(&signature.public_key).is_some_and(|key| {
                canonical::statement_signature_holds(&act.statement, &key, &signature.signature)
            })
    };
    act.signatures.iter().filter(holds).map(|signature| signature.public_key.as_slice()).collect()
}

fn effect<E>(
    state: &State,
    rules_known: u16,
    kind: Kind,
    statement: &AdminStatement,
    signers: &BTreeSet<&[u8]>,
) -> Result<Result<Apply, Reason>, Halt<E>> {
    let payload = statement.payload.as_slice();
    let effect: Option<Result<Apply, Reason>> = match kind {
        Kind::RulesActivated => match canonical::decode_exact::<RulesActivated>(payload) {
            // Rules only go up, by one.
            Some(act) if state.rules.checked_add(1).map(u32::from) != Some(act.rules) => {
                Some(Err(Reason::AdminAct))
            }
            Some(act) if act.rules > u32::from(rules_known) => {
                return Err(Halt::Rules { seq: state.size(), rules: act.rules });
            }
            Some(_) => Some(Ok(Box::new(|state, _| state.rules += 1))),
            None => None,
        },
        Kind::KeyAdded => canonical::decode_exact::<KeyAdded>(payload).map(|act| key_added(state, &act)),
        Kind::KeyRetired => {
            canonical::decode_exact::<KeyRetired>(payload).map(|act| key_retired(state, &act.key_id, None))
        }
        Kind::KeyCompromised => canonical::decode_exact::<KeyCompromised>(payload)
            .map(|act| key_retired(state, &act.key_id, Some(act.from_seq))),
        Kind::PolicyActivated => canonical::decode_exact::<PolicyActivated>(payload)
            .map(|act| policy_activated(state, act, signers)),
        Kind::IssuerListed => {
            canonical::decode_exact::<IssuerListed>(payload).map(|act| issuers::listed(state, act))
        }
        Kind::GateModeSet => {
            canonical::decode_exact::<GateModeSet>(payload).map(|act| gates::mode_set(state, act))
        }
        Kind::ClockReset => {
            canonical::decode_exact::<ClockReset>(payload).map(|act| clock_reset(state, &act))
        }
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
        return if spare {
            Ok(Box::new(move |state, _| {
                state.admin_keys.remove(&admin);
            }))
        } else {
            Err(Reason::AdminAct)
        };
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

/// What the file says is checked by front doors, which have the engine; here only that it is the file that was signed
/// for, that it is not in force already, and that no author signs for their own work where others could.
fn policy_activated(state: &State, act: PolicyActivated, signers: &BTreeSet<&[u8]>) -> Result<Apply, Reason> {
    let sha256 = digest::sha256(&act.yaml);
    let own = state.admin_quorum > 1 && signers.contains(act.author_key.as_slice());
    let stated = act.sha256 == sha256.0 && !act.yaml.is_empty() && !act.id.is_empty() && act.version > 0;
    let news = state.policy.as_ref().is_none_or(|policy| policy.sha256 != sha256);
    if own || !stated || !news {
        return Err(Reason::AdminAct);
    }
    let PolicyActivated { id, version, .. } = act;
    Ok(Box::new(move |state, seq| state.policy = Some(ActivePolicy { seq, sha256, id, version })))
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
