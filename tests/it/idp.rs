//! An identity provider whose answers a test decides, and a browser that keeps cookies. Both are real HTTP on loopback:
//! discovery, keys, authorization code flow with PKCE, ID tokens signed with a key of its own.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use promotion_ledger::{
    clock::{Clock, SystemClock},
    event::digest::sha256,
    identity::development::{API_AUDIENCE, Config as IssuerConfig, Development, key_id},
};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::harness::{Client, somebody};

/// The client as which approvers log in.
pub const CLIENT: &str = "promotion-ledger";

struct Inner {
    url: String,
    key: SigningKey,
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
    groups: Mutex<HashMap<String, Vec<String>>>,
    changes: Mutex<Value>,
    asked: Mutex<Vec<HashMap<String, String>>>,
}

/// The provider.
#[derive(Clone)]
pub struct Idp(Arc<Inner>);

impl Idp {
    /// Starts one; it ends with the test's runtime.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let inner = Inner {
            url,
            key: SigningKey::from_bytes(&[78; 32]),
            codes: Mutex::default(),
            groups: Mutex::default(),
            changes: Mutex::new(json!({})),
            asked: Mutex::default(),
        };
        let idp = Self(Arc::new(inner));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(idp.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        idp
    }

    /// Its issuer identifier.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// What a node's configuration says of it.
    pub fn config(&self) -> String {
        format!(
            "\n[[logins]]\nissuer = \"{0}\"\nclient_id = \"{CLIENT}\"\nalgorithms = [\"EdDSA\"]\n[[identity.issuers]]\nurl = \"{0}\"\naudience = \"{API_AUDIENCE}\"\nalgorithms = [\"EdDSA\"]\nroles = {{ emitter = [\"group:role:emitter\"], auditor = [\"group:role:auditor\"], approver = [\"group:role:approver\"] }}\n",
            self.0.url
        )
    }

    /// A client of one of its people, for calls of the API.
    pub async fn client(&self, node: &str, subject: &str) -> Client {
        let config = IssuerConfig { issuer: self.0.url.clone(), people: Vec::new() };
        let issuer = Development::new(&config, &self.0.key).expect("an issuer");
        Client::of(node, issuer, somebody(subject)).await
    }

    /// An access token of one of its people, with every role that it gives.
    pub fn access_token(&self, subject: &str) -> String {
        let config = IssuerConfig { issuer: self.0.url.clone(), people: Vec::new() };
        let issuer = Development::new(&config, &self.0.key).expect("an issuer");
        issuer.access_token(&somebody(subject), SystemClock.now(), 600).expect("a token")
    }

    /// The groups of somebody from now on; who is not named is in `model-risk`.
    pub fn groups(&self, who: &str, groups: &[&str]) {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self.0.groups.lock().expect("a lock").insert(who.into(), groups);
    }

    /// Claims that the next ID tokens have instead of their own.
    pub fn changes(&self, changes: Value) {
        *self.0.changes.lock().expect("a lock") = changes;
    }

    /// What authorization requests asked, in their order.
    pub fn asked(&self) -> Vec<HashMap<String, String>> {
        self.0.asked.lock().expect("a lock").clone()
    }

    /// An ID token of a login just now.
    pub fn id_token(&self, who: &str, nonce: &str) -> String {
        let now = SystemClock.now() / 1_000_000;
        let groups = self.0.groups.lock().expect("a lock").get(who).cloned();
        let mut claims = json!({
            "iss": self.0.url, "sub": who, "aud": CLIENT, "azp": CLIENT, "exp": now + 300, "iat": now,
            "auth_time": now, "nonce": nonce, "acr": "mfa", "amr": ["pwd", "otp"], "name": format!("Name of {who}"),
            "groups": groups.unwrap_or_else(|| vec!["model-risk".into()]),
        });
        for (name, value) in self.0.changes.lock().expect("a lock").as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) };
        let der = self.0.key.to_pkcs8_der().expect("a key");
        encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).expect("a token")
    }
}

async fn discovery(State(idp): State<Idp>) -> Json<Value> {
    let url = &idp.0.url;
    Json(json!({
        "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "code_challenge_methods_supported": ["S256"],
    }))
}

async fn keys(State(idp): State<Idp>) -> Json<Value> {
    let x = BASE64_URL_SAFE_NO_PAD.encode(idp.0.key.verifying_key().as_bytes());
    let jwk =
        |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": x});
    // Under two names: of logins, and of access tokens, which the development issuer's code makes here.
    Json(json!({"keys": [jwk("k1"), jwk(&key_id(&idp.0.key.verifying_key()))]}))
}

/// There is no page: who logs in stands in the request, put there by [`Browser`].
async fn authorize(State(idp): State<Idp>, Query(asked): Query<HashMap<String, String>>) -> Response {
    let number = {
        let mut all = idp.0.asked.lock().expect("a lock");
        all.push(asked.clone());
        all.len()
    };
    let text = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let sound = text("response_type") == "code"
        && text("client_id") == CLIENT
        && text("code_challenge_method") == "S256"
        && !text("code_challenge").is_empty()
        && text("scope").split(' ').any(|scope| scope == "openid");
    if !sound {
        return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
    }
    let mut back = reqwest::Url::parse(&text("redirect_uri")).expect("an address");
    back.query_pairs_mut().append_pair("state", &text("state"));
    if text("login_as") == "nobody" {
        back.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair("error_description", "<b>cancelled</b>");
    } else {
        let code = format!("code-{number}");
        back.query_pairs_mut().append_pair("code", &code).append_pair("iss", &idp.0.url);
        idp.0.codes.lock().expect("a lock").insert(code, asked);
    }
    Redirect::to(back.as_str()).into_response()
}

async fn token(State(idp): State<Idp>, Form(form): Form<HashMap<String, String>>) -> Response {
    let text = |name: &str| form.get(name).cloned().unwrap_or_default();
    // A code is good once (RFC 6749 section 4.1.2).
    let asked = idp.0.codes.lock().expect("a lock").remove(&text("code"));
    let refused = |why: &str| {
        let body = json!({"error": "invalid_grant", "error_description": why});
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    };
    let Some(asked) = asked else { return refused("the code is used up") };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha256(text("code_verifier").as_bytes()).0);
    if asked.get("code_challenge") != Some(&challenge) {
        return refused("PKCE");
    }
    if asked.get("redirect_uri") != Some(&text("redirect_uri")) {
        return refused("redirect_uri");
    }
    let (who, nonce) = (asked["login_as"].clone(), asked["nonce"].clone());
    let id_token = idp.id_token(&who, &nonce);
    Json(json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}))
        .into_response()
}

/// A page as a browser has it.
#[derive(Debug)]
pub struct Page {
    /// Where it ended, after redirects.
    pub url: String,
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: header::HeaderMap,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Page {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ascii")).to_owned()
    }

    /// Fails with the page where it does not say something.
    #[track_caller]
    pub fn says(&self, status: u16, words: &str) -> &Self {
        assert!(
            self.status == status && self.text().contains(words),
            "{} at {} does not say {words:?} with {status}: {}",
            self.status,
            self.url,
            self.text().split("<main").nth(1).unwrap_or(&self.text())
        );
        self
    }

    /// The address of the first link whose words begin with these.
    #[track_caller]
    pub fn link(&self, words: &str) -> String {
        let text = self.text();
        let link = text
            .split("<a ")
            .skip(1)
            .find(|link| link.split_once('>').is_some_and(|(_, rest)| rest.starts_with(words)));
        let link = link.unwrap_or_else(|| panic!("no link {words:?} on {}: {text}", self.url));
        let href = link.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an address");
        self.at(&href.replace("&amp;", "&"))
    }

    /// A relative address on this page.
    pub fn at(&self, path: &str) -> String {
        reqwest::Url::parse(&self.url).expect("an address").join(path).expect("an address").to_string()
    }
}

/// Somebody's browser: cookies by host, redirects followed, and its person at the provider.
pub struct Browser {
    http: reqwest::Client,
    /// Who logs in with it.
    pub who: String,
    /// By host and port.
    pub cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    /// With no cookies.
    pub fn of(who: &str) -> Self {
        Self::trusting(who, None)
    }

    /// The same; it believes a certificate (PEM) that no public authority vouches for.
    pub fn trusting(who: &str, certificate: Option<&[u8]>) -> Self {
        let mut http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        if let Some(pem) = certificate {
            http = http.add_root_certificate(reqwest::Certificate::from_pem(pem).expect("a certificate"));
        }
        Self { http: http.build().expect("a client"), who: who.into(), cookies: BTreeMap::new() }
    }

    /// One request, no redirects.
    pub async fn ask(&mut self, method: Method, url: &str, headers: &[(&str, &str)], form: &str) -> Page {
        let parsed = reqwest::Url::parse(url).expect("an address");
        let authority = parsed.authority().to_owned();
        let mut request = self.http.request(method.clone(), parsed);
        let jar = self.cookies.entry(authority).or_default();
        if !jar.is_empty() {
            let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if method == Method::POST {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.to_owned());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        for set in answer.headers().get_all(header::SET_COOKIE) {
            let set = set.to_str().expect("ascii");
            let (name, value) =
                set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            jar.insert(name.into(), value.into());
        }
        Page {
            url: url.into(),
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            bytes: answer.bytes().await.expect("bytes").to_vec(),
        }
    }

    /// Opens an address and follows where it leads; at the provider its person logs in.
    pub async fn open(&mut self, url: &str) -> Page {
        let mut url = url.to_owned();
        for _ in 0..12 {
            if url.contains("/authorize?") {
                url.push_str(&format!("&login_as={}", self.who));
            }
            let page = self.ask(Method::GET, &url, &[("accept", "text/html")], "").await;
            if !(300..400).contains(&page.status) {
                return page;
            }
            url = page.at(&page.header("location"));
        }
        panic!("{url}: redirected without an end");
    }

    /// Sends a form from a page, as a browser does.
    pub async fn post(&mut self, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let form = reqwest::Url::parse_with_params("http://form/", fields).expect("a form");
        let origin = reqwest::Url::parse(&page.url).expect("an address").origin().ascii_serialization();
        let body = form.query().unwrap_or_default().to_owned();
        self.ask(Method::POST, &page.at(path), &[("origin", &origin)], &body).await
    }
}
