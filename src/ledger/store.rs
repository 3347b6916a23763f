//! RocksDB: the ledger's entries, records, tree and state on disk.
//!
//! A write set becomes one WriteBatch, so a crash leaves all of it or nothing. Writing and syncing are two
//! calls: the next batch is decided while this one syncs, and nobody is told before the sync returned.

use std::{collections::BTreeMap, path::Path, sync::Mutex};

use rocksdb::{
    BlockBasedOptions, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    Direction, IteratorMode, Options, ReadOptions, WriteBatch,
    statistics::{StatsLevel, Ticker},
};

use crate::event::{Digest, Micros, Seq, header::HEADER_LEN};

use super::{
    first_failure::FirstFailure,
    keys::{self, CF_ENTRIES, CF_RECORDS, CF_STATE, CF_TREE},
    plan::WriteSet,
    review_rows::{ReviewKey, ReviewRow},
    rows,
    state::{Binding, Lookup, PromotionState, SlotState, State},
};

/// Entries from which on a scan reads ahead.
const LONG_SCAN: u64 = 1024;

/// Why the store could not answer. None of these is retried: the writer halts and is reopened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process has the directory open.
    #[error("the ledger in {0} is open in another process; stop that one first")]
    Locked(String),
    /// RocksDB failed: disk full, I/O error, corruption.
    #[error("the ledger's database failed: {0}")]
    Database(String),
    /// A row is there, but is not what its key says.
    #[error("the ledger's database is damaged: row {0} cannot be read")]
    Row(String),
}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// A row by position.
type Row = (Seq, Box<[u8]>);

/// The open database.
pub struct Store {
    pub(super) db: DB,
    options: Options,
    log_failure: FirstFailure,
    /// Rows of the projections that a read-only store may not write: they stay in memory.
    pub(super) unwritten: Option<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

fn db_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A torn last batch was never acknowledged. Anything worse is corruption and must not be dropped silently.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_manual_wal_flush(false);
    options.set_wal_bytes_per_sync(0);
    options.set_max_total_wal_size(512 << 20);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(8 << 20);
    // For one number, the syncs: times and histograms cost more than what they would measure.
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options
}

fn cf_options(name: &str) -> Options {
    let mut options = Options::default();
    let mut blocks = BlockBasedOptions::default();
    if name == CF_STATE {
        // Mostly look-ups of digests that are not there.
        blocks.set_bloom_filter(10.0, false);
        blocks.set_cache_index_and_filter_blocks(false);
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.05);
    }
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(if name == CF_RECORDS { 64 << 20 } else { 32 << 20 });
    options.set_compression_type(if name == CF_TREE {
        DBCompressionType::None
    } else {
        DBCompressionType::Lz4
    });
    if name == CF_RECORDS {
        // Records are written once and never change: keep them out of compactions.
        options.set_enable_blob_files(true);
        options.set_min_blob_size(1024);
        options.set_blob_compression_type(DBCompressionType::Lz4);
    }
    options
}

impl Store {
    /// Opens the ledger's directory for writing, making it if needed.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it, else [`Error::Database`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let options = db_options();
        let cfs = keys::CFS.map(|name| ColumnFamilyDescriptor::new(name, cf_options(name)));
        match DB::open_cf_descriptors(&options, dir, cfs) {
            Ok(db) => Ok(Self { db, options, log_failure: FirstFailure::default(), unwritten: None }),
            Err(error) if error.to_string().contains("LOCK") || error.to_string().contains("lock ") => {
                Err(Error::Locked(dir.display().to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a stopped node's directory for reading; writes nothing to it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn open_read_only(dir: &Path) -> Result<Self, Error> {
        let mut options = db_options();
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        let cfs = keys::CFS.map(|name| ColumnFamilyDescriptor::new(name, cf_options(name)));
        let db = DB::open_cf_descriptors_read_only(&options, dir, cfs, false)?;
        Ok(Self { db, options, log_failure: FirstFailure::default(), unwritten: Some(Mutex::default()) })
    }

    pub(super) fn cf(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("opened with every column family in keys::CFS")
    }

    /// The state at the end of the entries; `None` before genesis.
    ///
    /// # Errors
    /// [`Error`].
    pub fn state(&self) -> Result<Option<State>, Error> {
        self.row(CF_STATE, keys::HEAD)
    }

    fn row<T: serde::de::DeserializeOwned>(&self, cf: &str, key: &[u8]) -> Result<Option<T>, Error> {
        let Some(bytes) = self.db.get_pinned_cf(self.cf(cf), key)? else { return Ok(None) };
        rows::decode(&bytes).map(Some).ok_or_else(|| Error::Row(format!("{cf}/{}", hex::encode(key))))
    }

    fn sized<const N: usize>(&self, cf: &str, key: &[u8]) -> Result<Option<[u8; N]>, Error> {
        let Some(bytes) = self.db.get_pinned_cf(self.cf(cf), key)? else { return Ok(None) };
        let sized =
            bytes.as_ref().try_into().map_err(|_| Error::Row(format!("{cf}/{}", hex::encode(key))))?;
        Ok(Some(sized))
    }

    /// Writes a write set and the state after it, atomically. Durable only after [`Store::sync`].
    ///
    /// # Errors
    /// [`Error::Database`]: whether it landed is then unknown, and the writer must halt.
    pub fn write(&self, set: &WriteSet, state: &State) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        let (entries, records, tree) = (self.cf(CF_ENTRIES), self.cf(CF_RECORDS), self.cf(CF_TREE));
        let cf_state = self.cf(CF_STATE);
        for (decided, prepared) in &set.entries {
            let seq = decided.header.seq;
            batch.put_cf(entries, keys::seq(seq), decided.bytes);
            batch.put_cf(records, keys::seq(seq), &prepared.value);
            batch.put_cf(cf_state, keys::date(seq), decided.date.to_be_bytes());
            for (level, index, root) in
                decided.subtrees.iter().filter(|(level, ..)| *level >= keys::TREE_LEVEL_STORED)
            {
                batch.put_cf(tree, keys::tree(*level, *index), root.0);
            }
            let changes = &decided.changes;
            if let Some(digest) = &changes.replay {
                batch.put_cf(cf_state, keys::replay(digest), seq.to_be_bytes());
            }
            if let Some((key, binding)) = &changes.binding {
                batch.put_cf(cf_state, keys::binding(key), rows::encode(binding));
            }
            if let Some((slot, row)) = &changes.slot {
                batch.put_cf(cf_state, keys::slot(slot), rows::encode(row));
            }
            if let Some((promotion, row)) = &changes.promotion {
                batch.put_cf(cf_state, keys::promotion(*promotion), rows::encode(row));
            }
            for (key, row) in &changes.review_rows {
                batch.put_cf(cf_state, keys::review(key), rows::encode(row));
            }
        }
        batch.put_cf(cf_state, keys::HEAD, rows::encode(state));
        self.log_failure.of(|| self.db.write(batch)).map_err(Error::Database)
    }

    /// Makes everything written so far durable: one fdatasync of the write-ahead log.
    ///
    /// # Errors
    /// [`Error::Database`]: the writer must halt.
    pub fn sync(&self) -> Result<(), Error> {
        self.log_failure.of(|| self.db.flush_wal(true)).map_err(Error::Database)
    }

    /// How often the write-ahead log was synced since it was opened.
    pub fn wal_syncs(&self) -> u64 {
        self.options.get_ticker_count(Ticker::WalFileSynced)
    }

    /// The 168 bytes of an entry.
    ///
    /// # Errors
    /// [`Error`].
    pub fn header(&self, seq: Seq) -> Result<Option<[u8; HEADER_LEN]>, Error> {
        self.sized(CF_ENTRIES, &keys::seq(seq))
    }

    /// The topic value of an entry.
    ///
    /// # Errors
    /// [`Error`].
    pub fn record(&self, seq: Seq) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.db.get_cf(self.cf(CF_RECORDS), keys::seq(seq))?)
    }

    /// The entry's date as it was when it was written; see `State::corrected_date`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn date(&self, seq: Seq) -> Result<Option<Micros>, Error> {
        Ok(self.sized(CF_STATE, &keys::date(seq))?.map(u64::from_be_bytes))
    }

    /// Headers of `[from, to)`, in order. Fewer than asked for means that the ledger ends there.
    ///
    /// # Errors
    /// [`Error`]; a gap is [`Error::Row`].
    pub fn headers(&self, from: Seq, to: Seq) -> Result<Vec<[u8; HEADER_LEN]>, Error> {
        let rows = self.scan(CF_ENTRIES, from, to)?;
        rows.into_iter()
            .map(|(seq, bytes)| {
                bytes.as_ref().try_into().map_err(|_| Error::Row(format!("{CF_ENTRIES}/{seq}")))
            })
            .collect()
    }

    /// Records of `[from, to)`, in order.
    ///
    /// # Errors
    /// [`Error`]; a gap is [`Error::Row`].
    pub fn records(&self, from: Seq, to: Seq) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.scan(CF_RECORDS, from, to)?.into_iter().map(|(_, bytes)| bytes.into_vec()).collect())
    }

    fn scan(&self, cf: &str, from: Seq, to: Seq) -> Result<Vec<Row>, Error> {
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(keys::seq(to));
        if to.saturating_sub(from) >= LONG_SCAN {
            // Reads once, in order: nothing is gained by pushing other blocks out of the cache.
            read.fill_cache(false);
            read.set_readahead_size(2 << 20);
        }
        let start = keys::seq(from);
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut found = Vec::new();
        for (expected, row) in (from..to).zip(self.db.iterator_cf_opt(self.cf(cf), read, mode)) {
            let (key, value) = row?;
            let seq = keys::parse_seq(&key).filter(|seq| *seq == expected);
            found.push((seq.ok_or_else(|| Error::Row(format!("{cf}/{expected}")))?, value));
        }
        Ok(found)
    }

    /// Root of a complete subtree at level 8 or above.
    ///
    /// # Errors
    /// [`Error`].
    pub fn subtree(&self, level: u8, index: u64) -> Result<Option<Digest>, Error> {
        Ok(self.sized(CF_TREE, &keys::tree(level, index))?.map(Digest))
    }

    /// Roots of the complete subtrees `[from, to)` of a level of 8 or above, in order.
    ///
    /// # Errors
    /// [`Error`]; a gap is [`Error::Row`].
    pub fn subtrees(&self, level: u8, from: u64, to: u64) -> Result<Vec<Digest>, Error> {
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(keys::tree(level, to));
        let start = keys::tree(level, from);
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut found = Vec::new();
        for (index, row) in (from..to).zip(self.db.iterator_cf_opt(self.cf(CF_TREE), read, mode)) {
            let (key, root) = row?;
            let root = Digest::from_slice(&root).filter(|_| *key == keys::tree(level, index));
            found.push(root.ok_or_else(|| Error::Row(format!("{CF_TREE}/{level}/{index}")))?);
        }
        if found.len() as u64 == to - from {
            Ok(found)
        } else {
            Err(Error::Row(format!("{CF_TREE}/{level}/{}", from + found.len() as u64)))
        }
    }

    /// Rows of the writer's state whose key starts with a tag (see `keys`), in order.
    ///
    /// # Errors
    /// [`Error`].
    pub fn state_rows(&self, tag: u8, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        read.set_iterate_upper_bound([tag + 1]);
        let mode = IteratorMode::From(&[tag], Direction::Forward);
        for row in self.db.iterator_cf_opt(self.cf(CF_STATE), read, mode) {
            let (key, value) = row?;
            each(&key, &value);
        }
        Ok(())
    }
}

impl Lookup for Store {
    type Error = Error;

    fn replayed(&self, record: &Digest) -> Result<Option<Seq>, Error> {
        Ok(self.sized(CF_STATE, &keys::replay(record))?.map(u64::from_be_bytes))
    }

    fn bound(&self, key: &Digest) -> Result<Option<Binding>, Error> {
        self.row(CF_STATE, &keys::binding(key))
    }

    fn link(&self, seq: Seq) -> Result<Option<Digest>, Error> {
        Ok(self.header(seq)?.map(|header| crate::event::digest::link(&header)))
    }

    fn slot(&self, slot: &Digest) -> Result<Option<SlotState>, Error> {
        self.row(CF_STATE, &keys::slot(slot))
    }

    fn promotion(&self, seq: Seq) -> Result<Option<PromotionState>, Error> {
        self.row(CF_STATE, &keys::promotion(seq))
    }

    fn review_row(&self, key: &ReviewKey) -> Result<Option<ReviewRow>, Error> {
        self.row(CF_STATE, &keys::review(key))
    }
}
