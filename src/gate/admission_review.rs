//! Kubernetes' AdmissionReview (admission.k8s.io/v1): which model bytes an object would run, and the answer. Pure.
//!
//! What runs is named by digest, or it is not known: an OCI reference with `@sha256:`, or bytes that `gate fetch` gets and
//! hands over only if they have the digest after `#sha256:`. An annotation says what should run, not what runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::event::Digest;

/// What people write on an object; without a digest in the object itself it proves nothing.
pub const ANNOTATION: &str = "promotion-ledger.dev/artifact";
/// Label: the model, as the ledger's slots name it.
pub const LABEL_MODEL: &str = "promotion-ledger.dev/model";
/// Label: the slot's role; `champion` if it is not there.
pub const LABEL_ROLE: &str = "promotion-ledger.dev/role";
/// Before the URI of bytes that `gate fetch` gets (`gated+https://…#sha256:…`).
pub const GATED: &str = "gated+";

/// Not an AdmissionReview that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an AdmissionReview of admission.k8s.io/v1: {0}")]
pub struct Error(String);

/// One thing that an object would run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Where it stands in the object, for instance `spec.template.spec.containers[0].image`.
    pub path: String,
    /// As written there.
    pub text: String,
    /// Its digest, or why there is none.
    pub digest: Result<Digest, String>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Repeated in the answer.
    pub uid: String,
    /// Kind, namespace and name, for people.
    pub object: String,
    /// Nothing will be stored; this webhook has no side effects anyway.
    pub dry_run: bool,
    /// Whether the object would run something else than before; only then it is judged.
    pub changes: bool,
    /// The slot's model; empty: any.
    pub model: String,
    /// The slot's role.
    pub role: String,
    /// Model bytes that it would run.
    pub references: Vec<Reference>,
    /// What an annotation says, where one does.
    pub annotation: Option<String>,
}

/// Reads a review. `runtimes`: images, exactly as written in objects, that serve models and hold none.
///
/// # Errors
/// [`Error`].
pub fn read(bytes: &[u8], runtimes: &BTreeSet<String>) -> Result<Review, Error> {
    let review: Value = serde_json::from_slice(bytes).map_err(|error| Error(error.to_string()))?;
    let stated = (review["apiVersion"].as_str(), review["kind"].as_str());
    if stated != (Some("admission.k8s.io/v1"), Some("AdmissionReview")) {
        return Err(Error("apiVersion or kind is another one".into()));
    }
    let request = &review["request"];
    let uid = request["uid"].as_str().filter(|uid| !uid.is_empty());
    let uid = uid.ok_or_else(|| Error("request.uid is missing".into()))?.to_owned();
    let (object, old) = (&request["object"], &request["oldObject"]);
    let references = references(object, runtimes);
    let label = |name: &str| {
        let own = object["metadata"]["labels"][name].as_str();
        own.or_else(|| object["spec"]["template"]["metadata"]["labels"][name].as_str())
    };
    let (model, role) = (label(LABEL_MODEL).unwrap_or_default(), label(LABEL_ROLE).unwrap_or("champion"));
    let same_slot = |name: &str| old["metadata"]["labels"][name] == object["metadata"]["labels"][name];
    let unchanged = request["operation"] == "UPDATE"
        && self::references(old, runtimes) == references
        && same_slot(LABEL_MODEL)
        && same_slot(LABEL_ROLE);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let annotation = &object["metadata"]["annotations"][ANNOTATION];
    let annotation = annotation
        .as_str()
        .or_else(|| object["spec"]["template"]["metadata"]["annotations"][ANNOTATION].as_str());
    Ok(Review {
        uid,
        object: format!(
            "{} {}/{}",
            text(&request["kind"]["kind"]),
            text(&request["namespace"]),
            request["name"].as_str().or(object["metadata"]["generateName"].as_str()).unwrap_or_default()
        ),
        dry_run: request["dryRun"].as_bool().unwrap_or(false),
        changes: request["operation"] != "DELETE" && !unchanged,
        model: model.to_owned(),
        role: role.to_owned(),
        references,
        annotation: annotation.map(str::to_owned),
    })
}

/// Model bytes that an object would run, in order of their paths.
fn references(object: &Value, runtimes: &BTreeSet<String>) -> Vec<Reference> {
    let mut found = Vec::new();
    let spec = &object["spec"];
    if object["kind"] == "InferenceService" {
        for component in ["predictor", "transformer", "explainer"] {
            inference(&spec[component], &format!("spec.{component}"), runtimes, &mut found);
        }
    } else {
        pod(&spec["template"]["spec"], "spec.template.spec", runtimes, &mut found);
    }
    found.sort();
    found
}

/// A component of a KServe InferenceService: a pod's spec, and a model in one of several notations.
fn inference(component: &Value, path: &str, runtimes: &BTreeSet<String>, found: &mut Vec<Reference>) {
    let Some(fields) = component.as_object() else { return };
    pod(component, path, runtimes, found);
    for (name, value) in fields {
        let at = format!("{path}.{name}");
        // `model`, and the old notation by framework: `sklearn`, `xgboost`, …
        if let Some(uri) = value["storageUri"].as_str() {
            found.push(Reference {
                path: format!("{at}.storageUri"),
                text: uri.into(),
                digest: storage(uri),
            });
        }
        if !value["storage"].is_null() {
            let why = "names no bytes by digest: give storageUri".to_owned();
            found.push(Reference {
                path: format!("{at}.storage"),
                text: value["storage"].to_string(),
                digest: Err(why),
            });
        }
        if value.is_object() {
            found.extend(image(value, &at, runtimes));
        }
    }
}

fn pod(spec: &Value, path: &str, runtimes: &BTreeSet<String>, found: &mut Vec<Reference>) {
    let list = |name: &str| spec[name].as_array().map_or(&[][..], Vec::as_slice);
    for name in ["initContainers", "containers"] {
        for (i, container) in list(name).iter().enumerate() {
            let at = format!("{path}.{name}[{i}]");
            match fetched(container, &at).filter(|_| is_runtime(container, runtimes)) {
                Some(reference) => found.push(reference),
                None => found.extend(image(container, &at, runtimes)),
            }
        }
    }
    for (i, volume) in list("volumes").iter().enumerate() {
        if let Some(reference) = volume["image"]["reference"].as_str() {
            let path = format!("{path}.volumes[{i}].image.reference");
            found.push(Reference { path, text: reference.into(), digest: oci(reference) });
        }
    }
}

fn is_runtime(container: &Value, runtimes: &BTreeSet<String>) -> bool {
    container["image"].as_str().is_some_and(|image| runtimes.contains(image))
}

/// An image that is not known to hold no model.
fn image(container: &Value, path: &str, runtimes: &BTreeSet<String>) -> Option<Reference> {
    let text = container["image"].as_str().filter(|image| !runtimes.contains(*image))?;
    Some(Reference { path: format!("{path}.image"), text: text.into(), digest: oci(text) })
}

/// What a container with `gate fetch` gets.
fn fetched(container: &Value, path: &str) -> Option<Reference> {
    let words = ["command", "args"].iter().flat_map(|name| container[name].as_array().into_iter().flatten());
    let words: Vec<_> = words.filter_map(Value::as_str).collect();
    let at = words.windows(2).position(|pair| pair == ["gate", "fetch"])?;
    let uri = words.iter().skip(at + 2).find(|word| word.contains("://") && !word.starts_with('-'));
    let uri = uri.copied().unwrap_or_default();
    Some(Reference { path: format!("{path}.args"), text: uri.into(), digest: fragment(uri) })
}

/// The digest in `registry/name@sha256:…`.
fn oci(reference: &str) -> Result<Digest, String> {
    let digits = reference.rsplit_once("@sha256:").map(|(_, digits)| digits);
    digits.and_then(Digest::from_hex).ok_or_else(|| {
        "is not pinned: write it with @sha256: and 64 hexadecimal digits, since a tag can move".into()
    })
}

/// The digest in `…#sha256:…`.
fn fragment(uri: &str) -> Result<Digest, String> {
    let digits = uri.rsplit_once("#sha256:").map(|(_, digits)| digits);
    digits
        .and_then(Digest::from_hex)
        .ok_or_else(|| "does not say which bytes: end it with #sha256: and 64 hexadecimal digits".into())
}

fn storage(uri: &str) -> Result<Digest, String> {
    if uri.starts_with("oci://") {
        return oci(uri);
    }
    match uri.starts_with(GATED) {
        true => fragment(uri),
        false => Err(format!(
            "is fetched without a check of its bytes: put {GATED} before it and #sha256: behind it"
        )),
    }
}

/// The answer to a review: let it pass, with warnings, or say why not.
pub fn response(uid: &str, verdict: Result<&[String], &str>) -> Value {
    let mut response = json!({ "uid": uid, "allowed": verdict.is_ok() });
    match verdict {
        Ok([]) => {}
        Ok(warnings) => response["warnings"] = json!(warnings),
        Err(why) => {
            response["status"] = json!({ "code": 403, "reason": "Forbidden", "message": why });
        }
    }
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "0101010101010101010101010101010101010101010101010101010101010101";

    fn runtimes() -> BTreeSet<String> {
        ["ledger:1".to_owned(), "server@sha256:1".to_owned()].into()
    }

    fn deployment(pod: Value) -> Value {
        json!({ "kind": "Deployment", "metadata": { "name": "m" }, "spec": { "template": { "spec": pod } } })
    }

    fn review(operation: &str, object: &Value, old: &Value) -> Review {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u", "operation": operation, "object": object, "oldObject": old, "kind": { "kind": "Deployment" } },
        });
        read(review.to_string().as_bytes(), &runtimes()).unwrap()
    }

    fn digests(object: &Value) -> Vec<bool> {
        review("CREATE", object, &Value::Null).references.iter().map(|it| it.digest.is_ok()).collect()
    }

    #[test]
    fn what_runs_is_named_by_digest_or_it_is_not_known() {
        for (pod, expected) in [
            (json!({ "containers": [{ "image": format!("r/model@sha256:{D}") }] }), &[true][..]),
            (json!({ "containers": [{ "image": "r/model:12" }] }), &[false]),
            (json!({ "containers": [{ "image": "server@sha256:1" }] }), &[]),
            (json!({ "containers": [{ "image": "server@sha256:1" }, { "image": "other" }] }), &[false]),
            (json!({ "volumes": [{ "image": { "reference": format!("r/model@sha256:{D}") } }] }), &[true]),
            (json!({ "volumes": [{ "image": { "reference": "r/model:12" } }] }), &[false]),
            (
                json!({ "initContainers": [{ "image": "ledger:1", "args": ["gate", "fetch", format!("https://x/y#sha256:{D}"), "/m"] }] }),
                &[true],
            ),
            (
                json!({ "initContainers": [{ "image": "ledger:1", "args": ["gate", "fetch", "https://x/y", "/m"] }] }),
                &[false],
            ),
            // An image that only says it fetches is an image like any other.
            (
                json!({ "initContainers": [{ "image": "mine:1", "args": ["gate", "fetch", format!("https://x/y#sha256:{D}")] }] }),
                &[false],
            ),
        ] {
            assert_eq!(digests(&deployment(pod.clone())), expected, "{pod}");
        }
    }

    #[test]
    fn kserve_models_are_found_in_every_notation() {
        let service =
            |predictor: Value| json!({ "kind": "InferenceService", "spec": { "predictor": predictor } });
        for (predictor, expected) in [
            (json!({ "model": { "storageUri": format!("oci://r/m@sha256:{D}") } }), &[true][..]),
            (json!({ "model": { "storageUri": format!("gated+s3://b/m#sha256:{D}") } }), &[true]),
            (json!({ "model": { "storageUri": "s3://b/m" } }), &[false]),
            (json!({ "sklearn": { "storageUri": format!("s3://b/m#sha256:{D}") } }), &[false]),
            (json!({ "model": { "storage": { "key": "k", "path": "p" } } }), &[false]),
            (json!({ "containers": [{ "image": "mine:1" }] }), &[false]),
            (
                json!({ "model": { "image": "mine:1", "storageUri": format!("oci://r/m@sha256:{D}") } }),
                &[false, true],
            ),
        ] {
            assert_eq!(digests(&service(predictor.clone())), expected, "{predictor}");
        }
    }

    #[test]
    fn only_a_change_of_what_runs_is_judged() {
        let pod = |image: &str| json!({ "containers": [{ "image": image }] });
        let old = deployment(pod("m:1"));
        let mut scaled = old.clone();
        scaled["spec"]["replicas"] = json!(5);
        assert!(!review("UPDATE", &scaled, &old).changes, "scaling runs the same bytes");
        assert!(review("UPDATE", &deployment(pod("m:2")), &old).changes);
        assert!(review("CREATE", &old, &Value::Null).changes);
        assert!(!review("DELETE", &Value::Null, &old).changes);
        let mut relabelled = old.clone();
        relabelled["metadata"]["labels"][LABEL_MODEL] = json!("another");
        assert!(review("UPDATE", &relabelled, &old).changes, "another slot is asked");
    }

    #[test]
    fn other_documents_are_refused() {
        for text in ["", "{}", r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#] {
            assert!(read(text.as_bytes(), &runtimes()).is_err(), "{text}");
        }
    }
}
