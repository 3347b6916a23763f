//! What a node saw, and nobody asked for: recorded once, by the fact that it states.

use crate::{
    event::{
        Digest,
        content::content_digest,
        proto::{Body, Receipt, body::Event},
    },
    ledger::{decide::expected_key, state::Lookup},
};

use super::{
    Error,
    gateway::{ATTEMPTS_MAX, Gateway},
};

impl Gateway {
    /// Records an observation. `None`: it is recorded already.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn observe(&self, event: Event, model: &str) -> Result<Option<Receipt>, Error> {
        let key = expected_key(&event).unwrap_or_default();
        let mut body = Body { idempotency_key: key.0.to_vec(), event: Some(event), ..Body::default() };
        let content: Digest = content_digest(&body);
        for _ in 0..ATTEMPTS_MAX {
            // Looked up before it is produced: many nodes see the same.
            if self.ledger.store.bound(&key)?.is_some() {
                return Ok(None);
            }
            match self.submit(&mut body, content, model).await {
                Ok(Some(receipt)) => return Ok(Some(receipt)),
                Ok(None) => {}
                // Another node stated the same fact in other words.
                Err(Error::Conflict { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Raced)
    }
}
