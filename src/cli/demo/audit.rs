//! March 2027: the auditor's questions.

use super::{
    seen,
    stage::{Stage, time},
    step::Step,
    story::{accepted, current, entry_or_none},
};
use crate::{
    cli::output::{Exit, Failure, Result, utc},
    event::{
        Header, Kind,
        proto::{
            GetCheckpointRequest, GetEntryRequest, ListEntriesRequest, ListedEntry, ReadChainRequest,
            get_entry_request::By,
        },
    },
    proof::{
        checkpoint,
        verify::{Depth, StoredEntry, Verifier},
    },
};

const ASKED: &str = "2027-03-01T09:00:00Z";
/// Where a header holds the event digest.
const HEADER_EVENT_DIGEST: usize = 104;

/// Accepted promotions dated on a day (UTC, the ledger's time zone): header and request by seq.
async fn on_day(stage: &Stage, day: &str) -> Result<Vec<Header>> {
    let from = time(&format!("{day}T00:00:00Z"));
    let to = from + 24 * 3600 * 1_000_000;
    let listed = accepted(stage, ListEntriesRequest { from, to, ..Default::default() }).await?;
    let header = |listed: &ListedEntry| {
        let entry =
            listed.entry.as_ref().ok_or_else(|| Failure::new(Exit::No, "an entry without a header"))?;
        Header::decode(&entry.header).map_err(|error| Failure::new(Exit::No, error.to_string()))
    };
    let headers = listed.iter().map(header).collect::<Result<Vec<_>>>()?;
    Ok(headers.into_iter().filter(|header| header.kind == Some(Kind::Promoted)).collect())
}

/// What was approved on the 14th?
pub async fn approved_on_the_14th(stage: &Stage) -> Step {
    let at = stage.at(time(ASKED)).await;
    Step::play("The auditor asks: what was approved on 14 November?", at, async |step| {
        let found = on_day(stage, "2026-11-14").await?;
        step.expect("one promotion", 1, found.len());
        for header in &found {
            let request = GetEntryRequest { by: Some(By::Seq(header.seq)), unseal: true };
            let (promoted, people) = seen::promoted(stage.auditor(), request).await?;
            let model = promoted.model_version.clone().unwrap_or_default();
            let asked = promoted.approval_request.clone().unwrap_or_default();
            let approver = promoted.approvals.first().and_then(|approval| approval.approver.as_ref());
            let (seq, when) = (header.seq, utc(header.recorded_at));
            step.note(format!(
                "entry {seq}, {when}: {} {}, request {} {}",
                model.name, model.version, asked.system, asked.id
            ));
            let found = format!("version {}, approved by {}", model.version, seen::name(&people, approver));
            step.expect(
                found.clone(),
                "version 13, approved by Weekly retrain service (svc-weekly-retrain)".to_owned(),
                found,
            );
        }
        for (at, expected) in [("2026-11-14T09:00:00Z", Some(2)), ("2026-11-14T18:00:00Z", Some(3))] {
            let found = current(stage, time(at)).await?;
            step.expect(
                format!("current at {at}: {}", entry_or_none(found)),
                entry_or_none(expected),
                entry_or_none(found),
            );
        }
        Ok(())
    })
    .await
}

/// What did the approvers see on the 21st?
pub async fn seen_on_the_21st(stage: &Stage) -> Step {
    let at = stage.at(time(ASKED)).await;
    Step::play("The auditor asks: what did the approvers see on 21 November?", at, async |step| {
        let found = on_day(stage, "2026-11-21").await?;
        step.expect("one promotion", 1, found.len());
        let seq = found.first().map_or(0, |header| header.seq);
        let request = GetEntryRequest { by: Some(By::Seq(seq)), unseal: true };
        let (promoted, people) = seen::promoted(stage.auditor(), request).await?;
        let fields = seen::fields(&promoted, &people);
        let mut intact = 0;
        for (i, field) in fields.iter().enumerate() {
            step.note(format!("{} {:<23} {}", i + 1, field.name, field.source));
            for line in &field.lines {
                step.note(format!(" {line}"));
            }
            for (name, reference) in &field.evidence {
                step.note(format!(" {name:<11} {}", seen::path(&reference.sha256).display()));
                intact += usize::from(seen::intact(&stage.dir, reference));
            }
        }
        let evidence = fields.iter().map(|field| field.evidence.len()).sum();
        let named = promoted.approvals.iter().filter_map(|approval| approval.approver.as_ref());
        let named = named.filter(|person| people.contains_key(&person.subject_id)).count();
        let words = |fields: usize, named: usize| format!("{fields} fields, {named} approvers by name");
        step.expect(words(fields.len(), named), words(6, 2), words(fields.len(), named));
        step.expect(
            format!("all {evidence} files are there, and hash to their digests (the path is the SHA-256)"),
            evidence,
            intact,
        );
        Ok(())
    })
    .await
}

async fn chain(stage: &Stage) -> Result<Vec<StoredEntry>> {
    let request = ReadChainRequest { from: 0, to: 0, with_records: true };
    let mut stream = stage.auditor().read_chain(request).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(message) = stream.message().await? {
        entries.extend(
            message
                .entries
                .into_iter()
                .map(|entry| StoredEntry { header: entry.header, record: entry.record }),
        );
    }
    Ok(entries)
}

/// Is the whole ledger as it was written?
pub async fn verified(stage: &Stage) -> Step {
    let at = stage.at(time(ASKED)).await;
    Step::play("The auditor verifies the chain from genesis, knowing ledger_id and log key", at, async |step| {
        let entries = chain(stage).await?;
        let note = stage.auditor().get_checkpoint(GetCheckpointRequest {}).await?.into_inner().checkpoint;
        let signed = checkpoint::open(&note, &stage.key).map_err(|error| Failure::new(Exit::No, error.to_string()))?;
        let mut verifier = Verifier::new(Depth::Signatures, Some(stage.ledger_id));
        let fault = verifier.push(&entries, 1).err();
        let summary = verifier.summary();
        let [accepted, duplicate, refused, malformed] = summary.outcomes;
        step.note(format!("{} entries: {accepted} accepted, {duplicate} duplicate, {refused} refused, {malformed} malformed", summary.entries));
        step.expect("links, digests and signatures hold", "no fault".to_owned(), fault.map_or("no fault".into(), |fault| fault.to_string()));
        step.expect("a signature on every entry was checked", summary.entries, summary.signatures);
        step.check(verifier.agrees_with(&signed), format!("the signed checkpoint has this size and root ({} entries)", signed.size), signed.root, verifier.root());
        Ok(())
    })
    .await
}

/// And if somebody changes one byte?
pub async fn flipped(stage: &Stage) -> Step {
    let at = stage.at(time(ASKED)).await;
    Step::play("Somebody flips one byte in a copy of entry 3", at, async |step| {
        let entries = chain(stage).await?;
        let middle = entries.get(3).map_or(0, |entry| entry.record.len() / 2);
        for (part, byte) in [("record", middle), ("header", HEADER_EVENT_DIGEST)] {
            let mut copy = entries.clone();
            let bytes = copy
                .get_mut(3)
                .map(|entry| if part == "record" { &mut entry.record } else { &mut entry.header });
            if let Some(byte) = bytes.and_then(|bytes| bytes.get_mut(byte)) {
                *byte ^= 1;
            }
            let mut verifier = Verifier::new(Depth::Signatures, Some(stage.ledger_id));
            let fault = verifier.push(&copy, 1).err();
            let named = fault.as_ref().map(|fault| fault.seq);
            step.expect(
                format!("byte {byte} of its {part}: verification names entry 3"),
                entry_or_none(Some(3)),
                entry_or_none(named),
            );
            let fault = fault.map(|fault| fault.to_string()).unwrap_or_default();
            step.note(fault.split(": found").next().unwrap_or_default());
        }
        Ok(())
    })
    .await
}
