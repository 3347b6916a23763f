//! The part of a verification that looks at logins: who approved, by which key that was verified, and, where sealed data
//! may be opened, the identity provider's own signature over this decision.

use crate::{
    event::{
        Digest, Header, Kind, Outcome, canonical,
        proto::{Body, SealedClaims, body::Event},
    },
    identity::kept::{self, Kept, RecordedKeys},
    proof::verify::StoredEntry,
};

use super::{output::Result, verification::Found};

/// Findings that are listed, at most.
const FINDINGS_MAX: usize = 10_000;

/// Opens what an entry seals; people who were erased are left out.
pub type Open = Box<dyn Fn(&Header, &Body) -> Result<Vec<(Digest, SealedClaims)>> + Send>;

/// The logins of a ledger.
#[derive(Default)]
pub struct KeptLogins {
    keys: RecordedKeys,
    open: Option<Open>,
    /// Some entries were not read in this run: keys may be in them.
    partial: bool,
    /// Logins that entries rely on.
    pub logins: u64,
    /// Of these, logins of a development issuer, which prove nothing.
    pub development: u64,
    /// Of these, logins whose assertion was opened, and whose signature, nonce and facts hold.
    pub verified: u64,
    /// Of these, logins of people who were erased since.
    pub erased: u64,
    /// What is wrong.
    pub findings: Vec<Found>,
}

impl KeptLogins {
    /// Opens assertions from here on.
    pub fn opening(&mut self, open: Open) {
        self.open = Some(open);
    }

    /// Whether assertions are opened.
    pub fn opens(&self) -> bool {
        self.open.is_some()
    }

    /// Earlier entries are not read.
    pub fn resumed(&mut self) {
        self.partial = true;
    }

    /// Looks at the next entries.
    ///
    /// # Errors
    /// If what is sealed cannot be asked for.
    pub fn entries(&mut self, entries: &[StoredEntry]) -> Result<()> {
        for entry in entries {
            let Ok(header) = Header::decode(&entry.header) else { continue };
            if header.outcome != Outcome::Accepted || !header.kind.is_some_and(relies_on_logins) {
                continue;
            }
            let Ok(record) = canonical::decode(&entry.record) else { continue };
            match &record.body.event {
                Some(Event::IssuerKeys(keys)) => self.keys.note(keys),
                Some(event) => self.event(&header, &record.body, event)?,
                None => {}
            }
        }
        Ok(())
    }

    fn event(&mut self, header: &Header, body: &Body, event: &Event) -> Result<()> {
        let kept = kept::of_event(event, body);
        if kept.is_empty() {
            return Ok(());
        }
        let opened = self.open.as_ref().map(|open| open(header, body)).transpose()?;
        for kept in kept {
            self.logins += 1;
            self.development += u64::from(kept::proves_nothing(&kept.approval));
            let mut found: Vec<_> = kept::clear_finding(&self.keys, &kept).into_iter().collect();
            if self.partial && !kept.approval.verified_by.is_empty() {
                found.clear();
            }
            if let Some(opened) = &opened
                && found.is_empty()
            {
                found = self.opened(&kept, opened);
            }
            let room = FINDINGS_MAX.saturating_sub(self.findings.len());
            let found = found.into_iter().take(room);
            self.findings.extend(found.map(|what| Found { seq: Some(header.seq), what }));
        }
        Ok(())
    }

    fn opened(&mut self, kept: &Kept<'_>, opened: &[(Digest, SealedClaims)]) -> Vec<String> {
        let approver = kept.approval.approver.as_ref();
        let id = approver.and_then(|person| Digest::from_slice(&person.subject_id));
        let Some((_, claims)) = opened.iter().find(|(of, _)| Some(*of) == id) else {
            self.erased += 1;
            return Vec::new();
        };
        let found = kept::findings(&self.keys, kept, claims);
        self.verified += u64::from(found.is_empty());
        found
    }
}

fn relies_on_logins(kind: Kind) -> bool {
    use Kind::{Approved, BreakGlass, ChangesRequested, Declined, IssuerKeys, Promoted};
    matches!(kind, IssuerKeys | Promoted | Approved | Declined | ChangesRequested | BreakGlass)
}
