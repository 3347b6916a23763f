//! With which token the calls of a node are made.
//!
//! `--token-file`, if one is given. Else, for a node on this machine that has a development issuer: a token made here with
//! that issuer's key. `serve` notes where the key is in `$XDG_STATE_HOME/promotion-ledger/development/<address>.json`;
//! whoever may read the key file (mode 0600) may call, and nobody else.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::{Certificate, ClientTlsConfig, Identity},
};

use super::{
    output::{Exit, Failure, Result},
    seen::state_home,
};
use crate::{
    clock::{Clock, SystemClock},
    event::proto::Person,
    identity::{
        development::{Config, Development, Somebody},
        issuer::is_protected,
        principal::Role,
    },
    keyfile,
};

/// How long a token is used before it is read or made anew: files are exchanged, tokens expire.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// How long a token that is made for one command is good, seconds.
const LIFE_SECONDS: u64 = 300;
/// Who calls where nobody says who.
const ANYBODY: &str = "developer";

/// What the arguments say of all calls of this process.
#[derive(Debug, Default)]
pub struct Given {
    /// `--token-file`.
    pub token_file: Option<PathBuf>,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--client-cert` and `--client-key`.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// `--as`.
    pub subject: Option<String>,
}

static GIVEN: OnceLock<Given> = OnceLock::new();
/// Development issuers of nodes that run in this process, by address.
static HERE: Mutex<BTreeMap<String, Development>> = Mutex::new(BTreeMap::new());

/// Keeps what the arguments say.
pub fn given(given: Given) {
    // A process reads its arguments once.
    let _ = GIVEN.set(given);
}

/// Who calls, as far as a development issuer says so.
pub fn subject() -> String {
    GIVEN.get().and_then(|given| given.subject.clone()).unwrap_or_else(|| ANYBODY.into())
}

/// What `--ca-file` names: whose certificates a server at https://… may have, beside those of public authorities.
///
/// # Errors
/// Exit code 2 for a file that cannot be read.
pub fn authority() -> Result<Option<Vec<u8>>> {
    let Some(path) = GIVEN.get().and_then(|given| given.ca_file.as_ref()) else { return Ok(None) };
    let pem = std::fs::read(path);
    pem.map(Some).map_err(|error| Failure::usage(format!("--ca-file {}: {error}", path.display())))
}

/// Whose certificates a node at https://… may have, and the one that is shown to it.
///
/// # Errors
/// Exit code 2 for a file that cannot be read.
pub fn tls() -> Result<ClientTlsConfig> {
    let mut tls = ClientTlsConfig::new().with_enabled_roots();
    if let Some(pem) = authority()? {
        tls = tls.ca_certificate(Certificate::from_pem(pem));
    }
    let Some((cert, key)) = GIVEN.get().and_then(|given| given.certificate.as_ref()) else { return Ok(tls) };
    let pem = std::fs::read(cert);
    let pem = pem.map_err(|error| Failure::usage(format!("--client-cert {}: {error}", cert.display())))?;
    let key = keyfile::secret_text(key).map_err(|error| Failure::usage(format!("--client-key: {error}")))?;
    Ok(tls.identity(Identity::from_pem(pem, key.as_bytes())))
}

/// Nodes at this address run in this process: their development issuer's key is known.
pub fn runs_here(address: SocketAddr, issuer: &Development) {
    let mut here = HERE.lock().expect("no code panics while holding this lock");
    here.insert(address.to_string(), issuer.clone());
}

/// What `serve` notes of a node with a development issuer.
#[derive(Serialize, Deserialize)]
struct Note {
    issuer: String,
    key: PathBuf,
}

fn note_path(authority: &str) -> Option<PathBuf> {
    let name: String = authority.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Some(state_home()?.join("development").join(format!("{name}.json")))
}

/// Notes where the key of a node's development issuer is, for commands of the same user on this machine.
///
/// # Errors
/// If it cannot be written.
pub fn note(address: SocketAddr, issuer: &Development, key: &Path) -> Result<()> {
    let Some(path) = note_path(&address.to_string()) else { return Ok(()) };
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", path.display()));
    let key = std::path::absolute(key).map_err(failed)?;
    let text = serde_json::to_vec(&Note { issuer: issuer.issuer.clone(), key }).unwrap_or_default();
    let written = std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).and_then(|()| {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&text)
    });
    written.map_err(failed)
}

/// The development issuer of the node at an address, if there is one whose key this user may read.
///
/// # Errors
/// If there is one, but its key cannot be read.
pub fn development(url: &str) -> Result<Option<Development>> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default().replace("localhost:", "127.0.0.1:");
    if let Some(here) = HERE.lock().expect("no code panics while holding this lock").get(&authority) {
        return Ok(Some(here.clone()));
    }
    let loopback = authority.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    let Some(text) = note_path(&authority).filter(|_| loopback).and_then(|path| std::fs::read(path).ok())
    else {
        return Ok(None);
    };
    let Ok(Note { issuer, key }) = serde_json::from_slice(&text) else { return Ok(None) };
    if !key.exists() {
        // Of a node that was here once.
        return Ok(None);
    }
    let key = keyfile::signing_key(&key).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Development::new(&Config { issuer, people: Vec::new() }, &key))
}

/// Adds the caller's token to every call.
#[derive(Clone)]
pub struct Bearer {
    source: Arc<Source>,
    cached: Arc<Mutex<Option<Read>>>,
}

/// A token as a header, and since when it is used.
type Read = (Instant, MetadataValue<Ascii>);

enum Source {
    None,
    File(PathBuf),
    Development(Box<Development>, Somebody),
}

impl Bearer {
    /// For the node at an address; as a person that the command names, where a development issuer says who is who.
    ///
    /// # Errors
    /// Exit code 2 for a token that cannot be read, or would go out in clear.
    pub fn for_node(url: &str, person: Option<&Person>) -> Result<Self> {
        let none = Given::default();
        let given = GIVEN.get().unwrap_or(&none);
        let source = match &given.token_file {
            Some(path) if !is_protected(url) => {
                return Err(Failure::usage(format!(
                    "--token-file {}: {url} is neither https nor http on this machine, and a token is not sent in clear",
                    path.display()
                )));
            }
            Some(path) => Source::File(path.clone()),
            // Who shows a certificate is a service, not whom a development issuer lets one be.
            None if given.certificate.is_some() => Source::None,
            None => match development(url)? {
                Some(issuer) => {
                    let person = person.filter(|person| {
                        !person.subject.is_empty()
                            && (person.issuer.is_empty() || person.issuer == issuer.issuer)
                    });
                    let who = Somebody {
                        subject: person.map_or_else(subject, |person| person.subject.clone()),
                        name: person.map(|person| person.name.clone()).unwrap_or_default(),
                        groups: Vec::new(),
                        roles: Role::ALL.to_vec(),
                    };
                    Source::Development(Box::new(issuer), who)
                }
                None => Source::None,
            },
        };
        let bearer = Self { source: Arc::new(source), cached: Arc::default() };
        bearer.value().map_err(Failure::usage)?;
        Ok(bearer)
    }

    /// As somebody, by a development issuer.
    pub fn of(issuer: Development, who: Somebody) -> Self {
        let source = Source::Development(Box::new(issuer), who);
        Self { source: Arc::new(source), cached: Arc::default() }
    }

    /// For a server that asks for nothing.
    pub fn none() -> Self {
        Self { source: Arc::new(Source::None), cached: Arc::default() }
    }

    fn value(&self) -> std::result::Result<Option<MetadataValue<Ascii>>, String> {
        let mut cached = self.cached.lock().expect("no code panics while holding this lock");
        if let Some((at, value)) = &*cached
            && at.elapsed() < FRESH_FOR
        {
            return Ok(Some(value.clone()));
        }
        let token = match &*self.source {
            Source::None => return Ok(None),
            Source::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("--token-file {}: {error}", path.display()))?,
            Source::Development(issuer, who) => issuer.access_token(who, SystemClock.now(), LIFE_SECONDS)?,
        };
        let value = format!("Bearer {}", token.trim()).parse::<MetadataValue<Ascii>>();
        let mut value = value.map_err(|_| "the token file holds no token".to_owned())?;
        // Never in logs.
        value.set_sensitive(true);
        *cached = Some((Instant::now(), value.clone()));
        Ok(Some(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(value) = self.value().map_err(Status::unauthenticated)? {
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}
