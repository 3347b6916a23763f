//! One witness over HTTP: add-checkpoint, with its refusals.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;

use crate::{
    ledger::{Ledger, store},
    proof::cosignature::{self, ANSWER_LEN_MAX, Cosignature, WitnessKey},
};

/// A witness, and what it cosigned last as far as this node knows.
pub struct Client {
    pub key: WitnessKey,
    url: String,
    http: reqwest::Client,
    cosigned: AtomicU64,
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It could not be reached, or answered nonsense; it is asked again.
    #[error("{0}")]
    Unavailable(String),
    /// It does not know this log or its key; somebody must tell it.
    #[error("it does not take this ledger's checkpoints ({0}): its operator must add the origin and log key")]
    Unknown(StatusCode),
    /// It has cosigned more than this node has.
    #[error(
        "it has cosigned {witnessed} entries, but this node has {size}: this node is behind, or was rolled back"
    )]
    Ahead {
        /// What it cosigned.
        witnessed: u64,
        /// Entries here.
        size: u64,
    },
    /// What it cosigned is not what this node has.
    #[error(
        "what it cosigned at {witnessed} entries is not how this node's ledger begins: there are two histories of it; keep both and compare them"
    )]
    SplitView {
        /// What it cosigned.
        witnessed: u64,
    },
    /// The ledger.
    #[error("{0}")]
    Ledger(#[from] store::Error),
}

impl Client {
    pub fn new(key: WitnessKey, url: &str, http: reqwest::Client) -> Self {
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        Self { key, url, http, cosigned: AtomicU64::new(0) }
    }

    /// Has a checkpoint cosigned: the checkpoint's note with the new line, and what it says.
    pub async fn cosign(
        &self,
        ledger: &Ledger,
        size: u64,
        note: &str,
    ) -> Result<(String, Cosignature), Refusal> {
        // The second attempt knows what the witness has.
        for _ in 0..2 {
            let old = self.cosigned.load(Ordering::SeqCst);
            if old > size {
                return Err(Refusal::Ahead { witnessed: old, size });
            }
            let proof = if old == 0 { Vec::new() } else { ledger.consistency(old, size)? };
            let (status, answer) = self.post(cosignature::request(old, &proof, note)).await?;
            match status {
                StatusCode::OK => {
                    let found = cosignature::cosigned(note, &answer, &self.key);
                    self.cosigned.store(size, Ordering::SeqCst);
                    return found.ok_or_else(|| {
                        Refusal::Unavailable(
                            "its answer holds no cosignature by its key that verifies".into(),
                        )
                    });
                }
                StatusCode::CONFLICT => {
                    let witnessed = cosignature::conflict(&answer);
                    let witnessed =
                        witnessed.ok_or_else(|| Refusal::Unavailable("its 409 names no size".into()))?;
                    if witnessed == old {
                        // The sizes agree, so it is the roots that do not.
                        return Err(Refusal::SplitView { witnessed });
                    }
                    self.cosigned.store(witnessed, Ordering::SeqCst);
                }
                StatusCode::UNPROCESSABLE_ENTITY => return Err(Refusal::SplitView { witnessed: old }),
                StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Err(Refusal::Unknown(status)),
                other => return Err(Refusal::Unavailable(format!("it answered {other}"))),
            }
        }
        Err(Refusal::Unavailable("others submit to it as well; it is asked again".into()))
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), Refusal> {
        let unavailable = |error: reqwest::Error| Refusal::Unavailable(error.without_url().to_string());
        let mut response = self.http.post(&self.url).body(body).send().await.map_err(unavailable)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            answer.extend(chunk);
            if answer.len() > ANSWER_LEN_MAX {
                return Err(Refusal::Unavailable(format!(
                    "its answer is longer than {ANSWER_LEN_MAX} bytes"
                )));
            }
        }
        let answer = String::from_utf8(answer);
        let answer = answer.map_err(|_| Refusal::Unavailable("its answer is not UTF-8".into()))?;
        Ok((status, answer))
    }
}
