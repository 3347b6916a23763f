//! Logins that decide: verified, their issuer allowed by the administrators, and its key recorded, so that the same login
//! can be verified again from the ledger alone.
//!
//! An approval inside a promotion, without a review, is a login too: its nonce is the promotion key, so that it approves
//! this promotion and no other. Where that is not configured, people decide in reviews only.

use crate::{
    event::{
        digest::{draft_key, login_nonce},
        promotion::Problems,
        proto::{Approval, ApprovalDraft, PromotionDraft, body::Event},
    },
    identity::{
        logins::{self, Asked, Verified},
        principal::Principal,
    },
    ledger::issuers,
    policy::requirements::LoggedIn,
};

use super::{Error, gateway::Gateway};

impl Gateway {
    /// Who logged in, if that login may decide. Writes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the issuer's keys cannot be had; in words why it does not count.
    pub(super) async fn login(
        &self,
        token: &str,
        asked: Asked<'_>,
    ) -> Result<Result<Verified, String>, Error> {
        let verified = match self.logins.verify(token, asked).await {
            Ok(verified) => verified,
            Err(logins::Error::Unavailable(why)) => return Err(Error::Unavailable(why.to_string())),
            Err(why) => return Ok(Err(why.to_string())),
        };
        let head = self.ledger.head();
        let listed = match &verified.keys {
            Some(keys) => issuers::may_verify(&head.state, keys),
            None => head.state.issuers.is_empty(),
        };
        let issuer = &verified.principal.issuer;
        Ok(if listed {
            Ok(verified)
        } else {
            Err(format!(
                "is from {issuer:?}, which the administrators have not listed with this client, algorithm and key (admin act `issuer`)"
            ))
        })
    }

    /// Records with what a login was verified, once for each key.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn record_keys(&self, verified: &Verified) -> Result<(), Error> {
        match &verified.keys {
            Some(keys) => self.observe(Event::IssuerKeys(keys.clone()), "").await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Whether a decider's login is what the tier under review asks for.
    ///
    /// # Errors
    /// [`Error::Precondition`] with the first thing that it lacks.
    pub(super) async fn login_suffices(&self, tier: &str, decider: &Approval) -> Result<(), Error> {
        let head = self.ledger.head();
        let Some(active) = &head.state.policy else { return Ok(()) };
        let lacks = self.policy(active).await?.login_shortfalls(tier, &LoggedIn::of(decider), "decider");
        lacks.into_iter().next().map_or(Ok(()), |lack| Err(Error::Precondition(lack)))
    }

    /// Verifies the logins inside a promotion, and states in the draft what they prove. Gives back one for each approval
    /// that holds.
    pub(super) async fn verify_approvals(
        &self,
        draft: &mut PromotionDraft,
        p: &mut Problems,
    ) -> Result<Vec<Option<Verified>>, Error> {
        let nonce = login_nonce(&draft_key(draft));
        // Who logged in before anybody was asked did not log in for this.
        let asked_at = draft.approval_request.as_ref().map_or(0, |request| request.asked_at);
        let mut all = Vec::with_capacity(draft.approvals.len());
        for (i, approval) in draft.approvals.iter_mut().enumerate() {
            let at = format!("approvals[{i}]");
            let automated = !approval.standing_policy.is_empty();
            if !automated && !self.embedded_approvals {
                p.add(
                    at,
                    "is a person's, outside of a review: leave it out and seal a review, which shows what is approved",
                );
                all.push(None);
                continue;
            }
            let at_login = approval.decided_at;
            let asked = match automated {
                true => Asked { nonce: None, after: None, at: at_login },
                false => Asked { nonce: Some(&nonce), after: Some(asked_at), at: at_login },
            };
            let verified = match self.login(&approval.assertion, asked).await? {
                Ok(verified) => verified,
                Err(why) => {
                    p.add(format!("{at}.assertion"), why);
                    all.push(None);
                    continue;
                }
            };
            state(p, &at, approval, &verified.principal);
            all.push(Some(verified));
        }
        Ok(all)
    }
}

/// The login's own facts take the place of what the draft left out; what it states otherwise is a problem.
fn state(p: &mut Problems, at: &str, approval: &mut ApprovalDraft, principal: &Principal) {
    let person = approval.approver.get_or_insert_default();
    let same = (&person.issuer, &person.subject) == (&principal.issuer, &principal.subject);
    p.require(same, format_args!("{at}.approver"), "is another person than the one who logged in");
    if !principal.name.is_empty() {
        person.name.clone_from(&principal.name);
    }
    let auth_time = principal.auth_time.unwrap_or_default();
    let acr = if principal.acr.is_empty() { "unstated".to_owned() } else { principal.acr.clone() };
    let seconds = |time: u64| time / 1_000_000;
    let stated = approval.auth_time == 0 || seconds(approval.auth_time) == seconds(auth_time);
    p.require(stated, format_args!("{at}.auth_time"), "is not the one of the login");
    p.require(auth_time > 0, format_args!("{at}.auth_time"), "is not stated by the login");
    p.require(
        approval.acr.is_empty() || approval.acr == acr,
        format_args!("{at}.acr"),
        "is not the one of the login",
    );
    p.require(
        approval.amr.is_empty() || approval.amr == principal.amr,
        format_args!("{at}.amr"),
        "is not the one of the login",
    );
    approval.auth_time = auth_time;
    approval.acr = acr;
    approval.amr.clone_from(&principal.amr);
    approval.groups.clone_from(&principal.groups);
    approval.groups_complete = principal.groups_complete;
}
