//! `policy replay` over ten thousand promotions of a real ledger: the policy that routed them gives every decision again,
//! another one what it alone says, and both every time the same bytes.

use std::{collections::BTreeMap, path::Path};

use promotion_ledger::{
    config::Config,
    event::{
        Digest, Outcome, Seq, canonical,
        digest::sha256,
        promotion::promotion_key,
        proto::{Basis, Body, Preconditions, Promoted, body::Event},
    },
    keyfile,
    ledger::{store::Store, writer},
    policy::{
        self, Inputs, Policy,
        change::{Difference, Moved, Pair},
        inputs::{PreviousFacts, SinceHuman},
        recheck,
    },
};
use serde_json::Value;

use crate::{
    harness::{Directory, LogUnderTest, Node, run},
    random::Random,
    routing::{activate, first_promotion},
};

const PROMOTIONS: u64 = 10_000;
/// Slots that they share.
const MODELS: u64 = 20;
/// Entries that are written at a time.
const BATCH: usize = 250;

/// A policy that lets a service approve what stays inside the band; `more` are further rules, each with its test.
fn policy(version: u32, more: &[[&str; 2]]) -> String {
    let models: Vec<_> = (0..MODELS).map(|model| format!("model-{model}")).collect();
    let who =
        |subject: &str| format!("{{issuer: \"http://127.0.0.1:7421/development\", subject: {subject}}}");
    let [rules, tests] = [0, 1].map(|part| more.iter().map(|rule| rule[part]).collect::<String>());
    format!(
        "policy: {{id: replayed, version: {version}}}
tiers:
  - {{id: low, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 10}}
  - {{id: high, approval: human, approvers: [{{group: model-risk-approvers, count: 1}}], comparison: rendered, on_incumbent_change: hold, retain_days: 10}}
bands:
  narrow: [{{metric: auc, segments: [overall], tolerance: 0.01}}]
standing_policies:
  - {{id: SP, models: [{}], services: [{}], accountable: [{}], band: narrow}}
rules:
  - {{id: stable, tier: low, when: change.in_band, reason: stable}}
  - {{id: first, tier: high, when: change.first_promotion, reason: first}}
  - {{id: drifted, tier: high, when: \"since_human.exists && since_human.psi_max >= 0.2\", reason: drifted}}
{rules}tests:
  - {{name: stable, given: {{}}, expect: {{tier: low}}}}
  - {{name: first, given: {{previous: null, since_human: null}}, expect: {{tier: high}}}}
  - {{name: drifted, given: {{since_human: {{change: {{psi: {{income: 0.21}}}}}}}}, expect: {{tier: high}}}}
{tests}",
        models.join(", "),
        who("s"),
        who("a"),
    )
}

fn activated(dir: &Directory, node: &Node, file: &Path) {
    let output = activate(dir, node, file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A promotion that a node admitted under the policy: what the others are made from.
async fn admitted(dir: &Directory, file: &Path) -> (Body, Promoted) {
    let node = Node::serve(&dir.path());
    activated(dir, &node, file);
    let client = node.client().await;
    client.upload_all().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/credit/2026-11-07/profile.json");
    let profile = serde_json::from_slice(&std::fs::read(example).expect("a profile")).expect("JSON");
    let receipt = client.promote(first_promotion(&client, &profile, 0).await).await.expect("a promotion");
    let record = client.entries().await.remove(receipt.seq as usize).record;
    node.stop();
    let body = canonical::decode(&record).expect("a record").body;
    let Some(Event::Promoted(promoted)) = body.event.clone() else { panic!("no promotion: {body:?}") };
    (body, promoted)
}

/// What a slot holds.
#[derive(Clone, Copy)]
struct Slot {
    current: (Seq, Digest),
    /// The last one that people approved.
    human: Seq,
}

/// A retrain's difference: mostly inside the band, now and then something else.
fn difference(random: &mut Random) -> Difference {
    let hundredths = |random: &mut Random, below| random.below(below) as f64 / 1_000.0;
    let auc = Pair { candidate: Some(0.772 + hundredths(random, 18)), incumbent: Some(0.78) };
    let mut change = Difference { snapshot_rolled: true, ..Difference::default() };
    change.overall.insert("auc".into(), auc);
    change.psi.insert("income".into(), hundredths(random, 150));
    change.algorithm_changed = random.one_in(50);
    if random.one_in(20) {
        change.thresholds_moved.insert("decline".into(), Moved { from: Some(0.5), to: Some(0.45) });
    }
    if random.one_in(30) {
        change.features_added.push("postcode".into());
    }
    change
}

/// The n-th promotion of a model: its inputs, the route that they have, and the event.
fn promotion(
    template: &Promoted,
    policy: &Policy,
    random: &mut Random,
    n: u64,
    model: &str,
    slot: Option<Slot>,
) -> (Inputs, Promoted) {
    let artifact = sha256(format!("artefact {n}").as_bytes());
    let recorded = template.routing.as_ref().expect("a route");
    let mut inputs = Inputs::from_bytes(&recorded.inputs).expect("inputs");
    inputs.candidate.model = model.into();
    inputs.candidate.artifact_sha256 = artifact.to_string();
    inputs.candidate.provenance = policy::Provenance::all(policy::Source::Attested);
    inputs.candidate.segments.clear();
    inputs.change = difference(random);
    if let Some(Slot { current: (seq, incumbent), human }) = slot {
        inputs.candidate.incumbent = Some(incumbent.to_string());
        inputs.previous = Some(PreviousFacts {
            algorithm: inputs.candidate.algorithm.clone(),
            artifact_sha256: incumbent.to_string(),
            intended_uses: inputs.candidate.intended_uses.clone(),
            risk_tier: inputs.candidate.risk_tier.clone(),
            seq,
        });
        let mut change = difference(random);
        change.psi.insert("income".into(), random.below(300) as f64 / 1_000.0);
        inputs.since_human = Some(SinceHuman { change, seq: human });
    }
    let route = policy.route(&inputs).expect("a route");
    let mut promoted = template.clone();
    promoted.routing = Some(recheck::routing(policy, &route, inputs.to_bytes().expect("bytes")));
    promoted.slot.as_mut().expect("a slot").model = model.into();
    promoted.model_version.as_mut().expect("a model").artifact_sha256 = artifact.0.to_vec();
    promoted.explanations.iter_mut().for_each(|it| it.explains = artifact.0.to_vec());
    promoted.approval_request.as_mut().expect("a request").id = format!("LOAD-{n}");
    let comparison = promoted.challenger_comparison.as_mut().expect("a comparison");
    comparison.no_incumbent = slot.is_none();
    if let Some(slot) = slot {
        comparison.comparators = vec![promotion_ledger::event::proto::Comparator {
            role: promotion_ledger::event::proto::ComparatorRole::Champion.into(),
            artifact_sha256: slot.current.1.0.to_vec(),
            name: model.into(),
            version: "1".into(),
        }];
    }
    if route.tier == "low" {
        let approval = promoted.approvals.first_mut().expect("an approval");
        approval.standing_policy = "SP".into();
        approval.accountable = approval.approver.clone();
        approval.answered.clear();
    }
    (inputs, promoted)
}

/// Fills the ledger: inputs and tier of each promotion, by its entry.
fn fill(dir: &Path, policy: &Policy, body: &Body, template: &Promoted) -> BTreeMap<Seq, (Inputs, String)> {
    let config = Config::load(dir, serde_json::Map::new()).expect("a configuration");
    let pinned = config.pinned().expect("a ledger_id");
    let key = keyfile::signing_key(&dir.join("keys/front-door.pem")).expect("a key");
    let store = Store::open(&dir.join("ledger")).expect("a store");
    let mut state = store.state().expect("a state");
    let begun = state.as_ref().expect("genesis");
    let basis = Basis { size: begun.size(), link: begun.link.0.to_vec() };
    let (policy_seq, mut seq) = (begun.policy.as_ref().expect("a policy").seq, begun.size());
    let mut random = Random(20_261_127);
    let (mut slots, mut recorded) = (BTreeMap::<u64, Slot>::new(), BTreeMap::new());
    let mut values = Vec::new();
    for n in 0..PROMOTIONS {
        let model = random.below(MODELS);
        let slot = slots.get(&model).copied();
        let (inputs, promoted) = promotion(template, policy, &mut random, n, &format!("model-{model}"), slot);
        let tier = promoted.routing.as_ref().expect("a route").tier.clone();
        let artifact = sha256(format!("artefact {n}").as_bytes());
        let human = if tier == "low" { slot.map_or(seq, |slot| slot.human) } else { seq };
        slots.insert(model, Slot { current: (seq, artifact), human });
        recorded.insert(seq, (inputs, tier));
        let body = Body {
            idempotency_key: promotion_key(&promoted).0.to_vec(),
            recorded_at: body.recorded_at + n,
            basis: Some(basis.clone()),
            preconditions: Some(Preconditions {
                slot_changed_at: slot.map(|slot| slot.current.0),
                policy_activated_at: Some(policy_seq),
            }),
            event: Some(Event::Promoted(promoted)),
            ..body.clone()
        };
        values.push((seq, canonical::seal_record(&body, 1, &pinned, &key)));
        seq += 1;
        if values.len() == BATCH || n + 1 == PROMOTIONS {
            let set =
                writer::apply(&store, &pinned, &mut state, std::mem::take(&mut values)).expect("applied");
            for (decided, _) in &set.entries {
                let header = &decided.header;
                assert_eq!(header.outcome, Outcome::Accepted, "entry {}: {:?}", header.seq, header.reason);
            }
        }
    }
    recorded
}

fn replayed(args: &[&str]) -> (Value, Vec<u8>) {
    let output = run(&[&["policy", "replay", "--format", "json"], args].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    (serde_json::from_slice(&output.stdout).expect("JSON"), output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_recorded_promotions_replay_exactly_and_every_time() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let files = tempfile::tempdir().expect("a directory");
    let written = |name: &str, yaml: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, yaml).expect("a file");
        path.display().to_string()
    };
    let yaml = policy(1, &[]);
    let first = written("first.yaml", &yaml);
    let (body, template) = admitted(&dir, Path::new(&first)).await;
    let in_force = policy::load(yaml.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let recorded = fill(&dir.path(), &in_force, &body, &template);
    let low = recorded.values().filter(|(_, tier)| tier == "low").count() as u64;
    assert!((PROMOTIONS / 4..PROMOTIONS * 3 / 4).contains(&low), "{low} of them are low");

    // By the policy that routed them: nothing goes elsewhere, and nothing is a finding. The template is one more.
    let at = dir.path().display().to_string();
    let (said, bytes) = replayed(&[&first, "--dir", &at]);
    assert_eq!(said["promotions"], PROMOTIONS + 1);
    assert_eq!((&said["other"], &said["findings"]), (&Value::Array(Vec::new()), &Value::Array(Vec::new())));
    assert_eq!(replayed(&[&first, "--dir", &at]).1, bytes);

    // By a stricter one: exactly those that it alone sends higher, all of them and in any part of the history.
    let rule = "  - {id: restless, tier: high, when: change.psi_max >= 0.12, reason: restless}\n";
    let test = "  - {name: restless, given: {change: {psi: {income: 0.13}}}, expect: {tier: high}}\n";
    let yaml = policy(2, &[[rule, test]]);
    let stricter = written("stricter.yaml", &yaml);
    let tried = policy::load(yaml.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let expected = |from: Seq, to: Seq| -> Vec<Seq> {
        let moved = |(inputs, tier): &(Inputs, String)| tried.route(inputs).expect("a route").tier != *tier;
        recorded.range(from..to).filter(|(_, it)| moved(it)).map(|(seq, _)| *seq).collect()
    };
    let seqs = |said: &Value| -> Vec<Seq> {
        let other = said["other"].as_array().expect("a list");
        other.iter().map(|it| it["seq"].as_u64().expect("a seq")).collect()
    };
    let (said, bytes) = replayed(&[&stricter, "--dir", &at]);
    assert_eq!(seqs(&said), expected(0, Seq::MAX));
    assert!(seqs(&said).len() > 100, "{} of them", seqs(&said).len());
    assert_eq!((said["higher"].as_u64(), &said["lower"]), (Some(seqs(&said).len() as u64), &0.into()));
    assert_eq!(said["other"][0]["recorded"], "low");
    assert!(said["other"][0]["rules"].as_array().expect("rules").contains(&"restless".into()));
    assert_eq!(replayed(&[&stricter, "--dir", &at]).1, bytes);
    let (said, _) = replayed(&[&stricter, "--dir", &at, "--from", "5000", "--to", "6000"]);
    assert_eq!((seqs(&said), &said["promotions"]), (expected(5_000, 6_000), &1_000.into()));
}
