//! Checks a bundle: everything in it against the signed checkpoint, and the checkpoint against keys that the auditor knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use serde::Serialize;

use crate::{
    event::{
        Digest, Header, Kind, Micros, Outcome, Seq, canonical, digest,
        header::HEADER_LEN,
        proto::{Body, SealedClaims},
    },
    proof::{
        checkpoint::{self, Checkpoint, LogKey},
        cosignature::{Cosignature, WitnessKey, cosignatures},
        keys::KeyUse,
        receipt::Receipt,
        timestamp::Root,
        verify::{Depth, Fault, StoredEntry, Verifier},
    },
};

use super::{
    container,
    manifest::{Manifest, Period},
    names,
    parts::{Parts, kept},
    promotions::{self, Needed},
    stamps::{self, Stamp},
};

/// What the auditor knows from elsewhere. What is not given is taken from the bundle, and must be compared by hand.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// ledger_id.
    pub ledger_id: Option<Digest>,
    /// The key that signs checkpoints.
    pub key: Option<LogKey>,
    /// Witnesses that must have cosigned the checkpoint.
    pub witnesses: Vec<WitnessKey>,
    /// Roots of time-stamp authorities, one of which must verify each stamp.
    pub roots: Vec<Root>,
}

/// What is wrong with a bundle, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {what}")]
pub struct Error {
    /// Name of the member.
    pub member: String,
    /// What is wrong with it.
    pub what: String,
}

/// An entry whose record is in the bundle.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its header.
    pub header: Header,
    /// The topic value.
    pub record: Vec<u8>,
    /// What the value holds.
    pub body: Body,
    /// Its receipt, as text.
    pub receipt: String,
}

/// A bundle that was checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What it is about.
    pub manifest: Manifest,
    /// Key of its checkpoints.
    pub key: LogKey,
    /// The signed note.
    pub note: String,
    /// What that says.
    pub checkpoint: Checkpoint,
    /// Every header up to it.
    pub headers: Vec<Header>,
    /// The date of each.
    pub dates: Vec<Micros>,
    /// Entries with their records.
    pub entries: BTreeMap<Seq, Entry>,
    /// Evidence that is here, by SHA-256: its length.
    pub evidence: BTreeMap<Digest, u64>,
    /// Front-door keys, and what each signed of the records here.
    pub keys: Vec<KeyUse>,
    /// Cosignatures of the witnesses that were named.
    pub seen: Vec<Cosignature>,
    /// Time-stamped checkpoints.
    pub stamps: Vec<Stamp>,
    /// What was checked.
    pub checked: Checked,
}

/// What was checked, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Headers: each one's link to the one before, and the tree over all of them.
    pub headers: u64,
    /// Records: digest, length, event digest, key and its role at that position.
    pub records: u64,
    /// Bytes of them.
    pub record_bytes: u64,
    /// Signatures of records.
    pub signatures: u64,
    /// Signatures of administrators.
    pub admin_signatures: u64,
    /// Inclusion proofs.
    pub proofs: u64,
    /// Promotions, with what each must have with it.
    pub promotions: u64,
    /// Pieces of evidence: SHA-256 and length.
    pub evidence: u64,
    /// Bytes of them.
    pub evidence_bytes: u64,
    /// Pieces that were left out.
    pub withheld: u64,
    /// Sealed items that are here in clear: the commitment in the record.
    pub claims: u64,
    /// Cosignatures of witnesses that were named.
    pub cosignatures: u64,
    /// Time-stamps: that they are about checkpoints of this ledger.
    pub stamps: u64,
    /// Files that were drawn for people: only that they are the ones that the bundle was made with.
    pub drawn: u64,
}

pub(super) fn error(member: &str, what: impl Into<String>) -> Error {
    Error { member: member.to_owned(), what: what.into() }
}

/// Reads and checks a bundle. Memory grows with its headers and records, not with its evidence.
///
/// # Errors
/// The first thing that is wrong, by the name of the member; `the file` for the container itself.
pub fn verify(input: &mut impl Read, known: &Known) -> Result<Bundle, Error> {
    let members = container::read(input, kept).map_err(|cause| error("the file", cause.to_string()))?;
    let parts = Parts::new(members)?;
    let manifest = Manifest::parse(&parts.manifest).map_err(|what| error(names::MANIFEST, what))?;
    if manifest.drawn != parts.drawn {
        let differs = |name: &&String| manifest.drawn.get(*name) != parts.drawn.get(*name);
        let name = manifest.drawn.keys().chain(parts.drawn.keys()).find(differs).cloned().unwrap_or_default();
        return Err(error(&name, "is not the file that the bundle was made with"));
    }
    let (verifier, headers) = chain(&manifest, &parts, known)?;
    let (key, checkpoint) = signed(&verifier, &parts.note, known)?;
    let seen = cosignatures(&parts.note, &known.witnesses);
    if let Some(missing) = known.witnesses.iter().find(|w| seen.iter().all(|seen| seen.witness != w.name)) {
        return Err(error(
            names::CHECKPOINT,
            format!("holds no cosignature of the witness {}", missing.name),
        ));
    }
    let (rows, _) = parts.headers.as_chunks::<HEADER_LEN>();
    let stamps = stamps::check(&parts, rows, &key, &known.roots)?;
    let entries = entries(&parts, &headers, &key)?;
    complete(&manifest, &headers, &entries)?;
    let dates = promotions::dates(&headers, &entries);
    if let Some(period) = &manifest.period {
        whole_period(period, &manifest.promotions, &headers, &dates)?;
    }
    let mut needed = BTreeMap::new();
    for seq in &manifest.promotions {
        promotions::check(*seq, &entries, &mut needed)?;
    }
    let evidence = evidence(&manifest, &parts, &needed)?;
    claims(&parts, &entries)?;
    let summary = verifier.summary();
    let checked = Checked {
        headers: summary.entries,
        records: entries.len() as u64,
        record_bytes: summary.record_bytes,
        signatures: summary.signatures,
        admin_signatures: summary.admin_signatures,
        proofs: entries.len() as u64,
        promotions: manifest.promotions.len() as u64,
        evidence: evidence.len() as u64,
        evidence_bytes: evidence.values().sum(),
        withheld: manifest.withheld.len() as u64,
        claims: parts.claims.len() as u64,
        cosignatures: seen.len() as u64,
        stamps: stamps.len() as u64,
        drawn: parts.drawn.len() as u64,
    };
    let (keys, note) = (summary.keys, parts.note);
    Ok(Bundle {
        manifest,
        key,
        note,
        checkpoint,
        headers,
        dates,
        entries,
        evidence,
        keys,
        seen,
        stamps,
        checked,
    })
}

/// Every header and its link, and the records that are here under the keys of their positions.
fn chain(manifest: &Manifest, parts: &Parts, known: &Known) -> Result<(Verifier, Vec<Header>), Error> {
    let ledger_id = Digest::from_hex(&manifest.ledger_id).filter(|id| id.to_string() == manifest.ledger_id);
    let ledger_id =
        ledger_id.ok_or_else(|| error(names::MANIFEST, "ledger_id is not 64 hexadecimal digits"))?;
    if let Some(expected) = known.ledger_id.filter(|expected| *expected != ledger_id) {
        return Err(error(names::MANIFEST, format!("is about the ledger {ledger_id}, not {expected}")));
    }
    let (rows, rest) = parts.headers.as_chunks::<HEADER_LEN>();
    if !rest.is_empty() {
        return Err(error(names::HEADERS, format!("its length is no multiple of {HEADER_LEN}")));
    }
    if !parts.records.contains_key(&0) {
        return Err(error(&names::record(0), "is missing: genesis names the keys"));
    }
    if let Some((seq, _)) = parts.records.range(rows.len() as u64..).next() {
        return Err(error(&names::record(*seq), "is behind the end of the headers"));
    }
    let mut verifier = Verifier::new(Depth::Signatures, Some(ledger_id));
    let mut headers = Vec::with_capacity(rows.len());
    for (seq, header) in (0..).zip(rows) {
        let pushed = match parts.records.get(&seq) {
            Some(record) => verifier
                .push(&[StoredEntry { header: header.to_vec(), record: record.clone() }], 1)
                .map_err(|Fault { what, .. }| error(&names::record(seq), what.to_string()))?,
            None => {
                vec![verifier.push_header(header).map_err(|fault| error(names::HEADERS, fault.to_string()))?]
            }
        };
        headers.extend(pushed);
    }
    Ok((verifier, headers))
}

/// The checkpoint, under the key of genesis, over exactly these headers.
fn signed(verifier: &Verifier, note: &str, known: &Known) -> Result<(LogKey, Checkpoint), Error> {
    let key = verifier.log_key().cloned().ok_or_else(|| error(&names::record(0), "is no genesis"))?;
    if let Some(expected) = known.key.as_ref().filter(|expected| **expected != key) {
        let what = format!("names the log key {}, not {}", key.vkey(), expected.vkey());
        return Err(error(&names::record(0), what));
    }
    let checkpoint =
        checkpoint::open(note, &key).map_err(|cause| error(names::CHECKPOINT, cause.to_string()))?;
    if verifier.agrees_with(&checkpoint) {
        return Ok((key, checkpoint));
    }
    let what = format!(
        "is for {} entries with the root {}, but the {} headers here have the root {}",
        checkpoint.size,
        checkpoint.root,
        verifier.size(),
        verifier.root()
    );
    Err(error(names::CHECKPOINT, what))
}

/// Records with their receipts, one of each.
fn entries(parts: &Parts, headers: &[Header], key: &LogKey) -> Result<BTreeMap<Seq, Entry>, Error> {
    if let Some(seq) = parts.receipts.keys().find(|seq| !parts.records.contains_key(seq)) {
        return Err(error(&names::receipt(*seq), "is there without its record"));
    }
    let mut entries = BTreeMap::new();
    for ((seq, record), header) in
        parts.records.iter().filter_map(|one| Some((one, headers.get(usize::try_from(*one.0).ok()?)?)))
    {
        let member = names::receipt(*seq);
        let text = parts.receipts.get(seq).ok_or_else(|| error(&member, "is missing"))?;
        let receipt = Receipt::parse(text).map_err(|cause| error(&member, cause.to_string()))?;
        receipt.verify(key).map_err(|cause| error(&member, cause.to_string()))?;
        if receipt.header != header.encode() || receipt.checkpoint != parts.note || receipt.to_text() != *text
        {
            return Err(error(&member, "is for another header or checkpoint than those here"));
        }
        let record = record.clone();
        let decoded = canonical::decode(&record);
        let decoded =
            decoded.map_err(|reason| error(&names::record(*seq), format!("cannot be read: {reason}")))?;
        let entry = Entry { header: header.clone(), record, body: decoded.body, receipt: text.clone() };
        entries.insert(*seq, entry);
    }
    Ok(entries)
}

/// Nothing that belongs to what was asked for is left out: the headers show what there is.
fn complete(manifest: &Manifest, headers: &[Header], entries: &BTreeMap<Seq, Entry>) -> Result<(), Error> {
    let mut about: BTreeSet<Seq> = manifest.promotions.iter().copied().collect();
    let reviews = manifest.promotions.iter().filter_map(|seq| {
        let promoted = promotions::promoted(*seq, entries.get(seq)?).ok()?;
        promoted.review.as_ref().map(|review| review.seq)
    });
    about.extend(reviews.collect::<Vec<_>>());
    let missing =
        |header: &&Header| promotions::is_needed(header, &about) && !entries.contains_key(&header.seq);
    match headers.iter().find(missing) {
        None => Ok(()),
        Some(header) => {
            let kind = header.kind.map_or("entry", Kind::name);
            let refers = header.refers_to.map(|seq| format!(" about entry {seq}")).unwrap_or_default();
            let what = format!("is missing: the headers show an accepted {kind}{refers}, which belongs here");
            Err(error(&names::record(header.seq), what))
        }
    }
}

/// The promotions of the bundle are those of the period, all of them.
fn whole_period(
    period: &Period,
    promotions: &[Seq],
    headers: &[Header],
    dates: &[Micros],
) -> Result<(), Error> {
    let inside = |(header, date): &(&Header, &Micros)| {
        let promoted = (header.kind, header.outcome) == (Some(Kind::Promoted), Outcome::Accepted);
        promoted && (period.from..period.to).contains(date)
    };
    let there: Vec<Seq> = headers.iter().zip(dates).filter(inside).map(|(header, _)| header.seq).collect();
    if there == promotions {
        return Ok(());
    }
    let missing = there.iter().find(|seq| !promotions.contains(seq));
    Err(error(
        names::MANIFEST,
        match missing {
            Some(seq) => format!("leaves out entry {seq}, a promotion of the period"),
            None => "names a promotion that is not of the period".into(),
        },
    ))
}

/// Every piece of evidence is here or said to be withheld, and nothing else is.
fn evidence(
    manifest: &Manifest,
    parts: &Parts,
    needed: &BTreeMap<Digest, Needed>,
) -> Result<BTreeMap<Digest, u64>, Error> {
    let mut here = parts.evidence.clone();
    for (seq, (sha256, length)) in &parts.screens {
        if here.insert(*sha256, *length).is_some_and(|other| other != *length) {
            return Err(error(&names::screen(*seq), "is there with another length"));
        }
    }
    for (sha256, length) in &here {
        let wanted = needed.get(sha256);
        let name = || {
            let screen = parts.screens.iter().find(|(_, (screen, _))| screen == sha256);
            screen.map_or_else(|| format!("artefacts/{sha256}"), |(seq, _)| names::screen(*seq))
        };
        match wanted {
            None => return Err(error(&name(), "is evidence of none of these promotions")),
            Some(wanted) if wanted.length != *length => {
                let what = format!("has {length} bytes, but {} says {}", wanted.field, wanted.length);
                return Err(error(&name(), what));
            }
            Some(_) => {}
        }
    }
    for sha256 in manifest.withheld.keys() {
        let digest = Digest::from_hex(sha256).filter(|digest| digest.to_string() == *sha256);
        let known = digest.filter(|digest| needed.contains_key(digest) && !here.contains_key(digest));
        if known.is_none() {
            let what = format!("withholds {sha256}, which is here, or evidence of none of these promotions");
            return Err(error(names::MANIFEST, what));
        }
    }
    for (sha256, wanted) in needed {
        if !here.contains_key(sha256) && !manifest.withheld.contains_key(&sha256.to_string()) {
            return Err(error(&format!("artefacts/{sha256}"), format!("is missing ({})", wanted.field)));
        }
    }
    Ok(here)
}

/// What was opened is what was sealed: the record commits to it.
fn claims(parts: &Parts, entries: &BTreeMap<Seq, Entry>) -> Result<(), Error> {
    for ((seq, subject), bytes) in &parts.claims {
        let member = names::claims(*seq, subject);
        let entry = entries.get(seq).ok_or_else(|| error(&member, "is there without its entry"))?;
        let commitment = digest::commitment(bytes);
        let sealed = entry
            .body
            .sealed
            .iter()
            .any(|item| item.subject_id == subject.0 && item.commitment == commitment.0);
        if !sealed || canonical::decode_exact::<SealedClaims>(bytes).is_none() {
            return Err(error(&member, "is not what was sealed for this person in that entry"));
        }
    }
    Ok(())
}
