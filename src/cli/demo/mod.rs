//! `demo`: a real node, driven over real gRPC with the credit example, and the auditor's questions after it.

mod audit;
mod command;
mod people;
mod seen;
mod stage;
mod step;
mod story;

pub use command::{Args, run};
