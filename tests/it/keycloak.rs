//! People at a real Keycloak, in a real Chromium: everything that can happen to a review, seen as they see it. Pictures of
//! the pages are kept in `screens/` beside the build.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use promotion_ledger::event::{Header, Kind, Outcome, Seq};
use serde_json::{Value, json};

use crate::{
    click::configure,
    harness::{Client, Directory, LogUnderTest, Node, run},
    webdriver::{self, Chromium},
};

/// The address of the Keycloak that the test run started, or a loud skip.
fn keycloak(test: &str) -> Option<String> {
    let url = std::env::var("KEYCLOAK_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: KEYCLOAK_URL is not set, but REQUIRE_SERVICES=1"
        );
        eprintln!("SKIPPED {test}: no Keycloak (KEYCLOAK_URL is not set); run it with `make test`");
    }
    url.filter(|_| webdriver::available(test))
}

/// Keycloak's administrator (Admin REST API).
struct Admin {
    url: String,
    http: reqwest::Client,
    token: String,
}

impl Admin {
    async fn of(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", "admin"),
        ];
        let form = reqwest::Url::parse_with_params("http://form/", form).expect("a form");
        let answer = http
            .post(format!("{url}/realms/master/protocol/openid-connect/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
            .send()
            .await
            .expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { url: format!("{url}/admin/realms/bank"), http, token }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await;
        answer.expect("an answer").json().await.expect("JSON")
    }

    async fn change(&self, method: reqwest::Method, path: &str, body: &Value) {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    async fn user(&self, name: &str) -> String {
        let found = self.get(&format!("/users?exact=true&username={name}")).await;
        found[0]["id"].as_str().expect("a user").to_owned()
    }

    async fn group(&self, name: &str) -> String {
        let found = self.get("/groups").await;
        let found = found.as_array().into_iter().flatten().find(|group| group["name"] == name);
        found.and_then(|group| group["id"].as_str()).expect("a group").to_owned()
    }
}

struct Bank {
    admin: Admin,
    issuer: String,
    dir: Directory,
    node: Node,
    client: Client,
    files: tempfile::TempDir,
    rita: String,
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry").path();
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &target)
        } else {
            fs::copy(&entry, &target).expect("a copy");
        }
    }
}

impl Bank {
    async fn open(keycloak: &str) -> Self {
        let admin = Admin::of(keycloak).await;
        let issuer = format!("{keycloak}/realms/bank");
        let dir = Directory::init(&LogUnderTest::Embedded);
        configure(
            &dir,
            &format!(
                "\n[[logins]]\nissuer = \"{issuer}\"\nclient_id = \"promotion-ledger\"\nalgorithms = [\"RS256\"]\n"
            ),
        );
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        let files = tempfile::tempdir().expect("a directory");
        copy(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/credit"), files.path());
        let rita = admin.user("rita").await;
        let bank = Self { admin, issuer, dir, node, client, files, rita };
        bank.activate(|policy| policy);
        bank
    }

    /// Puts the example's policy in force, changed.
    fn activate(&self, change: impl Fn(String) -> String) {
        let file = self.files.path().join("policy.yaml");
        fs::write(&file, change(fs::read_to_string(&file).expect("a policy"))).expect("written");
        let output = crate::routing::activate(&self.dir, &self.node, &file);
        assert!(output.status.success(), "{}", text(&output));
    }

    /// Seals the example's first promotion for a region, asked by Rita, without approvals.
    fn seal(&self, region: &str, request: &str) -> Seq {
        let file = self.files.path().join("2026-11-07/promotion.yaml");
        let written = fs::read_to_string(&file).expect("a promotion");
        let own = file.with_file_name(format!("{region}-{request}.yaml"));
        if !own.exists() {
            let (before, rest) = written.split_once("\napprovals:\n").expect("approvals");
            let (_, after) = rest.split_once("\n# Field 5").expect("field five");
            let (before, _) = before.split_once("\n# Field 4").expect("field four");
            let person = format!("{{issuer: {}, subject: {}, name: Rita Levi}}", self.issuer, self.rita);
            let asked = |line: &str| match line.trim_start().split_once(": ") {
                Some((part @ ("requested_by" | "triggered_by"), _)) => format!("  {part}: {person}\n"),
                _ => format!("{line}\n"),
            };
            let text: String = format!("{before}\n# Field 5{after}").lines().map(asked).collect();
            let text = text
                .replace("region: eu-central", &format!("region: {region}"))
                .replace("MRM-1031", request)
                .replace("due_at: 2026-11-10T17:00:00Z", "due_at: 2099-11-10T17:00:00Z");
            fs::write(&own, text).expect("written");
        }
        let output = run(&[
            "review",
            "seal",
            "-f",
            &own.display().to_string(),
            "--url",
            &self.node.url,
            "--format",
            "json",
        ]);
        assert!(output.status.success(), "{}", text(&output));
        let sealed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        sealed["seq"].as_u64().expect("a number")
    }

    fn address(&self, review: Seq) -> String {
        format!("{}/reviews/{review}/", self.node.http)
    }

    async fn kinds(&self, kind: Kind) -> usize {
        let entries = self.client.entries().await;
        let headers = entries.iter().map(|entry| Header::decode(&entry.header).expect("a header"));
        headers.filter(|it| it.outcome == Outcome::Accepted && it.kind == Some(kind)).count()
    }
}

/// Fills in Keycloak's own login page.
async fn log_in(chromium: &Chromium, who: &str) {
    if !chromium.all("css selector", "#username").await.is_empty() {
        chromium.fill("#username", who).await;
    }
    chromium.fill("#password", &format!("{who}-password")).await;
    chromium.click("#kc-login").await;
}

/// A new person at the browser opens a review.
async fn enter(chromium: &Chromium, bank: &Bank, review: Seq, who: &str) {
    chromium.forget().await;
    chromium.open(&bank.address(review)).await;
    chromium.says("Who are you?").await;
    chromium.follow("Log in at").await;
    log_in(chromium, who).await;
}

/// Reads what must be read, answers what is asked, sends the form by this button; then stands before the login.
pub async fn decide(chromium: &Chromium, button: &str) {
    chromium.says("Your decision").await;
    assert!(chromium.open_each("#open ul:first-of-type a").await >= 2);
    chromium.fill_all("textarea[name^=\"answer.\"]", "Yes: read, in all segments.").await;
    // Who comes back finds the box as it was left.
    chromium.script("const box = document.querySelector('#agree'); if (!box.checked) box.click()").await;
    chromium.click(&format!("button[value={button}]")).await;
}

async fn sign(chromium: &Chromium, who: &str) {
    chromium.says("Sign your decision").await;
    chromium.follow("Log in again and sign").await;
    log_in(chromium, who).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_decide_in_chromium_with_logins_at_keycloak() {
    let Some(url) = keycloak("people_decide") else { return };
    let bank = Bank::open(&url).await;
    let (ada, group) = (bank.admin.user("ada").await, bank.admin.group("model-risk-approvers").await);
    let membership = format!("/users/{ada}/groups/{group}");
    let lifespan =
        |seconds: u64| json!({"accessCodeLifespanLogin": seconds, "accessCodeLifespanUserAction": seconds});
    // A run that failed may have left its changes.
    bank.admin.change(reqwest::Method::PUT, &membership, &json!({})).await;
    bank.admin.change(reqwest::Method::PUT, "", &lifespan(1800)).await;
    let chromium = Chromium::start().await;
    let first = bank.seal("eu-central", "MRM-1");

    // Nobody in particular, and somebody of another department.
    chromium.open(&bank.address(first)).await;
    chromium.says("Who are you?").await;
    chromium.picture("1-login").await;
    enter(&chromium, &bank, first, "mallory").await;
    chromium.says("You cannot open this review").await;
    chromium.picture("2-wrong-group").await;

    // Who asked for it cannot approve it.
    enter(&chromium, &bank, first, "rita").await;
    chromium.says("Your decision").await;
    chromium.picture("3-review").await;
    for section in ["people", "comparison", "explanation", "open"] {
        chromium.script(&format!("document.querySelector('#{section}').scrollIntoView()")).await;
        chromium.picture(&format!("3-review-{section}")).await;
    }
    decide(&chromium, "approve").await;
    chromium.picture("4-sign").await;
    sign(&chromium, "rita").await;
    chromium.says("requested, triggered or contributed to this promotion").await;
    chromium.picture("5-own").await;

    // Nothing is approved that was not opened: the browser itself asks for the box, the server for the answers.
    enter(&chromium, &bank, first, "ada").await;
    chromium.says("Your decision").await;
    chromium.script("for (const it of document.querySelectorAll('[required]')) it.required = false").await;
    chromium.click("#agree").await;
    chromium.click("button[value=approve]").await;
    chromium.says("is not answered").await;
    chromium.picture("6-incomplete").await;
    chromium.back().await;

    // A group lost between seal and click.
    decide(&chromium, "approve").await;
    bank.admin.change(reqwest::Method::DELETE, &membership, &json!({})).await;
    sign(&chromium, "ada").await;
    // Keycloak leaves the claim out for who is in no group, which proves nothing about groups.
    chromium.says("membership is not proven").await;
    bank.admin.change(reqwest::Method::PUT, &membership, &json!({})).await;

    // A login that took too long at Keycloak begins again there, and nothing is recorded by it.
    chromium.open(&bank.address(first)).await;
    chromium.says("Your decision").await;
    chromium.click("button[value=decline]").await;
    chromium.says("The decision cannot be taken like this").await;
    chromium.back().await;
    chromium.fill("#reason", "Calibration of the young is not shown.").await;
    chromium.click("button[value=decline]").await;
    chromium.says("Sign your decision").await;
    bank.admin.change(reqwest::Method::PUT, "", &lifespan(1)).await;
    chromium.follow("Log in again and sign").await;
    chromium.says("Password").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    log_in(&chromium, "ada").await;
    chromium.says("Password").await;
    chromium.picture("7-expired").await;
    assert_eq!(bank.kinds(Kind::Declined).await, 0);
    bank.admin.change(reqwest::Method::PUT, "", &lifespan(1800)).await;
    log_in(&chromium, "ada").await;
    chromium.says("Your decision is recorded: decline").await;
    chromium.picture("8-declined").await;
    assert_eq!(bank.kinds(Kind::Declined).await, 1);

    // The next round is approved with a condition.
    let second = bank.seal("eu-central", "MRM-1");
    assert_ne!(second, first);
    enter(&chromium, &bank, second, "ben").await;
    chromium.says("Your decision").await;
    chromium.click("#decision details summary").await;
    chromium.fill("#condition-0-title", "Calibration by age band").await;
    chromium.fill("#condition-0-owner_subject", &bank.rita).await;
    chromium.fill("#condition-0-slice", "age_band").await;
    chromium.script("document.querySelector('#condition-0-due').value = '2099-01-31'").await;
    decide(&chromium, "approve_with_conditions").await;
    chromium.says("Calibration by age band").await;
    chromium.picture("9-conditions").await;
    sign(&chromium, "ben").await;
    chromium.says("promoted").await;
    chromium.picture("10-recorded").await;
    // Back, and the same login once more: the same entry.
    chromium.back().await;
    chromium.open(&bank.address(second)).await;
    chromium.says("promoted by entry").await;
    assert_eq!((bank.kinds(Kind::Approved).await, bank.kinds(Kind::Promoted).await), (1, 1));

    quorum_and_tampering(&chromium, &bank).await;
    bank.client.check().await;
    drop(chromium);
    bank.node.stop();
}

async fn quorum_and_tampering(chromium: &Chromium, bank: &Bank) {
    bank.activate(|policy| {
        let (before, after) = policy.split_once("- id: high").expect("a tier");
        let after = after.replacen(
            "approvers: [{group: model-risk-approvers, count: 1}]",
            "approvers: [{group: model-risk-approvers, count: 1}, {group: credit-risk-committee, count: 2}]",
            1,
        );
        format!("{before}- id: high{after}").replacen("version: 1", "version: 2", 1)
    });
    let review = bank.seal("us-east", "MRM-2");
    // A page that is not the sealed one is not served, so nobody can approve it.
    let shown = run(&["review", "show", &review.to_string(), "--url", &bank.node.url, "--format", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let digest = shown["screen_sha256"].as_str().expect("a page");
    let (shard, rest) = digest.split_at(2);
    let stored = bank.dir.path().join("evidence/sha256").join(shard).join(rest);
    let (sound, away) = (fs::read(&stored).expect("the page"), stored.with_extension("away"));
    fs::rename(&stored, &away).expect("moved");
    fs::write(&stored, String::from_utf8_lossy(&sound).replacen("german-credit-pd", "german-credit-xx", 1))
        .expect("a tampered page");
    enter(chromium, bank, review, "ada").await;
    chromium.says("not the ones that the ledger names").await;
    chromium.picture("11-tampered").await;
    fs::rename(&away, &stored).expect("moved back");

    for (n, who) in ["ada", "cara", "dora"].into_iter().enumerate() {
        enter(chromium, bank, review, who).await;
        decide(chromium, "approve").await;
        sign(chromium, who).await;
        let page = chromium.says("Your decision is recorded").await;
        assert_eq!(page.contains("still needed"), n < 2, "{page}");
    }
    chromium.picture("12-quorum").await;
    chromium.open(&format!("{}/inbox", bank.node.http)).await;
    chromium.says("Inbox of Dora Maar").await;
    chromium.picture("13-inbox").await;
    assert_eq!((bank.kinds(Kind::Approved).await, bank.kinds(Kind::Promoted).await), (4, 2));
}
