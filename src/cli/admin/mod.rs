//! `admin`: acts of the administrators. Prepared anywhere, signed offline, submitted to any node.

mod command;
mod statement;

pub use command::{Args, next_statement, print, run, sign_and_hand_in, write_statement};
pub use statement::{SlotRole, words};
