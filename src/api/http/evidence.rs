//! Evidence over HTTP: the exact bytes, in a sandbox, each time compared with the digest that the ledger has.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::{
    event::{Digest, content, digest::sha256, proto::EvidenceRef},
    evidence::EvidenceStore,
    identity::caller::Caller,
    node::Node,
    page::{Check, Exhibits, Found},
    readable::{READ_LEN_MAX, served},
};

use super::pages;

/// Bytes of evidence that one page holds in memory.
const PAGE_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Bytes read from the store at a time.
const CHUNK: usize = 1024 * 1024;

/// What was read for a page, and how it compares with the ledger.
#[derive(Default)]
pub struct Checked {
    /// The bytes that have their digest.
    pub exhibits: Exhibits,
    /// One for each reference.
    pub checks: Vec<Check>,
}

/// Reads evidence and compares it with its digests.
pub async fn check(store: &dyn EvidenceStore, references: &[(content::Path, &EvidenceRef)]) -> Checked {
    let mut checked = Checked::default();
    let mut read = 0;
    for (field, reference) in references {
        let small = reference.length <= READ_LEN_MAX && read + reference.length <= PAGE_LEN_MAX;
        let found = if small {
            read += reference.length;
            match whole(store, reference).await {
                Ok(bytes) => {
                    checked.exhibits.insert(&reference.sha256, bytes);
                    Found::Match
                }
                Err(found) => found,
            }
        } else {
            Found::NotRead
        };
        checked.checks.push(Check {
            field: field.clone().into_owned(),
            reference: (*reference).clone(),
            found,
        });
    }
    checked
}

/// All bytes, if they are the ones that the ledger names.
async fn whole(store: &dyn EvidenceStore, reference: &EvidenceRef) -> Result<Vec<u8>, Found> {
    let digest = Digest::from_slice(&reference.sha256).ok_or(Found::Missing)?;
    let mut bytes = Vec::new();
    loop {
        match store.read(&digest, "", bytes.len() as u64, CHUNK).await {
            Ok(None) => return Err(Found::Missing),
            Ok(Some(chunk)) if chunk.is_empty() => break,
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Err(error) => return Err(Found::Failed(error.to_string())),
        }
        if bytes.len() as u64 > reference.length {
            return Err(Found::Mismatch(format!("it has more than {} bytes", reference.length)));
        }
    }
    let is = sha256(&bytes);
    if is == digest && bytes.len() as u64 == reference.length {
        Ok(bytes)
    } else {
        Err(Found::Mismatch(format!("SHA-256 {is}, {} bytes", bytes.len())))
    }
}

/// `/promotions/{seq}/artefacts/{digest}.{ending}`: only what that promotion refers to.
pub async fn of_promotion(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path((seq, file)): Path<(u64, String)>,
) -> Response {
    let found = match pages::find(&node, &caller, seq, false).await {
        Ok(found) => found,
        Err(status) => return pages::failed(status),
    };
    let name = file.split('.').next().unwrap_or_default();
    let all = content::evidence(&found.promoted);
    match all.into_iter().find(|(_, reference)| hex::encode(&reference.sha256) == name) {
        Some((_, reference)) => serve(&node.evidence, reference).await,
        None => pages::failed(Status::not_found(format!("entry {seq} refers to no such evidence"))),
    }
}

/// The bytes of a reference, checked before the first of them leaves; very long ones as a file, checked while they leave.
pub async fn serve(store: &Arc<dyn EvidenceStore>, reference: &EvidenceRef) -> Response {
    serve_exact(store, reference).await.unwrap_or_else(pages::failed)
}

/// The same, or why not.
///
/// # Errors
/// NOT_FOUND, DATA_LOSS for other bytes than the ledger names, UNAVAILABLE.
pub async fn serve_exact(
    store: &Arc<dyn EvidenceStore>,
    reference: &EvidenceRef,
) -> Result<Response, Status> {
    if reference.length > READ_LEN_MAX {
        return Ok(long(store.clone(), reference));
    }
    match whole(store.as_ref(), reference).await {
        Ok(bytes) => {
            let served = served(&reference.media_type, &bytes);
            let mut response = (StatusCode::OK, bytes).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(served.content_type));
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(served.content_security_policy),
            );
            settled(headers, served.attachment);
            Ok(response)
        }
        Err(Found::Missing) => Err(Status::not_found("the evidence store does not have it")),
        Err(Found::Mismatch(is)) => Err(Status::data_loss(format!(
            "the stored bytes are not the ones that the ledger names ({}): {is}",
            hex::encode(&reference.sha256)
        ))),
        Err(_) => Err(Status::unavailable("the evidence store does not answer; try again")),
    }
}

fn settled(headers: &mut axum::http::HeaderMap, attachment: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    let disposition = if attachment { "attachment" } else { "inline" };
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
}

fn long(store: Arc<dyn EvidenceStore>, reference: &EvidenceRef) -> Response {
    let Some(digest) = Digest::from_slice(&reference.sha256) else {
        return pages::failed(Status::not_found("not a digest"));
    };
    let (sender, chunks) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(2);
    tokio::spawn(async move {
        let (mut offset, mut hasher) = (0, Sha256::new());
        loop {
            let chunk = match store.read(&digest, "", offset, CHUNK).await {
                // Too long to be looked at before: who reads on is broken off, and it does not count as served.
                Ok(Some(chunk)) if chunk.is_empty() => match Digest(hasher.finalize_reset().into()) == digest
                {
                    true => return,
                    false => {
                        Err(std::io::Error::other("the stored bytes are not the ones that the ledger names"))
                    }
                },
                Ok(Some(chunk)) => {
                    hasher.update(&chunk);
                    Ok(chunk)
                }
                Ok(None) => Err(std::io::Error::other("the evidence store does not have it")),
                Err(error) => Err(std::io::Error::other(error.to_string())),
            };
            offset += chunk.as_ref().map_or(0, Vec::len) as u64;
            let ended = chunk.is_err();
            // The reader may be gone; then nobody needs the rest.
            if sender.send(chunk).await.is_err() || ended {
                return;
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(chunks);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    settled(headers, true);
    response
}
