//! Keys in files, with checked permissions: only their owner may read them.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use zeroize::Zeroizing;

use crate::identity::subjects::StoreKeys;

/// Why a key file cannot be used. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of the file system.
    #[error("key file {0}: {1}")]
    Io(String, std::io::Error),
    /// Readable by others.
    #[error("key file {0} has mode {1:o}: others may read it; run chmod 600 on it")]
    Mode(String, u32),
    /// Not a key.
    #[error("key file {0} does not hold {1}")]
    Format(String, &'static str),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut bytes[..]).map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let name = path.display().to_string();
    let metadata = fs::metadata(path).map_err(|error| Error::Io(name.clone(), error))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Mode(name, mode));
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(|error| Error::Io(name, error))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error| Error::Io(path.display().to_string(), error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a secret that is text: a password, a webhook's secret.
///
/// # Errors
/// [`Error`].
pub fn secret_text(path: &Path) -> Result<Zeroizing<String>, Error> {
    read(path)
}

/// Reads an Ed25519 private key, PKCS#8 PEM (RFC 8410).
///
/// # Errors
/// [`Error`].
pub fn signing_key(path: &Path) -> Result<SigningKey, Error> {
    let format = |_| Error::Format(path.display().to_string(), "an Ed25519 private key in PKCS#8 PEM");
    SigningKey::from_pkcs8_pem(&read(path)?).map_err(format)
}

/// Makes an Ed25519 key and writes it; refuses to overwrite.
///
/// # Errors
/// [`Error`].
pub fn create_signing_key(path: &Path) -> Result<SigningKey, Error> {
    let key = SigningKey::from_bytes(&*random::<32>()?);
    let format = |_| Error::Format(path.display().to_string(), "a key that can be written");
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(format)?;
    write(path, &pem)?;
    Ok(key)
}

/// Reads the keys of the subject records: 64 bytes in hex.
///
/// # Errors
/// [`Error`].
pub fn store_keys(path: &Path) -> Result<StoreKeys, Error> {
    let format = || Error::Format(path.display().to_string(), "64 bytes in hexadecimal");
    let text = read(path)?;
    let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| format())?);
    let (wrap, lookup) = bytes.split_at_checked(32).ok_or_else(format)?;
    let sized = |half: &[u8]| half.try_into().map(Zeroizing::new).map_err(|_| format());
    Ok(StoreKeys { wrap: sized(wrap)?, lookup: sized(lookup)? })
}

/// Makes the keys of the subject records; refuses to overwrite.
///
/// # Errors
/// [`Error`].
pub fn create_store_keys(path: &Path) -> Result<(), Error> {
    let bytes = random::<64>()?;
    let text = Zeroizing::new(hex::encode(&bytes[..]));
    write(path, &format!("{}\n", *text))
}
