//! Acts of custodians: evidence that must not be relied on, data that must be kept, people who are erased.

use crate::{
    event::{
        Digest, Seq,
        promotion::{Problem, Problems},
        proto::{
            DataSubject, KeyShredded, LegalHoldReleased, LegalHoldSet, Person, PersonRef, Receipt, Tainted,
            body::Event, data_subject::By,
        },
        text::{name_problem, uri_problem},
    },
    ledger::custody::{HOLDS_MAX, covers},
};

use super::{
    Error,
    acts::{Asked, claims_of},
    draft,
    gateway::Gateway,
};

fn refused(field: &str, description: String) -> Error {
    Error::Precondition(Problem { field: field.into(), description })
}

impl Gateway {
    /// Records that evidence or an artefact must not be relied on any more. Whether anything relies on it is for the
    /// caller of this to have asked.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn taint(&self, sha256: Digest, asked: Asked) -> Result<Receipt, Error> {
        let make = |actor, request_id| {
            Event::Tainted(Tainted { sha256: sha256.0.to_vec(), actor: Some(actor), request_id })
        };
        self.acted(Problems::default(), asked, "", make, || Ok(None)).await
    }

    /// Records that data must be kept.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_hold(
        &self,
        matter: String,
        subject: Option<DataSubject>,
        asked: Asked,
    ) -> Result<Receipt, Error> {
        let mut p = Problems::default();
        p.add_some("matter", name_problem(&matter));
        let subject_id = match subject {
            Some(subject) => self.data_subject(&mut p, &subject)?.0.to_vec(),
            None => Vec::new(),
        };
        let make = |actor, request_id| {
            let matter = matter.clone();
            Event::LegalHoldSet(LegalHoldSet {
                matter,
                subject_id: subject_id.clone(),
                actor: Some(actor),
                request_id,
            })
        };
        let room = || match self.ledger.head().state.holds.len() {
            HOLDS_MAX.. => {
                Err(refused("matter", format!("{} holds are in force; release some first", HOLDS_MAX)))
            }
            _ => Ok(None),
        };
        self.acted(p, asked, "", make, room).await
    }

    /// Records that data need no longer be kept.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn release_hold(&self, hold_seq: Seq, asked: Asked) -> Result<Receipt, Error> {
        let make = |actor, request_id| {
            Event::LegalHoldReleased(LegalHoldReleased { hold_seq, actor: Some(actor), request_id })
        };
        let in_force = || match self.ledger.head().state.holds.contains_key(&hold_seq) {
            true => Ok(None),
            false => Err(refused("hold_seq", format!("entry {hold_seq} is no legal hold in force"))),
        };
        self.acted(Problems::default(), asked, "", make, in_force).await
    }

    /// Records that a person is erased, then destroys that person's subject record. The pseudonym that was erased.
    ///
    /// # Errors
    /// [`Error`]. [`Error::Unavailable`] also when it was recorded and the record could not be destroyed yet; every
    /// node goes on trying, and asking again says when it is done.
    pub async fn erase(
        &self,
        subject: Option<DataSubject>,
        approved_by: Option<Person>,
        asked: Asked,
    ) -> Result<(Receipt, Digest), Error> {
        let mut p = Problems::default();
        draft::person_rules(&mut p, "approved_by", approved_by.as_ref());
        let subject_id = match &subject {
            Some(subject) => self.data_subject(&mut p, subject)?,
            None => {
                p.add("subject", "is missing; give a pseudonym (subject_id), or issuer and subject");
                Digest::ZERO
            }
        };
        let (first, second) = (asked.actor.clone().unwrap_or_default(), approved_by.unwrap_or_default());
        let same = (&first.issuer, &first.subject) == (&second.issuer, &second.subject);
        p.require(!same, "approved_by", "is the person who requests it; a second person must agree");
        asked.problems(&mut p, "requested_by");
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let mut claims = asked.claims();
        claims.insert((second.issuer.clone(), second.subject.clone()), claims_of(&second));
        let ids = self.pseudonyms(&claims)?;
        if ids.values().any(|id| *id == subject_id.0) {
            let description = "is one of the two who act; what they write here would be erased with it";
            let field = "subject".to_owned();
            return Err(Error::Invalid(vec![Problem { field, description: description.into() }]));
        }
        let reference = |person: &Person| {
            let id = ids.get(&(person.issuer.clone(), person.subject.clone())).cloned().unwrap_or_default();
            Some(PersonRef { issuer: person.issuer.clone(), subject_id: id })
        };
        let event = Event::KeyShredded(KeyShredded {
            subject_id: subject_id.0.to_vec(),
            requested_by: reference(&first),
            approved_by: reference(&second),
            request_id: asked.request_id.clone(),
        });
        let allowed = || match covers(&self.ledger.head().state, &subject_id) {
            true => Err(refused("subject", "is under a legal hold; `hold list` shows which".into())),
            false => Ok(None),
        };
        let receipt = self.act(event, &claims, "", allowed).await?;
        let destroyed = tokio::task::block_in_place(|| self.subjects.destroy(&subject_id));
        destroyed.map_err(|error| {
            let seq = receipt.seq;
            Error::Unavailable(format!(
                "recorded as entry {seq}, but the record is not destroyed yet: {error}"
            ))
        })?;
        Ok((receipt, subject_id))
    }

    /// The pseudonym of a data subject. One who has no subject record has nothing that could be kept or erased.
    fn data_subject(&self, p: &mut Problems, subject: &DataSubject) -> Result<Digest, Error> {
        match &subject.by {
            Some(By::SubjectId(id)) => {
                p.require(id.len() == 32, "subject.subject_id", "is not a pseudonym of 32 bytes");
                Ok(Digest::from_slice(id).unwrap_or_default())
            }
            Some(By::Person(person)) => {
                p.add_some("subject.person.issuer", uri_problem(&person.issuer));
                p.add_some("subject.person.subject", name_problem(&person.subject));
                let found =
                    tokio::task::block_in_place(|| self.subjects.existing(&person.issuer, &person.subject));
                let found = found.map_err(|error| Error::Unavailable(error.to_string()))?;
                if found.is_none() {
                    p.add("subject.person", "has no subject record: nothing was sealed, or it was erased");
                }
                Ok(found.map(|subject| subject.id).unwrap_or_default())
            }
            None => {
                p.add("subject", "is empty; give a pseudonym (subject_id), or issuer and subject");
                Ok(Digest::ZERO)
            }
        }
    }
}
