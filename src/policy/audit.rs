//! Every promotion of a ledger in order, routed again by the policy that was in force.

use std::{collections::HashMap, sync::Arc};

use crate::event::{
    Digest, Header, Outcome, Seq, canonical, digest,
    proto::{AdminAct, Body, PolicyActivated, Promoted, Slot, body::Event},
};

use super::{check::Policy, compile, inputs::Inputs, recheck};

/// What routed at a position.
#[derive(Clone)]
enum InForce {
    /// No policy: the built-in rule.
    BuiltIn,
    /// A policy.
    Policy(Arc<Policy>),
    /// An activated file that this binary cannot read as a policy.
    Unreadable(String),
}

/// Follows a ledger, entry after entry. Memory: about 100 bytes for each promotion.
pub struct Audit {
    in_force: InForce,
    current: HashMap<Digest, Option<Seq>>,
    artifacts: HashMap<Seq, Digest>,
}

/// One promotion that a policy routed.
#[derive(Debug, Clone)]
pub struct Audited {
    /// Its entry.
    pub seq: Seq,
    /// The tier that the event says.
    pub tier: String,
    /// What was routed; `None` if the event does not hold it in its canonical form.
    pub inputs: Option<Inputs>,
    /// What does not follow from the frozen inputs, in words; empty if everything does.
    pub findings: Vec<String>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { in_force: InForce::BuiltIn, current: HashMap::new(), artifacts: HashMap::new() }
    }
}

impl Audit {
    /// Goes past the next entry; what it found, if that is a promotion which a policy routed.
    pub fn push(&mut self, header: &Header, body: &Body) -> Option<Audited> {
        let event = body.event.as_ref().filter(|_| header.outcome == Outcome::Accepted)?;
        match event {
            Event::PolicyActivated(act) => self.in_force = in_force(act),
            Event::Promoted(promoted) => {
                let audited = self.promotion(header.seq, promoted);
                let artifact =
                    promoted.model_version.as_ref().and_then(|m| Digest::from_slice(&m.artifact_sha256));
                self.artifacts.insert(header.seq, artifact.unwrap_or_default());
                self.set(promoted.slot.as_ref(), Some(header.seq));
                return audited;
            }
            Event::RolledBack(e) => self.set(e.slot.as_ref(), Some(e.to_seq)),
            Event::Retired(e) => self.set(e.slot.as_ref(), None),
            Event::Revoked(e) => {
                let key = e.slot.as_ref().map(digest::slot).unwrap_or_default();
                if self.current.get(&key) == Some(&Some(e.promoted_seq)) {
                    self.current.insert(key, None);
                }
            }
            _ => {}
        }
        None
    }

    fn set(&mut self, slot: Option<&Slot>, current: Option<Seq>) {
        self.current.insert(slot.map(digest::slot).unwrap_or_default(), current);
    }

    fn promotion(&self, seq: Seq, promoted: &Promoted) -> Option<Audited> {
        let routing = promoted.routing.clone().unwrap_or_default();
        let audited = |inputs, findings| Some(Audited { seq, tier: routing.tier.clone(), inputs, findings });
        match &self.in_force {
            InForce::BuiltIn if routing.policy_sha256.is_empty() => None,
            InForce::BuiltIn => audited(None, vec!["names a policy, but none was in force".into()]),
            InForce::Unreadable(why) => {
                audited(None, vec![format!("the policy in force cannot be read: {why}")])
            }
            InForce::Policy(policy) => {
                let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
                let current = self.current.get(&slot).copied().flatten();
                let previous =
                    current.map(|seq| (seq, self.artifacts.get(&seq).copied().unwrap_or_default()));
                let findings = recheck::findings(promoted, policy, previous);
                audited(Inputs::from_bytes(&routing.inputs).ok(), findings)
            }
        }
    }
}

/// The policy in an accepted act.
pub fn activated(act: &AdminAct) -> Option<PolicyActivated> {
    canonical::statement(act).and_then(|statement| canonical::decode_exact(&statement.payload))
}

fn in_force(act: &AdminAct) -> InForce {
    let Some(activated) = activated(act) else { return InForce::Unreadable("no policy file".into()) };
    match compile(&activated.yaml) {
        Ok(policy) => InForce::Policy(Arc::new(policy)),
        Err(findings) => InForce::Unreadable(findings.first().map(ToString::to_string).unwrap_or_default()),
    }
}
