//! `gate`: may this artefact run there? For pipelines, init containers, Kubernetes and people.

mod break_glass;
mod check;
mod command;
mod coverage;
mod fetch;
mod offline;
mod report;
mod status_list;
mod target;
mod webhook;

pub use command::{Args, run};
