//! Evidence by digest: put if absent, then read back what the bucket really holds and how it is locked.

use std::{collections::HashMap, io, path::Path, sync::Mutex};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    answer::{Refusal, broken_off},
    bucket::{Bucket, Unheld, Version},
    upload::{self, Upload},
};
use crate::{
    event::{Digest, Micros, proto::LockProof},
    evidence::{Chunks, Description, Error, EvidenceStore, Probe, Stored, spool::Spool},
};

/// Versions that are kept in memory: whose bytes were hashed here, and where a digest was found.
const KNOWN_MAX: usize = 100_000;

/// A bucket of evidence.
pub struct S3 {
    pub(super) bucket: Bucket,
    /// Uploads on their way: S3 wants length and checksum first.
    spool: Spool,
    /// How long evidence is locked when it is put, microseconds.
    retained: Micros,
    /// What a version hashes to, where the bucket keeps no checksum of the whole object. Versions never change.
    hashed: Mutex<HashMap<String, Digest>>,
    /// The version in which a digest was found last.
    found: Mutex<HashMap<Digest, (String, u64)>>,
}

fn keep<K: std::hash::Hash + Eq, V>(known: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut known = known.lock().expect("no code panics while holding this lock");
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(key, value);
}

fn known<K: std::hash::Hash + Eq, V: Clone>(known: &Mutex<HashMap<K, V>>, key: &K) -> Option<V> {
    known.lock().expect("no code panics while holding this lock").get(key).cloned()
}

/// What is stored has the length of what was sent, or the bucket does not say the truth about it.
fn whole(stored: Stored, stated: &Description) -> Result<Stored, Error> {
    let (found, expected) = (stored.length, stated.length);
    if found == expected {
        return Ok(stored);
    }
    Err(Error::Mismatch {
        found: format!("{found} bytes in the bucket"),
        expected: format!("{expected} bytes"),
    })
}

fn name(sha256: &Digest) -> String {
    format!("sha256/{sha256}")
}

impl S3 {
    /// Evidence in a bucket. Talks to nobody yet. `dir`: for uploads on their way. `retained`: how long evidence is
    /// locked when it is put, microseconds; a tier that needs more extends it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(
        bucket: Bucket,
        dir: &Path,
        length_max: u64,
        retained: Micros,
        now: Micros,
    ) -> io::Result<Self> {
        let spool = Spool::open(dir, length_max, now)?;
        Ok(Self { bucket, spool, retained, hashed: Mutex::default(), found: Mutex::default() })
    }

    /// A version that has the digest: that one, or else any, a locked one before others and the oldest of several, so
    /// that who puts something on top changes nothing. `None`: there is no such object; damaged: no version has it.
    async fn find(&self, sha256: &Digest, version_id: &str) -> Result<Option<Version>, Error> {
        let name = name(sha256);
        if !version_id.is_empty() {
            return match self.bucket.head(&name, Some(version_id)).await? {
                Some(version) if self.has_digest(&name, &version, sha256).await? => Ok(Some(version)),
                Some(_) => Err(Error::Damaged(*sha256)),
                None => Ok(None),
            };
        }
        if let Some((id, _)) = known(&self.found, sha256)
            && let Some(version) = self.bucket.head(&name, Some(&id)).await?
            && version.lock.is_some()
            && self.has_digest(&name, &version, sha256).await?
        {
            return Ok(Some(version));
        }
        let ids = self.bucket.versions(&name).await?;
        let mut unlocked = None;
        for id in &ids {
            if let Some(version) = self.bucket.head(&name, Some(id)).await?
                && self.has_digest(&name, &version, sha256).await?
            {
                if version.lock.as_ref().is_some_and(|(mode, _)| mode == "COMPLIANCE") {
                    keep(&self.found, *sha256, (version.id.clone(), version.length));
                    return Ok(Some(version));
                }
                unlocked = unlocked.or(Some(version));
            }
        }
        match unlocked {
            None if !ids.is_empty() => Err(Error::Damaged(*sha256)),
            found => Ok(found),
        }
    }

    /// Whether a version has the digest: by the bucket's own checksum of the whole object, or else by reading it back
    /// once.
    async fn has_digest(&self, name: &str, version: &Version, sha256: &Digest) -> Result<bool, Error> {
        if let Some(checksum) = &version.checksum {
            return Ok(*checksum == BASE64_STANDARD.encode(sha256.0));
        }
        if let Some(found) = known(&self.hashed, &version.id) {
            return Ok(found == *sha256);
        }
        let body = self.bucket.get(name, &version.id, None).await?;
        let body = body.ok_or_else(|| Refusal::gone(name))?;
        let found = Digest(upload::hash(body).await?);
        // A version of an object never changes; one without an id may.
        if version.has_id() {
            keep(&self.hashed, version.id.clone(), found);
        }
        Ok(found == *sha256)
    }

    /// Part of one version. S3 answers 416 to a range that begins at the end.
    async fn read_version(
        &self,
        sha256: &Digest,
        version_id: &str,
        offset: u64,
        max: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let last = offset.saturating_add(max as u64).saturating_sub(1);
        let body = match self.bucket.get(&name(sha256), version_id, Some((offset, last))).await {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(None),
            Err(refusal) if refusal.is_past_the_end() => return Ok(Some(Vec::new())),
            Err(refusal) => return Err(refusal.into()),
        };
        let bytes = body.collect().await.map_err(|error| Error::Unavailable(broken_off(&error)))?;
        Ok(Some(bytes.into_bytes().to_vec()))
    }

    /// What the bucket says of a version; refused unless it is locked.
    fn proven(&self, sha256: &Digest, version: &Version, now: Micros) -> Result<Stored, Error> {
        let until = version.locked_until(now);
        let retain_until = until.map_err(|why| Error::Unlocked { sha256: *sha256, why })?;
        Ok(Stored {
            uri: self.bucket.uri(&name(sha256)),
            version_id: version.id.clone(),
            length: version.length,
            lock: LockProof { write_once: "compliance".into(), retain_until, asked_at: now },
        })
    }

    /// Locks a version until a time, if its lock ends earlier or it has none, and proves it from what is read back.
    async fn locked(
        &self,
        sha256: &Digest,
        version: Version,
        until: Micros,
        now: Micros,
    ) -> Result<Stored, Error> {
        match self.bucket.hold(&name(sha256), version, until, now).await {
            Ok(version) => self.proven(sha256, &version, now),
            Err(Unheld::Unanswered(refusal)) => Err(refusal.into()),
            Err(Unheld::Short(why)) => Err(Error::Unlocked { sha256: *sha256, why }),
        }
    }
}

#[tonic::async_trait]
impl EvidenceStore for S3 {
    async fn put(&self, stated: &Description, chunks: Chunks<'_>, now: Micros) -> Result<Stored, Error> {
        let spooled = self.spool.receive(stated, chunks).await?;
        let until = now.saturating_add(self.retained);
        let only_new = match self.find(&stated.sha256, "").await {
            Ok(Some(version)) => {
                return self
                    .locked(&stated.sha256, version, until, now)
                    .await
                    .and_then(|it| whole(it, stated));
            }
            Ok(None) => true,
            // Somebody put other bytes under this name: these go on top, and neither replaces the other.
            Err(Error::Damaged(_)) => false,
            Err(error) => return Err(error),
        };
        let name = name(&stated.sha256);
        self.bucket.upload(&Upload { name: &name, path: &spooled.path, stated, until, only_new }).await?;
        // Never believed, always read back.
        let stored = self.retain(&stated.sha256, "", until, now).await?;
        let stored =
            stored.ok_or_else(|| Error::Unavailable("the bucket does not show what it took".into()))?;
        whole(stored, stated)
    }

    fn received(&self, sha256: &Digest) -> u64 {
        self.spool.received(sha256)
    }

    async fn stat(&self, sha256: &Digest, version_id: &str, now: Micros) -> Result<Option<Stored>, Error> {
        let found = self.find(sha256, version_id).await?;
        found.map(|version| self.proven(sha256, &version, now)).transpose()
    }

    async fn retain(
        &self,
        sha256: &Digest,
        version_id: &str,
        until: Micros,
        now: Micros,
    ) -> Result<Option<Stored>, Error> {
        match self.find(sha256, version_id).await? {
            Some(version) => self.locked(sha256, version, until, now).await.map(Some),
            None => Ok(None),
        }
    }

    async fn probe(&self, now: Micros) -> Result<Option<Probe>, Error> {
        self.try_to_break(now).await.map(Some)
    }

    async fn read(
        &self,
        sha256: &Digest,
        version_id: &str,
        offset: u64,
        max: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        if !version_id.is_empty() {
            return self.read_version(sha256, version_id, offset, max).await;
        }
        let (id, length) = match known(&self.found, sha256) {
            Some(found) => found,
            None => match self.find(sha256, "").await? {
                Some(version) => (version.id, version.length),
                None => return Ok(None),
            },
        };
        if offset >= length || max == 0 {
            return Ok(Some(Vec::new()));
        }
        let last = offset.saturating_add(max as u64).min(length) - 1;
        let Some(body) = self.bucket.get(&name(sha256), &id, Some((offset, last))).await? else {
            // Gone since it was found.
            self.found.lock().expect("no code panics while holding this lock").remove(sha256);
            return Ok(None);
        };
        let bytes = body.collect().await.map_err(|error| Error::Unavailable(broken_off(&error)))?;
        Ok(Some(bytes.into_bytes().to_vec()))
    }
}
