//! `gate coverage` and `gate break-glass-list`: what the ledger does not know yet.

use super::target::NodeArgs;
use crate::{
    cli::{
        list::print_table,
        output::{self, Exit, Format, Result, say},
        six_fields,
        submit::{request, retrying},
    },
    event::proto::{Coverage, GetCoverageRequest, ListBreakGlassRequest, SlotCoverage},
};

/// Arguments of `gate coverage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environment; all without it
    #[arg(long, env = "GATE_ENVIRONMENT", default_value = "")]
    environment: String,
    /// Model; all without it
    #[arg(long, default_value = "")]
    model: String,
    #[command(flatten)]
    node: NodeArgs,
}

/// Arguments of `gate break-glass-list`.
#[derive(Debug, clap::Args)]
pub struct Emergencies {
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs `gate coverage`. Exit code 1 if anything is not promoted.
pub async fn run(args: Args, format: Format) -> Result {
    let client = args.node.open().await?.service();
    let answer = retrying(|| {
        let mut client = client.clone();
        let (environment, model) = (args.environment.clone(), args.model.clone());
        async move { client.get_coverage(request(GetCoverageRequest { environment, model })).await }
    });
    let answer = answer.await?;
    let count = |wanted: Coverage| answer.slots.iter().filter(|slot| slot.coverage() == wanted).count();
    let promoted = count(Coverage::Promoted);
    let undocumented = count(Coverage::Undocumented) + count(Coverage::SunsetPast);
    let unknown = count(Coverage::Unspecified);
    match format {
        Format::Json => output::json(&serde_json::json!({
            "promoted": promoted, "undocumented": undocumented, "unknown": unknown, "slots": answer.slots,
            "as_of_size": answer.as_of_size,
        })),
        Format::Text => {
            let mut rows = vec![["slot", "coverage", "what", "mode"].map(str::to_owned)];
            rows.extend(answer.slots.iter().map(row));
            print_table(&rows);
            say!(
                "{promoted} promoted, {undocumented} undocumented, {unknown} unknown; {} entries",
                answer.as_of_size
            );
        }
    }
    let open = answer.slots.iter().any(|slot| !slot.break_glass.is_empty());
    Ok(if undocumented + unknown == 0 && !open { Exit::Ok } else { Exit::No })
}

fn row(covered: &SlotCoverage) -> [String; 4] {
    let words = match covered.coverage() {
        Coverage::Promoted => "promoted".to_owned(),
        Coverage::Undocumented => format!("undocumented until {}", output::utc(covered.sunset)),
        Coverage::SunsetPast => format!("undocumented, REFUSED since {}", output::utc(covered.sunset)),
        Coverage::Unspecified => "unknown: nothing recorded stands there".to_owned(),
    };
    let version = covered.version.as_ref().map(|it| format!("{} {}", it.name, it.version));
    let seq = covered.seq.map(|seq| format!(" (entry {seq})")).unwrap_or_default();
    let emergencies = match covered.break_glass.as_slice() {
        [] => String::new(),
        seqs => format!("; BREAK-GLASS {}", seqs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    };
    [
        six_fields::slot(covered.slot.as_ref()),
        words,
        format!("{}{seq}{emergencies}", version.unwrap_or_else(|| "-".into())),
        covered.mode().as_str_name().trim_start_matches("GATE_MODE_").to_lowercase(),
    ]
}

/// Runs `gate break-glass-list`. Exit code 1 if there is one.
pub async fn emergencies(args: Emergencies, format: Format) -> Result {
    let client = args.node.open().await?.service();
    let answer = retrying(|| {
        let mut client = client.clone();
        async move { client.list_break_glass(request(ListBreakGlassRequest {})).await }
    });
    let answer = answer.await?;
    match format {
        Format::Json => output::json(&answer),
        Format::Text => {
            for entry in &answer.entries {
                let event = entry.event.clone().unwrap_or_default();
                let state = if entry.expired { "expired" } else { "in force" };
                say!("entry {:<8} {state} until {}", entry.seq, output::utc(event.expires_at));
                say!("  slot      {}", six_fields::slot(event.slot.as_ref()));
                say!("  artefact  {}", hex::encode(&event.artifact_sha256));
                say!("  group     {}", event.group);
            }
            say!("{} emergencies that no promotion covers", answer.entries.len());
        }
    }
    Ok(if answer.entries.is_empty() { Exit::Ok } else { Exit::No })
}
