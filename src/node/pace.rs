//! The configuration's times in the shape in which those who keep them take them.

use std::{sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;

use crate::{
    api::archive_checks::Archived,
    archive::{archiver::Timing, reader::Archive},
    config,
    custody::reached::Pace,
};

/// When entries are archived.
pub(super) fn timing(config: &config::ArchiveConfig) -> Timing {
    Timing {
        every: Duration::from_secs(config.every_seconds),
        alert_after: Duration::from_secs(config.alert_seconds),
        refuse_after: Duration::from_secs(config.refuse_seconds),
    }
}

/// How evidence is looked at again.
pub(super) fn pace(config: &config::EvidenceConfig) -> Pace {
    Pace {
        within: Duration::from_secs(config.checks.within_seconds),
        per_second: config.checks.per_second,
        deep: config.checks.deep,
        retain_days: config.retain_days,
    }
}

/// What an auditor's look at the archive needs.
pub(super) fn archived_by(
    config: &config::ArchiveConfig,
    archive: Archive,
    log_key: Arc<SigningKey>,
) -> Archived {
    Archived { archive, log_key, late_after: config.alert_seconds.saturating_mul(1_000_000) }
}
