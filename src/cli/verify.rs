//! `verify`: recomputes a ledger from genesis, or checks one receipt.
//!
//! A stopped node's directory is read directly, without its keys, so that a copy of it is enough. The key of
//! checkpoints is the one in genesis, never one that a server names.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{Config, FILE_NAME},
    event::{Digest, proto::GetCheckpointRequest},
    ledger::{
        ledger::CheckpointFile,
        replay::{Historic, Remembered, Replay},
        store::Store,
    },
};

use super::{
    chain,
    output::{self, Exit, Failure, Format, Result, coloured, say},
    progress, receipt,
    source::{Source, SourceArgs},
    verification::{self, Depth, Named, Verification},
};

/// Entries in doubt that are printed as text.
const IN_DOUBT_SHOWN: usize = 20;

/// Recompute the ledger from genesis, or check a receipt.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger verify --dir ledger --ledger-id 5f…e1\n  promotion-ledger verify --url http://127.0.0.1:7420 --depth signatures --checkpoint kept.txt\n  promotion-ledger verify --receipt receipt.txt --key 'ledger.example.bank/credit+1a2b3c4d+AbC…'\n\nWithout --ledger-id a directory is compared with the ledger_id in its configuration, a node with nothing:\ncompare the one that is printed with the one you know. With --url and --depth rules, memory grows by about\n300 bytes for each entry; everything else takes the same memory however long the ledger is."
)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// How much is recomputed
    #[arg(long, value_enum, default_value_t = Depth::Rules)]
    depth: Depth,
    /// The ledger_id that you know (64 hexadecimal digits); another genesis is tampering
    #[arg(long, value_name = "HEX")]
    ledger_id: Option<String>,
    /// A checkpoint that you kept: the ledger must still hold what it says
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Threads; all processors if not given
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    receipt: receipt::ReceiptArgs,
}

/// What to verify with.
struct Given {
    depth: Depth,
    pinned: Option<Digest>,
    /// A signed note, and where it came from.
    kept: Option<(String, String)>,
    threads: usize,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    if args.receipt.receipt.is_some() {
        return receipt::run(&args.receipt, format);
    }
    let mut given = given(&args)?;
    // Fails only where a pool is there already, in a process that embeds this.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(given.threads).build_global();
    let done = match &args.source.dir {
        Some(dir) => tokio::task::block_in_place(|| directory(dir, &mut given))?,
        None => node(&args.source, &given).await?,
    };
    match format {
        Format::Json => json(&done, given.pinned),
        Format::Text => text(&done, given.pinned),
    }
    let holds = done.found.is_none() && done.routing.is_empty();
    Ok(if holds { Exit::Ok } else { Exit::No })
}

fn given(args: &Args) -> Result<Given> {
    let pinned = args.ledger_id.as_deref().map(|text| {
        Digest::from_hex(text)
            .ok_or_else(|| Failure::usage(format!("--ledger-id {text} is not 64 hexadecimal digits")))
    });
    let kept = args.checkpoint.as_ref().map(|path| {
        let read = std::fs::read_to_string(path).map(|note| (path.display().to_string(), note));
        read.map_err(|error| Failure::usage(format!("--checkpoint {}: {error}", path.display())))
    });
    let threads = args.threads.or_else(|| std::thread::available_parallelism().map(usize::from).ok());
    let threads = threads.unwrap_or(1).max(1);
    Ok(Given { depth: args.depth, pinned: pinned.transpose()?, kept: kept.transpose()?, threads })
}

/// Verifies a directory that no node is writing to. Needs none of its keys.
fn directory(dir: &Path, given: &mut Given) -> Result<Verification> {
    let path = dir.join("ledger");
    if !path.is_dir() {
        return Err(Failure::usage(format!(
            "{} holds no ledger; give the directory of a node",
            dir.display()
        )));
    }
    if given.pinned.is_none() && dir.join(FILE_NAME).exists() {
        let config = Config::load(dir, serde_json::Map::new()).and_then(|config| config.pinned());
        given.pinned = Some(config.map_err(|error| Failure::usage(error.to_string()))?);
    }
    let mut done = Verification::new(given.depth, given.pinned, given.threads);
    let opened = Store::open_read_only(&path).and_then(|store| Ok((store.state()?, Arc::new(store))));
    let (mut store, mut size) = match opened {
        Ok((Some(state), store)) => (store, state.size()),
        Ok((None, _)) => return Err(Failure::usage(format!("{} holds no ledger", dir.display()))),
        Err(error) => {
            done.note(None, error);
            return Ok(done);
        }
    };
    let first = chain::from_store(&store, 0, size.min(1)).blocking_recv();
    let genesis = verification::genesis(first, given.pinned);
    if let Some((_, key)) = &genesis {
        let published = CheckpointFile::largest(dir, key)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        if published.as_ref().is_some_and(|published| published.size > size) {
            // Perhaps a node is writing to it: its checkpoint may be newer than what was opened above.
            let again = Store::open_read_only(&path).and_then(|store| Ok((store.state()?, store)));
            if let Ok((Some(state), again)) = again {
                (store, size) = (Arc::new(again), state.size());
            }
        }
        let named = |checkpoint| Named { from: "the node's directory".into(), checkpoint };
        done.checkpoints.extend(published.map(named));
        if let Some((from, note)) = &given.kept {
            done.compare_with(from, note, key);
        }
    }
    let replay = genesis.filter(|_| given.depth == Depth::Rules);
    let replay = replay.map(|(ledger_id, _)| Replay::new(ledger_id, Historic::new(&store)));
    done.run(chain::from_store(&store, 0, size), replay, &progress::bar(size, "verifying"))?;
    if store.header(size).is_ok_and(|header| header.is_some()) {
        done.note(Some(size), "it stands behind the end of the ledger");
    }
    if let Some(from) = done.doubtful_from().filter(|_| done.found.is_none()) {
        done.doubt(chain::from_store(&store, from, size))?;
    }
    Ok(done)
}

/// Verifies what a node serves.
async fn node(args: &SourceArgs, given: &Given) -> Result<Verification> {
    let source = Arc::new(Source::open(args).await?);
    let note = source.get_checkpoint(GetCheckpointRequest {}).await?.checkpoint;
    let first = chain::from_node(source.clone(), 0, 1).recv().await;
    if let Some(Err(chain::Unread::Failed(failure))) = first {
        return Err(failure);
    }
    tokio::task::block_in_place(|| {
        let mut done = Verification::new(given.depth, given.pinned, given.threads);
        let genesis = verification::genesis(first, given.pinned);
        if let Some((_, key)) = &genesis {
            done.compare_with("the node", &note, key);
            if let Some((from, note)) = &given.kept {
                done.compare_with(from, note, key);
            }
        }
        // As far as the node's own checkpoint; at least genesis, so that what is wrong with it is found.
        let size = done.checkpoints.first().map_or(1, |named| named.checkpoint.size);
        let replay = genesis.filter(|_| given.depth == Depth::Rules);
        let replay = replay.map(|(ledger_id, _)| Replay::new(ledger_id, Remembered::default()));
        done.run(chain::from_node(source.clone(), 0, size), replay, &progress::bar(size, "verifying"))?;
        if let Some(from) = done.doubtful_from().filter(|_| done.found.is_none()) {
            done.doubt(chain::from_node(source.clone(), from, size))?;
        }
        Ok(done)
    })
}

fn json(done: &Verification, pinned: Option<Digest>) {
    let checkpoint = |named: &Named| serde_json::json!({ "from": named.from, "size": named.checkpoint.size, "root": named.checkpoint.root.to_string() });
    output::json(&serde_json::json!({
        "verified": done.found.is_none(),
        "found": done.found,
        "depth": done.depth,
        "origin": done.verifier.log_key().map(|key| key.origin.clone()),
        "ledger_id": done.verifier.ledger_id().map(|id| id.to_string()),
        "ledger_id_pinned": pinned.is_some(),
        "checked": done.summary(),
        "head_link": done.verifier.link().to_string(),
        "root": done.verifier.root().to_string(),
        "checkpoints": done.agreed.iter().map(checkpoint).collect::<Vec<_>>(),
        "in_doubt": done.in_doubt,
        "routed_again": done.routed,
        "routing_findings": done.routing,
        "seconds": done.took().as_secs_f64(),
    }));
}

fn text(done: &Verification, pinned: Option<Digest>) {
    let summary = done.summary();
    let seconds = done.took().as_secs_f64().max(1e-6);
    match &done.found {
        None => say!("{} {} entries, from genesis on.", coloured("32", "The ledger holds:"), summary.entries),
        Some(found) => {
            let entry = found.seq.map(|seq| format!("entry {seq}: ")).unwrap_or_default();
            say!("{} {entry}{}", coloured("31", "The ledger does not hold:"), found.what);
            say!(
                "Before that, {} entries were found good.",
                summary.entries.min(found.seq.unwrap_or(u64::MAX))
            );
        }
    }
    if let Some((id, key)) = done.verifier.ledger_id().zip(done.verifier.log_key()) {
        let known = if pinned.is_some() { "as expected" } else { "compare it with the one you know" };
        say!("  ledger       {}, ledger_id {id} ({known})", key.origin);
    }
    let mb = summary.record_bytes as f64 / 1e6;
    say!(
        "  records      {mb:.2} MB in {seconds:.2} s: {:.1} MB/s, {:.0} entries/s",
        mb / seconds,
        summary.entries as f64 / seconds
    );
    match done.depth {
        Depth::Hashes => say!("  signatures   not checked (--depth hashes)"),
        _ => say!("  signatures   {} good", summary.signatures),
    }
    let [accepted, duplicate, refused, malformed] = summary.outcomes;
    let derived = if done.depth == Depth::Rules { ", each derived again by the rules" } else { "" };
    say!(
        "  outcomes     {accepted} accepted, {duplicate} duplicate, {refused} refused, {malformed} malformed{derived}"
    );
    if done.routed > 0 {
        say!("  routing      {} promotions routed again by the policy then in force", done.routed);
    }
    for found in done.routing.iter().take(IN_DOUBT_SHOWN) {
        let entry = found.seq.map(|seq| format!("entry {seq}: ")).unwrap_or_default();
        say!("  {} {entry}{}", coloured("31", "routing finding:"), found.what);
    }
    for named in &done.agreed {
        let checkpoint = &named.checkpoint;
        say!(
            "  checkpoint   from {}: size {}, root {}, signed by the log key of genesis",
            named.from,
            checkpoint.size,
            checkpoint.root
        );
    }
    if done.agreed.is_empty() && done.found.is_none() {
        say!("  checkpoint   none was there: nothing says that this is the end; give one with --checkpoint");
    }
    say!("  head link    {}", done.verifier.link());
    for (key, since) in &summary.compromised {
        let listed = done.in_doubt.iter().filter(|entry| entry.key_id == key.to_string());
        say!(
            "  {} the key {key} was in wrong hands from entry {since} on; since then it signed:",
            coloured("33", "in doubt")
        );
        for entry in listed.clone().take(IN_DOUBT_SHOWN) {
            say!("               entry {}: {}, {}", entry.seq, entry.kind, entry.outcome);
        }
        if let Some(more) = listed.count().checked_sub(IN_DOUBT_SHOWN).filter(|more| *more > 0) {
            say!("               and {more} more (all with --format json)");
        }
    }
}

#[cfg(test)]
mod tests;
