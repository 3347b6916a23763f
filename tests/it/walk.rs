//! Six-field readiness: a promotion of a ledger, and a version of a real MLflow registry that has never heard of one.

use promotion_ledger::event::gate::SIX_FIELDS;
use serde_json::{Value, json};

use crate::{
    harness::{Directory, LogUnderTest, Node, run, unique},
    registry::mlflow,
};

fn walk(args: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["walk", "--format", "json"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let page = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), page)
}

fn states(page: &Value) -> Vec<(String, String)> {
    let fields = page["fields"].as_array().expect("fields").iter();
    let text = |field: &Value, name: &str| field[name].as_str().expect("text").to_owned();
    fields.map(|field| (text(field, "field"), text(field, "state"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_documented_until_a_piece_of_its_evidence_is_gone() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let absent = run(&["walk", "--model", "bench-test-0", "--url", &node.url]);
    assert_eq!(absent.status.code(), Some(1), "no such model");
    let draft = client.draft(0, 0);
    let slot = draft.slot.clone().expect("a slot");
    client.promote(draft.clone()).await.expect("a receipt");
    let html = dir.path().with_file_name("walk.html");
    let file = html.display().to_string();
    let asked =
        ["--model", &slot.model, "--environment", &slot.environment, "--url", &node.url, "--html", &file];
    let (code, page) = walk(&asked);
    assert_eq!((code, page["verdict"].as_str()), (Some(0), Some("documented")), "{page}");
    assert_eq!(states(&page), SIX_FIELDS.map(|field| (field.to_owned(), "frozen".to_owned())));
    let shown = std::fs::read_to_string(&html).expect("a page");
    assert!(
        shown.contains("all six fields are frozen") && shown.contains("Challenger comparison"),
        "{shown}"
    );
    for outside in ["<script", "src=\"http", "href=\"http"] {
        assert!(!shown.contains(outside), "{outside}");
    }
    // The node stops; somebody takes the explanation away; its directory is walked.
    let explanation = draft.explanations[0].content.as_ref().expect("content").sha256.clone();
    node.stop();
    let evidence = dir.path().join("evidence");
    let gone = find(&evidence, &hex::encode(&explanation)).expect("the evidence's file");
    std::fs::remove_file(&gone).expect("removed");
    let path = dir.path().display().to_string();
    let (code, page) = walk(&["--model", &slot.model, "--dir", &path]);
    assert_eq!((code, page["verdict"].as_str()), (Some(1), Some("undocumented")), "{page}");
    let open: Vec<_> = states(&page).into_iter().filter(|(_, state)| state == "reconstruct").collect();
    assert_eq!(open, [("explanation".to_owned(), "reconstruct".to_owned())]);
}

/// The file below a directory whose path, without slashes, ends with a digest.
fn find(dir: &std::path::Path, digest: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        let found = if path.is_dir() { find(&path, digest) } else { Some(path) };
        let is = |path: &std::path::Path| path.to_string_lossy().replace('/', "").contains(digest);
        if let Some(path) = found.filter(|path| is(path)) {
            return Some(path);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_used_the_ledger_shows_what_it_lacks() {
    let Some(url) = mlflow("a_registry_that_never_used_the_ledger_shows_what_it_lacks") else { return };
    let http = reqwest::Client::new();
    let call = |path: &str, body: Value| {
        let request = http.post(format!("{url}/api/2.0/mlflow/{path}")).json(&body);
        async move {
            let answer = request.send().await.expect("an answer");
            let (code, text) = (answer.status(), answer.text().await.expect("a body"));
            assert!(code.is_success(), "{text}");
            serde_json::from_str::<Value>(&text).expect("JSON")
        }
    };
    let model = unique("walk");
    let experiment = call("experiments/create", json!({ "name": model })).await;
    let run_ = call("runs/create", json!({ "experiment_id": experiment["experiment_id"] })).await;
    let (id, home) = (
        run_["run"]["info"]["run_id"].as_str().unwrap().to_owned(),
        run_["run"]["info"]["artifact_uri"].clone(),
    );
    call("runs/log-metric", json!({ "run_id": id, "key": "auc", "value": 0.8, "timestamp": 1 })).await;
    let dataset = json!({ "name": "loans", "digest": "1a2b3c4d", "source_type": "local", "source": "{}" });
    call("runs/log-inputs", json!({ "run_id": id, "datasets": [{ "dataset": dataset }] })).await;
    let put = |path: String, bytes: &'static [u8]| {
        let request = http.put(format!("{url}/api/2.0/mlflow-artifacts/artifacts/{path}")).body(bytes);
        async move { assert!(request.send().await.expect("an answer").status().is_success()) }
    };
    let home = home.as_str().unwrap().strip_prefix("mlflow-artifacts:/").expect("a proxied store").to_owned();
    put(format!("{home}/reports/shap_summary.html"), b"<p>shap</p>").await;
    put(format!("{home}/model/model.pkl"), b"the model").await;
    call("registered-models/create", json!({ "name": model })).await;
    let tags = json!([{ "key": "approved_by", "value": "Olga" }, { "key": "jira", "value": "RISK-7" }]);
    let source = format!("mlflow-artifacts:/{home}/model");
    call("model-versions/create", json!({ "name": model, "source": source, "run_id": id, "tags": tags }))
        .await;
    call("registered-models/alias", json!({ "name": model, "alias": "champion", "version": "1" })).await;

    let html = std::env::temp_dir().join(format!("{model}.html"));
    let file = html.display().to_string();
    for which in [&[][..], &["--alias", "champion"], &["--model-version", "1"]] {
        let asked = [&["--model", &model, "--mlflow", &url, "--html", &file], which].concat();
        let (code, page) = walk(&asked);
        assert_eq!((code, page["verdict"].as_str()), (Some(1), Some("undocumented")), "{page}");
        assert_eq!(states(&page), SIX_FIELDS.map(|field| (field.to_owned(), "reconstruct".to_owned())));
        let text = page.to_string();
        for found in [
            "1 metrics of this run: auc",
            "reports/shap_summary.html",
            "digest 1a2b3c4d",
            "approved_by = Olga",
            "jira = RISK-7",
        ] {
            assert!(text.contains(found), "{found}: {text}");
        }
        assert!(
            page["fields"]
                .as_array()
                .unwrap()
                .iter()
                .all(|field| !field["source"].as_str().unwrap().is_empty())
        );
    }
    let shown = std::fs::read_to_string(&html).expect("a page");
    assert!(shown.contains("would have to be reconstructed") && !shown.contains("<script"), "{shown}");
    std::fs::remove_file(&html).expect("removed");
    let text = run(&["walk", "--model", &model, "--mlflow", &url]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("undocumented: 6 of six fields would have to be reconstructed"), "{text}");
    for (wrong, code) in [
        (vec!["--model", &model, "--mlflow", &url, "--model-version", "9"], 1),
        (vec!["--model", "x", "--mlflow", "http://127.0.0.1:9"], 3),
    ] {
        assert_eq!(run(&[vec!["walk"], wrong].concat()).status.code(), Some(code));
    }
}
