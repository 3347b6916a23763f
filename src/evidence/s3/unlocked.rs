//! Objects that must be destroyable, in a bucket without Object Lock: the opposite of evidence.

use super::{answer::Refusal, bucket::Bucket};
use crate::event::digest::sha256;

/// Pages of versions that are looked at when an object is destroyed.
const PAGES_MAX: usize = 100;

impl Bucket {
    /// Puts bytes without a lock, unless the name is taken. Whether they were put.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn put_unlocked(&self, name: &str, bytes: &[u8]) -> Result<bool, Refusal> {
        let put = self.new_object(name, bytes.to_vec(), &sha256(bytes));
        match put.send().await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            // versitygw 1.8.0 says so for ever of a name whose versions were all destroyed: nothing was kept then.
            Err(refusal) if refusal.is_there_already() && self.head(name, None).await?.is_some() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Removes an object with every version of it, where the bucket keeps some, and every marker that hides one. True if
    /// nothing is left.
    ///
    /// # Errors
    /// [`Refusal`], also of a lock.
    pub async fn destroy(&self, name: &str) -> Result<bool, Refusal> {
        for by_version in [true, false] {
            for version in self.everything(name).await? {
                let delete = self.client.delete_object().bucket(&self.settings.bucket).key(self.key(name));
                // A bucket without versions shows one that is called null, and not every store takes that name.
                let unversioned = version == "null";
                let delete = if unversioned && !by_version { delete } else { delete.version_id(version) };
                match delete.send().await.map_err(Refusal::from) {
                    Err(refusal) if refusal.is_unanswered() || !unversioned => return Err(refusal),
                    _ => {}
                }
            }
        }
        Ok(self.everything(name).await?.is_empty())
    }

    /// Ids of an object's versions and markers, in any order.
    async fn everything(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let key = self.key(name);
        let (mut found, mut key_marker, mut id_marker) = (Vec::new(), None, None);
        for _ in 0..PAGES_MAX {
            let list = self.client.list_object_versions().bucket(&self.settings.bucket).prefix(&key);
            let list = list.set_key_marker(key_marker.take()).set_version_id_marker(id_marker.take());
            let listed = list.send().await?;
            let versions = listed.versions().iter().map(|it| (it.key(), it.version_id()));
            let markers = listed.delete_markers().iter().map(|it| (it.key(), it.version_id()));
            let own = versions.chain(markers).filter(|(found, _)| *found == Some(&key));
            found.extend(own.map(|(_, id)| id.unwrap_or("null").to_owned()));
            if listed.is_truncated() != Some(true) {
                return Ok(found);
            }
            key_marker = listed.next_key_marker().map(str::to_owned);
            id_marker = listed.next_version_id_marker().map(str::to_owned);
        }
        let words = format!("{key} has too many versions");
        Err(Refusal { status: 0, code: String::new(), words })
    }
}
