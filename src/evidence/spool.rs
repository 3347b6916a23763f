//! An upload on its way: hashed while it is written to a file that no reader of the store looks at. An upload that
//! broke off stays for a day under its digest, and goes on where it stopped; its bytes are hashed again then.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt;

use super::{Chunks, Description, Error};
use crate::event::{Digest, Micros};

/// Largest evidence unless the configuration says otherwise, bytes.
pub const LENGTH_MAX: u64 = 64 << 30;
/// How long an upload that broke off is kept, microseconds.
const KEPT: Micros = 24 * 3600 * 1_000_000;
/// Bytes hashed at a time.
const BUFFER: usize = 256 * 1024;

/// A directory of uploads on their way.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    length_max: u64,
}

/// A whole upload with the stated length and digest, in a file of its own. Gone when dropped.
pub struct Spooled {
    /// Where it is.
    pub path: PathBuf,
    /// Open for reading and writing, and locked.
    pub file: File,
}

impl Spool {
    /// Makes the directory, and removes uploads that broke off more than a day ago: another node on the same directory
    /// may be writing to younger ones.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(dir: &Path, length_max: u64, now: Micros) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for left in fs::read_dir(dir)? {
            let left = left?;
            let modified = left.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            if modified.as_micros() + u128::from(KEPT) < u128::from(now) {
                fs::remove_file(left.path())?;
            }
        }
        Ok(Self { dir: dir.to_path_buf(), length_max })
    }

    fn part(&self, sha256: &Digest) -> PathBuf {
        self.dir.join(format!("{sha256}.part"))
    }

    /// Bytes that came of an upload that broke off.
    pub fn received(&self, sha256: &Digest) -> u64 {
        fs::metadata(self.part(sha256)).map_or(0, |metadata| metadata.len())
    }

    /// The file for an upload, locked: the one under its digest, so that it can go on; or one of its own if another
    /// upload of the same bytes holds that. Whether it may be kept for later.
    fn file(&self, stated: &Description) -> Result<(Spooled, bool), Error> {
        let options = || OpenOptions::new().read(true).write(true).mode(0o600).clone();
        loop {
            let path = self.part(&stated.sha256);
            let file = match options().create(true).truncate(false).open(&path) {
                Ok(file) => file,
                // Whole and read-only already when its writer crashed: it is sent again.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && path.exists() => {
                    fs::remove_file(&path).map_err(unavailable)?;
                    continue;
                }
                Err(error) => return Err(unavailable(error)),
            };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                if stated.offset > 0 {
                    let why = "another upload of these bytes is under way; start at the beginning";
                    return Err(Error::BrokenOff(why.into()));
                }
                let mut name = [0; 16];
                getrandom::fill(&mut name).map_err(|error| Error::Unavailable(error.to_string()))?;
                let path = self.dir.join(hex::encode(name));
                let file = options().create_new(true).open(&path).map_err(unavailable)?;
                return Ok((Spooled { path, file }, false));
            }
            // Who held the lock before may have finished, and taken the file away.
            let same = fs::metadata(&path).map(|now| now.ino()).ok()
                == file.metadata().map(|opened| opened.ino()).ok();
            if same {
                return Ok((Spooled { path, file }, true));
            }
        }
    }

    /// Takes an upload in.
    ///
    /// # Errors
    /// [`Error`]. What came is kept only where the stream broke off.
    pub async fn receive(&self, stated: &Description, chunks: Chunks<'_>) -> Result<Spooled, Error> {
        if stated.length > self.length_max {
            return Err(Error::TooLarge { length: stated.length, max: self.length_max });
        }
        let (mut spooled, keeps) = self.file(stated)?;
        match fill(&mut spooled.file, stated, chunks).await {
            Ok(()) => Ok(spooled),
            Err(Error::BrokenOff(why)) if keeps => {
                spooled.path = PathBuf::new();
                Err(Error::BrokenOff(why))
            }
            Err(error) => Err(error),
        }
    }
}

/// Writes what comes after what is there, and compares all of it with its description.
async fn fill(file: &mut File, stated: &Description, mut chunks: Chunks<'_>) -> Result<(), Error> {
    let mut hasher = tokio::task::block_in_place(|| resume(file, stated))?;
    let mut length = stated.offset;
    let mismatch = |found: String| Error::Mismatch { found, expected: format!("{} bytes", stated.length) };
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length += chunk.len() as u64;
        if length > stated.length {
            return Err(mismatch(format!("more than {} bytes", stated.length)));
        }
        hasher.update(&chunk);
        tokio::task::block_in_place(|| file.write_all(&chunk)).map_err(unavailable)?;
    }
    if length != stated.length {
        return Err(mismatch(format!("{length} bytes")));
    }
    let found = Digest(hasher.finalize().into());
    if found != stated.sha256 {
        let (found, expected) = (format!("the SHA-256 {found}"), stated.sha256.to_string());
        return Err(Error::Mismatch { found, expected });
    }
    Ok(())
}

/// The hash of what is there up to the offset; what is behind it is cut off.
fn resume(file: &mut File, stated: &Description) -> Result<Sha256, Error> {
    let there = file.metadata().map_err(unavailable)?.len();
    if stated.offset > there {
        let why = format!("{} bytes are here, not {}; go on from there", there, stated.offset);
        return Err(Error::BrokenOff(why));
    }
    file.set_len(stated.offset).map_err(unavailable)?;
    file.seek(SeekFrom::Start(0)).map_err(unavailable)?;
    let mut hasher = Sha256::new();
    hash(file, &mut hasher).map_err(unavailable)?;
    Ok(hasher)
}

/// Hashes from the file's position to its end.
pub(super) fn hash(file: &mut File, hasher: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => hasher.update(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // An empty path: it is kept. The file is still locked, so this is no other upload's.
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn unavailable(error: io::Error) -> Error {
    Error::Unavailable(error.to_string())
}
