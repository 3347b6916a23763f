//! Whose keys may be recorded, and so whose logins may decide, as a table.

use promotion_ledger::event::{
    Kind, Reason,
    digest::sha256,
    proto::{IssuerKeys, IssuerListed, body::Event},
};

use crate::{
    rules::{Expected, Make, accepted, admin, duplicate, outcome, refused},
    samples::*,
};

fn seen(ledger: &Ledger, keys: IssuerKeys) -> Vec<u8> {
    use prost::Message as _;
    seal_bytes(ledger.body(Event::IssuerKeys(keys)).encode_to_vec(), 1, &ledger.pinned, &observer())
}

fn list(ledger: &mut Ledger, change: impl FnOnce(&mut IssuerListed)) {
    let mut listed = issuer_listed(&issuer_keys());
    change(&mut listed);
    let record = admin(ledger, Kind::IssuerListed, &listed);
    ledger.push(record);
}

fn changed(change: impl FnOnce(&mut IssuerKeys)) -> IssuerKeys {
    let mut keys = issuer_keys();
    change(&mut keys);
    keys
}

const CASES: &[(&str, Make, Expected)] = &[
    ("while nobody listed any", |l| seen(l, issuer_keys()), accepted(None)),
    (
        "the same again",
        |l| {
            l.push(seen(l, issuer_keys()));
            seen(l, issuer_keys())
        },
        duplicate(1),
    ),
    (
        "another key of the same issuer",
        |l| {
            l.push(seen(l, issuer_keys()));
            seen(l, changed(|keys| keys.key_id = "k2".into()))
        },
        accepted(None),
    ),
    ("without a key", |l| seen(l, changed(|keys| keys.jwk.clear())), refused(Reason::Incomplete)),
    (
        "without an algorithm",
        |l| seen(l, changed(|keys| keys.algorithms.clear())),
        refused(Reason::Incomplete),
    ),
    (
        "of the listed issuer",
        |l| {
            list(l, |_| {});
            seen(l, issuer_keys())
        },
        accepted(None),
    ),
    (
        "of another issuer than the listed one",
        |l| {
            list(l, |listed| listed.issuer = "https://other.example".into());
            seen(l, issuer_keys())
        },
        refused(Reason::Precondition),
    ),
    (
        "for another client than the listed one",
        |l| {
            list(l, |listed| listed.audience = "other".into());
            seen(l, issuer_keys())
        },
        refused(Reason::Precondition),
    ),
    (
        "with an algorithm that is not listed",
        |l| {
            list(l, |listed| listed.algorithms = vec!["RS256".into()]);
            seen(l, issuer_keys())
        },
        refused(Reason::Precondition),
    ),
    (
        "the pinned key",
        |l| {
            list(l, |listed| listed.pinned = vec![bytes(sha256(&issuer_keys().jwk))]);
            seen(l, issuer_keys())
        },
        accepted(None),
    ),
    (
        "another key than the pinned one",
        |l| {
            list(l, |listed| listed.pinned = vec![hash_of("another key")]);
            seen(l, issuer_keys())
        },
        refused(Reason::Precondition),
    ),
    (
        "of an issuer that was taken off the list",
        |l| {
            list(l, |_| {});
            list(l, |listed| listed.algorithms.clear());
            seen(l, issuer_keys())
        },
        refused(Reason::Precondition),
    ),
    ("listing", |l| admin(l, Kind::IssuerListed, &issuer_listed(&issuer_keys())), accepted(None)),
    (
        "taking off what is not listed",
        |l| {
            let off = IssuerListed { algorithms: Vec::new(), ..issuer_listed(&issuer_keys()) };
            admin(l, Kind::IssuerListed, &off)
        },
        refused(Reason::AdminAct),
    ),
    (
        "listing what is no address",
        |l| {
            let odd = IssuerListed { issuer: "idp".into(), ..issuer_listed(&issuer_keys()) };
            admin(l, Kind::IssuerListed, &odd)
        },
        refused(Reason::AdminAct),
    ),
];

#[test]
fn every_issuer_case_gets_its_outcome() {
    for (name, make, expected) in CASES {
        outcome(name, *make, *expected);
    }
}
