//! Who may call what, on a real node, with the tokens of an issuer that this test serves over HTTP.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use promotion_ledger::{
    api::authorize::allowed,
    clock::{Clock, SystemClock},
    event::proto::{Person, RevokeRequest, emitter_service_client::EmitterServiceClient},
    identity::{jwks::Keys, principal::Role},
};
use serde_json::{Value, json};
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::harness::{Directory, LogUnderTest, Node, run};

const API: &str = "promotion-ledger-api";

/// An identity provider: discovery and keys over HTTP, keys that can be rotated.
struct Issuer {
    url: String,
    /// How often its keys were asked for.
    asked: Arc<AtomicUsize>,
    keys: Arc<Mutex<Vec<(String, SigningKey)>>>,
}

impl Issuer {
    async fn start() -> Self {
        use axum::{Json, Router, routing::get};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let keys = Arc::new(Mutex::new(vec![("k1".to_owned(), SigningKey::from_bytes(&[1; 32]))]));
        let (shown, at) = (keys.clone(), url.clone());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let jwks = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let keys = shown.lock().expect("keys").iter().map(|(kid, key)| jwk(kid, key)).collect::<Vec<_>>();
            std::future::ready(Json(json!({ "keys": keys })))
        };
        let discovery =
            move || std::future::ready(Json(json!({"issuer": at, "jwks_uri": format!("{at}/jwks")})));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked, keys }
    }

    fn claims(&self, subject: &str) -> Value {
        let now = SystemClock.now() / 1_000_000;
        json!({"iss": self.url, "sub": subject, "aud": API, "iat": now, "exp": now + 300, "typ": "Bearer"})
    }

    fn token(&self, subject: &str) -> String {
        let (kid, key) = self.keys.lock().expect("keys").last().cloned().expect("a key");
        sign(&kid, &key, &self.claims(subject))
    }
}

fn jwk(kid: &str, key: &SigningKey) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": x})
}

fn sign(kid: &str, key: &SigningKey, claims: &Value) -> String {
    sign_with(&Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) }, key, claims)
}

fn sign_with(header: &Header, key: &SigningKey, claims: &Value) -> String {
    let der = key.to_pkcs8_der().expect("a key");
    encode(header, claims, &EncodingKey::from_ed_der(der.as_bytes())).expect("a token")
}

fn section(issuer: &str) -> String {
    let roles: Vec<_> =
        Role::ALL.iter().map(|role| format!("{0} = [\"subject:{0}\"]", role.name())).collect();
    format!(
        "\n[[identity.issuers]]\nurl = {issuer:?}\naudience = {API:?}\nalgorithms = [\"EdDSA\"]\nroles = {{ {} }}\n",
        roles.join(", ")
    )
}

/// A node that believes one issuer and has none of its own.
async fn node() -> (Directory, Node, Issuer, Channel) {
    let issuer = Issuer::start().await;
    let dir = Directory::init(&LogUnderTest::Embedded);
    dir.configure_without_development(&section(&issuer.url));
    let node = Node::serve(&dir.path());
    let channel = connect(&node.url).await;
    (dir, node, issuer, channel)
}

async fn connect(url: &str) -> Channel {
    Channel::from_shared(url.to_owned()).expect("an address").connect().await.expect("a node")
}

fn bearing<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    request
}

/// Calls a method with an empty message.
async fn call(channel: &Channel, method: &str, token: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("a connection");
    let request = token.map_or_else(|| Request::new(()), |token| bearing((), token));
    let path = method.parse().expect("a path");
    grpc.unary(request, path, ProstCodec::<(), ()>::default()).await.map(|_| ())
}

fn code(answer: &Result<(), Status>) -> Code {
    answer.as_ref().map_or_else(Status::code, |()| Code::Ok)
}

/// Every method of every service, as proto/ has them.
fn methods() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/promotion/v1");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("proto files") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        let mut service = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("service ") {
                service = rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
            if let Some(rest) = line.strip_prefix("rpc ") {
                let name = rest.split('(').next().unwrap_or_default();
                found.push(format!("/promotion.v1.{service}/{name}"));
            }
        }
    }
    found
}

#[test]
fn every_method_has_a_row_in_the_table_of_roles() {
    let methods = methods();
    assert!(methods.len() > 25, "{methods:?}");
    let missing: Vec<_> = methods.iter().filter(|method| allowed(method).is_none()).collect();
    assert!(missing.is_empty(), "src/api/authorize.rs has no row for {missing:?}");
    assert_eq!(allowed("/promotion.v1.EmitterService/Invented"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_calls_exactly_its_methods() {
    let (_dir, _node, issuer, channel) = node().await;
    let tokens: Vec<_> = Role::ALL.iter().map(|role| (*role, issuer.token(role.name()))).collect();
    let nobody = issuer.token("somebody without a role");
    let mut wrong = BTreeSet::new();
    for method in methods() {
        assert_eq!(code(&call(&channel, &method, None).await), Code::Unauthenticated, "{method}");
        assert_eq!(code(&call(&channel, &method, Some(&nobody)).await), Code::PermissionDenied, "{method}");
        for (role, token) in &tokens {
            let answer = call(&channel, &method, Some(token)).await;
            assert_ne!(code(&answer), Code::Unauthenticated, "{method} {role:?}: {answer:?}");
            let may = code(&answer) != Code::PermissionDenied;
            if may != allowed(&method).expect("a row").contains(role) {
                wrong.insert(format!("{method} {role:?}: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let invented = call(&channel, "/promotion.v1.EmitterService/Invented", Some(&tokens[0].1)).await;
    assert_eq!(code(&invented), Code::PermissionDenied);
    assert_eq!(code(&call(&channel, "/grpc.health.v1.Health/Check", None).await), Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_misused_tokens_are_refused_each_with_its_reason() {
    let (_dir, _node, issuer, channel) = node().await;
    let key = SigningKey::from_bytes(&[1; 32]);
    let now = SystemClock.now() / 1_000_000;
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims("auditor");
        claims[name] = value;
        sign("k1", &key, &claims)
    };
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.AA", part(json!({"alg": "none", "kid": "k1"})), part(issuer.claims("auditor")));
    let mut hs = Header::new(Algorithm::HS256);
    hs.kid = Some("k1".into());
    let secret = EncodingKey::from_secret(key.verifying_key().as_bytes());
    let confused = encode(&hs, &issuer.claims("auditor"), &secret).expect("a token");
    let other = SigningKey::from_bytes(&[9; 32]);
    let mut jku = Header { kid: Some("evil".into()), ..Header::new(Algorithm::EdDSA) };
    jku.jku = Some("https://evil.example/jwks".into());
    let attacks = [
        (none, "signed with none"),
        (confused, "signed with HS256"),
        (with("aud", json!("promotion-ledger-review")), "is for the audience"),
        (with("exp", json!(now - 61)), "expired at"),
        (with("nbf", json!(now + 120)), "is not valid before"),
        (with("typ", json!("ID")), "no access token"),
        (with("iss", json!("https://evil.example")), "no configured issuer"),
        (sign("k9", &other, &issuer.claims("auditor")), "signed with the key \"k9\""),
        (sign("k1", &other, &issuer.claims("auditor")), "does not verify"),
        (sign_with(&jku, &other, &issuer.claims("auditor")), "signed with the key \"evil\""),
        ("not a token".into(), "no configured issuer"),
    ];
    for (token, reason) in attacks {
        let refused = call(&channel, "/promotion.v1.AuditorService/GetStatus", Some(&token)).await;
        let status = refused.expect_err(reason);
        assert_eq!(status.code(), Code::Unauthenticated, "{reason}: {status}");
        assert!(status.message().contains(reason), "{reason:?} is not in {:?}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_keys_are_found_and_withdrawn_ones_no_longer_verify() {
    const STATUS: &str = "/promotion.v1.AuditorService/GetStatus";
    let (_dir, _node, issuer, channel) = node().await;
    let before = issuer.token("auditor");
    assert_eq!(code(&call(&channel, STATUS, Some(&before)).await), Code::Ok);
    *issuer.keys.lock().expect("keys") = vec![("k2".into(), SigningKey::from_bytes(&[2; 32]))];
    let after = issuer.token("auditor");
    // Not asked for more often than every five seconds.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(code(&call(&channel, STATUS, Some(&after)).await), Code::Ok);
    let withdrawn = call(&channel, STATUS, Some(&before)).await.expect_err("a withdrawn key");
    assert!(withdrawn.message().contains("does not have"), "{withdrawn}");
}

/// Who invents key ids makes this node ask no issuer for them again and again, and holds up nobody whose key is known.
#[tokio::test(flavor = "multi_thread")]
async fn invented_key_ids_are_no_way_to_attack_an_issuer() {
    const STATUS: &str = "/promotion.v1.AuditorService/GetStatus";
    let (_dir, _node, issuer, channel) = node().await;
    let other = SigningKey::from_bytes(&[9; 32]);
    let flood = async || {
        let calls = (0..64).map(|n| {
            let token = sign(&format!("invented-{n}"), &other, &issuer.claims("auditor"));
            let channel = channel.clone();
            tokio::spawn(async move { call(&channel, STATUS, Some(&token)).await })
        });
        for answer in calls.collect::<Vec<_>>() {
            assert_eq!(code(&answer.await.expect("an answer")), Code::Unauthenticated);
        }
    };
    // All at once before any key is known: one question, for whose answer the others wait; then none for five seconds.
    let began = std::time::Instant::now();
    flood().await;
    flood().await;
    assert_eq!(code(&call(&channel, STATUS, Some(&issuer.token("auditor"))).await), Code::Ok);
    let asked = issuer.asked.load(Ordering::SeqCst);
    let pauses = usize::try_from(began.elapsed().as_secs() / 5).expect("few");
    assert!((1..=1 + pauses).contains(&asked), "asked {asked} times in {:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(6)).await;
    flood().await;
    assert!(issuer.asked.load(Ordering::SeqCst) > asked, "a key that is new by now would not be found");
}

/// An issuer that answers something else than its keys has none, whatever it answers, and is not asked again at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_answers_wrongly_gives_no_keys() {
    use axum::{
        Router,
        extract::Path,
        http::StatusCode,
        response::{IntoResponse as _, Json, Redirect, Response},
        routing::get,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let (at, asked) = (base.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    let discovery = move |Path(case): Path<String>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let said =
            |issuer: String, keys: String| Json(json!({"issuer": issuer, "jwks_uri": keys})).into_response();
        let own = format!("{at}/{case}");
        let answer: Response = match case.as_str() {
            "another" => said(format!("{at}/sound"), format!("{at}/sound/jwks")),
            "clear" => said(own, "http://keys.example.bank/jwks".into()),
            "moved" => {
                Redirect::temporary(&format!("{at}/sound/.well-known/openid-configuration")).into_response()
            }
            "nonsense" => "<html>".into_response(),
            "away" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => said(own.clone(), format!("{own}/jwks")),
        };
        std::future::ready(answer)
    };
    let jwks = |Path(case): Path<String>| {
        let key = |n: usize| jwk(&format!("k{n}"), &SigningKey::from_bytes(&[1; 32]));
        let keys: Vec<_> = (0..if case == "many" { 101 } else { 100 }).map(key).collect();
        let padding = if case == "large" { "x".repeat(256 * 1024) } else { String::new() };
        std::future::ready(Json(json!({"keys": keys, "padding": padding})))
    };
    let router = Router::new()
        .route("/{case}/.well-known/openid-configuration", get(discovery))
        .route("/{case}/jwks", get(jwks));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let keys = |case: &str| Keys::new(&format!("{base}/{case}"), None, None).expect("a client");
    assert_eq!(keys("sound").with("k7").await.expect("keys").keys.len(), 100);
    for (case, words) in [
        ("another", "is about"),
        ("clear", "neither https nor http on loopback"),
        ("moved", "answers 307"),
        ("nonsense", "openid-configuration"),
        ("away", "answers 503"),
        ("many", "more than 100 keys"),
        ("large", "answers more than"),
    ] {
        let keys = keys(case);
        let why = keys.with("k7").await.expect_err(case).to_string();
        assert!(why.contains(words), "{case}: {why}");
        let before = asked.load(Ordering::SeqCst);
        let why = keys.with("k7").await.expect_err(case).to_string();
        assert!(why.contains("did not answer a moment ago"), "{case}: {why}");
        assert_eq!(asked.load(Ordering::SeqCst), before, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_in_the_name_of_somebody_else() {
    let (dir, node, issuer, channel) = node().await;
    let mut emitter = EmitterServiceClient::new(channel);
    let token = issuer.token("emitter");
    let mut revoke = async |actor: Option<Person>| {
        let request =
            RevokeRequest { promoted_seq: 7, actor, reason: "wrong data".into(), request_id: "r-1".into() };
        emitter.revoke(bearing(request, &token)).await.expect_err("there is no such entry").code()
    };
    let person = |subject: &str| {
        Some(Person { issuer: issuer.url.clone(), subject: subject.into(), name: String::new() })
    };
    assert_eq!(revoke(person("operator")).await, Code::PermissionDenied);
    assert_eq!(revoke(person("emitter")).await, Code::NotFound);
    assert_eq!(revoke(None).await, Code::NotFound);

    let file = dir.path().join("token");
    std::fs::write(&file, issuer.token("auditor")).expect("a token file");
    let file = file.display().to_string();
    let status = |url: &str, arguments: &[&str]| run(&[&["status", "--url", url], arguments].concat());
    assert!(status(&node.url, &["--token-file", &file]).status.success());
    let refused = status(&node.url, &[]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--token-file"));
    // Never in clear over a network.
    let clear = status("http://ledger.example.bank:7420", &["--token-file", &file]);
    let said = String::from_utf8_lossy(&clear.stderr).into_owned();
    assert!(clear.status.code() == Some(2) && said.contains("not sent in clear"), "{said}");
}

/// Every route over HTTP: open ones hold nobody's data, all others need a role.
#[tokio::test(flavor = "multi_thread")]
async fn each_route_over_http_is_open_or_needs_a_role() {
    use Role::{Auditor, Emitter, Gate, Operator};
    const GATES: &[Role] = &[Emitter, Auditor, Gate, Operator];
    let (_dir, node, issuer, _) = node().await;
    let http = reqwest::Client::new();
    let get = |path: &str, token: Option<String>| {
        let request = http.get(format!("{}{path}", node.http));
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        async move { request.send().await.expect("an answer").status().as_u16() }
    };
    for path in ["/healthz", "/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1"] {
        assert_eq!(get(path, None).await, 200, "{path}");
    }
    let digest = "ab".repeat(32);
    let check = format!("/gate/v1/check?environment=production&artifact={digest}");
    let routes: [(&str, &[Role]); 6] = [
        (&check, GATES),
        ("/gate/v1/status-list?environment=production", GATES),
        ("/", &[Auditor]),
        ("/promotions/1/", &[Auditor]),
        ("/promotions/compare?a=1&b=2", &[Auditor]),
        ("/promotions/1/artefacts/00.html", &[Auditor]),
    ];
    for (path, roles) in routes {
        assert_eq!(get(path, None).await, 401, "{path} without a token");
        assert_eq!(get(path, Some(issuer.token("nobody"))).await, 403, "{path} without a role");
        for role in Role::ALL {
            let code = get(path, Some(issuer.token(role.name()))).await;
            assert_ne!(code, 401, "{path} {role:?}");
            // The gate says 403 for what may not run, too.
            if path != check {
                assert_eq!(code != 403, roles.contains(&role), "{path} {role:?}: {code}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_two_issuers_are_not_mixed_up() {
    const STATUS: &str = "/promotion.v1.AuditorService/GetStatus";
    let (one, two) = (Issuer::start().await, Issuer::start().await);
    *two.keys.lock().expect("keys") = vec![("k1".into(), SigningKey::from_bytes(&[5; 32]))];
    let dir = Directory::init(&LogUnderTest::Embedded);
    dir.configure_without_development(&(section(&one.url) + &section(&two.url)));
    let node = Node::serve(&dir.path());
    let channel = connect(&node.url).await;
    for issuer in [&one, &two] {
        assert_eq!(code(&call(&channel, STATUS, Some(&issuer.token("auditor"))).await), Code::Ok);
    }
    // The same key id, but the other issuer's key.
    let crossed = sign("k1", &SigningKey::from_bytes(&[5; 32]), &one.claims("auditor"));
    let refused = call(&channel, STATUS, Some(&crossed)).await.expect_err("another issuer's key");
    assert!(refused.message().contains("does not verify"), "{refused}");
    // The second one rotates; the first one's keys are untouched.
    *two.keys.lock().expect("keys") = vec![("k2".into(), SigningKey::from_bytes(&[6; 32]))];
    tokio::time::sleep(Duration::from_secs(6)).await;
    for issuer in [&one, &two] {
        assert_eq!(code(&call(&channel, STATUS, Some(&issuer.token("auditor"))).await), Code::Ok);
    }
}

/// The development issuer is for this machine and for trying things out: elsewhere a node does not start with it, and
/// without any issuer none starts.
#[test]
fn a_node_starts_only_with_an_issuer_that_fits() {
    let serve = |dir: &Directory, environment: &[(&str, &str)]| {
        let mut command = crate::harness::binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(dir.path());
        command.envs(environment.iter().copied());
        let output = command.output().expect("the binary runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let dir = Directory::init(&LogUnderTest::Embedded);
    let said = serve(&dir, &[("PROMOTION_LEDGER_PROFILE", "production")]);
    assert!(
        said.contains("identity.development lets whoever reads") && said.contains("embedded_approvals"),
        "{said}"
    );
    let beyond =
        [("PROMOTION_LEDGER_HTTP__LISTEN", "0.0.0.0:0"), ("PROMOTION_LEDGER_LISTEN_BEYOND_LOOPBACK", "true")];
    let said = serve(&dir, &beyond);
    assert!(said.contains("identity.development is for this machine only"), "{said}");
    dir.configure_without_development("");
    let said = serve(&dir, &[]);
    assert!(said.contains("nobody could call this node"), "{said}");
}

/// What a pipeline gets from `token`: exactly its roles, for a while; a login opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_development_issuer_has_the_roles_that_were_asked_for() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let node = Node::serve(&dir.path());
    let channel = connect(&node.url).await;
    let token = |arguments: &[&str]| {
        let at = dir.path().display().to_string();
        let output = run(&[&["token", "--dir", &at, "--as", "svc-train"][..], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let emitter = token(&["--role", "emitter"]);
    for (method, expected) in [
        ("/promotion.v1.EmitterService/Promote", Code::InvalidArgument),
        ("/promotion.v1.AuditorService/ReadChain", Code::PermissionDenied),
    ] {
        assert_eq!(code(&call(&channel, method, Some(&emitter)).await), expected, "{method}");
    }
    // A nonce may begin with a hyphen.
    let login = token(&["--login", "--nonce", "-psBZRLd2oI", "--group", "model-risk"]);
    let refused = call(&channel, "/promotion.v1.AuditorService/GetStatus", Some(&login)).await;
    assert_eq!(code(&refused), Code::Unauthenticated, "a stored login must open nothing");
    let other = Directory::init(&LogUnderTest::Embedded);
    let _started = Node::serve(&other.path());
    let foreign = run(&["token", "--dir", &other.path().display().to_string()]);
    let foreign = String::from_utf8_lossy(&foreign.stdout).trim().to_owned();
    let refused = call(&channel, "/promotion.v1.AuditorService/GetStatus", Some(&foreign)).await;
    assert_eq!(code(&refused), Code::Unauthenticated, "another node's development issuer");
}

/// Who opens what is sealed is in the log, by the name that the issuer vouches for; only auditors open anything.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_is_a_log_line_with_the_caller() {
    let (dir, node, issuer, _channel) = node().await;
    let show = |role: &str| {
        let file = dir.path().join(format!("token-{role}"));
        std::fs::write(&file, issuer.token(role)).expect("a token file");
        run(&["show", "0", "--unseal", "--url", &node.url, "--token-file", &file.display().to_string()])
    };
    assert!(show("auditor").status.success());
    for other in ["operator", "emitter", "approver", "gate"] {
        let refused = show(other);
        assert!(!refused.status.success(), "{other}");
    }
    let said = node.stop_and_tell();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("promotion_ledger::sealed")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(&format!("auditor of {}", issuer.url)) && lines[0].contains("entry 0"),
        "{lines:?}"
    );
}
