//! What is below a name: of buckets that others write, such as a model registry's.

use super::{answer::Refusal, bucket::Bucket};

impl Bucket {
    /// The name of an object of this bucket, by its URI (`s3://bucket/key`); `None`: it is in another bucket, or not below
    /// this one's prefix.
    pub fn name_in(&self, uri: &str) -> Option<String> {
        let (bucket, key) =
            uri.strip_prefix("s3://").or_else(|| uri.strip_prefix("s3a://"))?.split_once('/')?;
        let name = key.strip_prefix(self.settings.prefix.as_str())?;
        (bucket == self.settings.bucket).then(|| name.to_owned())
    }

    /// Objects below a name, by the rest of theirs, with their lengths in bytes; `None`: more than `max`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn below(&self, name: &str, max: usize) -> Result<Option<Vec<(String, u64)>>, Refusal> {
        let above = match name.trim_matches('/') {
            "" => self.key(""),
            name => format!("{}/", self.key(name)),
        };
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let list = self.client.list_objects_v2().bucket(&self.settings.bucket).prefix(&above);
            let page = list.set_continuation_token(token).send().await?;
            for object in page.contents() {
                let path = object.key().and_then(|key| key.strip_prefix(above.as_str())).unwrap_or_default();
                // A name that ends with / is what some tools make of a directory.
                if !path.is_empty() && !path.ends_with('/') {
                    found.push((
                        path.to_owned(),
                        object.size().and_then(|size| size.try_into().ok()).unwrap_or(0),
                    ));
                }
            }
            if found.len() > max {
                return Ok(None);
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(Some(found));
            }
        }
    }
}
