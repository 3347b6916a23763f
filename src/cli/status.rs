//! `status`: how a node is doing.

use crate::event::proto::{EvidenceChecksStatus, GetStatusRequest, GetStatusResponse};

use super::{
    output::{self, Exit, Format, Result, coloured, say},
    source::{Source, SourceArgs},
};

/// How a node is doing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger status\n  promotion-ledger status --url http://ledger.example.bank:7420 --format json\n\nExit code 1 if the node does not admit promotions now."
)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let stopped = args.source.dir.is_some();
    let status = Source::open(&args.source).await?.get_status(GetStatusRequest {}).await?;
    match format {
        Format::Json => output::json(&status),
        Format::Text => text(&status),
    }
    // A directory admits nothing, and nobody expects it to.
    Ok(if status.not_admitting.is_empty() || stopped { Exit::Ok } else { Exit::No })
}

fn checks_words(checks: &EvidenceChecksStatus) -> String {
    let ended = match checks.ended {
        0 => "none has ended yet".to_owned(),
        ended => format!("the last one ended {}", output::utc(ended)),
    };
    let mut words = format!("{} looks since {}, {ended}", checks.looks, output::utc(checks.began));
    if checks.open_findings > 0 {
        words.push_str(&coloured("31", &format!(", {} findings are not over", checks.open_findings)));
    }
    if !checks.trouble.is_empty() {
        words.push_str(&coloured("31", &format!(": {}", checks.trouble)));
    }
    words
}

fn text(status: &GetStatusResponse) {
    let line = |name: &str, value: &str| say!("  {name:<12} {value}");
    say!("{}", coloured("1", &status.origin));
    line(
        "admitting",
        match status.not_admitting.as_str() {
            "" => "yes",
            why => why,
        },
    );
    line("entries", &format!("{} synced, the log ends at {}", status.synced_size, status.log_end));
    for projection in &status.projections {
        let lag = status.synced_size.saturating_sub(projection.size);
        line(&projection.name, &format!("{} entries folded, {lag} behind", projection.size));
    }
    if let Some(archive) = &status.archive {
        let waiting = match (archive.waiting_since, archive.trouble.as_str()) {
            (0, "") => "nothing waits".to_owned(),
            (0, trouble) => coloured("31", trouble),
            (since, "") => format!("others wait since {}", output::utc(since)),
            (since, trouble) => {
                format!("others wait since {}: {}", output::utc(since), coloured("31", trouble))
            }
        };
        line("archive", &format!("{} entries, {waiting}", archive.size));
    }
    for registry in &status.registries {
        let lag = status.synced_size.saturating_sub(registry.size);
        let swept = match registry.swept_at {
            0 => "never swept".to_owned(),
            at => format!("swept {}", output::utc(at)),
        };
        let mut words = format!("{}: {lag} entries behind, {swept}", registry.uri);
        if registry.open_findings > 0 {
            words = format!("{words}, {}", coloured("31", &format!("{} findings", registry.open_findings)));
        }
        if !registry.trouble.is_empty() {
            words = format!("{words}: {}", coloured("31", &registry.trouble));
        }
        line("registry", &words);
    }
    if let Some(checks) = &status.evidence_checks {
        line("checks", &checks_words(checks));
    }
    match &status.policy {
        Some(policy) => line(
            "policy",
            &format!(
                "{} version {}, since entry {}, sha256 {}",
                policy.id,
                policy.version,
                policy.seq,
                hex::encode(&policy.sha256)
            ),
        ),
        None => line("policy", "none: every promotion is routed to the highest tier"),
    }
    if status.routing_findings > 0 {
        let found = format!("{} promotions do not follow from their inputs", status.routing_findings);
        line("routing", &coloured("31", &found));
    }
    for alert in &status.alerts {
        line("ALERT", &coloured("31", &format!("{}: {}", alert.name, alert.description)));
    }
    if status.syncs > 0 {
        let each = status.entries_synced as f64 / status.syncs as f64;
        line("syncs", &format!("{} since start, {each:.1} entries each", status.syncs));
    }
    line("head link", &hex::encode(&status.head_link));
    line("ledger_id", &hex::encode(&status.ledger_id));
    line("log key", &status.log_vkey);
    line("time zone", &status.time_zone);
}
