//! Rules of issuers: whose keys may be recorded, and so whose logins may decide. Pure.
//!
//! Without a listing any issuer's keys are an observation of the front door that believes it. The first listing closes the
//! list: administrators say from then on whose logins count, for which client, and with which keys if they pin them.

use crate::event::{
    Digest, Kind, Reason, Seq, digest, issuer as shape,
    proto::{IssuerKeys, IssuerListed, body::Event},
};

use super::{
    admin::Apply,
    decide::Verdict,
    state::{ListedIssuer, State},
};

/// Most issuers on the list: the state that is stored with each batch names them all.
pub const ISSUERS_MAX: usize = 64;

/// What the rules say of such an event; `None` for other kinds.
pub(super) fn judge(state: &State, event: &Event, whole: bool) -> Option<Verdict> {
    let Event::IssuerKeys(keys) = event else { return None };
    Some(match (whole, may_verify(state, keys)) {
        (false, _) => Verdict::refused(Reason::Incomplete),
        (true, false) => Verdict::refused(Reason::Precondition),
        (true, true) => Verdict::accepted(None),
    })
}

/// The idempotency key that such an event must have; `None` for other kinds.
pub(super) fn expected_key(event: &Event) -> Option<Digest> {
    let Event::IssuerKeys(keys) = event else { return None };
    Some(digest::request_key(Kind::IssuerKeys, keys.issuer.as_bytes(), &shape::fact(keys)))
}

/// Whether logins that these keys verify may decide, as far as the administrators say.
pub fn may_verify(state: &State, keys: &IssuerKeys) -> bool {
    if state.issuers.is_empty() {
        return true;
    }
    let Some(listed) = state.issuers.get(&keys.issuer) else { return false };
    let pinned = listed.pinned.is_empty() || listed.pinned.contains(&digest::sha256(&keys.jwk));
    let algorithms = keys.algorithms.iter().all(|algorithm| listed.algorithms.contains(algorithm));
    pinned && algorithms && listed.audience == keys.audience
}

/// An issuer is listed, listed anew, or taken off.
pub(super) fn listed(state: &State, act: IssuerListed) -> Result<Apply, Reason> {
    let known = state.issuers.contains_key(&act.issuer);
    let off = act.algorithms.is_empty();
    let fits =
        shape::listing_is_whole(&act) && if off { known } else { known || state.issuers.len() < ISSUERS_MAX };
    if !fits {
        return Err(Reason::AdminAct);
    }
    let IssuerListed { issuer, audience, algorithms, pinned } = act;
    let pinned = pinned.iter().filter_map(|digest| Digest::from_slice(digest)).collect();
    // Off the list, but the list stays closed: an empty entry verifies nothing.
    Ok(Box::new(move |state: &mut State, seq: Seq| {
        state.issuers.insert(issuer, ListedIssuer { seq, audience, algorithms, pinned });
    }))
}
