//! Subject records in a directory, one file each.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::subjects::RecordStore;
use crate::durable;

/// A directory of subject records, mounted by every node of the ledger.
pub struct Directory(PathBuf);

impl Directory {
    /// Opens the directory, making it if needed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(dir: &Path) -> io::Result<Self> {
        for kind in ["subjects", "ids"] {
            fs::create_dir_all(dir.join(kind))?;
        }
        Ok(Self(dir.to_path_buf()))
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), durable::sync)
}

impl RecordStore for Directory {
    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        durable::create(&self.0.join(name), bytes, 0o600).map(|_| ())
    }

    /// Overwrites the bytes before the name goes: a file system may keep the blocks of a removed file for long.
    fn destroy(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        file.write_all_at(&vec![0; length], 0)?;
        file.sync_all()?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => sync_dir(&path),
        }
    }
}
