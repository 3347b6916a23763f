//! Subject records: one small file for each person, without which that person's sealed data is noise.
//!
//! A record is {salt, key}, wrapped by a key from `init`. It is created once, by put-if-absent, and durable
//! before its first use; destroying it erases the person from every event, and everything else still verifies.
//!
//! `<dir>/subjects/<HMAC(lookup key, issuer, subject)>` is the record; `<dir>/ids/<subject_id>` a hard link to it,
//! by which auditors open sealed items. The associated data of the wrapping is the constant tag alone, so that
//! both names open it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use prost::Message;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::event::{
    Digest,
    canonical::decode_exact,
    digest::{TAG_SEAL, commitment, subject_id},
    proto::{Sealed, SealedClaims},
};

const TAG_WRAP: &[u8] = b"promotion-ledger v1 subject record\0";
const NONCE_LEN: usize = 24;
/// People whose records stay in memory.
const CACHED_MAX: usize = 10_000;

/// Keys that open the subject records; made by `init`, the same on every node.
pub struct StoreKeys {
    /// Wraps records.
    pub wrap: Zeroizing<[u8; 32]>,
    /// Names them.
    pub lookup: Zeroizing<[u8; 32]>,
}

/// The directory of subject records, shared by all nodes.
pub struct Subjects {
    dir: PathBuf,
    keys: StoreKeys,
    cache: Mutex<HashMap<(String, String), Subject>>,
}

/// A person's record, unwrapped.
#[derive(Clone)]
pub struct Subject {
    /// Pseudonym in events.
    pub id: Digest,
    key: Zeroizing<[u8; 32]>,
}

/// Why a record could not be had. Nothing is sealed without one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory. Retryable.
    #[error("the store of subject records is unavailable: {0}")]
    Io(#[from] io::Error),
    /// A record that the wrap key does not open.
    #[error(
        "the subject record {0} cannot be opened: it is damaged, or the wrap key is not the one it was made with"
    )]
    Wrapped(String),
    /// Sealing or opening failed.
    #[error("sealed item of subject {0} cannot be opened: it was changed, or belongs to another ledger")]
    Sealed(Digest),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes)
}

fn encrypt(key: &[u8; 32], nonce: &[u8; NONCE_LEN], plain: &[u8], aad: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    cipher
        .encrypt(&(*nonce).into(), Payload { msg: plain, aad })
        .expect("the plaintext is far below the cipher's limit")
}

fn decrypt(key: &[u8; 32], nonce: &[u8], cipher: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
    let opened = XChaCha20Poly1305::new(&(*key).into()).decrypt(&nonce.into(), Payload { msg: cipher, aad });
    opened.ok().map(Zeroizing::new)
}

impl Subjects {
    /// Opens the directory, making it if needed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(dir: &Path, keys: StoreKeys) -> Result<Self, Error> {
        for name in ["subjects", "ids"] {
            fs::create_dir_all(dir.join(name))?;
        }
        Ok(Self { dir: dir.to_path_buf(), keys, cache: Mutex::default() })
    }

    fn name(&self, issuer: &str, subject: &str) -> String {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.keys.lookup[..])
            .expect("HMAC takes keys of any length");
        for part in [issuer, subject] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        hex::encode(mac.finalize().into_bytes())
    }

    /// The record of a person, created now if there is none. Durable when this returns.
    ///
    /// # Errors
    /// [`Error`]; nothing must be sealed then.
    pub fn subject(&self, issuer: &str, subject: &str) -> Result<Subject, Error> {
        let person = (issuer.to_owned(), subject.to_owned());
        if let Some(found) = self.cache().get(&person) {
            return Ok(found.clone());
        }
        let path = self.dir.join("subjects").join(self.name(issuer, subject));
        let record = match self.unwrap_file(&path)? {
            Some(record) => record,
            None => {
                self.create(&path)?;
                self.unwrap_file(&path)?.ok_or_else(|| Error::Wrapped(path.display().to_string()))?
            }
        };
        let found = Subject { id: subject_id(&record.0, issuer, subject), key: record.1 };
        self.link_id(&path, &found.id)?;
        let mut cache = self.cache();
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(person, found.clone());
        Ok(found)
    }

    /// Whether a person's record is in memory.
    pub fn is_cached(&self, issuer: &str, subject: &str) -> bool {
        self.cache().contains_key(&(issuer.to_owned(), subject.to_owned()))
    }

    /// The record of a person, if there is one. Creates nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub fn existing(&self, issuer: &str, subject: &str) -> Result<Option<Subject>, Error> {
        let record = self.unwrap_file(&self.dir.join("subjects").join(self.name(issuer, subject)))?;
        Ok(record.map(|(salt, key)| Subject { id: subject_id(&salt, issuer, subject), key }))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Subject>> {
        self.cache.lock().expect("no code panics while holding this lock")
    }

    /// Writes a new record under a temporary name, syncs it, and links it into place unless one is there.
    fn create(&self, path: &Path) -> Result<(), Error> {
        let (salt, key, nonce) = (random::<32>()?, Zeroizing::new(random::<32>()?), random::<NONCE_LEN>()?);
        let plain = Zeroizing::new([&salt[..], &key[..]].concat());
        let wrapped = [&nonce[..], &encrypt(&self.keys.wrap, &nonce, &plain, TAG_WRAP)].concat();
        let temporary = self.dir.join(format!(".{}", hex::encode(random::<16>()?)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&wrapped).and_then(|()| file.sync_all())?;
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(sync_dir(path)?),
        }
    }

    fn link_id(&self, path: &Path, id: &Digest) -> Result<(), Error> {
        let link = self.dir.join("ids").join(id.to_string());
        match fs::hard_link(path, &link) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            Err(_) => Ok(()),
            Ok(()) => Ok(sync_dir(&link)?),
        }
    }

    #[expect(clippy::type_complexity, reason = "salt and key of one record")]
    fn unwrap_file(&self, path: &Path) -> Result<Option<([u8; 32], Zeroizing<[u8; 32]>)>, Error> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || Error::Wrapped(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let (nonce, cipher) = bytes.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let plain = decrypt(&self.keys.wrap, nonce, cipher, TAG_WRAP).ok_or_else(damaged)?;
        let (salt, key) = plain.split_at_checked(32).ok_or_else(damaged)?;
        let salt = salt.try_into().map_err(|_| damaged())?;
        Ok(Some((salt, Zeroizing::new(key.try_into().map_err(|_| damaged())?))))
    }

    /// Opens a sealed item; `None` if the person's record was destroyed.
    ///
    /// # Errors
    /// [`Error::Sealed`] if the item is not what its commitment says.
    pub fn unseal(&self, sealed: &Sealed, ledger_id: &Digest) -> Result<Option<SealedClaims>, Error> {
        let id = Digest::from_slice(&sealed.subject_id).unwrap_or_default();
        let Some((_, key)) = self.unwrap_file(&self.dir.join("ids").join(id.to_string()))? else {
            return Ok(None);
        };
        let plain = decrypt(&key, &sealed.nonce, &sealed.ciphertext, &seal_aad(ledger_id, &id))
            .ok_or(Error::Sealed(id))?;
        let whole = commitment(&plain).0 == sealed.commitment.as_slice();
        decode_exact::<SealedClaims>(&plain).filter(|_| whole).map(Some).ok_or(Error::Sealed(id))
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn seal_aad(ledger_id: &Digest, subject_id: &Digest) -> Vec<u8> {
    [TAG_SEAL, &ledger_id.0, &subject_id.0].concat()
}

impl Subject {
    /// Seals what an event holds about this person; the blind is filled in here.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn seal(&self, claims: SealedClaims, ledger_id: &Digest) -> Result<Sealed, Error> {
        let claims = SealedClaims { blind: random::<32>()?.to_vec(), ..claims };
        let plain = Zeroizing::new(claims.encode_to_vec());
        let nonce = random::<NONCE_LEN>()?;
        Ok(Sealed {
            subject_id: self.id.0.to_vec(),
            nonce: nonce.to_vec(),
            ciphertext: encrypt(&self.key, &nonce, &plain, &seal_aad(ledger_id, &self.id)),
            commitment: commitment(&plain).0.to_vec(),
        })
    }
}
