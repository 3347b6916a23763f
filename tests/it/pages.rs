//! Pages and evidence over HTTP: the exact bytes, checked against the ledger, in a sandbox, for this machine only.

use std::{collections::BTreeSet, path::Path};

use crate::harness::{Directory, LogUnderTest, Node, run};

/// A node with the first promotion of the credit example. Its number is 1.
fn credit() -> (Directory, Node) {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07/promotion.yaml");
    let output = run(&["promote", "-f", &file.display().to_string(), "--url", &node.url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (dir, node)
}

pub async fn get(node: &Node, path: &str) -> reqwest::Response {
    node.get(path).await
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("ascii"))
}

/// What stands between two words, each time.
fn between<'a>(html: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    html.split(start).skip(1).filter_map(|after| after.split(end).next()).collect()
}

/// What a screen reader and a keyboard need, read from the markup.
pub fn check_accessible(html: &str) {
    let ids = between(html, " id=\"", "\"");
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "an id stands twice: {ids:?}");
    for target in between(html, "href=\"#", "\"") {
        assert!(ids.contains(&target), "no #{target}");
    }
    for labelled in between(html, "aria-labelledby=\"", "\"") {
        assert!(ids.contains(&labelled), "no label #{labelled}");
    }
    assert!(html.contains("<html lang=\"en\">") && html.contains("<main id=\"content\""));
    assert_eq!(html.matches("<h1>").count(), 1);
    for frame in between(html, "<iframe", ">") {
        assert!(frame.contains("title=\""), "a frame without a title: {frame}");
    }
    for picture in between(html, "<img", ">") {
        assert!(picture.contains("alt=\""), "a picture without words: {picture}");
    }
    for active in ["<script", "javascript:", " onclick", " onload", " style=\""] {
        assert!(!html.contains(active), "{active}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_promotion_shows_its_evidence_and_compares_it_with_the_ledger() {
    let (dir, node) = credit();
    let response = get(&node, "/promotions/1/").await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "content-security-policy").contains("default-src 'none'"));
    assert!(header(&response, "content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    let html = response.text().await.expect("text");
    check_accessible(&html);
    for words in [
        "german-credit-pd 12",
        "Calibration by segment",
        "age_band:18-25",
        "All 10 pieces are byte for byte",
        "this is the first promotion in its slot",
        "(sealed)",
    ] {
        assert!(html.contains(words), "{words} is not on the page");
    }
    assert!(!html.contains("Maria Keller"), "a name was shown that nobody asked to open");
    let again = get(&node, "/promotions/1/").await.text().await.expect("text");
    assert!(again == html, "the page is not a function of what it shows");
    let open = get(&node, "/promotions/1/?unseal=true").await.text().await.expect("text");
    check_accessible(&open);
    assert!(open.contains("Maria Keller") && open.contains("Residual risk"));

    // Every address on the page answers with the exact bytes, in a sandbox.
    let mut addresses: Vec<_> = between(&html, "href=\"artefacts/", "\"");
    addresses.extend(between(&html, " src=\"artefacts/", "\""));
    assert!(addresses.len() > 10);
    for name in addresses.iter().collect::<BTreeSet<_>>() {
        let response = get(&node, &format!("/promotions/1/artefacts/{name}")).await;
        assert_eq!(response.status(), 200, "{name}");
        assert!(
            header(&response, "content-security-policy").starts_with("sandbox; default-src 'none'"),
            "{name}"
        );
        let bytes = response.bytes().await.expect("bytes");
        let digest = promotion_ledger::event::digest::sha256(&bytes).to_string();
        assert_eq!(Some(digest.as_str()), name.split('.').next());
    }

    // Bytes that are not the ledger's are never served, and the page says so.
    let report = between(&html, "<iframe sandbox=\"\" src=\"artefacts/", ".html")
        .first()
        .map(|s| (*s).to_owned())
        .expect("a report");
    let (shard, rest) = report.split_at(2);
    let stored = dir.path().join("evidence/sha256").join(shard).join(rest);
    let mode = |mode| {
        std::fs::set_permissions(&stored, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode")
    };
    let bytes = std::fs::read(&stored).expect("the report");
    mode(0o600);
    std::fs::write(&stored, String::from_utf8_lossy(&bytes).replacen("v12", "v13", 1))
        .expect("a tampered report");
    let tampered = get(&node, "/promotions/1/").await.text().await.expect("text");
    assert!(
        tampered.contains("1 of 10 pieces are not what the ledger says"),
        "the page hides a changed report"
    );
    let response = get(&node, &format!("/promotions/1/artefacts/{report}.html")).await;
    assert_eq!(response.status(), 500);
    assert!(response.text().await.expect("text").contains("not the ones that the ledger names"));
    node.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_answer_to_this_machine_by_its_own_name_only() {
    let (_dir, node) = credit();
    let client = reqwest::Client::new();
    for host in ["ledger.attacker.example", "127.0.0.1.attacker.example:80", "localhost.attacker.example"] {
        for path in ["/", "/promotions/1/", "/promotions/compare?a=1&b=1"] {
            let request = client.get(format!("{}{path}", node.http)).header("host", host);
            let request = request.bearer_auth(node.token("u-2001"));
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 403, "{host} {path}");
        }
    }
    for path in [
        "/promotions/0/",
        "/promotions/99/",
        "/promotions/1/artefacts/00.html",
        "/promotions/1/artefacts/..%2f",
    ] {
        assert_eq!(get(&node, path).await.status(), 404, "{path}");
    }
    node.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotions_are_listed_and_stand_side_by_side() {
    let (_dir, node) = credit();
    let client = node.client().await;
    client.upload_all().await;
    let other = client.promote(client.draft(0, 0)).await.expect("a receipt");
    let list = get(&node, "/").await.text().await.expect("text");
    check_accessible(&list);
    assert!(list.contains("promotions/1/") && list.contains(&format!("promotions/{}/", other.seq)));
    let both =
        get(&node, &format!("/promotions/compare?a=1&b={}", other.seq)).await.text().await.expect("text");
    check_accessible(&both);
    assert!(both.contains("german-credit-pd 12") && both.contains("differs"));
    let same = get(&node, "/promotions/compare?a=1&b=1").await.text().await.expect("text");
    assert!(same.contains("0 of 19 lines differ") && !same.contains(">differs<"));
    node.stop();
}

/// A directory that anybody can open later: the page, and the exact bytes under their digests.
#[test]
fn a_screen_is_written_out_with_every_artefact_checked() {
    let (dir, node) = credit();
    let out = dir.path().with_file_name("screen");
    let show = |more: &[&str]| {
        let out = out.display().to_string();
        let arguments = ["show", "1", "--screen", "-o", &out, "--url", &node.url, "--format", "json"];
        run(&[arguments.as_slice(), more].concat())
    };
    let output = show(&["--unseal"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let html = std::fs::read_to_string(out.join("index.html")).expect("a page");
    check_accessible(&html);
    assert!(html.contains("All 10 pieces are byte for byte") && html.contains("Maria Keller"));
    let names: BTreeSet<_> = between(&html, "\"artefacts/", "\"").into_iter().map(str::to_owned).collect();
    assert!(names.len() > 7);
    for name in &names {
        let bytes = std::fs::read(out.join("artefacts").join(name)).expect(name);
        let digest = promotion_ledger::event::digest::sha256(&bytes).to_string();
        assert_eq!(Some(digest.as_str()), name.split('.').next());
    }
    let stored = names
        .iter()
        .find(|name| name.ends_with(".csv"))
        .expect("a table")
        .split('.')
        .next()
        .expect("a digest");
    let (shard, rest) = stored.split_at(2);
    std::fs::remove_file(dir.path().join("evidence/sha256").join(shard).join(rest)).expect("evidence");
    let output = show(&[]);
    assert_eq!(output.status.code(), Some(1));
    let html = std::fs::read_to_string(out.join("index.html")).expect("a page");
    assert!(html.contains("of 10 pieces are not what the ledger says"));
    let policy = run(&["show", "0", "--screen", "-o", &out.display().to_string(), "--url", &node.url]);
    assert_eq!(policy.status.code(), Some(2));
    node.stop();
}
