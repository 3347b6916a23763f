//! Following: what an entry asks of the registry is done before the cursor moves. Everything here can be done twice, so that
//! a crash at any place, also between a pointer and its alias, is repaired by doing it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{
    config::Config,
    expected::{Aim, At, Expected},
};
use crate::{
    cursor::Cursor,
    event::{Header, Seq, canonical},
    ledger::{Ledger, store},
    mlflow::{self, Client},
};

/// Why the registry is not where the ledger is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of the registry: try again.
    #[error("{0}")]
    Registry(#[from] mlflow::Error),
    /// Of the ledger.
    #[error("{0}")]
    Ledger(#[from] store::Error),
    /// The cursor's file.
    #[error("the cursor was not kept: {0}")]
    Cursor(#[from] std::io::Error),
}

/// What was refused for good, and is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut(pub String);

/// One registry's position in the ledger, and what is still to do there.
pub struct Follower {
    ledger: Arc<Ledger>,
    /// What the registry should say, up to `folded`.
    pub expected: Expected,
    folded: Seq,
    cursor: Cursor,
    pointers: BTreeSet<Seq>,
    aliases: BTreeSet<(String, At)>,
}

impl Follower {
    /// Folds what was done before. A new registry starts at the first entry: promotions of the past get their pointers too.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(dir: &Path, config: &Config, ledger: &Arc<Ledger>) -> Result<Self, Error> {
        let cursor = Cursor::open(&dir.join("registries"), &config.name, 0)?;
        let head = ledger.head();
        let expected = Expected::new(&config.uri, &head.state.origin, &config.targets);
        let (pointers, aliases) = (BTreeSet::new(), BTreeSet::new());
        let mut follower = Self { ledger: ledger.clone(), expected, folded: 0, cursor, pointers, aliases };
        follower.fold(follower.cursor.next().min(head.state.size()))?;
        follower.pointers.clear();
        follower.aliases.clear();
        Ok(follower)
    }

    /// Entries whose consequences are all in the registry.
    pub const fn done(&self) -> Seq {
        self.cursor.next()
    }

    /// Folds entries up to a size, and notes what they ask.
    fn fold(&mut self, size: Seq) -> Result<(), store::Error> {
        while self.folded < size {
            let seq = self.folded;
            let damaged = || store::Error::Row(format!("entry {seq}"));
            let header = self.ledger.store.header(seq)?.ok_or_else(damaged)?;
            let header = Header::decode(&header).map_err(|_| damaged())?;
            let record = self.ledger.store.record(seq)?.ok_or_else(damaged)?;
            // A malformed entry has no event, and a refused one no effect.
            if let Some(event) = canonical::decode(&record).ok().and_then(|record| record.body.event) {
                let change = self.expected.apply(&header, &event);
                self.pointers.extend(change.pointer);
                self.aliases.extend(change.aliases);
            }
            self.folded += 1;
        }
        Ok(())
    }

    /// Brings the registry to where the ledger is: pointers first, then aliases. What the registry refuses for good is left
    /// out and returned; the sweep finds it again.
    ///
    /// # Errors
    /// [`Error`]: what is not done stays to be done.
    pub async fn catch_up(&mut self, client: &Client, size: Seq) -> Result<Vec<LeftOut>, Error> {
        tokio::task::block_in_place(|| self.fold(size))?;
        let mut left_out = Vec::new();
        while let Some(seq) = self.pointers.first().copied() {
            left_out.extend(settled(&format!("the pointer to entry {seq}"), self.point(client, seq).await)?);
            self.pointers.remove(&seq);
        }
        let aims = if self.aliases.is_empty() { BTreeMap::new() } else { self.expected.aims() };
        while let Some(key) = self.aliases.first().cloned() {
            let what = format!("{}@{}", key.0, self.expected.alias(key.1));
            left_out.extend(settled(&what, self.aim(client, &key, aims.get(&key)).await)?);
            self.aliases.remove(&key);
        }
        if self.cursor.next() < self.folded {
            tokio::task::block_in_place(|| self.cursor.advance(self.folded))?;
        }
        Ok(left_out)
    }

    async fn point(&self, client: &Client, seq: Seq) -> Result<(), mlflow::Error> {
        let (Some(promotion), Some((tag, pointer))) =
            (self.expected.promotion_of(seq), self.expected.pointer(seq))
        else {
            return Ok(());
        };
        client.set_tag(&promotion.name, &promotion.version, &tag, &pointer.text()).await
    }

    async fn aim(
        &self,
        client: &Client,
        (name, at): &(String, At),
        aim: Option<&Aim>,
    ) -> Result<(), mlflow::Error> {
        let alias = self.expected.alias(*at);
        match aim {
            Some(Aim::Promoted(seq)) => match self.expected.promotion_of(*seq) {
                Some(promotion) => client.set_alias(name, alias, &promotion.version).await,
                None => Ok(()),
            },
            // Nobody promoted it: the registry's word stays.
            Some(Aim::Undocumented(_)) => Ok(()),
            None => self.take_away(client, name, alias).await,
        }
    }

    /// Nothing is current: the alias must not go on naming what was. One that points to something that the ledger never
    /// promoted is left for the sweep to find.
    async fn take_away(&self, client: &Client, name: &str, alias: &str) -> Result<(), mlflow::Error> {
        let Some(model) = client.model(name).await? else { return Ok(()) };
        let Some(there) = model.aliases.into_iter().find(|it| it.alias == alias) else { return Ok(()) };
        let ours = self
            .expected
            .pointers_of(name)
            .any(|(version, at, _)| version == there.version && self.expected.alias(at) == alias);
        if ours { client.delete_alias(name, alias).await } else { Ok(()) }
    }
}

/// Whether something is over: done, or refused for good.
fn settled(what: &str, done: Result<(), mlflow::Error>) -> Result<Option<LeftOut>, mlflow::Error> {
    match done {
        Ok(()) => Ok(None),
        Err(error @ (mlflow::Error::Missing(_) | mlflow::Error::Refused(_))) => {
            Ok(Some(LeftOut(format!("{what}: {error}"))))
        }
        Err(error) => Err(error),
    }
}
