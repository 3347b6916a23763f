//! The projections' rows in the ledger's database: scanned, written without the write-ahead log, dropped.

use rocksdb::{Direction, WriteBatch};

use super::{
    keys::CF_VIEWS,
    store::{Error, Store},
};

impl Store {
    /// Rows of the projections whose key starts with a prefix, from a key on, in order.
    ///
    /// # Errors
    /// [`Error`].
    pub fn view_scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        direction: Direction,
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        let mut rows = self.db.raw_iterator_cf(self.cf(CF_VIEWS));
        let mut unwritten = self.unwritten_from(from, direction);
        match direction {
            Direction::Forward => rows.seek(from),
            Direction::Reverse => rows.seek_for_prev(from),
        }
        loop {
            let in_memory = unwritten.last().map(|(key, _)| key.as_slice());
            let memory_first = match (rows.key(), in_memory) {
                (None, None) => break,
                (Some(stored), Some(memory)) if matches!(direction, Direction::Forward) => memory <= stored,
                (Some(stored), Some(memory)) => memory >= stored,
                (stored, _) => stored.is_none(),
            };
            let more = if memory_first {
                let Some((key, value)) = unwritten.pop() else { break };
                if rows.key() == Some(&key[..]) {
                    advance(&mut rows, direction);
                }
                key.starts_with(prefix) && each(&key, &value)
            } else {
                let more =
                    rows.item().is_some_and(|(key, value)| key.starts_with(prefix) && each(key, value));
                advance(&mut rows, direction);
                more
            };
            if !more {
                break;
            }
        }
        Ok(rows.status()?)
    }

    /// Unwritten rows from a key on, the next one last.
    fn unwritten_from(&self, from: &[u8], direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Some(unwritten) = &self.unwritten else { return Vec::new() };
        let rows = unwritten.lock().expect("no code panics while holding this lock");
        let own = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        match direction {
            Direction::Forward => rows.range(from.to_vec()..).rev().map(own).collect(),
            Direction::Reverse => rows.range(..=from.to_vec()).map(own).collect(),
        }
    }

    /// One row of the projections.
    ///
    /// # Errors
    /// [`Error`].
    pub fn view(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Some(unwritten) = &self.unwritten
            && let Some(row) = unwritten.lock().expect("no code panics while holding this lock").get(key)
        {
            return Ok(Some(row.clone()));
        }
        Ok(self.db.get_cf(self.cf(CF_VIEWS), key)?)
    }

    /// Writes rows of the projections, without the write-ahead log: they can be rebuilt, and rows and cursor are
    /// in one column family, so a crash keeps a prefix of these calls.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn write_views(&self, rows: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
        if let Some(unwritten) = &self.unwritten {
            unwritten.lock().expect("no code panics while holding this lock").extend(rows.iter().cloned());
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        let cf = self.cf(CF_VIEWS);
        for (key, value) in rows {
            batch.put_cf(cf, key, value);
        }
        Ok(self.db.write_without_wal(batch)?)
    }

    /// Makes the projections' rows durable, at a clean stop.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn flush_views(&self) -> Result<(), Error> {
        Ok(self.db.flush_cf(self.cf(CF_VIEWS))?)
    }

    /// Drops every row of the projections.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn clear_views(&self) -> Result<(), Error> {
        let cf = self.cf(CF_VIEWS);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(cf, &[0u8][..], &[0xff; 64][..]);
        Ok(self.db.write(batch)?)
    }
}

fn advance(rows: &mut rocksdb::DBRawIterator<'_>, direction: Direction) {
    match direction {
        Direction::Forward => rows.next(),
        Direction::Reverse => rows.prev(),
    }
}
