//! What a gate is asked, checked. Pure.

use crate::event::{
    Digest,
    promotion::{Problem, Problems},
    proto::{CheckRequest, RegistryVersion, Slot, SlotRole, check_request::Subject as Stated},
    text::{name_problem, uri_problem},
};

/// What would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Bytes with this SHA-256.
    Artifact(Digest),
    /// What promotions name like this; whose bytes they are, the caller has to check against the answer.
    Version(RegistryVersion),
}

/// A whole question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What would run.
    pub subject: Subject,
    /// Where; the model may be empty.
    pub target: Slot,
}

/// The question in a request.
///
/// # Errors
/// Everything that is wrong with it.
pub fn question(request: CheckRequest) -> Result<Question, Vec<Problem>> {
    let mut p = Problems::default();
    let subject = match request.subject {
        Some(Stated::ArtifactSha256(bytes)) => {
            let digest = Digest::from_slice(&bytes);
            p.require(digest.is_some(), "artifact_sha256", "is not a SHA-256 of 32 bytes");
            Subject::Artifact(digest.unwrap_or_default())
        }
        Some(Stated::Version(version)) => {
            p.add_some("version.registry_uri", uri_problem(&version.registry_uri));
            p.add_some("version.name", name_problem(&version.name));
            p.add_some("version.version", name_problem(&version.version));
            Subject::Version(version)
        }
        None => {
            p.add("subject", "is missing; give artifact_sha256, or a version of a registry");
            Subject::Artifact(Digest::ZERO)
        }
    };
    let target = request.target.unwrap_or_default();
    p.add_some("target.environment", name_problem(&target.environment));
    for (field, name) in [("target.model", &target.model), ("target.region", &target.region)] {
        if !name.is_empty() {
            p.add_some(field, name_problem(name));
        }
    }
    let role = SlotRole::try_from(target.role).is_ok_and(|role| role != SlotRole::Unspecified);
    p.require(role, "target.role", "is missing; one of champion, challenger, shadow, canary");
    let problems = p.into_sorted();
    if problems.is_empty() { Ok(Question { subject, target }) } else { Err(problems) }
}

/// Whether a slot is one that a target asks about.
pub fn is_asked(target: &Slot, slot: &Slot) -> bool {
    (target.model.is_empty() || target.model == slot.model)
        && (&target.environment, &target.region, target.role) == (&slot.environment, &slot.region, slot.role)
}

/// A slot in words.
pub fn words(slot: &Slot) -> String {
    let name = |text: &str| if text.is_empty() { "any".to_owned() } else { text.to_owned() };
    let role = SlotRole::try_from(slot.role).unwrap_or_default().as_str_name();
    let role = role.trim_start_matches("SLOT_ROLE_").to_lowercase();
    let region = if slot.region.is_empty() { String::new() } else { format!(" / {}", slot.region) };
    format!("{} / {}{region}, {role}", name(&slot.model), slot.environment)
}

/// A role by its name.
pub fn role(name: &str) -> Option<SlotRole> {
    SlotRole::from_str_name(&format!("SLOT_ROLE_{}", name.to_uppercase()))
        .filter(|role| *role != SlotRole::Unspecified)
}
