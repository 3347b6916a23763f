//! One task for each destination: read on from its cursor, deliver, move the cursor, wait for the next entry.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{alert::Alerts, clock::Clock, cursor::Cursor, event::Header, keyfile, ledger::Ledger};

use super::{
    alerts,
    config::Config,
    deadlines::Deadlines,
    mail::Postbox,
    message::{self, From, Message},
    signature::Secret,
    webhook::Receiver,
};

/// Between attempts, at first and at most.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Failed attempts after which somebody must look.
const ATTEMPTS_BEFORE_ALERT: u32 = 3;

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret or a password.
    #[error("{0}")]
    Key(#[from] keyfile::Error),
    /// The directory of cursors, or the authority's file.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A destination.
    #[error("notify: {0}: {1}")]
    Destination(String, String),
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it.
    Delivered,
    /// Try again; why, in words.
    Later(String),
    /// The receiver does not want it, now or ever; why, in words.
    Never(String),
}

/// What the notifier reads.
pub struct Parts {
    /// Entries.
    pub ledger: Arc<Ledger>,
    /// Alerts.
    pub alerts: Arc<Alerts>,
    /// Time, for signatures.
    pub clock: Arc<dyn Clock>,
}

enum Way {
    Webhook(Receiver),
    Mail(Box<Postbox>),
}

/// Where messages go.
pub(super) struct Destination {
    pub(super) name: String,
    events: Vec<String>,
    way: Way,
    clock: Arc<dyn Clock>,
}

impl Destination {
    /// Whether it is to be told of a message.
    pub(super) fn wants(&self, message: &Message) -> bool {
        self.events.is_empty() || self.events.iter().any(|event| event == message.told.event)
    }

    async fn attempt(&self, message: &Message) -> Fate {
        match &self.way {
            Way::Webhook(receiver) => receiver.deliver(message, self.clock.now() / 1_000_000).await,
            Way::Mail(postbox) => postbox.deliver(message).await,
        }
    }

    /// Tries until the receiver has it or refuses it for good. Says so in an alert while it does not.
    pub(super) async fn deliver(&self, message: &Message, alerts: &Alerts) {
        let alert = format!("notify.{}", self.name);
        let (mut wait, mut attempts) = (WAIT_MIN, 0);
        loop {
            match self.attempt(message).await {
                Fate::Delivered => {
                    alerts.clear(&alert);
                    return;
                }
                Fate::Never(why) => {
                    let words = format!("message {} was refused for good and is left out: {why}", message.id);
                    alerts.raise(&format!("{alert}.refused"), &words, self.clock.now());
                    return;
                }
                Fate::Later(why) => {
                    attempts += 1;
                    tracing::warn!(
                        destination = self.name,
                        attempts,
                        why,
                        "a message was not delivered; it is tried again"
                    );
                    if attempts >= ATTEMPTS_BEFORE_ALERT {
                        let words = format!("messages wait, because the receiver cannot be reached: {why}");
                        alerts.raise(&alert, &words, self.clock.now());
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
    }
}

/// The running tasks. Dropping it or [`Notifier::stop`] ends them at once: a cursor moves only after a delivery.
pub struct Notifier {
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Notifier {
    /// Starts telling.
    ///
    /// # Errors
    /// [`Error`]: a secret, a cursor or an address that cannot be used.
    pub fn start(dir: &Path, config: &Config, parts: Parts) -> Result<Self, Error> {
        let state = parts.ledger.head();
        let from = From { origin: state.state.origin.clone(), ledger_id: parts.ledger.pinned.to_string() };
        let cursors = dir.join("notify");
        let mut tasks = Vec::new();
        for destination in destinations(dir, config, &parts.clock)? {
            let destination = Arc::new(destination);
            // It is told of what comes, not of history.
            let cursor = Cursor::open(&cursors, &destination.name, state.state.size())
                .map_err(|error| Error::File(cursors.clone(), error))?;
            let ledger = parts.ledger.clone();
            tasks.push(tokio::spawn(follow(
                destination.clone(),
                from.clone(),
                ledger,
                parts.alerts.clone(),
                cursor,
            )));
            let deadlines = Deadlines::open(&cursors, &destination, &from, &parts, config.remind_hours)
                .map_err(|error| Error::File(cursors.clone(), error))?;
            tasks.push(tokio::spawn(deadlines.follow()));
            tasks.push(tokio::spawn(alerts::follow(destination, from.clone(), parts.alerts.clone())));
        }
        Ok(Self { tasks: Mutex::new(tasks) })
    }

    /// Ends the tasks.
    pub fn stop(&self) {
        self.tasks
            .lock()
            .expect("no code panics while holding this lock")
            .drain(..)
            .for_each(|task| task.abort());
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.stop();
    }
}

fn destinations(dir: &Path, config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Destination>, Error> {
    let authority = match &config.ca_file {
        None => None,
        Some(file) => {
            let path = dir.join(file);
            Some(std::fs::read(&path).map_err(|error| Error::File(path, error))?)
        }
    };
    let (authority, public_url) = (authority.as_deref(), &config.public_url);
    let mut found = Vec::new();
    for webhook in &config.webhooks {
        let path = dir.join(&webhook.secret_file);
        let secret = Secret::parse(&keyfile::secret_text(&path)?).ok_or_else(|| {
            keyfile::Error::Format(path.display().to_string(), "whsec_ and 24 to 64 bytes in base64")
        })?;
        let receiver = Receiver::new(&webhook.url, secret, public_url, authority)
            .map_err(|why| Error::Destination(webhook.name.clone(), why))?;
        let (name, events) = (webhook.name.clone(), webhook.events.clone());
        found.push(Destination { name, events, way: Way::Webhook(receiver), clock: clock.clone() });
    }
    if let Some(smtp) = &config.smtp {
        let password =
            smtp.password_file.as_ref().map(|file| keyfile::secret_text(&dir.join(file))).transpose()?;
        let password = password.map(|text| text.trim_end_matches(['\n', '\r']).to_owned());
        let postbox = Postbox::new(smtp.clone(), password, public_url, authority)
            .map_err(|why| Error::Destination("mail".into(), why))?;
        let events = smtp.events.clone();
        found.push(Destination {
            name: "mail".into(),
            events,
            way: Way::Mail(Box::new(postbox)),
            clock: clock.clone(),
        });
    }
    Ok(found)
}

/// Tells one destination of every synced entry, in order.
async fn follow(
    destination: Arc<Destination>,
    from: From,
    ledger: Arc<Ledger>,
    alerts: Arc<Alerts>,
    mut cursor: Cursor,
) {
    let mut heads: watch::Receiver<_> = ledger.heads();
    loop {
        let size = heads.borrow_and_update().state.size();
        let mut told = cursor.next();
        while told < size {
            let message = match tokio::task::block_in_place(|| read(&from, &ledger, told)) {
                Ok(message) => message,
                Err(why) => {
                    tracing::error!(
                        destination = destination.name,
                        seq = told,
                        why,
                        "an entry cannot be read to tell of it"
                    );
                    tokio::time::sleep(WAIT_MIN).await;
                    continue;
                }
            };
            let due = message.filter(|message| destination.wants(message));
            if let Some(message) = &due {
                destination.deliver(message, &alerts).await;
            }
            told += 1;
            // Entries that are nothing to tell are skipped again after a crash, without harm.
            if due.is_some() || told == size {
                keep(&mut cursor, told, &destination.name);
            }
        }
        if heads.changed().await.is_err() {
            return;
        }
    }
}

fn keep(cursor: &mut Cursor, told: u64, destination: &str) {
    if let Err(error) = tokio::task::block_in_place(|| cursor.advance(told)) {
        tracing::error!(destination, %error, "a cursor was not kept: after a restart some messages are sent twice");
    }
}

/// The message for an entry, if there is one.
fn read(from: &From, ledger: &Ledger, seq: u64) -> Result<Option<Message>, String> {
    let read = || -> Result<_, crate::ledger::store::Error> {
        Ok((ledger.store.header(seq)?, ledger.store.record(seq)?, ledger.store.date(seq)?))
    };
    let (Some(header), Some(record), Some(date)) = read().map_err(|error| error.to_string())? else {
        return Err("it is not there".into());
    };
    let header = Header::decode(&header).map_err(|error| error.to_string())?;
    let record_of = |seq| ledger.store.record(seq).ok().flatten();
    Ok(message::of_entry(from, &header, &record, date, &record_of))
}
