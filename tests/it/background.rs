//! What a node does by itself once in some minutes. These tests wait longest, for a minute is the shortest that can be
//! configured; by this file's name they start early.

use std::time::Duration;

use promotion_ledger::event::{
    Kind,
    proto::{RegistryProblem, body::Event},
};

use crate::{
    harness::Node,
    registry::{Server, Stage, mlflow, problems},
    s3_node::{directory_behind_proxy, events},
    s3_proxy::{Answer, Fault},
};

/// A store that was write-once at the start is tried again on a schedule: what it allows later stops promotions, and what is
/// mended is found as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_tried_again_on_a_schedule() {
    let test = "a_store_is_tried_again_on_a_schedule";
    let Some((proxy, dir)) = directory_behind_proxy(test, "scheduled").await else { return };
    // The shortest that there is.
    let every = [("PROMOTION_LEDGER_EVIDENCE__CHECKS__PROBE_MINUTES", "1")];
    let node = Node::serve_with(&dir.path(), &every);
    let client = node.client().await;
    client.upload_all().await;
    client.settle(client.draft(0, 0)).await;
    let until_it_admits = async |admits: bool| {
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        loop {
            let status = client.status().await;
            if status.not_admitting.is_empty() == admits {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "{status:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    proxy.always(|asked| asked.method == "DELETE", Fault::Says(Answer::plain(204, "")));
    let status = until_it_admits(false).await;
    assert!(status.not_admitting.contains("not write-once: delete"), "{}", status.not_admitting);
    assert!(status.alerts.iter().any(|alert| alert.name == "evidence-store"), "{:?}", status.alerts);
    client.promote(client.draft(0, 1)).await.expect_err("refused");
    proxy.honest();
    until_it_admits(true).await;
    client.settle(client.draft(0, 1)).await;
    let found = events(&client, Kind::StoreProbed).await.into_iter().map(|event| match event {
        Event::StoreProbed(probed) => probed.write_once,
        other => panic!("{other:?}"),
    });
    assert!(found.collect::<Vec<_>>().starts_with(&[true, false]), "each answer is an entry of the day");
    client.check().await;
    node.stop();
}

/// The schedule goes on: what changes after the first sweep is found by a later one, without a webhook and without being asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_scheduled_sweep_finds_what_changed_after_the_first() {
    let Some(url) = mlflow("a_later_scheduled_sweep_finds_what_changed_after_the_first") else { return };
    let stage = Stage::new(Server::with_versions(url.clone(), "later").await, &url, "");
    let file = stage.dir.path().join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, config.replace("sweep_minutes = 1000", "sweep_minutes = 1")).expect("written");
    let (node, client) = stage.serve().await;
    stage.promote(&client, 1, None).await;
    stage.until_followed(&client).await;
    let until_swept = async |after: u64| {
        let deadline = std::time::Instant::now() + Duration::from_secs(180);
        loop {
            let swept_at = client.status().await.registries[0].swept_at;
            if swept_at > after {
                return swept_at;
            }
            assert!(std::time::Instant::now() < deadline, "no sweep after {after}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let first = until_swept(0).await;
    assert_eq!(stage.recorded(&client).await, []);
    stage.server.move_alias(3).await;
    stage.server.upload(1, "model.bin", b"other bytes".to_vec()).await;
    // The one that was on its way may have seen half of it.
    let second = until_swept(first).await;
    until_swept(second).await;
    let found = problems(&stage.recorded(&client).await);
    let expected = [("1", RegistryProblem::Digest), ("3", RegistryProblem::AliasMoved)];
    assert_eq!(found, expected.map(|(version, problem)| (version.to_owned(), problem)));
    client.check().await;
    node.stop();
}
