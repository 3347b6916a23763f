//! Browsers that a person logged in with, and logins on their way. In memory: after a restart people log in again.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{
    admission::reviews::sessions::SESSION_LIFE,
    event::{Micros, Seq},
    identity::{caller::Caller, principal::Principal},
};

/// How long a login may take.
const LOGIN_LIFE: Micros = 15 * 60 * 1_000_000;
/// Most browsers, and most logins on their way, of a node; beyond them the oldest goes.
const KEPT_MAX: usize = 4_096;

/// Somebody who logged in.
#[derive(Debug)]
pub struct Visitor {
    /// Who, as the issuer said it at the login.
    pub principal: Principal,
    /// The session in which what is served is noted.
    pub session: String,
    /// In the addresses of this visitor's review pages: a form that anybody else made does not know it.
    pub token: String,
    since: Micros,
}

impl Visitor {
    /// As what is read for this visitor names the one who asks: without any role, since these pages decide by groups.
    pub fn caller(&self) -> Caller {
        Caller { principal: self.principal.clone(), roles: BTreeSet::new() }
    }
}

/// Where a login leads.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// A session; then the page.
    Enter(Target),
    /// The entry of a frozen decision.
    Decide {
        /// The review.
        review: Seq,
        /// Who froze it.
        visitor: Arc<Visitor>,
    },
}

/// Pages that a login leads to: these, and no address that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The inbox.
    Inbox,
    /// What was promoted, for auditors.
    Ledger,
    /// A review.
    Review(Seq),
}

impl Target {
    /// Its path.
    pub fn path(self) -> String {
        match self {
            Self::Inbox => "/inbox".into(),
            Self::Ledger => "/".into(),
            Self::Review(seq) => format!("/reviews/{seq}/"),
        }
    }
}

/// How far a login is.
#[derive(Debug, Default)]
pub struct Progress {
    /// What its code gave.
    pub id_token: Option<String>,
    /// What became of it: the entry of a decision; 0 for a session.
    pub entry: Option<Seq>,
}

/// A login on its way.
#[derive(Debug)]
pub struct Login {
    /// Where.
    pub issuer: String,
    /// That its ID token must carry.
    pub nonce: String,
    /// Redeems its code.
    pub verifier: String,
    /// Cookie of the browser that started it: no other may end it.
    pub browser: String,
    /// What for.
    pub purpose: Purpose,
    /// How far it is. Held while it goes on, so that who comes again by the same address gets the same.
    pub progress: tokio::sync::Mutex<Progress>,
    /// When it was started.
    pub at: Micros,
}

/// Something that ends by its age.
trait Aged {
    fn at(&self) -> Micros;
}

impl Aged for Visitor {
    fn at(&self) -> Micros {
        self.since
    }
}

impl Aged for Login {
    fn at(&self) -> Micros {
        self.at
    }
}

struct Kept<T>(Mutex<HashMap<String, Arc<T>>>, Micros);

impl<T: Aged> Kept<T> {
    fn find(&self, id: &str, now: Micros) -> Option<Arc<T>> {
        let all = self.0.lock().expect("no code panics while holding this lock");
        all.get(id).filter(|it| it.at().saturating_add(self.1) > now).cloned()
    }

    fn insert(&self, id: String, it: T, now: Micros) -> Arc<T> {
        let mut all = self.0.lock().expect("no code panics while holding this lock");
        all.retain(|_, it| it.at().saturating_add(self.1) > now);
        if all.len() >= KEPT_MAX {
            let oldest = all.iter().min_by_key(|(_, it)| it.at()).map(|(id, _)| id.clone());
            oldest.map(|id| all.remove(&id));
        }
        let it = Arc::new(it);
        all.insert(id, it.clone());
        it
    }

    fn remove(&self, id: &str) {
        self.0.lock().expect("no code panics while holding this lock").remove(id);
    }
}

/// All of a node.
pub struct Browsers {
    visitors: Kept<Visitor>,
    logins: Kept<Login>,
}

/// 32 random bytes, in hexadecimal digits; `None` if the system gives none.
pub fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok().map(|()| hex::encode(bytes))
}

impl Browsers {
    /// Nobody yet.
    pub fn new() -> Self {
        let visitors = Kept(Mutex::default(), SESSION_LIFE);
        Self { visitors, logins: Kept(Mutex::default(), LOGIN_LIFE) }
    }

    /// Who sends this cookie.
    pub fn visitor(&self, cookie: &str, now: Micros) -> Option<Arc<Visitor>> {
        self.visitors.find(cookie, now)
    }

    /// Lets somebody in, with a cookie that nobody had before, and forgets the one that the browser sent.
    pub fn enter(
        &self,
        principal: Principal,
        session: String,
        former: Option<&str>,
        now: Micros,
    ) -> Option<String> {
        if let Some(former) = former {
            self.visitors.remove(former);
        }
        let (cookie, token) = (random()?, random()?);
        self.visitors.insert(cookie.clone(), Visitor { principal, session, token, since: now }, now);
        Some(cookie)
    }

    /// Forgets who sends this cookie.
    pub fn leave(&self, cookie: &str) {
        self.visitors.remove(cookie);
    }

    /// Keeps a login under its `state`.
    pub fn start(&self, state: String, login: Login) {
        let now = login.at;
        self.logins.insert(state, login, now);
    }

    /// The login that a `state` belongs to.
    pub fn login(&self, state: &str, now: Micros) -> Option<Arc<Login>> {
        self.logins.find(state, now)
    }
}

/// Names of cookies. Over https they are bound to the host and to https (`__Host-`, RFC 6265bis section 4.1.3.2).
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    /// Whether browsers come by https.
    pub secure: bool,
}

/// What a cookie is for.
#[derive(Debug, Clone, Copy)]
pub enum Cookie {
    /// Somebody who logged in.
    Session,
    /// A browser that goes to log in.
    Login,
}

impl Cookies {
    fn name(self, cookie: Cookie) -> String {
        let name = match cookie {
            Cookie::Session => "promotion-ledger-session",
            Cookie::Login => "promotion-ledger-login",
        };
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// The value of a cookie; nothing but a cookie is looked at.
    pub fn read(self, headers: &HeaderMap, cookie: Cookie) -> Option<String> {
        let name = self.name(cookie);
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut own = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned());
        own.next().filter(|value| value.len() == 64)
    }

    /// The header that sets a cookie: no script reads it, no form of another site sends it. Lax, because the way back from
    /// the issuer comes from another site.
    pub fn set(self, cookie: Cookie, value: &str) -> Option<HeaderValue> {
        let life = match cookie {
            Cookie::Session => SESSION_LIFE,
            Cookie::Login => LOGIN_LIFE,
        };
        self.header(cookie, value, life / 1_000_000)
    }

    /// The header by which a browser forgets a cookie.
    pub fn clear(self, cookie: Cookie) -> Option<HeaderValue> {
        self.header(cookie, "", 0)
    }

    fn header(self, cookie: Cookie, value: &str, life: u64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name(cookie);
        let text = format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_cookie_of_this_host_that_no_script_reads() {
        let value = "a".repeat(64);
        let set = Cookies { secure: true }.set(Cookie::Session, &value).expect("a header");
        let set = set.to_str().expect("ascii");
        assert!(set.starts_with("__Host-promotion-ledger-session=aaa"));
        for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains("Domain"));
        let plain = Cookies { secure: false };
        let mut headers = HeaderMap::new();
        let sent = format!("other=1; promotion-ledger-session={value}; promotion-ledger-session=second");
        headers.insert(header::COOKIE, HeaderValue::from_str(&sent).expect("a header"));
        assert_eq!(plain.read(&headers, Cookie::Session), Some(value));
        assert_eq!(plain.read(&headers, Cookie::Login), None);
        assert_eq!(Cookies { secure: true }.read(&headers, Cookie::Session), None, "not bound to the host");
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_and_everything_ends_by_its_age() {
        let browsers = Browsers::new();
        let login = |at| Login {
            issuer: String::new(),
            nonce: String::new(),
            verifier: String::new(),
            browser: String::new(),
            purpose: Purpose::Enter(Target::Inbox),
            progress: tokio::sync::Mutex::default(),
            at,
        };
        for at in 0..=KEPT_MAX as Micros {
            browsers.start(at.to_string(), login(at));
        }
        assert!(browsers.login("0", 1).is_none() && browsers.login("1", 1).is_some());
        assert!(browsers.login("1", 1 + LOGIN_LIFE).is_none());
    }
}
