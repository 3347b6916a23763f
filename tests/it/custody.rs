//! Evidence that must not be relied on, data that must be kept, people who are erased: the writer's rules as a table,
//! and a real node by the command line.

use std::{fs, path::Path, time::Duration};

use promotion_ledger::event::{
    Kind, Outcome, Reason, Seq,
    proto::{
        EvidenceFinding, EvidenceProblem, KeyShredded, LegalHoldReleased, LegalHoldSet, ProbeAttempt,
        RegistryFinding, RegistryProblem, StoreProbed, Tainted, body::Event,
    },
};
use prost::Message;
use serde_json::Value;

use crate::{
    harness::{Directory, LogUnderTest, Node, run},
    samples::*,
};

fn tainted(request: &str) -> Event {
    Event::Tainted(Tainted {
        sha256: hash_of("evidence"),
        actor: Some(person("custodian")),
        request_id: request.into(),
    })
}

fn hold(whose: &[u8], request: &str) -> Event {
    Event::LegalHoldSet(LegalHoldSet {
        matter: "BaFin 2026-114".into(),
        subject_id: whose.to_vec(),
        actor: Some(person("custodian")),
        request_id: request.into(),
    })
}

fn released(hold_seq: Seq) -> Event {
    let (actor, request_id) = (Some(person("custodian")), format!("release {hold_seq}"));
    Event::LegalHoldReleased(LegalHoldReleased { hold_seq, actor, request_id })
}

fn shredded() -> KeyShredded {
    KeyShredded {
        subject_id: person("erased").subject_id,
        requested_by: Some(person("custodian")),
        approved_by: Some(person("second")),
        request_id: "erase".into(),
    }
}

fn finding() -> EvidenceFinding {
    EvidenceFinding {
        sha256: hash_of("evidence"),
        uri: "evidence:sha256:00".into(),
        problem: EvidenceProblem::Missing.into(),
        detail: "no such object".into(),
        day: 20_000,
        ..EvidenceFinding::default()
    }
}

fn strayed() -> RegistryFinding {
    RegistryFinding {
        registry_uri: "mlflow://registry.example.bank".into(),
        name: "credit".into(),
        version: "4".into(),
        alias: "champion".into(),
        problem: RegistryProblem::AliasMoved.into(),
        promoted_seq: None,
        detail: "nobody promoted version 4".into(),
        day: 20_000,
    }
}

fn probed() -> StoreProbed {
    let tried = |attempt: &str| ProbeAttempt {
        attempt: attempt.into(),
        allowed: false,
        answer: "403 AccessDenied".into(),
    };
    StoreProbed {
        uri: "s3://evidence".into(),
        write_once: true,
        attempts: ["delete", "shorten", "overwrite"].map(tried).to_vec(),
        day: 20_000,
    }
}

fn observed(l: &Ledger, event: Event) -> Vec<u8> {
    seal_bytes(l.body(event).encode_to_vec(), 1, &l.pinned, &observer())
}

/// Pushes a finding and its end; the end's position.
fn over(l: &mut Ledger) -> Seq {
    l.push(observed(l, Event::EvidenceFinding(finding())));
    let over = EvidenceFinding { problem: EvidenceProblem::Over.into(), ..finding() };
    l.push(observed(l, Event::EvidenceFinding(over)));
    l.size() - 1
}

type Make = fn(&mut Ledger) -> Vec<u8>;
type Expected = (Outcome, Reason, Option<Seq>);

const ACCEPTED: Expected = (Outcome::Accepted, Reason::None, None);

const fn refused(reason: Reason) -> Expected {
    (Outcome::Refused, reason, None)
}

const CASES: &[(&str, Make, Expected)] = &[
    ("a taint", |l| l.record(tainted("1")), ACCEPTED),
    (
        "the same taint again",
        |l| {
            l.push(l.record(tainted("1")));
            let mut again = l.body(tainted("1"));
            again.recorded_at += 1;
            l.seal(&again)
        },
        (Outcome::Duplicate, Reason::None, Some(1)),
    ),
    ("a taint by an observer's key", |l| observed(l, tainted("1")), refused(Reason::Role)),
    (
        "a taint of no digest",
        |l| {
            let Event::Tainted(taint) = tainted("1") else { unreachable!() };
            l.record(Event::Tainted(Tainted { sha256: vec![1; 8], ..taint }))
        },
        refused(Reason::Incomplete),
    ),
    (
        "a taint by nobody",
        |l| l.record(Event::Tainted(Tainted { sha256: hash_of("x"), ..Tainted::default() })),
        refused(Reason::IdempotencyKey),
    ),
    ("a hold on a person", |l| l.record(hold(&person("erased").subject_id, "1")), ACCEPTED),
    ("a hold on everybody", |l| l.record(hold(&[], "1")), ACCEPTED),
    ("a hold on half a pseudonym", |l| l.record(hold(&[1; 16], "1")), refused(Reason::Incomplete)),
    (
        "the release of a hold",
        |l| {
            l.push(l.record(hold(&[], "1")));
            l.record(released(1))
        },
        (Outcome::Accepted, Reason::None, Some(1)),
    ),
    ("the release of what is no hold", |l| l.record(released(0)), refused(Reason::Target)),
    (
        "the release of a hold that was released",
        |l| {
            l.push(l.record(hold(&[], "1")));
            l.push(l.record(released(1)));
            let Event::LegalHoldReleased(release) = released(1) else { unreachable!() };
            let request_id = "another".into();
            l.record(Event::LegalHoldReleased(LegalHoldReleased { request_id, ..release }))
        },
        refused(Reason::Target),
    ),
    ("an erasure", |l| l.record(Event::KeyShredded(shredded())), ACCEPTED),
    (
        "an erasure under a hold on that person",
        |l| {
            l.push(l.record(hold(&person("erased").subject_id, "1")));
            l.record(Event::KeyShredded(shredded()))
        },
        refused(Reason::Precondition),
    ),
    (
        "an erasure under a hold on everybody",
        |l| {
            l.push(l.record(hold(&[], "1")));
            l.record(Event::KeyShredded(shredded()))
        },
        refused(Reason::Precondition),
    ),
    (
        "an erasure under a hold on somebody else",
        |l| {
            l.push(l.record(hold(&person("other").subject_id, "1")));
            l.record(Event::KeyShredded(shredded()))
        },
        ACCEPTED,
    ),
    (
        "an erasure under two holds of which one was released",
        |l| {
            l.push(l.record(hold(&[], "1")));
            l.push(l.record(hold(&person("erased").subject_id, "2")));
            l.push(l.record(released(1)));
            l.record(Event::KeyShredded(shredded()))
        },
        refused(Reason::Precondition),
    ),
    (
        "an erasure after the release of its hold",
        |l| {
            l.push(l.record(hold(&[], "1")));
            l.push(l.record(released(1)));
            l.record(Event::KeyShredded(shredded()))
        },
        ACCEPTED,
    ),
    (
        "an erasure by one person alone",
        |l| {
            let approved_by = Some(person("custodian"));
            l.record(Event::KeyShredded(KeyShredded { approved_by, ..shredded() }))
        },
        refused(Reason::Incomplete),
    ),
    (
        "an erasure that nobody agreed to",
        |l| l.record(Event::KeyShredded(KeyShredded { approved_by: None, ..shredded() })),
        refused(Reason::Incomplete),
    ),
    (
        "an erasure of one of the two who act",
        |l| {
            let subject_id = person("second").subject_id;
            l.record(Event::KeyShredded(KeyShredded { subject_id, ..shredded() }))
        },
        refused(Reason::Incomplete),
    ),
    ("a finding", |l| observed(l, Event::EvidenceFinding(finding())), ACCEPTED),
    (
        "a finding by a front door that only decides",
        |l| l.record(Event::EvidenceFinding(finding())),
        refused(Reason::Role),
    ),
    (
        "the same finding of the same day",
        |l| {
            l.push(observed(l, Event::EvidenceFinding(finding())));
            let mut again = l.body(Event::EvidenceFinding(finding()));
            again.recorded_at += 1;
            seal_bytes(again.encode_to_vec(), 1, &l.pinned, &observer())
        },
        (Outcome::Duplicate, Reason::None, Some(1)),
    ),
    (
        "the same finding of the next day",
        |l| {
            l.push(observed(l, Event::EvidenceFinding(finding())));
            observed(l, Event::EvidenceFinding(EvidenceFinding { day: 20_001, ..finding() }))
        },
        ACCEPTED,
    ),
    (
        "the same finding of the same day after its end",
        |l| {
            let end = over(l);
            observed(l, Event::EvidenceFinding(EvidenceFinding { follows: Some(end), ..finding() }))
        },
        (Outcome::Accepted, Reason::None, Some(2)),
    ),
    (
        "the same finding of the same day after its end, by a second node",
        |l| {
            let end = over(l);
            let again = EvidenceFinding { follows: Some(end), ..finding() };
            l.push(observed(l, Event::EvidenceFinding(again.clone())));
            observed(l, Event::EvidenceFinding(EvidenceFinding { detail: "other words".into(), ..again }))
        },
        (Outcome::Refused, Reason::Conflict, None),
    ),
    (
        "a finding that follows an entry which is not there yet",
        |l| observed(l, Event::EvidenceFinding(EvidenceFinding { follows: Some(l.size()), ..finding() })),
        refused(Reason::Target),
    ),
    (
        "a finding without a problem",
        |l| observed(l, Event::EvidenceFinding(EvidenceFinding { problem: 0, ..finding() })),
        refused(Reason::Incomplete),
    ),
    (
        "a finding of a problem that has no name",
        |l| observed(l, Event::EvidenceFinding(EvidenceFinding { problem: 99, ..finding() })),
        refused(Reason::Incomplete),
    ),
    ("a finding in a registry", |l| observed(l, Event::RegistryFinding(strayed())), ACCEPTED),
    (
        "the same of another alias on the same day",
        |l| {
            l.push(observed(l, Event::RegistryFinding(strayed())));
            let other = RegistryFinding { alias: "canary".into(), ..strayed() };
            observed(l, Event::RegistryFinding(other))
        },
        ACCEPTED,
    ),
    (
        "a finding in a registry that names no model",
        |l| observed(l, Event::RegistryFinding(RegistryFinding { name: String::new(), ..strayed() })),
        refused(Reason::Incomplete),
    ),
    (
        "a finding in a registry without a problem",
        |l| observed(l, Event::RegistryFinding(RegistryFinding { problem: 0, ..strayed() })),
        refused(Reason::Incomplete),
    ),
    ("a probe", |l| observed(l, Event::StoreProbed(probed())), ACCEPTED),
    (
        "a probe that calls a store write-once which let something happen",
        |l| {
            let mut probed = probed();
            probed.attempts[1].allowed = true;
            observed(l, Event::StoreProbed(probed))
        },
        refused(Reason::Incomplete),
    ),
    (
        "a probe that tried nothing",
        |l| observed(l, Event::StoreProbed(StoreProbed { attempts: Vec::new(), ..probed() })),
        refused(Reason::Incomplete),
    ),
];

#[test]
fn every_custody_case_gets_its_outcome() {
    for (name, make, expected) in CASES {
        let mut ledger = Ledger::new();
        let value = make(&mut ledger);
        let header = ledger.push(value);
        assert_eq!((header.outcome, header.reason, header.refers_to), *expected, "{name}");
        ledger.check();
    }
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A node by the command line.
struct Custody {
    dir: Directory,
    node: Node,
}

impl Custody {
    fn start() -> Self {
        let dir = Directory::init(&LogUnderTest::Embedded);
        let node = Node::serve(&dir.path());
        Self { dir, node }
    }

    /// Runs a command against the node: exit code and everything that it printed.
    fn cli(&self, args: &[&str]) -> (i32, String) {
        let output = run(&[args, &["--url", &self.node.url]].concat());
        (output.status.code().expect("an exit code"), text(&output))
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = run(&[args, &["--url", &self.node.url, "--format", "json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        let first = output.stdout.split(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice(first).unwrap_or_else(|_| panic!("no JSON: {}", text(&output)))
    }

    /// The example's first promotion.
    fn promote(&self) -> Value {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07/promotion.yaml");
        self.json(&["promote", "-f", &file.display().to_string()])
    }

    fn restart(self) -> Self {
        let Self { dir, node } = self;
        node.stop();
        let node = Node::serve(&dir.path());
        Self { dir, node }
    }
}

const IDP: &str = "http://127.0.0.1:7421/development";

fn by<'a>(subject: &'a str, request: &'a str) -> Vec<&'a str> {
    vec![
        "--reason",
        "asked for by letter",
        "--actor-issuer",
        IDP,
        "--actor-subject",
        subject,
        "--request-id",
        request,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taint_names_at_once_what_relied_on_it() {
    let custody = Custody::start();
    let recorded = custody.promote();
    let seq = recorded["seq"].to_string();
    let shown = custody.json(&["show", &seq]);
    let explanation =
        shown["event"]["event"]["explanations"][0]["content"]["sha256"].as_str().unwrap().to_owned();
    let unknown = "ab".repeat(32);
    let taint = |sha256: &str, request: &str| {
        custody.cli(&[&["evidence", "taint", sha256][..], &by("u-3001", request)].concat())
    };
    let (code, printed) = taint(&unknown, "t0");
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("no accepted promotion refers to"), "{printed}");
    let (code, printed) = taint("not a digest", "t0");
    assert_eq!(code, 2, "{printed}");
    for again in [false, true] {
        let (code, printed) = taint(&explanation, "t1");
        assert_eq!(code, 0, "{printed}");
        assert_eq!(printed.contains("was recorded already"), again, "{printed}");
        assert!(printed.contains("1 promotion rely on it, 1 of them current"), "{printed}");
        assert!(printed.contains("explanations[0].content"), "{printed}");
        assert!(printed.contains("approved by"), "{printed}");
    }
    let (_, printed) = custody.cli(&["show", &seq]);
    assert!(printed.contains("TAINTED"), "{printed}");
    let listed = custody.json(&["list", "--kind", "tainted"]);
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(1), "{listed}");
    // Of the artefact itself as well.
    let artifact = shown["event"]["event"]["model_version"]["artifact_sha256"].as_str().unwrap();
    let relying = custody.json(&["evidence", "relies", artifact]);
    assert_eq!(relying["promotions"][0]["fields"][0], "model_version.artifact_sha256", "{relying}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_by_two_others_unless_a_hold_forbids_it_and_everything_still_verifies() {
    let custody = Custody::start();
    let recorded = custody.promote();
    let seq = recorded["seq"].to_string();
    let before = custody.json(&["show", &seq, "--unseal"]);
    let opened = before["opened"].as_array().expect("opened items");
    let item = opened.iter().find(|item| item["claims"]["assertion"] != "").expect("an approver");
    let (id, claims) = (item["subject_id"].as_str().unwrap().to_owned(), item["claims"].clone());
    let (issuer, subject) = (claims["issuer"].as_str().unwrap(), claims["subject"].as_str().unwrap());
    let erase = |custody: &Custody, first: &str, second: &str, request: &str, yes: bool| {
        let named = ["privacy", "erase", "--subject-issuer", issuer, "--subject", subject];
        let agreed = ["--approved-by-issuer", IDP, "--approved-by-subject", second];
        let yes: &[&str] = if yes { &["--yes"] } else { &[] };
        custody.cli(&[&named[..], &agreed, yes, &by(first, request)].concat())
    };

    let (code, printed) = erase(&custody, "u-3001", "u-3002", "e0", false);
    assert_eq!(code, 2, "{printed}");
    let (code, printed) = erase(&custody, "u-3001", "u-3001", "e0", true);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("a second person must agree"), "{printed}");
    let (code, _) = custody
        .cli(&[&["hold", "set", "BaFin 2026-114", "--subject-id", &id][..], &by("u-3001", "h1")].concat());
    assert_eq!(code, 0);
    let (code, printed) = erase(&custody, "u-3001", "u-3002", "e1", true);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("legal hold"), "{printed}");
    let holds = custody.json(&["hold", "list"]);
    assert_eq!(holds["holds"][0]["matter"], "BaFin 2026-114", "{holds}");
    let hold = holds["holds"][0]["seq"].to_string();
    let (code, printed) = custody.cli(&[&["hold", "release", &hold][..], &by("u-3001", "h2")].concat());
    assert_eq!(code, 0, "{printed}");
    let (code, printed) = custody.cli(&[&["hold", "release", &hold][..], &by("u-3001", "h3")].concat());
    assert_eq!(code, 1, "{printed}");

    // Somebody keeps a copy of the key store, and puts it back later.
    let people = custody.dir.path().join("subjects");
    let backup: Vec<_> = ["ids", "subjects"]
        .into_iter()
        .flat_map(|kind| fs::read_dir(people.join(kind)).expect("a directory"))
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(&path).expect("a record")))
        .collect();
    let (code, printed) = erase(&custody, "u-3001", "u-3002", "e1", true);
    assert_eq!(code, 0, "{printed}");
    let erased = |custody: &Custody| {
        let shown = custody.json(&["show", &seq, "--unseal"]);
        let opened = shown["opened"].as_array().expect("opened items").clone();
        opened.into_iter().find(|item| item["subject_id"] == id.as_str()).expect("the item")
    };
    let item = erased(&custody);
    assert_eq!((&item["erased"], &item["claims"]), (&true.into(), &Value::Null), "{item}");
    assert!(item["erased_by"].is_u64(), "{item}");
    let (_, printed) = custody.cli(&["show", &seq, "--unseal"]);
    assert!(printed.contains("erased on 20") && printed.contains("by entry"), "{printed}");

    let mut put_back = 0;
    for (path, bytes) in backup {
        if !path.exists() {
            fs::write(path, bytes).expect("a record");
            put_back += 1;
        }
    }
    assert_eq!(put_back, 2, "a record and its name");
    let custody = custody.restart();
    for _ in 0..100 {
        if erased(&custody)["erased"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(erased(&custody)["erased"], true, "recorded means erased, also after a restored backup");

    // The same person approves again, under a new pseudonym.
    let (code, printed) = erase(&custody, "u-3001", "u-3002", "e2", true);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("no subject record"), "{printed}");
    let url = custody.node.url.clone();
    let verified = run(&["verify", "--url", &url]);
    assert!(verified.status.success(), "{}", text(&verified));
    let Custody { dir, node } = custody;
    node.stop();
    let verified = run(&["verify", "--dir", &dir.path().display().to_string()]);
    assert!(verified.status.success(), "{}", text(&verified));
}

#[test]
fn kinds_of_custody_have_their_roles() {
    use promotion_ledger::event::model::role;
    for kind in [Kind::EvidenceFinding, Kind::StoreProbed, Kind::RegistryFinding] {
        assert_eq!(kind.roles(), role::OBSERVATION, "{kind}");
    }
    for kind in [Kind::Tainted, Kind::LegalHoldSet, Kind::LegalHoldReleased, Kind::KeyShredded] {
        assert_eq!(kind.roles(), role::DECISION, "{kind}");
    }
}

/// The example's first promotion in a directory of its own, with an address in the report that people read.
fn with_an_address(dir: &Path) -> std::path::PathBuf {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07");
    let copied = std::process::Command::new("cp").arg("-r").arg(&example).arg(dir).status().expect("cp runs");
    assert!(copied.success());
    let report = dir.join("2026-11-07/comparison/report.html");
    let html = fs::read_to_string(&report).expect("the report");
    fs::write(&report, format!("{html}<p>asked by jane.doe@bank.de</p>\n")).expect("the report");
    dir.join("2026-11-07/promotion.yaml")
}

#[test]
fn obvious_personal_data_is_named_before_it_is_sealed_and_never_repeated() {
    let custody = Custody::start();
    let dir = tempfile::tempdir().expect("a directory");
    let file = with_an_address(dir.path()).display().to_string();
    let words = "the text holds what looks like e-mail addresses (1 value)";
    // Known from the file, and then from what is stored.
    for (stored, command) in [(false, "--dry-run"), (false, ""), (true, "--dry-run")] {
        let args: Vec<_> =
            ["promote", "-f", &file, command].into_iter().filter(|arg| !arg.is_empty()).collect();
        let (code, printed) = custody.cli(&args);
        assert_eq!(code, 0, "{printed}");
        assert!(printed.contains(words), "stored: {stored}: {printed}");
        assert!(printed.contains("challenger_comparison.report"), "{printed}");
        assert!(!printed.contains("jane.doe"), "the data itself is not repeated: {printed}");
    }
    let checked = custody.json(&["promote", "-f", &file, "--dry-run"]);
    assert_eq!(checked["warnings"].as_array().map(Vec::len), Some(1), "{checked}");
    // The example itself, a real credit model's promotion, gives none.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07/promotion.yaml");
    let checked = custody.json(&["promote", "-f", &example.display().to_string(), "--dry-run"]);
    assert_eq!(checked["warnings"].as_array().map(Vec::len), Some(0), "{checked}");
}

/// Evidence about one person: readable with a line in the node's log while the person is known, never again after; the
/// digest, the event and everything else hold.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_about_one_person_goes_with_the_person_and_its_digest_holds() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let config = dir.path().join("promotion-ledger.toml");
    let in_clear = fs::read_to_string(&config).expect("a configuration");
    let node = Node::serve(&dir.path());
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("reasons.txt");
    fs::write(&file, "declined: income below the threshold").expect("a file");
    let name = file.display().to_string();
    let seal = [
        "evidence",
        "seal",
        &name,
        "--media-type",
        "text/plain",
        "--about-issuer",
        IDP,
        "--about-subject",
        "c-1042",
    ];
    let custody = Custody { dir, node };
    let (code, printed) = custody.cli(&seal);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("this ledger seals no evidence"), "{printed}");
    fs::write(&config, in_clear.replace("encrypt = false", "encrypt = true")).expect("a configuration");
    let custody = custody.restart();
    let sealed = custody.json(&seal);
    assert_eq!(sealed, custody.json(&seal), "the same content is the same evidence");
    let (sha256, about) = (sealed["sha256"].as_str().unwrap(), sealed["about"].as_str().unwrap());

    // The example's promotion, with one more explanation: of one applicant's decision.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(&example)
        .arg(scratch.path())
        .status()
        .expect("cp runs");
    assert!(copied.success());
    let promotion = scratch.path().join("2026-11-07/promotion.yaml");
    let yaml = fs::read_to_string(&promotion).expect("the promotion");
    let with = |about: &str| {
        let explanation = format!(
            "explanations:\n  - {{kind: adverse_action_reasons, sha256: \"{sha256}\", about: \"{about}\", media_type: text/plain, explains: model_version, computed_on: dataset, background: explanation/background.csv, tool: shap, tool_version: 0.51.0}}\n"
        );
        fs::write(&promotion, yaml.replacen("explanations:\n", &explanation, 1)).expect("the promotion");
    };
    let path = promotion.display().to_string();
    with(&"ab".repeat(32));
    let (code, printed) = custody.cli(&["promote", "-f", &path]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("is not the person whom the bytes are sealed for"), "{printed}");
    with(about);
    let recorded = custody.json(&["promote", "-f", &path]);
    let seq = recorded["seq"].to_string();

    let read = |unseal: bool, into: &str| {
        let into = scratch.path().join(into);
        let into_text = into.display().to_string();
        let unseal: &[&str] = if unseal { &["--unseal"] } else { &[] };
        let (code, printed) = custody.cli(&[&["show", &seq, "--evidence", &into_text], unseal].concat());
        assert_eq!(code, 0, "{printed}");
        (into, printed)
    };
    let (into, printed) = read(false, "closed");
    assert!(printed.contains("sealed for a person; --unseal opens it"), "{printed}");
    let stored = fs::read(into.join("explanations-0-content.txt.sealed")).expect("the sealed bytes");
    assert_eq!(hex::encode(promotion_ledger::event::digest::sha256(&stored).0), sha256);
    assert!(!stored.windows(8).any(|window| window == b"declined"));
    let (into, _) = read(true, "opened");
    let content = fs::read_to_string(into.join("explanations-0-content.txt")).expect("the content");
    assert_eq!(content, "declined: income below the threshold");

    let erase = [
        "privacy",
        "erase",
        "--subject-id",
        about,
        "--approved-by-issuer",
        IDP,
        "--approved-by-subject",
        "u-3002",
        "--yes",
    ];
    let (code, printed) = custody.cli(&[&erase[..], &by("u-3001", "e1")].concat());
    assert_eq!(code, 0, "{printed}");
    let (into, printed) = read(true, "erased");
    assert!(printed.contains("was erased on 20") && printed.contains("by entry"), "{printed}");
    assert_eq!(fs::read(into.join("explanations-0-content.txt.sealed")).expect("the sealed bytes"), stored);
    // Nobody can promote with what nobody can read.
    let (_, printed) = custody.cli(&["promote", "-f", &path, "--dry-run"]);
    assert!(printed.contains("is a person who was erased"), "{printed}");
    let verified = run(&["verify", "--url", &custody.node.url]);
    assert!(verified.status.success(), "{}", text(&verified));
    // Each opening, also in vain, is a line in the node's log: who asked, what, about whom.
    let said = custody.node.stop_and_tell();
    let lines: Vec<_> = said
        .lines()
        .filter(|line| {
            line.contains("promotion_ledger::sealed") && line.contains(&format!("evidence {sha256}"))
        })
        .collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines.iter().all(|line| line.contains(about) && line.contains("127.0.0.1:")), "{lines:?}");
    assert!(lines[0].contains("\"opened\":1") && lines[1].contains("\"opened\":0"), "{lines:?}");
    assert!(!said.contains("below the threshold"), "the content is in the log");
}

/// `init` on a terminal: the answer, what is written there, and the configuration that it leads to, if any.
fn init_on_a_terminal(answer: &str) -> (Option<i32>, String, Option<String>) {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path().join("ledger");
    let init = format!("'{}' init --dir '{}'", env!("CARGO_BIN_EXE_promotion-ledger"), dir.display());
    // `script` gives it a terminal of its own.
    let mut command = Command::new("script");
    command.args(["-qec", &init, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("script, of bsdutils, runs");
    child.stdin.take().expect("a pipe").write_all(answer.as_bytes()).expect("answered");
    let done = child.wait_with_output().expect("an end");
    let config = fs::read_to_string(dir.join("promotion-ledger.toml")).ok();
    (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned(), config)
}

#[test]
fn init_asks_on_a_terminal_and_says_what_follows_from_each_answer() {
    for (answer, encrypts) in
        [("yes\n", "encrypt = true"), ("n\n", "encrypt = false"), ("\n", "encrypt = false")]
    {
        let (code, said, config) = init_on_a_terminal(answer);
        assert_eq!(code, Some(0), "{said}");
        for words in [
            "Encrypt it? [y/N]",
            "makes it unreadable for good, for auditors too",
            "keep personal data out of it",
        ] {
            assert!(said.contains(words), "{said}");
        }
        assert!(config.expect("a configuration").contains(encrypts), "{answer:?}");
    }
    let (code, said, config) = init_on_a_terminal("perhaps\n");
    assert!(code == Some(2) && config.is_none() && said.contains("neither yes nor no"), "{code:?} {said}");
}
