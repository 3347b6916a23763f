//! Logins that the ledger kept, verified again: from its entries alone as far as they say it in clear, and from the sealed
//! assertion where its person's subject record still opens it. Pure: no issuer is asked, whatever became of it.

use std::{borrow::Cow, collections::BTreeMap};

use jsonwebtoken::jwk::{Jwk, JwkSet};

use super::{
    development,
    principal::Principal,
    token::{self, Expected, IssuerRules, Use},
};
use crate::event::{
    Digest, Micros,
    digest::{self, login_nonce},
    proto::{Approval, Body, BreakGlass, IssuerKeys, Promoted, ReviewDecision, SealedClaims, body::Event},
    review,
};

/// Keys of issuers that earlier entries recorded, by `iss` and `kid`.
#[derive(Debug, Default)]
pub struct RecordedKeys(BTreeMap<(String, String), Vec<IssuerKeys>>);

impl RecordedKeys {
    /// Notes an accepted entry.
    pub fn note(&mut self, keys: &IssuerKeys) {
        let known = self.0.entry((keys.issuer.clone(), keys.key_id.clone())).or_default();
        // Newest first: it is the likelier one for what comes after it.
        known.insert(0, keys.clone());
    }

    fn of(&self, issuer: &str, kid: &str) -> &[IssuerKeys] {
        self.0.get(&(issuer.to_owned(), kid.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// A login that an entry relies on.
pub struct Kept<'a> {
    /// Its path in the event, for findings.
    pub at: String,
    /// In clear.
    pub approval: Cow<'a, Approval>,
    /// What the token's nonce must be; `None`: a service's, which commits to nothing.
    pub nonce: Option<String>,
    /// The decision, if it was made in a review.
    decision: Option<&'a ReviewDecision>,
}

/// The logins that a body's event relies on itself. A promotion after a review relies on the decisions' own entries.
pub fn of_event<'a>(event: &'a Event, body: &Body) -> Vec<Kept<'a>> {
    match event {
        Event::Promoted(promoted) => embedded(promoted, &body.idempotency_key),
        Event::BreakGlass(emergency) => vec![of_emergency(emergency, body.recorded_at)],
        Event::Approved(decision) | Event::Declined(decision) | Event::ChangesRequested(decision) => {
            let nonce = digest::decision_nonce(&decision.statement, &decision.salt);
            let kept = |approval| Kept {
                at: "decider".into(),
                approval: Cow::Borrowed(approval),
                nonce: Some(login_nonce(&nonce)),
                decision: Some(decision),
            };
            decision.decider.iter().map(kept).collect()
        }
        _ => Vec::new(),
    }
}

fn embedded<'a>(promoted: &'a Promoted, idempotency_key: &[u8]) -> Vec<Kept<'a>> {
    let key = Digest::from_slice(idempotency_key).unwrap_or_default();
    let own = promoted.approvals.iter().enumerate().filter(|(_, approval)| approval.decided.is_none());
    own.map(|(i, approval)| Kept {
        at: format!("approvals[{i}]"),
        approval: Cow::Borrowed(approval),
        nonce: approval.standing_policy.is_empty().then(|| login_nonce(&key)),
        decision: None,
    })
    .collect()
}

/// The login of an emergency states the same as one of an approval; it was verified when it was recorded.
fn of_emergency(emergency: &BreakGlass, recorded_at: Micros) -> Kept<'static> {
    let e = emergency.clone();
    let committed =
        digest::break_glass(&e.slot.unwrap_or_default(), &e.artifact_sha256, e.expires_at, &e.request_id);
    let approval = Approval {
        approver: e.actor,
        decided_at: recorded_at,
        matched_groups: vec![e.group],
        groups_complete: e.groups_complete,
        auth_time: e.auth_time,
        acr: if e.acr.is_empty() { "unstated".into() } else { e.acr },
        amr: e.amr,
        assertion_sha256: e.assertion_sha256,
        verified_by: e.verified_by,
        ..Approval::default()
    };
    Kept {
        at: "actor".into(),
        approval: Cow::Owned(approval),
        nonce: Some(login_nonce(&committed)),
        decision: None,
    }
}

/// Whether a login is one of a development issuer, which proves nothing.
pub fn proves_nothing(approval: &Approval) -> bool {
    approval.verified_by.starts_with(development::KEY_PREFIX)
}

/// What is wrong with a login as far as the entry says it in clear.
pub fn clear_finding(keys: &RecordedKeys, kept: &Kept<'_>) -> Option<String> {
    let (issuer, kid) = stated(&kept.approval);
    if kid.is_empty() {
        return Some(format!("{}: nobody verified the login", kept.at));
    }
    let known = development::keys_named(kid).is_some() || !keys.of(issuer, kid).is_empty();
    (!known).then(|| format!("{}: no earlier entry records the key {kid:?} of {issuer}", kept.at))
}

fn stated(approval: &Approval) -> (&str, &str) {
    let issuer = approval.approver.as_ref().map_or("", |person| person.issuer.as_str());
    (issuer, &approval.verified_by)
}

/// What is wrong with a login whose assertion was opened: signature, times, nonce, person, groups, and for a decision in a
/// review its answers.
pub fn findings(keys: &RecordedKeys, kept: &Kept<'_>, claims: &SealedClaims) -> Vec<String> {
    let mut found = Vec::new();
    match verified(keys, kept, &claims.assertion) {
        Ok(principal) => found.extend(disagreements(&kept.approval, &principal, claims)),
        Err(why) => found.push(format!("the assertion {why}")),
    }
    match kept.decision {
        Some(decision) => found.extend(review::decision_findings(decision, claims)),
        None if digest::sha256(claims.assertion.as_bytes()).0[..] != kept.approval.assertion_sha256 => {
            found.push("the sealed assertion is another one than the entry names".into());
        }
        None => {}
    }
    found.into_iter().map(|what| format!("{}: {what}", kept.at)).collect()
}

fn verified(keys: &RecordedKeys, kept: &Kept<'_>, assertion: &str) -> Result<Principal, String> {
    let (issuer, kid) = stated(&kept.approval);
    let mut why = format!("is signed by a key {kid:?} of {issuer} that no earlier entry records");
    let candidates = match development::keys_named(kid) {
        Some(set) => vec![(set, development::rules(issuer), development::CLIENT_ID.to_owned())],
        None => keys.of(issuer, kid).iter().filter_map(recorded).collect(),
    };
    for (set, rules, audience) in candidates {
        let expected = Expected {
            usage: Use::Login,
            audience: &audience,
            nonce: kept.nonce.as_deref(),
            auth_time_min: None,
            acr: &[],
        };
        match token::verify(assertion, &set, &rules, &expected, kept.approval.decided_at) {
            Ok(principal) => return Ok(principal),
            Err(refusal) => why = refusal.to_string(),
        }
    }
    Err(why)
}

fn recorded(keys: &IssuerKeys) -> Option<(JwkSet, IssuerRules, String)> {
    let jwk: Jwk = serde_json::from_slice(&keys.jwk).ok()?;
    let rules = IssuerRules {
        issuer: keys.issuer.clone(),
        algorithms: token::algorithms(&keys.algorithms)?,
        groups_claim: keys.groups_claim.clone(),
    };
    Some((JwkSet { keys: vec![jwk] }, rules, keys.audience.clone()))
}

/// Where the entry says something else in clear than its login.
fn disagreements(approval: &Approval, principal: &Principal, claims: &SealedClaims) -> Vec<String> {
    let acr = if principal.acr.is_empty() { "unstated" } else { &principal.acr };
    let checks = [
        (
            (&principal.issuer, &principal.subject) == (&claims.issuer, &claims.subject),
            "the assertion is of another person",
        ),
        (principal.auth_time.unwrap_or_default() == approval.auth_time, "auth_time is not that of the login"),
        (acr == approval.acr && principal.amr == approval.amr, "acr or amr are not those of the login"),
        (
            approval.matched_groups.iter().all(|group| principal.groups.contains(group)),
            "a matched group is not among those of the login",
        ),
        (
            principal.groups_complete || !approval.groups_complete,
            "the login does not hold all groups, but the entry says so",
        ),
    ];
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, words)| words.to_owned()).collect()
}

#[cfg(test)]
mod tests;
