//! Objects by name in a bucket with Object Lock.

use std::{path::Path, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{
    Client,
    config::SharedCredentialsProvider,
    operation::{head_object::HeadObjectOutput, put_object::builders::PutObjectFluentBuilder},
    primitives::{ByteStream, DateTime, DateTimeFormat},
    types::{ChecksumMode, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ObjectVersion},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{answer::Refusal, credentials::CredentialsFile, settings::Settings};
use crate::{
    event::{Digest, Micros},
    keyfile,
};

/// Attempts of one call: throttling and faults pass, and SDK and store agree on how long to wait.
const ATTEMPTS: u32 = 3;
/// Versions of one object that are looked at.
const VERSIONS_MAX: usize = 100;
/// How often a lock is asked to be longer: not every store orders such calls, and another one may undo this one.
const HOLDS_MAX: usize = 2;

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub(super) client: Client,
    pub(super) settings: Arc<Settings>,
}

/// One version of an object, as the bucket describes it.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its id; empty or `null` where the bucket keeps no versions.
    pub id: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the whole object, in base64, where the bucket keeps one.
    pub(super) checksum: Option<String>,
    /// Its lock: mode and end.
    pub(super) lock: Option<(String, Micros)>,
}

/// Why a version is not held for as long as it must be.
#[derive(Debug)]
pub enum Unheld {
    /// Nothing is known: ask again.
    Unanswered(Refusal),
    /// The bucket shows no lock that is long enough, in words.
    Short(String),
}

impl From<Refusal> for Unheld {
    fn from(refusal: Refusal) -> Self {
        Self::Unanswered(refusal)
    }
}

/// Rounded up to seconds: a lock must never end before it may.
pub(super) fn date(until: Micros) -> DateTime {
    DateTime::from_secs(i64::try_from(until.div_ceil(1_000_000)).unwrap_or(i64::MAX))
}

fn micros(date: &DateTime) -> Micros {
    u64::try_from(date.secs()).unwrap_or(0).saturating_mul(1_000_000)
}

impl Version {
    fn of(id: String, head: &HeadObjectOutput) -> Self {
        let composite = head.checksum_type().is_some_and(|kind| kind.as_str() == "COMPOSITE");
        // A checksum of checksums ends with the number of parts.
        let whole = head.checksum_sha256().filter(|sum| !composite && !sum.contains('-'));
        let until = head.object_lock_retain_until_date().map(micros).unwrap_or_default();
        Self {
            id,
            length: head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default(),
            checksum: whole.map(str::to_owned),
            lock: head.object_lock_mode().map(|mode| (mode.as_str().to_owned(), until)),
        }
    }

    /// SHA-256 of the whole object, where the bucket keeps one.
    pub fn sha256(&self) -> Option<Digest> {
        Digest::from_slice(&BASE64_STANDARD.decode(self.checksum.as_ref()?).ok()?)
    }

    /// Whether the bucket's own checksum of the whole object says that it has a digest.
    pub fn has(&self, sha256: &Digest) -> bool {
        self.sha256() == Some(*sha256)
    }

    /// Whether it is one of several that the bucket can tell apart: what is known of it stays true.
    pub(super) fn has_id(&self) -> bool {
        !self.id.is_empty() && self.id != "null"
    }

    /// End of its COMPLIANCE lock, which must not be over.
    ///
    /// # Errors
    /// What is wrong with its lock, in words.
    pub fn locked_until(&self, now: Micros) -> Result<Micros, String> {
        if !self.has_id() {
            return Err("it has no version id; the bucket keeps no versions".into());
        }
        match &self.lock {
            Some((mode, until)) if mode == ObjectLockMode::Compliance.as_str() => match *until > now {
                true => Ok(*until),
                false => Err("its retention is over".into()),
            },
            Some((mode, _)) => Err(format!("its mode is {mode}, COMPLIANCE is needed")),
            None => Err("it has no Object Lock, or the node may not read it (s3:GetObjectRetention)".into()),
        }
    }
}

impl Bucket {
    /// A client for the bucket. Talks to nobody yet. `dir`: what a relative path of credentials is relative to.
    ///
    /// # Errors
    /// Of the credentials' file.
    pub async fn connect(settings: &Settings, dir: &Path) -> Result<Self, keyfile::Error> {
        let timeout = Duration::from_secs(settings.timeout_seconds);
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .timeout_config(timeouts(timeout))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .load()
            .await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(settings.path_style);
        if let Some(path) = &settings.credentials {
            let file = CredentialsFile::open(&dir.join(path))?;
            config = config.credentials_provider(SharedCredentialsProvider::new(file));
        }
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Self { client: Client::from_conf(config.build()), settings: Arc::new(settings.clone()) })
    }

    /// An object's full name.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.settings.prefix)
    }

    /// Where a name is; empty name: how all URIs of this bucket start.
    pub fn uri(&self, name: &str) -> String {
        format!("s3://{}/{}", self.settings.bucket, self.key(name))
    }

    /// A put that succeeds only where nothing has this name, and only with these bytes.
    pub(super) fn new_object(&self, name: &str, bytes: Vec<u8>, sha256: &Digest) -> PutObjectFluentBuilder {
        let put = self.client.put_object().bucket(&self.settings.bucket).key(self.key(name));
        put.if_none_match("*").checksum_sha256(BASE64_STANDARD.encode(sha256.0)).body(ByteStream::from(bytes))
    }

    /// Puts bytes under a lock, unless the name is taken. Whether they were put.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn put_new(
        &self,
        name: &str,
        bytes: Vec<u8>,
        sha256: &Digest,
        until: Micros,
    ) -> Result<bool, Refusal> {
        let put = self
            .new_object(name, bytes, sha256)
            .object_lock_mode(ObjectLockMode::Compliance)
            .object_lock_retain_until_date(date(until));
        match put.send().await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_there_already() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Asks for an object, or for one version of it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn head(&self, name: &str, version: Option<&str>) -> Result<Option<Version>, Refusal> {
        let head = self.client.head_object().bucket(&self.settings.bucket).key(self.key(name));
        let head = head.set_version_id(version.map(str::to_owned)).checksum_mode(ChecksumMode::Enabled);
        match head.send().await.map_err(Refusal::from) {
            Ok(head) => {
                let id = head.version_id().or(version).unwrap_or_default().to_owned();
                let mut found = Version::of(id, &head);
                // Some stores show the lock of the newest version only, if they are not asked for it.
                if let (None, Some(version)) = (&found.lock, version) {
                    found.lock = self.retention(name, version).await?;
                }
                Ok(Some(found))
            }
            Err(refusal) if refusal.is_absent() => Ok(None),
            // A version id that this bucket never made; or expired credentials: an answer to a HEAD does not say which.
            Err(refusal) if refusal.status == 400 => {
                let known = self.versions(name).await?;
                match version {
                    Some(version) if !known.iter().any(|id| id == version) => Ok(None),
                    _ => Err(refusal),
                }
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The lock of a version: mode and end. `None`: it has none, or the node may not read it.
    async fn retention(&self, name: &str, version: &str) -> Result<Option<(String, Micros)>, Refusal> {
        let get = self.client.get_object_retention().bucket(&self.settings.bucket).key(self.key(name));
        let error = match get.version_id(version).send().await {
            Ok(answer) => {
                let lock = answer.retention().and_then(|lock| lock.mode().zip(lock.retain_until_date()));
                return Ok(lock.map(|(mode, until)| (mode.as_str().to_owned(), micros(until))));
            }
            Err(error) => error,
        };
        // versitygw 1.8.0 gives the answer's root another name than S3, and the client does not take it.
        let raw = error.raw_response().filter(|response| response.status().is_success());
        if let Some(found) = raw.and_then(|response| response.body().bytes()).map(retention_in) {
            return Ok(found);
        }
        match Refusal::from(error) {
            refusal if refusal.is_unanswered() => Err(refusal),
            _ => Ok(None),
        }
    }

    /// Ids of an object's versions, oldest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn versions(&self, name: &str) -> Result<Vec<String>, Refusal> {
        Ok(self.dated_versions(name).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// Ids of an object's versions, and when each was put by the bucket's clock, oldest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn dated_versions(&self, name: &str) -> Result<Vec<(String, Micros)>, Refusal> {
        let key = self.key(name);
        let listed = self.client.list_object_versions().bucket(&self.settings.bucket).prefix(&key);
        let listed = listed.max_keys(i32::try_from(VERSIONS_MAX).unwrap_or(i32::MAX)).send().await?;
        let own = listed.versions().iter().filter(|version| version.key() == Some(&key));
        let dated = |version: &ObjectVersion| {
            let put_at = version.last_modified().map(micros).unwrap_or_default();
            Some((version.version_id()?.to_owned(), put_at))
        };
        let mut ids: Vec<_> = own.filter_map(dated).collect();
        ids.reverse();
        Ok(ids)
    }

    /// Locks a version until a time, if its lock ends earlier or it has none. Whatever the bucket answers, what it shows
    /// afterwards counts: somebody else may have changed the lock in the same moment.
    ///
    /// # Errors
    /// [`Unheld`].
    pub async fn hold(
        &self,
        name: &str,
        mut version: Version,
        until: Micros,
        now: Micros,
    ) -> Result<Version, Unheld> {
        let long = |version: &Version| version.locked_until(now).is_ok_and(|ends| ends >= until);
        let mut said = String::new();
        for _ in 0..HOLDS_MAX {
            if long(&version) || !version.has_id() {
                break;
            }
            said = match self.lock_until(name, &version.id, until).await {
                Ok(()) => "; the bucket accepted a longer retention, but does not show it".into(),
                Err(refusal) if refusal.is_unanswered() => return Err(refusal.into()),
                Err(refusal) => format!("; the bucket refuses to hold it longer: {}", refusal.words),
            };
            let shown = self.head(name, Some(&version.id)).await?;
            version = shown.ok_or_else(|| Refusal::gone(name))?;
        }
        if long(&version) {
            return Ok(version);
        }
        let ends = version.locked_until(now).map(|ends| format!("its lock ends at {}", ends / 1_000_000));
        Err(Unheld::Short(ends.unwrap_or_else(|why| why) + &said))
    }

    async fn lock_until(&self, name: &str, version: &str, until: Micros) -> Result<(), Refusal> {
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::Compliance)
            .retain_until_date(date(until))
            .build();
        let put = self.client.put_object_retention().bucket(&self.settings.bucket).key(self.key(name));
        put.version_id(version).retention(retention).send().await?;
        Ok(())
    }

    /// The bytes of a version, or `[first, last]` of them, as they come.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn get(
        &self,
        name: &str,
        version: &str,
        range: Option<(u64, u64)>,
    ) -> Result<Option<ByteStream>, Refusal> {
        let get = self
            .client
            .get_object()
            .bucket(&self.settings.bucket)
            .key(self.key(name))
            .set_version_id((!version.is_empty()).then(|| version.to_owned()))
            .set_range(range.map(|(first, last)| format!("bytes={first}-{last}")));
        match get.send().await.map_err(Refusal::from) {
            Ok(answer) => Ok(Some(answer.body)),
            Err(refusal) if refusal.is_absent() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Mode and end in an XML answer to GetObjectRetention.
fn retention_in(xml: &[u8]) -> Option<(String, Micros)> {
    let xml = std::str::from_utf8(xml).ok()?;
    let inside = |name: &str| Some(xml.split_once(&format!("<{name}>"))?.1.split_once('<')?.0);
    let until = DateTime::from_str(inside("RetainUntilDate")?, DateTimeFormat::DateTime).ok()?;
    Some((inside("Mode")?.to_owned(), micros(&until)))
}

/// Bounds of a call.
pub(super) fn timeouts(whole: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(whole.min(Duration::from_secs(5)))
        .operation_timeout(whole)
        .build()
}
