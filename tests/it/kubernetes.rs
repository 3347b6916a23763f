//! The gate in front of a real kube-apiserver with etcd: the shipped webhook configuration, a Deployment, and KServe's
//! InferenceService under its own definition: created, denied, allowed, dry-run.

use std::path::{Path, PathBuf};

use reqwest::{Client as Http, Method, StatusCode};
use serde_json::{Value, json};

use crate::gate::{Stage, deployment, digest_of, image_of, inference_service, webhook};

/// The server that the test run started, or a loud skip.
fn cluster(test: &str) -> Option<Cluster> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = (set("KUBERNETES_URL"), set("KUBERNETES_TOKEN"), set("KUBERNETES_CRD"));
    let (Some(url), Some(token), Some(crds)) = found else {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: KUBERNETES_URL is not set, but REQUIRE_SERVICES=1"
        );
        eprintln!("SKIPPED {test}: no kube-apiserver (KUBERNETES_URL is not set); run it with `make test`");
        return None;
    };
    let http = Http::builder().danger_accept_invalid_certs(true).build().expect("a client");
    Some(Cluster { url, token, crds: crds.into(), http })
}

struct Cluster {
    url: String,
    token: String,
    crds: PathBuf,
    http: Http,
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/models/deployments";
const STORAGE_CONTAINERS: &str = "/apis/serving.kserve.io/v1alpha1/clusterstoragecontainers";
const SERVICES: &str = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices";

impl Cluster {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            let patch = method == Method::PATCH;
            let kind = if patch { "application/merge-patch+json" } else { "application/json" };
            request = request.header("content-type", kind).body(body.to_string());
        }
        let answer = request.send().await.expect("an answer");
        let (code, text) = (answer.status(), answer.text().await.expect("an answer's body"));
        // A path that is not served yet is answered in plain text.
        (code, serde_json::from_str(&text).unwrap_or_else(|_| json!({ "message": text })))
    }

    async fn create(&self, path: &str, object: &Value) -> (StatusCode, String) {
        let (code, answer) = self.call(Method::POST, path, Some(object)).await;
        (code, answer["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Creates something that must be there, or was already.
    async fn given(&self, path: &str, object: &Value) {
        let (code, said) = self.create(path, object).await;
        assert!(code.is_success() || code == StatusCode::CONFLICT, "{path}: {code} {said}");
    }

    async fn is_there(&self, path: &str, name: &str) -> bool {
        self.call(Method::GET, &format!("{path}/{name}"), None).await.0 == StatusCode::OK
    }

    /// The shipped configuration, with the webhook's address instead of a service in the cluster.
    async fn register(&self, hook: &str, certificate: &Path) {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes/webhook.yaml");
        let shipped = std::fs::read_to_string(shipped).expect("a manifest");
        let first = shipped.split("\n---\n").next().expect("a document");
        let mut configuration: Value = serde_saphyr::from_str(first).expect("YAML");
        let bundle = BASE64_STANDARD.encode(std::fs::read(certificate).expect("a certificate"));
        configuration["webhooks"][0]["clientConfig"] = json!({ "url": hook, "caBundle": bundle });
        self.given(CONFIGURATIONS, &configuration).await;
    }

    /// One of KServe's own definitions.
    async fn define(&self, name: &str) {
        let text =
            std::fs::read_to_string(self.crds.join(format!("{name}.yaml"))).expect("KServe's definition");
        let crd: Value = serde_saphyr::from_str(&text).expect("YAML");
        self.given("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd).await;
    }

    /// Waits until the server serves a resource: a definition that was accepted is established seconds later.
    async fn until_served(&self, path: &str) {
        let mut said = Value::Null;
        for _ in 0..300 {
            let (code, answer) = self.call(Method::GET, path, None).await;
            if code == StatusCode::OK {
                return;
            }
            said = answer;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{path} is not served: {said}");
    }

    /// Waits until the server asks the webhook: it learns of a configuration a moment later.
    async fn until_judged(&self) {
        let mut object = deployment("registry.example.bank/credit:latest", None);
        object["metadata"]["name"] = json!("probe");
        for _ in 0..100 {
            let path = format!("{DEPLOYMENTS}?dryRun=All");
            if self.create(&path, &object).await.0 == StatusCode::FORBIDDEN {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the webhook was never asked");
    }
}

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

fn named(mut object: Value, name: &str) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_cluster_runs_only_what_the_ledger_allows() {
    let Some(cluster) = cluster("a_real_cluster_runs_only_what_the_ledger_allows") else { return };
    let stage = Stage::new().await;
    stage.promote(1, None).await;
    let dir = stage.dir.path().with_file_name("hook");
    std::fs::create_dir(&dir).expect("a directory");
    let (hook, url) = webhook(&stage.node.url, &dir);
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "models", "labels": { "promotion-ledger.dev/gate": "on" } },
    });
    cluster.given("/api/v1/namespaces", &namespace).await;
    cluster.define("inferenceservices").await;
    cluster.until_served(SERVICES).await;
    cluster.register(&url, &dir.join("tls.crt")).await;
    cluster.until_judged().await;

    // Allowed and denied, and denied things are not there.
    let (code, said) = cluster.create(DEPLOYMENTS, &deployment(&image_of(1), None)).await;
    assert_eq!(code, StatusCode::CREATED, "{said}");
    for (name, image, annotation, why) in [
        ("unpromoted", image_of(2), None, "was never promoted"),
        ("tagged", "registry.example.bank/credit:1".to_owned(), None, "is not pinned"),
        ("annotated", "ghcr.io/example/server:1".to_owned(), Some(digest_of(1)), "unverified"),
    ] {
        let object = named(deployment(&image, annotation.as_deref()), name);
        let (code, said) = cluster.create(DEPLOYMENTS, &object).await;
        assert!(code == StatusCode::FORBIDDEN && said.contains(why), "{name}: {code} {said}");
        assert!(!cluster.is_there(DEPLOYMENTS, name).await);
    }
    let dry = format!("{DEPLOYMENTS}?dryRun=All");
    let (code, said) = cluster.create(&dry, &named(deployment(&image_of(1), None), "dry")).await;
    assert!(code == StatusCode::CREATED && !cluster.is_there(DEPLOYMENTS, "dry").await, "{said}");
    let (code, said) = cluster.create(&dry, &named(deployment(&image_of(2), None), "dry")).await;
    assert!(code == StatusCode::FORBIDDEN && said.contains("was never promoted"), "{said}");

    // Scaling is not judged even after the promotion is superseded; another image is.
    stage.promote(2, Some(1)).await;
    let at = format!("{DEPLOYMENTS}/credit");
    let scale = json!({ "spec": { "replicas": 3 } });
    assert_eq!(cluster.call(Method::PATCH, &at, Some(&scale)).await.0, StatusCode::OK);
    let image = |image: String| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "server", "image": image }] } } } });
    assert_eq!(cluster.call(Method::PATCH, &at, Some(&image(image_of(3)))).await.0, StatusCode::FORBIDDEN);
    assert_eq!(cluster.call(Method::PATCH, &at, Some(&image(image_of(2)))).await.0, StatusCode::OK);
    let (code, answer) = cluster.call(Method::PATCH, &at, Some(&image(image_of(1)))).await;
    assert!(
        code == StatusCode::FORBIDDEN
            && answer["message"].as_str().is_some_and(|it| it.contains("superseded")),
        "{answer}"
    );

    // KServe.
    let gated = |version: u64| format!("gated+s3://models/credit/model.pkl#sha256:{}", digest_of(version));
    for (name, uri, expected) in [
        ("gated", gated(2), StatusCode::CREATED),
        ("oci", format!("oci://registry.example.bank/credit@sha256:{}", digest_of(2)), StatusCode::CREATED),
        ("superseded", gated(1), StatusCode::FORBIDDEN),
        ("unchecked", "s3://models/credit/model.pkl".to_owned(), StatusCode::FORBIDDEN),
    ] {
        let (code, said) = cluster.create(SERVICES, &named(inference_service(&uri), name)).await;
        assert_eq!(code, expected, "{name}: {said}");
        assert_eq!(cluster.is_there(SERVICES, name).await, code == StatusCode::CREATED, "{name}");
    }
    let dry = format!("{SERVICES}?dryRun=All");
    assert_eq!(
        cluster.create(&dry, &named(inference_service(&gated(2)), "dry")).await.0,
        StatusCode::CREATED
    );
    assert!(!cluster.is_there(SERVICES, "dry").await);

    // failurePolicy Fail: without the webhook nothing new starts; what runs can be scaled by its subresource.
    drop(hook);
    let (code, said) = cluster.create(DEPLOYMENTS, &named(deployment(&image_of(2), None), "later")).await;
    assert!(
        code == StatusCode::INTERNAL_SERVER_ERROR && said.contains("failed calling webhook"),
        "{code} {said}"
    );
    let to = json!({ "spec": { "replicas": 4 } });
    assert_eq!(cluster.call(Method::PATCH, &format!("{at}/scale"), Some(&to)).await.0, StatusCode::OK);
    for path in [format!("{CONFIGURATIONS}/promotion-ledger-gate"), "/api/v1/namespaces/models".into()] {
        cluster.call(Method::DELETE, &path, None).await;
    }
    stage.node.stop();
}

/// What is shipped is what the API knows: every field, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_manifests_are_valid() {
    let Some(cluster) = cluster("the_shipped_manifests_are_valid") else { return };
    let ours = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "promotion-ledger" } });
    cluster.given("/api/v1/namespaces", &ours).await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes");
    cluster
        .given(
            "/api/v1/namespaces",
            &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "manifests" } }),
        )
        .await;
    cluster.define("inferenceservices").await;
    cluster.define("clusterstoragecontainers").await;
    let services = "/apis/serving.kserve.io/v1beta1/namespaces/manifests/inferenceservices";
    cluster.until_served(services).await;
    cluster.until_served(STORAGE_CONTAINERS).await;
    let mut checked = 0;
    for file in ["webhook.yaml", "deployment.yaml", "kserve.yaml"] {
        let text = std::fs::read_to_string(directory.join(file)).expect("a manifest");
        for document in text.replace("CA_BUNDLE", "").split("\n---\n") {
            let object: Value = serde_saphyr::from_str(document).expect("YAML");
            let path = match object["kind"].as_str().unwrap_or_default() {
                "ValidatingWebhookConfiguration" => CONFIGURATIONS.to_owned(),
                "Deployment" => "/apis/apps/v1/namespaces/promotion-ledger/deployments".to_owned(),
                "Service" => "/api/v1/namespaces/promotion-ledger/services".to_owned(),
                "PodDisruptionBudget" => {
                    "/apis/policy/v1/namespaces/promotion-ledger/poddisruptionbudgets".to_owned()
                }
                // Under KServe's own definitions, in a namespace that no webhook watches.
                "ClusterStorageContainer" => STORAGE_CONTAINERS.to_owned(),
                "InferenceService" => services.to_owned(),
                kind => panic!("{file}: {kind}"),
            };
            let mut object = object;
            if object["metadata"]["namespace"].is_string() {
                let kserve = object["kind"] == "InferenceService";
                object["metadata"]["namespace"] =
                    json!(if kserve { "manifests" } else { "promotion-ledger" });
            }
            let path = format!("{path}?dryRun=All&fieldValidation=Strict");
            let (code, said) = cluster.create(&path, &object).await;
            assert!(code.is_success() || code == StatusCode::CONFLICT, "{file}: {code} {said}");
            checked += 1;
        }
    }
    assert_eq!(checked, 7);
}
