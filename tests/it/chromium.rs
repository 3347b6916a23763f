//! What only a real browser shows: reviews in a Chromium, at a node that has nothing but its development issuer, whose login
//! page is driven as well.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use promotion_ledger::{
    cli::bench::sample::Piece,
    event::{
        Header, Kind, canonical,
        digest::sha256,
        proto::{
            EvidenceRef, PromotionDraft, SealReviewRequest, StaticRendition, body::Event,
            review_service_client::ReviewServiceClient,
        },
    },
    identity::development::KEY_PREFIX,
};
use serde_json::json;

use crate::{
    harness::{Client, Directory, LogUnderTest, Node},
    keycloak::decide,
    webdriver::{self, Chromium, ENTER},
};

/// Chooses who to be on the login page.
async fn choose(chromium: &Chromium, subject: &str) {
    chromium.says("Development issuer: nobody is asked to prove anything here").await;
    chromium.click(&format!("button[value=\"{subject}\"]")).await;
}

/// A node with nothing but its development issuer, and a review on it.
struct Stage {
    // Removed at the end.
    _dir: Directory,
    node: Node,
    client: Client,
    address: String,
}

impl Stage {
    async fn open() -> Self {
        Self::with(|_| (Vec::new(), Vec::new())).await
    }

    /// With a changed draft: further evidence of it, and what is shown first of some of it.
    async fn with(change: impl Fn(&mut PromotionDraft) -> (Vec<Piece>, Vec<StaticRendition>)) -> Self {
        let dir = Directory::init(&LogUnderTest::Embedded);
        let node = Node::serve(&dir.path());
        let client = node.client().await;
        client.upload_all().await;
        let mut draft = client.draft(0, 0);
        draft.approvals.clear();
        let request = draft.approval_request.as_mut().expect("a request");
        request.due_at = request.asked_at + 7 * 86_400_000_000;
        request.asked_groups = vec!["model-risk-approvers".into()];
        let (pieces, renditions) = change(&mut draft);
        for piece in &pieces {
            client.upload(piece).await.expect("an upload");
        }
        let request = SealReviewRequest { promotion: Some(draft), renditions };
        let sealed = ReviewServiceClient::new(client.channel()).seal_review(request).await.expect("sealed");
        let review = sealed.into_inner().receipt.expect("a receipt").seq;
        let address = format!("{}/reviews/{review}/", node.http);
        Self { _dir: dir, node, client, address }
    }
}

/// Somebody else's address, which a report would tell that it was read; how often it was asked for anything but the
/// report, which it serves at `/report` with nothing that holds it.
async fn elsewhere() -> (String, Arc<AtomicUsize>) {
    use axum::{Router, response::Html, routing::get};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, report) = (asked.clone(), hostile(&url));
    let router =
        Router::new().route("/report", get(move || std::future::ready(Html(report)))).fallback(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready("")
        });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

/// A report that runs, and tells an address what it can.
fn hostile(url: &str) -> String {
    format!(
        "<!doctype html><html><head><title>A report</title><link rel=\"stylesheet\" href=\"{url}/style\"></head>\
         <body onload=\"fetch('{url}/load')\"><p>A report of the model</p><img src=\"{url}/image\" alt=\"\">\
         <script>document.title = 'it ran'; fetch('{url}/script')</script>\
         <iframe src=\"{url}/frame\"></iframe><form id=\"f\" action=\"{url}/form\"><button>Send</button></form></body></html>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_with_scripts_is_held_by_the_browser_it_runs_nothing_and_asks_for_nothing() {
    if !webdriver::available("hostile_report") {
        return;
    }
    let (url, asked) = elsewhere().await;
    let report = hostile(&url).into_bytes();
    let name = sha256(&report);
    let stage = Stage::with(|draft| {
        let still = b"<!doctype html><html><body><p>The same without scripts</p></body></html>".to_vec();
        let reference = |bytes: &[u8]| EvidenceRef {
            sha256: sha256(bytes).0.to_vec(),
            length: bytes.len() as u64,
            media_type: "text/html".into(),
            ..EvidenceRef::default()
        };
        let rendition = StaticRendition { of: name.0.to_vec(), content: Some(reference(&still)) };
        draft.explanations[0].content = Some(reference(&report));
        let piece = |bytes: Vec<u8>| Piece { bytes, media_type: "text/html" };
        (vec![piece(report.clone()), piece(still)], vec![rendition])
    });
    let Stage { _dir, node, client, address } = stage.await;
    let chromium = Chromium::start().await;
    chromium.open(&address).await;
    chromium.follow("Log in at").await;
    choose(&chromium, "u-2001").await;
    chromium.says("Your decision").await;
    let within = chromium.url().await;
    chromium.open(&format!("{within}artefacts/{name}.html")).await;
    chromium.says("A report of the model").await;
    chromium.click("#f button").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(chromium.script("return document.title").await, "A report");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the report reached somebody else's address");
    // Where nothing holds it, it does all of that.
    chromium.open(&format!("{url}/report")).await;
    chromium.says("A report of the model").await;
    assert_eq!(chromium.script("return document.title").await, "it ran");
    assert!(asked.load(Ordering::SeqCst) >= 3);
    client.check().await;
    drop(chromium);
    node.stop();
}

/// With the keyboard alone, a page that a screen reader can tell of, and one that can be printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_approved_with_the_keyboard_alone_every_control_has_a_name_and_its_page_can_be_printed() {
    if !webdriver::available("keyboard") {
        return;
    }
    let Stage { _dir, node, client, address } = Stage::open().await;
    let chromium = Chromium::start().await;
    chromium.open(&address).await;
    named(&chromium, 1).await;
    chromium.tab_to("a.button").await;
    chromium.press(ENTER).await;
    chromium.says("Jonas Weber").await;
    named(&chromium, 5).await;
    chromium.tab_to("button[value=\"u-2001\"]").await;
    chromium.press(ENTER).await;
    chromium.says("Your decision").await;
    named(&chromium, 10).await;
    printable(&chromium).await;

    // The first key leads past what every page has.
    chromium.tab_to("a.skip").await;
    let documents = chromium.all("css selector", "#open ul:first-of-type a").await.len();
    assert!(documents >= 2);
    for _ in 0..documents {
        chromium.tab_to("#open ul:first-of-type a").await;
        chromium.open_focused().await;
    }
    let questions = chromium.all("css selector", "textarea[name^=\"answer.\"]").await.len();
    assert!(questions >= 1);
    for _ in 0..questions {
        chromium.tab_to("textarea[name^=\"answer.\"]").await;
        for key in ["Y", "e", "s"] {
            chromium.press(key).await;
        }
    }
    chromium.tab_to("#agree").await;
    chromium.press(" ").await;
    chromium.tab_to("button[value=approve]").await;
    chromium.press(ENTER).await;
    chromium.says("Sign your decision").await;
    named(&chromium, 1).await;
    chromium.tab_to("a.button").await;
    chromium.press(ENTER).await;
    chromium.says("Jonas Weber").await;
    chromium.tab_to("button[value=\"u-2001\"]").await;
    chromium.press(ENTER).await;
    chromium.says("Your decision is recorded").await;
    named(&chromium, 1).await;
    client.check().await;
    drop(chromium);
    node.stop();
}

async fn named(chromium: &Chromium, at_least: usize) {
    let controls = chromium.controls().await;
    assert!(controls.len() >= at_least, "{controls:?}");
    let nameless: Vec<_> = controls.iter().filter(|(_, name)| name.is_empty()).collect();
    assert!(nameless.is_empty(), "{} has controls without a name: {nameless:?}", chromium.url().await);
}

/// On paper nothing is cut off at the side, and nothing is there that only a screen needs.
async fn printable(chromium: &Chromium) {
    // What A4 leaves between its margins, at 96 dots per inch.
    let paper = json!({"width": 688, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
    chromium.devtools("Emulation.setDeviceMetricsOverride", paper).await;
    chromium.devtools("Emulation.setEmulatedMedia", json!({"media": "print"})).await;
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(chromium.script(wide).await, 0, "something is wider than the paper");
    let shown = "return [...document.querySelectorAll('.skip, nav.contents, .screen-only')].filter(it => it.getClientRects().length).length";
    assert_eq!(chromium.script(shown).await, 0, "something for screens is printed");
    chromium.picture("keyboard-print").await;
    let printed = chromium.devtools("Page.printToPDF", json!({"preferCSSPageSize": true})).await;
    assert!(printed["data"].as_str().is_some_and(|data| data.starts_with("JVBERi0")), "no PDF");
    chromium.devtools("Emulation.setEmulatedMedia", json!({"media": ""})).await;
    chromium.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_approved_in_chromium_by_a_person_chosen_on_the_development_login_page() {
    if !webdriver::available("development_login") {
        return;
    }
    let Stage { _dir, node, client, address } = Stage::open().await;
    let chromium = Chromium::start().await;

    // Somebody of another department.
    chromium.open(&address).await;
    chromium.says("Who are you?").await;
    chromium.follow("Log in at").await;
    chromium.says("Jonas Weber").await;
    chromium.picture("development-1-choose").await;
    choose(&chromium, "u-2003").await;
    chromium.says("You cannot open this review").await;

    // Who opened it signs it, and nobody else.
    chromium.forget().await;
    chromium.open(&address).await;
    chromium.follow("Log in at").await;
    choose(&chromium, "u-2001").await;
    decide(&chromium, "approve").await;
    chromium.says("Sign your decision").await;
    chromium.follow("Log in again and sign").await;
    choose(&chromium, "u-2002").await;
    chromium.says("somebody else than the person to whom this review was shown").await;
    chromium.picture("development-2-somebody-else").await;
    chromium.follow("Try again").await;
    choose(&chromium, "u-2001").await;
    chromium.says("Your decision is recorded").await;
    chromium.picture("development-3-recorded").await;
    chromium.open(&address).await;
    chromium.says("promoted by entry").await;

    // One event, which says in clear that its login proves nothing.
    let entries = client.entries().await;
    let kind = |kind| {
        let of = move |header: &[u8]| Header::decode(header).expect("a header").kind == Some(kind);
        entries.iter().filter(|entry| of(&entry.header)).collect::<Vec<_>>()
    };
    let (approved, promoted) = (kind(Kind::Approved), kind(Kind::Promoted));
    assert_eq!((approved.len(), promoted.len()), (1, 1));
    let event = canonical::decode(&approved[0].record).expect("a record").body.event;
    let Some(Event::Approved(decision)) = event else { panic!("no approval") };
    let decider = decision.decider.expect("a decider");
    assert!(decider.verified_by.starts_with(KEY_PREFIX), "{}", decider.verified_by);
    assert_eq!(decider.matched_groups, ["model-risk-approvers"]);
    client.check().await;
    drop(chromium);
    node.stop();
}
