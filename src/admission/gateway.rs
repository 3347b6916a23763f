//! The front door: what it needs, whether it admits anything now, and acts of the administrators.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    archive::archiver::Progress,
    clock::Clock,
    event::{
        Kind, canonical,
        content::content_digest,
        promotion::Problem,
        proto::{AdminAct, Body, Receipt},
    },
    evidence::{EvidenceStore, standing::Known},
    identity::{logins::Logins, subjects::Subjects},
    ledger::{
        Ledger, decide::expected_key, inflight::Inflight, node_key::NodeKey, writer::CLOCK_DISTANCE_MAX,
    },
    log::Log,
};

use super::{Error, break_glass, reviews::sessions::ReviewSessions, routing::RoutingCache};

/// How often a record that lost a harmless race (rules version, stale basis) is made anew.
pub(super) const ATTEMPTS_MAX: usize = 3;

/// Everything that admission needs.
pub struct Gateway {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Calls that wait.
    pub inflight: Arc<Inflight>,
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// Where evidence is.
    pub evidence: Arc<dyn EvidenceStore>,
    /// Whether evidence about one person may be sealed for that person.
    pub encrypt_evidence: bool,
    /// How far the ledger's archive is.
    pub archive: Arc<Progress>,
    /// Whether promotions may rely on it.
    pub standing: Arc<Known>,
    /// Days for which evidence is kept where no policy says.
    pub retain_days: u32,
    /// People.
    pub subjects: Arc<Subjects>,
    /// Signs records.
    pub key: NodeKey,
    /// Who may let something in without a promotion; `None`: nobody.
    pub break_glass: Option<break_glass::Rules>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How long a call waits for its entry.
    pub confirm_within: Duration,
    /// Where approvers log in.
    pub logins: Logins,
    /// Whether a promotion may bring logins of people with it; otherwise they decide in reviews only.
    pub embedded_approvals: bool,
    /// What approvers were served, and what they froze.
    pub reviews: ReviewSessions,
    /// How long a call waits, once its entry is synced, for a checkpoint over it that enough witnesses cosigned.
    pub witnessed_within: Option<Duration>,
    /// What routing has read already.
    pub routing: RoutingCache,
    /// Refused attempts recorded in the current minute: (minute, count).
    pub refusals: Mutex<(u64, u32)>,
    /// How far this node's clock was from the log's own time at its newest record, microseconds; 0: not at all.
    pub clock_away: AtomicU64,
}

impl Gateway {
    /// Why this node admits no decisions now; `None` if it does (design section 3, rule 8).
    pub fn not_admitting(&self) -> Option<String> {
        if let Some(why) = self.ledger.contradiction() {
            return Some(format!("split view: {why}"));
        }
        let now = self.clock.now();
        let date = self.ledger.head().state.date;
        if date > now.saturating_add(CLOCK_DISTANCE_MAX) {
            let behind = (date - now) / 1_000_000;
            return Some(format!(
                "this node's clock is {behind} s behind the ledger's newest entry; set the clock"
            ));
        }
        let away = self.clock_away.load(Ordering::Relaxed);
        let clock = (away > CLOCK_DISTANCE_MAX).then(|| {
            let away = away / 1_000_000;
            format!("this node's clock is {away} s away from the log's; set the clock and restart the node")
        });
        clock.or_else(|| self.archive.stands_against(now))
    }

    /// Why this node admits no promotions now; `None` if it does. Other acts need no new evidence.
    pub fn not_promoting(&self) -> Option<String> {
        self.not_admitting().or_else(|| self.standing.refusal())
    }

    pub(super) fn evidence_held(&self) -> Result<(), Error> {
        self.standing.refusal().map_or(Ok(()), |why| Err(Error::Unavailable(why)))
    }

    pub(super) fn admitting(&self) -> Result<(), Error> {
        self.not_admitting().map_or(Ok(()), |why| Err(Error::Unavailable(why)))
    }

    /// Records an act of the administrators. The only call that a node with a wrong clock still takes.
    ///
    /// # Errors
    /// [`Error`]; the ledger's rules check statement and signatures.
    pub async fn admin(&self, act: AdminAct) -> Result<Receipt, Error> {
        let invalid = |description: &str| {
            Error::Invalid(vec![Problem { field: "act.statement".into(), description: description.into() }])
        };
        let statement =
            canonical::statement(&act).ok_or_else(|| invalid("is not a canonical AdminStatement"))?;
        let kind = u8::try_from(statement.kind).ok().and_then(Kind::from_number);
        if kind == Some(Kind::PolicyActivated) {
            let activated = canonical::decode_exact(&statement.payload)
                .ok_or_else(|| invalid("has a payload that is no PolicyActivated"))?;
            let problems = tokio::task::block_in_place(|| Self::policy_problems(&activated));
            if !problems.is_empty() {
                return Err(Error::Invalid(problems));
            }
        }
        let event = kind.and_then(|kind| canonical::admin_event(kind, act));
        let event = event.ok_or_else(|| invalid("has a kind that is not an admin act"))?;
        let key = expected_key(&event).unwrap_or_default();
        let mut body = Body { idempotency_key: key.0.to_vec(), event: Some(event), ..Body::default() };
        let content = content_digest(&body);
        if let Some(receipt) = self.recorded(&body, &content)? {
            return Ok(receipt);
        }
        self.submit(&mut body, content, "").await?.ok_or(Error::Raced)
    }
}
