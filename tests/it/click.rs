//! The click: a person logs in, reads what was sealed, posts the form, logs in again to sign it. Real HTTP on a real
//! node; and everything that somebody else could try with these pages.

use std::{fs, time::Duration};

use promotion_ledger::{
    event::{
        Header, Kind, Outcome, Seq, canonical,
        digest::sha256,
        proto::{
            CloseReviewRequest, GetReviewRequest, Person, PromotionDraft, Review, ReviewState,
            SealReviewRequest, body::Event, review_service_client::ReviewServiceClient,
        },
        review,
    },
    proof::verify::StoredEntry,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node, kafka, run},
    idp::{Browser, CLIENT, Idp, Page},
    pages::check_accessible,
};

/// A node whose approvers log in at a provider of this test.
pub struct Bank {
    pub idp: Idp,
    pub dir: Directory,
    pub node: Node,
    pub client: Client,
}

impl Bank {
    pub async fn open() -> Self {
        Self::on(&LogUnderTest::Embedded).await
    }

    pub async fn on(log: &LogUnderTest) -> Self {
        Self::with(log, |_| ()).await
    }

    /// With further configuration.
    pub async fn with(log: &LogUnderTest, further: impl Fn(&std::path::Path)) -> Self {
        let idp = Idp::start().await;
        let dir = Directory::init(log);
        configure(&dir, &idp.config());
        further(&dir.path());
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        client.upload_all().await;
        Self { idp, dir, node, client }
    }

    pub fn draft(&self, n: u64) -> PromotionDraft {
        let mut draft = self.client.draft(0, n);
        draft.approvals.clear();
        let request = draft.approval_request.as_mut().expect("a request");
        request.due_at = request.asked_at + 7 * 86_400_000_000;
        request.asked_groups = vec!["model-risk".into()];
        request.requested_by =
            Some(Person { issuer: self.idp.url().into(), subject: "rita".into(), name: "Rita".into() });
        draft
    }

    pub async fn seal(&self, draft: PromotionDraft) -> Seq {
        let request = SealReviewRequest { promotion: Some(draft), renditions: Vec::new() };
        let sealed = ReviewServiceClient::new(self.client.channel()).seal_review(request).await;
        sealed.expect("sealed").into_inner().receipt.expect("a receipt").seq
    }

    pub async fn review(&self, review_seq: Seq) -> Review {
        let request = GetReviewRequest { review_seq, open_session: false };
        let answer = ReviewServiceClient::new(self.client.channel()).get_review(request).await;
        answer.expect("a review").into_inner().review.expect("a review")
    }

    pub fn address(&self, review: Seq) -> String {
        format!("{}/reviews/{review}/", self.node.http)
    }
}

pub fn configure(dir: &Directory, further: &str) {
    let file = dir.path().join("promotion-ledger.toml");
    let config = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, config + further).expect("written");
}

/// Logs in and opens a review's page.
pub async fn opened(browser: &mut Browser, review: &str) -> Page {
    let login = browser.open(review).await;
    login.says(403, "Who are you?");
    let page = browser.open(&login.link("Log in at")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    page
}

/// Opens every document that must be opened; `skip` of them are left out.
async fn read(browser: &mut Browser, page: &Page, skip: usize) {
    let text = page.text();
    let required = text.split("To be opened before you approve").nth(1).expect("documents");
    let required = required.split("</ul>").next().expect("a list");
    let names = required.split("href=\"artefacts/").skip(1).filter_map(|rest| rest.split('"').next());
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in names.into_iter().skip(skip) {
        let document = browser.open(&page.at(&format!("artefacts/{name}"))).await;
        assert_eq!(Some(sha256(&document.bytes).to_string().as_str()), name.split('.').next());
    }
}

/// What an approver fills in.
fn approval(page: &Page) -> Vec<(String, String)> {
    let text = page.text();
    let questions = text.split("name=\"answer.").skip(1).filter_map(|rest| rest.split('"').next());
    let answers = questions.map(|id| (format!("answer.{id}"), "Yes,\r\nin all segments.".to_owned()));
    let fixed = [("agree", "yes"), ("decision", "approve")];
    answers.chain(fixed.map(|(name, value)| (name.into(), value.into()))).collect()
}

pub async fn send(browser: &mut Browser, page: &Page, fields: &[(String, String)]) -> Page {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(page, "decide", &fields).await
}

/// Everything up to the frozen decision: the page that asks for the login.
pub async fn frozen(browser: &mut Browser, review: &str) -> Page {
    let page = opened(browser, review).await;
    read(browser, &page, 0).await;
    let fields = approval(&page);
    let sign = send(browser, &page, &fields).await;
    sign.says(200, "Sign your decision");
    sign
}

fn decisions(entries: &[StoredEntry]) -> Vec<(Kind, Seq)> {
    let header = |entry: &StoredEntry| Header::decode(&entry.header).expect("a header");
    let decisions = entries.iter().map(header).filter(|header| header.outcome == Outcome::Accepted);
    let kinds = [Kind::Approved, Kind::Declined, Kind::ChangesRequested, Kind::Promoted];
    decisions
        .filter_map(|it| it.kind.filter(|kind| kinds.contains(kind)).map(|kind| (kind, it.seq)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_reads_posts_and_signs_and_however_often_there_is_one_event() {
    let bank = Bank::open().await;
    let review = bank.seal(bank.draft(0)).await;
    let mut ada = Browser::of("ada");
    let page = opened(&mut ada, &bank.address(review)).await;
    // Exactly the sealed bytes, under headers that let nobody frame them or send them elsewhere.
    let sealed = bank.review(review).await.sealed.expect("what was sealed");
    let screen = sealed.screen.expect("a page").sha256;
    assert_eq!(sha256(&page.bytes).0[..], screen);
    for (name, part) in [
        ("content-security-policy", "frame-ancestors 'none'"),
        ("content-security-policy", "form-action 'self'"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert!(page.header(name).contains(part), "{name}: {}", page.header(name));
    }
    let people = ada.open(&page.at("people")).await;
    people.says(200, "Rita");

    // Nothing is approved that was not served in full; a HEAD request serves nothing.
    let fields = approval(&page);
    send(&mut ada, &page, &fields).await.says(422, "was not served in full in this session");
    read(&mut ada, &page, 1).await;
    send(&mut ada, &page, &fields).await.says(422, "was not served in full");
    let text = page.text();
    let missing = text.split("href=\"artefacts/").nth(1).and_then(|rest| rest.split('"').next());
    let missing = page.at(&format!("artefacts/{}", missing.expect("a document")));
    assert_eq!(ada.ask(Method::HEAD, &missing, &[], "").await.status, 200);
    send(&mut ada, &page, &fields).await.says(422, "was not served in full");
    read(&mut ada, &page, 0).await;
    let unanswered: Vec<_> =
        fields.iter().filter(|(name, _)| !name.starts_with("answer.") && name != "agree").cloned().collect();
    send(&mut ada, &page, &unanswered).await.says(422, "confirm what you agree to");
    let silent = [("decision".to_owned(), "decline".to_owned())];
    send(&mut ada, &page, &silent).await.says(422, "reason");

    // The form only freezes; a login that commits to it signs it.
    let before = bank.client.entries().await.len();
    let sign = send(&mut ada, &page, &fields).await;
    sign.says(200, "Not recorded yet").says(200, "Yes,\nin all segments.").says(200, "Served in full");
    check_accessible(&sign.text());
    assert_eq!(bank.client.entries().await.len(), before);
    let signing = sign.link("Log in again and sign");
    let issuer = ada.ask(Method::GET, &signing, &[], "").await;
    let recorded = ada.open(&issuer.at(&issuer.header("location"))).await;
    recorded.says(200, "Your decision is recorded: approve").says(200, "promoted");
    check_accessible(&recorded.text());
    // A receipt of the own approval, which verifies without the node.
    let receipt = ada.open(&recorded.link("Download the receipt")).await;
    assert_eq!(receipt.status, 200, "{}", receipt.text());
    assert!(receipt.header("content-disposition").starts_with("attachment; filename=\"entry-"));
    let file = bank.dir.path().join("own.tlog-proof");
    fs::write(&file, &receipt.bytes).expect("written");
    // In the words of the form, as they were asked.
    let form = sealed.package.clone().and_then(|package| package.approval_request?.form).expect("a form");
    for question in &form.questions {
        recorded.says(200, &format!("<b>{}</b>", question.text));
        assert!(!recorded.text().contains(&format!("<b>{}</b>", question.id)), "{}", question.id);
    }
    let asked = bank.idp.asked().last().cloned().expect("a login");
    assert_eq!((asked["prompt"].as_str(), asked["max_age"].as_str()), ("login", "0"));
    assert!(signing.ends_with(&asked["nonce"]));

    // The back button and a double click: the same address, another login with the same nonce, the form in a second tab.
    let made = decisions(&bank.client.entries().await);
    assert_eq!(made.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Kind::Approved, Kind::Promoted]);
    let again = ada.open(&signing).await;
    assert_eq!(again.url, recorded.url, "{}", again.text());
    send(&mut ada, &page, &fields).await.says(409, "approved and recorded as entry");
    let back = ada.ask(Method::GET, &page.at("decide"), &[], "").await;
    assert_eq!((back.status, back.header("location")), (303, page.at("./").replace(&bank.node.http, "")));
    assert_eq!(decisions(&bank.client.entries().await), made);
    ada.open(&bank.address(review)).await.says(200, "promoted");

    // What was served stands in the signed statement, with times.
    let entries = bank.client.entries().await;
    let seq = usize::try_from(made[0].1).expect("small");
    let body = canonical::decode(&entries[seq].record).expect("a record").body;
    let Some(Event::Approved(decision)) = body.event else { panic!("no approval") };
    let statement = review::statement(&decision).expect("a statement");
    let required = sealed.artefacts.iter().filter(|artefact| artefact.required).map(|it| &it.sha256);
    for sha256 in required.chain([&screen]) {
        let served = statement.served.iter().find(|served| served.sha256 == *sha256);
        assert!(served.is_some_and(|served| served.at > 0), "not served: {}", hex::encode(sha256));
    }
    // Somebody else does not see this person's decision.
    let mut ben = Browser::of("ben");
    opened_anyway(&mut ben, &bank.address(review)).await.says(200, "promoted");
    ben.open(&recorded.url).await.says(404, "no decision of yours");
    ben.open(&receipt.url).await.says(404, "no decision of yours");
    bank.client.check().await;
    let key = bank.client.status().await.log_vkey;
    assert!(recorded.text().contains(&key), "the page names the key");
    bank.node.stop();
    verifies_as_approval(&file, &key, made[0].1);
}

/// A receipt holds offline, with the log key alone, and is that of an approval; with one byte changed it does not.
pub fn verifies_as_approval(receipt: &std::path::Path, key: &str, seq: Seq) {
    let verify = |path: &std::path::Path| {
        let path = path.display().to_string();
        run(&["verify", "--receipt", &path, "--key", key, "--format", "json"])
    };
    let done = verify(receipt);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (&json["header"]["kind"], &json["header"]["seq"]),
        (&json!("approved"), &json!(seq)),
        "{json}"
    );
    let text = fs::read_to_string(receipt).expect("a receipt");
    let damaged = receipt.with_extension("damaged");
    let checkpoint = text.split_once("\n\n").expect("a checkpoint").1;
    let size = checkpoint.lines().nth(1).expect("a size");
    fs::write(&damaged, text.replace(&format!("\n{size}\n"), &format!("\n{size}0\n"))).expect("written");
    assert_eq!(verify(&damaged).status.code(), Some(1));
}

/// Logs in at a review that is over.
async fn opened_anyway(browser: &mut Browser, review: &str) -> Page {
    let login = browser.open(review).await;
    browser.open(&login.link("Log in at")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_pages_and_other_people_try_is_refused() {
    let bank = Bank::open().await;
    let review = bank.seal(bank.draft(0)).await;
    let address = bank.address(review);
    let mut ada = Browser::of("ada");

    // Session fixation: a session that somebody planted is nobody's, and a login gives a new one.
    let host = bank.node.http.trim_start_matches("http://").to_owned();
    let name = "promotion-ledger-session".to_owned();
    let planted = "a".repeat(64);
    ada.cookies.entry(host.clone()).or_default().insert(name.clone(), planted.clone());
    let page = opened(&mut ada, &address).await;
    let session = ada.cookies[&host][&name].clone();
    assert_ne!(session, planted);
    let mut thief = Browser::of("eve");
    for url in [
        format!("{address}?{name}={session}"),
        format!("{address}?session={session}"),
        format!("{address}in/{session}/"),
        page.url.clone(),
    ] {
        thief.open(&url).await.says(403, "Who are you?");
    }
    let login = ada.open(&format!("{}/login/0/reviews/{review}", bank.node.http)).await;
    assert_eq!(login.status, 200);
    assert_ne!(ada.cookies[&host][&name], session, "each login gives a new session");
    thief.cookies.entry(host.clone()).or_default().insert(name.clone(), session);
    thief.open(&address).await.says(403, "Who are you?");

    // Forms: from our own pages only, with the token of the session that was served.
    read(&mut ada, &login, 0).await;
    let fields = "decision=decline&reason=Because.";
    let decide = login.at("decide");
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "http://127.0.0.1:1")],
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
    ] {
        let page = ada.ask(Method::POST, &decide, &headers, fields).await;
        page.says(403, "was not sent from a page of this ledger");
    }
    let own = [("origin", bank.node.http.as_str())];
    let stale = ada.ask(Method::POST, &page.at("decide"), &own, fields).await;
    stale.says(403, "this form is of another login");
    let guessed = format!("{address}in/{}/decide", "0".repeat(64));
    ada.ask(Method::POST, &guessed, &own, fields).await.says(403, "this form is of another login");
    let nobody = Browser::of("nobody").ask(Method::POST, &decide, &own, fields).await;
    nobody.says(403, "Who are you?");
    let frozen = ada.ask(Method::POST, &decide, &own, fields).await;
    frozen.says(200, "Sign your decision: decline");

    // Somebody else's frozen decision cannot be signed, nor ended in another browser.
    let sign = frozen.link("Log in again and sign");
    let mut ben = Browser::of("ben");
    opened(&mut ben, &address).await;
    let elsewhere = ben.open(&sign).await;
    assert!(!elsewhere.text().contains("recorded"), "{}", elsewhere.text());
    let to_issuer = ada.ask(Method::GET, &sign, &[], "").await.header("location");
    ben.open(&to_issuer).await.says(403, "started in another browser");
    let state = to_issuer.split("state=").nth(1).and_then(|rest| rest.split('&').next()).expect("a state");
    let callback = format!("{}/login/callback", bank.node.http);
    let mixed = ada.open(&format!("{callback}?state={state}&code=x&iss=https://evil.example")).await;
    mixed.says(403, "another identity provider");
    ada.open(&format!("{callback}?state=unknown&code=x")).await.says(409, "This login is over");
    ada.open(&format!("{callback}?state={state}&code=invented")).await.says(409, "the code is used up");
    ada.who = "nobody".into();
    let cancelled = ada.open(&sign).await;
    cancelled.says(409, "access_denied &lt;b&gt;cancelled&lt;/b&gt;");
    ada.who = "ada".into();

    // Open redirects: no request says where it leads.
    for path in [
        "/reviews//evil.example/",
        "//evil.example/",
        "/login/0//evil.example",
        "/login/0/https://evil.example",
        "/login/7/inbox",
    ] {
        let page = ada.ask(Method::GET, &format!("{}{path}", bank.node.http), &[], "").await;
        let to = page.header("location");
        assert!(page.status >= 400 && to.is_empty(), "{path}: {} {to}", page.status);
    }
    let with_target = format!("{}/login/0/reviews/{review}?to=https://evil.example", bank.node.http);
    let page = ada.ask(Method::GET, &with_target, &[], "").await;
    assert!(page.header("location").starts_with(bank.idp.url()) && !page.header("location").contains("evil"));
    let spoofed = ada.ask(Method::GET, &address, &[("host", "evil.example")], "").await;
    assert_eq!((spoofed.status, spoofed.header("location")), (303, address.clone()));
    let spoofed = ada.ask(Method::POST, &decide, &[("host", "evil.example"), own[0]], fields).await;
    spoofed.says(403, "forms are taken at");

    // Clickjacking: no page can be framed by anybody, evidence by ours only.
    let inbox = ada.open(&format!("{}/inbox", bank.node.http)).await;
    inbox.says(200, &format!("reviews/{review}/"));
    for page in [&inbox, &frozen, &cancelled, &login, &nobody] {
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{}", page.url);
        assert_eq!(page.header("x-frame-options"), "DENY");
    }
    assert_eq!(decisions(&bank.client.entries().await), []);
    bank.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_out_is_nobody_afterwards_and_nobody_else_logs_one_out() {
    let bank = Bank::open().await;
    let review = bank.seal(bank.draft(0)).await;
    let (address, logout) = (bank.address(review), format!("{}/logout", bank.node.http));
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &address).await;
    let signing = sign.link("Log in again and sign");
    let page = ada.open(&sign.link("Log out")).await;
    page.says(200, "Name of ada");
    check_accessible(&page.text());
    assert_eq!((page.url.as_str(), page.header("referrer-policy").as_str()), (&*logout, "same-origin"));
    let token = page.text().split("name=\"token\" value=\"").nth(1).expect("a token")[..64].to_owned();

    // Not by a link, not from another page, not with another session's token.
    let host = bank.node.http.trim_start_matches("http://").to_owned();
    let own = [("origin", bank.node.http.as_str())];
    let form = format!("token={token}");
    ada.ask(Method::POST, &logout, &[("origin", "https://evil.example")], &form)
        .await
        .says(403, "was not sent");
    ada.ask(Method::POST, &logout, &own, "token=").await.says(403, "of another login");
    let mut ben = Browser::of("ben");
    opened(&mut ben, &address).await;
    ben.ask(Method::POST, &logout, &own, &form).await.says(403, "of another login");
    ada.open(&logout).await.says(200, "Name of ada");

    let stolen = ada.cookies.clone();
    let to_issuer = ada.ask(Method::GET, &signing, &[], "").await.header("location");
    let left = ada.post(&page, "logout", &[("token", &token)]).await;
    left.says(200, "You are logged out");
    let cleared: Vec<_> =
        left.headers.get_all("set-cookie").iter().filter_map(|it| it.to_str().ok()).collect();
    let gone = |name: &str| cleared.iter().any(|it| it.starts_with(name) && it.contains("Max-Age=0"));
    assert!(gone("promotion-ledger-session=;") && gone("promotion-ledger-login=;"), "{cleared:?}");
    assert_eq!(ada.cookies[&host]["promotion-ledger-session"], "");
    ada.open(&address).await.says(403, "Who are you?");
    // A copy of the cookie is worth nothing any more, nor is a login that it had started.
    ada.cookies = stolen;
    for url in [&address, &sign.url, &signing, &format!("{}/inbox", bank.node.http)] {
        ada.open(url).await.says(403, "Who are you?");
    }
    ada.open(&to_issuer).await.says(403, "in a session that is over");
    ada.open(&logout).await.says(200, "You are logged out");
    ben.open(&logout).await.says(200, "Name of ben");
    assert_eq!(decisions(&bank.client.entries().await), []);
    bank.node.stop();
}

/// Where the store keeps some bytes.
fn stored(bank: &Bank, sha256: &[u8]) -> std::path::PathBuf {
    let name = hex::encode(sha256);
    let (shard, rest) = name.split_at(2);
    bank.dir.path().join("evidence/sha256").join(shard).join(rest)
}

/// Whoever can write to the store's disk.
fn tamper(path: &std::path::Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::write(path, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_since_it_was_sealed_is_not_shown_and_the_page_says_so() {
    let bank = Bank::open().await;
    let review = bank.seal(bank.draft(0)).await;
    let address = bank.address(review);
    let sealed = bank.review(review).await.sealed.expect("what was sealed");
    let screen = sealed.screen.expect("a page").sha256;
    let document = sealed.artefacts.iter().find(|it| it.required).expect("a document");
    let mut ada = Browser::of("ada");
    let page = opened(&mut ada, &address).await;
    let text = page.text();
    let name = hex::encode(&document.sha256);
    let file = text.split("href=\"artefacts/").skip(1).find(|rest| rest.starts_with(&name));
    let file = file.and_then(|rest| rest.split('"').next()).expect("a link");
    let document_url = page.at(&format!("artefacts/{file}"));

    let path = stored(&bank, &document.sha256);
    let honest = fs::read(&path).expect("bytes");
    tamper(&path, &honest.iter().rev().copied().collect::<Vec<_>>());
    let refused = ada.open(&document_url).await;
    refused.says(500, "This document cannot be shown").says(500, "not the ones that the ledger names");
    check_accessible(&refused.text());
    // The page shows documents in frames: the refusal is read there too, and frames of others stay forbidden.
    let policy = refused.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'self'") && policy.contains("sandbox"), "{policy}");
    tamper(&path, &honest);
    assert_eq!(ada.open(&document_url).await.bytes, honest);
    fs::remove_file(&path).expect("removed");
    ada.open(&document_url).await.says(404, "This document cannot be shown");
    fs::write(&path, &honest).expect("written");

    let path = stored(&bank, &screen);
    let rosy = String::from_utf8_lossy(&page.bytes).replace("Approve", "Agree");
    tamper(&path, rosy.as_bytes());
    let mut ben = Browser::of("ben");
    let refused = opened_anyway(&mut ben, &address).await;
    refused.says(500, "The page of this review cannot be shown").says(500, "nobody can approve by it");
    check_accessible(&refused.text());
    assert!(!refused.text().contains("Your decision"), "{}", refused.text());
    // Nothing that was not shown counts as served.
    let own = [("origin", bank.node.http.as_str())];
    let form = "decision=approve&agree=yes";
    ben.ask(Method::POST, &refused.at("decide"), &own, form).await.says(422, "was not served in full");
    bank.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_person_the_wrong_login_and_a_lost_group_are_told_so() {
    let bank = Bank::open().await;
    let mut draft = bank.draft(0);
    let requested = draft.approval_request.as_mut().expect("a request");
    requested.asked_groups = vec!["model-risk".into()];
    let review = bank.seal(draft).await;
    let address = bank.address(review);

    // In no group that is asked: the page stays closed.
    bank.idp.groups("mallory", &["marketing"]);
    let mut mallory = Browser::of("mallory");
    opened_anyway(&mut mallory, &address).await.says(403, "is in none of the groups that decide it");
    let closed = mallory.open(&format!("{}/inbox", bank.node.http)).await;
    closed.says(200, "Inbox of Name of mallory");

    // The requester may look, and not decide.
    bank.idp.groups("rita", &["marketing"]);
    let mut rita = Browser::of("rita");
    let sign = frozen(&mut rita, &address).await;
    let own = rita.open(&sign.link("Log in again and sign")).await;
    own.says(409, "requested, triggered or contributed to this promotion");

    // The login that signs: of the same person, fresh, not expired, still in the group.
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &address).await;
    let sign = sign.link("Log in again and sign");
    ada.who = "ben".into();
    ada.open(&sign).await.says(409, "is of somebody else than the person to whom this review was shown");
    ada.who = "ada".into();
    let now = bank.review(review).await.sealed_at / 1_000_000;
    for (changes, words) in [
        (json!({"auth_time": now - 3600}), "does not prove a fresh login"),
        (json!({"exp": now - 600, "iat": now - 900}), "expired at"),
        (json!({"nonce": "another"}), "has another nonce"),
        (json!({"aud": "other"}), "is for the audience"),
        (json!({"groups": null, "_claim_names": {"groups": "src1"}}), "does not hold all groups"),
    ] {
        bank.idp.changes(changes);
        ada.open(&sign).await.says(409, words);
    }
    bank.idp.changes(json!({}));
    assert_eq!(decisions(&bank.client.entries().await), []);

    // A session outlives the token that began it: what signs is the fresh login.
    bank.idp.changes(json!({"exp": now - 57}));
    let mut cara = Browser::of("cara");
    let sign_late = frozen(&mut cara, &address).await;
    bank.idp.changes(json!({}));
    tokio::time::sleep(Duration::from_secs(3)).await;
    cara.open(&sign_late.link("Log in again and sign")).await.says(200, "Your decision is recorded");
    // Who was about to sign is told.
    ada.open(&sign).await.says(409, "approved and recorded as entry");
    assert_eq!(decisions(&bank.client.entries().await).len(), 2);

    // A review that was withdrawn between page and login.
    let second = bank.seal(bank.draft(1)).await;
    let sign = frozen(&mut Browser::of("ada"), &bank.address(second)).await;
    let withdraw = CloseReviewRequest {
        review_seq: second,
        actor: Some(Person { issuer: bank.idp.url().into(), subject: "rita".into(), name: String::new() }),
        detail: "Not yet.".into(),
    };
    let rita = bank.idp.client(&bank.node.url, "rita").await;
    ReviewServiceClient::new(rita.channel()).close_review(withdraw).await.expect("withdrawn");
    let mut late = Browser::of("ada");
    opened_anyway(&mut late, &bank.address(second)).await.says(200, "ended");
    assert!(!sign.url.is_empty() && CLIENT == "promotion-ledger");
    bank.client.check().await;
    bank.node.stop();
}

/// Two approvers sign in the same second at two nodes of one topic, where one approval is enough.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_at_two_nodes_in_the_same_second_make_one_promotion() {
    let Some(log) = kafka("two-approvers") else { return };
    let bank = Bank::on(&log).await;
    let twin_dir = bank.dir.empty_twin();
    let twin = Node::serve(&twin_dir.path());
    for n in 0..3 {
        let review = bank.seal(bank.draft(n)).await;
        let seen = twin.client().await;
        while seen.status().await.synced_size <= review {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (mut ada, mut ben) = (Browser::of("ada"), Browser::of("ben"));
        let first = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
        let second =
            frozen(&mut ben, &format!("{}/reviews/{review}/", twin.http)).await.link("Log in again and sign");
        let (first, second) = tokio::join!(ada.open(&first), ben.open(&second));
        let recorded = [&first, &second].into_iter().filter(|page| page.status == 200).count();
        assert!(recorded >= 1, "{} {}", first.text(), second.text());
        for page in [&first, &second] {
            let told = page.text().contains("Your decision is recorded")
                || page.text().contains("enough people have approved")
                || page.text().contains("approved and recorded as entry");
            assert!(told, "{}", page.text());
        }
        let state = || async { bank.review(review).await };
        while state().await.state() != ReviewState::Promoted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What a review's row says is written; an entry is given out once it is synced, some milliseconds later.
        let promoted = async || {
            let found = decisions(&bank.client.entries().await);
            found.iter().filter(|(kind, _)| *kind == Kind::Promoted).count() as u64
        };
        while promoted().await <= n {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(promoted().await, n + 1);
    }
    bank.client.check().await;
    seen_equal(&bank.client, &twin.client().await).await;
    twin.stop();
    bank.node.stop();
}

async fn seen_equal(one: &Client, other: &Client) {
    let size = one.status().await.synced_size;
    while other.status().await.synced_size < size {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mine, theirs) = (one.entries().await, other.entries().await);
    let headers = |entries: &[StoredEntry]| {
        entries.iter().take(size as usize).map(|entry| entry.header.clone()).collect::<Vec<_>>()
    };
    assert_eq!(headers(&mine), headers(&theirs));
}

/// kill -9 right after the last approval: its promotion follows when the node is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_after_the_last_click_finishes_when_it_is_back() {
    let bank = Bank::open().await;
    let review = bank.seal(bank.draft(0)).await;
    let mut ada = Browser::of("ada");
    let sign = frozen(&mut ada, &bank.address(review)).await.link("Log in again and sign");
    // The store fails now, which is not the same as: has not got it. So the approval is recorded, and not the promotion.
    let (store, away) = (bank.dir.path().join("evidence/sha256"), bank.dir.path().join("away"));
    fs::rename(&store, &away).expect("moved");
    fs::write(&store, "no directory").expect("written");
    let recorded = ada.open(&sign).await;
    recorded.says(200, "Your decision is recorded").says(200, "the promotion is being recorded");
    let kinds =
        |entries: Vec<StoredEntry>| decisions(&entries).iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds(bank.client.entries().await), [Kind::Approved]);
    let Bank { dir, node, .. } = bank;
    node.kill();
    fs::remove_file(&store).expect("removed");
    fs::rename(&away, &store).expect("moved back");
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while kinds(client.entries().await) != [Kind::Approved, Kind::Promoted] {
        assert!(std::time::Instant::now() < deadline, "{:?}", decisions(&client.entries().await));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.check().await;
    node.stop();
}

/// The ledger's pages: a browser is asked to log in, an auditor reads everything and opens people in the own name, somebody
/// else is told why not.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_the_ledger_after_a_login_and_nobody_else_does() {
    let bank = Bank::open().await;
    let receipt = bank.client.promote(bank.client.draft(0, 0)).await.expect("a receipt");
    let start = format!("{}/", bank.node.http);
    let promotion = format!("{}/promotions/{}/", bank.node.http, receipt.seq);

    bank.idp.groups("olga", &["role:auditor"]);
    let mut olga = Browser::of("olga");
    let asked = olga.open(&start).await;
    asked.says(403, "Log in to read the ledger");
    let entered = olga.open(&asked.link("Log in at")).await;
    entered.says(200, "Newest first");
    olga.open(&promotion).await.says(200, "Challenger comparison");
    olga.open(&format!("{promotion}?unseal=true")).await.says(200, "Maria Keller");
    olga.open(&format!("{}/sealed/", bank.node.http)).await.says(200, "Reviews");

    bank.idp.groups("mallory", &["model-risk"]);
    let mut mallory = Browser::of("mallory");
    let asked = mallory.open(&promotion).await;
    let refused = mallory.open(&asked.link("Log in at")).await;
    refused.says(403, "is not auditor of this ledger");
    mallory.open(&promotion).await.says(403, "is not auditor of this ledger");

    // A program is told that it needs a token, whatever else it sends.
    let answer = reqwest::get(&promotion).await.expect("an answer");
    assert_eq!(answer.status(), 401);
    bank.node.stop();
}
