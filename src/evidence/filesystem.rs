//! Evidence in a directory: content-addressed, read-only, never overwritten. Its lock proof says `none`.
//!
//! `<dir>/sha256/ab/cdef…` holds the bytes; `<dir>/incoming` half-written uploads, which no reader looks at.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt;

use super::{Chunks, Description, Error, EvidenceStore, Stored};
use crate::event::{Digest, Micros, proto::LockProof};

/// Largest evidence, bytes.
pub const LENGTH_MAX: u64 = 5 << 30;
/// Digests whose files were hashed; the rest is hashed again when asked for.
const HASHED_MAX: usize = 100_000;

/// A directory of evidence.
pub struct Filesystem {
    dir: PathBuf,
    /// Files that this process has hashed, by what would change if they were changed.
    hashed: Mutex<HashMap<Digest, Fingerprint>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn unavailable(error: io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

impl Filesystem {
    /// Opens a directory, making it if needed, and removes uploads that a crash left behind.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir.join("sha256"))?;
        fs::create_dir_all(dir.join("incoming"))?;
        Ok(Self { dir: dir.to_path_buf(), hashed: Mutex::default() })
    }

    /// Path of the bytes with this digest.
    pub fn path(&self, sha256: &Digest) -> PathBuf {
        let hex = sha256.to_string();
        let (shard, rest) = hex.split_at(2);
        self.dir.join("sha256").join(shard).join(rest)
    }

    fn lock_proof(now: Micros) -> LockProof {
        LockProof { write_once: "none".into(), retain_until: 0, asked_at: now }
    }

    fn stored(&self, sha256: &Digest, length: u64, now: Micros) -> Stored {
        Stored {
            uri: format!("evidence:sha256:{sha256}"),
            version_id: String::new(),
            length,
            lock: Self::lock_proof(now),
        }
    }

    /// The file under a digest, and whether this process has hashed it since it last changed. One system call.
    fn fingerprint(&self, sha256: &Digest) -> Result<Option<(Fingerprint, bool)>, Error> {
        let metadata = match fs::metadata(self.path(sha256)) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        let fingerprint = Fingerprint {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        Ok(Some((fingerprint, self.hashed().get(sha256) == Some(&fingerprint))))
    }

    /// Hashes a file and remembers that it has its digest.
    fn hash(&self, sha256: &Digest, fingerprint: Fingerprint) -> Result<(), Error> {
        let mut hasher = Sha256::new();
        let mut file = File::open(self.path(sha256)).map_err(unavailable)?;
        io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(unavailable)?;
        if Digest(hasher.finalize().into()) != *sha256 {
            return Err(Error::Damaged(*sha256));
        }
        let mut hashed = self.hashed();
        if hashed.len() >= HASHED_MAX {
            hashed.clear();
        }
        hashed.insert(*sha256, fingerprint);
        Ok(())
    }

    fn hashed(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Fingerprint>> {
        self.hashed.lock().expect("no code panics while holding this lock")
    }

    /// Puts a complete, synced upload into its place. Another upload of the same bytes may have been faster.
    fn settle(&self, incoming: &Path, sha256: &Digest) -> Result<(), Error> {
        let path = self.path(sha256);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(unavailable)?;
        // A hard link never replaces what is there, as a rename would.
        match fs::hard_link(incoming, &path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable(error)),
        }
        fs::remove_file(incoming).map_err(unavailable)?;
        for dir in [parent, &self.dir.join("sha256")] {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(unavailable)?;
        }
        Ok(())
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An upload that is not in its place yet; removed if it never gets there.
struct Incoming {
    path: PathBuf,
    file: File,
}

impl Incoming {
    fn create(dir: &Path) -> io::Result<Self> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
        let path = dir.join("incoming").join(hex::encode(name));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already when it was put into its place.
        let _ = fs::remove_file(&self.path);
    }
}

#[tonic::async_trait]
impl EvidenceStore for Filesystem {
    async fn put(
        &self,
        description: &Description,
        mut chunks: Chunks<'_>,
        now: Micros,
    ) -> Result<Stored, Error> {
        if description.length > LENGTH_MAX {
            return Err(Error::TooLarge { length: description.length, max: LENGTH_MAX });
        }
        let mut incoming = Incoming::create(&self.dir).map_err(unavailable)?;
        let mut hasher = Sha256::new();
        let mut length = 0u64;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            length += chunk.len() as u64;
            if length > description.length {
                let (found, expected) =
                    (format!("more than {} bytes", description.length), description.length);
                return Err(Error::Mismatch { found, expected: format!("{expected} bytes") });
            }
            hasher.update(&chunk);
            tokio::task::block_in_place(|| incoming.file.write_all(&chunk)).map_err(unavailable)?;
        }
        if length != description.length {
            let (found, expected) = (format!("{length} bytes"), format!("{} bytes", description.length));
            return Err(Error::Mismatch { found, expected });
        }
        let found = Digest(hasher.finalize().into());
        if found != description.sha256 {
            let (found, expected) = (format!("the SHA-256 {found}"), description.sha256.to_string());
            return Err(Error::Mismatch { found, expected });
        }
        tokio::task::block_in_place(|| {
            incoming.file.set_permissions(Permissions::from_mode(0o444)).map_err(unavailable)?;
            incoming.file.sync_all().map_err(unavailable)?;
            self.settle(&incoming.path, &found)
        })?;
        Ok(self.stored(&found, length, now))
    }

    async fn stat(&self, sha256: &Digest, now: Micros) -> Result<Option<Stored>, Error> {
        let Some((fingerprint, hashed)) = self.fingerprint(sha256)? else { return Ok(None) };
        if !hashed {
            // Handing the thread over costs more than everything else here, so only for what really takes long.
            tokio::task::block_in_place(|| self.hash(sha256, fingerprint))?;
        }
        Ok(Some(self.stored(sha256, fingerprint.length, now)))
    }

    async fn read(&self, sha256: &Digest, offset: u64, max: usize) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(sha256);
        tokio::task::block_in_place(|| {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unavailable(error)),
            };
            let mut bytes = vec![0; max];
            let mut filled = 0;
            while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match file.read_at(rest, offset + filled as u64).map_err(unavailable)? {
                    0 => break,
                    n => filled += n,
                }
            }
            bytes.truncate(filled);
            Ok(Some(bytes))
        })
    }
}
