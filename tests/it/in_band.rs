//! `allow_in_band`: a weekly retrain inside its band goes by an open review, which people then approve and which becomes its
//! promotion, routed again; a change outside the band closes it.

use std::{fs, path::PathBuf, time::Duration};

use promotion_ledger::event::{
    Seq, canonical,
    proto::{CloseReason, ReviewState, body::Event},
};
use serde_json::Value;

use crate::{
    click::{Bank, frozen},
    harness::run,
    idp::Browser,
};

/// The example, with reviews that go on although the slot changed inside the band.
fn example(bank: &Bank) -> PathBuf {
    let own = bank.dir.path().join("credit");
    let credit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/credit");
    let copied = std::process::Command::new("cp").arg("-rL").arg(credit).arg(&own).status().expect("cp runs");
    assert!(copied.success());
    let policy = fs::read_to_string(own.join("policy.yaml")).expect("a policy");
    let policy = policy.replace("on_incumbent_change: supersede", "on_incumbent_change: allow_in_band");
    fs::write(own.join("policy.yaml"), policy).expect("written");
    own
}

fn succeeded(args: &[&str]) -> Value {
    let output = run(args);
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{text}"))
}

struct Stage {
    bank: Bank,
    credit: PathBuf,
}

impl Stage {
    /// A promotion file of the example for a region, with some words replaced.
    fn file(&self, day: &str, region: &str, changes: &[(&str, &str)]) -> String {
        let mut text = fs::read_to_string(self.credit.join(day).join("promotion.yaml")).expect("a promotion");
        let region = format!("region: {region}");
        for (from, to) in [("region: eu-central", region.as_str())].iter().chain(changes) {
            assert!(text.contains(from), "{day}: {from}");
            text = text.replace(from, to);
        }
        let path = self.credit.join(day).join(format!("{}.yaml", text.len()));
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn promote(&self, file: &str) -> Seq {
        let url = &self.bank.node.url;
        succeeded(&["promote", "-f", file, "--url", url, "--format", "json"])["seq"].as_u64().expect("a seq")
    }

    /// A lower threshold, compared with v12: people decide it. Its band checks are those of its profile.
    fn seal(&self, region: &str) -> Seq {
        let changes = [
            ("artifact: ../2026-11-14/model/model.json", "artifact: ../2026-11-07/model/model.json"),
            ("due_at: 2026-11-21T17:00:00Z", "due_at: 2099-11-21T17:00:00Z"),
        ];
        let file = self.file("2026-11-21", region, &changes);
        let text = fs::read_to_string(&file).expect("a promotion");
        let (before, rest) = text.split_once("\n# Field 4").expect("field four");
        let (_, after) = rest.split_once("\n# Field 5").expect("field five");
        fs::write(&file, format!("{before}\n# Field 5{after}")).expect("written");
        let url = &self.bank.node.url;
        succeeded(&["review", "seal", "-f", &file, "--url", url, "--format", "json"])["seq"]
            .as_u64()
            .expect("a seq")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_band_a_review_goes_on_and_is_promoted_and_out_of_it_it_ends() {
    let bank = Bank::open().await;
    let credit = example(&bank);
    let activated = crate::routing::activate(&bank.dir, &bank.node, &credit.join("policy.yaml"));
    assert!(activated.status.success(), "{}", String::from_utf8_lossy(&activated.stderr));
    bank.idp.groups("ada", &["model-risk-approvers"]);
    bank.idp.groups("ben", &["model-risk-approvers"]);
    let stage = Stage { bank, credit };
    let bank = &stage.bank;

    // Within: a service promotes the weekly retrain while people look at something else.
    stage.promote(&stage.file("2026-11-07", "eu-central", &[]));
    let review = stage.seal("eu-central");
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
    let retrain = stage.promote(&stage.file("2026-11-14", "eu-central", &[]));
    // The finishers have looked, more than once.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let open = bank.review(review).await;
    assert_eq!((open.state(), open.blocked.as_str()), (ReviewState::Open, ""));
    ada.open(&sign).await.says(200, "Your decision is recorded: approve");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let promoted = loop {
        let now = bank.review(review).await;
        match (now.state(), now.ended_by) {
            (ReviewState::Promoted, Some(seq)) => break seq,
            _ => assert!(std::time::Instant::now() < deadline, "{:?} {}", now.state(), now.blocked),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(promoted > retrain);
    let entries = bank.client.entries().await;
    let body = |seq: Seq| {
        let entry = &entries[usize::try_from(seq).expect("small")];
        canonical::decode(&entry.record).expect("a record").body
    };
    assert_eq!(body(promoted).preconditions.and_then(|it| it.slot_changed_at), Some(retrain));
    let Some(Event::Promoted(event)) = body(promoted).event else { panic!("no promotion") };
    assert_eq!(event.routing.expect("a route").tier, "high");
    let Some(Event::Promoted(weekly)) = body(retrain).event else { panic!("no promotion") };
    assert!(weekly.routing.expect("a route").in_band);

    // Out of it: people promote something else, whose approval rate left the band.
    stage.promote(&stage.file("2026-11-07", "us-east", &[]));
    let review = stage.seal("us-east");
    let mut ben = Browser::of("ben");
    let sign = frozen(&mut ben, &bank.address(review)).await.link("Log in again and sign");
    let other = [
        ("artifact: ../2026-11-14/model/model.json", "artifact: ../2026-11-07/model/model.json"),
        ("id: MRM-1057", "id: MRM-1999"),
    ];
    let other = stage.promote(&stage.file("2026-11-21", "us-east", &other));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let ended = loop {
        let now = bank.review(review).await;
        match (now.state(), now.ended_by) {
            (ReviewState::Ended, Some(seq)) => break seq,
            _ => assert!(std::time::Instant::now() < deadline, "{:?} {}", now.state(), now.blocked),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let entries = bank.client.entries().await;
    let entry = &entries[usize::try_from(ended).expect("small")];
    let Some(Event::ReviewClosed(closed)) = canonical::decode(&entry.record).expect("a record").body.event
    else {
        panic!("entry {ended} does not close it")
    };
    assert_eq!((closed.reason(), closed.because_seq), (CloseReason::Superseded, Some(other)));
    ben.open(&sign).await.says(409, "it ended with entry");
    assert!(bank.review(review).await.approvals.is_empty());

    // Every route follows from its frozen inputs, the one that was made again too.
    let dir = bank.dir.path().display().to_string();
    bank.client.check().await;
    stage.bank.node.stop();
    succeeded(&["verify", "--dir", &dir, "--unseal", "--format", "json"]);
}
