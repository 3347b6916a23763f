//! Pages for people, made on the server: one style sheet, no scripts, every byte a function of what is shown. Pure.
//!
//! `shell` is the document around everything; `parts` are digests, times, facts; `exhibit` shows one piece of evidence;
//! `sections` are the six fields and what was derived from them; the rest are whole pages. Text from elsewhere goes
//! through [`crate::readable::visible`], addresses are relative, so that a page reads the same from a directory.
//!
//! NOT where anything is decided: pages show what the ledger and its evidence say.

pub mod bundle;
mod checks;
mod compare;
pub mod desk;
mod exhibit;
mod figures;
pub mod home;
pub mod inbox;
pub mod login;
mod parts;
pub mod people;
pub mod promotion;
pub mod sealed;
pub mod sections;
pub mod shell;
pub mod words;
pub mod workpaper;

pub use checks::{Check, Found, checks};
pub use compare::{Side, compare};
pub use exhibit::{Exhibits, file_name};
pub use parts::{digest, facts, state, time};
