//! The only map from errors to gRPC status.
//!
//! Final: INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION, NOT_FOUND, INTERNAL. Retryable with the same
//! request: UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED, DEADLINE_EXCEEDED. Details are google.rpc types.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::{admission::Error, event::promotion::Problem, evidence, identity::subjects, ledger::store};

const DOMAIN: &str = "promotion-ledger";
const RETRY_AFTER: Duration = Duration::from_millis(200);

fn retryable(code: Code, message: String) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_retry_info(Some(RETRY_AFTER)))
}

fn violations(problems: &[Problem]) -> Vec<FieldViolation> {
    problems.iter().map(|problem| FieldViolation::new(&problem.field, &problem.description)).collect()
}

/// A request that must be mended: every problem as a field violation.
pub fn invalid(problems: &[Problem]) -> Status {
    let lines: Vec<_> =
        problems.iter().map(|problem| format!("{} {}", problem.field, problem.description)).collect();
    let mut message = lines.join("; ");
    // The details carry everything; headers of HTTP/2 do not take much more than this.
    if let Some((at, _)) = message.char_indices().nth(1000) {
        message.truncate(at);
        message.push('…');
    }
    let details = ErrorDetails::with_bad_request(violations(problems));
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// One field is wrong.
pub fn invalid_field(field: &str, description: impl Into<String>) -> Status {
    invalid(&[Problem { field: field.into(), description: description.into() }])
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid(problems) => invalid(&problems),
            Error::Conflict { seq, fields } => {
                let metadata =
                    HashMap::from([("seq".to_owned(), seq.to_string()), ("fields".into(), fields.join(","))]);
                let mut details = ErrorDetails::with_error_info("IDEMPOTENCY_CONFLICT", DOMAIN, metadata);
                let violation =
                    |field: &String| FieldViolation::new(field, "differs from the recorded event");
                details.set_bad_request(fields.iter().map(violation).collect::<Vec<_>>());
                Self::with_error_details(Code::AlreadyExists, message, details)
            }
            Error::Precondition(problem) => {
                let violation =
                    PreconditionViolation::new("STATE", problem.field.as_str(), problem.description.as_str());
                let text = format!("{} {}", problem.field, problem.description);
                let details = ErrorDetails::with_precondition_failure(vec![violation]);
                Self::with_error_details(Code::FailedPrecondition, text, details)
            }
            Error::Refused(reason) => {
                let info =
                    ErrorDetails::with_error_info(reason.name().to_uppercase(), DOMAIN, HashMap::new());
                Self::with_error_details(Code::FailedPrecondition, message, info)
            }
            Error::Raced => retryable(Code::Aborted, message),
            Error::NotFound(_) => Self::not_found(message),
            Error::Exhausted(_) => retryable(Code::ResourceExhausted, message),
            Error::Unavailable(_) => retryable(Code::Unavailable, message),
            Error::Unconfirmed(_) | Error::Unwitnessed { .. } => retryable(Code::DeadlineExceeded, message),
            Error::Internal(_) => Self::internal(message),
        }
    }
}

impl From<store::Error> for Status {
    fn from(error: store::Error) -> Self {
        Error::from(error).into()
    }
}

/// What is sealed could not be opened: the key store is away (again later), or the data is damaged.
pub fn subjects(error: subjects::Error) -> Status {
    let message = error.to_string();
    match error {
        subjects::Error::Io(_) => retryable(Code::Unavailable, message),
        subjects::Error::Wrapped(_) | subjects::Error::Sealed(_) => Status::data_loss(message),
        subjects::Error::Random(_) => Status::internal(message),
    }
}

impl From<evidence::Error> for Status {
    fn from(error: evidence::Error) -> Self {
        let message = error.to_string();
        match error {
            evidence::Error::Mismatch { .. } | evidence::Error::TooLarge { .. } => {
                invalid_field("description", message)
            }
            evidence::Error::BrokenOff(_) => retryable(Code::Aborted, message),
            evidence::Error::Damaged(_) => Self::data_loss(message),
            evidence::Error::Unlocked { .. } => {
                let violation = PreconditionViolation::new("EVIDENCE_LOCK", "evidence", message.as_str());
                let details = ErrorDetails::with_precondition_failure(vec![violation]);
                Self::with_error_details(Code::FailedPrecondition, message, details)
            }
            evidence::Error::Unavailable(_) => retryable(Code::Unavailable, message),
        }
    }
}
