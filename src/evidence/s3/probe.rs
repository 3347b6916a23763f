//! Enforced, not only declared: the node tries to break its own bucket, with the credentials that it has.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ObjectLockRetention, ObjectLockRetentionMode},
};

use super::{
    answer::{Refusal, broken_off, is_mismatch},
    bucket::date,
    store::S3,
};
use crate::{
    event::{Micros, digest::sha256},
    evidence::{Attempt, Error, Probe},
};

/// For how long the object that is sacrificed is locked, microseconds.
const LOCKED: Micros = 600 * 1_000_000;
const WRITTEN: &[u8] = b"promotion-ledger: whoever can delete this can delete evidence\n";
const REPLACED: &[u8] = b"promotion-ledger: replaced\n";

/// Whether something that was tried happened; an error if that is not known.
fn attempt<T>(attempt: &'static str, answer: Result<T, Refusal>) -> Result<Attempt, Error> {
    match answer {
        Ok(_) => Ok(Attempt { attempt, allowed: true, answer: "done".into() }),
        Err(refusal) if refusal.is_unanswered() => Err(refusal.into()),
        Err(refusal) => Ok(Attempt { attempt, allowed: false, answer: refusal.words }),
    }
}

impl S3 {
    /// Puts an object under COMPLIANCE, looks whether it is, and tries everything against it.
    pub(super) async fn try_to_break(&self, now: Micros) -> Result<Probe, Error> {
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(|error| Error::Unavailable(error.to_string()))?;
        let name = format!("probe/{}-{}", now / 1_000_000, hex::encode(suffix));
        let until = now + LOCKED;
        let lock = |answer: String, allowed: bool| Attempt { attempt: "lock", allowed, answer };
        let broken = |answer: String| Probe { uri: self.bucket.uri(""), attempts: vec![lock(answer, true)] };
        match self.bucket.put_new(&name, WRITTEN.to_vec(), &sha256(WRITTEN), until).await {
            Ok(_) => {}
            // A bucket without Object Lock refuses the lock itself: that is an answer.
            Err(refusal) if refusal.is_without_lock() => return Ok(broken(refusal.words)),
            Err(refusal) => return Err(refusal.into()),
        }
        let Some(version) = self.bucket.head(&name, None).await? else {
            return Ok(broken("the object is not there right after it was put".into()));
        };
        let locked = match version.locked_until(now) {
            Err(why) => return Ok(broken(why)),
            Ok(ends) if ends < until => return Ok(broken("its lock ends earlier than it was told".into())),
            Ok(_) => lock("COMPLIANCE, read back".into(), false),
        };
        let shorten = self.locked_as(&name, &version.id, "COMPLIANCE", now + LOCKED / 2).await;
        let weaken = self.locked_as(&name, &version.id, "GOVERNANCE", until).await;
        let mut attempts = vec![locked, attempt("shorten", shorten)?, attempt("weaken", weaken)?];
        attempts.push(self.overwritten(&name, &version.id).await?);
        let delete = self.bucket.client.delete_object().bucket(&self.bucket.settings.bucket);
        let delete = delete.key(self.bucket.key(&name)).version_id(&version.id);
        let delete = delete.bypass_governance_retention(true).send().await;
        attempts.push(attempt("delete", delete.map_err(Refusal::from))?);
        attempts.push(self.still_there(&name, &version.id, until, now).await?);
        Ok(Probe { uri: self.bucket.uri(""), attempts })
    }

    async fn locked_as(&self, name: &str, version: &str, mode: &str, until: Micros) -> Result<(), Refusal> {
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::from(mode))
            .retain_until_date(date(until))
            .build();
        let put = self.bucket.client.put_object_retention().bucket(&self.bucket.settings.bucket);
        let put = put.key(self.bucket.key(name)).version_id(version).retention(retention);
        put.bypass_governance_retention(true).send().await?;
        Ok(())
    }

    /// Another object under the same name must become another version and leave the first one as it was.
    async fn overwritten(&self, name: &str, version: &str) -> Result<Attempt, Error> {
        let put = self.bucket.client.put_object().bucket(&self.bucket.settings.bucket);
        let put = put.key(self.bucket.key(name)).body(ByteStream::from_static(REPLACED));
        let (allowed, answer) = match put.send().await.map_err(Refusal::from) {
            Ok(put) if put.version_id() == Some(version) => (true, "it kept the version id".to_owned()),
            Ok(_) => (false, "it became another version".to_owned()),
            Err(refusal) if refusal.is_unanswered() => return Err(refusal.into()),
            Err(refusal) => (false, refusal.words),
        };
        Ok(Attempt { attempt: "overwrite", allowed, answer })
    }

    /// Whatever the store answered: the first version must still have its bytes and its lock.
    async fn still_there(
        &self,
        name: &str,
        version: &str,
        until: Micros,
        now: Micros,
    ) -> Result<Attempt, Error> {
        let found = |allowed, answer: String| Ok(Attempt { attempt: "change", allowed, answer });
        let Some(body) = self.bucket.get(name, version, None).await? else {
            return found(true, "the version is gone".into());
        };
        let bytes = match body.collect().await.map_err(|error| broken_off(&error)) {
            Ok(bytes) => bytes,
            Err(words) if is_mismatch(&words) => return found(true, words),
            Err(words) => return Err(Error::Unavailable(words)),
        };
        if bytes.into_bytes() != WRITTEN {
            return found(true, "the version has other bytes".into());
        }
        let lock = self.bucket.head(name, Some(version)).await?.map(|version| version.locked_until(now));
        match lock {
            Some(Ok(ends)) if ends >= until => found(false, "bytes and lock are as they were".into()),
            Some(Ok(_)) => found(true, "its lock ends earlier now".into()),
            Some(Err(why)) => found(true, why),
            None => found(true, "the version is gone".into()),
        }
    }
}
