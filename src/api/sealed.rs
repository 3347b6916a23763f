//! What is sealed, opened: each time with a line in the log that says who opened what.
//!
//! Lines have the target `promotion_ledger::sealed`. Who may open anything is checked in `authorize`.

use prost::Message;
use tonic::{Request, Status};

use crate::{
    event::{Digest, canonical, digest::sha256, proto::Opened},
    identity::{
        caller::Caller,
        sealed_evidence::{SEALED_LEN_MAX, about},
    },
    ledger::Head,
    projection::{
        query::{self, Found},
        reliance,
    },
};

use super::{auditor::Auditor, status};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// Who asks, for the log: the caller; this program itself where it reads a stopped node's directory.
pub(super) fn asker<T>(request: &Request<T>) -> String {
    match request.extensions().get::<Caller>() {
        Some(Caller { principal, .. }) => format!("{} of {}", principal.subject, principal.issuer),
        None => "this program".into(),
    }
}

/// Notes that somebody opened what an entry seals, or evidence.
pub(super) fn note(asker: &str, what: &str, people: &[Digest], opened: usize) {
    let people: Vec<_> = people.iter().map(Digest::to_string).collect();
    tracing::info!(
        target: "promotion_ledger::sealed",
        asker,
        what,
        subjects = people.join(" "),
        opened,
        "sealed data was opened"
    );
}

impl Auditor {
    /// When and by which entry a person was erased, in words.
    pub(super) fn erasure(&self, head: &Head, id: &Digest) -> Result<String, Status> {
        let Some(seq) = reliance::erased_by(&self.ledger, head, &id.0)? else {
            return Ok(format!("the subject record of person {id} is gone, without an entry that says so"));
        };
        let date = query::entry(&self.ledger, head, seq)?.map_or(0, |found| found.date);
        let date = i64::try_from(date).ok().and_then(|date| jiff::Timestamp::from_microsecond(date).ok());
        let date = date.map_or_else(String::new, |date| format!(" on {}", date.strftime("%F")));
        Ok(format!(
            "person {id} was erased{date} by entry {seq}: what is sealed for that person cannot be read any more"
        ))
    }

    /// The sealed items of an entry, opened as far as their people are known.
    pub(super) fn open_entry(&self, head: &Head, found: &Found, asker: &str) -> Result<Vec<Opened>, Status> {
        let record = &found.record;
        let Ok(record) = canonical::decode(record) else { return Ok(Vec::new()) };
        let subjects = self.subjects.as_ref().ok_or_else(|| {
            Status::permission_denied(
                "the keys of the subject records are not readable here; ask without unsealing",
            )
        })?;
        let mut opened = Vec::new();
        for sealed in &record.body.sealed {
            let claims = tokio::task::block_in_place(|| subjects.unseal(sealed, &self.ledger.pinned));
            let claims = claims.map_err(status::subjects)?;
            let erased = claims.is_none();
            let claims = claims.map(|claims| claims.encode_to_vec()).unwrap_or_default();
            let subject_id = sealed.subject_id.clone();
            let erased_by_seq =
                if erased { reliance::erased_by(&self.ledger, head, &subject_id)? } else { None };
            let erasure =
                erased_by_seq.map(|seq| query::entry(&self.ledger, head, seq)).transpose()?.flatten();
            let erased_at = erasure.map_or(0, |found| found.date);
            opened.push(Opened { subject_id, claims, erased, erased_by_seq, erased_at });
        }
        let people: Vec<_> = opened.iter().filter_map(|item| Digest::from_slice(&item.subject_id)).collect();
        let readable = opened.iter().filter(|item| !item.erased).count();
        note(asker, &format!("entry {}", found.header.seq), &people, readable);
        Ok(opened)
    }

    /// The content of sealed evidence. Evidence in clear is refused: there is nothing to open.
    pub(super) async fn open_evidence(&self, sha256_of: &Digest, asker: &str) -> Result<Vec<u8>, Status> {
        let subjects = self.subjects.as_ref().ok_or_else(|| {
            Status::permission_denied(
                "the keys of the subject records are not readable here; ask without unsealing",
            )
        })?;
        let mut sealed = Vec::new();
        loop {
            let chunk = self.evidence.read(sha256_of, "", sealed.len() as u64, CHUNK).await?;
            let chunk = chunk
                .ok_or_else(|| Status::not_found(format!("no evidence with the SHA-256 {sha256_of}")))?;
            if chunk.is_empty() {
                break;
            }
            sealed.extend(chunk);
            if about(&sealed).is_none() || sealed.len() > SEALED_LEN_MAX {
                return Err(Status::failed_precondition("this evidence is not sealed; read it as it is"));
            }
        }
        if sha256(&sealed) != *sha256_of {
            return Err(Status::data_loss(format!("the stored bytes of {sha256_of} were changed")));
        }
        let id = about(&sealed).unwrap_or_default();
        let opened = tokio::task::block_in_place(|| subjects.open_evidence(&sealed, &self.ledger.pinned));
        let opened = opened.map_err(status::subjects)?;
        note(asker, &format!("evidence {sha256_of}"), &[id], opened.iter().len());
        match opened {
            Some(content) => Ok(content.to_vec()),
            None => Err(Status::failed_precondition(self.erasure(&*self.caught_up().await?, &id)?)),
        }
    }
}
