//! What is drawn for people: README, the start page, a page for each promotion, the sheet of people.

use std::collections::BTreeMap;

use crate::{
    bundle::{
        manifest::{FORMAT, Manifest},
        names, words,
    },
    cli::output::{Failure, Result, utc},
    event::{Header, Outcome, Seq, proto::Opened},
    page::{
        bundle::{About, Line, index},
        people::People,
        promotion::{self, Promotion},
        sealed,
        sections::Reading,
        shell::Shell,
    },
};

use super::{Parts, evidence::Evidence, gather::Gathered};

/// What goes into the bundle beside entries and evidence.
pub struct Drawn {
    /// The manifest.
    pub manifest: Manifest,
    /// Name -> bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Draws everything.
///
/// # Errors
/// If an entry's header is none.
pub fn draw(gathered: &Gathered, evidence: &Evidence, parts: Parts) -> Result<Drawn> {
    let headers = gathered
        .headers
        .iter()
        .map(|header| Header::decode(header))
        .collect::<std::result::Result<Vec<_>, _>>();
    let headers = headers.map_err(|error| Failure::usage(error.to_string()))?;
    let mut files = BTreeMap::new();
    let origin = gathered.key.origin.as_str();
    let opened: Vec<Opened> = gathered.entries.values().flat_map(|entry| entry.opened().cloned()).collect();
    let people = People::new(parts.people.then_some(opened.as_slice()));
    let mut lines = Vec::new();
    for seq in &gathered.promotions {
        let Some(entry) = gathered.entries.get(seq) else { continue };
        let Some(promoted) = entry.promoted() else { continue };
        let review = promoted.review.as_ref().map(|review| names::screen(review.seq));
        let later = later(&headers, *seq);
        let title = promotion::title(promoted);
        let no_checks = Vec::new();
        let page = promotion::page(
            Shell { title: &title, origin, home: Some(names::INDEX), mark: None, leave: None },
            &Promotion {
                header: &entry.header,
                date: entry.answer.date,
                promoted,
                taints: &entry.answer.taints,
                current: gathered.current.contains(seq),
                as_of_size: headers.len() as u64,
                checks: evidence.checks.get(seq).unwrap_or(&no_checks),
                reading: Reading { people: &people, exhibits: &evidence.exhibits },
            },
        );
        files.insert(names::promotion(*seq), page);
        lines.push(Line {
            seq: *seq,
            date: entry.answer.date,
            promoted,
            people: &people,
            later,
            review: review.filter(|name| evidence.files.contains_key(name)),
        });
    }
    if parts.people && evidence.files.keys().any(|name| name.starts_with("review-")) {
        files.insert(names::PEOPLE.into(), sealed::sheet(&opened));
    }
    let mut manifest = Manifest {
        drawn: BTreeMap::new(),
        format: FORMAT.into(),
        ledger_id: gathered.ledger_id.to_string(),
        period: gathered.period,
        promotions: gathered.promotions.clone(),
        withheld: evidence.withheld.clone(),
    };
    let vkey = gathered.key.vkey();
    let readme = words::readme(&manifest, origin, &vkey, headers.len() as u64);
    files.insert(names::README.into(), readme.into_bytes());
    let asked = asked(&manifest);
    let about = About {
        asked: &asked,
        ledger_id: &manifest.ledger_id,
        vkey: &vkey,
        size: headers.len() as u64,
        withheld: manifest.withheld.clone().into_iter().collect(),
    };
    let shell = Shell { title: "Examiner bundle", origin, home: None, mark: None, leave: None };
    files.insert(names::INDEX.into(), index(shell, &about, &lines));
    let digest = |bytes: &Vec<u8>| crate::event::digest::sha256(bytes).to_string();
    manifest.drawn = files.iter().map(|(name, bytes)| (name.clone(), digest(bytes))).collect();
    Ok(Drawn { manifest, files })
}

fn asked(manifest: &Manifest) -> String {
    match &manifest.period {
        Some(period) => {
            format!("All that the ledger dates from {} to before {}", utc(period.from), utc(period.to))
        }
        None => "As they were asked for".into(),
    }
}

/// What was recorded about a promotion since.
fn later(headers: &[Header], seq: Seq) -> Vec<String> {
    let about = |header: &&Header| header.refers_to == Some(seq) && header.outcome == Outcome::Accepted;
    let words = |header: &Header| {
        format!("{} by entry {}", header.kind.map_or("changed", |kind| kind.name()), header.seq)
    };
    headers.iter().filter(about).map(words).collect()
}
