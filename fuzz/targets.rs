//! Every decoder of bytes from outside, and what must hold whatever the bytes are: no panic, an error instead of a large
//! allocation, and what is read encodes to the same bytes again.
//!
//! Used twice: by `fuzz_targets/decoder.rs` (cargo-fuzz, nightly, `make fuzz`) and by `tests/it/fuzzing.rs`, which runs each
//! target over its seeds and seeded mutations of them on every `make test`. A new target is one line in [`TARGETS`].

use std::{fs, path::Path};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signer as _, SigningKey};
use promotion_ledger::{
    bundle::{
        self, container,
        manifest::{Manifest, Period},
    },
    event::{
        Digest, Header, canonical, content, custody, digest, gate, promotion,
        proto::{Promoted, SealedClaims, SignedRecord, body::Event},
        review,
    },
    policy::{self, Inputs, ModelProfile, dsse, mlmodel},
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        cosignature::{self, WitnessKey},
        receipt::Receipt,
        status_list,
        tile::{self, Tile},
        timestamp::{self, Root},
    },
};
use prost::Message as _;
use serde_json::{Value, json};

/// One decoder.
pub struct Target {
    /// Name, as `FUZZ_TARGET` says it.
    pub name: &'static str,
    /// Decodes, and panics if something does not hold.
    pub run: fn(&[u8]),
    /// Valid and hostile inputs, from the test vectors and the example below the repository's root.
    pub seeds: fn(&Path) -> Vec<Vec<u8>>,
    /// Mutations that a test run makes: many where one costs microseconds.
    pub mutations: u32,
}

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn(&Path) -> Vec<Vec<u8>>,
    mutations: u32,
) -> Target {
    Target { name, run, seeds, mutations }
}

/// All of them. Those of the node's own modules are not in the verify-only build that cargo-fuzz uses by default.
pub const TARGETS: &[Target] = &[
    target("record", record, records, 4_000),
    target("body", body, bodies, 4_000),
    target("sealed-claims", sealed_claims, claims, 4_000),
    target("header", header, headers, 2_000),
    target("receipt", receipt, receipts, 2_000),
    target("checkpoint", checkpoint_text, checkpoints, 1_000),
    target("cosignature", cosignatures, cosigned, 1_000),
    target("key", key, keys, 2_000),
    target("status-list", status_lists, lists, 1_000),
    target("tile", tiles, tile_paths, 4_000),
    target("bundle", entry_bundle, bundles, 1_000),
    target("examiner-bundle", examiner_bundle, examiner_bundles, 1_000),
    target("manifest", manifest, manifests, 2_000),
    target("timestamp", stamp, stamps, 500),
    target("policy", policy_file, policies, 300),
    target("profile", profile, profiles, 500),
    target("inputs", inputs, routing_inputs, 500),
    target("artefact", artefact, artefacts, 300),
    target("attestation", attestation, attestations, 500),
    #[cfg(feature = "node")]
    target("archive-piece", node::piece, pieces, 1_000),
    #[cfg(feature = "node")]
    target("admission-review", node::admission_review, admission_reviews, 1_000),
    #[cfg(feature = "node")]
    target("token", node::token, tokens, 1_000),
    #[cfg(feature = "node")]
    target("claims", node::token_claims, token_claims, 1_000),
    #[cfg(feature = "node")]
    target("key-set", node::key_set, key_sets, 1_000),
    #[cfg(feature = "node")]
    target("registry-webhook", node::registry_webhook, deliveries, 1_000),
    #[cfg(feature = "node")]
    target("readable", node::readable, evidence, 300),
];

/// Nobody else has this key: what targets sign to get behind a signature check.
fn own_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn log_key() -> LogKey {
    LogKey { origin: "ledger.example/test".into(), key: own_key().verifying_key() }
}

/// A signed note over any text.
fn note(text: &str) -> String {
    let vkey = log_key().vkey();
    let id = vkey.split('+').nth(1).and_then(|id| hex::decode(id).ok()).expect("a key id");
    let signature = [&id[..], &own_key().sign(text.as_bytes()).to_bytes()].concat();
    format!("{text}\n\u{2014} {} {}\n", log_key().origin, BASE64_STANDARD.encode(signature))
}

// === targets

fn record(value: &[u8]) {
    let Ok(record) = canonical::decode(value) else { return };
    assert_eq!(record.envelope.encode_to_vec(), value);
    assert_eq!(record.body.encode_to_vec(), record.envelope.body);
    let content = content::content(&record.body);
    assert_eq!(content::content(&content), content, "the content of a content is itself");
    let mut changed = record.body.clone();
    assert_eq!(content::content_digest_in_place(&mut changed), content::content_digest(&record.body));
    assert_eq!(changed, record.body, "what was set aside is back");
    assert!(content::differing_fields(&record.body, &record.body).is_empty());
    let event = record.body.event.as_ref().expect("decode refuses a body without an event");
    let at = record.body.recorded_at;
    let whole = [custody::is_whole(event), gate::is_whole(event, at), review::is_whole(event, at)];
    assert!(whole.iter().flatten().count() <= 1, "one set of rules for each kind");
    let act = canonical::admin_act(event).and_then(canonical::statement);
    let _ = act.map(|statement| canonical::decode_exact::<Promoted>(&statement.payload));
    match event {
        Event::Promoted(promoted) => {
            let _ = promotion::problems(promoted, at);
            let _ = promotion::promotion_key(promoted);
        }
        Event::AttemptRefused(refused) => {
            let _ = promotion::attempt_is_whole(refused);
        }
        Event::Approved(decision) | Event::Declined(decision) | Event::ChangesRequested(decision) => {
            assert!(!review::decision_findings(decision, &SealedClaims::default()).is_empty());
        }
        _ => {}
    }
}

/// The container has one spelling; what is in it is refused with its name, or holds.
fn examiner_bundle(bytes: &[u8]) {
    if let Ok(members) = container::read(&mut &*bytes, |_| Some(1 << 20)) {
        let mut writer = container::Writer::new(Vec::new());
        for member in &members {
            writer.add(&member.name, member.bytes.as_deref().unwrap_or_default()).expect("it was read");
        }
        assert_eq!(writer.finish().expect("memory"), bytes);
    }
    let _ = bundle::verify::verify(&mut &*bytes, &bundle::verify::Known::default());
}

fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_bytes(), bytes);
    }
}

/// A stamp that holds says the one time that the authority signed.
fn stamp(answer: &[u8]) {
    let root = Root::from_pem(include_bytes!("../tests/vectors/timestamp-root.pem")).expect("a root");
    if let Ok(time) = timestamp::verify(answer, "hello\n", &root) {
        assert_eq!(time, 1_795_707_365_000_000);
    }
}

/// Behind the envelope, whose lengths most mutations would break.
fn body(body: &[u8]) {
    let envelope =
        SignedRecord { version: 1, key_id: vec![1; 32], signature: vec![2; 64], body: body.to_vec() };
    record(&envelope.encode_to_vec());
}

fn sealed_claims(bytes: &[u8]) {
    let Some(claims) = canonical::decode_exact::<SealedClaims>(bytes) else { return };
    assert_eq!(claims.encode_to_vec(), bytes);
    let _ = review::decision_findings(&Default::default(), &claims);
}

fn header(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode()[..], *bytes);
    }
}

fn receipt(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(receipt) = Receipt::parse(text) else { return };
    assert_eq!(Receipt::parse(&receipt.to_text()).expect("its own text"), receipt);
    // The seeds verify; whatever else verifies is about the same entry of the same tree.
    if let Ok((header, checkpoint)) = receipt.verify(&log_key()) {
        assert!(header.seq < checkpoint.size);
    }
}

fn checkpoint_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = checkpoint::open(text, &log_key());
    let Ok(Checkpoint { origin, size, root }) = checkpoint::open(&note(text), &log_key()) else { return };
    assert!(text.starts_with(&format!("{origin}\n{size}\n{}\n", BASE64_STANDARD.encode(root.0))));
}

fn cosignatures(bytes: &[u8]) {
    let Ok(answer) = std::str::from_utf8(bytes) else { return };
    if let Some(size) = cosignature::conflict(answer) {
        assert_eq!(format!("{size}\n"), answer);
    }
    let checkpoint = note("ledger.example/test\n5\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n");
    let witness = witness();
    if let Some((cosigned, by)) = cosignature::cosigned(&checkpoint, answer, &witness) {
        assert_eq!(cosignature::cosignatures(&cosigned, &[witness]), [by]);
    }
    assert!(cosignature::cosignatures(answer, &[self::witness()]).len() <= 1);
}

fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = LogKey::parse(text) {
        assert_eq!(key.vkey(), text.trim());
    }
    if let Ok(key) = WitnessKey::parse(text) {
        assert_eq!(key.vkey(), text.trim());
    }
}

fn status_lists(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = status_list::open(text, &log_key());
    let Ok(list) = status_list::open(&note(text), &log_key()) else { return };
    let again = status_list::sign(&list, &own_key()).expect("not longer than it was");
    assert_eq!(status_list::open(&again, &log_key()).expect("its own text"), list);
}

fn tiles(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    if let Ok(tile) = Tile::parse(path) {
        assert_eq!(tile.path(), path);
        assert!(!tile.is_in(0));
        let _ = tile.nodes();
    }
}

fn entry_bundle(bytes: &[u8]) {
    if let Ok(headers) = tile::parse_bundle(bytes, 0) {
        assert_eq!(tile::bundle(&headers), bytes);
    }
}

/// Compiling, type-checking and running its own tests end.
fn policy_file(yaml: &[u8]) {
    if let Ok(policy) = policy::load(yaml) {
        assert_eq!(policy.digest(), digest::sha256(yaml));
        let _ = policy::below_floor(&policy);
    }
}

fn profile(bytes: &[u8]) {
    if let Ok(profile) = ModelProfile::parse(bytes) {
        assert_eq!(ModelProfile::parse(bytes), Ok(profile));
    }
}

fn inputs(bytes: &[u8]) {
    if let Ok(inputs) = Inputs::from_bytes(bytes) {
        assert_eq!(inputs.to_bytes().expect("they fitted"), bytes);
    }
}

fn artefact(bytes: &[u8]) {
    if let Ok(Some(columns)) = mlmodel::signature(bytes) {
        let mut names: Vec<_> = columns.iter().map(|column| &column.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), columns.len(), "no input twice");
    }
}

/// The envelope as it is, and the bytes as a payload that a listed build identity signed.
fn attestation(bytes: &[u8]) {
    const TYPE: &str = "application/vnd.in-toto+json";
    let identity = dsse::BuildIdentity {
        id: "ci".into(),
        public_key: hex::encode(own_key().verifying_key().as_bytes()),
    };
    let verify = |envelope: &[u8]| {
        dsse::verify(envelope, &Digest([1; 32]), &Digest([2; 32]), std::slice::from_ref(&identity))
    };
    assert!(verify(bytes).is_err(), "nobody signed it");
    let signed = [format!("DSSEv1 {} {TYPE} {} ", TYPE.len(), bytes.len()).as_bytes(), bytes].concat();
    let envelope = json!({
        "payload": BASE64_STANDARD.encode(bytes), "payloadType": TYPE,
        "signatures": [{ "sig": BASE64_STANDARD.encode(own_key().sign(&signed).to_bytes()) }],
    });
    if verify(envelope.to_string().as_bytes()).is_ok() {
        let text = String::from_utf8(bytes.to_vec()).expect("a statement is JSON");
        assert!(text.contains(&"01".repeat(32)) && text.contains(&"02".repeat(32)));
    }
}

/// Decoders that only a node has.
#[cfg(feature = "node")]
mod node {
    use std::collections::BTreeSet;

    use hmac::{Hmac, KeyInit, Mac};
    use promotion_ledger::{
        archive::pieces,
        evidence::personal,
        gate::admission_review as review,
        identity::{
            assertion,
            principal::Principal,
            token::{self, Expected, IssuerRules, Refusal, Use},
        },
        readable as shown,
        registry::webhook,
    };
    use sha2::Sha256;

    use super::*;

    pub fn piece(bytes: &[u8]) {
        for len in [1, 4, 54, 256] {
            if let Ok(records) = pieces::read_records(bytes, len) {
                assert_eq!(pieces::records(records.iter().map(Vec::as_slice)), bytes);
            }
        }
    }

    pub fn admission_review(bytes: &[u8]) {
        let runtimes = BTreeSet::from(["registry.example/runtime@sha256:00".to_owned()]);
        if let Ok(review) = review::read(bytes, &runtimes) {
            assert!(!review.uid.is_empty());
            assert!(review.references.is_sorted());
            assert_eq!(review::read(bytes, &runtimes), Ok(review));
        }
    }

    fn verify(token: &str, keys: &Value) -> Result<Principal, Refusal> {
        let rules = IssuerRules {
            issuer: ISSUER.into(),
            algorithms: token::algorithms(&["EdDSA".into()]).expect("known"),
            groups_claim: "groups".into(),
        };
        let keys = serde_json::from_value(keys.clone()).expect("a key set");
        let expected =
            Expected { usage: Use::Login, audience: CLIENT, nonce: None, auth_time_min: None, acr: &[] };
        token::verify(token, &keys, &rules, &expected, NOW * 1_000_000)
    }

    /// Only what the issuer signed is somebody, and the same one.
    pub fn token(bytes: &[u8]) {
        let Ok(token) = std::str::from_utf8(bytes) else { return };
        let _ = assertion::key_id(token);
        let _ = assertion::issuer(token);
        if let Ok(principal) = verify(token, &jwks()) {
            assert_eq!(principal, verify(&signed_token(&claims_of_a_login()), &jwks()).expect("the seed"));
        }
    }

    /// Any claims, signed by the issuer.
    pub fn token_claims(bytes: &[u8]) {
        if let Ok(principal) = verify(&signed_token(bytes), &jwks()) {
            assert_eq!(principal.issuer, ISSUER);
            assert!(!principal.subject.is_empty() && principal.groups.len() <= token::GROUPS_MAX);
        }
    }

    /// Keys as an issuer publishes them.
    pub fn key_set(bytes: &[u8]) {
        let Ok(keys) = serde_json::from_slice::<Value>(bytes) else { return };
        let rules = IssuerRules {
            issuer: ISSUER.into(),
            algorithms: token::algorithms(&["EdDSA".into()]).expect("known"),
            groups_claim: "groups".into(),
        };
        let Ok(keys) = serde_json::from_value(keys) else { return };
        let expected =
            Expected { usage: Use::Login, audience: CLIENT, nonce: None, auth_time_min: None, acr: &[] };
        let _ = token::verify(&signed_token(&claims_of_a_login()), &keys, &rules, &expected, NOW * 1_000_000);
    }

    /// A delivery of MLflow's, as it came, and signed with the shared secret.
    pub fn registry_webhook(body: &[u8]) {
        const SECRET: &[u8] = b"0123456789abcdef";
        let read = |signature: &str| {
            let headers = webhook::Headers { id: "1", timestamp: "1800000000", signature };
            webhook::read(SECRET, headers, body, NOW)
        };
        assert!(read(std::str::from_utf8(body).unwrap_or_default()).is_err(), "nobody signed it");
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(SECRET).expect("any length");
        mac.update(b"1.1800000000.");
        mac.update(body);
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_ne!(read(&signature), Err(webhook::Refusal::Signature));
    }

    /// Evidence as a page shows it, and as the search for personal data reads it.
    pub fn readable(bytes: &[u8]) {
        for media_type in
            ["text/html", "image/svg+xml", "application/json", "text/csv", "text/markdown", "text/plain"]
        {
            if let shown::Shown::Fragment { markup, .. } = shown::shown(media_type, bytes) {
                assert!(!markup.into_string().to_lowercase().contains("<script"), "{media_type}");
            }
            let _ = shown::needs(media_type, bytes);
            let sample = &bytes[..bytes.len().min(personal::SAMPLE_LEN)];
            let _ = personal::scan(media_type, sample);
        }
    }
}

// === seeds

fn file(root: &Path, path: &str) -> Vec<u8> {
    fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn vectors(root: &Path, name: &str) -> Value {
    serde_json::from_slice(&file(root, &format!("tests/vectors/{name}.json"))).expect("JSON")
}

/// One field of every item of a list of vectors, as text.
fn texts(root: &Path, name: &str, list: &str, field: &str) -> Vec<String> {
    let vectors = vectors(root, name);
    let items = vectors[list].as_array().expect("a list");
    items.iter().filter_map(|item| item[field].as_str()).map(str::to_owned).collect()
}

fn entries(root: &Path, field: &str) -> Vec<Vec<u8>> {
    texts(root, "ledger", "entries", field).iter().map(|text| hex::decode(text).expect("hex")).collect()
}

fn into_bytes(texts: Vec<String>) -> Vec<Vec<u8>> {
    texts.into_iter().map(String::into_bytes).collect()
}

fn records(root: &Path) -> Vec<Vec<u8>> {
    let mut seeds = entries(root, "value");
    // Lengths far beyond the value, in the envelope and in a field of it.
    seeds.push(vec![0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    seeds
}

fn bodies(root: &Path) -> Vec<Vec<u8>> {
    let body = |value: Vec<u8>| SignedRecord::decode(&value[..]).ok().map(|envelope| envelope.body);
    entries(root, "value").into_iter().filter_map(body).collect()
}

fn claims(root: &Path) -> Vec<Vec<u8>> {
    let sealed = vectors(root, "sealed");
    vec![hex::decode(sealed["plaintext"].as_str().expect("text")).expect("hex")]
}

fn headers(root: &Path) -> Vec<Vec<u8>> {
    entries(root, "header")
}

fn examiner_bundles(root: &Path) -> Vec<Vec<u8>> {
    let packed = |members: &[(&str, &[u8])]| {
        let mut writer = container::Writer::new(Vec::new());
        members.iter().for_each(|(name, bytes)| writer.add(name, bytes).expect("added"));
        writer.finish().expect("memory")
    };
    let manifest = manifests(root).remove(0);
    let (note, header) = (note("ledger.example/test\n1\nAAAA\n"), [1_u8; 168]);
    vec![
        packed(&[]),
        packed(&[("a.txt", b"one"), ("b/c", b"")]),
        packed(&[("bundle.json", &manifest), ("checkpoint.txt", note.as_bytes()), ("headers.bin", &header)]),
        packed(&[
            ("bundle.json", &manifest),
            ("checkpoint.txt", note.as_bytes()),
            ("entries/0.record", b"x"),
            ("entries/0.tlog-proof", b"c2sp.org/tlog-proof@v1\n"),
            ("headers.bin", &header),
        ]),
    ]
}

fn manifests(_: &Path) -> Vec<Vec<u8>> {
    let manifest = Manifest {
        drawn: std::collections::BTreeMap::new(),
        format: bundle::manifest::FORMAT.into(),
        ledger_id: "ab".repeat(32),
        period: Some(Period { from: 1, to: 2 }),
        promotions: vec![1, 7],
        withheld: std::collections::BTreeMap::from([("cd".repeat(32), "not asked for".into())]),
    };
    vec![manifest.to_bytes(), b"{}\n".to_vec()]
}

fn stamps(root: &Path) -> Vec<Vec<u8>> {
    vec![fs::read(root.join("tests/vectors/timestamp.tsr")).expect("a stamp")]
}

fn receipts(root: &Path) -> Vec<Vec<u8>> {
    into_bytes(texts(root, "proofs", "receipts", "text"))
}

fn note_texts(notes: Vec<String>) -> Vec<Vec<u8>> {
    let text = |note: &String| note.split_once("\n\n").map(|(text, _)| format!("{text}\n"));
    let texts: Vec<_> = notes.iter().filter_map(text).collect();
    into_bytes([texts, notes].concat())
}

fn checkpoints(root: &Path) -> Vec<Vec<u8>> {
    note_texts(texts(root, "proofs", "checkpoints", "note"))
}

fn lists(root: &Path) -> Vec<Vec<u8>> {
    note_texts(texts(root, "proofs", "status_lists", "note"))
}

fn witness() -> WitnessKey {
    WitnessKey { name: "witness.example/w1".into(), key: own_key().verifying_key() }
}

fn cosigned(_: &Path) -> Vec<Vec<u8>> {
    let text = "ledger.example/test\n5\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n";
    let (witness, seconds) = (witness(), 1_700_000_000_u64);
    let signature = own_key().sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes());
    let vkey = witness.vkey();
    let id = vkey.split('+').nth(1).and_then(|id| hex::decode(id).ok()).expect("a key id");
    let bytes = [&id[..], &seconds.to_be_bytes(), &signature.to_bytes()].concat();
    let line = format!("\u{2014} {} {}\n", witness.name, BASE64_STANDARD.encode(bytes));
    into_bytes(vec![line.clone(), note(text) + &line, "17\n".into(), "18446744073709551616\n".into()])
}

fn keys(_: &Path) -> Vec<Vec<u8>> {
    into_bytes(vec![log_key().vkey(), witness().vkey()])
}

fn tile_paths(_: &Path) -> Vec<Vec<u8>> {
    let paths =
        ["0/x001/x234/067", "63/999.p/1", "entries/x273/112.p/9", "0/x018/x446/x744/x073/x709/x551/615"];
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

fn bundles(root: &Path) -> Vec<Vec<u8>> {
    let headers: Vec<_> =
        headers(root).iter().map(|header| header.as_slice().try_into().expect("168 bytes")).collect();
    vec![tile::bundle(&headers), Vec::new()]
}

#[cfg(feature = "node")]
fn pieces(root: &Path) -> Vec<Vec<u8>> {
    let values = entries(root, "value");
    let records = |values: &[Vec<u8>]| {
        promotion_ledger::archive::pieces::records(values.iter().map(|value| value.as_slice()))
    };
    [bundles(root), vec![records(&values[..4]), records(&values), vec![0xff; 64]]].concat()
}

fn policies(root: &Path) -> Vec<Vec<u8>> {
    // Aliases of aliases: 10^9 items, if anybody expanded them.
    let bomb = (0..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let aliases = vec![format!("*a{n}"); 10].join(", ");
        format!("{text}a{0}: &a{0} [{aliases}]\n", n + 1)
    });
    vec![file(root, "examples/credit/policy.yaml"), bomb.into_bytes(), b"[".repeat(20_000)]
}

fn profiles(root: &Path) -> Vec<Vec<u8>> {
    let of = |day| file(root, &format!("examples/credit/{day}/profile.json"));
    let mut seeds: Vec<_> = ["2026-11-07", "2026-11-14", "2026-11-21"].map(of).to_vec();
    seeds.push(b"[".repeat(100_000));
    seeds
}

fn routing_inputs(root: &Path) -> Vec<Vec<u8>> {
    let routed = bodies(root).into_iter().filter_map(|body| {
        match canonical::decode_exact::<promotion_ledger::event::proto::Body>(&body)?.event? {
            Event::Promoted(promoted) => promoted.routing.map(|routing| routing.inputs),
            _ => None,
        }
    });
    routed.filter(|inputs| !inputs.is_empty()).collect()
}

fn artefacts(_: &Path) -> Vec<Vec<u8>> {
    use std::io::Write as _;
    let text = "signature:\n  inputs: '[{\"type\": \"long\", \"name\": \"duration\"}, {\"type\": \"double\", \"name\": \"amount\"}]'\n";
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "model/MLmodel", text.as_bytes()).expect("in memory");
    let tar = builder.into_inner().expect("in memory");
    let compressed = |bytes: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(bytes).expect("in memory");
        gz.finish().expect("in memory")
    };
    // A small file that unpacks to a large one.
    let bomb = compressed(&[&tar[..512], &vec![0; 16 << 20]].concat());
    vec![text.into(), compressed(&tar), tar, bomb]
}

fn attestations(root: &Path) -> Vec<Vec<u8>> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://example.bank/model-build/v1",
        "predicate": {},
        "subject": [
            {"name": "model", "digest": {"sha256": "01".repeat(32)}},
            {"name": "profile.json", "digest": {"sha256": "02".repeat(32)}},
        ],
    });
    let attested = file(root, "examples/credit/2026-11-14/profile.attestation.json");
    vec![statement.to_string().into_bytes(), attested]
}

#[cfg(feature = "node")]
const ISSUER: &str = "https://idp.example.bank";
#[cfg(feature = "node")]
const CLIENT: &str = "promotion-ledger-review";
#[cfg(feature = "node")]
const NOW: u64 = 1_800_000_000;

#[cfg(feature = "node")]
fn claims_of_a_login() -> Vec<u8> {
    let claims = json!({
        "iss": ISSUER, "sub": "u-1", "aud": CLIENT, "azp": CLIENT, "exp": NOW + 300, "iat": NOW - 5, "nonce": "n",
        "auth_time": NOW - 5, "acr": "mfa", "amr": ["pwd", "otp"], "name": "Maria Keller", "groups": ["model-risk"],
    });
    claims.to_string().into_bytes()
}

#[cfg(feature = "node")]
fn signed_token(claims: &[u8]) -> String {
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(br#"{"alg":"EdDSA","typ":"JWT","kid":"k1"}"#), part(claims));
    let signature = own_key().sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", part(&signature))
}

#[cfg(feature = "node")]
fn jwks() -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(own_key().verifying_key().as_bytes());
    json!({ "keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": x}] })
}

#[cfg(feature = "node")]
fn tokens(_: &Path) -> Vec<Vec<u8>> {
    let token = signed_token(&claims_of_a_login());
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    into_bytes(vec![format!("{signed}."), "..".into(), token])
}

#[cfg(feature = "node")]
fn token_claims(_: &Path) -> Vec<Vec<u8>> {
    vec![claims_of_a_login(), b"[".repeat(5_000)]
}

#[cfg(feature = "node")]
fn key_sets(_: &Path) -> Vec<Vec<u8>> {
    vec![jwks().to_string().into_bytes()]
}

#[cfg(feature = "node")]
fn deliveries(_: &Path) -> Vec<Vec<u8>> {
    let delivery = json!({
        "entity": "model_version_alias", "action": "created", "timestamp": "2026-11-26T15:00:00+00:00",
        "data": {"name": "credit-pd", "alias": "champion", "version": "3"},
    });
    vec![delivery.to_string().into_bytes(), b"[".repeat(20_000)]
}

#[cfg(feature = "node")]
fn admission_reviews(_: &Path) -> Vec<Vec<u8>> {
    let digest = "ab".repeat(32);
    let review = |object: Value| {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u", "operation": "CREATE", "namespace": "scoring", "name": "credit",
                "kind": {"kind": object["kind"]}, "object": object },
        });
        review.to_string().into_bytes()
    };
    let metadata = json!({ "labels": {"promotion-ledger.dev/model": "credit"} });
    let pod =
        json!({ "containers": [{"name": "c", "image": format!("registry.example/m@sha256:{digest}")}] });
    vec![
        review(json!({ "kind": "Deployment", "metadata": metadata, "spec": {"template": {"spec": pod}} })),
        review(json!({ "kind": "InferenceService", "metadata": metadata, "spec": {
            "predictor": {"model": {"storageUri": format!("gated+s3://b/m#sha256:{digest}")}} } })),
        b"[".repeat(100_000),
    ]
}

#[cfg(feature = "node")]
fn evidence(root: &Path) -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        text(
            "<p onclick=go()>x<img src=https://e.example/a.png><svg><script>1</script></svg><style>@import 'x'</style>",
        ),
        text("name,iban,amount\nMaria,DE89370400440532013000,5\n\"a\nb\",2,3\n"),
        text(
            "# Title\n\n- a [link](javascript:go()) ![x](https://e.example/a.png)\n\n<script>1</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        ),
        text("{\"segment\": {\"age:<25\": {\"auc\": 0.71}}, \"list\": [1, null, true, \"<script>\"]}"),
        file(root, "examples/credit/2026-11-14/profile.json"),
        b"<b>".repeat(20_000),
        b"[".repeat(50_000),
        b"> ".repeat(20_000),
    ]
}
