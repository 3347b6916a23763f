//! What a bundle needs from the ledger: a checkpoint, all headers, the records that belong together, their receipts.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use tokio_stream::StreamExt;

use crate::{
    bundle::{manifest::Period, promotions},
    cli::{
        list, log_key,
        output::{Exit, Failure, Result},
        source::Source,
        when::Interval,
    },
    event::{
        Digest, Header, Seq, canonical,
        header::HEADER_LEN,
        proto::{
            AsOfRequest, Body, GetCheckpointRequest, GetEntryRequest, GetEntryResponse,
            GetInclusionProofRequest, GetReceiptRequest, GetTimestampsRequest, ListEntriesRequest, Opened,
            Promoted, ReadChainRequest, StampedCheckpoint, body::Event, get_entry_request::By,
        },
    },
    proof::{
        checkpoint::{self, LogKey},
        receipt::Receipt,
    },
};

use super::Parts;

/// Which promotions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// These entries.
    Entries(Vec<Seq>),
    /// Those of a model (empty: all) that are dated in an interval.
    Found {
        /// Its name.
        model: String,
        /// When.
        interval: Interval,
    },
}

/// An entry with everything about it.
pub struct Fetched {
    /// The ledger's answer.
    pub answer: GetEntryResponse,
    /// Decoded.
    pub body: Body,
    /// Its header.
    pub header: Header,
    /// Its receipt, as text.
    pub receipt: String,
}

impl Fetched {
    /// The topic value.
    pub fn record(&self) -> &[u8] {
        self.answer.entry.as_ref().map_or(&[], |entry| entry.record.as_slice())
    }

    /// Items that were opened.
    pub fn opened(&self) -> impl Iterator<Item = &Opened> {
        self.answer.opened.iter().filter(|item| !item.erased)
    }

    /// The promotion in it.
    pub fn promoted(&self) -> Option<&Promoted> {
        match &self.body.event {
            Some(Event::Promoted(promoted)) => Some(promoted),
            _ => None,
        }
    }
}

/// Everything from the ledger.
pub struct Gathered {
    /// The log's key, from genesis.
    pub key: LogKey,
    /// ledger_id.
    pub ledger_id: Digest,
    /// The signed note.
    pub note: String,
    /// All headers under it.
    pub headers: Vec<[u8; HEADER_LEN]>,
    /// Entries with their records.
    pub entries: BTreeMap<Seq, Fetched>,
    /// The promotions that were asked for.
    pub promotions: Vec<Seq>,
    /// The period whose promotions these are, all of them.
    pub period: Option<Period>,
    /// What slots hold now.
    pub current: BTreeSet<Seq>,
    /// Time-stamped checkpoints around the promotions, by size.
    pub stamped: BTreeMap<u64, StampedCheckpoint>,
}

fn no(what: impl Into<String>) -> Failure {
    Failure::new(Exit::No, what)
}

/// Gathers.
///
/// # Errors
/// If the ledger cannot be read, or what was asked for is no promotion.
pub async fn gather(source: &Arc<Source>, asked: &Asked, parts: Parts) -> Result<Gathered> {
    let (promotions, period) = chosen(source, asked).await?;
    let (key, ledger_id) = log_key::of(source, None).await?;
    let ledger_id = ledger_id.ok_or_else(|| no("the ledger has no genesis"))?;
    let (note, size) = covering(source, promotions.last().copied().unwrap_or(0), &key).await?;
    let headers = headers(source, size).await?;
    let mut entries = BTreeMap::new();
    for seq in &promotions {
        entries.insert(*seq, fetch(source, *seq, (size, &note), parts).await?);
    }
    let mut wanted: BTreeSet<Seq> = belonging(&promotions, &headers, &entries)?;
    let decided = entries.values().filter_map(Fetched::promoted).flat_map(|promoted| &promoted.approvals);
    wanted.extend(decided.filter_map(|approval| approval.decided.as_ref()).map(|decided| decided.seq));
    for seq in wanted {
        if let Entry::Vacant(place) = entries.entry(seq) {
            place.insert(fetch(source, seq, (size, &note), parts).await?);
        }
    }
    let current = current(source, &promotions, &entries).await?;
    let mut stamped = BTreeMap::new();
    for seq in &promotions {
        let around = source.get_timestamps(GetTimestampsRequest { seq: *seq }).await?.stamped;
        // A checkpoint beyond this bundle's cannot be compared with its headers.
        stamped
            .extend(around.into_iter().filter(|one| one.tree_size <= size).map(|one| (one.tree_size, one)));
    }
    Ok(Gathered { key, ledger_id, note, headers, entries, promotions, period, current, stamped })
}

/// Which of the promotions are what their slots hold now.
async fn current(
    source: &Source,
    promotions: &[Seq],
    entries: &BTreeMap<Seq, Fetched>,
) -> Result<BTreeSet<Seq>> {
    let mut current = BTreeSet::new();
    let slots = promotions.iter().filter_map(|seq| entries.get(seq)?.promoted()?.slot.clone());
    let slots: BTreeSet<_> = slots.map(|slot| (slot.model, slot.environment)).collect();
    for (model, environment) in slots {
        let answer = source.as_of(AsOfRequest { model, environment, time: u64::MAX }).await?;
        current.extend(answer.slots.iter().filter_map(|slot| slot.promoted_seq));
    }
    Ok(current)
}

/// The promotions, in ascending order, and the period that they are all of.
async fn chosen(source: &Source, asked: &Asked) -> Result<(Vec<Seq>, Option<Period>)> {
    let (model, interval) = match asked {
        Asked::Entries(seqs) => {
            let seqs: BTreeSet<_> = seqs.iter().copied().collect();
            return Ok((seqs.into_iter().collect(), None));
        }
        Asked::Found { model, interval } => (model, interval),
    };
    let request = ListEntriesRequest {
        model: model.clone(),
        from: interval.from,
        to: interval.to,
        kind: "promoted".into(),
        ..ListEntriesRequest::default()
    };
    let listed = list::all(source, request).await?;
    let mut seqs = listed
        .iter()
        .map(|listed| {
            Header::decode(&listed.entry.clone().unwrap_or_default().header).map(|header| header.seq)
        })
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| no(error.to_string()))?;
    seqs.sort_unstable();
    let whole = model.is_empty();
    let period = Period { from: interval.from, to: if interval.to == 0 { u64::MAX } else { interval.to } };
    Ok((seqs, whole.then_some(period)))
}

/// A checkpoint over an entry: with cosignatures where one covers it, else the newest.
async fn covering(source: &Source, last: Seq, key: &LogKey) -> Result<(String, u64)> {
    let open = |note: &str| checkpoint::open(note, key).map_err(|error| no(error.to_string()));
    let receipt = source.get_receipt(GetReceiptRequest { seq: 0 }).await?.tlog_proof;
    let shown = Receipt::parse(&receipt).map_err(|error| no(error.to_string()))?.checkpoint;
    let size = open(&shown)?.size;
    if size > last {
        return Ok((shown, size));
    }
    let newest = source.get_checkpoint(GetCheckpointRequest {}).await?.checkpoint;
    let size = open(&newest)?.size;
    if size > last {
        Ok((newest, size))
    } else {
        Err(no(format!("entry {last} is not among the first {size}")))
    }
}

async fn headers(source: &Source, size: u64) -> Result<Vec<[u8; HEADER_LEN]>> {
    let mut stream = source.read_chain(ReadChainRequest { from: 0, to: size, with_records: false }).await?;
    let mut headers = Vec::new();
    while let Some(message) = stream.next().await {
        for entry in message?.entries {
            let header = entry.header.try_into();
            headers.push(header.map_err(|_| no("the node sent something that is no header"))?);
        }
    }
    match headers.len() as u64 {
        found if found == size => Ok(headers),
        found => Err(Failure::new(Exit::Unreachable, format!("the node sent {found} headers of {size}"))),
    }
}

/// Entries that belong to promotions whatever was asked for: genesis, acts of the administrators, reviews, later acts.
fn belonging(
    promotions: &[Seq],
    headers: &[[u8; HEADER_LEN]],
    entries: &BTreeMap<Seq, Fetched>,
) -> Result<BTreeSet<Seq>> {
    let mut about: BTreeSet<Seq> = promotions.iter().copied().collect();
    for seq in promotions {
        let promoted = entries.get(seq).and_then(Fetched::promoted);
        let promoted = promoted.ok_or_else(|| no(format!("entry {seq} is not a promotion")))?;
        about.extend(promoted.review.as_ref().map(|review| review.seq));
    }
    let mut wanted = about.clone();
    for header in headers {
        let header = Header::decode(header).map_err(|error| no(error.to_string()))?;
        if promotions::is_needed(&header, &about) {
            wanted.insert(header.seq);
        }
    }
    Ok(wanted)
}

async fn fetch(source: &Source, seq: Seq, (size, note): (u64, &str), parts: Parts) -> Result<Fetched> {
    let answer = source.get_entry(GetEntryRequest { by: Some(By::Seq(seq)), unseal: parts.people }).await?;
    let entry = answer.entry.clone().unwrap_or_default();
    let header = Header::decode(&entry.header).map_err(|error| no(error.to_string()))?;
    let decoded = canonical::decode(&entry.record);
    let decoded = decoded.map_err(|reason| no(format!("entry {seq} cannot be read: {reason}")))?;
    let proof = source.get_inclusion_proof(GetInclusionProofRequest { seq, tree_size: size }).await?;
    let path = proof.hashes.iter().map(|hash| Digest::from_slice(hash)).collect::<Option<Vec<_>>>();
    let path =
        path.ok_or_else(|| no(format!("the proof of entry {seq} has a hash that has not 32 bytes")))?;
    let receipt =
        Receipt { header: header.encode(), index: seq, path, checkpoint: note.to_owned() }.to_text();
    Ok(Fetched { answer, body: decoded.body, header, receipt })
}
