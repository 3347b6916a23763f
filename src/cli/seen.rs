//! What this computer has seen of a ledger: checkpoints that held, and how far the ledger was verified.
//!
//! `$XDG_STATE_HOME/promotion-ledger/<ledger_id>/` (`~/.local/state` without it) holds `checkpoint-<size>.txt`,
//! `verified-<depth>.bin` (`broken-off-<depth>.bin` while a run goes on), and `split-view-….txt` where two signed checkpoints contradict each other. A ledger that is
//! smaller than its largest checkpoint here, or does not hold what that says, is refused.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    durable,
    event::{Digest, digest},
    ledger::rows,
    proof::{checkpoint::Checkpoint, position::Position, verify::Depth},
};

use super::output::{Exit, Failure, Result};

/// The state of one ledger on this computer.
pub struct Seen {
    dir: PathBuf,
}

/// Where this user's commands keep what they must remember; `None` where no home directory is known.
pub(super) fn state_home() -> Option<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let state =
        absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("promotion-ledger"))
}

impl Seen {
    /// Of a ledger; `None` where no home directory is known, and so nothing is kept.
    pub fn of(ledger_id: &Digest) -> Option<Self> {
        Some(Self { dir: state_home()?.join(ledger_id.to_string()) })
    }

    /// The largest checkpoint that held, as a signed note, and the file that it is in.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn checkpoint(&self) -> Result<Option<(PathBuf, String)>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&self.dir, &error)),
        };
        let size = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            name.strip_prefix("checkpoint-")?.strip_suffix(".txt")?.parse::<u64>().ok()
        };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let Some((_, path)) = paths.filter_map(|path| Some((size(&path)?, path))).max() else {
            return Ok(None);
        };
        let note = std::fs::read_to_string(&path).map_err(|error| self.failed(&path, &error))?;
        Ok(Some((path, note)))
    }

    /// Keeps a checkpoint that held.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, note: &str, checkpoint: &Checkpoint) -> Result<()> {
        let path = self.dir.join(format!("checkpoint-{:012}.txt", checkpoint.size));
        self.create(&path, note)
    }

    /// Keeps two signed notes that contradict each other, and names the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn split_view(&self, notes: [&str; 2]) -> Result<PathBuf> {
        let both = notes.join("\n");
        let name = digest::sha256(both.as_bytes()).to_string();
        let path = self.dir.join(format!("split-view-{}.txt", &name[..16]));
        self.create(&path, &both)?;
        Ok(path)
    }

    fn create(&self, path: &Path, text: &str) -> Result<()> {
        let made =
            std::fs::create_dir_all(&self.dir).and_then(|()| durable::create(path, text.as_bytes(), 0o600));
        made.map(|_| ()).map_err(|error| self.failed(path, &error))
    }

    /// How far the ledger was verified at this depth, by a run that ended or by one that broke off; one that cannot be read
    /// counts as none.
    pub fn position(&self, depth: Depth) -> Option<Position> {
        let read = |path: PathBuf| rows::decode::<Position>(&std::fs::read(path).ok()?);
        let all = [read(self.position_path(depth)), read(self.unfinished_path(depth))];
        all.into_iter().flatten().max_by_key(Position::size)
    }

    /// Keeps how far the ledger was verified, in place of what was kept before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_position(&self, position: &Position) -> Result<()> {
        self.replace(&self.position_path(position.depth()), position)?;
        self.forget_unfinished(position.depth())
    }

    /// Keeps how far a run has come that still goes on: its entries hold, but no signed checkpoint covers them yet.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_unfinished(&self, position: &Position) -> Result<()> {
        self.replace(&self.unfinished_path(position.depth()), position)
    }

    /// What a run kept while it went on is not gone on from: it ended, or what it read does not hold.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn forget_unfinished(&self, depth: Depth) -> Result<()> {
        let path = self.unfinished_path(depth);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&path, &error)),
            _ => Ok(()),
        }
    }

    fn replace(&self, path: &Path, position: &Position) -> Result<()> {
        let unfinished = path.with_extension("unfinished");
        let bytes = rows::encode(position);
        let written = std::fs::create_dir_all(&self.dir)
            .and_then(|()| std::fs::write(&unfinished, bytes))
            .and_then(|()| std::fs::rename(&unfinished, path));
        written.map_err(|error| self.failed(path, &error))
    }

    fn position_path(&self, depth: Depth) -> PathBuf {
        self.dir.join(format!("verified-{}.bin", depth_name(depth)))
    }

    fn unfinished_path(&self, depth: Depth) -> PathBuf {
        self.dir.join(format!("broken-off-{}.bin", depth_name(depth)))
    }

    fn failed(&self, path: &Path, error: &io::Error) -> Failure {
        Failure::new(Exit::Internal, format!("{}: {error}", path.display()))
    }
}

const fn depth_name(depth: Depth) -> &'static str {
    match depth {
        Depth::Hashes => "hashes",
        Depth::Signatures => "signatures",
    }
}
