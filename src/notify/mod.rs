//! People and systems are told: signed webhooks and mail, for entries of the ledger and for alerts.
//!
//! The queue is the ledger itself. Each destination has a cursor in a file, moved only after a delivery, so that
//! nothing is lost over a restart or while a receiver is down, and nothing piles up in memory. Delivery is at least
//! once; a message has the same id each time, for receivers to drop what they have.
//!
//! NOT evidence: what was decided is in the ledger; a message only points there. It holds no personal data.

mod alerts;
mod config;
mod deadlines;
mod mail;
mod message;
mod reviews;
mod signature;
mod webhook;
mod worker;

pub use config::{Config, Smtp, Tls, Webhook};
pub use message::{EVENTS, Message};
pub use signature::{Secret, signature};
pub use worker::{Error, Notifier, Parts};
