//! A node with TLS of its own: who is vouched for is believed, and nothing is said in clear. Services that call by a client
//! certificate: who the configuration names, and nobody else.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use promotion_ledger::event::{
    Header, Kind, canonical,
    digest::sha256,
    proto::{
        GetStatusRequest, ListEntriesRequest, SetLegalHoldRequest, StatEvidenceRequest,
        auditor_service_client::AuditorServiceClient, body::Event,
        custodian_service_client::CustodianServiceClient, emitter_service_client::EmitterServiceClient,
    },
};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

use crate::{
    click::configure,
    harness::{Directory, LogUnderTest, Node, binary, run},
    idp::{Browser, Idp},
};

/// A node's own certificate, which the `--ca-file` names as it is: no authority, so it vouches for nothing else.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    let settings = dir.join("tls.cnf");
    let text = "[req]\ndistinguished_name = dn\nx509_extensions = extensions\n[dn]\n[extensions]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n";
    std::fs::write(&settings, text).expect("written");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=127.0.0.1", "-config"])
        .arg(&settings)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_certificate_is_called_over_tls_only() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let (cert, key) = certificate(&dir.path());
    let file = dir.path().join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("{config}\n[tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n"))
        .expect("written");

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let refused = binary().args(["serve", "--dir"]).arg(dir.path()).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("tls.key_file"), "{refused:?}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("a mode");

    let node = Node::serve(&dir.path());
    let (secure, clear) = (node.url.replace("http:", "https:"), node.url.clone());
    let token = dir.path().join("token");
    let made = run(&["token", "--dir", &dir.path().display().to_string(), "--role", "auditor"]);
    std::fs::write(&token, made.stdout).expect("written");
    let (cert, token) = (cert.display().to_string(), token.display().to_string());
    let list = |url: &str, more: &[&str]| {
        run(&[&["list", "--url", url, "--token-file", &token, "--format", "json"], more].concat())
    };
    let listed = list(&secure, &["--ca-file", &cert]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"as_of_size\":1"), "{listed:?}");
    let stranger = list(&secure, &[]);
    assert_eq!(stranger.status.code(), Some(3), "{stranger:?}");
    assert!(String::from_utf8_lossy(&stranger.stdout).contains("--ca-file"), "{stranger:?}");
    assert_ne!(list(&clear, &[]).status.code(), Some(0), "in clear");
    let none = list(&secure, &["--ca-file", "/nonexistent"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_the_gate_are_served_over_tls_with_the_same_certificate() {
    let idp = Idp::start().await;
    let dir = Directory::init(&LogUnderTest::Embedded);
    let (cert, _) = certificate(&dir.path());
    let file = dir.path().join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    let without = config.replace("[http]\n", "[http]\ntls = true\n");
    assert_ne!(without, config);
    std::fs::write(&file, &without).expect("written");
    let refused = binary().args(["serve", "--dir"]).arg(dir.path()).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("http.tls = true needs [tls]"), "{refused:?}");
    configure(&dir, "\n[tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n");
    configure(&dir, &idp.config());
    let node = Node::serve(&dir.path());
    let pem = std::fs::read(&cert).expect("a certificate");
    let https = node.http.replace("http:", "https:");

    // Nothing in clear, and nobody believes a certificate that nobody vouches for.
    let trusting = reqwest::Client::builder()
        .no_proxy()
        .add_root_certificate(reqwest::Certificate::from_pem(&pem).expect("a certificate"))
        .build()
        .expect("a client");
    assert!(trusting.get(format!("{}/healthz", node.http)).send().await.is_err(), "in clear");
    let stranger = reqwest::Client::builder().no_proxy().build().expect("a client");
    assert!(stranger.get(format!("{https}/healthz")).send().await.is_err(), "no authority vouches for it");
    let healthy = trusting.get(format!("{https}/healthz")).send().await.expect("an answer");
    assert_eq!(healthy.status(), 200);
    // The gate, by a token; the auditors' pages too.
    let gate = format!("{https}/gate/v1/check?environment=production&artifact=sha256:{}", "5f".repeat(32));
    let asked = trusting.get(&gate).send().await.expect("an answer");
    assert_eq!(asked.status(), 401);
    let asked = trusting.get(&gate).bearer_auth(node.token("pipeline")).send().await.expect("an answer");
    assert_eq!(asked.status(), 403, "nothing was promoted");
    let home = trusting.get(format!("{https}/")).bearer_auth(node.token("auditor")).send().await;
    assert_eq!(home.expect("an answer").status(), 200);

    // People come back from their login to https, and their cookies never leave it.
    let mut ada = Browser::trusting("ada", Some(&pem));
    let login = ada.open(&format!("{https}/inbox")).await;
    let inbox = ada.open(&login.link("Log in at")).await;
    inbox.says(200, "Inbox of Name of ada");
    assert!(inbox.url.starts_with(&https), "{}", inbox.url);
    let asked = idp.asked().last().cloned().expect("a login");
    assert_eq!(asked["redirect_uri"], format!("{https}/login/callback"));
    let host = https.trim_start_matches("https://");
    assert!(ada.cookies[host].contains_key("__Host-promotion-ledger-session"), "{:?}", ada.cookies);
    node.stop();
}

/// The alert of a node about its certificate, asked by who trusts `trusted`.
async fn certificate_alert(trusted: &Path, url: &str, token: &str) -> Option<String> {
    let channel = connected(trusted, url, None).await.expect("a connection");
    let mut request = Request::new(GetStatusRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let status = AuditorServiceClient::new(channel).get_status(request).await.expect("a status").into_inner();
    status.alerts.into_iter().find(|alert| alert.name == "tls").map(|alert| alert.description)
}

async fn until<T>(what: &str, asked: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        if let Some(found) = asked().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in 40 s");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_serves_new_connections_and_a_broken_one_is_an_alert() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let at = dir.path();
    let certificates = ["first", "second"].map(|name| {
        let own = at.join(name);
        std::fs::create_dir(&own).expect("a directory");
        certificate(&own);
        own
    });
    let [first, second] = &certificates;
    // Each file on its own, as tools do that know nothing of each other.
    let put = |cert: &Path, key: &Path| {
        std::fs::copy(cert.join("tls.crt"), at.join("tls.crt")).expect("copied");
        std::fs::copy(key.join("tls.key"), at.join("tls.key")).expect("copied");
    };
    put(first, first);
    let file = at.join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, config.replace("[http]\n", "[http]\ntls = true\n")).expect("written");
    configure(&dir, "\n[tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n");
    let node = Node::serve(&at);
    let (url, https) = (node.url.replace("http:", "https:"), node.http.replace("http:", "https:"));
    let token = node.token("anybody");
    // Whether who trusts this certificate alone is served: over gRPC, over HTTP.
    let served = async |trusted: &Path| {
        let pem = std::fs::read(trusted.join("tls.crt")).expect("a certificate");
        let root = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        let http =
            reqwest::Client::builder().no_proxy().add_root_certificate(root).build().expect("a client");
        let healthy = http.get(format!("{https}/healthz")).send().await.is_ok();
        (connected(trusted, &url, None).await.is_ok(), healthy)
    };
    assert_eq!((served(first).await, served(second).await), ((true, true), (false, false)));
    let before = connected(first, &url, None).await.expect("a connection");
    stat(&before, Some(&token)).await.expect("an answer");

    put(second, second);
    until("the renewed certificate", async || (served(second).await == (true, true)).then_some(())).await;
    assert_eq!(served(first).await, (false, false));
    stat(&before, Some(&token)).await.expect("a connection from before goes on");
    // What a look between the two files found is over with the next one.
    let alert = async || certificate_alert(second, &url, &token).await;
    until("no alert", async || alert().await.is_none().then_some(())).await;

    // Files that cannot be used: the one before stays, and somebody is told which and why.
    std::fs::write(at.join("tls.key"), "no key").expect("written");
    let words = until("an alert", alert).await;
    assert!(words.contains("tls.key_file tls.key holds no key") && words.contains("before"), "{words}");
    assert_eq!(served(second).await, (true, true));
    put(first, second);
    let other = async || alert().await.filter(|words| words.contains("its key cannot be used"));
    until("an alert of a pair that is none", other).await;
    std::fs::remove_file(at.join("tls.crt")).expect("removed");
    until("an alert of a file that is gone", async || {
        alert().await.filter(|it| it.contains("tls.cert_file"))
    })
    .await;
    assert_eq!((served(first).await, served(second).await), ((false, false), (true, true)));
    put(second, second);
    until("no alert", async || alert().await.is_none().then_some(())).await;
    node.stop();
}

fn openssl(dir: &Path, args: &[&str]) {
    let made = Command::new("openssl").current_dir(dir).args(args).output().expect("openssl");
    assert!(made.status.success(), "{args:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority of its own, `<name>.crt` and `<name>.key`.
fn authority(dir: &Path, name: &str) {
    let (key, cert, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let args = [&["req", "-x509"], &curve[..], &["-subj", &subject, "-keyout", &key, "-out", &cert]].concat();
    openssl(dir, &args);
}

/// A client's certificate and key, `<name>.crt` and `<name>.key`.
fn issued(dir: &Path, by: &str, name: &str, alternative: &str) {
    let (key, request, cert) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
        dir,
        &[&["req", "-new"], &curve[..], &["-subj", "/CN=client", "-keyout", &key, "-out", &request]].concat(),
    );
    let settings = format!("{name}.cnf");
    std::fs::write(
        dir.join(&settings),
        format!("subjectAltName = {alternative}\nextendedKeyUsage = clientAuth\n"),
    )
    .expect("written");
    let (ca, ca_key) = (format!("{by}.crt"), format!("{by}.key"));
    let signed = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "2", "-extfile", &settings];
    openssl(dir, &[&["x509", "-req", "-in", &request, "-out", &cert], &signed[..]].concat());
}

/// A connection with somebody's certificate, or with none.
async fn connected(dir: &Path, url: &str, name: Option<&str>) -> Result<Channel, tonic::transport::Error> {
    let read = |file: String| std::fs::read(dir.join(file)).expect("a file");
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("tls.crt".into())));
    if let Some(name) = name {
        let identity = Identity::from_pem(read(format!("{name}.crt")), read(format!("{name}.key")));
        tls = tls.identity(identity);
    }
    Channel::from_shared(url.to_owned()).expect("an address").tls_config(tls)?.connect().await
}

async fn stat(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(StatEvidenceRequest { sha256: vec![7; 32] });
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
    }
    EmitterServiceClient::new(channel.clone()).stat_evidence(request).await.map(drop)
}

#[track_caller]
fn says(answer: Result<(), Status>, code: Code, words: &str) {
    let status = answer.expect_err("a refusal");
    assert!(status.code() == code && status.message().contains(words), "{status:?} does not say {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_known_by_its_client_certificate_and_nobody_else_is() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let at = dir.path();
    certificate(&at);
    authority(&at, "pki");
    authority(&at, "other");
    issued(&at, "pki", "train", "URI:spiffe://example.bank/pipeline/train");
    issued(&at, "pki", "unmapped", "URI:spiffe://example.bank/pipeline/train2");
    issued(&at, "pki", "both", "URI:spiffe://example.bank/pipeline/train,DNS:gate.example.bank");
    issued(&at, "pki", "pinned", "DNS:ops.example.bank");
    issued(&at, "other", "stranger", "URI:spiffe://example.bank/pipeline/train");
    let der = Command::new("openssl")
        .current_dir(&at)
        .args(["x509", "-in", "pinned.crt", "-outform", "DER"])
        .output();
    let fingerprint = sha256(&der.expect("openssl").stdout).to_string();
    let table = format!(
        r#"
[tls]
cert_file = "tls.crt"
key_file = "tls.key"
client_ca_file = "pki.crt"
client_issuer = "https://pki.example.bank"
[[tls.identities]]
uri = "spiffe://example.bank/pipeline/train"
subject = "svc-train"
roles = ["emitter"]
[[tls.identities]]
dns = "gate.example.bank"
subject = "svc-gate"
roles = ["gate"]
[[tls.identities]]
fingerprint = "{fingerprint}"
subject = "svc-ops"
roles = ["operator"]
"#
    );
    // A certificate must not be able to act as one of an identity provider's people.
    let file = at.join("promotion-ledger.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    let development =
        config.lines().find(|line| line.starts_with("issuer = \"http://127.0.0.1")).expect("an issuer");
    let development = development.trim_start_matches("issuer = ").trim_matches('"');
    std::fs::write(&file, format!("{config}{}", table.replace("https://pki.example.bank", development)))
        .expect("written");
    let refused = binary().args(["serve", "--dir"]).arg(&at).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("tls.client_issuer is an issuer"),
        "{refused:?}"
    );
    std::fs::write(&file, format!("{config}{table}")).expect("written");
    let node = Node::serve(&at);
    let url = node.url.replace("http:", "https:");

    // Unknown authority: no connection, or one that ends before anything is answered.
    let answer = match connected(&at, &url, Some("stranger")).await {
        Ok(channel) => stat(&channel, Some(&node.token("anybody"))).await.map_err(|status| status.code()),
        Err(_) => Err(Code::Unavailable),
    };
    assert!(
        matches!(answer, Err(Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)),
        "{answer:?}"
    );
    // No certificate: as before, by a token.
    let nobody = connected(&at, &url, None).await.expect("a connection");
    says(stat(&nobody, None).await, Code::Unauthenticated, "no token");
    stat(&nobody, Some(&node.token("anybody"))).await.expect("by a token");
    // A name that is not mapped, one that is mapped twice.
    let unmapped = connected(&at, &url, Some("unmapped")).await.expect("a connection");
    says(stat(&unmapped, None).await, Code::Unauthenticated, "pipeline/train2) is of nobody");
    let both = connected(&at, &url, Some("both")).await.expect("a connection");
    says(stat(&both, None).await, Code::Unauthenticated, "two services");
    // Mapped: what its roles say, and nothing else; the command line too.
    let train = connected(&at, &url, Some("train")).await.expect("a connection");
    stat(&train, None).await.expect("an emitter");
    let list = AuditorServiceClient::new(train.clone()).list_entries(ListEntriesRequest::default()).await;
    says(list.map(drop), Code::PermissionDenied, "tls.identities.roles");
    // A token decides, where there is one.
    says(stat(&train, Some("nonsense")).await, Code::Unauthenticated, "the token");
    let path = |name: &str| at.join(name).display().to_string();
    let own = [
        "--client-cert",
        &path("train.crt"),
        "--client-key",
        &path("train.key"),
        "--ca-file",
        &path("tls.crt"),
    ];
    let listed = run(&[&["list", "--url", &url, "--format", "json"], &own[..]].concat());
    assert_eq!(listed.status.code(), Some(4), "{listed:?}");
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("ListEntries needs one of the roles"),
        "{listed:?}"
    );
    let status = run(&[&["status", "--url", &url, "--format", "json"], &own[..]].concat());
    assert_eq!(status.status.code(), Some(0), "{status:?}");

    // Who acts is the service, and it cannot act as somebody else.
    let ops = connected(&at, &url, Some("pinned")).await.expect("a connection");
    let held = SetLegalHoldRequest {
        matter: "BaFin 2026-114".into(),
        reason: "request of 2 November".into(),
        request_id: "r-1".into(),
        ..SetLegalHoldRequest::default()
    };
    let mut custodian = CustodianServiceClient::new(ops);
    let borrowed = promotion_ledger::event::proto::Person {
        issuer: "https://pki.example.bank".into(),
        subject: "svc-train".into(),
        name: String::new(),
    };
    let borrowed = SetLegalHoldRequest { actor: Some(borrowed), ..held.clone() };
    says(
        custodian.set_legal_hold(borrowed).await.map(drop),
        Code::PermissionDenied,
        "somebody else than the caller",
    );
    custodian.set_legal_hold(held).await.expect("held");
    node.stop();
    let store = promotion_ledger::ledger::store::Store::open(&at.join("ledger")).expect("a store");
    let record = store.record(1).expect("read").expect("an entry");
    let header = Header::decode(&store.header(1).expect("read").expect("an entry")).expect("a header");
    assert_eq!(header.kind, Some(Kind::LegalHoldSet));
    let Some(Event::LegalHoldSet(set)) = canonical::decode(&record).expect("a record").body.event else {
        panic!("no hold")
    };
    assert_eq!(set.actor.expect("an actor").issuer, "https://pki.example.bank");
}
