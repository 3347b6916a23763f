//! What a review's screen shows, gathered in one value.

use crate::event::{
    Micros, Seq,
    proto::{Artefact, Condition, PersonRef, Promoted, RequiredApproval},
};

use crate::page::Exhibits;

/// Everything that the screen shows, and nothing that it does not show. People are pseudonyms.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// Name of the ledger.
    pub ledger: String,
    /// When it was sealed.
    pub sealed_at: Micros,
    /// The six fields as they will be recorded, without approvals, with the route: tier, matched rules and reasons.
    pub promoted: Promoted,
    /// What the tier requires, in words.
    pub requirements: Vec<String>,
    /// Whose approval it needs; no person fills two places. Empty: any one person's.
    pub required: Vec<RequiredApproval>,
    /// The current model of the slot; `None` for a first promotion.
    pub incumbent: Option<Incumbent>,
    /// Every artefact that can be opened from the screen, by digest; `required` ones must be served in full before an
    /// approval is taken.
    pub artefacts: Vec<Artefact>,
    /// Bytes of the artefacts (each of at most [`crate::readable::READ_LEN_MAX`]): JSON, CSV, Markdown and text become
    /// part of the page, metrics and calibration by segment are read from the profile.
    pub exhibits: Exhibits,
    /// Conditions of earlier approvals in this slot that are still open.
    pub conditions: Vec<OpenCondition>,
    /// What happens when the slot's current model changes meanwhile, in words.
    pub on_incumbent_change: String,
}

/// The current model of the slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incumbent {
    /// Its Promoted entry.
    pub seq: Seq,
    /// SHA-256 of its artefact.
    pub artifact_sha256: Vec<u8>,
    /// Its name and version in the registry.
    pub name: String,
    /// Its version in the registry.
    pub version: String,
    /// Date of its promotion.
    pub promoted_at: Micros,
}

/// A condition that is still open.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCondition {
    /// The Approved entry that set it.
    pub approved_seq: Seq,
    /// The condition.
    pub condition: Condition,
}

/// What the sheet of people says of one person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SheetEntry {
    /// Pseudonym, as the page shows it.
    pub person: PersonRef,
    /// What the person has to do with the promotion: `requested_by`, `triggered_by`, `contributor`, `asked`.
    pub parts: Vec<String>,
    /// Subject at the issuer.
    pub subject: String,
    /// Name; may be empty.
    pub name: String,
    /// What this person wrote: (heading, text).
    pub texts: Vec<(String, String)>,
}
