//! Subject records in a bucket, one small object each. The bucket must be one that destroys what it is told to destroy:
//! with Object Lock, or with versions that stay, an erasure would be a promise that nobody keeps.

use std::{future::Future, io};

use tokio::runtime::Handle;

use crate::{
    evidence::s3::{Bucket, Refusal, broken_off},
    identity::subjects::RecordStore,
};

/// Longest record, bytes: a wrapped one has 136, a name 73.
const RECORD_LEN_MAX: u64 = 4_096;

/// A bucket of subject records, shared by every node of the ledger.
pub struct InBucket {
    bucket: Bucket,
    handle: Handle,
}

fn unavailable(refusal: Refusal) -> io::Error {
    io::Error::other(refusal.to_string())
}

impl InBucket {
    /// The records in a bucket. Talks to nobody yet.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, handle: Handle::current() }
    }

    /// Puts an object and destroys it. An answer that is missing says nothing: records cannot be had then either.
    ///
    /// # Errors
    /// If the bucket keeps what is destroyed, in words.
    pub async fn destroys(&self) -> Result<(), String> {
        let mut suffix = [0; 16];
        getrandom::fill(&mut suffix).map_err(|error| error.to_string())?;
        let name = format!("probe/{}", hex::encode(suffix));
        let keeps = |why: String| {
            format!(
                "the bucket of subject records {} keeps what it is told to destroy ({why}); people could not be erased: use one without Object Lock, and allow s3:PutObject, s3:GetObject, s3:DeleteObject, s3:DeleteObjectVersion and s3:ListBucketVersions",
                self.bucket.uri("")
            )
        };
        let destroyed = match self.bucket.put_unlocked(&name, b"promotion-ledger: to be destroyed\n").await {
            Ok(_) => self.bucket.destroy(&name).await,
            Err(refusal) => Err(refusal),
        };
        match destroyed {
            Ok(true) => Ok(()),
            Ok(false) => Err(keeps("it is still there".into())),
            Err(refusal) if refusal.is_unanswered() => {
                tracing::warn!(%refusal, "whether the bucket of subject records destroys anything could not be found out");
                Ok(())
            }
            Err(refusal) => Err(keeps(refusal.to_string())),
        }
    }

    /// Waits for the bucket, on a thread that may block: one of the runtime's own, or any other.
    fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        match Handle::try_current() {
            Ok(_) => tokio::task::block_in_place(|| self.handle.block_on(asked)),
            Err(_) => self.handle.block_on(asked),
        }
    }
}

impl RecordStore for InBucket {
    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.wait(async {
            let range = Some((0, RECORD_LEN_MAX - 1));
            let Some(body) = self.bucket.get(name, "", range).await.map_err(unavailable)? else {
                return Ok(None);
            };
            let bytes = body.collect().await.map_err(|error| io::Error::other(broken_off(&error)))?;
            Ok(Some(bytes.into_bytes().to_vec()))
        })
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.wait(async { self.bucket.put_unlocked(name, bytes).await.map(|_| ()).map_err(unavailable) })
    }

    fn destroy(&self, name: &str) -> io::Result<()> {
        self.wait(async {
            match self.bucket.destroy(name).await {
                Ok(true) => Ok(()),
                Ok(false) => {
                    Err(io::Error::other("the bucket says that it destroyed a record, and still has it"))
                }
                Err(refusal) => Err(unavailable(refusal)),
            }
        })
    }
}
