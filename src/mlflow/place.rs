//! Where the files of a version are, and how they are read: from the server, which hands out what it stores for itself, or
//! from a bucket that somebody gave credentials for.

use std::collections::BTreeMap;

use reqwest::Method;

use super::client::{Client, Error, Listing};
use crate::evidence::s3::{Bucket, Refusal};

/// What the server stores for itself goes through this scheme.
const PROXIED: &str = "mlflow-artifacts:";
const ARTIFACTS: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];
/// Written by registries beside the model, not by whoever made it.
const NOT_THE_MODEL: &str = "registered_model_meta";
/// Files of one version, at most.
const FILES_MAX: usize = 10_000;

/// Where.
pub(super) enum Place<'a> {
    /// On the server, below a path.
    Server(&'a Client, String),
    /// In a bucket, below a name.
    Bucket(&'a Bucket, String),
}

/// A file, as it comes.
pub(super) enum Content {
    Answer(reqwest::Response),
    Object(aws_sdk_s3::primitives::ByteStream),
}

fn too_many() -> Error {
    Error::Answer(format!("a version has more than {FILES_MAX} files"))
}

fn refused(uri: &str, refusal: &Refusal) -> Error {
    Error::Unavailable(format!("its files at {uri}: {refusal}"))
}

impl<'a> Place<'a> {
    /// By the address that the registry says; in words: nobody here can read that.
    pub fn of(client: &'a Client, uri: &str) -> Result<Self, String> {
        if let Some(root) = uri.strip_prefix(PROXIED) {
            // mlflow-artifacts://host/path names a server: whatever host that is, ours is asked.
            let root = root
                .strip_prefix("//")
                .map_or(root, |rest| rest.split_once('/').map_or("", |(_, path)| path));
            return Ok(Self::Server(client, root.trim_matches('/').to_owned()));
        }
        let found = client.buckets.iter().find_map(|bucket| Some((bucket, bucket.name_in(uri)?)));
        if let Some((bucket, name)) = found {
            return Ok(Self::Bucket(bucket, name.trim_matches('/').to_owned()));
        }
        let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
        Err(match scheme {
            "s3" | "s3a" => {
                let bucket = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
                format!("they are in the bucket {bucket}, for which no registries.s3 gives credentials")
            }
            _ => format!("they are at {scheme}:, which the server does not hand out"),
        })
    }

    /// All files, by their paths from there, with their sizes.
    pub async fn files(&self) -> Result<BTreeMap<String, u64>, Error> {
        match self {
            Self::Server(client, root) => served(client, root).await,
            Self::Bucket(bucket, name) => {
                let found = bucket.below(name, FILES_MAX).await;
                let found = found.map_err(|refusal| refused(&bucket.uri(name), &refusal))?;
                let found = found.ok_or_else(too_many)?.into_iter();
                let beside = |path: &str| path.split('/').next() == Some(NOT_THE_MODEL);
                Ok(found.filter(|(path, _)| !beside(path)).collect())
            }
        }
    }

    /// Opens a file.
    pub async fn open(&self, path: &str) -> Result<Content, Error> {
        match self {
            Self::Server(client, root) => {
                let url = client.url(ARTIFACTS.into_iter().chain(root.split('/')).chain(path.split('/')));
                Ok(Content::Answer(client.send(Method::GET, url, None).await?))
            }
            Self::Bucket(bucket, name) => {
                let name = if name.is_empty() { path.to_owned() } else { format!("{name}/{path}") };
                let found = bucket.get(&name, "", None).await;
                let found = found.map_err(|refusal| refused(&bucket.uri(&name), &refusal))?;
                found.map(Content::Object).ok_or_else(|| Error::Missing(bucket.uri(&name)))
            }
        }
    }
}

impl Content {
    /// The next bytes.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        match self {
            Self::Answer(response) => {
                response.chunk().await.map_err(|error| Error::Unavailable(error.to_string()))
            }
            Self::Object(stream) => {
                stream.try_next().await.map_err(|error| Error::Unavailable(error.to_string()))
            }
        }
    }
}

/// Files below a directory of the server.
async fn served(client: &Client, root: &str) -> Result<BTreeMap<String, u64>, Error> {
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
                return Err(too_many());
            }
        }
    }
    Ok(found)
}
