//! Evidence in a directory: content-addressed, read-only, never overwritten. Its lock proof says `none`.
//!
//! `<dir>/sha256/ab/cdef…` holds the bytes; `<dir>/incoming` uploads on their way, which no reader looks at.

use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use sha2::{Digest as _, Sha256};

use super::{
    Chunks, Description, Error, EvidenceStore, Probe, Stored,
    spool::{self, Spool, Spooled, unavailable},
};
use crate::event::{Digest, Micros, proto::LockProof};

/// Digests whose files were hashed; the rest is hashed again when asked for.
const HASHED_MAX: usize = 100_000;

/// A directory of evidence.
pub struct Filesystem {
    dir: PathBuf,
    spool: Spool,
    /// Whether files are made immutable (`chattr +i`), where node and file system can.
    immutable: bool,
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

impl Filesystem {
    /// Opens a directory, making it if needed, and removes uploads that a crash left behind long ago.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(dir: &Path, length_max: u64, immutable: bool, now: Micros) -> io::Result<Self> {
        fs::create_dir_all(dir.join("sha256"))?;
        let spool = Spool::open(&dir.join("incoming"), length_max, now)?;
        Ok(Self { dir: dir.to_path_buf(), spool, immutable, hashed: Mutex::default() })
    }

    /// Path of the bytes with this digest.
    pub fn path(&self, sha256: &Digest) -> PathBuf {
        let hex = sha256.to_string();
        let (shard, rest) = hex.split_at(2);
        let mut path = PathBuf::with_capacity(self.dir.as_os_str().len() + "/sha256//".len() + hex.len());
        path.push(&self.dir);
        path.extend(["sha256", shard, rest]);
        path
    }

    fn stored(&self, sha256: &Digest, length: u64, now: Micros) -> Stored {
        Stored {
            uri: format!("evidence:sha256:{sha256}"),
            version_id: String::new(),
            length,
            lock: LockProof { write_once: "none".into(), retain_until: 0, asked_at: now },
        }
    }

    fn fingerprint(&self, sha256: &Digest) -> Result<Option<Fingerprint>, Error> {
        let metadata = match fs::metadata(self.path(sha256)) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        Ok(Some(Fingerprint {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }))
    }

    /// Hashes a file and remembers that it has its digest.
    fn hash(&self, sha256: &Digest, fingerprint: Fingerprint) -> Result<(), Error> {
        let mut hasher = Sha256::new();
        let mut file = File::open(self.path(sha256)).map_err(unavailable)?;
        spool::hash(&mut file, &mut hasher).map_err(unavailable)?;
        if Digest(hasher.finalize().into()) != *sha256 {
            return Err(Error::Damaged(*sha256));
        }
        self.remember(*sha256, fingerprint);
        Ok(())
    }

    fn remember(&self, sha256: Digest, fingerprint: Fingerprint) {
        let mut hashed = self.hashed();
        if hashed.len() >= HASHED_MAX {
            hashed.clear();
        }
        hashed.insert(sha256, fingerprint);
    }

    fn hashed(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Fingerprint>> {
        self.hashed.lock().expect("no code panics while holding this lock")
    }

    /// Puts a complete, synced upload into its place. Another upload of the same bytes may have been faster; then that
    /// one stays, if it has them.
    fn settle(&self, upload: Spooled, sha256: &Digest) -> Result<(), Error> {
        let path = self.path(sha256);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(unavailable)?;
        // A hard link never replaces what is there, as a rename would.
        let linked = match fs::hard_link(&upload.path, &path) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(unavailable(error)),
        };
        drop(upload);
        for dir in [parent, &self.dir.join("sha256"), &self.dir] {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(unavailable)?;
        }
        if linked && self.immutable {
            make_immutable(&path);
        }
        match self.fingerprint(sha256)? {
            Some(fingerprint) if linked => self.remember(*sha256, fingerprint),
            Some(fingerprint) => self.hash(sha256, fingerprint)?,
            None => return Err(Error::Unavailable(format!("{} went away", path.display()))),
        }
        Ok(())
    }
}

/// Not every file system has the flag, and not every process may set it: read-only then has to do.
fn make_immutable(path: &Path) {
    let set = File::open(path).and_then(|file| {
        let flags = ioctl_getflags(&file)?;
        Ok(ioctl_setflags(&file, flags | IFlags::IMMUTABLE)?)
    });
    if let Err(error) = set {
        tracing::warn!(path = %path.display(), %error, "evidence could not be made immutable; it is read-only");
    }
}

#[tonic::async_trait]
impl EvidenceStore for Filesystem {
    async fn put(&self, description: &Description, chunks: Chunks<'_>, now: Micros) -> Result<Stored, Error> {
        let spooled = self.spool.receive(description, chunks).await?;
        tokio::task::block_in_place(|| {
            spooled.file.set_permissions(Permissions::from_mode(0o444)).map_err(unavailable)?;
            spooled.file.sync_all().map_err(unavailable)?;
            self.settle(spooled, &description.sha256)
        })?;
        Ok(self.stored(&description.sha256, description.length, now))
    }

    fn received(&self, sha256: &Digest) -> u64 {
        self.spool.received(sha256)
    }

    async fn stat(&self, sha256: &Digest, _version_id: &str, now: Micros) -> Result<Option<Stored>, Error> {
        let Some(fingerprint) = self.fingerprint(sha256)? else { return Ok(None) };
        if self.hashed().get(sha256) != Some(&fingerprint) {
            // Handing the thread over costs more than everything else here, so only for what really takes long.
            tokio::task::block_in_place(|| self.hash(sha256, fingerprint))?;
        }
        Ok(Some(self.stored(sha256, fingerprint.length, now)))
    }

    /// A directory locks nothing: what it says stays the same.
    async fn retain(
        &self,
        sha256: &Digest,
        version_id: &str,
        _until: Micros,
        now: Micros,
    ) -> Result<Option<Stored>, Error> {
        self.stat(sha256, version_id, now).await
    }

    async fn probe(&self, _now: Micros) -> Result<Option<Probe>, Error> {
        Ok(None)
    }

    async fn read(
        &self,
        sha256: &Digest,
        _version_id: &str,
        offset: u64,
        max: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
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
