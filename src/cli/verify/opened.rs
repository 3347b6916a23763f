//! What entries seal, opened for a verification: with a node's own keys, or by asking a node.

use std::{path::Path, sync::Arc};

use crate::{
    cli::{
        kept_logins::Open,
        output::{Exit, Failure, Result},
        source::Source,
    },
    config::Config,
    event::{
        Digest, canonical,
        proto::{GetEntryRequest, SealedClaims, get_entry_request::By},
    },
    node,
};

/// With the subject records and their key, as the directory's configuration names them.
pub fn by_directory(dir: &Path, ledger_id: Digest) -> Result<Open> {
    let config =
        Config::load(dir, serde_json::Map::new()).map_err(|error| Failure::usage(error.to_string()))?;
    let subjects = tokio::runtime::Handle::current().block_on(node::subject_records(dir, &config));
    let subjects = subjects.map_err(|error| Failure::usage(format!("--unseal: {error}")))?;
    Ok(Box::new(move |_, body| {
        let mut opened = Vec::new();
        for sealed in &body.sealed {
            let claims = subjects.unseal(sealed, &ledger_id);
            let claims = claims.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
            opened.extend(Digest::from_slice(&sealed.subject_id).zip(claims));
        }
        Ok(opened)
    }))
}

/// By a node, which logs it.
pub fn by_node(source: Arc<Source>) -> Open {
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |header, _| {
        let request = GetEntryRequest { by: Some(By::Seq(header.seq)), unseal: true };
        let answer = runtime.block_on(source.get_entry(request))?;
        let claims = |bytes: &[u8]| canonical::decode_exact::<SealedClaims>(bytes);
        let open = answer.opened.iter().filter(|item| !item.erased);
        Ok(open.filter_map(|item| Digest::from_slice(&item.subject_id).zip(claims(&item.claims))).collect())
    })
}
