//! A node over real gRPC: one event for each decision, refused whole or recorded whole, there after kill -9.
//! Every case runs on the embedded log and on a real Kafka.

use std::time::Duration;

use promotion_ledger::{
    event::{
        Header,
        digest::sha256,
        proto::{
            AsOfRequest, CheckPromotionRequest, EvidenceDescription, GetEntryRequest, ListEntriesRequest,
            Person, RetireRequest, RevokeRequest, RollBackRequest, SubscribeRequest, get_entry_request::By,
        },
    },
    proof::verify::{Depth, Verifier},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{Client, Directory, LogUnderTest, Node, kafka, run};

macro_rules! on_both_logs {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::LogUnderTest::Embedded).await; })+
        }
        mod on_kafka {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                if let Some(log) = super::kafka(stringify!($name)) { super::$name(log).await; }
            })+
        }
    };
}

on_both_logs!(
    a_promotion_is_recorded_once_and_its_receipt_verifies_offline,
    fifty_identical_submissions_give_one_event,
    what_is_incomplete_is_refused_with_all_problems_and_writes_nothing,
    a_slot_follows_promotion_rollback_revocation_and_retirement,
    acknowledged_events_survive_kill_9_under_load,
    a_subscriber_gets_every_entry_once_and_is_told_when_the_node_stops,
);

async fn started(log: &LogUnderTest) -> (Directory, Node, Client) {
    let dir = Directory::init(log);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    (dir, node, client)
}

async fn a_promotion_is_recorded_once_and_its_receipt_verifies_offline(log: LogUnderTest) {
    let (_dir, node, client) = started(&log).await;
    let key = client.log_key().await;
    let draft = client.draft(0, 0);
    let syncs_before = client.status().await.syncs;
    let first = client.promote(draft.clone()).await.expect("a receipt");
    assert!(!first.duplicate);
    assert!(client.status().await.syncs > syncs_before, "acknowledged without a sync of the write-ahead log");
    Client::check_receipt(&first, &key);
    // A retry with a new login: other token and auth time, the same decision.
    let mut retry = draft.clone();
    retry.approvals[0].auth_time += 1;
    let again = client.promote(retry).await.expect("the first receipt");
    assert_eq!((again.seq, again.duplicate, &again.event_digest), (first.seq, true, &first.event_digest));
    Client::check_receipt(&again, &key);
    // The same key with other content names what differs.
    let mut other = draft;
    other.dataset.as_mut().expect("a dataset").snapshot_id = "load@2".into();
    let request = CheckPromotionRequest { promotion: Some(other.clone()) };
    let dry = client.emitter().check_promotion(request).await.expect("a check").into_inner();
    assert_eq!(dry.recorded_as, Some(first.seq));
    let fields: Vec<_> = dry.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["dataset.snapshot_id"], "a dry run says what promote will say");
    let status = client.promote(other).await.expect_err("a conflict");
    assert_eq!(status.code(), Code::AlreadyExists);
    let bad = status.get_details_bad_request().expect("field violations");
    assert_eq!(bad.field_violations.len(), 1, "{bad:?}");
    assert_eq!(bad.field_violations[0].field, "dataset.snapshot_id");
    let checked = client.check().await;
    assert_eq!(checked.size(), 2);
    node.stop();
}

async fn a_subscriber_gets_every_entry_once_and_is_told_when_the_node_stops(log: LogUnderTest) {
    let (_dir, node, client) = started(&log).await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let request = SubscribeRequest { from: 0, follow: true };
    let mut stream = client.consumer().subscribe(request).await.expect("a stream").into_inner();
    let mut next = async || stream.message().await;
    for seq in 0..4 {
        if seq == 2 {
            // These come while it listens.
            client.promote(client.draft(1, 0)).await.expect("a receipt");
            client.promote(client.draft(2, 0)).await.expect("a receipt");
        }
        let message = next().await.expect("an entry").expect("a message");
        let entry = message.entry.expect("an entry");
        assert!(message.synced_size > seq, "told of an entry that is not synced");
        assert_eq!(Header::decode(&entry.header).expect("a header").seq, seq);
    }
    let stopping = tokio::task::spawn_blocking(move || node.stop());
    let status = next().await.expect_err("the end of the stream");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("subscribe again"), "{status}");
    stopping.await.expect("a clean end");
}

async fn fifty_identical_submissions_give_one_event(log: LogUnderTest) {
    let (_dir, node, client) = started(&log).await;
    let draft = client.draft(0, 0);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (mut emitter, draft) = (client.emitter(), draft.clone());
            tokio::spawn(async move {
                let request = promotion_ledger::event::proto::PromoteRequest { promotion: Some(draft) };
                loop {
                    match emitter.promote(request.clone()).await {
                        Ok(response) => return response.into_inner().receipt.expect("a receipt"),
                        Err(status)
                            if matches!(
                                status.code(),
                                Code::Unavailable | Code::ResourceExhausted | Code::Aborted
                            ) =>
                        {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(status) => panic!("{status}"),
                    }
                }
            })
        })
        .collect();
    let mut receipts = Vec::new();
    for call in calls {
        receipts.push(call.await.expect("a call"));
    }
    assert!(receipts.iter().all(|receipt| receipt.seq == receipts[0].seq && receipt.event_digest == receipts[0].event_digest));
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1);
    let summary = client.check().await.summary();
    // Genesis and one promotion; submissions that raced onto the log are duplicates.
    assert_eq!(summary.outcomes[0], 2, "{summary:?}");
    assert_eq!(summary.outcomes[2..], [0, 0], "{summary:?}");
    node.stop();
}

async fn what_is_incomplete_is_refused_with_all_problems_and_writes_nothing(log: LogUnderTest) {
    let (_dir, node, client) = started(&log).await;
    let mut draft = client.draft(0, 0);
    draft.explanations.clear();
    draft.approvals[0].answers.remove(0);
    draft.model_version.as_mut().expect("a model").version = "latest".into();
    let report =
        draft.challenger_comparison.as_mut().expect("a comparison").report.as_mut().expect("a report");
    report.sha256 = sha256(b"never uploaded").0.to_vec();
    let status = client.promote(draft.clone()).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<_> = status
        .get_details_bad_request()
        .expect("violations")
        .field_violations
        .into_iter()
        .map(|v| v.field)
        .collect();
    assert_eq!(
        fields,
        ["approvals[0].answers", "challenger_comparison.report", "explanations", "model_version.version"]
    );
    let request = CheckPromotionRequest { promotion: Some(client.approved(draft)) };
    let checked = client.emitter().check_promotion(request).await.expect("a check").into_inner();
    assert_eq!(checked.problems.into_iter().map(|p| p.field).collect::<Vec<_>>(), fields);
    // A second promotion that calls itself a first one.
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let mut first_again = client.draft(0, 1);
    let comparison = first_again.challenger_comparison.as_mut().expect("a comparison");
    (comparison.no_incumbent, comparison.comparators) = (true, Vec::new());
    assert_eq!(client.promote(first_again).await.expect_err("refused").code(), Code::FailedPrecondition);
    // A comparison with another model than the current one.
    let mut stale = client.draft(0, 1);
    stale.challenger_comparison.as_mut().expect("a comparison").comparators[0].artifact_sha256 =
        sha256(b"old").0.to_vec();
    let status = client.promote(stale).await.expect_err("refused");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().starts_with("challenger_comparison.comparators"), "{}", status.message());
    // Evidence that is not what it says is not kept.
    let description = EvidenceDescription {
        sha256: sha256(b"one").0.to_vec(),
        length: 3,
        media_type: "text/plain".into(),
        offset: 0,
    };
    let status = client.upload_as(description, b"two".to_vec()).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(client.check().await.size(), 2);
    node.stop();
}

fn actor() -> Option<Person> {
    Some(Person {
        issuer: "http://127.0.0.1:7421/development".into(),
        subject: "u-3001".into(),
        name: "Ada Ops".into(),
    })
}

async fn current(client: &Client, time: u64) -> Option<u64> {
    let request = AsOfRequest { model: "bench-test-0".into(), environment: "production".into(), time };
    let slots = client.auditor().as_of(request).await.expect("an answer").into_inner().slots;
    slots.first().and_then(|slot| slot.promoted_seq)
}

async fn a_slot_follows_promotion_rollback_revocation_and_retirement(log: LogUnderTest) {
    let (_dir, node, client) = started(&log).await;
    let first = client.promote(client.draft(0, 0)).await.expect("a receipt").seq;
    let second = client.promote(client.draft(0, 1)).await.expect("a receipt").seq;
    assert_eq!(current(&client, u64::MAX).await, Some(second));
    let roll_back = RollBackRequest {
        slot: None,
        to_seq: first,
        actor: actor(),
        reason: "drift".into(),
        request_id: "r1".into(),
    };
    let receipt = client
        .emitter()
        .roll_back(roll_back.clone())
        .await
        .expect("a receipt")
        .into_inner()
        .receipt
        .expect("one");
    let again =
        client.emitter().roll_back(roll_back).await.expect("a receipt").into_inner().receipt.expect("one");
    assert_eq!((again.seq, again.duplicate), (receipt.seq, true));
    assert_eq!(current(&client, u64::MAX).await, Some(first));
    let revoke = RevokeRequest {
        promoted_seq: first,
        actor: actor(),
        reason: "bad data".into(),
        request_id: "r2".into(),
    };
    client.emitter().revoke(revoke).await.expect("a receipt");
    assert_eq!(current(&client, u64::MAX).await, None);
    let back = RollBackRequest {
        slot: None,
        to_seq: first,
        actor: actor(),
        reason: "no".into(),
        request_id: "r3".into(),
    };
    assert_eq!(client.emitter().roll_back(back).await.expect_err("revoked").code(), Code::FailedPrecondition);
    let back = RollBackRequest {
        slot: None,
        to_seq: second,
        actor: actor(),
        reason: "yes".into(),
        request_id: "r4".into(),
    };
    client.emitter().roll_back(back).await.expect("a receipt");
    let retire = RetireRequest {
        promoted_seq: second,
        actor: actor(),
        reason: "end of life".into(),
        request_id: "r5".into(),
    };
    client.emitter().retire(retire).await.expect("a receipt");
    assert_eq!(current(&client, u64::MAX).await, None);
    // Sealed reasons open for auditors, and only there.
    let request = GetEntryRequest { by: Some(By::Seq(receipt.seq)), unseal: true };
    let entry = client.auditor().get_entry(request).await.expect("an entry").into_inner();
    let record = entry.entry.expect("an entry").record;
    assert!(!String::from_utf8_lossy(&record).contains("drift"));
    let claims = &entry.opened.first().expect("a sealed item").claims;
    assert!(String::from_utf8_lossy(claims).contains("drift"));
    let listed = ListEntriesRequest {
        model: "bench-test-0".into(),
        environment: "production".into(),
        ..Default::default()
    };
    let listed = client.auditor().list_entries(listed).await.expect("a list").into_inner();
    assert_eq!(listed.entries.len(), 6);
    client.check().await;
    node.stop();
}

async fn acknowledged_events_survive_kill_9_under_load(log: LogUnderTest) {
    let (dir, mut node, client) = started(&log).await;
    let key = client.log_key().await;
    let mut acknowledged = Vec::new();
    let mut next = [0u64; 8];
    for round in 0..3 {
        let client = node.client().await;
        let (sender, mut receipts) = tokio::sync::mpsc::unbounded_channel();
        for (model, from) in next.iter().copied().enumerate() {
            let (client, sender) = (node.client().await, sender.clone());
            tokio::spawn(async move {
                for n in from.. {
                    match client.promote(client.draft(model, n)).await {
                        Ok(receipt) => sender.send((model, n, receipt)).expect("the test listens"),
                        Err(_) => return,
                    }
                }
            });
        }
        drop(sender);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let size_before = client.status().await.synced_size;
        node.kill();
        while let Some((model, n, receipt)) = receipts.recv().await {
            next[model] = n + 1;
            acknowledged.push(receipt);
        }
        node = Node::serve(&dir.path());
        let client = node.client().await;
        assert!(client.status().await.synced_size >= size_before, "round {round}: the head went back");
        for (model, n) in next.iter_mut().enumerate() {
            // The call that the kill cut off may have been recorded: asking again tells, and gives one event.
            acknowledged.push(client.promote(client.draft(model, *n)).await.expect("the truth"));
            *n += 1;
        }
    }
    let client = node.client().await;
    let checked = client.check().await;
    assert!(acknowledged.len() > 24, "only {} events under load", acknowledged.len());
    let entries = client.entries().await;
    for receipt in &acknowledged {
        Client::check_receipt(receipt, &key);
        let entry = &entries[receipt.seq as usize];
        let header = promotion_ledger::event::Header::decode(&entry.header).expect("a header");
        assert_eq!(header.event_digest.0.to_vec(), receipt.event_digest);
    }
    let mut seqs: Vec<_> = acknowledged.iter().map(|receipt| receipt.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    // Genesis apart, every accepted entry is a promotion that was acknowledged, once.
    assert_eq!(checked.summary().outcomes[0], seqs.len() as u64 + 1);
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_directory_is_refused() {
    let (dir, node, _client) = started(&LogUnderTest::Embedded).await;
    let output = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--dir",
        &dir.path().display().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(4));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("open in another process"), "{error}");
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bounds_callers_are_told_at_once() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve_with(&dir.path(), &[("PROMOTION_LEDGER_LIMITS__INFLIGHT", "1")]);
    let client = node.client().await;
    client.upload_all().await;
    let calls: Vec<_> = (0..64)
        .map(|model| {
            let (mut emitter, draft) = (client.emitter(), client.draft(model, 0));
            tokio::spawn(async move {
                emitter
                    .promote(promotion_ledger::event::proto::PromoteRequest { promotion: Some(draft) })
                    .await
            })
        })
        .collect();
    let (mut recorded, mut exhausted) = (0, 0);
    for call in calls {
        match call.await.expect("a call") {
            Ok(_) => recorded += 1,
            Err(status) if status.code() == Code::ResourceExhausted => exhausted += 1,
            Err(status) => panic!("{status}"),
        }
    }
    assert!(recorded >= 1 && exhausted >= 1, "{recorded} recorded, {exhausted} refused");
    assert_eq!(client.check().await.size(), 1 + recorded);
    node.stop();
}

/// Any flipped bit in anything that is hashed is found, and its entry named.
#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_is_found() {
    let (_dir, node, client) = started(&LogUnderTest::Embedded).await;
    for n in 0..3 {
        client.promote(client.draft(0, n)).await.expect("a receipt");
    }
    let entries = client.entries().await;
    let verified = client.check().await;
    let target = 2;
    for at in 0..entries[target].header.len() {
        let mut bad = entries.clone();
        bad[target].header[at] ^= 1;
        let mut verifier = Verifier::new(Depth::Signatures, None);
        match verifier.push(&bad, 1) {
            // Found at the entry itself, or by the link that no longer fits.
            Err(fault) => {
                assert!((target..=target + 1).contains(&(fault.seq as usize)), "byte {at}: {fault}")
            }
            Ok(_) => assert_ne!(verifier.root(), verified.root(), "byte {at} of a header"),
        }
    }
    for at in (0..entries[target].record.len()).step_by(7) {
        let mut bad = entries.clone();
        bad[target].record[at] ^= 1;
        let fault = Verifier::new(Depth::Hashes, None).push(&bad, 1).expect_err("a fault");
        assert_eq!(fault.seq as usize, target, "byte {at} of a record");
    }
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_is_served_beside_grpc() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let answer = reqwest::get(format!("{}/healthz", node.http)).await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "ok\n");
    node.stop();
}
