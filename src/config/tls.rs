//! TLS of the gRPC services, and of the pages where they ask for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    identity::certificates::{self, Certificates},
    keyfile,
};

/// A certificate and its key, in PEM; paths are relative to the node's directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The node's certificate, then those that vouch for it.
    pub cert_file: PathBuf,
    /// Its private key; mode 0600.
    pub key_file: PathBuf,
    /// Who vouches for the certificates of services that call gRPC without a token; absent: nobody is asked for one.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// As which issuer events name who vouches for these services, for instance `https://pki.example.bank`; no issuer of
    /// tokens or logins.
    #[serde(default)]
    pub client_issuer: String,
    /// Which certificate is which service, and what that one may do; no other certificate may do anything.
    #[serde(default)]
    pub identities: Vec<certificates::Config>,
}

/// What the files held, in PEM.
#[derive(PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Zeroizing<String>,
    client_ca: Option<Vec<u8>>,
}

/// What new connections are served with: what was read last and could be used.
pub struct Tls {
    /// For the gRPC services.
    pub grpc: RustlsConfig,
    /// The same certificate for pages, tiles and the gate over HTTP.
    pub http: RustlsConfig,
    config: TlsConfig,
    dir: PathBuf,
    used: Files,
}

impl TlsConfig {
    /// Reads all files, and checks that certificate and key belong together.
    ///
    /// # Errors
    /// What is wrong with which file, in words.
    pub fn load(&self, dir: &Path) -> Result<Tls, String> {
        // Two implementations are linked (the other one by the S3 client); rustls wants to be told which.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let used = self.read(dir)?;
        let (grpc, http) = self.servers(&used)?;
        let (grpc, http) = (RustlsConfig::from_config(grpc), RustlsConfig::from_config(http));
        Ok(Tls { grpc, http, config: self.clone(), dir: dir.to_owned(), used })
    }

    fn read(&self, dir: &Path) -> Result<Files, String> {
        let read = |field: &str, file: &Path| {
            let path = dir.join(file);
            std::fs::read(&path).map_err(|why| format!("tls.{field} {}: {why}", path.display()))
        };
        let client_ca = self.client_ca_file.as_ref().map(|file| read("client_ca_file", file)).transpose()?;
        let cert = read("cert_file", &self.cert_file)?;
        let key = keyfile::secret_text(&dir.join(&self.key_file));
        let key = key.map_err(|why| format!("tls.key_file: {why}"))?;
        Ok(Files { cert, key, client_ca })
    }

    /// How to serve gRPC, and HTTP.
    fn servers(&self, files: &Files) -> Result<(Arc<ServerConfig>, Arc<ServerConfig>), String> {
        let chain = certificates_in(&files.cert);
        let chain = chain.map_err(|why| format!("tls.cert_file {} {why}", self.cert_file.display()))?;
        let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes());
        let key =
            key.map_err(|why| format!("tls.key_file {} holds no key: {why}", self.key_file.display()))?;
        let clients = match (&files.client_ca, &self.client_ca_file) {
            (Some(pem), Some(file)) => {
                let failed =
                    |why: String| format!("tls.client_ca_file {} cannot be used: {why}", file.display());
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates_in(pem).map_err(failed)?);
                // Who has no certificate may still have a token; who shows one must have a good one.
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
                verifier.map_err(|why| failed(why.to_string()))?
            }
            _ => WebPkiClientVerifier::no_client_auth(),
        };
        let failed = |why: rustls::Error| {
            format!("tls: {} and its key cannot be used: {why}", self.cert_file.display())
        };
        let grpc = ServerConfig::builder().with_client_cert_verifier(clients);
        let mut grpc = grpc.with_single_cert(chain.clone(), key.clone_key()).map_err(failed)?;
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        let http = ServerConfig::builder().with_no_client_auth();
        let mut http = http.with_single_cert(chain, key).map_err(failed)?;
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((Arc::new(grpc), Arc::new(http)))
    }

    /// The services, and what does not go together; `issuers`: of tokens and logins.
    ///
    /// # Errors
    /// Every problem.
    pub fn certificates(&self, issuers: &[&str]) -> Result<Certificates, Vec<String>> {
        let found = Certificates::new(&self.client_issuer, &self.identities, "tls.identities");
        let mut problems: Vec<String> = found.as_ref().err().cloned().unwrap_or_default();
        if self.client_ca_file.is_some() == self.identities.is_empty() {
            problems.push(
                "tls.client_ca_file and tls.identities go together: who vouches for clients, and which of them is who".into(),
            );
        }
        if !self.identities.is_empty() && !self.client_issuer.contains(':') {
            problems.push(
                "tls.client_issuer is not a URI such as https://pki.example.bank: events name it beside the service".into(),
            );
        }
        if issuers.contains(&self.client_issuer.as_str()) && !self.client_issuer.is_empty() {
            problems.push(
                "tls.client_issuer is an issuer of tokens or logins too: a certificate could then act as one of its people".into(),
            );
        }
        if problems.is_empty() { found } else { Err(problems) }
    }
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("holds no certificate".into()),
        Ok(found) => Ok(found),
        Err(why) => Err(format!("holds no certificate: {why}")),
    }
}

impl Tls {
    /// Reads the files again. What changed and can be used serves new connections from here on; whether there was any.
    ///
    /// # Errors
    /// What is wrong with which file, in words; what was used before is used still.
    pub fn renew(&mut self) -> Result<bool, String> {
        let files = self.config.read(&self.dir)?;
        if files == self.used {
            return Ok(false);
        }
        let (grpc, http) = self.config.servers(&files)?;
        self.grpc.reload_from_config(grpc);
        self.http.reload_from_config(http);
        self.used = files;
        Ok(true)
    }
}
