//! One digest over the files of a version: the SHA-256 of the archive that the Python client freezes, computed on the way,
//! without a copy of the model on this machine.

use std::collections::BTreeMap;

use reqwest::Method;
use sha2::{Digest as _, Sha256};

use super::{
    client::{Client, Error, Listing},
    openssf, tar,
};
use crate::event::Digest;

/// What the server stores for itself goes through this scheme.
const PROXIED: &str = "mlflow-artifacts:";
const ARTIFACTS: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];
/// Written by registries beside the model, not by whoever made it.
const NOT_THE_MODEL: &str = "registered_model_meta";
/// Files of one version, at most.
const FILES_MAX: usize = 10_000;

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
    let Some(root) = uri.strip_prefix(PROXIED) else {
        let scheme = uri.split(':').next().unwrap_or_default();
        return Ok(Bytes::Elsewhere(format!("they are at {scheme}:, which the server does not hand out")));
    };
    // mlflow-artifacts://host/path names a server: whatever host that is, ours is asked.
    let root = root.strip_prefix("//").map_or(root, |rest| rest.split_once('/').map_or("", |(_, path)| path));
    let root = root.trim_matches('/');
    let files = match files(client, root).await {
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
        own.push((path.clone(), content(client, root, path, *size, &mut archive).await?));
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

/// Files below a directory, by their paths from there, with their sizes.
async fn files(client: &Client, root: &str) -> Result<BTreeMap<String, u64>, Error> {
    let (mut found, mut open) = (BTreeMap::new(), vec![String::new()]);
    while let Some(dir) = open.pop() {
        let mut url = client.url(ARTIFACTS);
        let below = if dir.is_empty() { root.to_owned() } else { format!("{root}/{dir}") };
        url.query_pairs_mut().append_pair("path", &below);
        for listed in client.json::<Listing>(Method::GET, url, None).await?.files {
            // The server says the last part of a path, or all of it from the directory that was asked for.
            let last = listed.path.rsplit('/').next().unwrap_or_default();
            let path = if dir.is_empty() { last.to_owned() } else { format!("{dir}/{last}") };
            match listed.is_dir {
                _ if path == NOT_THE_MODEL => {}
                true => open.push(path),
                false => drop(found.insert(path, listed.file_size)),
            }
            if found.len() + open.len() > FILES_MAX {
                return Err(Error::Answer(format!("a version has more than {FILES_MAX} files")));
            }
        }
    }
    Ok(found)
}

/// Adds a file's bytes to the archive; the file's own SHA-256.
async fn content(
    client: &Client,
    root: &str,
    path: &str,
    size: u64,
    archive: &mut Sha256,
) -> Result<Digest, Error> {
    let url = client.url(ARTIFACTS.into_iter().chain(root.split('/')).chain(path.split('/')));
    let mut response = client.send(Method::GET, url, None).await?;
    let (mut own, mut length) = (Sha256::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::Unavailable(error.to_string()))? {
        archive.update(&chunk);
        own.update(&chunk);
        length += chunk.len() as u64;
    }
    match length == size {
        true => Ok(Digest(own.finalize().into())),
        false => Err(Error::Unavailable(format!("{path} has {length} bytes, and was listed with {size}"))),
    }
}
