//! `status`: how a node is doing.

use crate::event::proto::{GetStatusRequest, GetStatusResponse};

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
    if status.syncs > 0 {
        let each = status.entries_synced as f64 / status.syncs as f64;
        line("syncs", &format!("{} since start, {each:.1} entries each", status.syncs));
    }
    line("head link", &hex::encode(&status.head_link));
    line("ledger_id", &hex::encode(&status.ledger_id));
    line("log key", &status.log_vkey);
    line("time zone", &status.time_zone);
}
