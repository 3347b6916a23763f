//! The evidence store and the archive in it, as they are configured.

use std::path::PathBuf;

use serde::Deserialize;

use super::Profile;
use crate::evidence::{s3, spool};

/// The evidence store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceConfig {
    /// `filesystem` or `s3`.
    #[serde(default)]
    pub kind: EvidenceKind,
    /// Directory; relative to the node's directory. With `s3` it holds uploads on their way only.
    pub dir: PathBuf,
    /// True if every node of the ledger mounts this same directory. Needed with Kafka, unless the store is `s3`.
    #[serde(default)]
    pub shared: bool,
    /// `filesystem`: makes files immutable (`chattr +i`), where node and file system can.
    #[serde(default)]
    pub immutable: bool,
    /// Days for which evidence is locked when it is put, and kept where no policy routes; a tier that needs more
    /// extends it.
    #[serde(default = "retain_days")]
    pub retain_days: u32,
    /// Largest evidence, GiB.
    #[serde(default = "max_gib")]
    pub max_gib: u32,
    /// Needed for `s3`.
    #[serde(default)]
    pub s3: Option<s3::Settings>,
    /// How the node looks after what it has.
    #[serde(default)]
    pub checks: EvidenceChecks,
    /// Evidence about one person may be encrypted under that person's subject record.
    #[serde(default)]
    pub encrypt: bool,
}

/// How a node looks after its evidence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceChecks {
    /// Minutes between two attempts to break the store.
    pub probe_minutes: u64,
    /// Seconds within which everything is looked at again, the archive too.
    pub within_seconds: u64,
    /// Most looks in a second, where the node has fallen behind.
    pub per_second: u32,
    /// Reads the bytes of everything, also where the store keeps a checksum and a lock.
    pub deep: bool,
}

impl Default for EvidenceChecks {
    fn default() -> Self {
        Self { probe_minutes: 60, within_seconds: 7 * 86_400, per_second: 20, deep: false }
    }
}

/// Which evidence store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A directory. It locks nothing, and its proofs say so.
    #[default]
    Filesystem,
    /// A bucket with Object Lock.
    S3,
}

const fn retain_days() -> u32 {
    3_650
}

const fn max_gib() -> u32 {
    (spool::LENGTH_MAX >> 30) as u32
}

impl EvidenceConfig {
    pub(super) fn problems(&self, profile: Profile) -> Vec<String> {
        let mut problems = Vec::new();
        match (self.kind, &self.s3) {
            (EvidenceKind::S3, None) => problems.push("evidence.kind is s3, but [evidence.s3] is missing".into()),
            (EvidenceKind::S3, Some(settings)) => problems.extend(settings.problems("evidence.s3")),
            (EvidenceKind::Filesystem, _) if profile == Profile::Production => problems.push(
                "profile is production, but a directory of evidence is not write-once: set evidence.kind = \"s3\" and a bucket with Object Lock".into(),
            ),
            (EvidenceKind::Filesystem, _) => {}
        }
        let numbers = [
            ("retain_days", u64::from(self.retain_days)),
            ("max_gib", u64::from(self.max_gib)),
            ("checks.probe_minutes", self.checks.probe_minutes),
            ("checks.within_seconds", self.checks.within_seconds),
            ("checks.per_second", u64::from(self.checks.per_second)),
        ];
        for (name, value) in numbers {
            if value == 0 {
                problems.push(format!("evidence.{name} is 0"));
            }
        }
        problems
    }
}

/// The store of subject records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectsConfig {
    /// `directory` or `s3`.
    #[serde(default)]
    pub kind: SubjectsKind,
    /// Directory; relative to the node's directory; the same for all nodes.
    #[serde(default = "subjects_dir")]
    pub dir: PathBuf,
    /// Needed for `s3`: a bucket without Object Lock.
    #[serde(default)]
    pub s3: Option<s3::Settings>,
}

/// Where subject records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectsKind {
    /// In a directory.
    #[default]
    Directory,
    /// In a bucket without Object Lock.
    S3,
}

fn subjects_dir() -> PathBuf {
    "subjects".into()
}

impl SubjectsConfig {
    pub(super) fn problems(&self, evidence: &EvidenceConfig) -> Vec<String> {
        let settings = match (self.kind, &self.s3) {
            (SubjectsKind::Directory, _) => return Vec::new(),
            (SubjectsKind::S3, None) => {
                return vec!["subjects.kind is s3, but [subjects.s3] is missing".into()];
            }
            (SubjectsKind::S3, Some(settings)) => settings,
        };
        let mut problems = settings.problems("subjects.s3");
        let same =
            |other: &s3::Settings| (&other.bucket, &other.endpoint) == (&settings.bucket, &settings.endpoint);
        if evidence.kind == EvidenceKind::S3 && evidence.s3.as_ref().is_some_and(same) {
            problems.push(
                "subjects.s3 is the bucket of the evidence, which keeps everything: subject records must be destroyable, use another bucket".into(),
            );
        }
        problems
    }
}

/// When entries are archived in the evidence store, and what happens while they are not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// Seconds that an entry may wait for its bundle of 256 to become full.
    pub every_seconds: u64,
    /// Seconds after which a waiting entry raises an alert.
    pub alert_seconds: u64,
    /// Seconds after which a waiting entry stops the node from admitting.
    pub refuse_seconds: u64,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self { every_seconds: 60, alert_seconds: 300, refuse_seconds: 86_400 }
    }
}
