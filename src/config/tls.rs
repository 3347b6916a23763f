//! TLS of the gRPC services, and of the pages where they ask for it.

use std::path::{Path, PathBuf};

use axum_server::tls_rustls::RustlsConfig;
use serde::Deserialize;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
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

/// What was read.
pub struct Tls {
    /// For the gRPC services.
    pub grpc: ServerTlsConfig,
    cert: Vec<u8>,
    key: Zeroizing<String>,
}

impl TlsConfig {
    /// Reads all files, and checks that certificate and key belong together.
    ///
    /// # Errors
    /// What is wrong with which file, in words.
    pub fn load(&self, dir: &Path) -> Result<Tls, String> {
        let path = dir.join(&self.cert_file);
        let cert = std::fs::read(&path).map_err(|why| format!("tls.cert_file {}: {why}", path.display()))?;
        let path = dir.join(&self.key_file);
        let key = keyfile::secret_text(&path).map_err(|why| format!("tls.key_file: {why}"))?;
        // Two implementations are linked (the other one by the S3 client); rustls wants to be told which.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = ServerTlsConfig::new().identity(Identity::from_pem(&cert, key.as_bytes()));
        usable(&own)
            .map_err(|why| format!("tls: {} and its key cannot be used: {why}", self.cert_file.display()))?;
        let grpc = match &self.client_ca_file {
            None => own,
            Some(file) => {
                let path = dir.join(file);
                let pem = std::fs::read(&path);
                let pem = pem.map_err(|why| format!("tls.client_ca_file {}: {why}", path.display()))?;
                // Who has no certificate may still have a token; who shows one must have a good one.
                let both = own.client_ca_root(Certificate::from_pem(pem)).client_auth_optional(true);
                usable(&both)
                    .map_err(|why| format!("tls.client_ca_file {} cannot be used: {why}", path.display()))?;
                both
            }
        };
        Ok(Tls { grpc, cert, key })
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

fn usable(tls: &ServerTlsConfig) -> Result<(), String> {
    let made = Server::builder().tls_config(tls.clone());
    made.map(drop)
        .map_err(|error| std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
}

impl Tls {
    /// The same certificate for pages, tiles and the gate over HTTP.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub async fn http(&self) -> Result<RustlsConfig, String> {
        let made = RustlsConfig::from_pem(self.cert.clone(), self.key.as_bytes().to_vec()).await;
        made.map_err(|why| format!("tls: the certificate cannot be used for http: {why}"))
    }
}
