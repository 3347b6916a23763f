//! A policy, checked whole: nothing is discovered when a promotion waits.

use std::{collections::BTreeSet, sync::Arc};

use cel::Env;
use serde::Serialize;
use serde_saphyr::Spanned;

use crate::event::{Digest, digest};

use super::{
    cases,
    dsse::BuildIdentity,
    expression::{Condition, environment},
    file::{BandEntry, File, StandingPolicy, Tier},
    provenance::Group,
    structure,
};

/// Longest policy file, bytes: its event carries it inline.
pub const POLICY_LEN_MAX: usize = 200 * 1024;

/// Something that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Line in the file, from 1.
    pub line: u64,
    /// Column in that line, from 1.
    pub column: u64,
    /// What is wrong, in words.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// A rule, compiled.
pub(super) struct Rule {
    pub(super) id: String,
    /// Place of its tier.
    pub(super) tier: usize,
    pub(super) reason: String,
    pub(super) condition: Condition,
}

/// A policy that was checked. Share it between threads; nothing in it changes.
pub struct Policy {
    file: File,
    digest: Digest,
    environment: Arc<Env>,
    rules: Vec<Rule>,
    reads: BTreeSet<Group>,
    identities: Vec<BuildIdentity>,
}

/// Reads a policy, compiles and type-checks it, and runs its own tests. All findings at once.
pub fn load(yaml: &[u8]) -> Result<Policy, Vec<Finding>> {
    let policy = compile(yaml)?;
    let results = cases::run(&policy);
    let mut findings = Vec::new();
    for result in &results {
        for failure in &result.failures {
            let message = format!("test {:?}: {failure}", result.name);
            findings.push(Finding { line: result.place.0, column: result.place.1, message });
        }
    }
    let reached: BTreeSet<&str> = results
        .iter()
        .filter_map(|result| result.route.as_ref())
        .flat_map(|route| route.matched.iter().map(|matched| matched.rule.as_str()))
        .collect();
    for rule in policy.file.rules.iter().filter(|rule| !reached.contains(rule.id.value.as_str())) {
        let message =
            format!("no test of this file reaches the rule {:?}; add one that it matches", rule.id.value);
        findings.push(at(&rule.id, message));
    }
    findings.sort();
    if findings.is_empty() { Ok(policy) } else { Err(findings) }
}

/// As [`load`], without the policy's own tests: for `policy test`, which shows how each one went.
pub fn compile(yaml: &[u8]) -> Result<Policy, Vec<Finding>> {
    let whole = |message: String| vec![Finding { line: 1, column: 1, message }];
    if yaml.len() > POLICY_LEN_MAX {
        return Err(whole(format!("has {} bytes; at most {POLICY_LEN_MAX}", yaml.len())));
    }
    let text = std::str::from_utf8(yaml).map_err(|error| whole(format!("is not UTF-8: {error}")))?;
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        vec![Finding { line, column, message: error.without_snippet().to_string() }]
    })?;
    let mut findings = structure::findings(&file);
    let environment = environment();
    let mut rules = Vec::new();
    for rule in &file.rules {
        let tier = file.tiers.iter().position(|tier| tier.id.value == rule.tier.value);
        match (Condition::compile(&environment, &rule.when.value), tier) {
            (Ok(condition), Some(tier)) => {
                rules.push(Rule { id: rule.id.value.clone(), tier, reason: rule.reason.clone(), condition });
            }
            // The unknown tier is among the findings.
            (Ok(_), None) => {}
            (Err(faults), _) => findings.extend(faults.into_iter().map(|fault| {
                let (line, column) = place(text, &rule.when, fault.offset);
                Finding { line, column, message: format!("rule {:?}: {}", rule.id.value, fault.message) }
            })),
        }
    }
    findings.sort();
    findings.dedup();
    if !findings.is_empty() {
        return Err(findings);
    }
    let reads = rules.iter().flat_map(|rule| rule.condition.reads.iter().copied()).collect();
    let identities = file.build_identities.iter().map(|identity| identity.value.clone()).collect();
    let digest = digest::sha256(yaml);
    Ok(Policy { file, digest, environment, rules, reads, identities })
}

pub(super) fn at<T>(spanned: &Spanned<T>, message: impl Into<String>) -> Finding {
    let place = spanned.referenced;
    Finding { line: place.line(), column: place.column(), message: message.into() }
}

/// Line and column in the file of a byte of a condition. Where the file writes the condition otherwise than CEL
/// reads it (escapes, folded lines), the place where the condition begins.
fn place(text: &str, when: &Spanned<String>, offset: usize) -> (u64, u64) {
    let start = (when.referenced.line(), when.referenced.column());
    let from = when.referenced.span().byte_offset().and_then(|offset| usize::try_from(offset).ok());
    let Some(written) = from.and_then(|from| text.get(from..)) else { return start };
    let quote = usize::from(written.starts_with(['"', '\'']));
    let before = match (written.get(quote..), when.value.get(..offset)) {
        (Some(inside), Some(before)) if inside.starts_with(&when.value) => before,
        _ => return start,
    };
    let lines = before.matches('\n').count() as u64;
    let columns = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64;
    if lines == 0 { (start.0, start.1 + quote as u64 + columns) } else { (start.0 + lines, columns + 1) }
}

impl Policy {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.file.policy.id.value
    }

    /// Its version.
    pub fn version(&self) -> u32 {
        self.file.policy.version.value
    }

    /// SHA-256 of the file's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The file as it was written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Tiers, lowest first.
    pub fn tiers(&self) -> &[Tier] {
        &self.file.tiers
    }

    /// A tier by name.
    pub fn tier(&self, id: &str) -> Option<&Tier> {
        self.file.tiers.iter().find(|tier| tier.id.value == id)
    }

    /// How high a tier is, from 0; `None` for a name that is none.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.file.tiers.iter().position(|tier| tier.id.value == id)
    }

    /// Builds whose signature makes a profile attested.
    pub fn build_identities(&self) -> &[BuildIdentity] {
        &self.identities
    }

    /// The standing policy that names a model; there is at most one.
    pub fn standing_policy(&self, model: &str) -> Option<&StandingPolicy> {
        self.file.standing_policies.iter().find(|standing| standing.models.iter().any(|named| named == model))
    }

    /// A band by name.
    pub fn band(&self, name: &str) -> Option<&[BandEntry]> {
        self.file.bands.get(name).map(|band| band.value.as_slice())
    }

    pub(super) fn tier_id(&self, place: usize) -> String {
        self.file.tiers.get(place).map(|tier| tier.id.value.clone()).unwrap_or_default()
    }

    pub(super) fn adverse_action_always_committee(&self) -> bool {
        self.file.adverse_action_always_committee
    }

    pub(super) fn environment(&self) -> &Arc<Env> {
        &self.environment
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn reads(&self) -> &BTreeSet<Group> {
        &self.reads
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "policy {} version {} ({})", self.id(), self.version(), self.digest)
    }
}
