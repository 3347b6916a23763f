//! Who is calling, once a token was verified; and what that one may do. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::Micros;

/// What a caller may do. A call needs one of the roles of its method; no role, no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Submits promotions and evidence.
    Emitter,
    /// Decides reviews.
    Approver,
    /// Reads everything, personal data included.
    Auditor,
    /// Follows the entries.
    Consumer,
    /// Asks whether something may run.
    Gate,
    /// Carries acts of the administrators, and acts on evidence and people.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Emitter, Self::Approver, Self::Auditor, Self::Consumer, Self::Gate, Self::Operator];

    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emitter => "emitter",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Consumer => "consumer",
            Self::Gate => "gate",
            Self::Operator => "operator",
        }
    }
}

/// Somebody whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `iss`.
    pub issuer: String,
    /// `sub`, the issuer's own name for them.
    pub subject: String,
    /// `name`; empty for most services.
    pub name: String,
    /// Groups at the time of the token.
    pub groups: Vec<String>,
    /// Whether that is the whole list. Rules about groups do not hold on a part of it.
    pub groups_complete: bool,
    /// Authentication context class.
    pub acr: String,
    /// Authentication methods (RFC 8176).
    pub amr: Vec<String>,
    /// The login, microseconds since the Unix epoch; `None` where the token does not say.
    pub auth_time: Option<Micros>,
    /// The key that verified the token, as the issuer names it.
    pub verified_by: String,
}

/// Who has a role: `group:NAME` or `subject:SUB`, of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Everybody in a group.
    Group(String),
    /// One subject.
    Subject(String),
}

impl Holder {
    /// Reads `group:NAME` or `subject:SUB`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("group", name)) if !name.is_empty() => Some(Self::Group(name.to_owned())),
            Some(("subject", name)) if !name.is_empty() => Some(Self::Subject(name.to_owned())),
            _ => None,
        }
    }
}

/// The roles that a principal has under an issuer's mapping. A group that is named counts even where the list is not
/// complete: a longer list could only give more.
pub fn roles<'a>(
    principal: &Principal,
    mapping: impl IntoIterator<Item = (Role, &'a [Holder])>,
) -> BTreeSet<Role> {
    let holds = |holder: &Holder| match holder {
        Holder::Group(name) => principal.groups.contains(name),
        Holder::Subject(name) => principal.subject == *name,
    };
    let held = mapping.into_iter().filter(|(_, holders)| holders.iter().any(holds));
    held.map(|(role, _)| role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_held_by_group_or_subject_and_by_nobody_else() {
        let principal = Principal {
            issuer: "https://idp.example.bank".into(),
            subject: "u-1".into(),
            name: String::new(),
            groups: vec!["model-risk".into()],
            groups_complete: true,
            acr: String::new(),
            amr: Vec::new(),
            auth_time: None,
            verified_by: "k".into(),
        };
        let approvers = [Holder::parse("group:model-risk").unwrap()];
        let emitters = [Holder::parse("subject:u-2").unwrap(), Holder::parse("group:u-1").unwrap()];
        let operators = [Holder::parse("subject:u-1").unwrap()];
        let mapping = [
            (Role::Approver, &approvers[..]),
            (Role::Emitter, &emitters[..]),
            (Role::Operator, &operators[..]),
            (Role::Auditor, &[]),
        ];
        assert_eq!(roles(&principal, mapping), BTreeSet::from([Role::Approver, Role::Operator]));
        for bad in ["group:", "model-risk", "people:x", ""] {
            assert_eq!(Holder::parse(bad), None, "{bad}");
        }
    }
}
