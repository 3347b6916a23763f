//! Evidence about one person: sealed under that person's subject record before it is stored, and checked when it is used.

use crate::{
    event::{
        Digest, content,
        promotion::{Problem, Problems},
        proto::{EvidenceRef, Person, Promoted},
    },
    identity::sealed_evidence::{HEADER_LEN, about},
};

use super::{Error, draft, gateway::Gateway};

impl Gateway {
    /// Seals evidence for the person whom it is about, and stores it. The same content again is the same evidence.
    ///
    /// # Errors
    /// [`Error::Precondition`] where this ledger keeps all evidence in clear.
    pub async fn seal_evidence(
        &self,
        person: Option<Person>,
        media_type: &str,
        content: &[u8],
    ) -> Result<EvidenceRef, Error> {
        if !self.encrypt_evidence {
            return Err(Error::Precondition(Problem {
                field: "description.about".into(),
                description: "is given, but this ledger seals no evidence; an operator sets evidence.encrypt = true, or keep personal data out of it".into(),
            }));
        }
        let mut p = Problems::default();
        draft::person_rules(&mut p, "description.about", person.as_ref());
        let problems = p.into_sorted();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let person = person.unwrap_or_default();
        let (id, sealed) = tokio::task::block_in_place(|| {
            let subject = self.subjects.subject(&person.issuer, &person.subject)?;
            Ok((subject.id, subject.seal_evidence(content, &self.ledger.pinned)))
        })
        .map_err(|error: crate::identity::subjects::Error| Error::Unavailable(error.to_string()))?;
        self.keep(sealed, media_type, Some(id)).await
    }

    /// What is wrong with the sealed evidence of a promotion: it is another person's or none, or nobody can read it.
    pub(super) async fn sealed_evidence_problems(&self, promoted: &Promoted) -> Result<Vec<Problem>, Error> {
        let mut p = Problems::default();
        for (path, reference) in content::evidence(promoted) {
            let (Some(stated), Some(sha256)) =
                (Digest::from_slice(&reference.subject_id), Digest::from_slice(&reference.sha256))
            else {
                continue;
            };
            let field = format!("{path}.subject_id");
            let header = self.evidence.read(&sha256, "", 0, HEADER_LEN).await;
            let header = header.map_err(|error| Error::Unavailable(error.to_string()))?;
            match header.as_deref().and_then(about) {
                None if header.is_none() => {}
                None => {
                    p.add(field, "is set, but the stored bytes are not sealed for anybody; use SealEvidence")
                }
                Some(found) if found != stated => {
                    p.add(field, format!("is not the person whom the bytes are sealed for ({found})"));
                }
                Some(found) => {
                    let there = tokio::task::block_in_place(|| self.subjects.is_there(&found));
                    let there = there.map_err(|error| Error::Unavailable(error.to_string()))?;
                    p.require(there, field, "is a person who was erased: nobody can read this evidence");
                }
            }
        }
        Ok(p.into_sorted())
    }
}
