//! The configuration's times in the shape in which those who keep them take them.

use std::time::Duration;

use crate::{archive::archiver::Timing, config, custody::reached::Pace};

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
