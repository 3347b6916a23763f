//! `admin`: acts of the administrators. Prepared anywhere, signed offline, submitted to any node.

mod command;
mod statement;

pub use command::{Args, next_statement, run, sign_and_submit, write_statement};
