//! `proof`: asks for an inclusion or consistency proof, checks it here, and prints it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    event::{
        Digest, Header, Seq,
        proto::{
            GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest, GetTimestampsRequest,
        },
    },
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        receipt::Receipt,
        timestamp, tree,
    },
};

use super::{
    log_key,
    output::{self, Exit, Failure, Format, Result, coloured, say},
    source::{Source, SourceArgs},
    verify_bundle,
};

/// Prove that an entry is in the ledger, or that one checkpoint continues another.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger proof inclusion 7 --output entry-7.tlog-proof\n  promotion-ledger proof inclusion 7 --checkpoint kept.txt --key log.vkey\n  promotion-ledger proof timestamp 7 --tsa root.pem -o stamped\n  promotion-ledger proof consistency --since kept.txt\n  promotion-ledger proof consistency --since kept.txt --until newer.txt --format json\n\nEvery proof is checked here, against checkpoints whose signature was checked. Exit code 1 if it does not hold."
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// That an entry is in the tree of a checkpoint
    Inclusion {
        /// The entry
        seq: Seq,
        /// A checkpoint that you kept; otherwise the newest one
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Write the proof here, as a C2SP tlog-proof that verifies offline
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        from: Asked,
    },
    /// When an entry was there at the latest: a time-stamped checkpoint over it (RFC 3161), and the entry's receipt under it
    Timestamp {
        /// The entry
        seq: Seq,
        /// The root of the time-stamp authority, PEM
        #[arg(long, value_name = "FILE")]
        tsa: PathBuf,
        /// Write `entry-SEQ.tlog-proof` and `entry-SEQ.tsr` into this directory
        #[arg(long, short, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        from: Asked,
    },
    /// That the tree of one checkpoint begins with the tree of another
    Consistency {
        /// The older checkpoint
        #[arg(long, value_name = "FILE")]
        since: PathBuf,
        /// The newer checkpoint; otherwise the newest one
        #[arg(long, value_name = "FILE")]
        until: Option<PathBuf>,
        #[command(flatten)]
        from: Asked,
    },
}

#[derive(Debug, clap::Args)]
struct Asked {
    /// The ledger's log key: a file with it, or the line itself; otherwise the one in the ledger's genesis
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.command {
        Command::Inclusion { seq, checkpoint, output, from } => {
            inclusion(seq, checkpoint, output, from, format).await
        }
        Command::Timestamp { seq, tsa, output, from } => timestamp_of(seq, &tsa, &output, from, format).await,
        Command::Consistency { since, until, from } => consistency(since, until, from, format).await,
    }
}

async fn open(from: &Asked) -> Result<(Arc<Source>, LogKey)> {
    let source = Arc::new(Source::open(&from.source).await?);
    let (key, _) = log_key::of(&source, from.key.as_deref()).await?;
    Ok((source, key))
}

/// The note in a file, or the newest one of the source; its signature is checked.
async fn signed(source: &Source, file: Option<&PathBuf>, key: &LogKey) -> Result<(String, Checkpoint)> {
    let (from, note) = match file {
        Some(path) => {
            let note = std::fs::read_to_string(path);
            let from = path.display().to_string();
            let note = note.map_err(|error| Failure::usage(format!("{from}: {error}")))?;
            (from, note)
        }
        None => ("the node".to_owned(), source.get_checkpoint(GetCheckpointRequest {}).await?.checkpoint),
    };
    let opened = checkpoint::open(&note, key)
        .map_err(|error| Failure::new(Exit::No, format!("the checkpoint from {from}: {error}")))?;
    Ok((note, opened))
}

fn hashes(bytes: &[Vec<u8>]) -> Result<Vec<Digest>> {
    let read = bytes.iter().map(|hash| Digest::from_slice(hash)).collect::<Option<_>>();
    read.ok_or_else(|| Failure::new(Exit::No, "the proof has a hash that has not 32 bytes"))
}

fn does_not_hold(error: tree::Error) -> Failure {
    Failure::new(Exit::No, format!("the proof does not hold: {error}"))
}

async fn inclusion(
    seq: Seq,
    checkpoint: Option<PathBuf>,
    output: Option<PathBuf>,
    from: Asked,
    format: Format,
) -> Result {
    let (source, key) = open(&from).await?;
    let (note, tree) = signed(&source, checkpoint.as_ref(), &key).await?;
    let request = GetInclusionProofRequest { seq, tree_size: tree.size };
    let answer = source.get_inclusion_proof(request).await?;
    let path = hashes(&answer.hashes)?;
    let header = Header::decode(&answer.header)
        .map_err(|error| Failure::new(Exit::No, format!("the entry's header: {error}")))?;
    let bytes = header.encode();
    let leaf = tree::leaf_hash(&bytes);
    if header.seq != seq {
        return Err(Failure::new(Exit::No, format!("the header is entry {}, not {seq}", header.seq)));
    }
    tree::check_inclusion(leaf, seq, tree.size, &path, &tree.root).map_err(does_not_hold)?;
    if let Some(file) = output {
        let receipt = Receipt { header: bytes, index: seq, path: path.clone(), checkpoint: note };
        std::fs::write(&file, receipt.to_text())
            .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", file.display())))?;
    }
    match format {
        Format::Json => output::json(&serde_json::json!({
            "verified": true, "seq": seq, "leaf_hash": leaf.to_string(), "event_digest": header.event_digest.to_string(),
            "tree_size": tree.size, "root": tree.root.to_string(), "hashes": texts(&path),
        })),
        Format::Text => {
            say!(
                "{} entry {seq} is in the tree of {} entries.",
                coloured("32", "The proof holds:"),
                tree.size
            );
            say!("  leaf hash     {leaf}");
            print_path(&path, &tree, &key);
        }
    }
    Ok(Exit::Ok)
}

async fn timestamp_of(seq: Seq, tsa: &Path, output: &Path, from: Asked, format: Format) -> Result {
    let (source, key) = open(&from).await?;
    let no = |what: String| Failure::new(Exit::No, what);
    let root = verify_bundle::root(tsa)?;
    let around = source.get_timestamps(GetTimestampsRequest { seq }).await?.stamped;
    let stamped = around.into_iter().find(|stamped| stamped.tree_size > seq);
    let stamped = stamped.ok_or_else(|| no(format!("no checkpoint over entry {seq} was time-stamped")))?;
    let verified = stamped
        .timestamps
        .iter()
        .map(|answer| timestamp::verify(answer, &stamped.checkpoint, &root).map(|time| (time, answer)));
    let (time, answer) = verified
        .reduce(|found, next| found.or(next))
        .ok_or_else(|| no("the checkpoint is there without a time-stamp".into()))?
        .map_err(|error| no(format!("the time-stamp does not hold: {error}")))?;
    let request = GetInclusionProofRequest { seq, tree_size: stamped.tree_size };
    let proof = source.get_inclusion_proof(request).await?;
    let header = Header::decode(&proof.header).map_err(|error| no(format!("the entry's header: {error}")))?;
    let (path, checkpoint) = (hashes(&proof.hashes)?, stamped.checkpoint.clone());
    let receipt = Receipt { header: header.encode(), index: seq, path, checkpoint };
    receipt.verify(&key).map_err(|error| no(error.to_string()))?;
    let write = |name: String, bytes: &[u8]| {
        let path = output.join(name);
        let written = std::fs::create_dir_all(output).and_then(|()| std::fs::write(&path, bytes));
        written.map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))
    };
    write(format!("entry-{seq}.tlog-proof"), receipt.to_text().as_bytes())?;
    write(format!("entry-{seq}.tsr"), answer)?;
    match format {
        Format::Json => output::json(
            &serde_json::json!({ "verified": true, "seq": seq, "stamped_at": time, "tree_size": stamped.tree_size }),
        ),
        Format::Text => {
            say!("{} entry {seq} was there at {}", coloured("32", "The time-stamp holds:"), output::utc(time))
        }
    }
    Ok(Exit::Ok)
}

async fn consistency(since: PathBuf, until: Option<PathBuf>, from: Asked, format: Format) -> Result {
    let (source, key) = open(&from).await?;
    let (_, old) = signed(&source, Some(&since), &key).await?;
    let (_, new) = signed(&source, until.as_ref(), &key).await?;
    if old.size > new.size {
        let what = format!(
            "the older checkpoint is for {} entries, the newer one for {}: they were cut off, or the two are swapped",
            old.size, new.size
        );
        return Err(Failure::new(Exit::No, what));
    }
    let request = GetConsistencyProofRequest { old_size: old.size, new_size: new.size };
    let path = hashes(&source.get_consistency_proof(request).await?.hashes)?;
    tree::check_consistency((old.size, &old.root), (new.size, &new.root), &path).map_err(does_not_hold)?;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "verified": true, "old_size": old.size, "old_root": old.root.to_string(), "new_size": new.size,
            "new_root": new.root.to_string(), "hashes": texts(&path),
        })),
        Format::Text => {
            let holds = coloured("32", "The proof holds:");
            say!("{holds} the tree of {} entries begins with that of {}.", new.size, old.size);
            say!("  older root    {}", old.root);
            print_path(&path, &new, &key);
        }
    }
    Ok(Exit::Ok)
}

fn texts(path: &[Digest]) -> Vec<String> {
    path.iter().map(Digest::to_string).collect()
}

fn print_path(path: &[Digest], tree: &Checkpoint, key: &LogKey) {
    say!("  root          {}", tree.root);
    for (i, hash) in path.iter().enumerate() {
        say!("  {:<13} {hash}", if i == 0 { "hashes" } else { "" });
    }
    say!("  signed by     {}", key.vkey());
}
