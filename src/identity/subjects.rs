//! Subject records: one small object for each person, without which that person's sealed data is noise.
//!
//! A record is {salt, key, subject_id}, wrapped by a key from `init`. It is created once, by put-if-absent, and durable
//! before its first use; destroying it erases the person from every event, and everything else still verifies.
//!
//! `subjects/<HMAC(lookup key, issuer, subject)>` is the record; `ids/<subject_id>` names it, for those who open sealed
//! items and know nothing but the pseudonym. A person who comes again after an erasure gets a new record and another
//! pseudonym.

use std::{collections::HashMap, io, sync::Mutex};

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
pub(super) const NONCE_LEN: usize = 24;
/// People whose records stay in memory.
const CACHED_MAX: usize = 10_000;

/// Keys that open the subject records; made by `init`, the same on every node.
pub struct StoreKeys {
    /// Wraps records.
    pub wrap: Zeroizing<[u8; 32]>,
    /// Names them.
    pub lookup: Zeroizing<[u8; 32]>,
}

/// Where subject records are; shared by all nodes of a ledger, and never locked: records must be destroyable.
///
/// Names are `<kind>/<64 hexadecimal digits>`; what is kept is not empty and not all zeroes. Blocking.
pub trait RecordStore: Send + Sync {
    /// What is there under a name.
    ///
    /// # Errors
    /// Of the store. Retryable.
    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Keeps bytes under a name unless there are some already. Durable when it returns.
    ///
    /// # Errors
    /// Of the store. Retryable.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Removes what is there, for good; nothing there is fine. Durable when it returns.
    ///
    /// # Errors
    /// Of the store. Retryable.
    fn destroy(&self, name: &str) -> io::Result<()>;
}

/// The subject records of a ledger.
pub struct Subjects {
    store: Box<dyn RecordStore>,
    keys: StoreKeys,
    cache: Mutex<HashMap<(String, String), Subject>>,
}

/// A person's record, unwrapped.
#[derive(Clone)]
pub struct Subject {
    /// Pseudonym in events.
    pub id: Digest,
    pub(super) key: Zeroizing<[u8; 32]>,
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

pub(super) fn encrypt(key: &[u8; 32], nonce: &[u8; NONCE_LEN], plain: &[u8], aad: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    cipher
        .encrypt(&(*nonce).into(), Payload { msg: plain, aad })
        .expect("the plaintext is far below the cipher's limit")
}

pub(super) fn decrypt(key: &[u8; 32], nonce: &[u8], cipher: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
    let opened = XChaCha20Poly1305::new(&(*key).into()).decrypt(&nonce.into(), Payload { msg: cipher, aad });
    opened.ok().map(Zeroizing::new)
}

/// A record, unwrapped.
struct Record {
    salt: [u8; 32],
    key: Zeroizing<[u8; 32]>,
    id: Digest,
}

fn name_of_id(id: &Digest) -> String {
    format!("ids/{id}")
}

impl Subjects {
    /// The records in a store.
    pub fn new(store: Box<dyn RecordStore>, keys: StoreKeys) -> Self {
        Self { store, keys, cache: Mutex::default() }
    }

    fn name(&self, issuer: &str, subject: &str) -> String {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.keys.lookup[..])
            .expect("HMAC takes keys of any length");
        for part in [issuer, subject] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        format!("subjects/{}", hex::encode(mac.finalize().into_bytes()))
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
        let found = match self.existing(issuer, subject)? {
            Some(found) => found,
            None => {
                self.create(issuer, subject)?;
                let name = self.name(issuer, subject);
                self.existing(issuer, subject)?.ok_or(Error::Wrapped(name))?
            }
        };
        // A crash may have come between the two; without the second nobody could open what is sealed, or erase it.
        self.store.put_if_absent(&name_of_id(&found.id), self.name(issuer, subject).as_bytes())?;
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
        let name = self.name(issuer, subject);
        let Some(record) = self.unwrapped(&name)? else { return Ok(None) };
        // Records that somebody exchanged are not these people's.
        if subject_id(&record.salt, issuer, subject) != record.id {
            return Err(Error::Wrapped(name));
        }
        Ok(Some(Subject { id: record.id, key: record.key }))
    }

    /// Destroys the record behind a pseudonym. Whether there was one; asked again it says no.
    ///
    /// # Errors
    /// [`Error`]; ask again.
    pub fn destroy(&self, id: &Digest) -> Result<bool, Error> {
        self.cache().retain(|_, subject| subject.id != *id);
        let Some(name) = self.named(id)? else { return Ok(false) };
        // After an earlier attempt that broke off, the person may have a new record under the same name.
        let there = self.unwrapped(&name)?.is_some_and(|record| record.id == *id);
        if there {
            self.store.destroy(&name)?;
        }
        self.store.destroy(&name_of_id(id))?;
        Ok(there)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Subject>> {
        self.cache.lock().expect("no code panics while holding this lock")
    }

    fn create(&self, issuer: &str, subject: &str) -> Result<(), Error> {
        let (salt, key, nonce) = (random::<32>()?, Zeroizing::new(random::<32>()?), random::<NONCE_LEN>()?);
        let id = subject_id(&salt, issuer, subject);
        let plain = Zeroizing::new([&salt[..], &key[..], &id.0].concat());
        let wrapped = [&nonce[..], &encrypt(&self.keys.wrap, &nonce, &plain, TAG_WRAP)].concat();
        Ok(self.store.put_if_absent(&self.name(issuer, subject), &wrapped)?)
    }

    /// Name of the record behind a pseudonym.
    fn named(&self, id: &Digest) -> Result<Option<String>, Error> {
        let found = self.store.get(&name_of_id(id))?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| Error::Wrapped(name_of_id(id)));
        found.map(text).transpose()
    }

    fn unwrapped(&self, name: &str) -> Result<Option<Record>, Error> {
        let Some(bytes) = self.store.get(name)? else { return Ok(None) };
        let damaged = || Error::Wrapped(name.to_owned());
        let (nonce, cipher) = bytes.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let plain = decrypt(&self.keys.wrap, nonce, cipher, TAG_WRAP).ok_or_else(damaged)?;
        let part = |n: usize| plain.get(32 * n..32 * (n + 1)).and_then(|part| part.try_into().ok());
        match (part(0), part(1), part(2), plain.len()) {
            (Some(salt), Some(key), Some(id), 96) => {
                Ok(Some(Record { salt, key: Zeroizing::new(key), id: Digest(id) }))
            }
            _ => Err(damaged()),
        }
    }

    /// The key behind a pseudonym; `None` if the record was destroyed.
    pub(super) fn key_of(&self, id: &Digest) -> Result<Option<Zeroizing<[u8; 32]>>, Error> {
        let Some(name) = self.named(id)? else { return Ok(None) };
        Ok(self.unwrapped(&name)?.filter(|record| record.id == *id).map(|record| record.key))
    }

    /// Opens a sealed item; `None` if the person's record was destroyed.
    ///
    /// # Errors
    /// [`Error::Sealed`] if the item is not what its commitment says.
    pub fn unseal(&self, sealed: &Sealed, ledger_id: &Digest) -> Result<Option<SealedClaims>, Error> {
        let id = Digest::from_slice(&sealed.subject_id).unwrap_or_default();
        let Some(key) = self.key_of(&id)? else { return Ok(None) };
        let plain = decrypt(&key, &sealed.nonce, &sealed.ciphertext, &seal_aad(ledger_id, &id))
            .ok_or(Error::Sealed(id))?;
        let whole = commitment(&plain).0 == sealed.commitment.as_slice();
        decode_exact::<SealedClaims>(&plain).filter(|_| whole).map(Some).ok_or(Error::Sealed(id))
    }
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
