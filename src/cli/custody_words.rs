//! Taints, holds, erasures, findings and probes in words.

use crate::event::{
    Digest,
    proto::{EvidenceProblem, PersonRef, RegistryFinding, RegistryProblem, body::Event},
};

use super::words::People;

/// A problem of evidence in words.
pub fn problem(number: i32) -> &'static str {
    match EvidenceProblem::try_from(number).unwrap_or_default() {
        EvidenceProblem::Unspecified => "has a problem that this program does not know",
        EvidenceProblem::Missing => "is not in the store any more",
        EvidenceProblem::Length => "has another length",
        EvidenceProblem::Digest => "has other bytes",
        EvidenceProblem::Unlocked => "is not locked as it was",
        EvidenceProblem::Retention => "is locked for too short a time",
        EvidenceProblem::Over => "is as it must be again",
    }
}

/// A problem of a registry in words.
pub fn registry_problem(number: i32) -> &'static str {
    match RegistryProblem::try_from(number).unwrap_or_default() {
        RegistryProblem::Unspecified => "has a problem that this program does not know",
        RegistryProblem::AliasMoved => "alias moved without a promotion",
        RegistryProblem::AliasRemoved => "alias removed",
        RegistryProblem::PointerRemoved => "pointer to its promotion removed",
        RegistryProblem::PointerChanged => "pointer changed",
        RegistryProblem::Digest => "bytes are not the promoted ones",
        RegistryProblem::VersionMissing => "not in the registry",
    }
}

/// The event in a few words; `None` for other kinds.
pub fn summary(event: &Event) -> Option<String> {
    Some(match event {
        Event::EvidenceFinding(e) => format!("{} {}", hex::encode(&e.sha256), problem(e.problem)),
        Event::RegistryFinding(e) => format!("{}: {}", registry_subject(e), registry_problem(e.problem)),
        Event::StoreProbed(e) if e.write_once => format!("{} is write-once", e.uri),
        Event::StoreProbed(e) => format!("{} is NOT write-once", e.uri),
        Event::Tainted(e) => hex::encode(&e.sha256),
        Event::LegalHoldSet(e) => e.matter.clone(),
        Event::LegalHoldReleased(e) => format!("entry {}", e.hold_seq),
        Event::KeyShredded(e) => format!("person {}", hex::encode(&e.subject_id)),
        _ => return None,
    })
}

/// Model, version and alias, as far as the finding names them.
pub fn registry_subject(e: &RegistryFinding) -> String {
    let version = Some(&e.version).filter(|it| !it.is_empty()).map(|it| format!(" version {it}"));
    let alias = Some(&e.alias).filter(|it| !it.is_empty()).map(|it| format!(" @{it}"));
    format!("{}{}{}", e.name, version.unwrap_or_default(), alias.unwrap_or_default())
}

/// Named lines of the event; `None` for other kinds.
pub fn lines(event: &Event, people: &People) -> Option<Vec<(&'static str, String)>> {
    let asked = |actor: &Option<PersonRef>, request: &str| {
        let mut lines = vec![("asked by", format!("{}, request {request}", people.name(actor.as_ref())))];
        lines.extend(people.statements("reason").into_iter().map(|(_, text)| ("reason", text)));
        lines
    };
    let mut lines = match event {
        Event::EvidenceFinding(e) => {
            let mut lines = vec![
                ("evidence", hex::encode(&e.sha256)),
                ("where", format!("{} {}", e.uri, e.version_id).trim_end().to_owned()),
                ("found", problem(e.problem).to_owned()),
                ("detail", e.detail.clone()),
            ];
            lines.extend(e.follows.map(|seq| ("before", format!("over with entry {seq}"))));
            lines
        }
        Event::RegistryFinding(e) => {
            let mut lines = vec![
                ("registry", e.registry_uri.clone()),
                ("about", registry_subject(e)),
                ("found", registry_problem(e.problem).to_owned()),
                ("detail", e.detail.clone()),
            ];
            lines.extend(e.promoted_seq.map(|seq| ("promotion", format!("entry {seq}"))));
            lines
        }
        Event::StoreProbed(e) => {
            let tried = e.attempts.iter().map(|it| {
                let happened = if it.allowed { "ALLOWED" } else { "refused" };
                ("tried", format!("{:<10} {happened}  {}", it.attempt, it.answer))
            });
            let verdict = if e.write_once { "yes" } else { "NO" };
            [("store", e.uri.clone()), ("write-once", verdict.to_owned())].into_iter().chain(tried).collect()
        }
        Event::Tainted(e) => vec![("evidence", hex::encode(&e.sha256))],
        Event::LegalHoldSet(e) => {
            let whose =
                Digest::from_slice(&e.subject_id).map_or("everybody".to_owned(), |id| format!("person {id}"));
            vec![("matter", e.matter.clone()), ("covers", whose)]
        }
        Event::LegalHoldReleased(e) => vec![("hold", format!("entry {}", e.hold_seq))],
        Event::KeyShredded(e) => vec![
            ("erased", format!("person {}", hex::encode(&e.subject_id))),
            ("agreed by", people.name(e.approved_by.as_ref())),
        ],
        _ => return None,
    };
    lines.extend(match event {
        Event::Tainted(e) => asked(&e.actor, &e.request_id),
        Event::LegalHoldSet(e) => asked(&e.actor, &e.request_id),
        Event::LegalHoldReleased(e) => asked(&e.actor, &e.request_id),
        Event::KeyShredded(e) => asked(&e.requested_by, &e.request_id),
        _ => Vec::new(),
    });
    Some(lines)
}
