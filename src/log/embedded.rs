//! The embedded log: the ledger itself is the durable log, so there is one fsync and no second write.
//!
//! Values wait in a bounded queue until the writer takes them; a value that waits when the process dies was
//! never acknowledged to anybody.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{Delivery, Error, Log, Outgoing, Tail};
use crate::event::{Seq, canonical::RECORD_LEN_MAX};

/// Values that wait for the writer.
pub struct Embedded {
    queue: Sender<Vec<u8>>,
    taken: Receiver<Vec<u8>>,
}

impl Embedded {
    /// A log whose queue holds at most `queue_len` values.
    pub fn new(queue_len: usize) -> Self {
        let (queue, taken) = bounded(queue_len);
        Self { queue, taken }
    }
}

#[tonic::async_trait]
impl Log for Embedded {
    async fn append(&self, outgoing: Outgoing) -> Result<(), Error> {
        let len = outgoing.value.len();
        if len > RECORD_LEN_MAX {
            return Err(Error::TooLarge { len, max: RECORD_LEN_MAX });
        }
        self.queue.try_send(outgoing.value).map_err(|error| match error {
            TrySendError::Full(_) => Error::Full,
            TrySendError::Disconnected(_) => Error::Unavailable("the writer has stopped".into()),
        })
    }

    fn tail(&self, from: Seq) -> Result<Box<dyn Tail>, Error> {
        Ok(Box::new(EmbeddedTail { next: from, taken: self.taken.clone() }))
    }

    async fn end(&self) -> Result<Option<Seq>, Error> {
        Ok(None)
    }
}

struct EmbeddedTail {
    next: Seq,
    taken: Receiver<Vec<u8>>,
}

impl Tail for EmbeddedTail {
    fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let deadline = Instant::now() + wait;
        let Ok(first) = self.taken.recv_deadline(deadline) else { return Ok(Vec::new()) };
        let values = std::iter::once(first).chain(self.taken.try_iter().take(max.saturating_sub(1)));
        let deliveries =
            values.zip(self.next..).map(|(value, offset)| Delivery { offset, value, appended_at: None });
        let deliveries: Vec<_> = deliveries.collect();
        self.next += deliveries.len() as u64;
        Ok(deliveries)
    }
}
