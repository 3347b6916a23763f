//! Examiner bundles: whole ones hold, damaged ones do not, and two independent verifiers agree on each.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use ed25519_dalek::pkcs8::{EncodePublicKey, spki::der::pem::LineEnding};
use promotion_ledger::{
    bundle::{
        container::{self, Writer},
        manifest::Manifest,
        verify::{Bundle, Known, verify},
    },
    clock::{Clock, SystemClock},
    event::{Digest, digest::sha256, text::utc},
    proof::checkpoint::{self, Checkpoint},
};

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, run, service},
    sealed_pages::{directory, reviewed},
};

type Members = BTreeMap<String, Vec<u8>>;
/// Takes a description and what to change.
type Add<'a> = dyn FnMut(String, &dyn Fn(&mut Members)) + 'a;

/// A Python with the packages of the second verifier, or a loud skip.
pub fn python(test: &str) -> Option<PathBuf> {
    service("AUDITOR_PYTHON", test).map(PathBuf::from)
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn export(dir: &Directory, what: &[&str], to: &Path) -> Output {
    run(&[&["export", "--format", "json", "--dir", &text(&dir.path()), "-o", &text(to)], what].concat())
}

fn unpacked(bytes: &[u8]) -> Members {
    let members = container::read(&mut Cursor::new(bytes), |_| Some(1 << 30)).expect("a container");
    members.into_iter().map(|member| (member.name, member.bytes.expect("bytes"))).collect()
}

fn packed(members: &Members) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, bytes) in members {
        writer.add(name, bytes).expect("added");
    }
    writer.finish().expect("a container")
}

fn checked(bytes: &[u8]) -> Result<Bundle, String> {
    verify(&mut Cursor::new(bytes), &Known::default()).map_err(|error| error.to_string())
}

/// What the second verifier says of each, in order.
fn second(python: &Path, further: &[&str], bundles: &[PathBuf]) -> Vec<serde_json::Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify_bundle.py");
    let done =
        Command::new(python).arg("-B").arg(script).args(further).args(bundles).output().expect("Python runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let lines: Vec<_> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), bundles.len(), "{}", String::from_utf8_lossy(&done.stderr));
    lines
}

/// A stopped node's ledger: three promotions of two models, the first revoked again, and a key added and retired.
async fn recorded() -> Directory {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    for (model, n) in [(0, 0), (1, 0), (0, 1)] {
        client.promote(client.draft(model, n)).await.expect("a receipt");
    }
    client.check().await;
    node.stop();
    dir
}

/// The bundle of the promotions of a directory, with and without people.
fn exported(dir: &Directory, what: &[&str]) -> (serde_json::Value, Vec<u8>) {
    let file = tempfile::tempdir().expect("a directory");
    let path = file.path().join("bundle.zip");
    let done = export(dir, what, &path);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    (json(&done), bytes)
}

fn promotions_of(dir: &Directory) -> Vec<String> {
    let listed = run(&["list", "--kind", "promoted", "--format", "json", "--dir", &text(&dir.path())]);
    let entries = json(&listed)["entries"].as_array().expect("entries").clone();
    let mut seqs: Vec<u64> =
        entries.iter().map(|entry| entry["header"]["seq"].as_u64().expect("a seq")).collect();
    seqs.sort_unstable();
    seqs.iter().map(u64::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_holds_says_in_numbers_what_was_checked_and_is_the_same_every_time() {
    let dir = recorded().await;
    let seqs = promotions_of(&dir);
    let (said, bytes) = exported(&dir, &[&seqs[0]]);
    assert_eq!((&said["missing"], said["evidence"].as_u64()), (&serde_json::json!([]), Some(7)), "{said}");
    assert_eq!(bytes, exported(&dir, &[&seqs[0]]).1, "its bytes follow from the ledger");

    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("bundle.zip");
    std::fs::write(&path, &bytes).expect("written");
    let done = run(&["verify", &text(&path), "--format", "json"]);
    let found = json(&done);
    assert_eq!((done.status.code(), &found["verified"]), (Some(0), &true.into()), "{found}");
    let bundle = checked(&bytes).expect("a bundle");
    let c = &bundle.checked;
    assert_eq!((c.promotions, c.evidence, c.records), (1, 7, 2));
    assert!(c.headers >= 4 && c.signatures == 2 && c.claims > 0 && c.drawn >= 3, "{c:?}");
    assert_eq!(found["checked"], serde_json::to_value(c).expect("JSON"));
    let spoken = run(&["verify", &text(&path)]);
    let spoken = String::from_utf8_lossy(&spoken.stdout).into_owned();
    for words in [
        "The bundle holds",
        "each linked to the one before",
        "compare it with the one you know",
        "What this does not show",
    ] {
        assert!(spoken.contains(words), "{words}: {spoken}");
    }
    // Pinned by what the auditor knows.
    let key = found["log_key"].as_str().expect("a key");
    let id = found["ledger_id"].as_str().expect("an id");
    let pinned = run(&["verify", &text(&path), "--key", key, "--ledger-id", id]);
    assert_eq!(pinned.status.code(), Some(0), "{pinned:?}");
    let other = run(&["verify", &text(&path), "--ledger-id", &"ab".repeat(32)]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");

    // Any browser opens it: everything is relative, and inside.
    let members = unpacked(&bytes);
    let index = String::from_utf8(members["index.html"].clone()).expect("text");
    crate::pages::check_accessible(&index);
    for field in [
        "1 Model version",
        "2 Challenger comparison",
        "3 Approval request",
        "4 Approver identity",
        "5 Explanation",
        "6 Dataset",
    ] {
        assert!(index.contains(field), "{field}");
    }
    for (page, bytes) in members.iter().filter(|(name, _)| name.ends_with(".html") && !name.contains('/')) {
        let page_text = String::from_utf8_lossy(bytes).into_owned();
        let links = page_text.split("href=\"").skip(1).chain(page_text.split("src=\"").skip(1));
        for link in
            links.filter_map(|rest| rest.split('"').next()).filter(|link| !link.starts_with(['#', 'd']))
        {
            assert!(members.contains_key(link), "{page} leads to {link}");
        }
    }
    for name in members.keys().filter(|name| name.starts_with("artefacts/")) {
        assert!(index.contains(name.as_str()), "{name} is not linked");
    }
    assert!(String::from_utf8_lossy(&members["README.txt"]).contains(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_bundle_names_nobody_and_still_holds() {
    let dir = recorded().await;
    let seqs = promotions_of(&dir);
    let (_, whole) = exported(&dir, &[&seqs[0]]);
    let (_, redacted) = exported(&dir, &[&seqs[0], "--redact"]);
    let names = |bytes: &[u8]| {
        let claims = unpacked(bytes).into_iter().filter(|(name, _)| name.starts_with("claims/"));
        claims.map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    assert!(!names(&whole).is_empty() && names(&redacted).is_empty());
    let claims = promotion_ledger::event::canonical::decode_exact::<
        promotion_ledger::event::proto::SealedClaims,
    >(&names(&whole)[0]);
    let subject = claims.expect("claims").subject;
    let contains = |bytes: &[u8]| bytes.windows(subject.len()).any(|window| window == subject.as_bytes());
    assert!(contains(&whole) && !contains(&redacted), "{subject}");
    let bundle = checked(&redacted).expect("it holds");
    assert_eq!(bundle.checked.claims, 0);
    let (_, bare) = exported(&dir, &[&seqs[0], "--without-evidence"]);
    let bundle = checked(&bare).expect("it holds");
    assert_eq!((bundle.checked.evidence, bundle.checked.withheld), (0, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_goes_along_and_what_the_store_lost_is_said() {
    let dir = directory(&reviewed());
    let (said, bytes) = exported(&dir, &["4"]);
    assert!(
        !said["missing"].as_array().expect("a list").is_empty(),
        "most of its evidence is nowhere: {said}"
    );
    let bundle = checked(&bytes).expect("it holds");
    assert_eq!(bundle.entries.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let members = unpacked(&bytes);
    assert!(String::from_utf8_lossy(&members["review-1.html"]).contains("exactly this"));
    assert!(members.contains_key("people"));
    // Its review, an approval, or what was decided about it, cannot be left out.
    for seq in 0..4 {
        let mut less = members.clone();
        less.remove(&format!("entries/{seq}.record"));
        less.remove(&format!("entries/{seq}.tlog-proof"));
        let error = checked(&packed(&less)).expect_err("incomplete");
        assert!(error.starts_with(&format!("entries/{seq}.record: is missing")), "{error}");
    }
}

/// Every way of damage that is generated: a description, the bytes, and whether every verifier must refuse it.
fn damaged(bytes: &[u8], seed: u64) -> Vec<(String, Vec<u8>)> {
    let mut made = Vec::new();
    // The file.
    let step = bytes.len() / 40;
    for at in
        (0..bytes.len()).step_by(step).map(|at| at + seed as usize % step).filter(|at| *at < bytes.len())
    {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1 << (at % 8);
        made.push((format!("byte {at} of the file"), bad));
        made.push((format!("cut at {at}"), bytes[..at].to_vec()));
    }
    made.push(("a byte behind the end".into(), [bytes, b"x"].concat()));
    made.push(("nothing".into(), Vec::new()));
    // Each member, packed again.
    let members = unpacked(bytes);
    let mut add = |what: String, change: &dyn Fn(&mut Members)| {
        let mut bad = members.clone();
        change(&mut bad);
        if bad != members {
            made.push((what, packed(&bad)));
        }
    };
    for (name, content) in &members {
        add(format!("{name} removed"), &|m| drop(m.remove(name)));
        add(format!("{name} emptied"), &|m| drop(m.insert(name.clone(), Vec::new())));
        add(format!("{name} with a byte more"), &|m| m.get_mut(name).expect("there").push(b'x'));
        for at in [0, content.len() / 3, content.len() / 2, content.len().saturating_sub(1)] {
            add(format!("{name} changed at {at}"), &|m| {
                if let Some(byte) = m.get_mut(name).expect("there").get_mut(at) {
                    *byte ^= 1 + (seed % 100) as u8;
                }
            });
        }
    }
    for prefix in ["entries/", "artefacts/", "claims/"] {
        let names: Vec<_> = members.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        for pair in names.windows(2) {
            add(format!("{} and {} swapped", pair[0], pair[1]), &|m| {
                let (one, two) = (m[&pair[0]].clone(), m[&pair[1]].clone());
                m.insert(pair[0].clone(), two);
                m.insert(pair[1].clone(), one);
            });
        }
    }
    for name in [
        "evil.exe",
        "entries/999999.record",
        "entries/1.txt",
        "artefacts/x.html",
        "claims/0-ab.claims",
        "review-99.html",
    ] {
        add(format!("{name} added"), &|m| drop(m.insert(name.into(), b"x".to_vec())));
    }
    let foreign = format!("artefacts/{}.html", sha256(b"evil"));
    add("foreign evidence".into(), &|m| drop(m.insert(foreign.clone(), b"evil".to_vec())));
    headers(&mut add);
    manifests(&mut add);
    made
}

fn headers(add: &mut Add<'_>) {
    add("the last header cut".into(), &|m| {
        let headers = m.get_mut("headers.bin").expect("headers");
        headers.truncate(headers.len() - 168);
    });
    add("two headers swapped".into(), &|m| {
        let headers = m.get_mut("headers.bin").expect("headers");
        let (one, two) = headers.split_at_mut(168);
        one.swap_with_slice(&mut two[..168]);
    });
    add("signed by another key".into(), &|m| {
        let note = String::from_utf8(m["checkpoint.txt"].clone()).expect("text");
        let lines: Vec<_> = note.lines().collect();
        let checkpoint = Checkpoint {
            origin: lines[0].into(),
            size: lines[1].parse().expect("a size"),
            root: Digest([7; 32]),
        };
        let forged = checkpoint::sign(&checkpoint, &ed25519_dalek::SigningKey::from_bytes(&[9; 32]));
        m.insert("checkpoint.txt".into(), forged.into_bytes());
    });
}

fn manifests(add: &mut Add<'_>) {
    let mut change = |what: &str, change: &dyn Fn(&mut Manifest)| {
        add(format!("manifest: {what}"), &|m| {
            let mut manifest = Manifest::parse(&m["bundle.json"]).expect("a manifest");
            change(&mut manifest);
            m.insert("bundle.json".into(), manifest.to_bytes());
        });
    };
    change("another ledger", &|m| m.ledger_id = "ab".repeat(32));
    change("upper case", &|m| m.ledger_id = m.ledger_id.to_uppercase());
    change("a promotion less", &|m| m.promotions.truncate(m.promotions.len() - 1));
    change("genesis as a promotion", &|m| m.promotions.insert(0, 0));
    change("a promotion that is not there", &|m| m.promotions.push(1_000));
    change("withholds nothing known", &|m| drop(m.withheld.insert("cd".repeat(32), "so".into())));
    change("withholds no digest", &|m| drop(m.withheld.insert("x".into(), "so".into())));
    change("a page that is not there", &|m| {
        drop(m.drawn.insert("promotion-77.html".into(), "ab".repeat(32)))
    });
    change("a page less", &|m| drop(m.drawn.remove("README.txt")));
    change("another format", &|m| m.format = "promotion-ledger bundle v2".into());
    change("a period that is none", &|m| {
        m.period = Some(promotion_ledger::bundle::manifest::Period { from: 5, to: 6 });
    });
    add("manifest: spelled otherwise".into(), &|m| {
        let manifest = String::from_utf8(m["bundle.json"].clone()).expect("text");
        m.insert("bundle.json".into(), manifest.replacen(':', ": ", 1).into_bytes());
    });
}

/// Whether a bundle is one of these but for the words that say why evidence was withheld.
fn other_words(bytes: &[u8], good: &[Vec<u8>]) -> bool {
    let without = |bytes: &[u8]| {
        let mut members = unpacked(bytes);
        let mut manifest = Manifest::parse(&members["bundle.json"]).expect("a manifest");
        manifest.withheld.values_mut().for_each(String::clear);
        members.insert("bundle.json".into(), manifest.to_bytes());
        members
    };
    good.iter().any(|good| without(good) == without(bytes))
}

/// What other tools make of a bundle: no member may be compressed, named twice, or lead out of it.
fn other_zips(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let members = unpacked(bytes);
    let zipped = |name: &dyn Fn(&str) -> String, compress: bool| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let method = if compress { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (member, bytes) in &members {
            writer.start_file(name(member), options).expect("a member");
            writer.write_all(bytes).expect("written");
        }
        writer.finish().expect("a zip").into_inner()
    };
    vec![
        ("zipped again, compressed".into(), zipped(&str::to_owned, true)),
        ("a path that leads out".into(), zipped(&|name| format!("../{name}"), false)),
        ("an absolute path".into(), zipped(&|name| format!("/tmp/{name}"), false)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_verifiers_agree_on_whole_and_damaged_bundles() {
    let Some(python) = python("two_verifiers_agree_on_whole_and_damaged_bundles") else { return };
    let seed = SystemClock.now();
    println!("seed {seed}");
    let dir = recorded().await;
    let seqs = promotions_of(&dir);
    let good = [
        exported(&dir, &[&seqs[0], &seqs[1]]).1,
        exported(&dir, &[&seqs[1], "--redact"]).1,
        exported(&dir, &["--from", "2020-01-01", "--to", "2100-01-01", "--without-evidence"]).1,
        exported(&dir, &["--model", "bench-test-0", "--from", "2020-01-01"]).1,
        exported(&directory(&reviewed()), &["4"]).1,
    ];
    let files = tempfile::tempdir().expect("a directory");
    let write = |name: String, bytes: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let paths: Vec<_> =
        good.iter().enumerate().map(|(i, bytes)| write(format!("good-{i}.zip"), bytes)).collect();
    for (found, bytes) in second(&python, &[], &paths).iter().zip(&good) {
        let bundle = checked(bytes).expect("it holds");
        assert_eq!(found["ok"], true, "{found}");
        assert_eq!(
            found["checked"],
            serde_json::to_value(&bundle.checked).expect("JSON"),
            "the same numbers"
        );
        assert_eq!(found["log_key"], bundle.key.vkey());
        assert_eq!(found["root"], bundle.checkpoint.root.to_string());
    }

    let mut cases = Vec::new();
    for bytes in [&good[0], &good[2], &good[4]] {
        cases.extend(damaged(bytes, seed));
    }
    cases.extend(other_zips(&good[0]));
    let paths: Vec<_> =
        cases.iter().enumerate().map(|(i, (_, bytes))| write(format!("{i}.zip"), bytes)).collect();
    let mut accepted = Vec::new();
    for ((what, bytes), found) in cases.iter().zip(second(&python, &[], &paths)) {
        let ours = checked(bytes);
        assert_eq!(found["ok"], ours.is_ok(), "{what}: {ours:?}, but the second verifier says {found}");
        if ours.is_ok() {
            accepted.push((what.as_str(), bytes));
        }
    }
    println!("{} damaged bundles", cases.len());
    // Two promotions on the same evidence: who asks for one of them only asks for another bundle.
    accepted.retain(|(what, _)| *what != "manifest: a promotion less");
    // A bundle without an opened name is a redacted one, and why something was withheld is in nobody's words but the
    // exporter's; nothing else may pass.
    let redacted = |what: &str| what.starts_with("claims/") && what.ends_with(" removed");
    accepted.retain(|(what, bytes)| !(redacted(what) || other_words(bytes, &good)));
    let accepted: Vec<_> = accepted.into_iter().map(|(what, _)| what).collect();
    assert_eq!(accepted, Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bundles_are_refused_with_what_is_wrong_and_where() {
    let dir = recorded().await;
    let seqs = promotions_of(&dir);
    let (_, bytes) = exported(&dir, &[&seqs[0]]);
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("bad.zip");
    let mut members = unpacked(&bytes);
    let artefact = members.keys().find(|name| name.starts_with("artefacts/")).expect("evidence").clone();
    members.get_mut(&artefact).expect("bytes").push(b'x');
    for (bytes, words) in [
        (packed(&members), "it was changed"),
        (other_zips(&bytes)[0].1.clone(), "is compressed"),
        (other_zips(&bytes)[1].1.clone(), "no path inside a bundle"),
        (bytes[..bytes.len() / 2].to_vec(), "ends too early"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let done = run(&["verify", &text(&path)]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.code() == Some(1) && said.contains(words), "{words}: {done:?}");
    }
    let none = run(&["export", "0", "--dir", &text(&dir.path()), "-o", &text(&files.path().join("x.zip"))]);
    assert_eq!(none.status.code(), Some(1), "genesis is no promotion: {none:?}");
    let there = export(&dir, &[&seqs[0]], &path);
    assert_eq!(there.status.code(), Some(2), "never overwritten: {there:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_is_read_by_the_fields_own_tools() {
    let Some(python) = python("an_attestation_is_read_by_the_fields_own_tools") else { return };
    let dir = recorded().await;
    let seqs = promotions_of(&dir);
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("promotion.intoto.json");
    let key = dir.path().join("keys/front-door.pem");
    let done = export(&dir, &[&seqs[0], "--attestation", "--signing-key", &text(&key)], &path);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let public = files.path().join("public.pem");
    let signer = promotion_ledger::keyfile::signing_key(&key).expect("a key").verifying_key();
    std::fs::write(&public, signer.to_public_key_pem(LineEnding::LF).expect("PEM")).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/attestation.py");
    let done =
        Command::new(&python).arg("-B").arg(script).arg(&path).arg(&public).output().expect("Python runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let found = json(&done);
    assert_eq!(found["type"], "application/vnd.in-toto+json");
    assert_eq!(found["predicateType"], "urn:promotion-ledger:attestation:promotion:v1");
    // What the predicate carries proves itself: the receipt in it verifies under the log key in it.
    let predicate = &found["predicate"];
    let receipt = files.path().join("receipt");
    std::fs::write(&receipt, predicate["receipt"].as_str().expect("a receipt")).expect("written");
    let key = predicate["ledger"]["logKey"].as_str().expect("a key");
    let verified = run(&["verify", "--receipt", &text(&receipt), "--key", key, "--format", "json"]);
    assert_eq!(
        json(&verified)["header"]["event_digest"],
        predicate["entry"]["eventDigest"]["sha256"],
        "{verified:?}"
    );
}

/// Population, sample and workpaper, as an auditor makes them.
#[tokio::test(flavor = "multi_thread")]
async fn the_auditors_procedure_from_population_to_workpaper() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client: Client = node.client().await;
    client.upload_all().await;
    let from = utc(SystemClock.now());
    for n in 0..12 {
        client.promote(client.draft(n as usize % 3, n / 3)).await.expect("a receipt");
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let to = utc(SystemClock.now());
    let files = tempfile::tempdir().expect("a directory");
    let at = |name: &str| files.path().join(name);
    let population = |name: &str| {
        run(&[
            "audit",
            "population",
            "--from",
            &from,
            "--to",
            &to,
            "--url",
            &node.url,
            "--format",
            "json",
            "-o",
            &text(&at(name)),
        ])
    };
    // Nothing is dated after the period yet: nothing may be drawn, because it could be chosen.
    let early = population("early.zip");
    assert_eq!((early.status.code(), &json(&early)["over"]), (Some(0), &false.into()), "{early:?}");
    let drawn = run(&["audit", "sample", &text(&at("early.zip")), "-n", "5"]);
    assert_eq!(drawn.status.code(), Some(1), "{drawn:?}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.promote(promotion_after(&client)).await.expect("a receipt");
    let whole = json(&population("population.zip"));
    assert_eq!(
        (whole["promotions"].as_array().expect("a list").len(), &whole["over"]),
        (12, &true.into()),
        "{whole}"
    );

    let sample =
        |name: &str| json(&run(&["audit", "sample", &text(&at(name)), "-n", "5", "--format", "json"]));
    let drawn = sample("population.zip");
    assert_eq!(drawn["sample"].as_array().expect("a list").len(), 5);
    assert_eq!(drawn, sample("population.zip"), "whoever has the population draws the same");
    if let Some(python) = python("the_auditors_procedure_from_population_to_workpaper") {
        let found = second(&python, &["--sample", "5"], &[at("population.zip")]);
        assert_eq!((&found[0]["ok"], &found[0]["sample"]), (&true.into(), &drawn["sample"]), "{}", found[0]);
    }

    // A population that leaves one out is refused.
    let mut members = unpacked(&std::fs::read(at("population.zip")).expect("bytes"));
    let mut manifest = Manifest::parse(&members["bundle.json"]).expect("a manifest");
    let left_out = manifest.promotions.remove(3);
    manifest.withheld.clear();
    members.insert("bundle.json".into(), manifest.to_bytes());
    members.remove(&format!("entries/{left_out}.record"));
    members.remove(&format!("entries/{left_out}.tlog-proof"));
    let error = checked(&packed(&members)).expect_err("incomplete");
    assert!(error.contains(&format!("leaves out entry {left_out}")), "{error}");

    let tested = run(&[
        "audit",
        "test",
        &text(&at("population.zip")),
        "-n",
        "5",
        "--url",
        &node.url,
        "--format",
        "json",
        "-o",
        &text(&at("papers")),
    ]);
    let found = json(&tested);
    assert_eq!(found["sample"], drawn["sample"], "{found}");
    let csv = std::fs::read_to_string(at("papers/workpaper.csv")).expect("a file");
    assert_eq!(csv.lines().count(), 1 + 5 * 10, "{csv}");
    let page = std::fs::read_to_string(at("papers/workpaper.html")).expect("a file");
    crate::pages::check_accessible(&page);
    assert!(page.contains("12 promotions; the headers of") && page.contains("Tested by"), "{page}");
    // A directory of evidence is not write-once, and approvals were stated by the caller: the paper says so.
    for (letter, result) in
        [("A", "holds"), ("B", "holds"), ("D", "holds"), ("F", "FAILS"), ("I", "holds"), ("J", "FAILS")]
    {
        let line = csv.lines().find(|line| line.contains(&format!(",{letter},"))).expect("a line");
        assert!(line.contains(result), "{line}");
    }
    assert_eq!(tested.status.code(), Some(1), "something fails");
    assert!(checked(&std::fs::read(at("papers/sample.zip")).expect("bytes")).is_ok());
    node.stop();
}

/// A promotion whose request is older than its entry, as all of them are.
fn promotion_after(client: &Client) -> promotion_ledger::event::proto::PromotionDraft {
    client.draft(4, 0)
}
