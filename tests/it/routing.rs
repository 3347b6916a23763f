//! Materiality routing on a real node: the example's three promotions by the command line, what policy refuses,
//! activation under load, and routes derived again from what the events froze.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use promotion_ledger::{
    event::{
        Digest, Header, Outcome, canonical,
        digest::sha256,
        proto::{PromotionDraft, body::Event},
    },
    policy::{
        self,
        audit::Audit,
        recheck::{self, Earlier},
    },
};
use serde_json::Value;
use tonic_types::StatusExt;

use crate::harness::{Client, Directory, LogUnderTest, Node, run};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit")
}

/// A copy of the example whose files a test may change.
fn copied() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let path = entry.expect("an entry").path();
            let to = to.join(path.file_name().expect("a name"));
            if path.is_dir() {
                copy(&path, &to);
            } else {
                fs::copy(&path, &to).expect("a copy");
            }
        }
    }
    let copied = tempfile::tempdir().expect("a directory");
    for day in ["2026-11-07", "2026-11-14", "2026-11-21"] {
        copy(&examples().join(day), &copied.path().join(day));
    }
    copied
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeded(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", text(output)))
}

/// A node whose administrators' key is at hand.
struct Ledger {
    dir: Directory,
    node: Node,
}

impl Ledger {
    fn start() -> Self {
        let dir = Directory::init(&LogUnderTest::Embedded);
        let node = Node::serve(&dir.path());
        Self { dir, node }
    }

    fn activate(&self, policy: &Path) -> Output {
        activate(&self.dir, &self.node, policy)
    }

    fn promote(&self, file: &Path) -> Output {
        let file = file.display().to_string();
        run(&["promote", "-f", &file, "--url", &self.node.url, "--format", "json"])
    }
}

fn event(receipt: &Value, ledger: &Ledger) -> Value {
    let seq = receipt["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {receipt}")).to_string();
    succeeded(&run(&["show", &seq, "--url", &ledger.node.url, "--format", "json"]))
}

/// Finds a key anywhere in a JSON document.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => {
            members.get(key).or_else(|| members.values().find_map(|value| find(value, key)))
        }
        Value::Array(items) => items.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_routed_recorded_and_derived_again() {
    let ledger = Ledger::start();
    let policy = examples().join("policy.yaml");
    let activated = succeeded(&ledger.activate(&policy));
    assert_eq!(activated["seq"], 1, "{activated}");
    for (day, tier) in [("2026-11-07", "high"), ("2026-11-14", "low"), ("2026-11-21", "high")] {
        if day == "2026-11-21" {
            // Asked of the ledger, which knows the slot's current model and whom people approved last.
            let (file, candidate) = (policy.display().to_string(), examples().join(day).join("profile.json"));
            let candidate = candidate.display().to_string();
            let explained = succeeded(&run(&[
                "policy",
                "explain",
                &file,
                "--candidate",
                &candidate,
                "--model",
                "german-credit-pd",
                "--url",
                &ledger.node.url,
                "--format",
                "json",
            ]));
            assert_eq!(explained["inputs"]["previous"]["seq"], 3, "{explained}");
            assert_eq!(explained["inputs"]["since_human"]["seq"], 2);
            assert_eq!(explained["route"]["tier"], tier);
        }
        let receipt = succeeded(&ledger.promote(&examples().join(day).join("promotion.yaml")));
        let shown = event(&receipt, &ledger);
        let routing = find(&shown, "routing").unwrap_or_else(|| panic!("no routing in {shown}"));
        assert_eq!(routing["tier"], tier, "{day}: {routing}");
        assert_eq!(routing["policy_id"], "credit-models");
        assert!(!routing["matched"].as_array().expect("rules").is_empty());
    }
    // Tried against the ledger's history: the same file gives the same routes, a stricter one names each.
    let url = ledger.node.url.clone();
    let file = policy.display().to_string();
    let same = succeeded(&run(&["policy", "replay", &file, "--url", &url, "--format", "json"]));
    assert_eq!((&same["promotions"], same["other"].as_array().map(Vec::len)), (&3.into(), Some(0)), "{same}");
    let stricter = fs::read_to_string(&policy)
        .expect("a policy")
        .replace("adverse_action_always_committee: false", "adverse_action_always_committee: true");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("stricter.yaml");
    fs::write(&path, stricter).expect("a file");
    let refused = run(&["policy", "check", &path.display().to_string(), "--format", "json"]);
    assert_eq!(refused.status.code(), Some(1), "its own tests expect the milder reading: {}", text(&refused));
    // Everything follows from what was frozen; without a node, from the directory alone.
    let Ledger { dir, node } = ledger;
    node.stop();
    let verified =
        succeeded(&run(&["verify", "--dir", &dir.path().display().to_string(), "--format", "json"]));
    assert_eq!(verified["routed_again"], 3, "{verified}");
    assert_eq!(verified["routing_findings"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policy_refuses_is_said_whole_and_noted_once() {
    let ledger = Ledger::start();
    let example = copied();
    let first = example.path().join("2026-11-07/promotion.yaml");
    // Before there is a policy nobody is automated.
    let automated = example.path().join("2026-11-14/promotion.yaml");
    let refused = ledger.promote(&automated);
    assert!(text(&refused).contains("no policy is active"), "{}", text(&refused));
    succeeded(&ledger.activate(&examples().join("policy.yaml")));
    succeeded(&ledger.promote(&first));
    succeeded(&ledger.promote(&automated));
    // The threshold change, approved by the retrain service and with half of its explanations.
    let path = example.path().join("2026-11-21/promotion.yaml");
    let written = fs::read_to_string(&path).expect("a promotion");
    let (before, rest) = written.split_once("\napprovals:\n").expect("approvals");
    let (_, after) = rest.split_once("\n# Field 5").expect("field five");
    let service = fs::read_to_string(&automated).expect("a promotion");
    let (_, service) = service.split_once("\napprovals:\n").expect("approvals");
    let (service, _) = service.split_once("\n# Field 5").expect("field five");
    let service = service.replace("2026-11-14T", "2026-11-21T");
    let after: String = after
        .lines()
        .filter(|line| !line.contains("kind: attribution"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&path, format!("{before}\napprovals:\n{service}\n# Field 5{after}")).expect("a file");
    let refused = ledger.promote(&path);
    let said = text(&refused);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("approvals[0].standing_policy") && said.contains("asks for people"), "{said}");
    assert!(said.contains("lacks one of kind attribution"), "{said}");
    let entries = ledger.node.client().await.entries().await;
    let attempt = |entry: &promotion_ledger::proof::verify::StoredEntry| {
        let record = canonical::decode(&entry.record).expect("a record");
        matches!(record.body.event, Some(Event::AttemptRefused(_)))
    };
    assert_eq!(entries.iter().filter(|entry| attempt(entry)).count(), 1);
    // The same request again is refused again, and noted once.
    assert!(!ledger.promote(&path).status.success());
    assert_eq!(ledger.node.client().await.entries().await.len(), entries.len());
    // It does not hold the key: the same promotion, mended, is recorded.
    fs::write(&path, written).expect("a file");
    succeeded(&ledger.promote(&path));
}

/// Puts a policy in force by the command line, with the key that `init` made.
pub fn activate(dir: &Directory, node: &Node, policy: &Path) -> Output {
    let (file, key) = (policy.display().to_string(), dir.path().with_file_name("node.admin.pem"));
    let key = key.display().to_string();
    run(&[
        "policy",
        "activate",
        &file,
        "--repository",
        "https://git.example.bank/mrm",
        "--commit",
        "4f2a9c1",
        "--reviewer",
        "mkeller",
        "--admin-key",
        &key,
        "--url",
        &node.url,
        "--format",
        "json",
    ])
}

/// A policy for the load: every first promotion needs a person.
fn small_policy(version: u32) -> String {
    format!(
        r#"policy: {{id: load, version: {version}}}
tiers:
  - {{id: low, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 10}}
  - {{id: high, approval: human, approvers: [{{group: model-risk-approvers, count: 1}}], comparison: rendered, explanations: [shap_report], on_incumbent_change: hold, retain_days: 10}}
bands:
  narrow: [{{metric: auc, segments: [overall], tolerance: 0.01}}]
standing_policies:
  - {{id: SP, models: [none], services: [{{issuer: "http://127.0.0.1:7421/development", subject: s}}], accountable: [{{issuer: "http://127.0.0.1:7421/development", subject: a}}], band: narrow}}
rules:
  - {{id: stable, tier: low, when: change.in_band, reason: stable}}
  - {{id: first, tier: high, when: change.first_promotion, reason: first}}
tests:
  - {{name: stable, given: {{}}, expect: {{tier: low}}}}
  - {{name: first, given: {{previous: null, since_human: null}}, expect: {{tier: high}}}}
"#
    )
}

/// A first promotion of a model of its own, with a profile that fits it.
pub async fn first_promotion(client: &Client, profile: &Value, model: usize) -> PromotionDraft {
    let mut draft = client.draft(model, 0);
    let dataset = draft.dataset.clone().expect("a dataset");
    let mut profile = profile.clone();
    let named = |digest: &[u8]| Value::from(format!("sha256:{}", hex::encode(digest)));
    profile["evaluation"]["snapshot_digest"] = named(&dataset.digest);
    profile["evaluation"]["definition_digest"] = named(&dataset.definition_digest);
    let bytes = serde_json::to_vec(&profile).expect("JSON");
    let piece = promotion_ledger::cli::bench::sample::Piece { bytes, media_type: "application/json" };
    client.upload(&piece).await.expect("an upload");
    let reference = draft.profile.as_mut().expect("a profile");
    reference.sha256 = sha256(&piece.bytes).0.to_vec();
    reference.length = piece.bytes.len() as u64;
    draft.challenger_comparison.as_mut().expect("a comparison").band_checks.clear();
    draft
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_activated_under_load_routes_everything_after_it_and_nothing_before() {
    let ledger = Ledger::start();
    let client = ledger.node.client().await;
    client.upload_all().await;
    let profile: Value =
        serde_json::from_slice(&fs::read(examples().join("2026-11-07/profile.json")).expect("a profile"))
            .expect("JSON");
    let directory = tempfile::tempdir().expect("a directory");
    let file = |version: u32| {
        let path = directory.path().join(format!("{version}.yaml"));
        fs::write(&path, small_policy(version)).expect("a file");
        path
    };
    succeeded(&ledger.activate(&file(1)));
    let stop = Arc::new(AtomicBool::new(false));
    let mut drafts = Vec::new();
    for model in 0..400 {
        drafts.push(first_promotion(&client, &profile, model).await);
    }
    let chunks: Vec<Vec<PromotionDraft>> = drafts.chunks(100).map(<[_]>::to_vec).collect();
    let load: Vec<_> = chunks
        .into_iter()
        .map(|drafts| {
            let (mut emitter, stop) = (client.emitter(), stop.clone());
            tokio::spawn(async move {
                let mut recorded = 0;
                for draft in drafts {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let request =
                        promotion_ledger::event::proto::PromoteRequest { promotion: Some(draft.clone()) };
                    emitter
                        .promote(request)
                        .await
                        .unwrap_or_else(|status| panic!("{status}: {:?}", status.get_details_bad_request()));
                    recorded += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                recorded
            })
        })
        .collect();
    for version in 2..=4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        succeeded(&ledger.activate(&file(version)));
    }
    stop.store(true, Ordering::SeqCst);
    let mut recorded = 0;
    for task in load {
        recorded += task.await.expect("a client's end");
    }
    // In the log's order: what routed each promotion is the policy that was in force there.
    let (mut in_force, mut promotions, mut policies) = (Vec::new(), 0, 0);
    let mut audit = Audit::default();
    for entry in client.entries().await {
        let header = Header::decode(&entry.header).expect("a header");
        let record = canonical::decode(&entry.record).expect("a record");
        let audited = audit.push(&header, &record.body);
        match record.body.event {
            Some(Event::PolicyActivated(act)) if header.outcome == Outcome::Accepted => {
                in_force = policy::audit::activated(&act).expect("a policy").sha256;
                policies += 1;
            }
            Some(Event::Promoted(promoted)) if header.outcome == Outcome::Accepted => {
                assert_eq!(promoted.routing.expect("a route").policy_sha256, in_force, "{}", header.seq);
                assert_eq!(audited.expect("routed again").findings, Vec::<String>::new());
                promotions += 1;
            }
            _ => {}
        }
    }
    assert_eq!((promotions, policies), (recorded, 4));
    assert!(recorded > 20, "only {recorded} promotions");
    ledger.node.stop();
}

/// What does not follow from the frozen inputs is a finding, whatever was changed.
#[tokio::test(flavor = "multi_thread")]
async fn every_changed_part_of_a_route_is_a_finding() {
    let ledger = Ledger::start();
    succeeded(&ledger.activate(&examples().join("policy.yaml")));
    succeeded(&ledger.promote(&examples().join("2026-11-07/promotion.yaml")));
    let entries = ledger.node.client().await.entries().await;
    let record = canonical::decode(&entries[2].record).expect("a record");
    let Some(Event::Promoted(promoted)) = record.body.event else { panic!("no promotion") };
    let yaml = fs::read(examples().join("policy.yaml")).expect("a policy");
    let policy = policy::load(&yaml).expect("a good policy");
    assert_eq!(recheck::findings(&promoted, &policy, Earlier::default()).1, Vec::<String>::new());
    type Change = fn(&mut promotion_ledger::event::proto::Promoted);
    let changes: [(&str, Change); 9] = [
        ("tier", |p| p.routing.as_mut().expect("a route").tier = "low".into()),
        ("rule", |p| p.routing.as_mut().expect("a route").matched.clear()),
        ("floor", |p| p.routing.as_mut().expect("a route").floor_reasons.clear()),
        ("band", |p| p.routing.as_mut().expect("a route").in_band ^= true),
        ("inputs", |p| p.routing.as_mut().expect("a route").inputs.push(b' ')),
        ("no route", |p| p.routing = None),
        ("approval", |p| p.approvals.clear()),
        ("explanation", |p| p.explanations.truncate(1)),
        ("another model", |p| p.slot.as_mut().expect("a slot").model = "other".into()),
    ];
    for (name, change) in changes {
        let mut changed = promoted.clone();
        change(&mut changed);
        assert!(!recheck::findings(&changed, &policy, Earlier::default()).1.is_empty(), "{name}");
    }
    // A retrain, which says against what it was compared: the ledger knows what that was.
    succeeded(&ledger.promote(&examples().join("2026-11-14/promotion.yaml")));
    let entries = ledger.node.client().await.entries().await;
    let record = canonical::decode(&entries[3].record).expect("a record");
    let Some(Event::Promoted(retrained)) = record.body.event else { panic!("no promotion") };
    let artifact = Digest::from_slice(&promoted.model_version.expect("a model").artifact_sha256);
    let artifact = artifact.expect("a digest");
    let found = |promoted, current, human| {
        recheck::findings(promoted, &policy, Earlier { current: Some((current, artifact)), human }).1
    };
    assert_eq!(found(&retrained, 2, Some(2)), Vec::<String>::new());
    assert!(found(&retrained, 1, Some(2))[0].contains("another previous promotion"));
    for other in [None, Some(1)] {
        assert!(found(&retrained, 2, other)[0].contains("another last promotion that people approved"));
    }
    // What has added up is forgotten by naming a later promotion, here by its own inputs and their own route.
    let mut forgetful = retrained.clone();
    let routing = forgetful.routing.as_mut().expect("a route");
    let mut inputs = policy::Inputs::from_bytes(&routing.inputs).expect("inputs");
    inputs.since_human.as_mut().expect("a person approved before").seq = 3;
    let route = policy.route(&inputs).expect("a route");
    *routing = recheck::routing(&policy, &route, inputs.to_bytes().expect("bytes"));
    let said = ["the routing inputs are about another last promotion that people approved"];
    assert_eq!(found(&forgetful, 2, Some(2)), said);
    ledger.node.stop();
}

#[test]
fn policy_commands_say_where_and_why() {
    let file = examples().join("policy.yaml").display().to_string();
    let checked = succeeded(&run(&["policy", "check", &file, "--format", "json"]));
    assert_eq!((checked["ok"].as_bool(), checked["id"].as_str()), (Some(true), Some("credit-models")));
    let directory = tempfile::tempdir().expect("a directory");
    let junit = directory.path().join("junit.xml");
    let tested = run(&["policy", "test", &file, "--junit", &junit.display().to_string(), "--format", "json"]);
    assert_eq!(succeeded(&tested)["failed"], 0);
    let xml = fs::read_to_string(&junit).expect("a report");
    assert!(xml.starts_with("<?xml") && xml.contains("failures=\"0\""), "{xml}");
    assert_eq!(
        checked["below_floor"],
        Value::Array(Vec::new()),
        "the example says itself what the floor says"
    );
    // A test that fails says what differs; a policy that would go below the floor is shown where.
    let careless = directory.path().join("careless.yaml");
    let written = fs::read_to_string(&file).expect("a policy");
    let rule = written.find("  - id: threshold-change").expect("a rule");
    let next = rule + written[rule..].find("  - id: evaluation-swapped").expect("the rule after it");
    let relaxed = [&written[..rule], &written[next..]].concat().replace(", threshold-change]", "]");
    fs::write(&careless, &relaxed).expect("a file");
    let careless = careless.display().to_string();
    let checked = succeeded(&run(&["policy", "check", &careless, "--format", "json"]));
    let below = checked["below_floor"].as_array().expect("a list");
    let threshold = below.iter().find(|it| it["change"].as_str().is_some_and(|it| it.contains("threshold")));
    let threshold = threshold.unwrap_or_else(|| panic!("{checked}"));
    assert_eq!((&threshold["policy_tier"], &threshold["floor_tier"]), (&"low".into(), &"high".into()));
    fs::write(&careless, relaxed.replacen("expect: {tier: low", "expect: {tier: committee", 1))
        .expect("a file");
    let failed = run(&["policy", "test", &careless, "--junit", &junit.display().to_string()]);
    let said = text(&failed);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("expected tier committee, routed to low") && said.contains("1 failed"), "{said}");
    let xml = fs::read_to_string(&junit).expect("a report");
    let expected = "<failure message=\"expected tier committee, routed to low";
    assert!(xml.contains("failures=\"1\"") && xml.contains(expected), "{xml}");
    let day = |day: &str| examples().join(day).join("profile.json").display().to_string();
    let explained = succeeded(&run(&[
        "policy",
        "explain",
        &file,
        "--candidate",
        &day("2026-11-14"),
        "--previous",
        &day("2026-11-07"),
        "--model",
        "german-credit-pd",
        "--format",
        "json",
    ]));
    assert_eq!(explained["route"]["tier"], "low", "{explained}");
    let explained = succeeded(&run(&[
        "policy",
        "explain",
        &file,
        "--candidate",
        &day("2026-11-14"),
        "--previous",
        &day("2026-11-07"),
        "--model",
        "german-credit-pd",
        "--provenance",
        "declared",
        "--format",
        "json",
    ]));
    assert_eq!(explained["route"]["tier"], "high", "{explained}");
    // A wrong name is found with its line and column.
    let wrong = directory.path().join("wrong.yaml");
    let written =
        fs::read_to_string(&file).expect("a policy").replace("change.first_promotion\n", "change.frist\n");
    fs::write(&wrong, &written).expect("a file");
    let refused = run(&["policy", "check", &wrong.display().to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    let line = written.lines().position(|line| line.contains("change.frist")).expect("the line") + 1;
    assert!(text(&refused).contains(&format!(":{line}:")), "{}", text(&refused));
    assert!(text(&refused).contains("frist"), "{}", text(&refused));
}

/// Two of three administrators must sign; whoever wrote the policy is not one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_needs_its_quorum_without_its_author() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let keys: Vec<(String, String)> = (0..3)
        .map(|n| {
            let file = path(&format!("admin-{n}.pem"));
            let made = succeeded(&run(&["admin", "key", "--new", &file, "--format", "json"]));
            (file, made["public_key"].as_str().expect("a key").to_owned())
        })
        .collect();
    let dir = path("node");
    let mut init = vec!["init", "--dir", &dir, "--name", "localhost/quorum", "--admin-quorum", "2"];
    init.extend(keys.iter().flat_map(|(_, public)| ["--admin", public.as_str()]));
    let made = run(&init);
    assert!(made.status.success(), "{}", text(&made));
    let node = Node::serve(Path::new(&dir));
    let (policy, statement) = (examples().join("policy.yaml").display().to_string(), path("policy.bin"));
    let (_, author) = &keys[0];
    let prepared = succeeded(&run(&[
        "policy",
        "activate",
        &policy,
        "--repository",
        "https://git.example.bank/mrm",
        "--commit",
        "4f2a9c1",
        "--reviewer",
        "mkeller",
        "--reviewer",
        "tnovak",
        "--author-key",
        author,
        "--output",
        &statement,
        "--url",
        &node.url,
        "--format",
        "json",
    ]));
    assert_eq!(prepared["reviewed_by"], "mkeller, tnovak", "{prepared}");
    assert!(prepared["impact"].as_str().expect("an impact").contains("of 0 promotions"), "{prepared}");
    let signature = |n: usize| {
        let (key, _) = &keys[n];
        let file = path(&format!("{n}.sig"));
        succeeded(&run(&["admin", "sign", &statement, "--key", key, "-o", &file, "--format", "json"]));
        file
    };
    let submit = |signers: [usize; 2]| {
        let files = signers.map(signature);
        let [first, second] = &files;
        run(&[
            "admin",
            "submit",
            &statement,
            "--signature",
            first,
            "--signature",
            second,
            "--url",
            &node.url,
            "--format",
            "json",
        ])
    };
    let refused = submit([0, 1]);
    assert!(!refused.status.success() && text(&refused).contains("refused"), "{}", text(&refused));
    assert_eq!(succeeded(&submit([1, 2]))["seq"], 2, "entry 1 is the refused act");
    let status = node.client().await.status().await;
    assert_eq!(status.policy.map(|policy| (policy.id, policy.version)), Some(("credit-models".into(), 1)));
    assert_eq!(status.routing_findings, 0);
    node.stop();
}

/// A caller that is refused again and again fills the ledger at a bounded rate.
#[tokio::test(flavor = "multi_thread")]
async fn refused_attempts_are_noted_at_a_bounded_rate() {
    let ledger = Ledger::start();
    let client = ledger.node.client().await;
    client.upload_all().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("policy.yaml");
    fs::write(&path, small_policy(1)).expect("a file");
    succeeded(&ledger.activate(&path));
    let profile: Value =
        serde_json::from_slice(&fs::read(examples().join("2026-11-07/profile.json")).expect("a profile"))
            .expect("JSON");
    for model in 0..150 {
        let mut draft = first_promotion(&client, &profile, model).await;
        draft.approvals[0].matched_groups = vec!["staff".into()];
        let status = client.promote(draft).await.expect_err("no member of the group");
        let said = status.get_details_bad_request().expect("violations").field_violations;
        assert_eq!(said.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), ["approvals"]);
    }
    let entries = client.entries().await;
    // At most 60 in a minute; the test may see two of them.
    let noted = entries.len() - 2;
    assert!((60..=120).contains(&noted), "{noted} entries for 150 refusals");
    ledger.node.stop();
}
