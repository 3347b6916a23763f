//! C2SP tlog-tiles: checkpoint, tiles and entry bundles, for unmodified transparency-log clients.
//!
//! Leaves are entry headers: numbers, times and digests, no content and nobody's data. The records, which hold that,
//! are for auditors alone, over gRPC. Everything is read from what is synced; the writer is not asked.

use std::{io::Write, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use tokio::sync::Semaphore;

use crate::{
    ledger::{Ledger, store},
    proof::tile::{Content, Tile},
};

/// Reads at a time; each takes a thread and at most 256 rows.
const READS_MAX: usize = 64;
/// How long a request waits for its turn to read.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// A tile never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
const BYTES: &str = "application/octet-stream";

struct Tiles {
    ledger: Arc<Ledger>,
    reads: Semaphore,
}

/// Checkpoint, tiles and bundles of a ledger.
pub fn router(ledger: Arc<Ledger>) -> Router {
    let tiles = Arc::new(Tiles { ledger, reads: Semaphore::new(READS_MAX) });
    Router::new().route("/checkpoint", get(checkpoint)).route("/tile/{*path}", get(tile)).with_state(tiles)
}

async fn checkpoint(State(tiles): State<Arc<Tiles>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, tiles.ledger.shown().1).into_response()
}

async fn tile(State(tiles): State<Arc<Tiles>>, Path(path): Path<String>, asked: HeaderMap) -> Response {
    let tile = match Tile::parse(&path) {
        Ok(tile) => tile,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Ok(Ok(_turn)) = tokio::time::timeout(READ_WITHIN, tiles.reads.acquire()).await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too many reads at a time; try again".into());
    };
    let gzip = tile.content == Content::Entries && takes_gzip(&asked);
    let ledger = tiles.ledger.clone();
    let read = move || -> Result<Option<Vec<u8>>, store::Error> {
        Ok(ledger.tile(&tile)?.map(|bytes| if gzip { compressed(&bytes) } else { bytes }))
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(Some(bytes))) => {
            let headers = [(header::CONTENT_TYPE, BYTES), (header::CACHE_CONTROL, FOREVER)];
            let encoding = gzip.then_some([(header::CONTENT_ENCODING, "gzip")]);
            // A cache must not hand compressed bytes to who cannot read them.
            let vary = (tile.content == Content::Entries).then_some([(header::VARY, "accept-encoding")]);
            (headers, encoding, vary, bytes).into_response()
        }
        Ok(Ok(None)) => {
            let size = tiles.ledger.head().state.size();
            refused(StatusCode::NOT_FOUND, format!("the ledger has {size} entries, and not all of this tile"))
        }
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        // The thread panicked, and has said why in the log.
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the tile could not be read".into()),
    }
}

/// Refusals are not cached: what is not there yet may be there soon.
fn refused(status: StatusCode, why: String) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], why + "\n").into_response()
}

/// Whether gzip is among the accepted encodings and not given weight 0 (RFC 9110 section 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let accepted = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let weight = |part: &str| part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && parts.next().is_none_or(|part| weight(part).is_some_and(|weight| weight > 0.0))
    })
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_is_used_only_where_it_is_accepted() {
        let asked = |value: &str| {
            let mut asked = HeaderMap::new();
            asked.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).expect("a value"));
            takes_gzip(&asked)
        };
        assert!(asked("gzip") && asked("br, GZIP;q=0.5, identity"));
        assert!(
            !asked("identity")
                && !asked("gzip;q=0")
                && !asked("br, gzip;q=0.0")
                && !asked("gzip;q=x")
                && !asked("*")
        );
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
