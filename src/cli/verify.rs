//! `verify`: recomputes a ledger from genesis, or checks one receipt.
//!
//! A stopped node's directory is read directly, without its keys, so that a copy of it is enough. The key of
//! checkpoints is the one in genesis, never one that a server names.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_stream::StreamExt as _;

use crate::{
    config::{Config, FILE_NAME},
    event::{Digest, proto::GetCheckpointRequest},
    ledger::{
        ledger::CheckpointFile,
        remembered::Remembered,
        replay::{Historic, Replay},
        store::Store,
    },
    proof::{
        checkpoint::LogKey,
        verify::{Depth as Hashing, Verifier},
    },
    witness::kept,
};

use super::{
    chain,
    output::{Exit, Failure, Format, Result},
    progress, receipt,
    seen::Seen,
    source::{Source, SourceArgs},
    verification::{self, Depth, Named, Verification},
    verify_bundle,
};

mod opened;
mod report;
mod vouched;

use vouched::{Found, Who};

/// How often a run that goes on keeps how far it has come.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Recompute the ledger from genesis, or check a receipt.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger verify --dir ledger --ledger-id 5f…e1\n  promotion-ledger verify --url http://127.0.0.1:7420 --depth signatures --checkpoint kept.txt\n  promotion-ledger verify --url http://127.0.0.1:7420 --depth signatures --incremental --since kept.txt\n  promotion-ledger verify bundle.zip --key log.vkey\n  promotion-ledger verify --receipt receipt.txt --key 'ledger.example.bank/credit+1a2b3c4d+AbC…'\n\nWithout --ledger-id a directory is compared with the ledger_id in its configuration, a node with nothing:\ncompare the one that is printed with the one you know. The largest checkpoint that held is kept in\n$XDG_STATE_HOME/promotion-ledger; a ledger that is smaller later, or holds something else, is refused. Of the checkpoints that a node\nkept, at most 4,096 time-stamped and 4,096 cosigned ones are read, and 512 of an anchor's: evenly spread, always the newest; the\nreport says how many there are. With --url and --depth rules, memory grows by about\n300 bytes for each entry; everything else takes the same memory however long the ledger is."
)]
pub struct Args {
    /// An examiner bundle, as `export` writes it: checked offline, with nothing but what is in it
    bundle: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// How much is recomputed
    #[arg(long, value_enum, default_value_t = Depth::Rules)]
    depth: Depth,
    /// The ledger_id that you know (64 hexadecimal digits); another genesis is tampering
    #[arg(long, value_name = "HEX")]
    ledger_id: Option<String>,
    /// A checkpoint that you kept: the ledger must be at least as long, and still hold what it says
    #[arg(long, visible_alias = "since", value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Check only what is new since the last good run on this computer, and that it continues the ledger that was
    /// checked then; needs --depth hashes or signatures
    #[arg(long)]
    incremental: bool,
    /// Also open the sealed logins of approvers and verify them again: the identity provider's signature, the nonce that
    /// commits to the decision, the answers. Needs the subject records and their key, or a node that opens them; logged
    #[arg(long)]
    unseal: bool,
    /// Threads; all processors if not given
    #[arg(long)]
    threads: Option<usize>,
    /// The bucket in which checkpoints are anchored: s3://BUCKET[/PREFIX], reached as AWS tools do, or a TOML file with the
    /// settings of [witnesses.anchor.s3], for instance a node's promotion-ledger.toml. A ledger that is behind it or
    /// contradicts it does not hold
    #[arg(long, value_name = "WHERE", conflicts_with = "bundle", conflicts_with = "receipt")]
    anchor: Option<String>,
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
    incremental: bool,
    unseal: bool,
    /// Whether this computer's own checkpoints are read and kept.
    remember: bool,
    /// Whose word counts for the age of entries.
    who: Who,
}

impl Given {
    /// Before the first entry: what to compare with, and where to go on.
    fn prepare(&self, done: &mut Verification, key: &LogKey, found: Found) -> Result<()> {
        self.who.compare(found, key, done);
        if let Some((from, note)) = &self.kept {
            done.compare_with(from, note, key);
        }
        let Some(seen) = self.seen(done) else { return Ok(()) };
        if let Some((path, note)) = seen.checkpoint()? {
            done.compare_with(&format!("an earlier run ({})", path.display()), &note, key);
        }
        let hashing = if self.depth == Depth::Hashes { Hashing::Hashes } else { Hashing::Signatures };
        if let Some(position) = seen.position(hashing).filter(|_| self.incremental) {
            done.resume(position);
        }
        Ok(())
    }

    /// What this computer keeps of the ledger, where it is read and kept.
    fn seen(&self, done: &Verification) -> Option<Seen> {
        Seen::of(&done.ledger_id?).filter(|_| self.remember)
    }

    /// On the way: keeps now and then how far it has come, so that a run that breaks off is not lost.
    fn reached(&self, seen: Option<Seen>) -> impl FnMut(&Verifier) -> Result<()> {
        let mut kept = None::<Instant>;
        move |verifier| {
            let due = kept.is_none_or(|kept| kept.elapsed() >= KEEP_EVERY);
            let Some(seen) = seen.as_ref().filter(|_| due) else { return Ok(()) };
            kept = Some(Instant::now());
            verifier.position().map_or(Ok(()), |position| seen.keep_unfinished(&position))
        }
    }

    /// At the end: keeps what held, or the two checkpoints that contradict each other.
    fn remember(&self, done: &mut Verification) -> Result<()> {
        let Some(seen) = self.seen(done) else { return Ok(()) };
        if done.found.is_some() {
            if let Some(position) = done.verifier.position() {
                seen.forget_unfinished(position.depth())?;
            }
            if let Some([one, other]) = done.contradicting() {
                let path = seen.split_view([&one.note, &other.note])?;
                done.split_view = Some(path.display().to_string());
            }
            return Ok(());
        }
        if let Some(newest) = done.agreed.iter().max_by_key(|named| named.checkpoint.size) {
            seen.keep(&newest.note, &newest.checkpoint)?;
        }
        done.verifier.position().map_or(Ok(()), |position| seen.keep_position(&position))
    }
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    if args.receipt.receipt.is_some() {
        return receipt::run(&args.receipt, format);
    }
    if let Some(bundle) = &args.bundle {
        let (key, witnesses, roots) = args.receipt.known();
        let known = verify_bundle::known(args.ledger_id.as_deref(), key, witnesses, roots)?;
        return tokio::task::block_in_place(|| verify_bundle::run(bundle, &known, format));
    }
    if args.receipt.known().0.is_some() {
        return Err(Failure::usage(
            "--key goes with --receipt or a bundle; a ledger's own genesis names its key",
        ));
    }
    let mut given = given(&args)?;
    // Fails only where a pool is there already, in a process that embeds this.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(given.threads).build_global();
    let mut done = match &args.source.dir {
        Some(dir) => tokio::task::block_in_place(|| directory(dir, &mut given))?,
        None => node(&args.source, &given).await?,
    };
    given.remember(&mut done)?;
    match format {
        Format::Json => report::json(&done, given.pinned, &given.who),
        Format::Text => report::text(&done, given.pinned, &given.who),
    }
    let holds = done.found.is_none() && done.routing.is_empty() && done.logins.findings.is_empty();
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
    if args.incremental && args.depth == Depth::Rules {
        return Err(Failure::usage(
            "--incremental needs --depth signatures or --depth hashes: the rules look back at all entries",
        ));
    }
    let (pinned, kept, incremental) = (pinned.transpose()?, kept.transpose()?, args.incremental);
    if args.unseal && args.depth == Depth::Hashes {
        return Err(Failure::usage("--unseal needs --depth signatures or --depth rules"));
    }
    let (depth, unseal) = (args.depth, args.unseal);
    let (_, witnesses, roots) = args.receipt.known();
    let who = Who::named(witnesses, roots, args.anchor.as_deref())?;
    Ok(Given { depth, pinned, kept, threads, incremental, unseal, remember: true, who })
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
    done.ledger_id = genesis.as_ref().map(|(ledger_id, _)| *ledger_id);
    if let Some((ledger_id, key)) = &genesis {
        let published = CheckpointFile::largest(dir, key)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let found = found_beside(dir, *ledger_id, given)?;
        let kept = found.kept.iter().map(|kept| kept.tree_size).max();
        let seen = published.as_ref().map(|(_, published)| published.size).max(kept);
        if seen.is_some_and(|seen| seen > size) || found.anchored.is_some() {
            // Perhaps a node is writing to it: what others were shown may be newer than what was opened above.
            let again = Store::open_read_only(&path).and_then(|store| Ok((store.state()?, store)));
            if let Ok((Some(state), again)) = again {
                (store, size) = (Arc::new(again), state.size());
            }
        }
        let named = |(note, checkpoint)| Named {
            from: "the node's directory".into(),
            note,
            checkpoint,
            dated: Vec::new(),
            silent: false,
        };
        done.checkpoints.extend(published.map(named));
        given.prepare(&mut done, key, found)?;
    }
    if let Some(ledger_id) = done.ledger_id.filter(|_| given.unseal) {
        done.logins.opening(opened::by_directory(dir, ledger_id)?);
    }
    let replay = genesis.filter(|_| given.depth == Depth::Rules);
    let replay = replay.map(|(ledger_id, _)| Replay::new(ledger_id, Historic::new(&store)));
    let from = done.verifier.size();
    let reached = given.reached(given.seen(&done));
    done.run(chain::from_store(&store, from, size), replay, &progress::bar(size, "verifying"), reached)?;
    if store.header(size).is_ok_and(|header| header.is_some()) {
        done.note(Some(size), "it stands behind the end of the ledger");
    }
    if let Some(from) = done.doubtful_from().filter(|_| done.found.is_none()) {
        done.doubt(chain::from_store(&store, from, size))?;
    }
    Ok(done)
}

/// What others saw of the ledger in a directory: its own files, and the anchor where one was named.
fn found_beside(dir: &Path, ledger_id: Digest, given: &Given) -> Result<Found> {
    let anchored = match given.who.has_anchor() {
        true => tokio::runtime::Handle::current().block_on(given.who.anchored(ledger_id))?,
        false => None,
    };
    Ok(Found { kept: kept::kept(dir).collect(), anchored })
}

/// The same of a node, asked before its newest checkpoint is.
async fn found_at(source: &Source, ledger_id: Option<Digest>, given: &Given) -> Result<Found> {
    let mut kept = Vec::new();
    let mut listed = match source.list_checkpoints().await {
        Ok(listed) => listed,
        // A node from before this call.
        Err(status) if status.code() == tonic::Code::Unimplemented => Box::pin(tokio_stream::empty()),
        Err(status) => return Err(status.into()),
    };
    while let Some(one) = listed.next().await {
        kept.push(one?);
    }
    let anchored = match ledger_id {
        Some(ledger_id) => given.who.anchored(ledger_id).await?,
        None => None,
    };
    Ok(Found { kept, anchored })
}

/// Verifies what a node serves.
async fn node(args: &SourceArgs, given: &Given) -> Result<Verification> {
    let source = Arc::new(Source::open(args).await?);
    let first = chain::from_node(source.clone(), 0, 1).recv().await;
    if let Some(Err(chain::Unread::Failed(failure))) = first {
        return Err(failure);
    }
    let genesis = verification::genesis(first, given.pinned);
    let found = found_at(&source, genesis.as_ref().map(|(ledger_id, _)| *ledger_id), given).await?;
    let note = source.get_checkpoint(GetCheckpointRequest {}).await?.checkpoint;
    tokio::task::block_in_place(|| {
        let mut done = Verification::new(given.depth, given.pinned, given.threads);
        done.ledger_id = genesis.as_ref().map(|(ledger_id, _)| *ledger_id);
        if let Some((_, key)) = &genesis {
            done.compare_with("the node", &note, key);
            given.prepare(&mut done, key, found)?;
        }
        if given.unseal {
            done.logins.opening(opened::by_node(source.clone()));
        }
        // As far as the node's own checkpoint; at least genesis, so that what is wrong with it is found.
        let size = done.checkpoints.first().map_or(1, |named| named.checkpoint.size);
        let replay = genesis.filter(|_| given.depth == Depth::Rules);
        let replay = replay.map(|(ledger_id, _)| Replay::new(ledger_id, Remembered::default()));
        let from = done.verifier.size();
        let (bar, reached) = (progress::bar(size, "verifying"), given.reached(given.seen(&done)));
        done.run(chain::from_node(source.clone(), from, size), replay, &bar, reached)?;
        if let Some(from) = done.doubtful_from().filter(|_| done.found.is_none()) {
            done.doubt(chain::from_node(source.clone(), from, size))?;
        }
        Ok(done)
    })
}

#[cfg(test)]
mod tests;
