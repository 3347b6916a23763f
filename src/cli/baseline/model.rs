//! A model as some inventory knows it, before it is recorded.

use crate::event::{
    Digest,
    digest::sha256,
    gate::SIX_FIELDS,
    proto::{KnownFact, RegistryVersion, Slot},
};

/// One model in one slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Where it runs.
    pub slot: Slot,
    /// Its artefact, where somebody knows it.
    pub artifact: Option<Digest>,
    /// As a registry names it.
    pub version: Option<RegistryVersion>,
    /// What else is known.
    pub known: Vec<KnownFact>,
    /// What is missing of the six fields.
    pub missing: Vec<String>,
    /// End of its time, if the inventory has one of its own; microseconds.
    pub sunset: Option<u64>,
}

impl Model {
    /// What is missing where nobody says otherwise: everything but what is known by digest.
    pub fn missing_by_default(artifact: Option<&Digest>) -> Vec<String> {
        let known = usize::from(artifact.is_some());
        SIX_FIELDS.iter().skip(known).map(|&field| field.to_owned()).collect()
    }

    /// The same for the same content: importing again records nothing twice.
    pub fn request_id(&self, sunset: u64) -> String {
        let content = format!("{self:?} {sunset}");
        format!("baseline {}", sha256(content.as_bytes()))
    }

    /// In a few words.
    pub fn words(&self) -> String {
        let version = self.version.as_ref().map(|it| format!("{} {}", it.name, it.version));
        let artifact = self.artifact.map_or("digest not known".to_owned(), |it| format!("sha256:{it}"));
        format!("{} ({artifact})", version.unwrap_or_else(|| "in no registry".into()))
    }
}
