//! Every stored structure that is hashed, or that decides an outcome, is changed in turn: each time it is found.

use ed25519_dalek::SigningKey;
use tempfile::TempDir;

mod matrix;

use super::*;
use crate::{
    event::{
        Header, Kind, canonical, digest,
        model::role,
        promotion,
        proto::{
            AdminAct, AdminSignature, AdminStatement, Approval, ApprovalForm, ApprovalRequest, Basis, Body,
            ChallengerComparison, Dataset, EvidenceRef, Explanation, FormQuestion, FrontDoorKey, KeyAdded,
            KeyCompromised, LedgerOpened, LockProof, ModelVersion, PersonRef, Preconditions, Promoted,
            RolledBack, Slot, body::Event,
        },
    },
    ledger::{decide::expected_key, state::State, writer},
    proof::{
        checkpoint::{self, Checkpoint},
        verify::{self, StoredEntry, Verifier, What},
    },
};
use prost::Message;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

const FRONT_DOOR: u8 = 1;
const LOG: u8 = 2;
const ADMIN: u8 = 3;
const SECOND: u8 = 4;

/// A ledger that is being written.
struct Ledger {
    dir: TempDir,
    store: Store,
    state: Option<State>,
    id: Digest,
}

impl Ledger {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(&dir.path().join("ledger")).unwrap();
        let opened = LedgerOpened {
            origin: "ledger.example/t".into(),
            rules: 1,
            admin_keys: vec![key(ADMIN).verifying_key().to_bytes().to_vec()],
            admin_quorum: 1,
            log_key: key(LOG).verifying_key().to_bytes().to_vec(),
            keys: vec![FrontDoorKey {
                public_key: key(FRONT_DOOR).verifying_key().to_bytes().to_vec(),
                roles: 7,
            }],
            time_zone: "UTC".into(),
            nonce: vec![9; 32],
        };
        let event = Event::LedgerOpened(opened);
        let idempotency_key = expected_key(&event).unwrap().0.to_vec();
        let body = Body { idempotency_key, recorded_at: 1_000, event: Some(event), ..Body::default() };
        let id = digest::sha256(&body.encode_to_vec());
        let mut ledger = Self { dir, store, state: None, id };
        ledger.append(canonical::seal_record(&body, 1, &Digest::ZERO, &key(FRONT_DOOR)));
        ledger
    }

    fn append(&mut self, value: Vec<u8>) {
        let seq = self.state.as_ref().map_or(0, State::size);
        writer::apply(&self.store, &self.id, &mut self.state, [(seq, value)]).unwrap();
    }

    fn sealed(&self, event: Event, preconditions: Option<Preconditions>, signer: u8) -> Vec<u8> {
        let state = self.state.as_ref().unwrap();
        let body = Body {
            idempotency_key: expected_key(&event).unwrap().0.to_vec(),
            basis: Some(Basis { size: state.size(), link: state.link.0.to_vec() }),
            recorded_at: 2_000_000_000 + state.size(),
            preconditions,
            event: Some(event),
            ..Body::default()
        };
        canonical::seal_record(&body, 1, &self.id, &key(signer))
    }

    fn admin(&self, kind: Kind, admin_seq: u64, payload: Vec<u8>) -> Vec<u8> {
        let statement =
            AdminStatement { ledger_id: self.id.0.to_vec(), kind: kind.number().into(), admin_seq, payload };
        let statement = statement.encode_to_vec();
        let signature = canonical::sign_statement(&statement, &key(ADMIN)).to_vec();
        let public_key = key(ADMIN).verifying_key().to_bytes().to_vec();
        let act = AdminAct { statement, signatures: vec![AdminSignature { public_key, signature }] };
        self.sealed(canonical::admin_event(kind, act).unwrap(), None, FRONT_DOOR)
    }

    /// Closes the database and leaves the checkpoint that a node would have.
    fn close(self) -> TempDir {
        let state = self.state.unwrap();
        let checkpoint =
            Checkpoint { origin: state.origin.clone(), size: state.size(), root: state.frontier.root() };
        std::fs::write(self.dir.path().join("checkpoint.0"), checkpoint::sign(&checkpoint, &key(LOG)))
            .unwrap();
        self.dir
    }
}

fn slot() -> Slot {
    Slot { model: "credit".into(), environment: "production".into(), region: String::new(), role: 1 }
}

fn evidence(n: u8) -> Option<EvidenceRef> {
    let lock = Some(LockProof { write_once: "none".into(), retain_until: 0, asked_at: 5 });
    let uri = "evidence:x".into();
    Some(EvidenceRef {
        uri,
        sha256: vec![n; 32],
        length: 3,
        media_type: "text/html".into(),
        lock,
        subject_id: Vec::new(),
        ..EvidenceRef::default()
    })
}

fn person(n: u8) -> Option<PersonRef> {
    Some(PersonRef { issuer: "https://idp.example".into(), subject_id: vec![n; 32] })
}

fn promoted() -> Promoted {
    let question = FormQuestion { id: "q".into(), text: "Did you look?".into(), required: true };
    Promoted {
        slot: Some(slot()),
        model_version: Some(ModelVersion {
            artifact_sha256: vec![1; 32],
            registry_uri: "mlflow://registry.example".into(),
            name: "credit".into(),
            version: "12".into(),
            copy: None,
        }),
        challenger_comparison: Some(ChallengerComparison {
            no_incumbent: true,
            report: evidence(2),
            metrics: evidence(3),
            computed_on: vec![6; 32],
            ..ChallengerComparison::default()
        }),
        approval_request: Some(ApprovalRequest {
            system: "jira".into(),
            id: "R-1".into(),
            requested_by: person(1),
            triggered_by: person(1),
            asked_groups: vec!["risk".into()],
            asked_at: 100,
            form: Some(ApprovalForm {
                id: "f".into(),
                version: "1".into(),
                content: evidence(4),
                questions: vec![question],
            }),
            ..ApprovalRequest::default()
        }),
        approvals: vec![Approval {
            approver: person(2),
            decided_at: 300,
            matched_groups: vec!["risk".into()],
            groups_complete: true,
            auth_time: 200,
            acr: "mfa".into(),
            amr: vec!["otp".into()],
            assertion_sha256: vec![8; 32],
            answered: vec!["q".into()],
            verified_by: crate::identity::development::key_id(&key(9).verifying_key()),
            ..Approval::default()
        }],
        explanations: vec![Explanation {
            kind: "shap_report".into(),
            content: evidence(5),
            explains: vec![1; 32],
            computed_on: vec![6; 32],
            sample_manifest: None,
            background_sha256: vec![7; 32],
            tool: "shap".into(),
            tool_version: "0.51".into(),
        }],
        dataset: Some(Dataset {
            digest: vec![6; 32],
            strength: 1,
            snapshot_kind: "csv_export".into(),
            snapshot_id: "s1".into(),
            definition_digest: vec![10; 32],
            definition: evidence(10),
            copy: None,
        }),
        profile: evidence(11),
        ..Promoted::default()
    }
}

/// 300 entries of every outcome; entry 1 is a promotion, entry 2 the same record again.
fn ledger() -> TempDir {
    let mut ledger = Ledger::new();
    assert_eq!(promotion::problems(&promoted(), 2_000_000_000), []);
    let first = ledger.sealed(Event::Promoted(promoted()), Some(Preconditions::default()), FRONT_DOOR);
    ledger.append(first.clone());
    ledger.append(first);
    ledger.append(b"junk".to_vec());
    ledger.append(Vec::new());
    let added = KeyAdded {
        key: Some(FrontDoorKey {
            public_key: key(SECOND).verifying_key().to_bytes().to_vec(),
            roles: role::DECISION,
        }),
    };
    let added = ledger.admin(Kind::KeyAdded, 1, added.encode_to_vec());
    ledger.append(added);
    for n in 6..300_u64 {
        let act = RolledBack { slot: Some(slot()), to_seq: n, actor: person(1), request_id: format!("r{n}") };
        let signer = if n % 3 == 0 { SECOND } else { FRONT_DOOR };
        let value = ledger.sealed(
            Event::RolledBack(act),
            Some(Preconditions { slot_changed_at: Some(1), policy_activated_at: None }),
            signer,
        );
        ledger.append(value);
    }
    let key_id = digest::key_id(&key(SECOND).verifying_key()).0.to_vec();
    let compromised = KeyCompromised { key_id, from_seq: 290 };
    let act = ledger.admin(Kind::KeyCompromised, 2, compromised.encode_to_vec());
    ledger.append(act);
    ledger.close()
}

fn check(dir: &Path, depth: Depth) -> Verification {
    directory(
        dir,
        &mut Given {
            depth,
            pinned: None,
            kept: None,
            threads: 2,
            incremental: false,
            unseal: false,
            remember: false,
            who: Who::default(),
        },
    )
    .unwrap()
}

fn raw(dir: &Path) -> rocksdb::DB {
    let cfs = crate::ledger::keys::CFS;
    rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.join("ledger"), cfs).unwrap()
}

/// Changes one row, verifies, and puts the row back.
fn changed(dir: &Path, cf: &str, row: &[u8], change: impl Fn(&mut Vec<u8>)) -> Option<verification::Found> {
    let original = {
        let db = raw(dir);
        let handle = db.cf_handle(cf).unwrap();
        let original = db.get_cf(handle, row).unwrap().unwrap();
        let mut bytes = original.clone();
        change(&mut bytes);
        db.put_cf(handle, row, bytes).unwrap();
        original
    };
    let found = check(dir, Depth::Rules).found;
    let db = raw(dir);
    db.put_cf(db.cf_handle(cf).unwrap(), row, original).unwrap();
    found
}

#[test]
fn a_good_ledger_holds_at_every_depth_and_names_what_is_in_doubt() {
    let dir = ledger();
    for depth in [Depth::Hashes, Depth::Signatures, Depth::Rules] {
        let done = check(dir.path(), depth);
        assert!(done.found.is_none(), "{:?}", done.found);
        assert_eq!(done.summary().outcomes, [4, 1, 294, 2]);
        assert_eq!(done.agreed.len(), 1);
        let doubtful: Vec<_> = done.in_doubt.iter().map(|entry| entry.seq).collect();
        assert_eq!(doubtful, [291, 294, 297]);
    }
}

#[test]
fn each_changed_byte_of_a_header_names_its_entry() {
    let dir = ledger();
    for seq in [0_u64, 1, 2, 3, 150, 300] {
        for at in [0, 1, 2, 3, 5, 7, 11, 12, 23, 31, 39, 71, 103, 135, 167] {
            let found = changed(dir.path(), "entries", &seq.to_be_bytes(), |row| row[at] ^= 1);
            assert_eq!(found.as_ref().and_then(|found| found.seq), Some(seq), "byte {at}: {found:?}");
        }
    }
}

#[test]
fn each_changed_byte_of_a_record_names_its_entry() {
    let dir = ledger();
    for (seq, at) in [(0_u64, 10), (1, 0), (1, 40), (1, 90), (1, 500), (2, 500), (3, 0), (5, 300), (300, 200)]
    {
        let found = changed(dir.path(), "records", &seq.to_be_bytes(), |row| row[at] ^= 1);
        assert_eq!(found.as_ref().and_then(|found| found.seq), Some(seq), "{found:?}");
    }
    let found = changed(dir.path(), "records", &4_u64.to_be_bytes(), |row| row.push(0)).unwrap();
    assert_eq!(found.seq, Some(4));
}

/// Nothing of this is hashed, but all of it decides what the next record's outcome is.
#[test]
fn each_changed_row_of_tree_and_tables_is_found() {
    let dir = ledger();
    let rows: Vec<(String, Vec<u8>)> = {
        let db = raw(dir.path());
        let all = ["tree", "state"].into_iter().flat_map(|cf| {
            let rows = db.iterator_cf(db.cf_handle(cf).unwrap(), rocksdb::IteratorMode::Start);
            rows.map(move |row| (cf.to_owned(), row.unwrap().0.to_vec())).collect::<Vec<_>>()
        });
        all.collect()
    };
    let mut seen = std::collections::BTreeMap::new();
    for (cf, row) in rows {
        let tag = if cf == "tree" { b't' } else { row[0] };
        let count = seen.entry(tag).or_insert(0);
        *count += 1;
        if *count > 4 {
            continue;
        }
        let found = changed(dir.path(), &cf, &row, |row| *row.last_mut().unwrap() ^= 1);
        assert!(found.is_some(), "{cf}/{} {}", char::from(tag), hex::encode(&row));
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [b'd', b'h', b'k', b'p', b'r', b's', b't']);
}

fn raw_state(db: &rocksdb::DB) -> &rocksdb::ColumnFamily {
    db.cf_handle("state").unwrap()
}

#[test]
fn an_added_row_and_a_cut_end_are_found() {
    let dir = ledger();
    // A row that nobody made: the next promotion with that key would be taken for a duplicate.
    {
        let db = raw(dir.path());
        db.put_cf(raw_state(&db), [b"k".as_slice(), &[3; 32]].concat(), b"x").unwrap();
    }
    let found = check(dir.path(), Depth::Rules).found.unwrap();
    assert!(found.what.contains("counted"), "{}", found.what);
    let mut ledger = Ledger::new();
    let state = ledger.state.clone().unwrap();
    ledger.append(b"junk".to_vec());
    let dir = ledger.close();
    {
        let db = raw(dir.path());
        db.delete_cf(db.cf_handle("entries").unwrap(), 1_u64.to_be_bytes()).unwrap();
        db.delete_cf(db.cf_handle("records").unwrap(), 1_u64.to_be_bytes()).unwrap();
        db.delete_cf(raw_state(&db), crate::ledger::keys::date(1)).unwrap();
        db.put_cf(raw_state(&db), b"h", crate::ledger::rows::encode(&state)).unwrap();
    }
    let found = check(dir.path(), Depth::Hashes).found.unwrap();
    assert!(found.seq.is_none() && found.what.contains("cut off"), "{}", found.what);
}

/// The last header has no successor whose link would tell: its time is compared with the record that it is for.
#[test]
fn a_time_that_is_not_the_records_is_found_without_a_successor() {
    let dir = ledger();
    let store = crate::ledger::store::Store::open_read_only(&dir.path().join("ledger")).unwrap();
    let headers = store.headers(0, 301).unwrap();
    let mut entries: Vec<_> = headers
        .iter()
        .zip(store.records(0, 301).unwrap())
        .map(|(header, record)| StoredEntry { header: header.to_vec(), record })
        .collect();
    let mut header = Header::decode(&entries[300].header).unwrap();
    header.recorded_at -= 1;
    entries[300].header = header.encode().to_vec();
    let fault = Verifier::new(verify::Depth::Hashes, None).push(&entries, 2).unwrap_err();
    assert_eq!(fault.seq, 300);
    assert!(matches!(fault.what, What::Field { field: "recorded_at", .. }), "{fault}");
}
