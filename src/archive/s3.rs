//! Pieces in a bucket with Object Lock, each locked from the moment it is there.

use std::sync::Arc;

use super::{
    pieces::PIECE_LEN_MAX,
    store::{Error, Kept, PieceStore},
};
use crate::{
    clock::Clock,
    event::{Micros, digest::sha256},
    evidence::s3::{Bucket, Refusal, Unheld, Version, broken_off},
};

/// A bucket of pieces.
pub struct S3 {
    bucket: Bucket,
    clock: Arc<dyn Clock>,
    /// How long a piece is locked when it is put, microseconds.
    retained: Micros,
}

fn unavailable(refusal: Refusal) -> Error {
    Error::Unavailable(refusal.to_string())
}

impl S3 {
    /// The pieces in a bucket. Talks to nobody yet. `retained`: how long a piece is locked when it is put, microseconds.
    pub fn new(bucket: Bucket, clock: Arc<dyn Clock>, retained: Micros) -> Self {
        Self { bucket, clock, retained }
    }

    /// The version that was put first: whoever puts something on top changes nothing.
    async fn first(&self, name: &str) -> Result<Option<Version>, Error> {
        let ids = self.bucket.versions(name).await.map_err(unavailable)?;
        match ids.first() {
            Some(id) => self.bucket.head(name, Some(id)).await.map_err(unavailable),
            None => Ok(None),
        }
    }

    async fn bytes(&self, name: &str, version: &Version) -> Result<Option<Vec<u8>>, Error> {
        if version.length > PIECE_LEN_MAX as u64 {
            let (name, length) = (name.to_owned(), version.length);
            return Err(Error::TooLong { name, length, max: PIECE_LEN_MAX });
        }
        let Some(body) = self.bucket.get(name, &version.id, None).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let bytes = body.collect().await.map_err(|error| Error::Unavailable(broken_off(&error)))?;
        Ok(Some(bytes.into_bytes().to_vec()))
    }
}

#[tonic::async_trait]
impl PieceStore for S3 {
    async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let until = self.clock.now().saturating_add(self.retained);
        let digest = sha256(&bytes);
        let put = self.bucket.put_new(name, bytes.clone(), &digest, until).await;
        let new = match put {
            Ok(new) => new,
            Err(refusal) if refusal.is_without_lock() => {
                let why = format!("the bucket does not take locks: {refusal}");
                return Err(Error::Unlocked { name: name.to_owned(), why });
            }
            Err(refusal) => return Err(unavailable(refusal)),
        };
        // Never believed, always read back: who was first, with which bytes, and how it is locked.
        let version = self.first(name).await?;
        let version =
            version.ok_or_else(|| Error::Unavailable("the bucket does not show what it took".into()))?;
        let kept = match new && version.has(&digest) {
            true => Some(bytes.clone()),
            false => self.bytes(name, &version).await?,
        };
        if kept.as_ref() != Some(&bytes) {
            return Err(Error::Occupied(name.to_owned()));
        }
        self.locked(name, version, until).await
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.first(name).await? {
            Some(version) => self.bytes(name, &version).await,
            None => Ok(None),
        }
    }

    async fn stat(&self, name: &str) -> Result<Option<Kept>, Error> {
        let version = self.first(name).await?;
        let now = self.clock.now();
        Ok(version.map(|version| Kept {
            length: version.length,
            sha256: version.sha256(),
            lock: Some(version.locked_until(now)),
        }))
    }

    async fn hold(&self, name: &str, until: Micros) -> Result<bool, Error> {
        match self.first(name).await? {
            Some(version) => self.locked(name, version, until).await.map(|()| true),
            None => Ok(false),
        }
    }

    fn uri(&self, name: &str) -> String {
        self.bucket.uri(name)
    }
}

impl S3 {
    /// Locks a version until a time, if its lock ends earlier, and looks whether that is so.
    async fn locked(&self, name: &str, version: Version, until: Micros) -> Result<(), Error> {
        match self.bucket.hold(name, version, until, self.clock.now()).await {
            Ok(_) => Ok(()),
            Err(Unheld::Unanswered(refusal)) => Err(unavailable(refusal)),
            Err(Unheld::Short(why)) => Err(Error::Unlocked { name: name.to_owned(), why }),
        }
    }
}
