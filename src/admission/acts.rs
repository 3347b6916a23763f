//! An act that a person asks for by a request id: recorded once, with the reason sealed.

use crate::{
    event::{
        content::content_digest,
        promotion::Problems,
        proto::{Body, Person, PersonRef, Preconditions, Receipt, SealedClaims, Statement, body::Event},
        text::{free_text_problem, name_problem},
    },
    ledger::decide::expected_key,
};

use super::{
    Error, draft,
    gateway::{ATTEMPTS_MAX, Gateway},
};

/// Who asks, why, and in which request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub actor: Option<Person>,
    /// Why, in words; sealed.
    pub reason: String,
    /// Chosen by the caller; retries repeat it.
    pub request_id: String,
}

impl Asked {
    /// Notes what is missing. `at` is the path of the person.
    pub(super) fn problems(&self, p: &mut Problems, at: &str) {
        draft::person_rules(p, at, self.actor.as_ref());
        p.add_some("reason", free_text_problem(&self.reason));
        p.add_some("request_id", name_problem(&self.request_id));
    }

    /// What is sealed about the one who asks.
    pub(super) fn claims(&self) -> draft::Claims {
        let person = self.actor.clone().unwrap_or_default();
        let reason = Statement { path: "reason".into(), text: self.reason.clone() };
        let claims = SealedClaims { statements: vec![reason], ..claims_of(&person) };
        [((person.issuer, person.subject), claims)].into()
    }
}

pub(super) fn claims_of(person: &Person) -> SealedClaims {
    SealedClaims {
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        name: person.name.clone(),
        ..SealedClaims::default()
    }
}

impl Gateway {
    /// An act of one person. `p`: what else is wrong with the request.
    pub(super) async fn acted(
        &self,
        mut p: Problems,
        asked: Asked,
        model: &str,
        make: impl Fn(PersonRef, String) -> Event,
        allowed: impl Fn() -> Result<Option<Preconditions>, Error>,
    ) -> Result<Receipt, Error> {
        asked.problems(&mut p, "actor");
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let claims = asked.claims();
        let person = asked.actor.clone().unwrap_or_default();
        let subject_id = self.pseudonyms(&claims)?.into_values().next().unwrap_or_default();
        let actor = PersonRef { issuer: person.issuer, subject_id };
        self.act(make(actor, asked.request_id.clone()), &claims, model, allowed).await
    }

    /// Records an act once, however often it is asked for. `allowed` gives what it relies on, or why it cannot be done
    /// now.
    pub(super) async fn act(
        &self,
        event: Event,
        claims: &draft::Claims,
        model: &str,
        allowed: impl Fn() -> Result<Option<Preconditions>, Error>,
    ) -> Result<Receipt, Error> {
        self.admitting()?;
        let key = expected_key(&event).unwrap_or_default();
        let mut body = Body { idempotency_key: key.0.to_vec(), event: Some(event), ..Body::default() };
        let content = content_digest(&body);
        for _ in 0..ATTEMPTS_MAX {
            if let Some(receipt) = self.recorded(&body, &content)? {
                return Ok(receipt);
            }
            body.preconditions = allowed()?;
            body.sealed = self.seal(claims.clone())?;
            if let Some(receipt) = self.submit(&mut body, content, model).await? {
                return Ok(receipt);
            }
        }
        Err(Error::Raced)
    }
}
