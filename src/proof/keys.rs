//! The keys of a ledger as its own entries change them: who may sign what at each position, and who signed how much.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::verify::What;
use crate::event::{
    Header, KeyId, Kind, Outcome, Reason, Seq, canonical, digest,
    model::role,
    proto::{AdminAct, KeyAdded, KeyCompromised, KeyRetired, LedgerOpened},
};

/// A front-door key, and what it signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// Its id.
    pub key_id: KeyId,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Bits of [`role`].
    pub roles: u32,
    /// The entry that retired it.
    pub retired_at: Option<Seq>,
    /// From this entry on it was in wrong hands.
    pub compromised_from: Option<Seq>,
    /// Entries that it signed.
    pub signed: u64,
}

/// The keys at a position.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Keys {
    front_doors: BTreeMap<KeyId, KeyUse>,
    admins: BTreeSet<[u8; 32]>,
    admin_quorum: u32,
    /// Signatures of administrators that verified.
    pub(super) admin_signatures: u64,
    #[serde(skip)]
    decoded: BTreeMap<KeyId, VerifyingKey>,
}

impl Keys {
    pub(super) fn genesis(opened: &LedgerOpened) -> Self {
        let mut keys = Self { admin_quorum: opened.admin_quorum, ..Self::default() };
        keys.admins = opened.admin_keys.iter().filter_map(|key| key.as_slice().try_into().ok()).collect();
        for front_door in &opened.keys {
            keys.add(&front_door.public_key, front_door.roles);
        }
        keys
    }

    /// Keys that were saved; decodes them again.
    pub(super) fn resumed(mut self) -> Option<Self> {
        for key in self.front_doors.values() {
            self.decoded.insert(key.key_id, canonical::public_key(&key.public_key)?);
        }
        Some(self)
    }

    /// Every key, and what it signed.
    pub(super) fn uses(&self) -> Vec<KeyUse> {
        self.front_doors.values().cloned().collect()
    }

    /// Every key that signs entries, or did.
    pub(super) fn decoded(&self) -> &BTreeMap<KeyId, VerifyingKey> {
        &self.decoded
    }

    /// The key that signed an entry which is not malformed; it must have been good then, and have the role that the
    /// entry's outcome says it had.
    pub(super) fn signer(&mut self, id: KeyId, header: &Header) -> Result<VerifyingKey, What> {
        let key = self.front_doors.get_mut(&id).filter(|key| key.retired_at.is_none());
        let key = key.ok_or(What::Key(id))?;
        let kind = header.kind.ok_or(What::Record(Reason::Kind))?;
        if header.reason != Reason::Role && key.roles & kind.roles() == 0 {
            return Err(What::Role { key: id, kind });
        }
        key.signed += 1;
        self.decoded.get(&id).copied().ok_or(What::Key(id))
    }

    /// Follows an accepted admin act, so that later entries are checked under the keys that are good then.
    pub(super) fn follow(&mut self, header: &Header, record: &[u8], signatures: bool) -> Result<(), What> {
        let unreadable = What::Record(Reason::Statement);
        let Some(kind) = header.kind.filter(|_| header.outcome == Outcome::Accepted) else { return Ok(()) };
        if kind.roles() != role::ADMIN_CARRIER {
            return Ok(());
        }
        let record = canonical::decode(record).map_err(What::Record)?;
        let Some(act) = record.body.event.as_ref().and_then(canonical::admin_act) else { return Ok(()) };
        let statement = canonical::statement(act).ok_or(unreadable.clone())?;
        if signatures {
            let found = self.administrators(act);
            if found < self.admin_quorum {
                return Err(What::Quorum { found, needed: self.admin_quorum });
            }
            self.admin_signatures += u64::from(found);
        }
        match kind {
            Kind::KeyAdded => {
                let added: KeyAdded = canonical::decode_exact(&statement.payload).ok_or(unreadable)?;
                let key = added.key.unwrap_or_default();
                if key.roles & role::ADMIN_SIGNER == 0 {
                    self.add(&key.public_key, key.roles);
                } else if let Ok(admin) = key.public_key.as_slice().try_into() {
                    self.admins.insert(admin);
                }
            }
            Kind::KeyRetired => {
                let act: KeyRetired = canonical::decode_exact(&statement.payload).ok_or(unreadable)?;
                self.retire(&act.key_id, header.seq, None);
            }
            Kind::KeyCompromised => {
                let act: KeyCompromised = canonical::decode_exact(&statement.payload).ok_or(unreadable)?;
                self.retire(&act.key_id, header.seq, Some(act.from_seq));
            }
            _ => {}
        }
        Ok(())
    }

    /// Distinct administrators whose signature over the act's statement holds.
    fn administrators(&self, act: &AdminAct) -> u32 {
        let holds = |public: &[u8], signature: &[u8]| {
            let listed = <[u8; 32]>::try_from(public).is_ok_and(|key| self.admins.contains(&key));
            let key = canonical::public_key(public).filter(|_| listed);
            key.is_some_and(|key| canonical::statement_signature_holds(&act.statement, &key, signature))
        };
        let signers = act.signatures.iter().filter(|one| holds(&one.public_key, &one.signature));
        signers.map(|one| one.public_key.as_slice()).collect::<BTreeSet<_>>().len() as u32
    }

    fn add(&mut self, public_key: &[u8], roles: u32) {
        if let Some(key) = canonical::public_key(public_key) {
            let (key_id, public_key) = (digest::key_id(&key), key.to_bytes());
            let unused =
                KeyUse { key_id, public_key, roles, retired_at: None, compromised_from: None, signed: 0 };
            self.front_doors.insert(key_id, unused);
            self.decoded.insert(key_id, key);
        }
    }

    fn retire(&mut self, key_id: &[u8], seq: Seq, compromised_from: Option<Seq>) {
        let Some(id) = KeyId::from_slice(key_id) else { return };
        if let Some(key) = self.front_doors.get_mut(&id) {
            key.retired_at = key.retired_at.or(Some(seq));
            key.compromised_from = key.compromised_from.or(compromised_from);
        }
        // The id of an administrator is made in the same way.
        self.admins.retain(|admin| canonical::public_key(admin).is_none_or(|key| digest::key_id(&key) != id));
    }
}
