//! The chain in messages of a stream: entries in order, none left out, bounded by count and bytes.

use tonic::Status;

use crate::{
    event::proto::{Entry, ReadChainResponse},
    ledger::Ledger,
};

/// Entries in one message of a chain stream, by count.
const CHAIN_CHUNK: u64 = 256;
/// The same with records: they may be 256 KiB each.
const CHAIN_CHUNK_BYTES: usize = 512 * 1024;

/// Entries from a position on, at least one, bounded by count and bytes.
pub(super) fn chain_chunk(
    ledger: &Ledger,
    from: u64,
    to: u64,
    with_records: bool,
) -> Result<ReadChainResponse, Status> {
    let headers = ledger.store.headers(from, to.min(from + CHAIN_CHUNK))?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    for (header, seq) in headers.into_iter().zip(from..) {
        let record = if with_records { ledger.store.record(seq)?.unwrap_or_default() } else { Vec::new() };
        bytes += record.len();
        entries.push(Entry { header: header.to_vec(), record });
        if bytes >= CHAIN_CHUNK_BYTES {
            break;
        }
    }
    if entries.is_empty() {
        return Err(Status::data_loss(format!("entry {from} cannot be read")));
    }
    Ok(ReadChainResponse { entries })
}
