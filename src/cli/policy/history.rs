//! `policy replay`: a policy tried against the promotions that a ledger recorded.

use std::{path::PathBuf, sync::Arc};

use crate::{
    cli::{
        chain::{self, Unread},
        output::{self, Exit, Failure, Format, Result, coloured, say},
        progress,
        source::{Source, SourceArgs},
    },
    event::{
        Header, Seq, canonical,
        proto::{GetStatusRequest, ReplayImpact},
    },
    policy::{Policy, audit::Audit},
};

use super::file;

/// Arguments of `policy replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy to try, YAML
    file: PathBuf,
    /// First entry
    #[arg(long, default_value_t = 0)]
    from: Seq,
    /// Entry after the last one; the end of the ledger if not given
    #[arg(long)]
    to: Option<Seq>,
    #[command(flatten)]
    source: SourceArgs,
}

/// A promotion that the tried policy routes otherwise.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Other {
    seq: Seq,
    model: String,
    recorded: String,
    tried: String,
    rules: Vec<String>,
}

/// What a policy would have done.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Tried {
    /// Entries `[from, to)` were looked at.
    pub from: Seq,
    /// See `from`.
    pub to: Seq,
    /// Promotions that carry routing inputs.
    pub promotions: u64,
    /// Routed to a higher tier than recorded.
    pub higher: u64,
    /// Routed to a lower one.
    pub lower: u64,
    /// Tiers with other names cannot be compared: neither higher nor lower.
    pub incomparable: u64,
    /// Each one that is routed otherwise.
    pub other: Vec<Other>,
    /// Recorded routes that do not follow from their own policy and inputs: (seq, what).
    pub findings: Vec<(Seq, String)>,
}

impl Tried {
    /// As an activation records it.
    pub fn impact(&self) -> ReplayImpact {
        ReplayImpact {
            from_seq: self.from,
            to_seq: self.to,
            promotions: self.promotions,
            higher: self.higher,
            lower: self.lower,
        }
    }
}

/// Routes every promotion of a ledger again: by the policy then in force, and by this one.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn tried(policy: &Policy, source: Arc<Source>, from: Seq, to: Option<Seq>) -> Result<Tried> {
    if to.is_some_and(|to| to < from) {
        return Err(Failure::usage(format!("--from {from} is after --to {}", to.unwrap_or_default())));
    }
    let size = source.get_status(GetStatusRequest {}).await?.synced_size;
    let to = to.unwrap_or(size).min(size);
    let bar = progress::bar(to, "replaying");
    let mut tried = Tried { from, to, ..Tried::default() };
    // From genesis: what was in force, and current, follows from everything before.
    let mut batches = chain::from_node(source, 0, to);
    let mut audit = Audit::default();
    while let Some(batch) = batches.recv().await {
        let entries = match batch {
            Ok(entries) => entries,
            Err(Unread::Failed(failure)) => return Err(failure),
            Err(Unread::Damaged { seq, why }) => {
                return Err(Failure::new(Exit::No, format!("entry {seq}: {why}")));
            }
        };
        for entry in entries {
            let Ok(header) = Header::decode(&entry.header) else { continue };
            let Ok(record) = canonical::decode(&entry.record) else { continue };
            let audited = audit.push(&header, &record.body);
            bar.set_position(header.seq + 1);
            if let Some(audited) = audited.filter(|audited| audited.seq >= from) {
                tried.findings.extend(audited.findings.iter().map(|what| (audited.seq, what.clone())));
                let Some(inputs) = audited.inputs else { continue };
                tried.promotions += 1;
                let route = policy
                    .route(&inputs)
                    .map_err(|error| Failure::new(Exit::No, format!("entry {}: {error}", audited.seq)))?;
                if route.tier == audited.tier {
                    continue;
                }
                match (policy.place(&audited.tier), policy.place(&route.tier)) {
                    (Some(recorded), Some(now)) if now > recorded => tried.higher += 1,
                    (Some(_), Some(_)) => tried.lower += 1,
                    _ => tried.incomparable += 1,
                }
                tried.other.push(Other {
                    seq: audited.seq,
                    model: inputs.candidate.model.clone(),
                    recorded: audited.tier,
                    tried: route.tier,
                    rules: route.matched.into_iter().map(|matched| matched.rule).collect(),
                });
            }
        }
    }
    bar.finish_and_clear();
    Ok(tried)
}

/// Runs the command.
///
/// # Errors
/// If a file or the ledger cannot be read.
pub async fn run(args: &Args, format: Format) -> Result {
    let policy = match file::load(&args.file, format)? {
        Ok(policy) => policy,
        Err(exit) => return Ok(exit),
    };
    let source = Arc::new(Source::open(&args.source).await?);
    let tried = tried(&policy, source, args.from, args.to).await?;
    match format {
        Format::Json => output::json(&tried),
        Format::Text => text(&policy, &tried),
    }
    Ok(if tried.findings.is_empty() { Exit::Ok } else { Exit::No })
}

fn text(policy: &Policy, tried: &Tried) {
    say!(
        "{} version {} against entries {} to {}: {} promotions with routing inputs",
        policy.id(),
        policy.version(),
        tried.from,
        tried.to,
        tried.promotions
    );
    for other in &tried.other {
        say!(
            "  entry {:<6} {}: recorded {}, now {} ({})",
            other.seq,
            other.model,
            other.recorded,
            other.tried,
            other.rules.join(", ")
        );
    }
    say!("  {} higher, {} lower, {} incomparable", tried.higher, tried.lower, tried.incomparable);
    match tried.findings.len() {
        0 => say!("  every recorded route follows from the policy then in force and its frozen inputs"),
        n => say!("  {} {n} recorded routes do not follow from their inputs:", coloured("31", "finding:")),
    }
    for (seq, what) in &tried.findings {
        say!("  entry {seq}: {what}");
    }
}
