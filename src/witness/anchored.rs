//! What stands in the bucket of checkpoints, read: by a node that starts, and by whoever verifies a ledger.

use std::path::Path;

use crate::{
    event::{Digest, Micros},
    evidence::s3::{Bucket, Settings},
    keyfile,
};

/// Longest checkpoint that is read, bytes.
const CHECKPOINT_LEN_MAX: usize = 64 * 1024;

/// A checkpoint as it stands there. Its signature is not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where.
    pub uri: String,
    /// The signed note.
    pub note: String,
    /// When it was put, by the bucket's clock.
    pub put_at: Micros,
}

/// The checkpoints of one ledger in a bucket.
pub struct Anchored {
    pub(super) bucket: Bucket,
    ledger_id: Digest,
}

impl Anchored {
    /// Talks to nobody yet. `dir`: what a relative path of credentials is relative to.
    ///
    /// # Errors
    /// Of the credentials' file.
    pub async fn connect(dir: &Path, settings: &Settings, ledger_id: Digest) -> Result<Self, keyfile::Error> {
        Ok(Self { bucket: Bucket::connect(settings, dir).await?, ledger_id })
    }

    pub(super) fn name(&self, n: u64) -> String {
        format!("anchor/{}/{n:08}", self.ledger_id)
    }

    /// How all names of this ledger's checkpoints start.
    pub fn uri(&self) -> String {
        self.bucket.uri(&format!("anchor/{}/", self.ledger_id))
    }

    /// The bucket, and what stands before all names there.
    pub fn place(&self) -> String {
        self.bucket.uri("")
    }

    /// The oldest version of a name, which nothing hides and nothing replaces, and when it was put.
    async fn first_version(&self, n: u64) -> Result<Option<(String, Micros)>, String> {
        let versions = self.bucket.dated_versions(&self.name(n)).await.map_err(|error| error.to_string())?;
        Ok(versions.into_iter().next())
    }

    /// How many checkpoints are there: looked for at doubling distances, then in between.
    ///
    /// # Errors
    /// Of the bucket, in words.
    pub async fn count(&self) -> Result<u64, String> {
        if self.first_version(0).await?.is_none() {
            return Ok(0);
        }
        let (mut there, mut absent) = (0, 1);
        while self.first_version(absent).await?.is_some() {
            (there, absent) = (absent, absent * 2);
        }
        while absent - there > 1 {
            let middle = there + (absent - there) / 2;
            match self.first_version(middle).await? {
                Some(_) => there = middle,
                None => absent = middle,
            }
        }
        Ok(absent)
    }

    /// The n-th checkpoint.
    ///
    /// # Errors
    /// Of the bucket, or what is wrong with what stands there, in words.
    pub async fn get(&self, n: u64) -> Result<Standing, String> {
        let name = self.name(n);
        let uri = self.bucket.uri(&name);
        let (version, put_at) = self.first_version(n).await?.ok_or_else(|| format!("{uri} is not there"))?;
        let stream = self.bucket.get(&name, &version, None).await.map_err(|error| error.to_string())?;
        let mut stream = stream.ok_or_else(|| format!("{uri} is gone"))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await.map_err(|error| error.to_string())? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > CHECKPOINT_LEN_MAX {
                return Err(format!("{uri} is longer than a checkpoint"));
            }
        }
        let note = String::from_utf8(bytes).map_err(|_| format!("{uri} is not text"))?;
        Ok(Standing { uri, note, put_at })
    }
}
