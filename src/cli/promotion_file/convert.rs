//! Promotion file + what its files hold -> what is sent. Pure.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    fields,
    shape::{Evidence, Promotion, is_digest},
};
use crate::event::{
    Digest, Micros,
    promotion::{Problem, Problems},
    proto::{EvidenceRef, PromotionDraft},
};

/// What hashing a file gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// SHA-256.
    pub sha256: Digest,
    /// Bytes.
    pub length: u64,
}

/// What the files of a promotion hold, by their paths as written; or, in words, why that is not known.
#[derive(Debug, Default)]
pub struct Files {
    /// Paths are relative to this directory.
    pub dir: PathBuf,
    /// Digest and length.
    pub hashed: BTreeMap<String, Result<Hashed, String>>,
    /// Text.
    pub texts: BTreeMap<String, Result<String, String>>,
}

/// A local file that the ledger must have as evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256.
    pub sha256: Digest,
    /// Bytes.
    pub length: u64,
    /// RFC 6838.
    pub media_type: String,
    /// Paths of the fields that refer to it.
    pub fields: Vec<String>,
}

/// A promotion file, ready to be sent if it has no problems.
#[derive(Debug, Clone, Default)]
pub struct Converted {
    /// What is sent.
    pub draft: PromotionDraft,
    /// Evidence, each digest once.
    pub uploads: Vec<Upload>,
    /// Everything that is wrong with the file, by field.
    pub problems: Vec<Problem>,
    /// Fields that are empty only because of a problem elsewhere.
    unresolved: Vec<String>,
}

impl Converted {
    /// Whether what is wrong with this field follows from a problem that the file has.
    pub fn explains(&self, field: &str) -> bool {
        let under =
            |at: &str| field == at || field.strip_prefix(at).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.problems.iter().any(|problem| under(&problem.field))
            || self.unresolved.iter().any(|at| under(at))
    }
}

/// Converts a promotion file.
pub fn convert(promotion: &Promotion, files: &Files) -> Converted {
    let mut c =
        Converter { files, problems: Problems::default(), uploads: Vec::new(), unresolved: Vec::new() };
    let model_version = promotion.model_version.as_ref().map(|model| fields::model_version(&mut c, model));
    let dataset = promotion.dataset.as_ref().map(|dataset| fields::dataset(&mut c, dataset));
    let known = fields::Known {
        artifact: model_version.as_ref().map(|model| model.artifact_sha256.clone()).unwrap_or_default(),
        dataset: dataset.as_ref().map(|dataset| dataset.digest.clone()).unwrap_or_default(),
    };
    let draft = PromotionDraft {
        slot: Some(fields::slot(&mut c, &promotion.slot)),
        challenger_comparison: promotion
            .challenger_comparison
            .as_ref()
            .map(|comparison| fields::comparison(&mut c, comparison, &known)),
        approval_request: promotion.approval_request.as_ref().map(|request| fields::request(&mut c, request)),
        approvals: fields::approvals(&mut c, &promotion.approvals),
        explanations: fields::explanations(&mut c, &promotion.explanations, &known),
        profile: promotion.profile.as_ref().and_then(|path| c.keep("profile", path, None)),
        profile_attestation: promotion
            .profile_attestation
            .as_ref()
            .and_then(|path| c.keep("profile_attestation", path, None)),
        model_version,
        dataset,
    };
    if c.unresolved.iter().any(|field| field == "approval_request.form.questions") {
        // Which answers are required, and to what, is not known either.
        (0..promotion.approvals.len()).for_each(|i| c.unresolved(&format!("approvals[{i}].answers")));
    }
    let Converter { problems, uploads, unresolved, .. } = c;
    Converted { draft, uploads, problems: problems.into_sorted(), unresolved }
}

/// Turns text into values and notes what does not turn.
pub(super) struct Converter<'a> {
    files: &'a Files,
    pub problems: Problems,
    uploads: Vec<Upload>,
    unresolved: Vec<String>,
}

impl Converter<'_> {
    /// Notes that a field is empty only because of a problem elsewhere.
    pub fn unresolved(&mut self, field: &str) {
        self.unresolved.push(field.to_owned());
    }

    /// Digest and length of a file.
    pub fn hashed(&mut self, field: &str, path: &str) -> Option<Hashed> {
        match self.files.hashed.get(path) {
            Some(Ok(hashed)) => Some(*hashed),
            Some(Err(why)) => {
                self.problems.add(field, format!("{path}: {why}"));
                None
            }
            None => None,
        }
    }

    /// Text of a file.
    pub fn text(&mut self, field: &str, path: &str) -> Option<String> {
        match self.files.texts.get(path) {
            Some(Ok(text)) => Some(text.clone()),
            Some(Err(why)) => {
                self.problems.add(field, format!("{path}: {why}"));
                None
            }
            None => None,
        }
    }

    /// A file that the ledger keeps as evidence.
    pub fn keep(&mut self, field: &str, path: &str, media_type: Option<&String>) -> Option<EvidenceRef> {
        let Hashed { sha256, length } = self.hashed(field, path)?;
        let media_type = media_type.cloned().unwrap_or_else(|| media_type_of(path).into());
        match self.uploads.iter_mut().find(|upload| upload.sha256 == sha256) {
            Some(upload) => upload.fields.push(field.to_owned()),
            None => self.uploads.push(Upload {
                path: self.files.dir.join(path),
                sha256,
                length,
                media_type: media_type.clone(),
                fields: vec![field.to_owned()],
            }),
        }
        Some(EvidenceRef { sha256: sha256.0.to_vec(), length, media_type, ..EvidenceRef::default() })
    }

    /// Evidence: a file, or the digest of stored bytes.
    pub fn evidence(&mut self, field: &str, evidence: &Evidence) -> Option<EvidenceRef> {
        if evidence.file.is_some() && evidence.about.is_some() {
            self.problems.add(
                format!("{field}.about"),
                "is given with a file; seal the file first (`promotion-ledger evidence seal`), and give the sha256 and about that it prints",
            );
        }
        match (&evidence.file, &evidence.sha256) {
            (Some(_), Some(_)) => {
                self.problems.add(field, "has both file and sha256; give one of them");
                None
            }
            (Some(path), None) => self.keep(field, path, evidence.media_type.as_ref()),
            (None, Some(hex)) => {
                let sha256 = self.hex(&format!("{field}.sha256"), hex, 32..=32)?;
                let media_type = evidence.media_type.clone().unwrap_or_default();
                let about = evidence.about.as_ref();
                let subject_id = about.and_then(|hex| self.hex(&format!("{field}.about"), hex, 32..=32));
                let subject_id = subject_id.unwrap_or_default();
                Some(EvidenceRef { sha256, media_type, subject_id, ..EvidenceRef::default() })
            }
            (None, None) => {
                self.problems.add(field, "has neither file nor sha256; give one of them");
                None
            }
        }
    }

    /// A digest: of a file, or in hex. Nothing of the file is sent.
    pub fn digest(&mut self, field: &str, path: Option<&String>, hex: Option<&String>) -> Option<Vec<u8>> {
        match (path, hex) {
            (Some(_), Some(_)) => {
                self.problems.add(field, "is given twice, as a file and as a digest; give one of them");
                None
            }
            (Some(path), None) => self.hashed(field, path).map(|hashed| hashed.sha256.0.to_vec()),
            (None, Some(hex)) => self.hex(field, hex, 32..=64),
            (None, None) => None,
        }
    }

    /// Bytes in hexadecimal digits.
    pub fn hex(&mut self, field: &str, text: &str, len: std::ops::RangeInclusive<usize>) -> Option<Vec<u8>> {
        let bytes = hex::decode(text.trim()).ok().filter(|bytes| len.contains(&bytes.len()));
        if bytes.is_none() {
            let digits = len.start() * 2;
            self.problems.add(field, format!("{text:?} is not a digest in hexadecimal ({digits} digits)"));
        }
        bytes
    }

    /// A digest by the word that stands for it, or in hex.
    pub fn word(&mut self, field: &str, text: &str, word: &str, stands_for: &[u8]) -> Vec<u8> {
        match text {
            "" => Vec::new(),
            text if text == word => {
                if stands_for.is_empty() {
                    self.unresolved(field);
                }
                stands_for.to_vec()
            }
            text if !is_digest(text) => {
                self.problems
                    .add(field, format!("{text:?} is neither the word `{word}` nor a hexadecimal SHA-256"));
                Vec::new()
            }
            text => self.hex(field, text, 32..=32).unwrap_or_default(),
        }
    }

    /// A time in RFC 3339; 0 if there is none.
    pub fn time(&mut self, field: &str, text: Option<&String>) -> Micros {
        let Some(text) = text else { return 0 };
        let time = text
            .parse::<jiff::Timestamp>()
            .ok()
            .and_then(|time| Micros::try_from(time.as_microsecond()).ok());
        time.unwrap_or_else(|| {
            self.problems
                .add(field, format!("{text:?} is not a time such as 2026-11-14T09:12:31Z (RFC 3339)"));
            0
        })
    }

    /// The number of a word in a list; 0 if there is none.
    pub fn choice(&mut self, field: &str, text: &str, choices: &[(&str, i32)]) -> i32 {
        if text.is_empty() {
            return 0;
        }
        let found = choices.iter().find(|(name, _)| *name == text);
        found.map(|(_, number)| *number).unwrap_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.problems.add(field, format!("{text:?} is none of {}", names.join(", ")));
            0
        })
    }
}

fn media_type_of(path: &str) -> &'static str {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json",
        "yaml" | "yml" => "application/yaml",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "txt" | "md" | "sql" => "text/plain",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/octet-stream",
    }
}
