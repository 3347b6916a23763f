//! The control: every alias, pointer and current version's bytes, compared with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    comparison::{Found, Seen, compare},
    expected::{Aim, At, Expected},
};
use crate::{
    event::proto::{RegistryFinding, RegistryProblem},
    mlflow::{self, Bytes, Client, Registered},
};

/// Characters of a finding's words: with four bytes each it still fits into an entry.
const DETAIL_CHARS_MAX: usize = 250;

/// What a sweep looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// One registered model; `None`: all.
    pub model: Option<String>,
    /// Whether the bytes of current versions are read.
    pub bytes: bool,
}

/// What a sweep found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Swept {
    /// Registered models that were compared.
    pub models: u64,
    /// Bytes of artefacts that were read.
    pub bytes: u64,
    /// Current versions whose bytes nobody could read, and why.
    pub unread: Vec<String>,
    /// What contradicts the ledger.
    pub findings: Vec<RegistryFinding>,
}

/// Sweeps a registry that has everything which the ledger asked of it.
///
/// # Errors
/// [`mlflow::Error`]: nothing is known then.
pub async fn sweep(
    client: &Client,
    expected: &Expected,
    uri: &str,
    scope: &Scope,
    day: u32,
) -> Result<Swept, mlflow::Error> {
    let aims = expected.aims();
    let there = match &scope.model {
        Some(name) => client.model(name).await?.into_iter().collect(),
        None => client.models().await?,
    };
    let mut swept = Swept::default();
    for (name, registered) in concerned(expected, &aims, there, scope) {
        let seen = look(client, &name, &registered).await?;
        let mut found = compare(expected, &aims, &name, &seen);
        if scope.bytes {
            found.extend(bytes(client, expected, &aims, (&name, &seen), &mut swept).await?);
        }
        swept.models += 1;
        swept.findings.extend(found.into_iter().map(|found| finding(uri, &name, found, day)));
    }
    Ok(swept)
}

/// Models that the ledger knows, or that have one of our aliases; of those that are gone, what is left: nothing.
fn concerned(
    expected: &Expected,
    aims: &BTreeMap<(String, At), Aim>,
    there: Vec<Registered>,
    scope: &Scope,
) -> BTreeMap<String, Registered> {
    let ours: BTreeSet<_> = expected.targets().map(|at| expected.alias(at)).collect();
    let known: BTreeSet<String> =
        expected.models().into_iter().chain(aims.keys().map(|(name, _)| name.clone())).collect();
    let mut found: BTreeMap<String, Registered> = known
        .iter()
        .filter(|name| scope.model.as_ref().is_none_or(|only| only == *name))
        .map(|name| (name.clone(), Registered { name: name.clone(), ..Registered::default() }))
        .collect();
    for registered in there {
        let aliased = registered.aliases.iter().any(|it| ours.contains(it.alias.as_str()));
        if aliased || known.contains(&registered.name) {
            found.insert(registered.name.clone(), registered);
        }
    }
    found
}

async fn look(client: &Client, name: &str, registered: &Registered) -> Result<Seen, mlflow::Error> {
    let aliases = registered.aliases.iter().map(|it| (it.alias.clone(), it.version.clone())).collect();
    let mut versions = BTreeMap::new();
    for version in client.versions(name).await? {
        let tags = version.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        versions.insert(version.version, tags);
    }
    Ok(Seen { aliases, versions })
}

/// Current versions whose bytes are not the promoted ones.
async fn bytes(
    client: &Client,
    expected: &Expected,
    aims: &BTreeMap<(String, At), Aim>,
    (name, seen): (&str, &Seen),
    swept: &mut Swept,
) -> Result<Vec<Found>, mlflow::Error> {
    let mut found = Vec::new();
    let mut read: BTreeMap<String, Bytes> = BTreeMap::new();
    for at in expected.targets() {
        let Some(Aim::Promoted(seq)) = aims.get(&(name.to_owned(), at)) else { continue };
        let Some(promotion) = expected.promotion_of(*seq) else { continue };
        // One that the registry does not have was found already.
        if !seen.versions.contains_key(&promotion.version) {
            continue;
        }
        let version = &promotion.version;
        if !read.contains_key(version) {
            let bytes = mlflow::digest(client, name, version).await?;
            if let Bytes::Read { length, .. } = &bytes {
                swept.bytes += length;
            }
            if let Bytes::Elsewhere(why) = &bytes {
                swept.unread.push(format!("{name} version {version}: {why}"));
            }
            read.insert(version.clone(), bytes);
        }
        let Some(bytes) = read.get(version).filter(|bytes| bytes.are(&promotion.artifact) == Some(false))
        else {
            continue;
        };
        let is = match bytes {
            Bytes::Read { archive, length, .. } => format!("{length} bytes, as an archive sha256 {archive}"),
            _ => "its files are gone".to_owned(),
        };
        let artifact = &promotion.artifact;
        found.push(Found {
            version: version.clone(),
            alias: expected.alias(at).to_owned(),
            problem: RegistryProblem::Digest,
            promoted_seq: Some(*seq),
            detail: format!("version {version} is not sha256 {artifact}, which entry {seq} promoted: {is}"),
        });
    }
    Ok(found)
}

fn finding(uri: &str, name: &str, found: Found, day: u32) -> RegistryFinding {
    RegistryFinding {
        registry_uri: uri.to_owned(),
        name: name.to_owned(),
        version: found.version,
        alias: found.alias,
        problem: found.problem.into(),
        promoted_seq: found.promoted_seq,
        detail: found.detail.chars().take(DETAIL_CHARS_MAX).collect(),
        day,
    }
}
