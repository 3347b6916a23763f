//! Identifiers and pinned numbers. A number in this file is never reused or changed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Position of an entry = offset of its record on the topic.
pub type Seq = u64;

/// Microseconds since the Unix epoch, UTC.
pub type Micros = u64;

/// 32 bytes: a BLAKE3 link or record digest, or a SHA-256. Displayed in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

/// SHA-256(tag || public key) of a signing key.
pub type KeyId = Digest;

impl Digest {
    /// All zero: `prev_link` of genesis, `event_digest` of a malformed entry.
    pub const ZERO: Self = Self([0; 32]);

    /// `None` unless `bytes` are exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// `None` unless `text` is exactly 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        Self::from_slice(&hex::decode(text).ok()?)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Declares an enum whose numbers are part of the format.
macro_rules! pinned {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$vmeta:meta])* $variant:ident = $number:literal => $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr($repr)]
        pub enum $name { $($(#[$vmeta])* $variant = $number),+ }

        impl $name {
            /// Every value, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value with this number, if there is one.
            pub const fn from_number(number: $repr) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// Its number in the format.
            pub const fn number(self) -> $repr { self as $repr }

            /// Its name, as commands print it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
    };
}

pinned! {
    /// What an entry records. 0 in a header means that the record could not be read (malformed).
    Kind: u8 {
        /// Genesis.
        LedgerOpened = 1 => "ledger_opened",
        /// Raises the rules version.
        RulesActivated = 2 => "rules_activated",
        /// A key may sign from now on.
        KeyAdded = 3 => "key_added",
        /// A key may no longer sign.
        KeyRetired = 4 => "key_retired",
        /// A key was stolen; what it signed since is flagged.
        KeyCompromised = 5 => "key_compromised",
        /// Whose logins may decide.
        IssuerListed = 6 => "issuer_listed",
        /// A key with which logins were verified.
        IssuerKeys = 7 => "issuer_keys",
        /// This policy routes from now on.
        PolicyActivated = 8 => "policy_activated",
        /// How strict gates are for some targets.
        GateModeSet = 9 => "gate_mode_set",
        /// Dates of a range are corrected.
        ClockReset = 10 => "clock_reset",
        /// What is put before the approvers.
        ReviewSealed = 11 => "review_sealed",
        /// A person approves in a review.
        Approved = 12 => "approved",
        /// A person declines in a review.
        Declined = 13 => "declined",
        /// A person asks for changes in a review.
        ChangesRequested = 14 => "changes_requested",
        /// A review ends without a promotion.
        ReviewClosed = 15 => "review_closed",
        /// A person lets another decide.
        Delegated = 16 => "delegated",
        /// A condition of an approval is met.
        ConditionClosed = 17 => "condition_closed",
        /// A model version becomes current in its slot.
        Promoted = 18 => "promoted",
        /// An earlier promotion becomes current again.
        RolledBack = 19 => "rolled_back",
        /// A promotion is taken back for good.
        Revoked = 20 => "revoked",
        /// The current promotion is taken out of service.
        Retired = 21 => "retired",
        /// An artefact may run in a slot for a while, without a promotion.
        BreakGlass = 22 => "break_glass",
        /// In production before the ledger.
        Undocumented = 23 => "undocumented",
        /// A whole request that the policy refused.
        AttemptRefused = 24 => "attempt_refused",
        /// Evidence is gone, changed or not locked as it was.
        EvidenceFinding = 25 => "evidence_finding",
        /// A node tried to break its own evidence store.
        StoreProbed = 26 => "store_probed",
        /// Evidence must not be relied on any more.
        Tainted = 27 => "tainted",
        /// Personal data must be kept.
        LegalHoldSet = 28 => "legal_hold_set",
        /// It need no longer be kept.
        LegalHoldReleased = 29 => "legal_hold_released",
        /// A person's subject record is destroyed.
        KeyShredded = 30 => "key_shredded",
        /// The model registry is not as promotions left it.
        RegistryFinding = 31 => "registry_finding",
        /// Reserved.
        AuditFinding = 32 => "audit_finding",
    }
}

pinned! {
    /// What the writer decided.
    Outcome: u8 {
        /// It happened.
        Accepted = 1 => "accepted",
        /// It had happened already; `refers_to` says where.
        Duplicate = 2 => "duplicate",
        /// A signed record that the rules refuse.
        Refused = 3 => "refused",
        /// Not a record of this ledger.
        Malformed = 4 => "malformed",
    }
}

pinned! {
    /// Why an entry is refused or malformed.
    Reason: u16 {
        /// Accepted and duplicate entries.
        None = 0 => "none",
        /// Malformed: no value at this offset (transaction marker, null or empty value).
        Hole = 1 => "hole",
        /// Malformed: the envelope cannot be read.
        Framing = 2 => "framing",
        /// Malformed: more than 256 KiB.
        Size = 3 => "size",
        /// Malformed: decoding and encoding again gives other bytes.
        Canonical = 4 => "canonical",
        /// Malformed: a reserved kind, or none.
        Kind = 5 => "kind",
        /// Malformed: another rules version than the ledger's.
        Version = 6 => "version",
        /// Malformed: the key is not one of this ledger's, or was retired.
        Key = 7 => "key",
        /// Malformed: the signature does not verify.
        Signature = 8 => "signature",
        /// Refused: the key may not sign this kind.
        Role = 100 => "role",
        /// Refused: the idempotency key is bound to an event with other content.
        Conflict = 101 => "conflict",
        /// Refused: the basis is not a head of this chain.
        Fork = 102 => "fork",
        /// Refused: the basis is older than 2^20 entries.
        Stale = 103 => "stale",
        /// Refused: what admission relied on has changed.
        Precondition = 104 => "precondition",
        /// Refused: the idempotency key is not the one that the body gives.
        IdempotencyKey = 105 => "idempotency_key",
        /// Refused: genesis stands at offset 0 only.
        Genesis = 106 => "genesis",
        /// Refused: the admin statement is for another ledger or kind, or its payload cannot be read.
        Statement = 107 => "statement",
        /// Refused: fewer than k distinct, valid admin signatures.
        Quorum = 108 => "quorum",
        /// Refused: admin_seq is not the next one.
        AdminSeq = 109 => "admin_seq",
        /// Refused: the admin act does not fit the state (unknown key, key there already, …).
        AdminAct = 110 => "admin_act",
        /// Refused: a rule of the six fields does not hold.
        Incomplete = 111 => "incomplete",
        /// Refused: the entry that it refers to is not an eligible promotion of that slot.
        Target = 112 => "target",
    }
}

/// `refers_to` of an entry that refers to none.
pub const REFERS_TO_NONE: u64 = u64::MAX;

/// What a front-door key may sign; bits of `FrontDoorKey.roles`.
pub mod role {
    /// Promotions, roll-backs, revocations, reviews.
    pub const DECISION: u32 = 1;
    /// Carries admin acts (which need admin signatures of their own).
    pub const ADMIN_CARRIER: u32 = 2;
    /// Findings and other observations of nodes.
    pub const OBSERVATION: u32 = 4;
    /// Not a front door: one of the n administrators.
    pub const ADMIN_SIGNER: u32 = 8;
    /// Every bit that has a meaning.
    pub const ALL: u32 = 15;
}

impl Kind {
    /// Roles of which the signing key needs one.
    pub const fn roles(self) -> u32 {
        match self {
            Self::LedgerOpened
            | Self::RulesActivated
            | Self::KeyAdded
            | Self::KeyRetired
            | Self::KeyCompromised
            | Self::IssuerListed
            | Self::PolicyActivated
            | Self::GateModeSet
            | Self::ClockReset => role::ADMIN_CARRIER,
            Self::IssuerKeys
            | Self::AttemptRefused
            | Self::EvidenceFinding
            | Self::StoreProbed
            | Self::RegistryFinding
            | Self::AuditFinding => role::OBSERVATION,
            _ => role::DECISION,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind numbers are in signed bytes of every ledger: this list may grow, never change.
    #[test]
    fn kind_numbers_are_pinned() {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), 32);
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(usize::from(kind.number()), index + 1);
            assert_eq!(Kind::from_number(kind.number()), Some(*kind));
        }
        assert_eq!(Kind::from_number(18), Some(Kind::Promoted));
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_number(33), None);
    }

    #[test]
    fn reasons_split_into_malformed_below_100_and_refused_above() {
        for reason in Reason::ALL.iter().filter(|r| **r != Reason::None) {
            let malformed = matches!(
                reason,
                Reason::Hole
                    | Reason::Framing
                    | Reason::Size
                    | Reason::Canonical
                    | Reason::Kind
                    | Reason::Version
                    | Reason::Key
                    | Reason::Signature
            );
            assert_eq!(reason.number() < 100, malformed, "{reason}");
        }
    }
}
