//! How far something that follows the ledger came: one small file, replaced whole, durable before the next step.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use crate::event::Seq;

/// The cursor of one follower.
pub struct Cursor {
    path: PathBuf,
    next: Seq,
}

impl Cursor {
    /// Opens a cursor. A new one starts at `start`.
    ///
    /// # Errors
    /// Of the file system, and for a file that holds no number: then nobody knows what was told.
    pub fn open(dir: &Path, name: &str, start: Seq) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{name}.cursor"));
        match fs::read_to_string(&path) {
            Ok(text) => {
                let number = text.trim().parse().map_err(|_| {
                    let words = format!("{} holds no number; remove it to start anew", path.display());
                    io::Error::new(ErrorKind::InvalidData, words)
                })?;
                Ok(Self { path, next: number })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut cursor = Self { path, next: start };
                cursor.advance(start)?;
                Ok(cursor)
            }
            Err(error) => Err(error),
        }
    }

    /// The first entry that it was not told of.
    pub const fn next(&self) -> Seq {
        self.next
    }

    /// Everything before `next` was told, or is nothing to tell.
    ///
    /// # Errors
    /// Of the file system; the cursor stays where it was, so that an entry is told twice rather than never.
    pub fn advance(&mut self, next: Seq) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{next}")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_starts_where_it_is_told_and_survives() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut cursor = Cursor::open(dir.path(), "tickets", 7).expect("a cursor");
        assert_eq!(cursor.next(), 7);
        cursor.advance(9).expect("a file");
        assert_eq!(Cursor::open(dir.path(), "tickets", 100).expect("a cursor").next(), 9);
        fs::write(dir.path().join("tickets.cursor"), "x").expect("a file");
        assert!(Cursor::open(dir.path(), "tickets", 100).is_err());
    }
}
