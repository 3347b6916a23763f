//! The command line: one file for each command. Commands are clients like any other; only `init`, `serve`,
//! `rebuild` and `republish` touch a node's files.

mod admin;
mod as_of;
pub mod bench;
mod chain;
mod command;
mod completions;
mod demo;
mod event_json;
mod evidence_out;
mod init;
mod list;
pub mod output;
mod policy;
mod progress;
mod promote;
mod promotion_file;
mod rebuild;
mod receipt;
mod republish;
mod serve;
mod show;
mod six_fields;
mod slot_act;
pub mod source;
mod status;
mod submit;
mod tail;
mod upload;
mod verification;
mod verify;
mod when;
mod words;

pub use command::run;
