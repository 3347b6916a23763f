//! The detection matrix: what a dishonest operator can do who holds the node's directory and its log key, one test each.
//!
//! `rewritten` gives the operator every means that a node has: after the change all entries are chained anew, the tree is
//! made anew, and the checkpoint beside the database is signed anew.

use super::*;
use crate::{
    event::{Outcome, Reason, header::HEADER_LEN},
    ledger::{keys, rows},
    proof::tree::{self, Frontier},
};

type Entries = Vec<(Header, Vec<u8>)>;

fn entries(dir: &Path) -> Entries {
    let store = Store::open_read_only(&dir.join("ledger")).unwrap();
    let size = store.state().unwrap().unwrap().size();
    let headers = store.headers(0, size).unwrap();
    let records = store.records(0, size).unwrap();
    headers.iter().map(|header| Header::decode(header).unwrap()).zip(records).collect()
}

fn stored(dir: &Path) -> Vec<StoredEntry> {
    let stored = |(header, record): (Header, _)| StoredEntry { header: header.encode().to_vec(), record };
    entries(dir).into_iter().map(stored).collect()
}

/// Gives an entry another record, and its header what fits that.
fn exchange(entry: &mut StoredEntry, record: Vec<u8>) {
    let mut header = Header::decode(&entry.header).unwrap();
    header.record_len = record.len() as u32;
    header.record_digest = digest::record_digest(&record);
    header.event_digest = digest::sha256(&canonical::decode(&record).unwrap().envelope.body);
    *entry = StoredEntry { header: header.encode().to_vec(), record };
}

fn note(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("checkpoint.0")).unwrap()
}

/// Changes the entries, and covers it up as well as the keys of the node allow.
fn rewritten(dir: &Path, change: impl FnOnce(&mut Entries)) {
    let before = entries(dir).len() as u64;
    let mut entries = entries(dir);
    change(&mut entries);
    let db = raw(dir);
    let mut state: State = rows::decode(&db.get_cf(raw_state(&db), keys::HEAD).unwrap().unwrap()).unwrap();
    (state.frontier, state.link) = (Frontier::default(), Digest::ZERO);
    let (headers, records) = (db.cf_handle("entries").unwrap(), db.cf_handle("records").unwrap());
    for seq in 0..before {
        db.delete_cf(headers, keys::seq(seq)).unwrap();
        db.delete_cf(records, keys::seq(seq)).unwrap();
    }
    for (seq, (header, record)) in (0..).zip(&mut entries) {
        (header.seq, header.prev_link) = (seq, state.link);
        let bytes: [u8; HEADER_LEN] = header.encode();
        state.link = digest::link(&bytes);
        state.frontier.push(tree::leaf_hash(&bytes), |_, _, _| {});
        db.put_cf(headers, keys::seq(seq), bytes).unwrap();
        db.put_cf(records, keys::seq(seq), &record[..]).unwrap();
    }
    db.put_cf(raw_state(&db), keys::HEAD, rows::encode(&state)).unwrap();
    let (origin, size, root) = (state.origin.clone(), state.size(), state.frontier.root());
    let signed = checkpoint::sign(&Checkpoint { origin, size, root }, &key(LOG));
    std::fs::write(dir.join("checkpoint.0"), signed).unwrap();
}

/// What an auditor finds who kept a checkpoint, and checks signatures.
fn audited(dir: &Path, kept: Option<&str>) -> Verification {
    let mut given = Given {
        depth: Depth::Signatures,
        pinned: None,
        kept: kept.map(|note| ("the auditor".to_owned(), note.to_owned())),
        threads: 2,
        incremental: false,
        unseal: false,
        remember: false,
        who: Who::default(),
    };
    directory(dir, &mut given).unwrap()
}

fn found(dir: &Path, kept: Option<&str>) -> verification::Found {
    audited(dir, kept).found.expect("it must be found")
}

/// Covered up, only the kept checkpoint tells; that is why it is kept.
fn found_by_the_kept_checkpoint_only(dir: &Path, kept: &str, words: &str) {
    assert!(audited(dir, None).found.is_none(), "without a checkpoint the cover-up is whole");
    let found = found(dir, Some(kept));
    assert!(found.what.contains(words) && found.what.contains("the auditor"), "{}", found.what);
}

#[test]
fn flipped_byte() {
    let dir = ledger();
    let found = changed(dir.path(), "records", &150_u64.to_be_bytes(), |row| row[200] ^= 1).unwrap();
    assert_eq!(found.seq, Some(150));
}

#[test]
fn reordered() {
    let dir = ledger();
    let kept = note(dir.path());
    rewritten(dir.path(), |entries| entries.swap(150, 151));
    found_by_the_kept_checkpoint_only(dir.path(), &kept, "an entry before it was changed");
}

#[test]
fn removed() {
    let dir = ledger();
    let kept = note(dir.path());
    rewritten(dir.path(), |entries| drop(entries.remove(150)));
    found_by_the_kept_checkpoint_only(dir.path(), &kept, "its end was cut off");
}

#[test]
fn inserted() {
    let dir = ledger();
    let kept = note(dir.path());
    rewritten(dir.path(), |entries| entries.insert(150, entries[149].clone()));
    found_by_the_kept_checkpoint_only(dir.path(), &kept, "an entry before it was changed");
}

#[test]
fn truncated_tail() {
    let dir = ledger();
    let kept = note(dir.path());
    rewritten(dir.path(), |entries| entries.truncate(200));
    found_by_the_kept_checkpoint_only(dir.path(), &kept, "its end was cut off");
}

/// A backup is put back: everything in it is genuine.
#[test]
fn rolled_back_directory() {
    let mut newer = Ledger::new();
    let backup = Ledger::new();
    assert_eq!(newer.id, backup.id);
    newer.append(b"junk".to_vec());
    let kept = note(newer.close().path());
    found_by_the_kept_checkpoint_only(backup.close().path(), &kept, "its end was cut off");
}

/// A new topic with a genesis of its own, and the same origin and keys.
#[test]
fn replaced_topic() {
    let dir = ledger();
    let pinned = Some(Digest([7; 32]));
    let mut given = Given {
        depth: Depth::Signatures,
        pinned,
        kept: None,
        threads: 2,
        incremental: false,
        unseal: false,
        remember: false,
        who: Who::default(),
    };
    let found = directory(dir.path(), &mut given).unwrap().found.unwrap();
    assert_eq!(found.seq, Some(0));
    assert!(found.what.contains("not the genesis of this ledger"), "{}", found.what);
}

#[test]
fn forged_checkpoint() {
    let dir = ledger();
    let by = |signer| {
        let checkpoint = Checkpoint { origin: "ledger.example/t".into(), size: 7, root: Digest([5; 32]) };
        checkpoint::sign(&checkpoint, &key(signer))
    };
    assert!(found(dir.path(), Some(&by(ADMIN))).what.contains("not signed by the log key"));
    assert!(found(dir.path(), Some(&by(LOG))).what.contains("at size 7 the root is"));
}

/// Appends a record that the writer calls malformed or refused, and has the operator call it something else.
fn relabelled(signer: u8, event: Event) -> verification::Found {
    let dir = ledger();
    let (preconditions, record) = (Some(Preconditions::default()), event);
    let value = {
        let store = Store::open(&dir.path().join("ledger")).unwrap();
        let mut state = store.state().unwrap();
        let id = state.as_ref().unwrap().ledger_id;
        let size = state.as_ref().unwrap().size();
        let body = Body {
            idempotency_key: expected_key(&record).unwrap().0.to_vec(),
            basis: Some(Basis { size, link: state.as_ref().unwrap().link.0.to_vec() }),
            recorded_at: 3_000_000_000,
            preconditions,
            event: Some(record),
            ..Body::default()
        };
        let value = canonical::seal_record(&body, 1, &id, &key(signer));
        writer::apply(&store, &id, &mut state, [(size, value.clone())]).unwrap();
        value
    };
    rewritten(dir.path(), |entries| {
        let body = canonical::decode(&value).unwrap();
        let (header, _) = entries.last_mut().unwrap();
        (header.outcome, header.reason) = (Outcome::Refused, Reason::Precondition);
        header.kind = Some(body.kind);
        header.recorded_at = body.body.recorded_at;
        header.event_digest = digest::sha256(&body.envelope.body);
    });
    let found = found(dir.path(), None);
    assert_eq!(found.seq, Some(301), "{}", found.what);
    found
}

fn rolled_back() -> Event {
    Event::RolledBack(RolledBack { slot: Some(slot()), to_seq: 1, actor: person(1), request_id: "x".into() })
}

#[test]
fn wrong_key() {
    let found = relabelled(9, rolled_back());
    assert!(found.what.contains("could not sign at that position"), "{}", found.what);
}

/// The second front door was retired by entry 300.
#[test]
fn retired_key() {
    let found = relabelled(SECOND, rolled_back());
    assert!(found.what.contains("could not sign at that position"), "{}", found.what);
}

#[test]
fn compromised_key() {
    let done = audited(ledger().path(), None);
    assert_eq!(done.in_doubt.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [291, 294, 297]);
    let second = digest::key_id(&key(SECOND).verifying_key());
    let summary = done.summary();
    let listed = summary.keys.iter().find(|listed| listed.key_id == second).unwrap();
    assert_eq!((listed.retired_at, listed.compromised_from, listed.signed), (Some(300), Some(290), 98));
    // Both acts of the administrators were signed by the one there is.
    assert_eq!(summary.admin_signatures, 2);
}

/// Two ledgers with one genesis and one log key, shown to two people.
#[test]
fn split_view() {
    let shown = |junk: &[u8]| {
        let mut ledger = Ledger::new();
        ledger.append(junk.to_vec());
        ledger.close()
    };
    let (one, other) = (shown(b"one"), shown(b"other"));
    let kept = note(one.path());
    let done = audited(other.path(), Some(&kept));
    assert!(done.found.as_ref().unwrap().what.contains("at size 2 the root is"));
    let both = done.contradicting().expect("both signed notes are kept").map(|named| named.note.clone());
    assert!(both.contains(&kept) && both.contains(&note(other.path())));
}

/// An accepted act of the administrators whose signatures were taken out is no act of theirs.
#[test]
fn unsigned_admin_act() {
    let dir = ledger();
    let mut entries = stored(dir.path());
    entries.truncate(6);
    let record = canonical::decode(&entries[5].record).unwrap();
    let Some(Event::KeyAdded(mut act)) = record.body.event.clone() else { panic!("entry 5 adds a key") };
    act.signatures.clear();
    let body = Body { event: Some(Event::KeyAdded(act)), ..record.body };
    let id = digest::sha256(&canonical::decode(&entries[0].record).unwrap().envelope.body);
    exchange(&mut entries[5], canonical::seal_record(&body, 1, &id, &key(FRONT_DOOR)));
    let fault = Verifier::new(verify::Depth::Signatures, Some(id)).push(&entries, 1).unwrap_err();
    assert_eq!((fault.seq, fault.what), (5, What::Quorum { found: 0, needed: 1 }));
}

/// A signature is checked before its entry's turn where its key was known before the batch, and at its turn where an entry of
/// the same batch added the key: with few entries on one thread, with many on several.
#[test]
fn a_forged_signature_is_found_whenever_it_is_checked() {
    let dir = ledger();
    let entries = stored(dir.path());
    for (seq, signer) in [(6, SECOND), (7, FRONT_DOOR), (150, SECOND), (151, FRONT_DOOR)] {
        let mut entries = entries[..=seq].to_vec();
        let mut record = canonical::decode(&entries[seq].record).unwrap().envelope;
        record.signature[17] ^= 1;
        exchange(&mut entries[seq], record.encode_to_vec());
        let mut hashes = Verifier::new(verify::Depth::Hashes, None);
        assert_eq!(hashes.push(&entries, 2).map(|headers| headers.len()), Ok(seq + 1), "hashes alone hold");
        let fault = Verifier::new(verify::Depth::Signatures, None).push(&entries, 2).unwrap_err();
        let key_id = digest::key_id(&key(signer).verifying_key());
        assert_eq!((fault.seq, fault.what), (seq as u64, What::Signature(key_id)));
    }
}

/// A second run reads only what is new, and says the same as a run from genesis; another ledger does not continue it.
#[test]
fn a_run_goes_on_where_the_last_one_ended() {
    let mut growing = Ledger::new();
    let dir = growing.dir.path().to_path_buf();
    let publish = |ledger: &Ledger| {
        let state = ledger.state.clone().unwrap();
        let (origin, size, root) = (state.origin.clone(), state.size(), state.frontier.root());
        let signed = checkpoint::sign(&Checkpoint { origin, size, root }, &key(LOG));
        std::fs::write(ledger.dir.path().join("checkpoint.0"), signed).unwrap();
    };
    (0..40).for_each(|n: u32| growing.append(format!("junk {n}").into_bytes()));
    publish(&growing);
    let position = audited(&dir, None).verifier.position().unwrap();
    let saved = rows::encode(&position);
    (0..40).for_each(|n: u32| growing.append(format!("more {n}").into_bytes()));
    publish(&growing);
    let resumed = |dir: &Path| {
        let mut done = Verification::new(Depth::Signatures, None, 1);
        let store = Arc::new(Store::open_read_only(&dir.join("ledger")).unwrap());
        let key = LogKey { origin: "ledger.example/t".into(), key: key(LOG).verifying_key() };
        done.compare_with("the node", &note(dir), &key);
        assert!(done.resume(rows::decode(&saved).unwrap()));
        assert_eq!((done.checked_before, done.verifier.size()), (41, 41));
        let size = store.state().unwrap().unwrap().size();
        let none: Option<Replay<Remembered>> = None;
        done.run(chain::from_store(&store, 41, size), none, &indicatif::ProgressBar::hidden(), |_| Ok(()))
            .unwrap();
        done
    };
    let done = resumed(&dir);
    let whole = audited(&dir, None);
    assert!(done.found.is_none() && done.agreed.len() == 1, "{:?}", done.found);
    assert_eq!((done.verifier.root(), done.summary()), (whole.verifier.root(), whole.summary()));
    // The same number of entries, but entry 20 is another one: what is new does not follow from what was checked.
    let mut other = Ledger::new();
    (0..80).for_each(|n: u32| other.append(format!("another {n}").into_bytes()));
    publish(&other);
    assert_eq!(resumed(other.dir.path()).found.unwrap().seq, Some(41));
    // A damaged position is not gone on from.
    let mut bytes = saved.clone();
    bytes.truncate(bytes.len() - 1);
    assert!(rows::decode::<crate::proof::position::Position>(&bytes).is_none());
}
