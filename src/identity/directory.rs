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

/// What a file holds; `None`: there is none, or [`Directory::destroy`] has overwritten it, and its name goes next. No record and
/// no name is all zeroes.
fn held(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.iter().any(|&byte| byte != 0))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a name away whose bytes were overwritten. Whether the name is free now.
fn make_room(path: &Path) -> io::Result<bool> {
    if held(path)?.is_some() {
        return Ok(false);
    }
    // Moved away and looked at again: another node may have made room, and a record, in the meantime.
    let parent = path.parent().unwrap_or(Path::new("."));
    let away = tempfile::NamedTempFile::new_in(parent)?;
    match fs::rename(path, away.path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        moved => moved?,
    }
    let free = held(away.path())?.is_none();
    if !free {
        match fs::hard_link(away.path(), path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    durable::sync(parent)?;
    Ok(free)
}

impl RecordStore for Directory {
    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        held(&self.0.join(name))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        if !durable::create(&path, bytes, 0o600)? && make_room(&path)? {
            durable::create(&path, bytes, 0o600)?;
        }
        Ok(())
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
        make_room(&path).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who reads between the overwriting and the removal is told what is true a moment later.
    #[test]
    fn a_record_that_was_overwritten_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let records = Directory::open(dir.path()).unwrap();
        let name = format!("ids/{}", "ab".repeat(32));
        records.put_if_absent(&name, b"subjects/cd").unwrap();
        assert_eq!(records.get(&name).unwrap(), Some(b"subjects/cd".to_vec()));
        fs::write(dir.path().join(&name), [0; 11]).unwrap();
        assert_eq!(records.get(&name).unwrap(), None);
        records.destroy(&name).unwrap();
        assert!(!dir.path().join(&name).exists());
    }

    /// A crash between overwriting and removal: the name is free for a person who comes again, and nothing else lies about.
    #[test]
    fn what_was_overwritten_makes_room_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let records = Directory::open(dir.path()).unwrap();
        let name = format!("subjects/{}", "cd".repeat(32));
        fs::write(dir.path().join(&name), [0; 136]).unwrap();
        records.put_if_absent(&name, b"a record").unwrap();
        assert_eq!(records.get(&name).unwrap(), Some(b"a record".to_vec()));
        records.put_if_absent(&name, b"another").unwrap();
        assert_eq!(records.get(&name).unwrap(), Some(b"a record".to_vec()));
        assert!(!make_room(&dir.path().join(&name)).unwrap());
        assert_eq!(fs::read_dir(dir.path().join("subjects")).unwrap().count(), 1);
    }
}
