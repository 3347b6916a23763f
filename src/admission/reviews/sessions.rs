//! What a session was served, and the decisions that it froze. In memory: a node that restarts forgets them, and the
//! approver opens the review again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use crate::event::{Digest, Micros, Seq};

use super::super::draft::{Claims, Identity};

/// How long a session and what it froze live.
pub const SESSION_LIFE: Micros = 2 * 3600 * 1_000_000;
/// Most sessions, and most frozen decisions, of a node.
const KEPT_MAX: usize = 4_096;

/// All sessions of a node.
#[derive(Default)]
pub struct ReviewSessions {
    sessions: Mutex<HashMap<String, Session>>,
    frozen: Mutex<HashMap<String, Frozen>>,
}

struct Session {
    since: Micros,
    served: BTreeMap<(Seq, Digest), Micros>,
}

/// A decision that waits for its login.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// The review.
    pub review: Seq,
    /// Canonical DecisionStatement.
    pub statement: Vec<u8>,
    /// Canonical DecisionAnswers.
    pub answers: Vec<u8>,
    /// 32 bytes.
    pub salt: [u8; 32],
    /// Owners of conditions.
    pub owners: Claims,
    /// Who must sign it; `None`: whoever may.
    pub person: Option<Identity>,
    /// When it was frozen.
    pub at: Micros,
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

impl ReviewSessions {
    /// A new session; `None` without random bytes.
    pub fn open(&self, now: Micros) -> Option<String> {
        let id = hex::encode(random()?);
        let mut sessions = self.sessions.lock().expect("no code panics while holding this lock");
        sessions.retain(|_, session| session.since.saturating_add(SESSION_LIFE) > now);
        if sessions.len() >= KEPT_MAX {
            return None;
        }
        sessions.insert(id.clone(), Session { since: now, served: BTreeMap::new() });
        Some(id)
    }

    /// Whether a session is known.
    pub fn is_open(&self, id: &str, now: Micros) -> bool {
        let sessions = self.sessions.lock().expect("no code panics while holding this lock");
        sessions.get(id).is_some_and(|session| session.since.saturating_add(SESSION_LIFE) > now)
    }

    /// Forgets a session and what was served in it.
    pub fn close(&self, id: &str) {
        self.sessions.lock().expect("no code panics while holding this lock").remove(id);
    }

    /// Notes that bytes were served to their end.
    pub fn note(&self, id: &str, review: Seq, sha256: Digest, now: Micros) {
        let mut sessions = self.sessions.lock().expect("no code panics while holding this lock");
        if let Some(session) = sessions.get_mut(id) {
            session.served.entry((review, sha256)).or_insert(now);
        }
    }

    /// What a session was served of a review, and when.
    pub fn served(&self, id: &str, review: Seq) -> Vec<(Digest, Micros)> {
        let sessions = self.sessions.lock().expect("no code panics while holding this lock");
        let all = sessions.get(id).map(|session| &session.served);
        let own = all.into_iter().flatten().filter(|((of, _), _)| *of == review);
        own.map(|((_, sha256), at)| (*sha256, *at)).collect()
    }

    /// Keeps a decision under its nonce; `false` if too many wait.
    pub fn freeze(&self, nonce: String, decision: Frozen) -> bool {
        let mut frozen = self.frozen.lock().expect("no code panics while holding this lock");
        let now = decision.at;
        frozen.retain(|_, other| other.at.saturating_add(SESSION_LIFE) > now);
        if frozen.len() >= KEPT_MAX {
            return false;
        }
        frozen.insert(nonce, decision);
        true
    }

    /// A frozen decision. It stays: the same login may be sent twice.
    pub fn frozen(&self, nonce: &str, now: Micros) -> Option<Frozen> {
        let frozen = self.frozen.lock().expect("no code panics while holding this lock");
        frozen.get(nonce).filter(|decision| decision.at.saturating_add(SESSION_LIFE) > now).cloned()
    }
}

/// 32 random bytes.
///
/// # Errors
/// In words, if the system gives none.
pub fn blind() -> Result<[u8; 32], super::super::Error> {
    random().ok_or_else(|| super::super::Error::Internal("the system gave no random bytes".into()))
}
