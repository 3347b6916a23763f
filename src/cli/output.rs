//! What commands print and how they end: text for people, JSON for programs, one table of exit codes.

use std::process::ExitCode;

use tonic::Code;

/// Every command ends with one of these. Stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// The answer is no, or tampering was found.
    No = 1,
    /// The command line or an input file is wrong.
    Usage = 2,
    /// A server or store could not be reached; try again.
    Unreachable = 3,
    /// A fault of this program or its files.
    Internal = 4,
    /// Recorded as far as it can be; somebody must approve.
    AwaitingApproval = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not do what was asked: what to print, how to end.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// For a person; may have several lines.
    pub message: String,
    /// Field problems, for JSON.
    pub problems: Vec<crate::event::promotion::Problem>,
}

/// What commands return.
pub type Result<T = Exit> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), problems: Vec::new() }
    }

    /// The command line or an input file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Internal, format!("{error:#}"))
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        use tonic_types::StatusExt;
        // tonic's words for an answer that is HTTP, but not gRPC.
        if status.message().starts_with("grpc-status header missing") {
            return Self::usage(
                "what answers at --url is no ledger's gRPC; is it the address of its pages? gRPC is at `listen`, 7420 by default",
            );
        }
        let exit = match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition => {
                Exit::No
            }
            Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded => {
                Exit::Unreachable
            }
            _ => Exit::Internal,
        };
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        let problem = |violation: tonic_types::FieldViolation| crate::event::promotion::Problem {
            field: violation.field,
            description: violation.description,
        };
        let problems: Vec<_> = violations.into_iter().map(problem).collect();
        let message = match (status.code(), problems.len()) {
            (Code::InvalidArgument, 1) => "refused: 1 problem".into(),
            (Code::InvalidArgument, n) if n > 1 => format!("refused: {n} problems"),
            _ => status.message().to_owned(),
        };
        Self { exit, message, problems }
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document, or one line for each item of a stream.
    Json,
}

/// Prints a JSON document, on one line.
pub fn json(value: &impl serde::Serialize) {
    line(format_args!("{}", json_text(value)));
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Prints a line. Where nobody reads any more (`| head`) the command ends, and that is no failure.
pub fn line(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// `println!` by way of [`line`].
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::output::line(format_args!($($arg)*)) };
}
pub(super) use say;

/// Prints a failure; where nobody reads standard output any more, as JSON on standard error: it must not get lost, and
/// it must not end the command with another exit code.
pub fn failure(failure: &Failure, format: Format) {
    use std::io::Write;
    if format == Format::Json {
        let text = json_text(
            &serde_json::json!({ "error": failure.message, "problems": failure.problems, "exit_code": failure.exit as u8 }),
        );
        if writeln!(std::io::stdout().lock(), "{text}").is_err() {
            eprintln!("{text}");
        }
        return;
    }
    eprintln!("error: {}", failure.message);
    for problem in &failure.problems {
        eprintln!("  {:<44} {}", problem.field, problem.description);
    }
}

/// Whether standard output is a terminal that takes colours (<https://no-color.org>).
pub fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Text in a colour (an SGR code such as `32`), on a terminal that takes colours.
pub fn coloured(code: &str, text: &str) -> String {
    if colours() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

pub use crate::page::words::utc;
