//! TLS of the gRPC services.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::keyfile;

/// A certificate and its key, in PEM; paths are relative to the node's directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The node's certificate, then those that vouch for it.
    pub cert_file: PathBuf,
    /// Its private key; mode 0600.
    pub key_file: PathBuf,
}

impl TlsConfig {
    /// Reads both, and checks that they belong together.
    ///
    /// # Errors
    /// What is wrong with which file, in words.
    pub fn load(&self, dir: &Path) -> Result<ServerTlsConfig, String> {
        let path = dir.join(&self.cert_file);
        let cert = std::fs::read(&path).map_err(|why| format!("tls.cert_file {}: {why}", path.display()))?;
        let path = dir.join(&self.key_file);
        let key = keyfile::secret_text(&path).map_err(|why| format!("tls.key_file: {why}"))?;
        // Two implementations are linked (the other one by the S3 client); rustls wants to be told which.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key.as_bytes()));
        match Server::builder().tls_config(tls.clone()) {
            Ok(_) => Ok(tls),
            Err(error) => {
                let why = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
                Err(format!("tls: {} and its key cannot be used: {why}", self.cert_file.display()))
            }
        }
    }
}
