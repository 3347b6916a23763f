//! `gate status-list`: the list that decides while no node can be reached.

use std::path::PathBuf;

use super::target::NodeArgs;
use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, say},
        submit::{log_key, request, retrying},
    },
    event::proto::GetStatusListRequest,
    proof::{checkpoint::LogKey, status_list},
};

/// Arguments of `gate status-list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Environment, for instance production
    #[arg(long, env = "GATE_ENVIRONMENT")]
    environment: String,
    /// Model; without it all of the environment's
    #[arg(long, default_value = "")]
    model: String,
    /// Hours for which the list may be used, at most 720
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    valid_for: u32,
    /// Where the list goes
    #[arg(short, long)]
    output: PathBuf,
    /// The log key to verify the list with, instead of the one that the node says
    #[arg(long, env = "PROMOTION_LEDGER_LOG_KEY", value_name = "VKEY")]
    log_key: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let client = args.node.open().await?.service();
    let answer = retrying(|| {
        let mut client = client.clone();
        let message = GetStatusListRequest {
            environment: args.environment.clone(),
            model: args.model.clone(),
            valid_seconds: args.valid_for.saturating_mul(3600),
        };
        async move { client.get_status_list(request(message)).await }
    });
    let note = answer.await?.status_list;
    let key: LogKey =
        log_key(&crate::cli::source::connect(Some(&args.node.url)).await?, args.log_key.as_deref()).await?;
    let list = status_list::open(&note, &key).map_err(|error| Failure::new(Exit::No, error.to_string()))?;
    // A gate that reads the list never sees half of one.
    let part = args.output.with_extension("part");
    let written = std::fs::write(&part, &note).and_then(|()| std::fs::rename(&part, &args.output));
    written.map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", args.output.display())))?;
    match format {
        Format::Json => output::json(&serde_json::json!({ "head": list.head, "lines": list.lines.len() })),
        Format::Text => {
            say!("{} artefacts of {}, {} entries", list.lines.len(), args.environment, list.head.size);
            say!("  may be used until  {}", output::utc(list.head.fresh_until));
            say!("  written to         {}", args.output.display());
        }
    }
    Ok(Exit::Ok)
}
