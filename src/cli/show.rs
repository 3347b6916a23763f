//! `show`: one entry whole, and everything that it points to.

use std::path::{Path, PathBuf};

use crate::{
    event::{
        Digest, Header, canonical,
        proto::{
            Body, GetEntryRequest, GetEntryResponse, GetReceiptRequest, body::Event, get_entry_request::By,
        },
    },
    policy::audit::activated,
};

use super::{
    admin, custody_words, event_json, evidence_out, gate_words,
    output::{self, Exit, Failure, Format, Result, say},
    screen_out, six_fields,
    source::{Source, SourceArgs},
    words::{self, People},
};

/// Show one entry: the six fields, who approved, what was decided.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger show 7 --unseal\n  promotion-ledger show 5f3a…e1 --evidence seen-by-the-approver\n  promotion-ledger show 7 --screen -o what-they-saw\n  promotion-ledger show 7 --dir ledger --receipt receipt.txt --record record.bin\n\nNames, answers and free text are sealed, one key for each person; --unseal opens what was not erased, and the\nnode logs it. The record and receipt verify offline: promotion-ledger verify --receipt FILE --key VKEY."
)]
pub struct Args {
    /// Its number, its event digest or its idempotency key (64 hexadecimal digits)
    entry: String,
    /// Open the sealed items
    #[arg(long)]
    unseal: bool,
    /// Write its receipt here
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Write its signed record here, verbatim
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write every piece of its evidence into this directory, after checking its SHA-256
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Write what it looks like into the directory of --output: the page, and every piece of evidence by its digest
    #[arg(long, requires = "output")]
    screen: bool,
    /// Directory of --screen; open its index.html in a browser
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let source = Source::open(&args.source).await?;
    let answer = find(&source, &args.entry, args.unseal).await?;
    let entry = answer.entry.clone().unwrap_or_default();
    let header =
        Header::decode(&entry.header).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let body = event_json::body(&entry.record);
    if let Some(path) = &args.receipt {
        let receipt = source.get_receipt(GetReceiptRequest { seq: header.seq }).await?.tlog_proof;
        write(path, receipt.as_bytes())?;
    }
    if let Some(path) = &args.record {
        write(path, &entry.record)?;
    }
    let people = People::new(args.unseal.then_some(answer.opened.as_slice()));
    let mut evidence = match (&args.evidence, body.as_ref().and_then(|body| body.event.as_ref())) {
        (Some(dir), Some(Event::Promoted(promoted))) => {
            evidence_out::write_all(&source, promoted, dir, args.unseal).await?
        }
        _ => Vec::new(),
    };
    if let Some(dir) = args.output.as_ref().filter(|_| args.screen) {
        let event = body.as_ref().and_then(|body| body.event.as_ref());
        let shown = screen_out::Shown { answer: &answer, header: &header, people: &people };
        evidence.extend(screen_out::write_all(&source, &shown, event, dir).await?);
    }
    match format {
        Format::Json => json(&answer, &header, body.as_ref(), args.unseal, &evidence),
        Format::Text => text(&answer, &header, body.as_ref(), &people, &evidence),
    }
    Ok(if evidence.iter().all(evidence_out::Written::is_good) { Exit::Ok } else { Exit::No })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))
}

/// The entry that a number, an event digest or an idempotency key names.
async fn find(source: &Source, name: &str, unseal: bool) -> Result<GetEntryResponse> {
    let get = |by| source.get_entry(GetEntryRequest { by: Some(by), unseal });
    if let Ok(seq) = name.parse() {
        return Ok(get(By::Seq(seq)).await?);
    }
    let digest = Digest::from_hex(name).ok_or_else(|| {
        Failure::usage(format!("{name:?} is neither an entry's number nor a digest (64 hexadecimal digits)"))
    })?;
    match get(By::EventDigest(digest.0.to_vec())).await {
        Err(status) if status.code() == tonic::Code::NotFound => {}
        found => return Ok(found?),
    }
    Ok(get(By::IdempotencyKey(digest.0.to_vec())).await?)
}

fn json(
    answer: &GetEntryResponse,
    header: &Header,
    body: Option<&Body>,
    unsealed: bool,
    evidence: &[evidence_out::Written],
) {
    output::json(&serde_json::json!({
        "header": event_json::header(header),
        "date": answer.date,
        "date_utc": output::utc(answer.date),
        "date_set_by_clock_reset": answer.clock_reset,
        "event": body.map(event_json::event),
        "taints": answer.taints,
        "opened": unsealed.then(|| event_json::opened(&answer.opened)),
        "evidence": evidence,
        "as_of_size": answer.as_of_size,
    }));
}

fn text(
    answer: &GetEntryResponse,
    header: &Header,
    body: Option<&Body>,
    people: &People,
    evidence: &[evidence_out::Written],
) {
    let kind = header.kind.map_or("not a record of this ledger", |kind| kind.name()).replace('_', " ");
    let line = |name: &str, value: &str| say!("  {name:<17} {value}");
    say!("{}", output::coloured("1", &format!("Entry {}: {kind}", header.seq)));
    line("outcome", &words::outcome(header));
    let reset = if answer.clock_reset { " (set by a clock reset)" } else { "" };
    line(
        "date",
        &format!("{}{reset}, recorded at {}", output::utc(answer.date), output::utc(header.recorded_at)),
    );
    line("event digest", &header.event_digest.to_string());
    if let Some(body) = body {
        line("idempotency key", &hex::encode(&body.idempotency_key));
    }
    match body.and_then(|body| body.event.as_ref()) {
        Some(Event::Promoted(promoted)) => {
            line("slot", &six_fields::slot(promoted.slot.as_ref()));
            six_fields::screen(promoted, people).iter().for_each(|line| say!("{line}"));
            for taint in &answer.taints {
                let what = format!("{} (entry {})", hex::encode(&taint.sha256), taint.seq);
                line("TAINTED", &what);
            }
        }
        Some(event) => match event_json::slot_act(event) {
            Some((slot, seq, actor, request)) => {
                line("slot", &six_fields::slot(slot));
                line("promotion", &format!("entry {seq}"));
                line("asked by", &format!("{}, request {request}", people.name(actor)));
                people.statements("reason").iter().for_each(|(_, text)| line("reason", text));
            }
            None if canonical::admin_act(event).is_some() => admin_act(event),
            None if matches!(event, Event::AttemptRefused(_)) => refused(event),
            None if custody_words::summary(event).is_some() => {
                let lines = custody_words::lines(event, people).unwrap_or_default();
                lines.iter().for_each(|(name, text)| line(name, text));
            }
            None if gate_words::summary(event).is_some() => {
                line("slot", &six_fields::slot(gate_words::summary(event).and_then(|(slot, _)| slot)));
                let lines = gate_words::lines(event, people).unwrap_or_default();
                lines.iter().for_each(|(name, text)| line(name, text));
            }
            None => {
                let whole = serde_json::to_string_pretty(&event_json::event_only(event)).unwrap_or_default();
                say!("{whole}");
            }
        },
        None => line("record", &format!("{} bytes that cannot be read", header.record_len)),
    }
    for written in evidence {
        say!("{written}");
    }
    say!("  up to entry {} as this was asked", answer.as_of_size.saturating_sub(1));
}

/// What the administrators signed, in words; a policy's file below it.
fn admin_act(event: &Event) {
    let Some(act) = canonical::admin_act(event) else { return };
    for (name, text) in admin::words(&act.statement).unwrap_or_default() {
        say!("  {name:<17} {text}");
    }
    for signature in &act.signatures {
        say!("  {:<17} administrator {}", "signed by", hex::encode(&signature.public_key));
    }
    if let Event::PolicyActivated(act) = event
        && let Some(activated) = activated(act)
    {
        say!("");
        say!("{}", String::from_utf8_lossy(&activated.yaml).trim_end());
    }
}

fn refused(event: &Event) {
    let Event::AttemptRefused(refused) = event else { return };
    say!("  {:<17} {}", "slot", six_fields::slot(refused.slot.as_ref()));
    say!("  {:<17} {}", "artefact", hex::encode(&refused.artifact_sha256));
    say!("  {:<17} {}, by policy {}", "tier", refused.tier, hex::encode(&refused.policy_sha256));
    for shortfall in &refused.shortfalls {
        say!("  {:<17} {}  {}", "lacks", shortfall.field, shortfall.description);
    }
}
