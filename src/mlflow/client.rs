//! One call of an MLflow server.

use std::{fmt, time::Duration};

use reqwest::{Method, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::evidence::s3::Bucket;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// Longest answer that is held in memory, bytes.
const ANSWER_LEN_MAX: usize = 32 << 20;
const API: &str = "api/2.0/mlflow/";
/// How MLflow says that something is not there.
const MISSING: &str = "RESOURCE_DOES_NOT_EXIST";

/// Who asks. Never printed.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// `Authorization: Bearer`.
    Token(Zeroizing<String>),
    /// HTTP basic authentication: user and password.
    Basic(String, Zeroizing<String>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token",
            Self::Basic(..) => "Basic",
        })
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Try again: the server is not there or in trouble, or does not know us (credentials expire and are renewed).
    #[error("MLflow cannot be asked now: {0}")]
    Unavailable(String),
    /// The server has no such thing.
    #[error("MLflow has it not: {0}")]
    Missing(String),
    /// The server does not want this, now or ever: a name that it does not take.
    #[error("MLflow refuses: {0}")]
    Refused(String),
    /// Not an answer of MLflow's, or one that is not understood.
    #[error("not MLflow's answer: {0}")]
    Answer(String),
}

/// What MLflow says instead of an answer.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    message: String,
}

/// An MLflow server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
    pub(super) buckets: Vec<Bucket>,
}

impl Client {
    /// A client of the server at an address. Does not call it.
    ///
    /// # Errors
    /// In words: the address, or TLS.
    pub fn new(url: &str, credentials: Credentials) -> Result<Self, String> {
        let mut base = Url::parse(url).map_err(|error| format!("{url:?} is not an address: {error}"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(format!("{url:?} is not an http or https address"));
        }
        // Paths are joined below the last slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // Credentials go to this server alone.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(READ_WITHIN)
            .redirect(Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, base, credentials, buckets: Vec::new() })
    }

    /// The same with buckets that it reads itself, where the server names files there.
    #[must_use]
    pub fn with_buckets(self, buckets: Vec<Bucket>) -> Self {
        Self { buckets, ..self }
    }

    /// An address below the server's, each part of the path encoded.
    pub(super) fn url<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    /// A question of the registry's or the tracking server's API.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut url = self.url(API.split('/').chain(call.split('/')).filter(|part| !part.is_empty()));
        url.query_pairs_mut().extend_pairs(query);
        self.json(Method::GET, url, None).await
    }

    /// An act.
    pub(super) async fn act(&self, method: Method, call: &str, body: &Value) -> Result<(), Error> {
        let url = self.url(API.split('/').chain(call.split('/')).filter(|part| !part.is_empty()));
        self.json::<Value>(method, url, Some(body)).await.map(drop)
    }

    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let mut response = self.send(method, url, body).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_LEN_MAX {
                return Err(Error::Answer(format!("it is longer than {ANSWER_LEN_MAX} bytes")));
            }
        }
        serde_json::from_slice(&bytes).map_err(|error| Error::Answer(error.to_string()))
    }

    /// A call whose answer is success.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<reqwest::Response, Error> {
        let mut request = self.http.request(method, url);
        request = match &self.credentials {
            Credentials::None => request,
            Credentials::Token(token) => request.bearer_auth(token.as_str()),
            Credentials::Basic(user, password) => request.basic_auth(user, Some(password.as_str())),
        };
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(unavailable)?;
        let code = response.status();
        if code.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        Err(refusal(code.as_u16(), &text))
    }
}

fn unavailable(error: reqwest::Error) -> Error {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    Error::Unavailable(words)
}

/// What an answer that is no success means.
fn refusal(code: u16, text: &str) -> Error {
    let said: Refusal =
        serde_json::from_str(text).unwrap_or(Refusal { error_code: String::new(), message: String::new() });
    let short: String =
        if said.message.is_empty() { text } else { &said.message }.chars().take(300).collect();
    let words = format!("{code} {} {short}", said.error_code).replace("  ", " ").trim_end().to_owned();
    match code {
        404 if said.error_code == MISSING => Error::Missing(words),
        // An artifact has no error code of its own.
        404 if said.error_code.is_empty() => Error::Missing(words),
        401 | 403 | 408 | 425 | 429 | 500..=599 => Error::Unavailable(words),
        _ => Error::Refused(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_encoded_below_the_servers_own() {
        for base in ["http://h/mlflow", "http://h/mlflow/"] {
            let client = Client::new(base, Credentials::None).unwrap();
            assert_eq!(client.url(["a", "b c", "d/e"]).as_str(), "http://h/mlflow/a/b%20c/d%2Fe");
        }
        assert!(Client::new("ftp://h", Credentials::None).is_err());
        assert!(Client::new("h:5000", Credentials::None).is_err());
    }

    #[test]
    fn answers_are_told_apart_by_what_helps() {
        let missing = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version not found"}"#;
        assert_eq!(
            refusal(404, missing),
            Error::Missing("404 RESOURCE_DOES_NOT_EXIST Model Version not found".into())
        );
        assert!(matches!(refusal(400, r#"{"error_code": "INVALID_PARAMETER_VALUE"}"#), Error::Refused(_)));
        assert!(matches!(refusal(403, ""), Error::Unavailable(_)));
        assert!(matches!(refusal(503, "<html>"), Error::Unavailable(_)));
        assert!(!format!("{:?}", Credentials::Token(Zeroizing::new("s".into()))).contains("\"s\""));
    }
}

/// What a directory of artefacts holds; the registry's and a run's are answered in the same words.
#[derive(Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    pub(super) files: Vec<Listed>,
}

/// A file or directory.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) path: String,
    #[serde(default)]
    pub(super) is_dir: bool,
    /// Bytes; 0 for a directory.
    #[serde(default)]
    pub(super) file_size: u64,
}
