//! Entries in order over one connection to a node, each with its header, none left out.

use tonic::{Code, Streaming};

use super::{
    output::{Exit, Failure, Result},
    source,
};
use crate::event::{
    Header, Seq,
    proto::{SubscribeRequest, SubscribeResponse, consumer_service_client::ConsumerServiceClient},
};

/// An open subscription.
pub struct Entries {
    stream: Streaming<SubscribeResponse>,
    next: Seq,
}

impl Entries {
    /// Subscribes from a position on.
    ///
    /// # Errors
    /// Exit code 3 if no node answers.
    pub async fn open(url: Option<&str>, from: Seq, follow: bool) -> Result<Self> {
        let channel = source::connect(url).await?;
        let mut client = ConsumerServiceClient::new(channel).max_decoding_message_size(64 << 20);
        let stream = client.subscribe(SubscribeRequest { from, follow }).await?.into_inner();
        Ok(Self { stream, next: from })
    }

    /// The next entry; `None`: those that were asked for are over. May be dropped and called again.
    ///
    /// # Errors
    /// Exit code 3 if the connection broke.
    pub async fn next(&mut self) -> Result<Option<(Header, SubscribeResponse)>> {
        let message = self.stream.message().await.map_err(|status| {
            // A node that stops, or a connection that breaks, in the middle of a stream.
            let broken = matches!(status.code(), Code::Unknown | Code::Cancelled | Code::Internal);
            let failure = Failure::from(status);
            if broken { Failure { exit: Exit::Unreachable, ..failure } } else { failure }
        })?;
        let Some(message) = message else { return Ok(None) };
        let header = message.entry.as_ref().map(|entry| Header::decode(&entry.header)).transpose();
        let header = header
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?
            .ok_or_else(|| Failure::new(Exit::Internal, "the node sent a message without an entry"))?;
        if header.seq != self.next {
            let (due, sent) = (self.next, header.seq);
            let what = format!("entry {due} is due, but the node sent entry {sent}");
            return Err(Failure::new(Exit::Internal, what));
        }
        self.next += 1;
        Ok(Some((header, message)))
    }
}
