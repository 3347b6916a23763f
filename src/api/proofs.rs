//! Inclusion and consistency proofs, for AuditorService.

use tonic::Status;

use crate::{event::Digest, ledger::Ledger};

pub use crate::event::proto::{
    GetConsistencyProofRequest, GetConsistencyProofResponse, GetInclusionProofRequest,
    GetInclusionProofResponse,
};

use super::status::invalid_field;

fn bytes(path: Vec<Digest>) -> Vec<Vec<u8>> {
    path.into_iter().map(|hash| hash.0.to_vec()).collect()
}

/// The tree that is asked about: its size, and the checkpoint over it where the newest one was asked for.
fn tree(ledger: &Ledger, field: &str, asked: u64) -> Result<(u64, String), Status> {
    let head = ledger.head();
    let size = head.state.size();
    match asked {
        0 => Ok((size, head.checkpoint.clone())),
        asked if asked <= size => Ok((asked, String::new())),
        _ => Err(invalid_field(field, format!("is {asked}, but the ledger has {size} entries"))),
    }
}

/// That an entry is in a tree.
pub fn inclusion(
    ledger: &Ledger,
    request: &GetInclusionProofRequest,
) -> Result<GetInclusionProofResponse, Status> {
    let (tree_size, checkpoint) = tree(ledger, "tree_size", request.tree_size)?;
    if request.seq >= tree_size {
        let why = format!("is {}, but a tree of {tree_size} has the entries before {tree_size}", request.seq);
        return Err(invalid_field("seq", why));
    }
    let header = ledger.store.header(request.seq)?;
    let header = header.ok_or_else(|| Status::data_loss(format!("entry {} is not there", request.seq)))?;
    let hashes = bytes(ledger.inclusion(request.seq, tree_size)?);
    Ok(GetInclusionProofResponse { tree_size, header: header.to_vec(), hashes, checkpoint })
}

/// That one tree begins with another.
pub fn consistency(
    ledger: &Ledger,
    request: &GetConsistencyProofRequest,
) -> Result<GetConsistencyProofResponse, Status> {
    let (new_size, checkpoint) = tree(ledger, "new_size", request.new_size)?;
    if request.old_size == 0 || request.old_size > new_size {
        let why = format!("is {}, but must be from 1 to {new_size}", request.old_size);
        return Err(invalid_field("old_size", why));
    }
    let hashes = bytes(ledger.consistency(request.old_size, new_size)?);
    Ok(GetConsistencyProofResponse { new_size, hashes, checkpoint })
}
