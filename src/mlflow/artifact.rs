//! One digest over the files of a version: the SHA-256 of the archive that the Python client freezes, computed on the way,
//! without a copy of the model on this machine.

use sha2::{Digest as _, Sha256};

use super::{
    client::{Client, Error},
    openssf,
    place::Place,
    tar,
};
use crate::event::Digest;

/// What is known of a version's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// They were read: the archive of all files, their OpenSSF manifest and, where there is one file only, that file.
    Read {
        /// SHA-256 of the archive.
        archive: Digest,
        /// The digest that an OpenSSF model-signing statement names.
        manifest: Digest,
        /// SHA-256 of the only file.
        file: Option<Digest>,
        /// Bytes of all files.
        length: u64,
    },
    /// The server does not hand them out; why, in words.
    Elsewhere(String),
    /// The version's files are gone.
    Gone,
}

impl Bytes {
    /// Whether these are the bytes of a digest; `None`: nobody read them.
    pub fn are(&self, digest: &Digest) -> Option<bool> {
        match self {
            Self::Read { archive, manifest, file, .. } => {
                Some([Some(archive), Some(manifest), file.as_ref()].contains(&Some(digest)))
            }
            Self::Elsewhere(_) => None,
            Self::Gone => Some(false),
        }
    }
}

/// Reads every byte of a version and says its digest.
///
/// # Errors
/// [`Error`]: then nothing is known of them.
pub async fn digest(client: &Client, name: &str, version: &str) -> Result<Bytes, Error> {
    let uri = client.download_uri(name, version).await?;
    let place = match Place::of(client, &uri) {
        Ok(place) => place,
        Err(why) => return Ok(Bytes::Elsewhere(why)),
    };
    let files = match place.files().await {
        Err(Error::Missing(_)) => return Ok(Bytes::Gone),
        files => files?,
    };
    if files.is_empty() {
        return Ok(Bytes::Gone);
    }
    let mut archive = Sha256::new();
    let (mut written, mut length, mut own) = (0, 0, Vec::new());
    for (path, size) in &files {
        let header = tar::header(path, *size)
            .ok_or_else(|| Error::Answer(format!("{path} ({size} bytes) does not fit into an archive")))?;
        archive.update(header);
        own.push((path.clone(), content(&place, path, *size, &mut archive).await?));
        let padding = tar::padding(*size);
        archive.update(vec![0; padding]);
        written += (tar::BLOCK + padding) as u64 + size;
        length += size;
    }
    archive.update(vec![0; tar::end(written)]);
    let file = own.first().map(|(_, digest)| *digest).filter(|_| own.len() == 1);
    let (archive, manifest) = (Digest(archive.finalize().into()), openssf::manifest(&own));
    Ok(Bytes::Read { archive, manifest, file, length })
}

/// Adds a file's bytes to the archive; the file's own SHA-256.
async fn content(place: &Place<'_>, path: &str, size: u64, archive: &mut Sha256) -> Result<Digest, Error> {
    let mut content = place.open(path).await?;
    let (mut own, mut length) = (Sha256::new(), 0);
    while let Some(chunk) = content.next().await? {
        archive.update(&chunk);
        own.update(&chunk);
        length += chunk.len() as u64;
    }
    match length == size {
        true => Ok(Digest(own.finalize().into())),
        false => Err(Error::Unavailable(format!("{path} has {length} bytes, and was listed with {size}"))),
    }
}
