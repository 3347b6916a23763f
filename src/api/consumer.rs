//! ConsumerService: the chain in order, from any position.

use std::{pin::Pin, sync::Arc};

use tokio::sync::watch;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{
    event::proto::{SubscribeRequest, SubscribeResponse, consumer_service_server::ConsumerService},
    ledger::Ledger,
};

use super::chain::chain_chunk;

/// The service.
pub struct Consumer {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// True once the server stops: streams that follow the head end then, with UNAVAILABLE.
    pub stopping: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl ConsumerService for Consumer {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let SubscribeRequest { from, follow } = request.into_inner();
        let (ledger, mut stopping) = (self.ledger.clone(), self.stopping.clone());
        let (sender, stream) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            let mut heads = ledger.heads();
            let mut next = from;
            loop {
                let synced_size = heads.borrow_and_update().state.size();
                while next < synced_size {
                    let chunk = tokio::task::block_in_place(|| chain_chunk(&ledger, next, synced_size, true));
                    let entries = match chunk {
                        Ok(chunk) => chunk.entries,
                        Err(status) => {
                            // The receiver may be gone; then nobody needs to be told.
                            let _ = sender.send(Err(status)).await;
                            return;
                        }
                    };
                    next += entries.len() as u64;
                    for entry in entries {
                        let message = SubscribeResponse { entry: Some(entry), synced_size };
                        if sender.send(Ok(message)).await.is_err() {
                            return;
                        }
                    }
                }
                if !follow {
                    return;
                }
                tokio::select! {
                    changed = heads.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                    _ = async { stopping.wait_for(|stopping| *stopping).await.is_ok() } => {
                        let status = Status::unavailable("the node stops; subscribe again from the next position");
                        // The receiver may be gone; then nobody needs to be told.
                        let _ = sender.send(Err(status)).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}
