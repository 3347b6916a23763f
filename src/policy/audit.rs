//! Every promotion of a ledger in order, routed again by the policy that was in force.

use std::sync::Arc;

use crate::event::{
    Digest, Header, Outcome, Seq, canonical, digest,
    proto::{AdminAct, Body, PolicyActivated, Promoted, body::Event},
};

use super::{
    check::Policy,
    compile,
    followed::Followed,
    inputs::Inputs,
    recheck::{self, Earlier},
};

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
    /// With the artefact of each promotion.
    slots: Followed<Digest>,
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
        Self { in_force: InForce::BuiltIn, slots: Followed::default() }
    }
}

impl Audit {
    /// Goes past the next entry; what it found, if that is a promotion which a policy routed.
    pub fn push(&mut self, header: &Header, body: &Body) -> Option<Audited> {
        let event = body.event.as_ref().filter(|_| header.outcome == Outcome::Accepted)?;
        let audited = match event {
            Event::PolicyActivated(act) => {
                self.in_force = in_force(act);
                None
            }
            Event::Promoted(promoted) => self.promotion(header.seq, promoted),
            _ => None,
        };
        self.slots.push(header.seq, event, artifact);
        audited
    }

    fn promotion(&self, seq: Seq, promoted: &Promoted) -> Option<Audited> {
        let recorded = promoted.routing.as_ref();
        let audited = |inputs, findings| {
            let tier = recorded.map(|routing| routing.tier.clone()).unwrap_or_default();
            Some(Audited { seq, tier, inputs, findings })
        };
        match &self.in_force {
            InForce::BuiltIn if recorded.is_none_or(|routing| routing.policy_sha256.is_empty()) => None,
            InForce::BuiltIn => audited(None, vec!["names a policy, but none was in force".into()]),
            InForce::Unreadable(why) => {
                audited(None, vec![format!("the policy in force cannot be read: {why}")])
            }
            InForce::Policy(policy) => {
                let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
                let earlier = Earlier {
                    current: self.slots.current(&slot).map(|(seq, artifact)| (seq, *artifact)),
                    human: self.slots.human(&slot).map(|(seq, _)| seq),
                };
                let (inputs, findings) = recheck::findings(promoted, policy, earlier);
                audited(inputs, findings)
            }
        }
    }
}

fn artifact(promoted: &Promoted) -> Digest {
    let model = promoted.model_version.as_ref();
    model.and_then(|model| Digest::from_slice(&model.artifact_sha256)).unwrap_or_default()
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
