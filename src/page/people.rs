//! People of an event: by pseudonym, or by name where their sealed items were opened.

use std::collections::BTreeMap;

use crate::event::{
    canonical,
    proto::{Opened, PersonRef, SealedClaims},
};

use super::words::utc;

/// People of an event: by pseudonym, or by name where the sealed items were opened.
pub struct People(Option<BTreeMap<Vec<u8>, Found>>);

/// What opening a person's sealed item gave.
enum Found {
    Claims(SealedClaims),
    /// The subject record is gone: when and by which entry, where one says so.
    Erased(String),
}

impl Found {
    const fn claims(&self) -> Option<&SealedClaims> {
        match self {
            Self::Claims(claims) => Some(claims),
            Self::Erased(_) => None,
        }
    }
}

impl People {
    /// From the opened items; `None` if opening them was not asked for.
    pub fn new(opened: Option<&[Opened]>) -> Self {
        let one = |item: &Opened| {
            let claims = (!item.erased).then(|| canonical::decode_exact(&item.claims)).flatten();
            let erased = || match item.erased_by_seq {
                Some(seq) => format!("erased on {} by entry {seq}", utc(item.erased_at)),
                None => "erased".to_owned(),
            };
            (item.subject_id.clone(), claims.map_or_else(|| Found::Erased(erased()), Found::Claims))
        };
        Self(opened.map(|items| items.iter().map(one).collect()))
    }

    /// A person in words.
    pub fn name(&self, person: Option<&PersonRef>) -> String {
        let Some(person) = person else { return "nobody".into() };
        let short: String = hex::encode(&person.subject_id).chars().take(12).collect();
        match self.0.as_ref().map(|people| people.get(&person.subject_id)) {
            None => format!("person {short} of {} (sealed)", person.issuer),
            Some(None) => format!("person {short} of {} (erased)", person.issuer),
            Some(Some(Found::Erased(how))) => format!("person {short} of {} ({how})", person.issuer),
            Some(Some(Found::Claims(claims))) if claims.name.is_empty() => {
                format!("{} of {}", claims.subject, person.issuer)
            }
            Some(Some(Found::Claims(claims))) => {
                format!("{} ({} of {})", claims.name, claims.subject, person.issuer)
            }
        }
    }

    /// What a person wrote at a path, where it was opened.
    pub fn statements(&self, prefix: &str) -> Vec<(String, String)> {
        let known = self.0.iter().flat_map(BTreeMap::values).filter_map(Found::claims);
        let all = known.flat_map(|claims| &claims.statements);
        let under = all.filter(|statement| statement.path.starts_with(prefix));
        under.map(|s| (s.path.trim_start_matches(prefix).to_owned(), s.text.clone())).collect()
    }

    /// All groups of a person, where they were opened.
    pub fn groups(&self, person: Option<&PersonRef>) -> Option<&[String]> {
        let claims = self.0.as_ref()?.get(&person?.subject_id)?.claims()?;
        Some(&claims.groups)
    }
}
