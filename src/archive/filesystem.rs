//! Pieces in a directory: read-only files that are linked into place, so that nothing is ever replaced.

use std::{
    fs,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::{
    pieces::PIECE_LEN_MAX,
    store::{Error, Kept, PieceStore},
};
use crate::{durable, event::Micros};

/// A directory of pieces.
pub struct Filesystem(PathBuf);

impl Filesystem {
    /// The pieces in a directory, which must be there.
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_path_buf())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let file = match fs::File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        let length = file.metadata().map_err(unavailable)?.len();
        if length > PIECE_LEN_MAX as u64 {
            return Err(Error::TooLong { name: name.to_owned(), length, max: PIECE_LEN_MAX });
        }
        let mut bytes = Vec::new();
        file.take(PIECE_LEN_MAX as u64).read_to_end(&mut bytes).map_err(unavailable)?;
        Ok(Some(bytes))
    }
}

fn unavailable(error: io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

#[tonic::async_trait]
impl PieceStore for Filesystem {
    async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        tokio::task::block_in_place(|| {
            let path = self.0.join(name);
            durable::create_dirs(&self.0, path.parent().unwrap_or(&self.0)).map_err(unavailable)?;
            if durable::create(&path, &bytes, 0o444).map_err(unavailable)? {
                return Ok(());
            }
            match self.read(name)? {
                Some(kept) if kept == bytes => Ok(()),
                _ => Err(Error::Occupied(name.to_owned())),
            }
        })
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        tokio::task::block_in_place(|| self.read(name))
    }

    async fn stat(&self, name: &str) -> Result<Option<Kept>, Error> {
        match fs::metadata(self.0.join(name)) {
            Ok(found) => Ok(Some(Kept { length: found.len(), sha256: None, lock: None })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// A directory locks nothing.
    async fn hold(&self, name: &str, _until: Micros) -> Result<bool, Error> {
        Ok(self.stat(name).await?.is_some())
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}", self.0.join(name).display())
    }
}
