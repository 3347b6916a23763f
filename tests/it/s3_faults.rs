//! The evidence store fails in the middle of something. Fault matrix: step of a promotion × what fails × whether the store
//! has done what was asked. Nothing is half-promoted, and the same request later gives exactly one event.

use std::time::Duration;

use promotion_ledger::{
    cli::bench::sample::Piece,
    clock::{Clock, SystemClock},
    event::{Kind, digest::sha256, proto::StatEvidenceRequest},
};
use tonic::{Code, Status};

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, unique},
    s3_node::{directory, directory_behind_proxy, events},
    s3_proxy::{Answer, Asked, Fault, Proxy},
    s3_service::service,
};

/// Which call to the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// An upload looks for what is there.
    Look,
    /// An upload puts an object.
    Put,
    /// An upload reads back what it put.
    ReadBack,
    /// A promotion asks for the lock.
    Prove,
    /// A promotion makes the lock longer.
    Hold,
}

const STEPS: [Step; 5] = [Step::Look, Step::Put, Step::ReadBack, Step::Prove, Step::Hold];

impl Step {
    fn is_upload(self) -> bool {
        matches!(self, Self::Look | Self::Put | Self::ReadBack)
    }

    fn matches(self, asked: &Asked) -> bool {
        let evidence = asked.target.contains("sha256");
        evidence
            && match self {
                Self::Look => asked.has("versions"),
                Self::Put => asked.is_object("PUT"),
                Self::ReadBack | Self::Prove => asked.method == "HEAD",
                Self::Hold => asked.method == "PUT" && asked.has("retention"),
            }
    }
}

/// What fails, and whether the store has done what was asked.
fn faults(step: Step) -> Vec<(&'static str, Fault)> {
    let mut faults = vec![
        ("throttled", Fault::Says(Answer::plain(503, "SlowDown"))),
        ("a fault of the server", Fault::Says(Answer::plain(500, "InternalError"))),
        ("credentials expired", Fault::Says(Answer::plain(400, "ExpiredToken"))),
        ("the clock is wrong", Fault::Says(Answer::plain(403, "RequestTimeTooSkewed"))),
        ("cut before it was applied", Fault::CutRequest(0)),
        ("cut after it was applied", Fault::CutAnswer),
        ("slow", Fault::Hangs(Duration::from_secs(4))),
    ];
    if step == Step::Put {
        faults.push(("cut in the middle of the upload", Fault::CutRequest(20_000)));
        // What AWS answers to two conditional puts at a time; this service never does.
        let conflict = Answer::plain(409, "ConditionalRequestConflict");
        faults.push(("another upload of it at the same time", Fault::Says(conflict)));
    }
    if step == Step::Look {
        faults.push(("an answer that ends early", Fault::Truncated(100)));
    }
    faults
}

/// Evidence that no other cell has; the first piece is large enough to be cut in the middle.
fn pieces(cell: &str) -> [Piece; 7] {
    let mut pieces = promotion_ledger::cli::bench::sample::evidence();
    for piece in &mut pieces {
        piece.bytes.extend(format!("{cell} {}\n", unique("cell")).into_bytes());
    }
    pieces[0].bytes.extend(vec![b'x'; 200_000]);
    pieces
}

fn retryable(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Aborted)
}

/// A node whose bucket is behind a proxy.
struct Behind {
    proxy: Proxy,
    node: Node,
    _dir: Directory,
}

impl Behind {
    async fn start(test: &str, timeout_seconds: u32) -> Option<Self> {
        let (proxy, dir) = directory_behind_proxy(test, "faults").await?;
        let file = dir.path().join("promotion-ledger.toml");
        let config = std::fs::read_to_string(&file).expect("a configuration");
        let config =
            config.replace("timeout_seconds = 20\n", &format!("timeout_seconds = {timeout_seconds}\n"));
        std::fs::write(&file, config).expect("a configuration");
        let node = Node::serve_with(&dir.path(), &[("PROMOTION_LEDGER_ARCHIVE__EVERY_SECONDS", "1")]);
        Some(Self { proxy, node, _dir: dir })
    }
}

/// A lock that was made in this very second is long enough for the promotion as well.
async fn settle(step: Step) {
    if step == Step::Hold {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
}

async fn promotions(client: &Client) -> usize {
    events(client, Kind::Promoted).await.len()
}

/// One cell of the matrix: the fault stays until the call has failed.
async fn cell(behind: &Behind, client: &mut Client, n: u64, step: Step, name: &str, fault: Fault) {
    let what = format!("{step:?}, {name}");
    client.pieces = pieces(&what);
    let before = promotions(client).await;
    if !step.is_upload() {
        client.upload_all().await;
    }
    settle(step).await;
    behind.proxy.always(move |asked| step.matches(asked), fault);
    let failed = match step.is_upload() {
        true => client.upload(&client.pieces[0]).await.expect_err(&what),
        false => client.promote(client.draft(0, n)).await.expect_err(&what),
    };
    assert!(retryable(&failed), "{what}: {failed}");
    assert!(!failed.message().is_empty(), "{what}: {failed}");
    assert!(!behind.proxy.honest().is_empty(), "{what}: it never happened");
    assert_eq!(promotions(client).await, before, "{what}: something is half-promoted");
    client.upload_all().await;
    let receipt =
        client.promote(client.draft(0, n)).await.unwrap_or_else(|status| panic!("{what}: {status}"));
    assert!(!receipt.duplicate, "{what}");
    let again = client.promote(client.draft(0, n)).await.expect("the first receipt");
    assert_eq!((again.seq, again.duplicate), (receipt.seq, true), "{what}");
    assert_eq!(promotions(client).await, before + 1, "{what}");
}

/// The cells of these steps, one after the other.
async fn cells(test: &str, steps: impl IntoIterator<Item = Step>) {
    let Some(behind) = Behind::start(test, 2).await else { return };
    let mut client = behind.node.client().await;
    let mut n = 0;
    for step in steps {
        for (name, fault) in faults(step) {
            cell(&behind, &mut client, n, step, name, fault).await;
            n += 1;
        }
    }
    eprintln!("{n} cells");
    client.check().await;
    behind.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_evidence_is_uploaded_the_same_request_later_gives_one_event() {
    let test = "whatever_fails_while_evidence_is_uploaded_the_same_request_later_gives_one_event";
    cells(test, STEPS.into_iter().filter(|step| step.is_upload())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_while_a_promotion_is_recorded_the_same_request_later_gives_one_event() {
    let test = "whatever_fails_while_a_promotion_is_recorded_the_same_request_later_gives_one_event";
    cells(test, STEPS.into_iter().filter(|step| !step.is_upload())).await;
}

/// A fault that passes is nobody's business: the client of the store asks again, also where the first time was applied.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_happens_once_is_not_seen_by_the_caller() {
    let test = "a_fault_that_happens_once_is_not_seen_by_the_caller";
    let Some(behind) = Behind::start(test, 10).await else { return };
    let mut client = behind.node.client().await;
    let once = [
        ("throttled", Fault::Says(Answer::plain(503, "SlowDown"))),
        ("cut before it was applied", Fault::CutRequest(0)),
        ("cut after it was applied", Fault::CutAnswer),
    ];
    let mut n = 0;
    for step in STEPS {
        for (name, fault) in once.clone() {
            let what = format!("{step:?}, {name}, once");
            client.pieces = pieces(&what);
            if !step.is_upload() {
                client.upload_all().await;
            }
            behind.proxy.times(1, move |asked| step.matches(asked), fault);
            client.upload_all().await;
            settle(step).await;
            let receipt = client.promote(client.draft(0, n)).await;
            n += 1;
            let receipt = receipt.unwrap_or_else(|status| panic!("{what}: {status}"));
            assert!(!receipt.duplicate, "{what}");
            assert_eq!(behind.proxy.honest().len(), 1, "{what}");
        }
    }
    client.check().await;
    behind.node.stop();
}

/// The archive's pieces fail as well, one by one, and all of it is there in the end.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_the_archive_that_fail_are_written_later() {
    let test = "pieces_of_the_archive_that_fail_are_written_later";
    let Some(behind) = Behind::start(test, 2).await else { return };
    let client = behind.node.client().await;
    client.upload_all().await;
    let archive = |asked: &Asked| asked.target.contains("archive");
    let put = move |asked: &Asked| archive(asked) && asked.is_object("PUT");
    behind.proxy.times(4, put, Fault::CutAnswer);
    behind.proxy.times(4, put, Fault::Says(Answer::plain(503, "SlowDown")));
    behind.proxy.times(2, archive, Fault::Truncated(40));
    client.promote(client.draft(0, 0)).await.expect("promotions do not wait for the archive");
    let mut archived = 0;
    for _ in 0..400 {
        let status = client.status().await;
        archived = status.archive.expect("how far it is").size;
        if archived == status.synced_size {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(archived >= 2, "only {archived} entries are archived");
    let happened = behind.proxy.honest();
    assert!(happened.len() >= 8, "{happened:?}");
    client.check().await;
    behind.node.stop();
}

/// kill -9 in the middle of an upload: nothing of it is visible, and it goes on where it broke off.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_the_death_of_its_node() {
    use promotion_ledger::event::proto::{
        EvidenceDescription, UploadEvidenceRequest, upload_evidence_request::Part,
    };
    let service = service("an_upload_survives_the_death_of_its_node, on S3");
    let mut dirs = vec![Directory::init(&LogUnderTest::Embedded)];
    if let Some(service) = &service {
        dirs.push(directory(service, &service.locked_bucket("killed").await, 2));
    }
    for dir in dirs {
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        let bytes = format!("{} ", unique("killed")).repeat(20_000).into_bytes();
        let description = EvidenceDescription {
            sha256: sha256(&bytes).0.to_vec(),
            length: bytes.len() as u64,
            media_type: "text/plain".into(),
            ..EvidenceDescription::default()
        };
        let half = bytes.len() / 2;
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        let part = |part| UploadEvidenceRequest { part: Some(part) };
        let mut emitter = client.emitter();
        let upload = tokio::spawn(async move {
            emitter.upload_evidence(tokio_stream::wrappers::ReceiverStream::new(receiver)).await
        });
        sender.send(part(Part::Description(description.clone()))).await.expect("sent");
        for chunk in bytes[..half].chunks(60_000) {
            sender.send(part(Part::Chunk(chunk.to_vec()))).await.expect("sent");
        }
        let stat = || StatEvidenceRequest { sha256: description.sha256.clone() };
        let mut received = 0;
        for _ in 0..100 {
            let found = client.emitter().stat_evidence(stat()).await.expect("an answer").into_inner();
            assert!(!found.present, "half of it is visible");
            received = found.received;
            if received == half as u64 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(received, half as u64);
        node.kill();
        drop(sender);
        upload.await.expect("no panic").expect_err("its node is dead");
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        let found = client.emitter().stat_evidence(stat()).await.expect("an answer").into_inner();
        assert_eq!((found.present, found.received), (false, half as u64), "what came before the end is kept");
        let rest = EvidenceDescription { offset: found.received, ..description.clone() };
        client.upload_as(rest, bytes[half..].to_vec()).await.expect("the rest");
        let found = client.emitter().stat_evidence(stat()).await.expect("an answer").into_inner();
        assert!(found.present);
        node.stop();
    }
}

/// A large upload passes through the node without staying in its memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_needs_no_memory() {
    const LENGTH: u64 = 192 << 20;
    let service = service("a_large_upload_needs_no_memory, on S3");
    let mut dirs = vec![Directory::init(&LogUnderTest::Embedded)];
    if let Some(service) = &service {
        dirs.push(directory(service, &service.locked_bucket("large").await, 2));
    }
    for dir in dirs {
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        client.upload_all().await;
        let before = node.memory_peak();
        let file = dir.path().join("large");
        let mut bytes = std::fs::File::create(&file).expect("a file");
        let mut hasher = sha2::Sha256::default();
        let chunk: Vec<u8> = (0..1 << 20).map(|i: u32| i.to_le_bytes()[1] ^ i.to_le_bytes()[2]).collect();
        for _ in 0..LENGTH >> 20 {
            use std::io::Write;
            bytes.write_all(&chunk).expect("written");
            sha2::Digest::update(&mut hasher, &chunk);
        }
        let digest: [u8; 32] = sha2::Digest::finalize(hasher).into();
        upload_file(&client, &file, digest, LENGTH).await;
        let grown = node.memory_peak().saturating_sub(before);
        eprintln!("{} MiB made the node grow by {} MiB", LENGTH >> 20, grown >> 20);
        assert!(grown < LENGTH / 3, "{grown} bytes of memory for an upload of {LENGTH}");
        node.stop();
    }
}

async fn upload_file(client: &Client, file: &std::path::Path, digest: [u8; 32], length: u64) {
    use promotion_ledger::event::proto::{
        EvidenceDescription, UploadEvidenceRequest, upload_evidence_request::Part,
    };
    use tokio::io::AsyncReadExt;
    let description = EvidenceDescription {
        sha256: digest.to_vec(),
        length,
        media_type: "application/octet-stream".into(),
        ..EvidenceDescription::default()
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let path = file.to_path_buf();
    let reader = tokio::spawn(async move {
        let part = |part| UploadEvidenceRequest { part: Some(part) };
        sender.send(part(Part::Description(description))).await.expect("sent");
        let mut file = tokio::fs::File::open(path).await.expect("a file");
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer).await.expect("read") {
                0 => return,
                n => sender.send(part(Part::Chunk(buffer[..n].to_vec()))).await.expect("sent"),
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    client.emitter().upload_evidence(stream).await.expect("kept");
    reader.await.expect("no panic");
}

/// The command is killed in the middle of an upload; run again, it goes on where it was, and records one promotion.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_promote_goes_on_with_its_upload() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let scratch = tempfile::tempdir().expect("a directory");
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07");
    let copied = std::process::Command::new("cp").arg("-r").arg(&example).arg(scratch.path()).status();
    assert!(copied.expect("cp runs").success());
    let promotion = scratch.path().join("2026-11-07/promotion.yaml");
    let model: Vec<u8> = (0..120u32 << 18).flat_map(u32::to_le_bytes).collect();
    std::fs::write(scratch.path().join("2026-11-07/model/model.json"), &model).expect("a model");
    let stat = || StatEvidenceRequest { sha256: sha256(&model).0.to_vec() };
    let promote = || {
        let mut command = crate::harness::binary();
        command.args(["promote", "--url", &node.url, "-f"]).arg(&promotion);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("the binary starts")
    };
    let mut first = promote();
    let mut received = 0;
    for _ in 0..3_000 {
        received = client.emitter().stat_evidence(stat()).await.expect("an answer").into_inner().received;
        if received > 1 << 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.kill().expect("killed");
    first.wait().expect("an end");
    assert!(received > 1 << 20, "nothing was under way");
    // What was in the air when the command died may still come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let found = client.emitter().stat_evidence(stat()).await.expect("an answer").into_inner();
    assert!(!found.present && found.received >= received, "{found:?}");
    let received = found.received;
    let mut second = promote();
    loop {
        let found = client.emitter().stat_evidence(stat()).await.expect("an answer").into_inner();
        if found.present {
            break;
        }
        // Zero while it moves into its place.
        assert!(
            found.received >= received || found.received == 0,
            "it began anew: {found:?} after {received}"
        );
        assert!(second.try_wait().expect("a status").is_none_or(|status| status.success()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(second.wait().expect("an end").success());
    assert_eq!(promotions(&client).await, 1);
    client.check().await;
    node.stop();
}

/// A promotion on an answer that is not true is refused by the field that it is about; nothing is recorded, and the same
/// request on a true answer is.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_on_a_lie_of_the_store_is_refused_by_its_field() {
    use tonic_types::StatusExt as _;
    type Lie = (&'static str, fn(&mut Answer), &'static str);
    const MODE: &str = "x-amz-object-lock-mode";
    const UNTIL: &str = "x-amz-object-lock-retain-until-date";
    let test = "a_promotion_on_a_lie_of_the_store_is_refused_by_its_field";
    let Some(behind) = Behind::start(test, 4).await else { return };
    let mut client = behind.node.client().await;
    let lies: [Lie; 7] = [
        (
            "digest",
            |answer| {
                answer.set("x-amz-checksum-sha256", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
            },
            "no longer have the SHA-256",
        ),
        ("length", |answer| answer.set("content-length", Some("3")), "but the stored bytes have 3"),
        ("weak", |answer| answer.set(MODE, Some("GOVERNANCE")), "its mode is GOVERNANCE"),
        ("over", |answer| answer.set(UNTIL, Some("2020-01-01T00:00:00Z")), "its retention is over"),
        (
            "too short, whatever it is told",
            |answer| {
                let soon = (SystemClock.now() / 1_000_000 + 3_600).cast_signed();
                let soon = jiff::Timestamp::from_second(soon).expect("a time").to_string();
                answer.set(UNTIL, Some(&soon));
            },
            "cannot be held for 2 days",
        ),
        ("no version", |answer| answer.set("x-amz-version-id", Some("null")), "keeps no versions"),
        (
            "hidden",
            |answer| {
                answer.set(MODE, None);
                answer.set(UNTIL, None);
            },
            "s3:GetObjectRetention",
        ),
    ];
    for (n, (name, lie, words)) in (0..).zip(lies) {
        client.pieces = pieces(name);
        client.upload_all().await;
        let before = promotions(&client).await;
        let report = sha256(&client.pieces[0].bytes).to_string();
        let about = report.clone();
        behind.proxy.always(
            move |asked| asked.method == "HEAD" && asked.target.contains(&about),
            crate::s3_proxy::altered(lie),
        );
        let denied = Fault::Says(Answer::plain(403, "AccessDenied"));
        behind.proxy.always(
            move |asked| asked.has("retention") && asked.method == "GET" && asked.target.contains(&report),
            denied,
        );
        let refused = client.promote(client.draft(0, n)).await.expect_err(name);
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused}");
        let violations = refused.get_details_bad_request().map(|it| it.field_violations).unwrap_or_default();
        let said = violations
            .iter()
            .any(|it| it.field.starts_with("challenger_comparison.report") && it.description.contains(words));
        assert!(said, "{name}: {violations:?}");
        assert_eq!(promotions(&client).await, before, "{name}");
        behind.proxy.honest();
        client.promote(client.draft(0, n)).await.unwrap_or_else(|status| panic!("{name}: {status}"));
    }
    client.check().await;
    behind.node.stop();
}

/// A store that lets itself be deleted gets no promotion, and an entry and an alert say why.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lets_itself_be_deleted_gets_no_promotion() {
    let test = "a_store_that_lets_itself_be_deleted_gets_no_promotion";
    let Some((proxy, dir)) = directory_behind_proxy(test, "deletable").await else { return };
    proxy.always(|asked| asked.method == "DELETE", Fault::Says(Answer::plain(204, "")));
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let status = client.status().await;
    assert!(status.not_admitting.contains("not write-once: delete"), "{}", status.not_admitting);
    assert!(status.alerts.iter().any(|alert| alert.name == "evidence-store"), "{:?}", status.alerts);
    let refused = client.promote(client.draft(0, 0)).await.expect_err("refused");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let mut probed = Vec::new();
    for _ in 0..100 {
        probed = events(&client, Kind::StoreProbed).await;
        if !probed.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let Some(promotion_ledger::event::proto::body::Event::StoreProbed(probed)) = probed.pop() else {
        panic!("no entry says so")
    };
    assert!(!probed.write_once && probed.attempts.iter().any(|it| it.attempt == "delete" && it.allowed));
    assert_eq!(promotions(&client).await, 0);
    node.stop();
    // It is mended: the next probe finds that out.
    proxy.honest();
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    client.check().await;
    node.stop();
}

/// Auditors may not rely on a directory: the production profile refuses it before it binds anything.
#[test]
fn production_refuses_a_directory_of_evidence() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let mut command = crate::harness::binary();
    command.args(["serve", "--dir"]).arg(dir.path()).env("PROMOTION_LEDGER_PROFILE", "production");
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a directory of evidence is not write-once"), "{said}");
}
