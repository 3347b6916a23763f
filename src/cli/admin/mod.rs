//! `admin`: acts of the administrators. Prepared anywhere, signed offline, submitted to any node.

mod command;
mod statement;

pub use command::{Args, run};
