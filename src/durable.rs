//! Small files that appear whole or not at all, survive a power loss, and never replace another.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Writes a file unless its name is taken. Whether it was written. Durable when this returns, whoever wrote it. Its
/// directory must be there: a share that is not mounted is an error, not an empty store.
///
/// The bytes go into a file with a random name first, and that is linked into place: a link never replaces what is
/// there, as a rename would.
///
/// # Errors
/// Of the file system; then nothing is there under that name that was not there before, or it is whole.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if path.exists() {
        // Perhaps its writer has linked it, but has not synced the directory yet.
        return sync(parent).map(|()| false);
    }
    let mut suffix = [0; 16];
    getrandom::fill(&mut suffix).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = parent.join(format!(".{}", hex::encode(suffix)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => sync(parent).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => sync(parent).map(|()| false),
        Err(error) => Err(error),
    }
}

/// Makes a directory below another one, and those on the way, each durable. The upper one must be there.
///
/// # Errors
/// Of the file system.
pub fn create_dirs(upper: &Path, dir: &Path) -> io::Result<()> {
    if dir == upper || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(upper);
    create_dirs(upper, parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync(parent),
    }
}

/// Makes a directory's names durable.
///
/// # Errors
/// Of the file system.
pub fn sync(dir: &Path) -> io::Result<()> {
    // A relative name's parent is the empty path.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        assert!(create(&path, b"one", 0o444).is_err(), "its directory is not there");
        create_dirs(dir.path(), path.parent().unwrap()).unwrap();
        assert!(create(&path, b"one", 0o444).unwrap());
        assert!(!create(&path, b"two", 0o444).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }
}
