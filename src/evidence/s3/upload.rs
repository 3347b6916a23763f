//! A file as one object under a lock: by one PUT, or, beyond what one takes, in parts.

use std::{path::Path, time::Duration};

use aws_sdk_s3::{
    primitives::{ByteStream, Length},
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ObjectLockMode},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    answer::Refusal,
    bucket::{Bucket, date, timeouts},
};
use crate::{
    event::Micros,
    evidence::{Description, Error},
};

/// Bytes of a part at least (S3: 5 MiB), and most parts of an upload (S3: 10,000).
const PART_LEN_MIN: u64 = 5 << 20;
const PARTS_MAX: u64 = 9_000;
/// What an upload is given time for, bytes per second.
const SLOWEST: u64 = 256 * 1024;

/// What is put, and where.
pub(super) struct Upload<'a> {
    pub name: &'a str,
    pub path: &'a Path,
    pub stated: &'a Description,
    pub until: Micros,
    /// False: on top of what is there.
    pub only_new: bool,
}

impl Upload<'_> {
    fn if_none_match(&self) -> Option<String> {
        self.only_new.then(|| "*".to_owned())
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

/// What S3 answered to a put under a lock.
fn refused(upload: &Upload<'_>, refusal: Refusal) -> Error {
    if refusal.is_without_lock() {
        let why = format!("the bucket does not take locks: {}", refusal.words);
        return Error::Unlocked { sha256: upload.stated.sha256, why };
    }
    refusal.into()
}

impl Bucket {
    /// Puts a file whose digest is known. An object that is there already is left as it is where `only_new`.
    pub(super) async fn upload(&self, upload: &Upload<'_>) -> Result<(), Error> {
        let put = match upload.stated.length > self.settings.multipart_from {
            true => self.put_in_parts(upload).await,
            false => self.put_whole(upload).await,
        };
        match put {
            Err(refusal) if refusal.is_there_already() => Ok(()),
            Err(refusal) => Err(refused(upload, refusal)),
            Ok(()) => Ok(()),
        }
    }

    /// How long a call that carries so many bytes may take.
    fn patience(&self, length: u64) -> aws_sdk_s3::config::Builder {
        let whole = Duration::from_secs(self.settings.timeout_seconds + length / SLOWEST);
        aws_sdk_s3::config::Builder::new().timeout_config(timeouts(whole))
    }

    async fn put_whole(&self, upload: &Upload<'_>) -> Result<(), Refusal> {
        let body = ByteStream::from_path(upload.path).await.map_err(unread)?;
        let put = self
            .client
            .put_object()
            .bucket(&self.settings.bucket)
            .key(self.key(upload.name))
            .set_if_none_match(upload.if_none_match())
            .content_type(&upload.stated.media_type)
            .checksum_sha256(BASE64_STANDARD.encode(upload.stated.sha256.0))
            .object_lock_mode(ObjectLockMode::Compliance)
            .object_lock_retain_until_date(date(upload.until))
            .body(body);
        put.customize().config_override(self.patience(upload.stated.length)).send().await?;
        Ok(())
    }

    /// S3 keeps a checksum of checksums of such an object: who relies on it reads it back.
    async fn put_in_parts(&self, upload: &Upload<'_>) -> Result<(), Refusal> {
        let created = self
            .client
            .create_multipart_upload()
            .bucket(&self.settings.bucket)
            .key(self.key(upload.name))
            .content_type(&upload.stated.media_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .object_lock_mode(ObjectLockMode::Compliance)
            .object_lock_retain_until_date(date(upload.until))
            .send()
            .await?;
        let id = created.upload_id().unwrap_or_default();
        let completed = self.complete(upload, id).await;
        if completed.is_err() {
            let abort = self.client.abort_multipart_upload().bucket(&self.settings.bucket);
            if let Err(error) = abort.key(self.key(upload.name)).upload_id(id).send().await {
                tracing::warn!(error = %Refusal::from(error).words, "parts of an upload that failed stay in the bucket");
            }
        }
        completed
    }

    async fn complete(&self, upload: &Upload<'_>, id: &str) -> Result<(), Refusal> {
        let length = upload.stated.length;
        let part_length = length.div_ceil(PARTS_MAX).max(PART_LEN_MIN).max(self.settings.multipart_from / 64);
        let mut parts = Vec::new();
        for number in 0..length.div_ceil(part_length) {
            let offset = number * part_length;
            parts.push(self.put_part(upload, id, number, offset, part_length.min(length - offset)).await?);
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(&self.settings.bucket)
            .key(self.key(upload.name))
            .upload_id(id)
            .set_if_none_match(upload.if_none_match())
            .multipart_upload(parts);
        complete.customize().config_override(self.patience(length)).send().await?;
        Ok(())
    }

    async fn put_part(
        &self,
        upload: &Upload<'_>,
        id: &str,
        number: u64,
        offset: u64,
        length: u64,
    ) -> Result<CompletedPart, Refusal> {
        let read =
            || ByteStream::read_from().path(upload.path).offset(offset).length(Length::Exact(length)).build();
        let mut hashed = read().await.map_err(unread)?;
        let mut hasher = Sha256::new();
        while let Some(chunk) = hashed.next().await {
            hasher.update(chunk.map_err(unread)?);
        }
        let checksum = BASE64_STANDARD.encode(hasher.finalize());
        let number = i32::try_from(number + 1).unwrap_or(i32::MAX);
        let put = self
            .client
            .upload_part()
            .bucket(&self.settings.bucket)
            .key(self.key(upload.name))
            .upload_id(id)
            .part_number(number)
            .checksum_sha256(&checksum)
            .body(read().await.map_err(unread)?);
        let put = put.customize().config_override(self.patience(length)).send().await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .checksum_sha256(checksum)
            .set_e_tag(put.e_tag().map(str::to_owned))
            .build())
    }
}

/// The file, not the store.
fn unread(error: impl std::fmt::Display) -> Refusal {
    Refusal { status: 0, code: String::new(), words: format!("the upload cannot be read: {error}") }
}

/// A stream of bytes, hashed.
pub(super) async fn hash(mut body: ByteStream) -> Result<[u8; 32], Error> {
    let mut hasher = Sha256::new();
    while let Some(chunk) = body.next().await {
        hasher.update(chunk.map_err(broken)?);
    }
    Ok(hasher.finalize().into())
}
