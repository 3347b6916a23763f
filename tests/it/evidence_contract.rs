//! The contract of an evidence store, held against every implementation.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use promotion_ledger::{
    clock::{Clock, SystemClock},
    event::{Digest, digest::sha256},
    evidence::{Description, Error, EvidenceStore, filesystem::Filesystem},
};
use tokio_stream::StreamExt;

use crate::s3_service::{DAY, service};

/// Bytes that differ from call to call and test to test.
fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8).wrapping_add(seed)).collect()
}

/// What an honest caller says about bytes.
pub fn described(bytes: &[u8]) -> Description {
    Description {
        sha256: sha256(bytes),
        length: bytes.len() as u64,
        media_type: "application/octet-stream".into(),
        offset: 0,
    }
}

/// Bytes in chunks; `Err` at the end breaks off.
async fn put_chunks(
    store: &dyn EvidenceStore,
    stated: &Description,
    bytes: &[u8],
    then: Result<(), Error>,
) -> Result<promotion_ledger::evidence::Stored, Error> {
    let mut chunks: Vec<_> = bytes.chunks(64 * 1024).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    chunks.extend(then.err().map(Err));
    store.put(stated, Box::pin(tokio_stream::iter(chunks)), SystemClock.now()).await
}

/// Puts bytes as they are.
pub async fn put(
    store: &dyn EvidenceStore,
    bytes: &[u8],
) -> Result<promotion_ledger::evidence::Stored, Error> {
    put_chunks(store, &described(bytes), bytes, Ok(())).await
}

/// All bytes of a digest, read in pieces.
pub async fn read(store: &dyn EvidenceStore, sha256: &Digest) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = store.read(sha256, "", all.len() as u64, 100_000).await.expect("a read")?;
        if piece.is_empty() {
            return Some(all);
        }
        all.extend(piece);
    }
}

async fn holds_the_contract(store: Arc<dyn EvidenceStore>) {
    keeps_what_is_described(store.as_ref()).await;
    keeps_nothing_else(store.as_ref()).await;
    goes_on_where_an_upload_broke_off(store.as_ref()).await;
    many_writers_keep_one_copy(store.clone()).await;
    holds_longer(store.as_ref()).await;
}

async fn keeps_what_is_described(store: &dyn EvidenceStore) {
    let now = SystemClock.now();
    for length in [1, 300_000] {
        let bytes = bytes(1, length);
        let digest = sha256(&bytes);
        assert_eq!(store.stat(&digest, "", now).await, Ok(None));
        assert_eq!(store.read(&digest, "", 0, 1).await, Ok(None));
        let stored = put(store, &bytes).await.expect("kept");
        assert_eq!(stored.length, length as u64);
        let found = store.stat(&digest, "", now).await.expect("an answer").expect("it is there");
        assert_eq!((&found.uri, &found.version_id), (&stored.uri, &stored.version_id));
        assert_eq!(found.lock.asked_at, now);
        assert_eq!(store.stat(&digest, &found.version_id, now).await, Ok(Some(found.clone())));
        assert_eq!(read(store, &digest).await, Some(bytes.clone()));
        assert_eq!(store.read(&digest, "", length as u64, 10).await, Ok(Some(Vec::new())), "past the end");
        let again = put(store, &bytes).await.expect("kept already");
        assert_eq!((again.uri, again.version_id), (found.uri, found.version_id), "another copy");
    }
}

async fn keeps_nothing_else(store: &dyn EvidenceStore) {
    let (right, wrong) = (bytes(2, 1000), bytes(3, 1000));
    let stated = described(&right);
    let cases = [
        ("other bytes", stated.clone(), &wrong[..]),
        ("fewer bytes", stated.clone(), &right[..999]),
        ("more bytes", Description { length: 999, ..stated.clone() }, &right[..]),
    ];
    for (case, stated, bytes) in cases {
        let error = put_chunks(store, &stated, bytes, Ok(())).await.expect_err(case);
        assert!(matches!(error, Error::Mismatch { .. }), "{case}: {error}");
        assert_eq!(store.stat(&stated.sha256, "", 1).await, Ok(None), "{case}");
        assert_eq!(store.received(&stated.sha256), 0, "{case}");
    }
    let huge = Description { length: 1 << 60, ..stated };
    let error = put_chunks(store, &huge, &right, Ok(())).await.expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

async fn goes_on_where_an_upload_broke_off(store: &dyn EvidenceStore) {
    let bytes = bytes(4, 300_000);
    let stated = described(&bytes);
    let off = || Err(Error::BrokenOff("the line".into()));
    let error = put_chunks(store, &stated, &bytes[..200_000], off()).await.expect_err("broken off");
    assert!(matches!(error, Error::BrokenOff(_)), "{error}");
    assert_eq!(store.stat(&stated.sha256, "", 1).await, Ok(None), "a half-written upload is visible");
    assert_eq!(store.read(&stated.sha256, "", 0, 1).await, Ok(None));
    assert_eq!(store.received(&stated.sha256), 200_000);
    let beyond = Description { offset: 250_000, ..stated.clone() };
    let error = put_chunks(store, &beyond, &bytes[250_000..], Ok(())).await.expect_err("a gap");
    assert!(matches!(error, Error::BrokenOff(_)), "{error}");
    let rest = Description { offset: 200_000, ..stated.clone() };
    put_chunks(store, &rest, &bytes[200_000..], Ok(())).await.expect("the rest");
    assert_eq!(read(store, &stated.sha256).await, Some(bytes));
    assert_eq!(store.received(&stated.sha256), 0);
    // What came first was something else: nothing is kept, and the next attempt starts anew.
    let (right, wrong) = (self::bytes(5, 2000), self::bytes(6, 1000));
    let stated = described(&right);
    put_chunks(store, &stated, &wrong, off()).await.expect_err("broken off");
    let rest = Description { offset: 1000, ..stated.clone() };
    let error = put_chunks(store, &rest, &right[1000..], Ok(())).await.expect_err("other bytes");
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert_eq!(store.received(&stated.sha256), 0);
    assert_eq!(store.stat(&stated.sha256, "", 1).await, Ok(None));
}

async fn many_writers_keep_one_copy(store: Arc<dyn EvidenceStore>) {
    let all = Arc::new(bytes(7, 200_000));
    let writers = (0..12).map(|_| {
        let (store, all) = (store.clone(), all.clone());
        tokio::spawn(async move { put(store.as_ref(), &all).await })
    });
    let mut versions = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        versions.push(writer.await.expect("no panic").expect("kept").version_id);
    }
    versions.dedup();
    assert_eq!(versions.len(), 1, "several copies: {versions:?}");
    assert_eq!(read(store.as_ref(), &sha256(&all)).await, Some(all.to_vec()));
}

async fn holds_longer(store: &dyn EvidenceStore) {
    let bytes = bytes(8, 1000);
    let (digest, now) = (sha256(&bytes), SystemClock.now());
    assert_eq!(store.retain(&digest, "", now + DAY, now).await, Ok(None), "nothing to hold");
    let stored = put(store, &bytes).await.expect("kept");
    let until = now + 3 * DAY;
    let held = store.retain(&digest, &stored.version_id, until, now).await.expect("held").expect("there");
    assert_eq!(held.version_id, stored.version_id);
    if held.lock.write_once == "none" {
        return;
    }
    assert!(held.lock.retain_until >= until);
    // Never shorter.
    let same = store.retain(&digest, "", now + DAY, now).await.expect("held").expect("there");
    assert_eq!(same.lock.retain_until, held.lock.retain_until);
    let found = store.stat(&digest, "", now).await.expect("an answer").expect("there");
    assert_eq!(found.lock.retain_until, held.lock.retain_until);
}

fn filesystem(dir: &Path) -> Filesystem {
    Filesystem::open(dir, 1 << 30, false, SystemClock.now()).expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filesystem_holds_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = filesystem(dir.path());
    assert_eq!(store.probe(1).await, Ok(None), "a directory promises nothing");
    holds_the_contract(Arc::new(store)).await;
    let left = std::fs::read_dir(dir.path().join("incoming")).expect("a directory").count();
    assert_eq!(left, 0, "uploads that ended are still on their way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_object_lock_holds_the_contract() {
    let Some(service) = service("a_bucket_with_object_lock_holds_the_contract") else { return };
    let bucket = service.locked_bucket("contract").await;
    let dir = tempfile::tempdir().expect("a directory");
    let store = service.store(&bucket, dir.path(), serde_json::json!({ "prefix": "ledger/" })).await;
    let probe = store.probe(SystemClock.now()).await.expect("an answer").expect("it promises");
    assert!(probe.write_once(), "{probe:#?}");
    let tried: Vec<_> = probe.attempts.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(tried, ["lock", "shorten", "weaken", "overwrite", "delete", "change"]);
    holds_the_contract(Arc::new(store)).await;
    let left = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(left, 0, "uploads that ended are still on their way");
}

/// Beyond what one PUT takes: in parts, and read back whole, because S3 keeps no SHA-256 of such an object.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_is_read_back() {
    let Some(service) = service("an_upload_in_parts_is_read_back") else { return };
    let bucket = service.locked_bucket("parts").await;
    let dir = tempfile::tempdir().expect("a directory");
    let more = serde_json::json!({ "multipart_from": 5 << 20 });
    let store = service.store(&bucket, dir.path(), more.clone()).await;
    let all = bytes(9, (12 << 20) + 17);
    let stored = put(&store, &all).await.expect("kept");
    assert_eq!((stored.length, stored.lock.write_once.as_str()), (all.len() as u64, "compliance"));
    // Another process knows nothing of it, and reads it back too.
    let other = service.store(&bucket, dir.path(), more).await;
    let found = other.stat(&sha256(&all), "", SystemClock.now()).await.expect("an answer").expect("there");
    assert_eq!(found.version_id, stored.version_id);
    assert_eq!(read(&other, &sha256(&all)).await, Some(all));
}

/// A file that was changed behind the store's back is never found, nor quietly taken for what was uploaded again.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_damaged_and_read_only_files_are_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let store = filesystem(dir.path());
    let bytes = bytes(10, 1000);
    put(&store, &bytes).await.expect("kept");
    let path = store.path(&sha256(&bytes));
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    std::fs::write(&path, b"others").expect("changed");
    let damaged = Error::Damaged(sha256(&bytes));
    assert_eq!(store.stat(&sha256(&bytes), "", 1).await, Err(damaged.clone()));
    assert_eq!(put(&store, &bytes).await.map(|_| ()), Err(damaged));
    assert_eq!(std::fs::read(&path).expect("a file"), b"others", "evidence of the damage was overwritten");
}

/// What a crash leaves behind is kept for a day, then goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_leaves_behind_is_resumed_within_a_day_and_goes_afterwards() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = bytes(11, 1000);
    let part = dir.path().join("incoming").join(format!("{}.part", sha256(&bytes)));
    std::fs::create_dir_all(part.parent().expect("a parent")).expect("a directory");
    std::fs::write(&part, &bytes[..400]).expect("a part");
    let store = filesystem(dir.path());
    assert_eq!(store.received(&sha256(&bytes)), 400);
    let rest = Description { offset: 400, ..described(&bytes) };
    let chunks = tokio_stream::iter([Ok(Bytes::copy_from_slice(&bytes[400..]))]).map(|chunk| chunk);
    store.put(&rest, Box::pin(chunks), SystemClock.now()).await.expect("the rest");
    std::fs::write(&part, &bytes[..400]).expect("a part");
    Filesystem::open(dir.path(), 1 << 30, false, SystemClock.now() + 2 * DAY).expect("a store");
    assert!(!part.exists(), "an upload that broke off two days ago is still there");
}

/// Where the file system has the flag and the process may set it, not even its owner removes a file.
#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_file_is_not_removed() {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let dir = tempfile::tempdir().expect("a directory");
    let store = Filesystem::open(dir.path(), 1 << 30, true, SystemClock.now()).expect("a store");
    let bytes = bytes(12, 1000);
    put(&store, &bytes).await.expect("kept, with the flag or without");
    let path = store.path(&sha256(&bytes));
    let file = std::fs::File::open(&path).expect("a file");
    let Some(flags) = ioctl_getflags(&file).ok().filter(|flags| flags.contains(IFlags::IMMUTABLE)) else {
        eprintln!("SKIPPED an_immutable_file_is_not_removed: no such flag here, or no right to set it");
        return;
    };
    assert!(std::fs::remove_file(&path).is_err(), "an immutable file was removed");
    assert!(put(&store, &bytes).await.is_ok(), "the same bytes again");
    ioctl_setflags(&file, flags - IFlags::IMMUTABLE).expect("made removable, for the end of this test");
}
