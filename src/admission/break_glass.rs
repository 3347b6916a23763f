//! Break-glass: a named person whose login was verified now, with the right group, lets an artefact in for a while.
//!
//! The issuer's keys are pinned in a file: an emergency in which the identity provider's key endpoint is away is one of
//! those that this is for. What is not configured is refused.

use jsonwebtoken::jwk::JwkSet;

use crate::{
    event::{
        Digest, Micros,
        digest::{break_glass, login_nonce, sha256},
        gate::break_glass_problems,
        promotion::{Problem, Problems},
        proto::{BreakGlass, IssuerKeys, PersonRef, Receipt, SealedClaims, Slot, Statement, body::Event},
        text::free_text_problem,
    },
    identity::{
        principal::Principal,
        token::{self, Expected, IssuerRules, Use},
    },
};

use crate::ledger::issuers;

use super::{Error, gateway::Gateway};

/// How long ago the login may have been.
const LOGIN_WITHIN: Micros = 15 * 60 * 1_000_000;

/// Who may let something in without a promotion.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The issuer whose logins count.
    pub issuer: IssuerRules,
    /// The client that people log in to.
    pub audience: String,
    /// The issuer's keys.
    pub keys: JwkSet,
    /// Members of one of these may.
    pub groups: Vec<String>,
    /// Authentication classes, one of which is needed; empty: any.
    pub acr: Vec<String>,
    /// Longest time.
    pub longest: Micros,
}

/// What is let in, where, why and until when.
#[derive(Debug, Clone)]
pub struct Emergency {
    /// Where.
    pub slot: Option<Slot>,
    /// SHA-256 of the artefact.
    pub artifact: Vec<u8>,
    /// Why, in words; sealed.
    pub reason: String,
    /// Gates refuse from then on.
    pub expires_at: Micros,
    /// Chosen by the caller; retries repeat it.
    pub request_id: String,
}

impl Rules {
    /// What is recorded of the key that verified a login, so that it can be verified again.
    fn recorded(&self, kid: &str) -> Option<IssuerKeys> {
        let names = self.issuer.algorithms.iter().map(|algorithm| format!("{algorithm:?}"));
        Some(IssuerKeys {
            issuer: self.issuer.issuer.clone(),
            audience: self.audience.clone(),
            algorithms: names.collect(),
            groups_claim: self.issuer.groups_claim.clone(),
            key_id: kid.to_owned(),
            jwk: serde_json::to_vec(self.keys.find(kid)?).ok()?,
        })
    }
}

impl Gateway {
    /// Records an emergency.
    ///
    /// # Errors
    /// [`Error::Precondition`] where nobody may; [`Error::Invalid`] with everything that is wrong with token and request.
    pub async fn break_glass(
        &self,
        emergency: Emergency,
        id_token: &str,
        caller: &Principal,
    ) -> Result<Receipt, Error> {
        self.admitting()?;
        let Some(rules) = &self.break_glass else {
            let description =
                "is not configured on this node: nobody may let anything in without a promotion";
            return Err(Error::Precondition(Problem {
                field: "break_glass".into(),
                description: description.into(),
            }));
        };
        let now = self.clock.now();
        let slot = emergency.slot.clone().unwrap_or_default();
        let committed = break_glass(&slot, &emergency.artifact, emergency.expires_at, &emergency.request_id);
        let nonce = login_nonce(&committed);
        let mut p = Problems::default();
        let expected = Expected {
            usage: Use::Login,
            audience: &rules.audience,
            nonce: Some(&nonce),
            auth_time_min: Some(now.saturating_sub(LOGIN_WITHIN)),
            acr: &rules.acr,
        };
        let person = match token::verify(id_token, &rules.keys, &rules.issuer, &expected, now) {
            Ok(person) => person,
            Err(refusal) => {
                p.add("id_token", refusal);
                return Err(Error::Invalid(p.into_sorted()));
            }
        };
        p.require(
            (&person.issuer, &person.subject) == (&caller.issuer, &caller.subject),
            "id_token",
            "is the login of somebody else than the caller; call in your own name",
        );
        let keys = rules.recorded(&person.verified_by).ok_or_else(|| {
            Error::Precondition(Problem {
                field: "break_glass.jwks".into(),
                description: format!(
                    "has no key named {:?}, by which the login could be verified again",
                    person.verified_by
                ),
            })
        })?;
        p.require(
            issuers::may_verify(&self.ledger.head().state, &keys),
            "id_token",
            "is from an issuer that the administrators have not listed with this client, algorithm and key (admin act `issuer`)",
        );
        let group = rules.groups.iter().find(|group| person.groups.contains(group)).cloned();
        p.require(
            group.is_some(),
            "id_token",
            format_args!("proves membership in none of {}", rules.groups.join(", ")),
        );
        p.add_some("reason", free_text_problem(&emergency.reason));
        let last = now.saturating_add(rules.longest);
        let hours = rules.longest / 3_600_000_000;
        p.require(
            emergency.expires_at <= last,
            "expires_at",
            format_args!("is more than {hours} hours ahead, which this node allows"),
        );
        let event = event(&emergency, &person, group.unwrap_or_default(), id_token);
        // The pseudonym is made only for what is recorded.
        let stated = BreakGlass {
            actor: Some(PersonRef { issuer: person.issuer.clone(), subject_id: vec![0; 32] }),
            ..event.clone()
        };
        break_glass_problems(&mut p, &stated, now);
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        // Before the entry that relies on it: `verify` looks for the key there.
        self.observe(Event::IssuerKeys(keys), "").await?;
        let claims =
            [((person.issuer.clone(), person.subject.clone()), sealed(&person, id_token, &emergency.reason))]
                .into();
        let subject_id = self.pseudonyms(&claims)?.into_values().next().unwrap_or_default();
        let actor = Some(PersonRef { issuer: person.issuer, subject_id });
        let model = emergency.slot.map(|slot| slot.model).unwrap_or_default();
        tracing::warn!(model, artifact = %hex::encode(&event.artifact_sha256), "break-glass");
        self.act(Event::BreakGlass(BreakGlass { actor, ..event }), &claims, &model, || Ok(None)).await
    }
}

fn event(emergency: &Emergency, person: &Principal, group: String, id_token: &str) -> BreakGlass {
    BreakGlass {
        slot: emergency.slot.clone(),
        artifact_sha256: emergency.artifact.clone(),
        actor: None,
        group,
        groups_complete: person.groups_complete,
        auth_time: person.auth_time.unwrap_or_default(),
        acr: person.acr.clone(),
        amr: person.amr.clone(),
        assertion_sha256: digest_of(id_token).0.to_vec(),
        verified_by: person.verified_by.clone(),
        expires_at: emergency.expires_at,
        request_id: emergency.request_id.clone(),
    }
}

fn digest_of(id_token: &str) -> Digest {
    sha256(id_token.as_bytes())
}

fn sealed(person: &Principal, id_token: &str, reason: &str) -> SealedClaims {
    SealedClaims {
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        name: person.name.clone(),
        groups: person.groups.clone(),
        assertion: id_token.to_owned(),
        statements: vec![Statement { path: "reason".into(), text: reason.to_owned() }],
        ..SealedClaims::default()
    }
}
