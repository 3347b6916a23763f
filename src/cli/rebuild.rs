//! `rebuild`: drops the projections of a stopped node and folds them again; or makes the whole ledger anew.

use std::path::PathBuf;

use crate::{
    ledger::store::{self, Store},
    projection::{
        fold::View,
        worker::{self, Extent},
    },
};

use super::{
    from_archive::{self, FromArchiveArgs},
    output::{self, Exit, Failure, Format, Result, say},
    progress,
};

/// Drop the projections of a stopped node and fold them again, or make its ledger anew from the archive.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger rebuild --dir ledger\n  promotion-ledger rebuild --from-archive --dir new --evidence /mnt/evidence --ledger-id 5f…e1\n\nEntries and records are only read. The digests of two rebuilds are equal, on every node of the ledger.\nTo make the whole directory again from a Kafka topic, start a node with the same configuration and keys and no\n`ledger` directory in it: it takes everything from the topic, and its head comes out equal. Where the topic is gone as well, --from-archive\nmakes the directory from the archive in the evidence store, and verifies all of it on the way; `republish` then\nwrites it onto a new topic."
)]
pub struct Args {
    /// Directory of the stopped node; with --from-archive a new one, or one that holds a configuration and keys alone
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    archive: FromArchiveArgs,
}

/// Runs the command.
pub async fn run(args: &Args, format: Format) -> Result {
    if args.archive.from_archive {
        return from_archive::run(&args.dir, &args.archive, format).await;
    }
    let (size, before, after) = tokio::task::block_in_place(|| rebuild(args))?;
    let same = before == after;
    match format {
        Format::Json => {
            let view = |extent: &Extent| serde_json::json!({ "view": extent.view.name(), "rows": extent.rows, "digest": extent.digest.to_string() });
            output::json(&serde_json::json!({
                "entries": size, "views": after.iter().map(view).collect::<Vec<_>>(), "same_as_before": same,
            }));
        }
        Format::Text => {
            say!("Folded {size} entries again:");
            for extent in &after {
                say!("  {:<8} {:>10} rows, digest {}", extent.view.name(), extent.rows, extent.digest);
            }
            let compared = if same {
                "The rows are the same as before."
            } else {
                "The rows were other ones, or fewer, before."
            };
            say!("{compared}");
        }
    }
    Ok(Exit::Ok)
}

fn rebuild(args: &Args) -> Result<(u64, Vec<Extent>, Vec<Extent>)> {
    let path = args.dir.join("ledger");
    if !path.is_dir() {
        return Err(Failure::usage(format!(
            "{} holds no ledger; give the directory of a node",
            args.dir.display()
        )));
    }
    let failed = |error: store::Error| Failure::new(Exit::Internal, error.to_string());
    let store = Store::open(&path).map_err(failed)?;
    let state = store.state().map_err(failed)?;
    let size = state.ok_or_else(|| Failure::usage(format!("{} holds no ledger", args.dir.display())))?.size();
    let before = worker::extents(&store).map_err(failed)?;
    let views = View::ALL.len() as u64;
    let bar = progress::bar(size * views, "folding");
    let done = |view: View, folded: u64| {
        let earlier = View::ALL.iter().take_while(|other| **other != view).count() as u64;
        bar.set_position(earlier * size + folded);
    };
    worker::rebuild(&store, size, done).map_err(failed)?;
    bar.finish_and_clear();
    Ok((size, before, worker::extents(&store).map_err(failed)?))
}
