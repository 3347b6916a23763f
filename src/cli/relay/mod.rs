//! `relay`: accepted entries on an output topic, for those who do not want duplicates and refusals.

mod cloud_event;
mod command;

pub use command::{Args, run};
