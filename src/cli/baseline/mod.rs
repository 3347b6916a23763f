//! `baseline`: models that were in production before the ledger, recorded as what they are: undocumented.

mod command;
mod csv_file;
mod mlflow;
mod model;

pub use command::{Args, run};
