//! A node with TLS of its own: who is vouched for is believed, and nothing is said in clear.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{Directory, LogUnderTest, Node, binary, run};

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
