//! A real Chromium, driven by ChromeDriver over the WebDriver protocol (<https://www.w3.org/TR/webdriver2/>), which is JSON
//! over HTTP: no client library. Killed by pid when dropped.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(20);
/// Key of an element reference (section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Keys (section 17.4.2).
const TAB: &str = "\u{e004}";
/// The same.
pub const ENTER: &str = "\u{e007}";

/// A browser window.
pub struct Chromium {
    driver: Child,
    browser: rustix::process::Pid,
    session: String,
    http: reqwest::Client,
    _profile: tempfile::TempDir,
}

/// Whether there is one, or a loud skip.
pub fn available(test: &str) -> bool {
    let found = ["chromedriver", "chromium"].iter().all(|program| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if !found {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: no chromium or chromedriver, but REQUIRE_SERVICES=1"
        );
        eprintln!(
            "SKIPPED {test}: no chromium or chromedriver; tests/services/deps.sh browser installs them"
        );
    }
    found
}

impl Chromium {
    /// Starts one, headless, with an empty profile.
    pub async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().expect("chromedriver starts");
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let started = lines.map_while(Result::ok).find(|line| line.contains("started successfully on port"));
        let started = started.expect("chromedriver's first lines");
        let port: u16 = started
            .rsplit("port ")
            .next()
            .and_then(|rest| rest.trim_end_matches('.').parse().ok())
            .expect("a port");
        let profile = tempfile::tempdir().expect("a directory");
        let user_data = format!("--user-data-dir={}", profile.path().display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &user_data,
        ];
        let options = json!({"binary": chromium(), "args": args});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}});
        let http =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = http.post(&base).json(&capabilities).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {answer}"));
        let browser = answer["value"]["capabilities"]["goog:processID"].as_i64();
        let browser = browser.and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
        let browser = browser.unwrap_or_else(|| panic!("no process of the browser: {answer}"));
        Self { driver, browser, session: format!("{base}/{id}"), http, _profile: profile }
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer of chromedriver");
        let sound = answer.status().is_success();
        let mut value: Value = answer.json().await.expect("JSON");
        if sound { Ok(value["value"].take()) } else { Err(value["value"].take()) }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::POST, path, Some(body))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn get(&self, path: &str) -> Value {
        self.call(reqwest::Method::GET, path, None).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.get("/url").await.as_str().unwrap_or_default().to_owned()
    }

    /// What a person reads on the page.
    pub async fn text(&self) -> String {
        let script = json!({"script": "return document.body ? document.body.innerText : ''", "args": []});
        self.post("/execute/sync", script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says something.
    pub async fn says(&self, words: &str) -> String {
        let deadline = Instant::now() + WITHIN;
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return text;
            }
            assert!(Instant::now() < deadline, "{} does not say {words:?}: {text}", self.url().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Elements of the page now.
    pub async fn all(&self, using: &str, value: &str) -> Vec<String> {
        let found = self.post("/elements", json!({"using": using, "value": value})).await;
        let ids = found.as_array().into_iter().flatten().filter_map(|element| element[ELEMENT].as_str());
        ids.map(str::to_owned).collect()
    }

    async fn find(&self, using: &str, value: &str) -> String {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(found) = self.all(using, value).await.into_iter().next() {
                return found;
            }
            assert!(Instant::now() < deadline, "no {value} at {}: {}", self.url().await, self.text().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks on the first element that a selector finds.
    pub async fn click(&self, selector: &str) {
        let element = self.find("css selector", selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Clicks on a link with these words in it.
    pub async fn follow(&self, words: &str) {
        let element = self.find("partial link text", words).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.find("css selector", selector).await;
        self.post(&format!("/element/{element}/clear"), json!({})).await;
        self.post(&format!("/element/{element}/value"), json!({"text": text})).await;
    }

    /// Types into every field that a selector finds.
    pub async fn fill_all(&self, selector: &str, text: &str) {
        for element in self.all("css selector", selector).await {
            self.post(&format!("/element/{element}/value"), json!({"text": text})).await;
        }
    }

    /// Clicks on every link that a selector finds, each of which opens a tab, and closes those tabs again once they have
    /// been read.
    pub async fn open_each(&self, selector: &str) -> usize {
        let links = self.all("css selector", selector).await;
        let first = self.get("/window").await;
        for link in &links {
            self.post(&format!("/element/{link}/click"), json!({})).await;
        }
        self.close_others(&first).await;
        links.len()
    }

    /// Closes every tab but one, once they have been read; how many there were.
    async fn close_others(&self, first: &Value) -> usize {
        let windows = self.get("/window/handles").await;
        let others: Vec<_> =
            windows.as_array().into_iter().flatten().filter(|window| *window != first).collect();
        for window in &others {
            self.post("/window", json!({"handle": window})).await;
            // Answers when the tab has loaded.
            self.url().await;
            self.call(reqwest::Method::DELETE, "/window", None).await.expect("a closed tab");
        }
        self.post("/window", json!({"handle": first})).await;
        others.len()
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: &str) {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}))
            .await;
    }

    /// Presses the tab key until the focus is on what a selector finds.
    pub async fn tab_to(&self, selector: &str) {
        let script = json!({
            "script": "return !!document.activeElement && document.activeElement.matches(arguments[0])",
            "args": [selector],
        });
        for _ in 0..500 {
            self.press(TAB).await;
            if self.post("/execute/sync", script.clone()).await == true {
                return;
            }
        }
        panic!("no key leads to {selector} at {}", self.url().await);
    }

    /// Follows the link that has the focus into a tab of its own, which is read and closed.
    pub async fn open_focused(&self) {
        let first = self.get("/window").await;
        self.press(ENTER).await;
        let deadline = Instant::now() + WITHIN;
        while self.close_others(&first).await == 0 {
            assert!(Instant::now() < deadline, "the link opens no tab");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A command of the Chrome DevTools Protocol.
    pub async fn devtools(&self, cmd: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": cmd, "params": params})).await
    }

    /// What a screen reader is told of every control, picture and frame of the page: role and name.
    pub async fn controls(&self) -> Vec<(String, String)> {
        const ROLES: [&str; 9] =
            ["button", "link", "textbox", "checkbox", "radio", "combobox", "spinbutton", "image", "Iframe"];
        let tree = self.devtools("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().trim().to_owned();
        let seen = nodes.iter().filter(|node| node["ignored"] != true);
        let named = seen.map(|node| (text(&node["role"]), text(&node["name"])));
        named.filter(|(role, _)| ROLES.contains(&role.as_str())).collect()
    }

    /// Back, as the button does.
    pub async fn back(&self) {
        self.post("/back", json!({})).await;
    }

    /// Runs a script in the page.
    pub async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Forgets who logged in, everywhere.
    pub async fn forget(&self) {
        self.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    /// A picture of what is in sight, kept beside the build.
    pub async fn picture(&self, name: &str) {
        // Frames that have just come into sight are drawn a moment later.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let picture = self.get("/screenshot").await;
        let bytes = BASE64_STANDARD.decode(picture.as_str().unwrap_or_default()).expect("a picture");
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screens");
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(dir.join(format!("{name}.png")), bytes).expect("written");
    }
}

fn chromium() -> String {
    let found = std::env::var("PATH").unwrap_or_default();
    let found = found
        .split(':')
        .map(|dir| format!("{dir}/chromium"))
        .find(|path| std::path::Path::new(path).exists());
    found.expect("chromium is on PATH")
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // ChromeDriver does not always end its browser when it is told to end.
        let _ = rustix::process::kill_process(self.browser, rustix::process::Signal::KILL);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
