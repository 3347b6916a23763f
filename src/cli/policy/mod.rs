//! `policy`: check and test a policy file, explain a route, try it against history, activate it.

mod activate;
mod command;
mod explain;
mod file;
mod history;
mod incumbent;

pub use activate::stating;
pub use command::{Args, run};
