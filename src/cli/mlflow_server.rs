//! An MLflow server for commands that ask one by themselves: who asks, and what a failure means for the exit code.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::output::{Exit, Failure, Result};
use crate::{
    keyfile,
    mlflow::{Client, Credentials, Error},
};

/// Credentials, as MLflow's own clients take them, or from a file.
#[derive(Debug, Clone, clap::Args)]
pub struct MlflowCredentials {
    /// MLflow: file with a bearer token, mode 0600; or set MLFLOW_TRACKING_TOKEN
    #[arg(long, value_name = "FILE")]
    mlflow_token_file: Option<PathBuf>,
}

impl MlflowCredentials {
    /// A client of a server; it is not called yet.
    ///
    /// # Errors
    /// Exit code 2.
    pub fn open(&self, url: &str) -> Result<Client> {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let credentials = match &self.mlflow_token_file {
            Some(path) => {
                let text = keyfile::secret_text(path).map_err(|error| Failure::usage(error.to_string()))?;
                Credentials::Token(Zeroizing::new(text.trim().to_owned()))
            }
            None => match (set("MLFLOW_TRACKING_TOKEN"), set("MLFLOW_TRACKING_USERNAME")) {
                (Some(token), _) => Credentials::Token(Zeroizing::new(token)),
                (None, Some(user)) => {
                    let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
                    Credentials::Basic(user, Zeroizing::new(password))
                }
                (None, None) => Credentials::None,
            },
        };
        Client::new(url, credentials).map_err(Failure::usage)
    }
}

/// What a failed question is for who ran the command.
pub fn failed(error: Error) -> Failure {
    let exit = match &error {
        Error::Unavailable(_) | Error::Answer(_) => Exit::Unreachable,
        Error::Missing(_) | Error::Refused(_) => Exit::No,
    };
    Failure::new(exit, error.to_string())
}
