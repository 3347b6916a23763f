//! `export`: entries for a SIEM, a line each, resumable.

mod command;
mod ocsf;

pub use command::{Args, Shape, run};
