//! Valid bodies, keys from fixed seeds, and a whole ledger in memory.

use std::{collections::HashMap, convert::Infallible};

use ed25519_dalek::{Signer as _, SigningKey};
use promotion_ledger::{
    event::{
        Digest, Header, KeyId, Kind, Micros, Seq, canonical,
        digest::{self, sha256},
        gate,
        header::HEADER_LEN,
        model::role,
        promotion,
        proto::{
            AdminAct, AdminSignature, AdminStatement, Approval, ApprovalForm, ApprovalRequest, BandCheck,
            Basis, Body, BreakGlass, ChallengerComparison, Comparator, ComparatorRole, Dataset,
            DatasetStrength, EvidenceRef, Explanation, FormQuestion, FrontDoorKey, IssuerKeys, IssuerListed,
            KnownFact, LedgerOpened, LockProof, ModelVersion, PersonRef, Preconditions, Promoted, Retired,
            Revoked, RolledBack, Routing, SignedRecord, Slot, SlotRole, Undocumented, body::Event,
        },
    },
    ledger::{
        decide::{Halt, Prepared, RULES_KNOWN, expected_key},
        plan::{self, Delivered, Stop, WriteSet},
        review_rows::{ReviewKey, ReviewRow},
        state::{Binding, Lookup, PromotionState, SlotState, State},
    },
    proof::{
        tree,
        verify::{Depth, StoredEntry, Verifier},
    },
};
use prost::Message;

/// recorded_at of genesis.
pub const T0: Micros = 1_700_000_000_000_000;
pub const SECOND: Micros = 1_000_000;
pub const HOUR: Micros = 3600 * SECOND;
pub const ORIGIN: &str = "ledger.example/test";

/// The key that is made from 32 equal bytes.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Signs decisions and carries admin acts.
pub fn front_door() -> SigningKey {
    key(1)
}

/// Signs observations only.
pub fn observer() -> SigningKey {
    key(3)
}

pub fn log_key() -> SigningKey {
    key(9)
}

/// Three administrators, of whom two must sign.
pub fn admins() -> [SigningKey; 3] {
    [key(11), key(12), key(13)]
}

pub fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_bytes().to_vec()
}

pub fn id_of(key: &SigningKey) -> KeyId {
    digest::key_id(&key.verifying_key())
}

pub fn bytes(digest: Digest) -> Vec<u8> {
    digest.0.to_vec()
}

/// A digest that stands for something outside the ledger.
pub fn hash_of(what: &str) -> Vec<u8> {
    bytes(sha256(what.as_bytes()))
}

pub fn opened() -> LedgerOpened {
    let front =
        FrontDoorKey { public_key: public(&front_door()), roles: role::DECISION | role::ADMIN_CARRIER };
    let observer = FrontDoorKey { public_key: public(&observer()), roles: role::OBSERVATION };
    LedgerOpened {
        origin: ORIGIN.into(),
        rules: 1,
        admin_keys: admins().iter().map(public).collect(),
        admin_quorum: 2,
        log_key: public(&log_key()),
        keys: vec![front, observer],
        time_zone: "Europe/Berlin".into(),
        nonce: vec![5; 32],
    }
}

pub fn genesis_body(opened: LedgerOpened) -> Body {
    let event = Event::LedgerOpened(opened);
    let idempotency_key = bytes(expected_key(&event).unwrap());
    Body { idempotency_key, recorded_at: T0, event: Some(event), ..Body::default() }
}

pub fn genesis() -> Vec<u8> {
    canonical::seal_record(&genesis_body(opened()), 1, &Digest::ZERO, &front_door())
}

pub fn slot(model: &str) -> Slot {
    Slot {
        model: model.into(),
        environment: "production".into(),
        region: "eu".into(),
        role: SlotRole::Champion.into(),
    }
}

pub fn person(name: &str) -> PersonRef {
    PersonRef { issuer: "https://idp.example".into(), subject_id: hash_of(name) }
}

pub fn evidence(what: &str, media_type: &str) -> EvidenceRef {
    let lock = LockProof { write_once: "none".into(), retain_until: 0, asked_at: T0 };
    EvidenceRef {
        uri: format!("file:///evidence/{what}"),
        version_id: String::new(),
        sha256: hash_of(what),
        length: 1000,
        media_type: media_type.into(),
        lock: Some(lock),
        subject_id: Vec::new(),
    }
}

/// A valid promotion of version `n` of a model, over the version `champion` if there is one.
pub fn promoted(model: &str, n: u32, champion: Option<u32>) -> Promoted {
    let artifact = |n: u32| hash_of(&format!("{model} {n}"));
    let comparator = champion.map(|n| Comparator {
        role: ComparatorRole::Champion.into(),
        artifact_sha256: artifact(n),
        name: model.into(),
        version: n.to_string(),
    });
    let dataset = hash_of("snapshot");
    Promoted {
        slot: Some(slot(model)),
        model_version: Some(ModelVersion {
            artifact_sha256: artifact(n),
            registry_uri: "mlflow://registry.example".into(),
            name: model.into(),
            version: n.to_string(),
            copy: Some(EvidenceRef { sha256: artifact(n), ..evidence("model", "application/octet-stream") }),
        }),
        challenger_comparison: Some(ChallengerComparison {
            no_incumbent: champion.is_none(),
            comparators: comparator.into_iter().collect(),
            report: Some(evidence("report", "text/html")),
            metrics: Some(evidence("metrics", "application/json")),
            computed_on: dataset.clone(),
            band_checks: vec![BandCheck {
                metric: "auc".into(),
                segment: "overall".into(),
                candidate: 0.8125,
                incumbent: 0.75,
                tolerance: 0.125,
                within: true,
            }],
        }),
        approval_request: Some(ApprovalRequest {
            system: "jira".into(),
            id: format!("RISK-{n}"),
            requested_by: Some(person("Rita")),
            triggered_by: Some(person("retrain")),
            contributors: vec![person("Carl")],
            asked_people: vec![person("Ada")],
            asked_groups: vec!["model-risk".into()],
            asked_at: T0 - 3 * HOUR,
            due_at: T0 + 24 * HOUR,
            form: Some(ApprovalForm {
                id: "promotion".into(),
                version: "3".into(),
                content: Some(evidence("form", "text/html")),
                questions: vec![
                    FormQuestion { id: "fair".into(), text: "Is it fair?".into(), required: true },
                    FormQuestion { id: "notes".into(), text: "Anything else?".into(), required: false },
                ],
            }),
        }),
        approvals: vec![Approval {
            approver: Some(person("Ada")),
            decided_at: T0 - HOUR,
            matched_groups: vec!["model-risk".into()],
            groups_complete: true,
            auth_time: T0 - 2 * HOUR,
            acr: "mfa".into(),
            amr: vec!["pwd".into(), "otp".into()],
            assertion_sha256: hash_of("assertion"),
            answered: vec!["fair".into()],
            ..Approval::default()
        }],
        explanations: vec![Explanation {
            kind: "shap_report".into(),
            content: Some(evidence("shap", "text/html")),
            explains: artifact(n),
            computed_on: dataset.clone(),
            sample_manifest: None,
            background_sha256: hash_of("background"),
            tool: "shap".into(),
            tool_version: "0.49.1".into(),
        }],
        dataset: Some(Dataset {
            digest: dataset.clone(),
            strength: DatasetStrength::Content.into(),
            snapshot_kind: "csv_export".into(),
            snapshot_id: "holdout-2026-11".into(),
            definition_digest: hash_of("definition"),
            definition: Some(evidence("definition", "application/json")),
            copy: Some(EvidenceRef { sha256: dataset, ..evidence("snapshot", "text/csv") }),
        }),
        profile: Some(evidence("profile", "application/json")),
        routing: Some(Routing { tier: "highest".into(), engine: "built-in".into(), ..Routing::default() }),
        profile_attestation: None,
        review: None,
    }
}

pub fn rolled_back(model: &str, to_seq: Seq, request_id: &str) -> Event {
    let actor = Some(person("Olga"));
    Event::RolledBack(RolledBack { slot: Some(slot(model)), to_seq, actor, request_id: request_id.into() })
}

pub fn revoked(model: &str, promoted_seq: Seq, request_id: &str) -> Event {
    let actor = Some(person("Olga"));
    Event::Revoked(Revoked { slot: Some(slot(model)), promoted_seq, actor, request_id: request_id.into() })
}

pub fn retired(model: &str, promoted_seq: Seq, request_id: &str) -> Event {
    let actor = Some(person("Olga"));
    Event::Retired(Retired { slot: Some(slot(model)), promoted_seq, actor, request_id: request_id.into() })
}

/// An undocumented model with the artefact of version `n`, in the slot of a model.
pub fn undocumented(model: &str, n: u32, request_id: &str) -> Undocumented {
    Undocumented {
        slot: Some(slot(model)),
        artifact_sha256: hash_of(&format!("{model} {n}")),
        registry_uri: "mlflow://registry.example".into(),
        name: model.into(),
        version: n.to_string(),
        known: vec![KnownFact {
            fact: "run_id".into(),
            value: "4f2a".into(),
            source: "mlflow://registry.example".into(),
        }],
        missing: gate::SIX_FIELDS[1..].iter().map(|&field| field.to_owned()).collect(),
        sunset: T0 + 90 * 24 * HOUR,
        actor: Some(person("Olga")),
        request_id: request_id.into(),
    }
}

/// An emergency for the artefact of version `n` in the slot of a model.
pub fn break_glass(model: &str, n: u32, request_id: &str) -> BreakGlass {
    BreakGlass {
        slot: Some(slot(model)),
        artifact_sha256: hash_of(&format!("{model} {n}")),
        actor: Some(person("Olga")),
        group: "on-call".into(),
        groups_complete: true,
        auth_time: T0,
        acr: "mfa".into(),
        amr: vec!["pwd".into(), "otp".into()],
        assertion_sha256: hash_of("assertion"),
        verified_by: "kid-1".into(),
        expires_at: T0 + 24 * HOUR,
        request_id: request_id.into(),
    }
}

/// A key of an issuer, as a node saw it.
pub fn issuer_keys() -> IssuerKeys {
    IssuerKeys {
        issuer: "https://idp.example".into(),
        audience: "promotion-ledger".into(),
        algorithms: vec!["EdDSA".into()],
        groups_claim: "groups".into(),
        key_id: "k1".into(),
        jwk: br#"{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"AA"}"#.to_vec(),
    }
}

/// A listing that these keys fit.
pub fn issuer_listed(keys: &IssuerKeys) -> IssuerListed {
    IssuerListed {
        issuer: keys.issuer.clone(),
        audience: keys.audience.clone(),
        algorithms: keys.algorithms.clone(),
        pinned: Vec::new(),
    }
}

/// An administrators' statement.
pub fn statement(ledger_id: &Digest, kind: Kind, admin_seq: u64, payload: &impl Message) -> AdminStatement {
    AdminStatement {
        ledger_id: bytes(*ledger_id),
        kind: kind.number().into(),
        admin_seq,
        payload: payload.encode_to_vec(),
    }
}

/// A statement with signatures.
pub fn act(statement: &AdminStatement, signers: &[SigningKey]) -> AdminAct {
    let statement = statement.encode_to_vec();
    let sign = |key: &SigningKey| AdminSignature {
        public_key: public(key),
        signature: canonical::sign_statement(&statement, key).to_vec(),
    };
    AdminAct { signatures: signers.iter().map(sign).collect(), statement }
}

/// The large part of the state in hash maps.
#[derive(Debug, Clone, Default)]
pub struct MemoryLookup {
    pub replay: HashMap<Digest, Seq>,
    pub bindings: HashMap<Digest, Binding>,
    pub links: HashMap<Seq, Digest>,
    pub slots: HashMap<Digest, SlotState>,
    pub promotions: HashMap<Seq, PromotionState>,
    pub review_rows: HashMap<ReviewKey, ReviewRow>,
}

impl MemoryLookup {
    /// Commits a write set.
    pub fn apply(&mut self, set: &WriteSet) {
        for (decided, _) in &set.entries {
            let (seq, changes) = (decided.header.seq, &decided.changes);
            self.links.insert(seq, decided.link);
            self.replay.extend(changes.replay.map(|digest| (digest, seq)));
            self.bindings.extend(changes.binding);
            self.slots.extend(changes.slot);
            self.promotions.extend(changes.promotion);
            self.review_rows.extend(changes.review_rows.iter().cloned());
        }
    }
}

impl Lookup for MemoryLookup {
    type Error = Infallible;

    fn replayed(&self, record: &Digest) -> Result<Option<Seq>, Infallible> {
        Ok(self.replay.get(record).copied())
    }

    fn bound(&self, key: &Digest) -> Result<Option<Binding>, Infallible> {
        Ok(self.bindings.get(key).copied())
    }

    fn link(&self, seq: Seq) -> Result<Option<Digest>, Infallible> {
        Ok(self.links.get(&seq).copied())
    }

    fn slot(&self, slot: &Digest) -> Result<Option<SlotState>, Infallible> {
        Ok(self.slots.get(slot).copied())
    }

    fn promotion(&self, seq: Seq) -> Result<Option<PromotionState>, Infallible> {
        Ok(self.promotions.get(&seq).copied())
    }

    fn review_row(&self, key: &ReviewKey) -> Result<Option<ReviewRow>, Infallible> {
        Ok(self.review_rows.get(key).cloned())
    }
}

/// A ledger in memory, driven by the code that drives real ones.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The newest rules version of the binary that drives it.
    pub rules_known: u16,
    pub state: Option<State>,
    pub look: MemoryLookup,
    pub pinned: Digest,
    pub headers: Vec<[u8; HEADER_LEN]>,
    pub records: Vec<Vec<u8>>,
    pub dates: Vec<Micros>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            rules_known: RULES_KNOWN,
            state: None,
            look: MemoryLookup::default(),
            pinned: Digest::ZERO,
            headers: Vec::new(),
            records: Vec::new(),
            dates: Vec::new(),
        }
    }
}

impl Ledger {
    /// With the sample genesis.
    pub fn new() -> Self {
        let mut ledger = Self::empty();
        ledger.push(genesis());
        ledger
    }

    /// Before its genesis.
    pub fn empty() -> Self {
        let body = genesis_body(opened()).encode_to_vec();
        Self { pinned: sha256(&body), ..Self::default() }
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().expect("after genesis")
    }

    pub fn size(&self) -> u64 {
        self.headers.len() as u64
    }

    /// One batch of deliveries.
    pub fn deliver(&mut self, batch: impl IntoIterator<Item = (Seq, Vec<u8>)>) -> Option<Stop<Infallible>> {
        let batch =
            batch.into_iter().map(|(offset, value)| Delivered { offset, prepared: Prepared::new(value) });
        let (set, stop) = plan::plan(&mut self.state, &self.look, &self.pinned, self.rules_known, batch);
        self.look.apply(&set);
        for (decided, prepared) in set.entries {
            assert_eq!(decided.header.encode(), decided.bytes);
            assert_eq!(decided.link, digest::link(&decided.bytes));
            self.headers.push(decided.bytes);
            self.records.push(prepared.value);
            self.dates.push(decided.date);
        }
        stop
    }

    /// The next value; whatever it is, it becomes an entry.
    pub fn push(&mut self, value: Vec<u8>) -> Header {
        let stop = self.deliver([(self.size(), value)]);
        assert!(stop.is_none(), "{stop:?}");
        self.last()
    }

    /// The next value, which must halt the writer before it becomes an entry.
    pub fn halts(&mut self, value: Vec<u8>) -> Halt<Infallible> {
        let (size, state) = (self.size(), self.state.clone());
        let Some(Stop::Halt(halt)) = self.deliver([(size, value)]) else { panic!("it did not halt") };
        assert_eq!((self.size(), &self.state), (size, &state));
        halt
    }

    pub fn last(&self) -> Header {
        Header::decode(self.headers.last().expect("an entry")).expect("a header")
    }

    /// A body around an event, as an honest front door makes it now.
    pub fn body(&self, event: Event) -> Body {
        let of_event = match &event {
            Event::ReviewSealed(e) => e.package.as_ref().and_then(|package| package.slot.as_ref()),
            event => promotion::slot_changed_by(event),
        };
        let changed = |slot: &Slot| self.look.slots.get(&digest::slot(slot)).map(|slot| slot.changed_at);
        Body {
            idempotency_key: expected_key(&event).map(bytes).unwrap_or_default(),
            basis: Some(Basis { size: self.state().size(), link: bytes(self.state().link) }),
            recorded_at: T0 + self.size() * SECOND,
            preconditions: of_event.map(|slot| Preconditions {
                slot_changed_at: changed(slot),
                policy_activated_at: match &event {
                    Event::Promoted(_) | Event::ReviewSealed(_) => {
                        self.state().policy.as_ref().map(|policy| policy.seq)
                    }
                    _ => None,
                },
            }),
            sealed: Vec::new(),
            event: Some(event),
        }
    }

    /// Signs a body with the front door's key.
    pub fn seal(&self, body: &Body) -> Vec<u8> {
        canonical::seal_record(body, 1, &self.pinned, &front_door())
    }

    /// A signed record around an event.
    pub fn record(&self, event: Event) -> Vec<u8> {
        self.seal(&self.body(event))
    }

    /// An admin act that is due now, signed by two administrators.
    pub fn admin(&self, kind: Kind, payload: &impl Message) -> Event {
        let statement = statement(&self.pinned, kind, self.state().admin_seq + 1, payload);
        canonical::admin_event(kind, act(&statement, &admins()[..2])).expect("an admin kind")
    }

    /// Re-verifies everything: chain, tree, digests, signatures.
    pub fn check(&self) {
        let mut verifier = Verifier::new(Depth::Signatures, Some(self.pinned));
        let stored = |(header, record): (&[u8; HEADER_LEN], &Vec<u8>)| StoredEntry {
            header: header.to_vec(),
            record: record.clone(),
        };
        let entries: Vec<_> = self.headers.iter().zip(&self.records).map(stored).collect();
        verifier.push(&entries, 1).expect("a ledger that verifies");
        assert_eq!(verifier.link(), self.state().link);
        assert_eq!(verifier.root(), self.state().frontier.root());
        let mut frontier = tree::Frontier::default();
        self.headers.iter().for_each(|header| frontier.push(tree::leaf_hash(header), |_, _, _| {}));
        assert_eq!(frontier, self.state().frontier);
    }
}

/// Signs body bytes as they are, canonical or not.
pub fn seal_bytes(body: Vec<u8>, rules: u32, ledger_id: &Digest, key: &SigningKey) -> Vec<u8> {
    let signed = [digest::TAG_RECORD_SIGNATURE, &ledger_id.0, &body].concat();
    let signature = key.sign(&signed).to_bytes().to_vec();
    SignedRecord { version: rules, key_id: bytes(id_of(key)), signature, body }.encode_to_vec()
}
