//! What happens to an open review when the slot's model, the policy or the time changes: as the tier's policy says, and
//! nobody can approve it by an old page.

use std::{fs, time::Duration};

use promotion_ledger::{
    clock::{Clock, SystemClock},
    event::{
        Header, Kind, Seq, canonical,
        digest::sha256,
        proto::{
            CloseReason, PromotionDraft, RecordUndocumentedRequest, RegistryVersion, ReviewClosed,
            ReviewState, body::Event, gate_service_client::GateServiceClient,
        },
    },
};

use serde_json::json;

use crate::{
    click::{Bank, frozen, opened},
    idp::Browser,
    routing::first_promotion,
};

/// Every first promotion needs two people; `change`: what another model in the slot does to its review.
fn policy(version: u32, change: &str) -> String {
    format!(
        r#"policy: {{id: people, version: {version}}}
tiers:
  - {{id: low, approval: automated, comparison: mechanical, on_incumbent_change: hold, retain_days: 10}}
  - {{id: high, approval: human, approvers: [{{group: model-risk, count: 2}}], comparison: rendered, explanations: [shap_report], on_incumbent_change: {change}, retain_days: 10}}
bands:
  narrow: [{{metric: auc, segments: [overall], tolerance: 0.01}}]
standing_policies:
  - {{id: SP, models: [none], services: [{{issuer: "https://idp.example.bank", subject: s}}], accountable: [{{issuer: "https://idp.example.bank", subject: a}}], band: narrow}}
rules:
  - {{id: stable, tier: low, when: change.in_band, reason: stable}}
  - {{id: first, tier: high, when: change.first_promotion, reason: first}}
tests:
  - {{name: stable, given: {{}}, expect: {{tier: low}}}}
  - {{name: first, given: {{previous: null, since_human: null}}, expect: {{tier: high}}}}
"#
    )
}

impl Bank {
    fn activate(&self, version: u32, change: &str) {
        self.put_in_force(&policy(version, change));
    }

    fn put_in_force(&self, policy: &str) {
        let file = self.dir.path().join("policy.yaml");
        fs::write(&file, policy).expect("written");
        let output = crate::routing::activate(&self.dir, &self.node, &file);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The first promotion of a slot of its own, without approvals.
    async fn first(&self, model: usize) -> PromotionDraft {
        let example =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07/profile.json");
        let profile = serde_json::from_slice(&fs::read(example).expect("a profile")).expect("JSON");
        let mut draft = first_promotion(&self.client, &profile, model).await;
        draft.approvals.clear();
        let request = draft.approval_request.as_mut().expect("a request");
        request.due_at = request.asked_at + 7 * 86_400_000_000;
        request.asked_groups = vec!["model-risk".into()];
        draft
    }

    /// Something that ran before the ledger turns up in the slot.
    async fn turns_up(&self, draft: &PromotionDraft) {
        let name = draft.model_version.clone().expect("a model").name;
        let request = RecordUndocumentedRequest {
            slot: draft.slot.clone(),
            artifact_sha256: sha256(name.as_bytes()).0.to_vec(),
            version: Some(RegistryVersion {
                registry_uri: "mlflow://registry.example.bank".into(),
                name: name.clone(),
                version: "0".into(),
            }),
            missing: vec!["explanation".into()],
            sunset: SystemClock.now() + 86_400_000_000,
            actor: None,
            reason: "it has run since 2019".into(),
            request_id: name,
            ..RecordUndocumentedRequest::default()
        };
        GateServiceClient::new(self.client.channel()).record_undocumented(request).await.expect("recorded");
    }

    /// Waits until a review ended; why.
    async fn closed(&self, review: Seq) -> CloseReason {
        self.closing(review).await.reason()
    }

    /// Waits until a review ended, and reads the entry.
    async fn closing(&self, review: Seq) -> ReviewClosed {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let known = self.review(review).await;
            if let (ReviewState::Ended, Some(by)) = (known.state(), known.ended_by) {
                let entries = self.client.entries().await;
                let entry = entries.get(usize::try_from(by).expect("small")).expect("an entry");
                let Some(Event::ReviewClosed(closed)) =
                    canonical::decode(&entry.record).expect("a record").body.event
                else {
                    panic!("entry {by} does not close it")
                };
                return closed;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "review {review} is {:?}: {}",
                known.state(),
                known.blocked
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_in_the_slot_does_what_the_policy_says_and_nobody_approves_by_an_old_page() {
    let bank = Bank::open().await;
    for (n, change) in ["hold", "supersede", "allow_in_band"].into_iter().enumerate() {
        bank.activate(u32::try_from(n).expect("small") + 1, change);
        let draft = bank.first(n).await;
        let review = bank.seal(draft.clone()).await;
        let mut ada = Browser::of("ada");
        let sign = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
        let recorded = ada.open(&sign).await;
        recorded.says(200, "still needed").says(200, "one of model-risk");
        let mut ben = Browser::of("ben");
        let late = frozen(&mut ben, &bank.address(review)).await.link("Log in again and sign");
        bank.turns_up(&draft).await;
        if change == "hold" {
            ben.open(&late).await.says(409, "the policy holds it; withdraw it and seal a new one");
            ben.open(&bank.address(review)).await.says(200, "the policy holds it");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(bank.review(review).await.state(), ReviewState::Open);
        } else {
            // What turned up was never inside a band, so that it is superseded under allow_in_band too.
            assert_eq!(bank.closed(review).await, CloseReason::Superseded);
            ben.open(&late).await.says(409, "it ended with entry");
        }
        assert_eq!(bank.review(review).await.approvals.len(), 1);
    }
    bank.client.check().await;
    bank.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_closes_open_reviews_and_time_does() {
    let bank = Bank::open().await;
    bank.activate(1, "hold");
    // Its time ends between the form and the login: at that second, although it is closed a while later only.
    let mut draft = bank.first(1).await;
    let request = draft.approval_request.as_mut().expect("a request");
    request.due_at = SystemClock.now() + 25_000_000;
    let timed = bank.seal(draft).await;
    let expires_at = bank.review(timed).await.sealed.expect("sealed").expires_at;
    let mut slow = Browser::of("ada");
    let too_late = frozen(&mut slow, &bank.address(timed)).await.link("Log in again and sign");

    // A quorum of two distinct people: the same one twice is one.
    let review = bank.seal(bank.first(2).await).await;
    let mut ada = Browser::of("ada");
    let page = opened(&mut ada, &bank.address(review)).await;
    let sign = frozen(&mut Browser::of("ada"), &bank.address(review)).await;
    assert_eq!(
        page.bytes.len(),
        bank.review(review).await.sealed.map_or(0, |it| it.screen.expect("a page").length as usize)
    );
    let mut second = Browser::of("ada");
    let again = frozen(&mut second, &bank.address(review)).await.link("Log in again and sign");
    second.open(&again).await.says(200, "still needed");
    ada.open(&bank.address(review)).await.says(200, "You have decided");
    let mut third = Browser::of("ada");
    let login = third.open(&bank.address(review)).await;
    third.open(&login.link("Log in at")).await.says(200, "You have decided");
    assert!(!sign.url.is_empty());
    let mut ben = Browser::of("ben");
    let last = frozen(&mut ben, &bank.address(review)).await.link("Log in again and sign");
    ben.open(&last).await.says(200, "promoted");

    while SystemClock.now() <= expires_at {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    slow.open(&too_late).await.says(409, "its time is over; ask for a new review");
    slow.open(&bank.address(timed)).await.says(200, "its time is over");
    assert!(bank.review(timed).await.approvals.is_empty());

    let review = bank.seal(bank.first(0).await).await;
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
    bank.activate(2, "hold");
    assert_eq!(bank.closed(review).await, CloseReason::Policy);
    ada.open(&sign).await.says(409, "it ended with entry");
    bank.client.check().await;
    bank.node.stop();
}

/// What a tier asks of a login holds at the click: a weaker one is told what it lacks, and the same decision waits for a
/// stronger one.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_signed_by_a_login_as_strong_as_its_tier_asks_for() {
    let bank = Bank::open().await;
    let strong = "count: 1}], login: {acr: [hardware], amr: [hwk]}";
    let policy = policy(1, "hold").replacen("count: 2}]", strong, 1);
    assert!(policy.contains(strong));
    bank.put_in_force(&policy);
    let review = bank.seal(bank.first(0).await).await;
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
    for (changes, words) in [
        (json!({}), "needs a login of class hardware"),
        (json!({"acr": "hardware"}), "lacks the method"),
        (json!({"acr": null, "amr": ["hwk"]}), "needs a login of class hardware"),
    ] {
        bank.idp.changes(changes);
        ada.open(&sign).await.says(409, words);
    }
    assert!(bank.review(review).await.approvals.is_empty());
    bank.idp.changes(json!({"acr": "hardware", "amr": ["hwk", "pin"]}));
    ada.open(&sign).await.says(200, "Your decision is recorded").says(200, "promoted");
    bank.client.check().await;
    bank.node.stop();
}

/// The last approval is in, and what it was given for is gone: the store says so, and nothing is promoted on it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_is_not_promoted_once_its_evidence_is_gone() {
    let bank = Bank::open().await;
    let review = bank.seal(bank.draft(0)).await;
    let package = bank.review(review).await.sealed.and_then(|sealed| sealed.package).expect("a package");
    let shown = package.explanations[0].content.as_ref().expect("evidence");
    let digest = hex::encode(&shown.sha256);
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
    let (shard, rest) = digest.split_at(2);
    fs::remove_file(bank.dir.path().join("evidence/sha256").join(shard).join(rest)).expect("removed");
    ada.open(&sign).await.says(200, "Your decision is recorded");
    let closed = bank.closing(review).await;
    assert_eq!((closed.reason(), closed.detail), (CloseReason::Evidence, format!("{digest} is gone")));
    assert_eq!(bank.review(review).await.approvals.len(), 1);
    let promoted = bank.client.entries().await.into_iter().filter(|entry| {
        let header = Header::decode(&entry.header).expect("a header");
        header.kind == Some(Kind::Promoted)
    });
    assert_eq!(promoted.count(), 0);
    ada.open(&bank.address(review)).await.says(200, "without a promotion");
    bank.client.check().await;
    bank.node.stop();
}
