//! November 2026: three promotions, a storm of retries, a refusal, a report that was made again.

use prost::Message;
use tonic::Code;

use super::{
    stage::{Stage, time},
    step::Step,
};
use crate::{
    cli::{
        admin, credentials,
        output::{Exit, Failure, Format, Result},
        policy, promote,
        promotion_file::{self, Converted},
        source,
        submit::{self, Emitter, Recorded},
        upload,
    },
    event::{
        Digest, Kind, Micros, digest,
        proto::{
            AsOfRequest, GetEntryRequest, ListEntriesRequest, ListedEntry, PolicyActivated, PromoteRequest,
            ReadEvidenceRequest, get_entry_request::By,
        },
    },
    keyfile,
};

pub(super) const MODEL: &str = "german-credit-pd";
pub(super) const ENVIRONMENT: &str = "production";
const STORM: usize = 50;
const CONNECTIONS: usize = 5;

/// A promotion file of the example, without problems of its own.
pub(super) fn read(stage: &Stage, path: &str) -> Result<Converted> {
    let mut file = promotion_file::read(&stage.example(path))?;
    if let Some(issuer) = credentials::development(&stage.url)? {
        issuer.log_in(&mut file.draft).map_err(|why| Failure::new(Exit::Internal, why))?;
    }
    match file.problems.is_empty() {
        true => Ok(file),
        false => Err(Failure { problems: file.problems, ..Failure::usage(format!("{path} has problems")) }),
    }
}

async fn promote_file(stage: &Stage, path: &str, step: &mut Step) -> Result<(Converted, Recorded)> {
    let file = read(stage, path)?;
    let uploaded = upload::upload_missing(&stage.emitter(), &file.uploads, Format::Text).await?;
    let recorded = submit::submit(&stage.emitter(), &file.draft, &stage.key).await?;
    step.note(format!(
        "{} pieces of evidence sent, {} KiB; {} were there",
        uploaded.files,
        uploaded.bytes / 1024,
        uploaded.present
    ));
    Ok((file, recorded))
}

/// What is current in the slot at a time: its seq.
pub(super) async fn current(stage: &Stage, at: Micros) -> Result<Option<u64>> {
    let request = AsOfRequest { model: MODEL.into(), environment: ENVIRONMENT.into(), time: at };
    let slots = stage.auditor().as_of(request).await?.into_inner().slots;
    Ok(slots.first().and_then(|slot| slot.promoted_seq))
}

pub(super) fn entry_or_none(seq: Option<u64>) -> String {
    seq.map_or_else(|| "nothing".into(), |seq| format!("entry {seq}"))
}

/// Accepted entries of the model.
pub(super) async fn accepted(stage: &Stage, filter: ListEntriesRequest) -> Result<Vec<ListedEntry>> {
    let request = ListEntriesRequest { model: MODEL.into(), page_size: 500, with_records: true, ..filter };
    Ok(stage.auditor().list_entries(request).await?.into_inner().entries)
}

async fn size(stage: &Stage) -> Result<u64> {
    Ok(stage.auditor().get_status(crate::event::proto::GetStatusRequest {}).await?.into_inner().synced_size)
}

fn loaded(yaml: &[u8]) -> Result<crate::policy::Policy> {
    crate::policy::load(yaml).map_err(|findings| {
        let first = findings.first().map(ToString::to_string).unwrap_or_default();
        Failure::usage(format!("policy.yaml:{first}"))
    })
}

/// The administrators put a policy in force.
pub(super) async fn activate(stage: &Stage, yaml: Vec<u8>) -> Result<Recorded> {
    let act = PolicyActivated {
        repository: "https://git.example.bank/model-risk/policies".into(),
        commit: "4f2a9c1".into(),
        reviewers: vec!["mkeller".into(), "tnovak".into()],
        ..policy::stating(&loaded(&yaml)?, yaml)
    };
    let kind = Kind::PolicyActivated;
    let statement = admin::next_statement(kind, act.encode_to_vec(), &stage.url).await?;
    let key = keyfile::signing_key(&stage.admin_key).map_err(|e| Failure::usage(e.to_string()))?;
    admin::sign_and_hand_in(statement, &key, &stage.url).await
}

/// Before everything: who decides what.
pub async fn policy_activated(stage: &Stage) -> Step {
    let at = stage.at(time("2026-11-06T09:00:00Z")).await;
    Step::play("The administrators put a policy in force: which change needs whom", at, async |step| {
        let yaml = std::fs::read(stage.example("policy.yaml"))
            .map_err(|error| Failure::usage(format!("policy.yaml: {error}")))?;
        let policy = loaded(&yaml)?;
        step.note(format!(
            "{} rules, each reached by one of the file's own {} tests",
            policy.file().rules.len(),
            policy.file().tests.len()
        ));
        let recorded = activate(stage, yaml).await?;
        step.expect("signed by an administrator, recorded as entry 1", 1, recorded.receipt.seq);
        Ok(())
    })
    .await
}

/// The tier to which an entry was routed.
async fn tier_of(stage: &Stage, seq: u64) -> Result<String> {
    let request = GetEntryRequest { by: Some(By::Seq(seq)), unseal: false };
    let (promoted, _) = super::seen::promoted(stage.auditor(), request).await?;
    Ok(promoted.routing.map(|routing| routing.tier).unwrap_or_default())
}

/// The 7th.
pub async fn first_promotion(stage: &Stage) -> Step {
    let at = stage.at(time("2026-11-07T10:30:00Z")).await;
    Step::play("The first promotion: v12, nothing to compare with", at, async |step| {
        step.expect(
            "before it, production is empty",
            "nothing".into(),
            entry_or_none(current(stage, at).await?),
        );
        let (_, recorded) = promote_file(stage, "2026-11-07/promotion.yaml", step).await?;
        let seq = recorded.receipt.seq;
        step.expect("all six fields are there: recorded as entry 2, the receipt verifies offline", 2, seq);
        step.expect(
            "a first promotion: tier high, a person approved",
            "high".to_owned(),
            tier_of(stage, seq).await?,
        );
        step.expect(
            format!("entry {seq} is current"),
            entry_or_none(Some(seq)),
            entry_or_none(current(stage, at).await?),
        );
        Ok(())
    })
    .await
}

/// The 14th.
pub async fn weekly_retrain(stage: &Stage) -> Step {
    let at = stage.at(time("2026-11-14T09:30:00Z")).await;
    Step::play("The weekly retrain: v13 against champion v12", at, async |step| {
        let (file, recorded) = promote_file(stage, "2026-11-14/promotion.yaml", step).await?;
        let seq = recorded.receipt.seq;
        step.expect("recorded as entry 3, the receipt verifies offline", 3, seq);
        step.expect(
            "inside the band of its standing policy: tier low, approved by its service",
            "low".to_owned(),
            tier_of(stage, seq).await?,
        );
        step.note(format!("event digest {}", recorded.header.event_digest));
        let key = digest::draft_key(&file.draft);
        let again = submit::submit(&stage.emitter(), &file.draft, &stage.key).await?;
        step.check(
            again.receipt.duplicate && again.receipt.seq == seq && again.receipt.idempotency_key == key.0,
            "sent once more by a nervous pipeline: the first receipt again",
            format!("entry {seq}, already recorded"),
            format!("entry {}, duplicate {}", again.receipt.seq, again.receipt.duplicate),
        );
        step.expect(
            format!("entry {seq} is current"),
            entry_or_none(Some(seq)),
            entry_or_none(current(stage, at).await?),
        );
        Ok(())
    })
    .await
}

/// The 21st: two approvers, and a pipeline that retries like mad.
pub async fn threshold_change(stage: &Stage) -> Step {
    let at = stage.at(time("2026-11-21T13:30:00Z")).await;
    let title = format!("A threshold change, 0.50 -> 0.42: v14, sent {STORM} times at once");
    Step::play(&title, at, async |step| {
        let before = accepted(stage, ListEntriesRequest::default()).await?.len();
        let file = read(stage, "2026-11-21/promotion.yaml")?;
        let uploaded = upload::upload_missing(&stage.emitter(), &file.uploads, Format::Text).await?;
        step.note(format!(
            "{} pieces of evidence sent, {} KiB; {} were there",
            uploaded.files,
            uploaded.bytes / 1024,
            uploaded.present
        ));
        let receipts = storm(stage, &file).await?;
        let wrote: Vec<_> = receipts.iter().filter(|recorded| !recorded.receipt.duplicate).collect();
        let seq = wrote.first().map_or(0, |recorded| recorded.receipt.seq);
        let name = |recorded: &&Recorded| {
            (recorded.receipt.seq, recorded.header.event_digest, recorded.receipt.idempotency_key.clone())
        };
        let mut names: Vec<_> = receipts.iter().map(|recorded| name(&recorded)).collect();
        names.sort();
        names.dedup();
        let after = accepted(stage, ListEntriesRequest::default()).await?.len();
        step.expect(
            format!("{STORM} identical submissions over {CONNECTIONS} connections: one event"),
            1,
            after - before,
        );
        step.expect("one submission wrote it", 1, wrote.len());
        step.expect(
            "a threshold moved: tier high, people approved",
            "high".to_owned(),
            tier_of(stage, seq).await?,
        );
        step.expect(format!("{STORM} callers hold a verified receipt"), STORM, receipts.len());
        step.expect("all of them for the same entry, event digest and key", 1, names.len());
        let marked = size(stage).await?.saturating_sub(seq + 1);
        step.note(format!(
            "of the other {}, {marked} reached the log too and stand there as duplicates",
            STORM - 1
        ));
        step.expect(
            format!("entry {seq} is current"),
            entry_or_none(Some(seq)),
            entry_or_none(current(stage, at).await?),
        );
        Ok(())
    })
    .await
}

async fn storm(stage: &Stage, file: &Converted) -> Result<Vec<Recorded>> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(source::connect(Some(&stage.url)).await?);
    }
    let mut calls = tokio::task::JoinSet::new();
    for channel in channels.iter().cycle().take(STORM) {
        let (emitter, draft, key) = (Emitter::new(channel.clone()), file.draft.clone(), stage.key.clone());
        calls.spawn(async move { submit::submit(&emitter, &draft, &key).await });
    }
    calls.join_all().await.into_iter().collect()
}

/// Five fields of six.
pub async fn without_explanation(stage: &Stage) -> Step {
    let at = stage.at(time("2026-11-21T15:00:00Z")).await;
    Step::play("A promotion without its explanation", at, async |step| {
        let before = (size(stage).await?, current(stage, at).await?);
        let file = read(stage, "2026-11-21/promotion-without-explanation.yaml")?;
        refused(stage, &file, step, "five fields of six: refused", 1).await?;
        let mut careless = file.clone();
        if let Some(model) = &mut careless.draft.model_version {
            model.version = "latest".into();
        }
        if let Some(approval) = careless.draft.approvals.first_mut() {
            approval.answers.retain(|answer| answer.question != "segments");
        }
        if let Some(comparison) = &mut careless.draft.challenger_comparison {
            comparison.computed_on = digest::sha256(b"another dataset").0.to_vec();
        }
        // Both approvers logged in for another version: what they signed does not fit this one.
        refused(stage, &careless, step, "made carelessly as well: every problem at once", 6).await?;
        let after = (size(stage).await?, current(stage, at).await?);
        let words =
            |(size, seq): (u64, Option<u64>)| format!("{size} entries, {} current", entry_or_none(seq));
        step.expect(
            format!("nothing was written, nothing changed: {}", words(after)),
            words(before),
            words(after),
        );
        Ok(())
    })
    .await
}

async fn refused(
    stage: &Stage,
    file: &Converted,
    step: &mut Step,
    what: &str,
    problems: usize,
) -> Result<()> {
    let (found, _) = promote::check(stage.channel(), file).await?;
    let promotion = Some(file.draft.clone());
    upload::upload_missing(&stage.emitter(), &file.uploads, Format::Text).await?;
    match stage.emitter().promote(PromoteRequest { promotion }).await {
        Err(status) if status.code() == Code::InvalidArgument => {
            let failure = Failure::from(status);
            step.expect(what, problems, failure.problems.len());
            for problem in &failure.problems {
                step.note(format!("{} {}", problem.field, problem.description));
            }
            let same = found == failure.problems;
            step.check(
                same,
                "a dry run had said the same",
                "the same problems",
                format!("{} problems", found.len()),
            );
        }
        Err(status) => step.check(false, what, "INVALID_ARGUMENT", status),
        Ok(_) => step.check(false, what, "INVALID_ARGUMENT", "it was recorded"),
    }
    Ok(())
}

/// December: somebody runs the explanation job again.
pub async fn regenerated_report(stage: &Stage) -> Step {
    let at = stage.at(time("2026-12-05T16:20:00Z")).await;
    Step::play(
        "The SHAP report of the 14th is made again, with another background sample",
        at,
        async |step| {
            let original = std::fs::read(stage.example("2026-11-14/explanation/shap_report.html"));
            let again = std::fs::read(stage.example("2026-11-14/explanation/shap_report_regenerated.html"));
            let failed = |error: std::io::Error| {
                Failure::new(Exit::Usage, format!("the example is incomplete: {error}"))
            };
            let (original, again) = (original.map_err(failed)?, again.map_err(failed)?);
            let (first, second) = (digest::sha256(&original), digest::sha256(&again));
            step.note(format!("shown on the 14th  {first}"));
            step.note(format!("made again         {second}"));
            step.check(
                first != second,
                "other bytes, another hash",
                "different",
                if first == second { "equal" } else { "different" },
            );
            step.expect(
                "the event points to the original",
                first.to_string(),
                explained_by(stage, 3).await?.to_string(),
            );
            let by = |sha256: Digest| ListEntriesRequest {
                evidence_sha256: sha256.0.to_vec(),
                ..Default::default()
            };
            let (old, new) =
                (accepted(stage, by(first)).await?.len(), accepted(stage, by(second)).await?.len());
            step.check(
                old == 1 && new == 0,
                "no other event has either of them",
                "1 and 0 events",
                format!("{old} and {new} events"),
            );
            let kept = evidence(stage, &first).await?;
            let kept = format!("{} ({} bytes)", digest::sha256(&kept), kept.len());
            step.expect(
                "the ledger still serves the original, byte for byte",
                format!("{first} ({} bytes)", original.len()),
                kept,
            );
            Ok(())
        },
    )
    .await
}

/// Digest of the first explanation of an entry.
async fn explained_by(stage: &Stage, seq: u64) -> Result<Digest> {
    let promoted =
        super::seen::promoted(stage.auditor(), GetEntryRequest { by: Some(By::Seq(seq)), unseal: false })
            .await?
            .0;
    let content = promoted.explanations.first().and_then(|explanation| explanation.content.as_ref());
    Ok(content.and_then(|content| Digest::from_slice(&content.sha256)).unwrap_or_default())
}

async fn evidence(stage: &Stage, sha256: &Digest) -> Result<Vec<u8>> {
    let request = ReadEvidenceRequest { sha256: sha256.0.to_vec(), unseal: false };
    let mut stream = stage.auditor().read_evidence(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await? {
        bytes.extend(message.chunk);
    }
    Ok(bytes)
}
