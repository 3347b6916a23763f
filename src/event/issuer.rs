//! Rules of listed issuers and their recorded keys, as far as they need no state.

use super::{
    problem::Problems,
    proto::{IssuerKeys, IssuerListed, body::Event},
    text::{name_problem, uri_problem},
};

/// Most algorithms of one issuer, and most keys that a listing pins.
pub const ITEMS_MAX: usize = 32;
/// Largest JWK, bytes.
pub const JWK_LEN_MAX: usize = 16 * 1024;

/// Whether such an event by itself says all that its kind needs; `None` for other kinds.
pub fn is_whole(event: &Event) -> Option<bool> {
    let Event::IssuerKeys(e) = event else { return None };
    let mut p = Problems::default();
    named(&mut p, &e.issuer, &e.audience, &e.algorithms);
    p.require(!e.algorithms.is_empty(), "algorithms", "is empty");
    p.add_some("groups_claim", name_problem(&e.groups_claim));
    p.add_some("key_id", name_problem(&e.key_id));
    p.require(!e.jwk.is_empty() && e.jwk.len() <= JWK_LEN_MAX, "jwk", "is missing or too long");
    Some(p.into_sorted().is_empty())
}

/// Whether a listing says all that it needs.
pub fn listing_is_whole(listed: &IssuerListed) -> bool {
    let mut p = Problems::default();
    named(&mut p, &listed.issuer, &listed.audience, &listed.algorithms);
    let sized = listed.pinned.len() <= ITEMS_MAX && listed.pinned.iter().all(|digest| digest.len() == 32);
    p.require(sized, "pinned", "is no list of SHA-256");
    p.into_sorted().is_empty()
}

fn named(p: &mut Problems, issuer: &str, audience: &str, algorithms: &[String]) {
    p.add_some("issuer", uri_problem(issuer));
    p.add_some("audience", name_problem(audience));
    p.require(algorithms.len() <= ITEMS_MAX, "algorithms", "has too many items");
    for (i, algorithm) in algorithms.iter().enumerate() {
        p.add_some(format_args!("algorithms[{i}]"), name_problem(algorithm));
    }
}

/// What the idempotency key of recorded keys is made from: all that they say.
pub fn fact(keys: &IssuerKeys) -> Vec<u8> {
    use prost::Message as _;
    super::digest::sha256(&keys.encode_to_vec()).0.to_vec()
}
