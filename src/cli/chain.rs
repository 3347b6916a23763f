//! The whole chain, in order, in batches that are read ahead: from a stopped node's database, or from a node.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_stream::StreamExt;

use crate::{
    event::{Header, Seq, proto::ReadChainRequest},
    ledger::store::{self, Store},
    proof::verify::StoredEntry,
};

use super::{
    output::{Exit, Failure, Result},
    source::Source,
};

/// Entries in a batch, at most.
const BATCH_LEN_MAX: u64 = 8192;
/// Bytes of records in a batch, about.
const BATCH_BYTES: u64 = 8 << 20;
/// Batches that are read ahead.
const AHEAD: usize = 2;

/// Why a batch cannot be read.
#[derive(Debug)]
pub enum Unread {
    /// An entry of a database cannot be read, or is not there.
    Damaged {
        /// Which.
        seq: Seq,
        /// What the database says.
        why: String,
    },
    /// The node or the connection.
    Failed(Failure),
}

/// Entries in order, none left out.
pub type Batch = std::result::Result<Vec<StoredEntry>, Unread>;

/// Reads `[from, to)` of a database on a thread of its own.
pub fn from_store(store: &Arc<Store>, from: Seq, to: Seq) -> Receiver<Batch> {
    let (sender, batches) = channel(AHEAD);
    let store = store.clone();
    std::thread::spawn(move || {
        let mut from = from;
        while from < to {
            let batch = stored(&store, from, to);
            from += batch.as_ref().map_or(to, |batch| batch.len() as u64);
            if sender.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    batches
}

fn stored(store: &Store, from: Seq, to: Seq) -> Batch {
    if let Ok(batch) = entries(store, from, to)
        && !batch.is_empty()
    {
        return Ok(batch);
    }
    // Something in there cannot be read: find the first of them, and hand over what comes before it.
    let mut batch = Vec::new();
    for seq in from..to.min(from + BATCH_LEN_MAX) {
        match entries(store, seq, seq + 1) {
            Ok(entry) if !entry.is_empty() => batch.extend(entry),
            _ if !batch.is_empty() => break,
            Ok(_) => return Err(Unread::Damaged { seq, why: "it is not there".into() }),
            Err(error) => return Err(Unread::Damaged { seq, why: error.to_string() }),
        }
    }
    Ok(batch)
}

fn entries(store: &Store, from: Seq, to: Seq) -> std::result::Result<Vec<StoredEntry>, store::Error> {
    let headers = store.headers(from, to.min(from + BATCH_LEN_MAX))?;
    let mut bytes = 0;
    let fits = |header: &&[u8; crate::event::header::HEADER_LEN]| {
        let before = bytes;
        bytes += Header::decode(&header[..]).map_or(0, |header| u64::from(header.record_len));
        before < BATCH_BYTES
    };
    let len = headers.iter().take_while(fits).count();
    let records = store.records(from, from + len as u64)?;
    if records.len() < len {
        return Err(store::Error::Row(format!("records/{}", from + records.len() as u64)));
    }
    let entry = |(header, record): ([u8; crate::event::header::HEADER_LEN], Vec<u8>)| StoredEntry {
        header: header.to_vec(),
        record,
    };
    Ok(headers.into_iter().zip(records).map(entry).collect())
}

/// Reads `[from, to)` of a source's ledger in a task of its own.
pub fn from_node(source: Arc<Source>, from: Seq, to: Seq) -> Receiver<Batch> {
    let (sender, batches) = channel(AHEAD);
    tokio::spawn(async move {
        if let Err(failure) = send_chain(&source, from, to, &sender).await {
            // Nobody listens any more only if the verification ended before.
            let _ = sender.send(Err(Unread::Failed(failure))).await;
        }
    });
    batches
}

async fn send_chain(source: &Source, from: Seq, to: Seq, sender: &Sender<Batch>) -> Result<()> {
    let mut stream = source.read_chain(ReadChainRequest { from, to, with_records: true }).await?;
    let (mut batch, mut bytes, mut read) = (Vec::new(), 0, from);
    while let Some(message) = stream.next().await {
        for entry in message?.entries {
            read += 1;
            bytes += entry.record.len() as u64;
            batch.push(StoredEntry { header: entry.header, record: entry.record });
        }
        if bytes >= BATCH_BYTES || batch.len() as u64 >= BATCH_LEN_MAX {
            bytes = 0;
            if sender.send(Ok(std::mem::take(&mut batch))).await.is_err() {
                return Ok(());
            }
        }
    }
    if read < to {
        let message = format!("the node sent entries up to {read}, but its checkpoint is for {to}");
        return Err(Failure::new(Exit::Unreachable, message));
    }
    // Who stopped listening does not want it.
    let _ = sender.send(Ok(batch)).await;
    Ok(())
}
