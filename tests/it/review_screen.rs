//! The review screen, made from the credit example: what is on it, that its bytes are a function of the package, and
//! that nothing from elsewhere becomes markup. `SCREEN_OUT=dir` writes it, to be looked at.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use promotion_ledger::{
    event::{
        canonical, content,
        proto::{
            Artefact, ArtefactRole, Condition, GetEntryRequest, Opened, PersonRef, Promoted,
            RequiredApproval, SealedClaims, Statement, body::Event, get_entry_request::By,
        },
    },
    page::{Exhibits, sealed},
    review::{
        Package,
        package::{Incumbent, OpenCondition, SheetEntry},
        screen,
    },
};

use prost::Message;

use crate::{
    harness::{Directory, LogUnderTest, Node, run},
    pages::check_accessible,
};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit").join(path)
}

fn good(output: Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The threshold change of the 21st, as a node routes it, and the bytes of its evidence.
async fn threshold_change() -> (Promoted, Exhibits) {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let promote = |date: &str| {
        let file = example(date).join("promotion.yaml").display().to_string();
        good(run(&["promote", "-f", &file, "--url", &node.url]));
    };
    promote("2026-11-07");
    let (policy, key) = (example("policy.yaml"), dir.path().with_file_name("node.admin.pem"));
    let (policy, key) = (policy.display().to_string(), key.display().to_string());
    good(run(&[
        "policy",
        "activate",
        &policy,
        "--repository",
        "https://git.example.bank/p",
        "--commit",
        "4f2a9c1",
        "--reviewer",
        "M",
        "--admin-key",
        &key,
        "--url",
        &node.url,
    ]));
    promote("2026-11-14");
    promote("2026-11-21");
    let client = node.client().await;
    let request = GetEntryRequest { by: Some(By::Seq(4)), unseal: false };
    let entry =
        client.auditor().get_entry(request).await.expect("an entry").into_inner().entry.expect("an entry");
    let body = canonical::decode(&entry.record).expect("a record").body;
    let Some(Event::Promoted(mut promoted)) = body.event else { panic!("not a promotion") };
    promoted.approvals.clear();
    let mut exhibits = Exhibits::default();
    for (_, reference) in content::evidence(&promoted) {
        let sha256 =
            promotion_ledger::event::Digest::from_slice(&reference.sha256).expect("a digest").to_string();
        let (shard, rest) = sha256.split_at(2);
        let bytes =
            std::fs::read(dir.path().join("evidence/sha256").join(shard).join(rest)).expect("evidence");
        exhibits.insert(&reference.sha256, bytes);
    }
    (promoted, exhibits)
}

fn artefacts(promoted: &Promoted) -> Vec<Artefact> {
    let one = |(path, reference): (content::Path, &promotion_ledger::event::proto::EvidenceRef)| Artefact {
        role: ArtefactRole::Metrics.into(),
        required: path.contains("report") || path.contains("explanations"),
        name: path.into_owned(),
        sha256: reference.sha256.clone(),
        length: reference.length,
        media_type: reference.media_type.clone(),
        renders: Vec::new(),
    };
    content::evidence(promoted).into_iter().map(one).collect()
}

async fn package() -> Package {
    let (promoted, exhibits) = threshold_change().await;
    let champion = promoted
        .challenger_comparison
        .as_ref()
        .and_then(|c| c.comparators.first())
        .expect("a champion")
        .clone();
    let condition = Condition {
        id: "c1".into(),
        title: "Weekly report of approval ratios".into(),
        owner: Some(PersonRef {
            issuer: "http://127.0.0.1:7421/development".into(),
            subject_id: vec![7; 32],
        }),
        due_at: 1_798_000_000_000_000,
        evidence_kind: String::new(),
        slice: "age_band".into(),
    };
    Package {
        ledger: "ledger.example.bank/credit".into(),
        sealed_at: 1_795_262_400_000_000,
        requirements: vec![
            "a comparison report with all segments".into(),
            "an explanation of kind shap_report".into(),
        ],
        required: vec![
            RequiredApproval { group: "model-risk-approvers".into(), count: 1 },
            RequiredApproval { group: "credit-risk-committee".into(), count: 2 },
        ],
        incumbent: Some(Incumbent {
            seq: 3,
            artifact_sha256: champion.artifact_sha256,
            name: champion.name,
            version: champion.version,
            promoted_at: 1_794_700_000_000_000,
        }),
        artefacts: artefacts(&promoted),
        exhibits,
        conditions: vec![OpenCondition { approved_seq: 2, condition }],
        on_incumbent_change: "it waits until somebody looks (hold)".into(),
        promoted,
    }
}

fn write_out(name: &str, bytes: &[u8]) {
    if let Some(dir) = std::env::var_os("SCREEN_OUT") {
        std::fs::write(Path::new(&dir).join(name), bytes).expect("a file");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_screen_shows_everything_that_is_decided_on_and_its_bytes_are_a_function_of_the_package() {
    let mut package = package().await;
    let bytes = screen::render(&package);
    write_out("review.html", &bytes);
    assert!(screen::render(&package) == bytes, "two renderings of one package differ");
    let html = String::from_utf8(bytes).expect("UTF-8");
    check_accessible(&html);
    for words in [
        "german-credit-pd 14",
        "Who must approve",
        "2 different people of <b>credit-risk-committee</b>",
        "decline_at_pd",
        "2 outside",
        "Calibration by segment",
        "Weekly report of approval ratios",
        "metrics by age_band",
        "Have you opened the challenger comparison",
        "name=\"answer.segments\"",
        "name=\"condition.3.due\"",
        "action=\"decide\"",
        "value=\"approve_with_conditions\"",
        "formnovalidate",
        "src=\"people\"",
        "shap report",
        "To be opened before you approve",
        screen::WORDS,
    ] {
        assert!(html.contains(words), "{words} is not on the screen");
    }
    for name in ["Maria Keller", "Jonas Weber", "u-2001"] {
        assert!(!html.contains(name), "{name} would outlive an erasure");
    }

    // A static rendition is shown first, the report itself below and folded.
    let report =
        package.promoted.challenger_comparison.as_ref().and_then(|c| c.report.clone()).expect("a report");
    package.artefacts.push(Artefact {
        role: ArtefactRole::StaticRendition.into(),
        name: "Comparison report, static".into(),
        sha256: vec![9; 32],
        length: 9,
        media_type: "image/png".into(),
        required: true,
        renders: report.sha256.clone(),
    });
    package.exhibits.insert(&[9; 32], b"\x89PNG\r\n\x1a\n.".to_vec());
    let html = String::from_utf8(screen::render(&package)).expect("UTF-8");
    check_accessible(&html);
    let rendition =
        html.find(&format!("<img src=\"artefacts/{}.png\"", "09".repeat(32))).expect("the rendition");
    let original = html
        .find(&format!("<iframe sandbox=\"\" src=\"artefacts/{}.html\"", hex::encode(&report.sha256)))
        .expect("the report");
    assert!(rendition < original);

    // Nothing that came from elsewhere is markup.
    let model = package.promoted.model_version.as_mut().expect("a model");
    model.name = "<script>alert(1)</script>\u{202E}".into();
    package.requirements = vec!["\"><img src=x onerror=alert(1)>".into()];
    let question = &mut package
        .promoted
        .approval_request
        .as_mut()
        .and_then(|r| r.form.as_mut())
        .expect("a form")
        .questions[0];
    question.id = "a\" autofocus onfocus=\"alert(1)".into();
    let html = String::from_utf8(screen::render(&package)).expect("UTF-8");
    assert!(!html.contains("<script") && !html.contains("<img src=x") && !html.contains("\" autofocus"));
    assert!(html.contains("\u{27E8}U+202E\u{27E9}") && !html.contains('\u{202E}'));

    let person = SheetEntry {
        person: PersonRef { issuer: "http://127.0.0.1:7421/development".into(), subject_id: vec![7; 32] },
        parts: vec!["requested_by".into()],
        subject: "u-1001".into(),
        name: "Jonas <b>Weber</b>".into(),
        texts: vec![(
            "Justification".into(),
            "The committee lowers the risk appetite.\nSee minute 4.2.".into(),
        )],
    };
    let claims = SealedClaims {
        statements: vec![Statement { path: "screen".into(), text: screen::render_person(&person) }],
        ..SealedClaims::default()
    };
    let opened = Opened { claims: claims.encode_to_vec(), ..Opened::default() };
    let sheet = sealed::sheet(&[opened]);
    write_out("people.html", &sheet);
    let sheet = String::from_utf8(sheet).expect("UTF-8");
    assert!(sheet.contains("Jonas &lt;b&gt;Weber&lt;/b&gt;") && sheet.contains("requested by"));
}
