//! What S3 answers, in words; and what an answer means.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};

use crate::evidence::Error;

/// Longest answer that is kept, bytes.
const ANSWER_LEN_MAX: usize = 300;
/// Codes of a 4xx that speak of the caller's identity or clock: the question itself was not answered.
const NOT_ANSWERED: [&str; 13] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingSecurityHeader",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; 0 where no answer came.
    pub(super) status: u16,
    /// S3's code; empty where there is none, as in every answer to a HEAD.
    pub(super) code: String,
    /// Status, code and message, or why there is no answer.
    pub(super) words: String,
}

impl<E> From<SdkError<E, HttpResponse>> for Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let words = match (status, code.as_str()) {
            // A success that cannot be read, for instance with a checksum that is not its bytes'.
            (0 | 200..300, _) => DisplayErrorContext(&error).to_string(),
            (403, "" | "Forbidden") => {
                "403: the node's credentials are expired or wrong, or lack s3:GetObjectVersion".to_owned()
            }
            (status, "") => status.to_string(),
            (status, code) => format!("{status} {code}: {}", error.message().unwrap_or_default()),
        };
        Self { status, code, words: bounded(words) }
    }
}

fn bounded(words: String) -> String {
    let mut words = words.trim_end_matches([':', ' ']).to_owned();
    if words.len() > ANSWER_LEN_MAX {
        let end = (0..=ANSWER_LEN_MAX).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
        words.truncate(end);
    }
    words
}

/// Why a body broke off, in words: also what stands behind it, as a checksum that is not its bytes'.
pub fn broken_off(error: &(dyn std::error::Error + 'static)) -> String {
    bounded(DisplayErrorContext(error).to_string())
}

/// Whether a body that broke off had other bytes than its checksum says.
pub(super) fn is_mismatch(words: &str) -> bool {
    words.to_ascii_lowercase().contains("checksum mismatch")
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            0 => f.write_str(&self.words),
            _ => write!(f, "S3 answered {}", self.words),
        }
    }
}

impl Refusal {
    /// What was there a moment ago is not any more.
    pub(super) fn gone(name: &str) -> Self {
        Self { status: 0, code: String::new(), words: format!("{name} went away") }
    }

    /// The question was not answered: no answer, too much to do, a fault of the server, credentials or clock.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.status, 0 | 200..300 | 429)
            || self.status >= 500
            || NOT_ANSWERED.contains(&self.code.as_str())
    }

    pub(super) fn is_absent(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }

    /// The range begins at the end of the object, or behind it.
    pub(super) fn is_past_the_end(&self) -> bool {
        self.status == 416
    }

    /// Another object has that name already.
    pub(super) fn is_there_already(&self) -> bool {
        self.status == 412
    }

    /// The bucket does not take locks: the only thing that a PUT with a sound lock can be wrong about.
    pub fn is_without_lock(&self) -> bool {
        matches!(self.code.as_str(), "InvalidRequest" | "InvalidBucketObjectLockConfiguration")
            || self.code == "ObjectLockConfigurationNotFoundError"
    }
}

impl From<Refusal> for Error {
    /// Whatever it is, the caller can only ask again: a missing permission is for the operator, and the words say so.
    fn from(refusal: Refusal) -> Self {
        Self::Unavailable(refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> Refusal {
        Refusal { status, code: code.into(), words: String::new() }
    }

    /// A probe that takes expired credentials for a lock would call every store write-once.
    #[test]
    fn an_answer_about_the_caller_is_no_answer_about_the_object() {
        for (status, code) in
            [(403, "ExpiredToken"), (403, "RequestTimeTooSkewed"), (503, "SlowDown"), (0, "")]
        {
            assert!(refusal(status, code).is_unanswered(), "{status} {code}");
        }
        for (status, code) in [(403, "AccessDenied"), (400, "InvalidRequest"), (405, "MethodNotAllowed")] {
            assert!(!refusal(status, code).is_unanswered(), "{status} {code}");
        }
    }
}
