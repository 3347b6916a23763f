//! How a registered model differs from what the ledger says of it. Pure.

use std::collections::BTreeMap;

use super::{
    expected::{Aim, At, Expected},
    pointer::PREFIX,
};
use crate::event::{Seq, proto::RegistryProblem};

/// A registered model, as the registry shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Alias to version.
    pub aliases: BTreeMap<String, String>,
    /// Version to its tags.
    pub versions: BTreeMap<String, BTreeMap<String, String>>,
}

/// One contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The version that it is about; empty: none.
    pub version: String,
    /// The alias; empty: none.
    pub alias: String,
    /// What is wrong.
    pub problem: RegistryProblem,
    /// The promotion that the registry contradicts.
    pub promoted_seq: Option<Seq>,
    /// In words.
    pub detail: String,
}

/// Everything in which a model's aliases and pointers differ from the ledger.
pub fn compare(
    expected: &Expected,
    aims: &BTreeMap<(String, At), Aim>,
    name: &str,
    seen: &Seen,
) -> Vec<Found> {
    let mut found = Vec::new();
    for at in expected.targets() {
        let aim = aims.get(&(name.to_owned(), at));
        found.extend(alias(expected, expected.alias(at), aim, seen));
    }
    found.extend(pointers(expected, name, seen));
    found
}

fn alias(expected: &Expected, alias: &str, aim: Option<&Aim>, seen: &Seen) -> Option<Found> {
    let points_to = seen.aliases.get(alias);
    let (version, promoted_seq) = match aim {
        None => ("", None),
        Some(Aim::Promoted(seq)) => (expected.promotion_of(*seq)?.version.as_str(), Some(*seq)),
        Some(Aim::Undocumented(version)) => (version.as_str(), None),
    };
    let found = |version: &str, problem, detail| {
        let (version, alias) = (version.to_owned(), alias.to_owned());
        Some(Found { version, alias, problem, promoted_seq, detail })
    };
    match points_to {
        Some(there) if there == version => None,
        None if version.is_empty() => None,
        Some(there) => {
            let should = match (version, promoted_seq) {
                ("", _) => "no version of it is current there".to_owned(),
                (version, Some(seq)) => format!("version {version} is (entry {seq})"),
                (version, None) => format!("version {version} is, undocumented"),
            };
            let detail =
                format!("{alias} points to version {there}, which no promotion made current: {should}");
            found(there, RegistryProblem::AliasMoved, detail)
        }
        None => {
            let detail = format!("{alias} points to no version, and version {version} is current");
            found("", RegistryProblem::AliasRemoved, detail)
        }
    }
}

fn pointers(expected: &Expected, name: &str, seen: &Seen) -> Vec<Found> {
    let mut found = Vec::new();
    let mut set = std::collections::BTreeSet::new();
    for (version, at, seq) in expected.pointers_of(name) {
        let Some((tag, pointer)) = expected.pointer(seq) else { continue };
        set.insert((version, tag.clone()));
        let mut wrong = |problem, detail| {
            found.push(Found {
                version: version.to_owned(),
                alias: expected.alias(at).to_owned(),
                problem,
                promoted_seq: Some(seq),
                detail,
            });
        };
        match seen.versions.get(version).map(|tags| tags.get(&tag)) {
            None => wrong(
                RegistryProblem::VersionMissing,
                format!("entry {seq} promoted version {version}, which the registry does not have"),
            ),
            Some(None) => wrong(
                RegistryProblem::PointerRemoved,
                format!("version {version} has no tag {tag}; entry {seq} promoted it"),
            ),
            Some(Some(text)) if !pointer.is(text) => wrong(
                RegistryProblem::PointerChanged,
                format!("tag {tag} of version {version} does not say entry {seq}: {}", short(text)),
            ),
            Some(Some(_)) => {}
        }
    }
    for (version, tags) in &seen.versions {
        for (tag, text) in tags.range(PREFIX.to_owned()..).take_while(|(tag, _)| tag.starts_with(PREFIX)) {
            let alias = tag.strip_prefix(PREFIX).unwrap_or_default();
            let ours = expected.targets().any(|at| expected.alias(at) == alias);
            if ours && !set.contains(&(version.as_str(), tag.clone())) {
                found.push(Found {
                    version: version.clone(),
                    alias: alias.to_owned(),
                    problem: RegistryProblem::PointerChanged,
                    promoted_seq: None,
                    detail: format!("tag {tag} of version {version} is none of ours: {}", short(text)),
                });
            }
        }
    }
    found
}

/// As much of a tag as a finding shows; nobody checked what is in it.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{
            Digest, Header, Kind, Outcome, Reason,
            proto::{ModelVersion, Promoted, Retired, RolledBack, Slot, SlotRole, Undocumented, body::Event},
        },
        registry::config::Target,
    };

    const URI: &str = "mlflow://r";

    fn header(seq: u64) -> Header {
        Header {
            kind: Some(Kind::Promoted),
            outcome: Outcome::Accepted,
            flags: 0,
            reason: Reason::None,
            rules: 1,
            record_len: 0,
            seq,
            recorded_at: 0,
            refers_to: None,
            prev_link: Digest::ZERO,
            record_digest: Digest::ZERO,
            event_digest: Digest([u8::try_from(seq).unwrap(); 32]),
            state_root: Digest::ZERO,
        }
    }

    fn slot() -> Slot {
        Slot {
            model: "credit".into(),
            environment: "production".into(),
            region: String::new(),
            role: SlotRole::Champion.into(),
        }
    }

    fn promoted(version: &str) -> Event {
        let model = ModelVersion {
            artifact_sha256: vec![1; 32],
            registry_uri: URI.into(),
            name: "credit-pd".into(),
            version: version.into(),
            copy: None,
        };
        Event::Promoted(Promoted { slot: Some(slot()), model_version: Some(model), ..Promoted::default() })
    }

    fn folded(events: &[Event]) -> Expected {
        let target = Target {
            environment: "production".into(),
            region: String::new(),
            role: "champion".into(),
            alias: "champion".into(),
        };
        let mut expected = Expected::new(URI, "ledger.example/a", &[target]);
        for (seq, event) in events.iter().enumerate() {
            expected.apply(&header(seq as u64 + 1), event);
        }
        expected
    }

    /// The registry as the ledger wants it.
    fn sound(expected: &Expected, versions: &[&str], champion: Option<&str>) -> Seen {
        let mut seen = Seen::default();
        for version in versions {
            let tags = expected.pointers_of("credit-pd").filter(|(of, ..)| of == version);
            let tags = tags.map(|(_, _, seq)| {
                let (tag, pointer) = expected.pointer(seq).unwrap();
                (tag, pointer.text())
            });
            seen.versions.insert((*version).to_owned(), tags.collect());
        }
        seen.aliases.extend(champion.map(|version| ("champion".to_owned(), version.to_owned())));
        seen
    }

    fn problems(expected: &Expected, seen: &Seen) -> Vec<(String, RegistryProblem)> {
        let found = compare(expected, &expected.aims(), "credit-pd", seen);
        found.into_iter().map(|found| (found.version, found.problem)).collect()
    }

    #[test]
    fn a_registry_that_follows_has_no_findings() {
        let two = folded(&[promoted("1"), promoted("2")]);
        assert_eq!(problems(&two, &sound(&two, &["1", "2", "3"], Some("2"))), []);
        let back = RolledBack { slot: Some(slot()), to_seq: 1, ..RolledBack::default() };
        let back = folded(&[promoted("1"), promoted("2"), Event::RolledBack(back)]);
        assert_eq!(problems(&back, &sound(&back, &["1", "2"], Some("1"))), []);
        let retired = Retired { slot: Some(slot()), promoted_seq: 1, ..Retired::default() };
        let retired = folded(&[promoted("1"), Event::Retired(retired)]);
        assert_eq!(problems(&retired, &sound(&retired, &["1"], None)), []);
        let before = Undocumented {
            slot: Some(slot()),
            registry_uri: URI.into(),
            name: "credit-pd".into(),
            version: "1".into(),
            ..Undocumented::default()
        };
        let gone = Retired { slot: Some(slot()), promoted_seq: 1, ..Retired::default() };
        let gone = folded(&[Event::Undocumented(before.clone()), Event::Retired(gone)]);
        assert_eq!(
            problems(&gone, &sound(&gone, &["1"], Some("1"))),
            [("1".to_owned(), RegistryProblem::AliasMoved)]
        );
        let before = folded(&[Event::Undocumented(before)]);
        assert_eq!(problems(&before, &sound(&before, &["1"], Some("1"))), []);
        let other = folded(&[]);
        assert_eq!(problems(&other, &sound(&other, &["1"], None)), []);
    }

    #[test]
    fn what_nobody_promoted_is_found() {
        use RegistryProblem::{AliasMoved, AliasRemoved, PointerChanged, PointerRemoved, VersionMissing};
        let two = folded(&[promoted("1"), promoted("2")]);
        let sound = || sound(&two, &["1", "2", "3"], Some("2"));
        let one = |version: &str, problem| vec![(version.to_owned(), problem)];
        let mut seen = sound();
        seen.aliases.insert("champion".into(), "3".into());
        assert_eq!(problems(&two, &seen), one("3", AliasMoved));
        seen.aliases.clear();
        assert_eq!(problems(&two, &seen), one("", AliasRemoved));
        let mut seen = sound();
        let pointer = seen.versions.get_mut("1").unwrap().remove("promotion-ledger.champion").unwrap();
        assert_eq!(problems(&two, &seen), one("1", PointerRemoved));
        seen.versions.get_mut("1").unwrap().insert("promotion-ledger.champion".into(), "x".into());
        assert_eq!(problems(&two, &seen), one("1", PointerChanged));
        let mut seen = sound();
        seen.versions.get_mut("3").unwrap().insert("promotion-ledger.champion".into(), pointer);
        assert_eq!(problems(&two, &seen), one("3", PointerChanged), "a copied pointer");
        let mut seen = sound();
        seen.versions.remove("1");
        assert_eq!(problems(&two, &seen), one("1", VersionMissing));
        let empty = folded(&[]);
        let mut seen = Seen::default();
        seen.aliases.insert("champion".into(), "1".into());
        assert_eq!(problems(&empty, &seen), one("1", AliasMoved), "never promoted");
        let retired = Retired { slot: Some(slot()), promoted_seq: 2, ..Retired::default() };
        let retired = folded(&[promoted("1"), promoted("2"), Event::Retired(retired)]);
        let mut seen = self::sound(&retired, &["1", "2"], Some("2"));
        assert_eq!(problems(&retired, &seen), one("2", AliasMoved), "taken out of service");
        seen.aliases.insert("canary".into(), "2".into());
        seen.aliases.remove("champion");
        assert_eq!(problems(&retired, &seen), [], "an alias that stands for no slot");
    }
}
