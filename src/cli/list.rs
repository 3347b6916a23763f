//! `list`: entries that match, newest first.

use jiff::tz::TimeZone;

use crate::event::{
    Digest, Header,
    proto::{GetStatusRequest, ListEntriesRequest, ListedEntry, Slot, body::Event},
};

use super::{
    custody_words, event_json, gate_words,
    output::{self, Exit, Failure, Format, Result, say},
    six_fields,
    source::{Source, SourceArgs},
    when,
};

/// Entries in one answer of a node.
const PAGE: usize = 500;

/// List entries, newest first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger list --model credit --on 2026-11-14\n  promotion-ledger list --from 2026-11-01 --to 2026-11-30 --tz Europe/Berlin --outcome refused\n  promotion-ledger list --approver https://idp.example.bank u-1042 --limit 500\n\nDates and times without an offset are read in --tz, else in the ledger's declared time zone; a date is a whole\nday. The answer prints the interval in UTC, and up to which entry it holds."
)]
pub struct Args {
    /// Name of the model
    #[arg(long)]
    model: Option<String>,
    /// Environment, for instance production
    #[arg(long)]
    environment: Option<String>,
    /// Entries of one day
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to"])]
    on: Option<String>,
    /// Entries from this time or date on
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Entries before this time, or to the end of this date
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// IANA time zone for dates and times without an offset
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Promotions that this person approved
    #[arg(long, num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    approver: Option<Vec<String>>,
    /// Promotions of the artefact with this SHA-256
    #[arg(long, value_name = "SHA256")]
    artifact: Option<String>,
    /// Promotions that rely on the evidence with this SHA-256
    #[arg(long, value_name = "SHA256")]
    evidence: Option<String>,
    /// Entries of this kind, for instance tainted or evidence_finding
    #[arg(long)]
    kind: Option<String>,
    /// accepted (the default), duplicate, refused or malformed
    #[arg(long, value_parser = ["accepted", "duplicate", "refused", "malformed"])]
    outcome: Option<String>,
    /// Entries, at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    source: SourceArgs,
}

/// The time zone that was given, or the ledger's.
///
/// # Errors
/// Exit code 2 for a zone that is none.
pub async fn zone(source: &Source, given: Option<&str>) -> Result<TimeZone> {
    let name = match given {
        Some(name) => name.to_owned(),
        None => source.get_status(GetStatusRequest {}).await?.time_zone,
    };
    TimeZone::get(&name)
        .map_err(|_| Failure::usage(format!("--tz {name:?} is not an IANA time zone such as Europe/Berlin")))
}

fn sha256(option: &str, text: Option<&String>) -> Result<Vec<u8>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let digest = Digest::from_hex(text);
    digest
        .map(|digest| digest.0.to_vec())
        .ok_or_else(|| Failure::usage(format!("{option} {text} is not a SHA-256 (64 hexadecimal digits)")))
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let source = Source::open(&args.source).await?;
    let dated = args.on.is_some() || args.from.is_some() || args.to.is_some();
    let interval = if dated {
        let zone = zone(&source, args.tz.as_deref()).await?;
        when::interval(args.on.as_deref(), args.from.as_deref(), args.to.as_deref(), &zone)
            .map_err(Failure::usage)?
    } else {
        when::Interval::default()
    };
    let request = request(&args, interval)?;
    let (entries, as_of_size, more) = pages(&source, request, args.limit).await?;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "from": interval.from, "to": interval.to, "interval_utc": interval.to_string(),
            "as_of_size": as_of_size, "more": more,
            "entries": entries.iter().map(json).collect::<Vec<_>>(),
        })),
        Format::Text => {
            table(&entries);
            say!(
                "{} {}; {interval}; among the first {as_of_size}",
                entries.len(),
                if entries.len() == 1 { "entry" } else { "entries" }
            );
            if more {
                say!("there are more: raise --limit");
            }
        }
    }
    Ok(Exit::Ok)
}

fn request(args: &Args, interval: when::Interval) -> Result<ListEntriesRequest> {
    let pair = args.approver.clone().and_then(|pair| <[String; 2]>::try_from(pair).ok());
    let [issuer, subject] = pair.unwrap_or_default();
    Ok(ListEntriesRequest {
        model: args.model.clone().unwrap_or_default(),
        environment: args.environment.clone().unwrap_or_default(),
        from: interval.from,
        to: interval.to,
        approver_issuer: issuer,
        approver_subject: subject,
        outcome: args.outcome.clone().unwrap_or_default(),
        artifact_sha256: sha256("--artifact", args.artifact.as_ref())?,
        evidence_sha256: sha256("--evidence", args.evidence.as_ref())?,
        kind: args.kind.clone().unwrap_or_default(),
        with_records: true,
        ..ListEntriesRequest::default()
    })
}

/// Every entry that matches.
///
/// # Errors
/// Of the calls.
pub async fn all(source: &Source, request: ListEntriesRequest) -> Result<Vec<ListedEntry>> {
    pages(source, request, usize::MAX).await.map(|(entries, ..)| entries)
}

/// Follows pages up to a limit; also up to which size the first answer holds, and whether there is more.
async fn pages(
    source: &Source,
    request: ListEntriesRequest,
    limit: usize,
) -> Result<(Vec<ListedEntry>, u64, bool)> {
    let (mut entries, mut token, mut as_of_size) = (Vec::new(), String::new(), None);
    loop {
        let page_size = PAGE.min(limit.saturating_sub(entries.len()).max(1)) as u32;
        let answer = source
            .list_entries(ListEntriesRequest { page_size, page_token: token, ..request.clone() })
            .await?;
        entries.extend(answer.entries);
        as_of_size.get_or_insert(answer.as_of_size);
        token = answer.next_page_token;
        if token.is_empty() || entries.len() >= limit {
            let more = !token.is_empty() || entries.len() > limit;
            entries.truncate(limit);
            return Ok((entries, as_of_size.unwrap_or(0), more));
        }
    }
}

fn json(listed: &ListedEntry) -> serde_json::Value {
    let entry = listed.entry.clone().unwrap_or_default();
    serde_json::json!({
        "header": Header::decode(&entry.header).ok().as_ref().map(event_json::header),
        "date": listed.date, "date_utc": output::utc(listed.date), "date_set_by_clock_reset": listed.clock_reset,
        "event": event_json::body(&entry.record).as_ref().map(event_json::event),
    })
}

fn table(entries: &[ListedEntry]) {
    if entries.is_empty() {
        return;
    }
    let mut rows = vec![["entry", "date (UTC)", "kind", "outcome", "slot", "what"].map(str::to_owned)];
    rows.extend(entries.iter().map(row));
    print_table(&rows);
}

/// Prints rows with columns as wide as their widest cell; the last one is as long as it is.
pub fn print_table<const N: usize>(rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        say!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn row(listed: &ListedEntry) -> [String; 6] {
    let entry = listed.entry.clone().unwrap_or_default();
    let Ok(header) = Header::decode(&entry.header) else {
        return [
            "?".into(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            "not an entry".into(),
        ];
    };
    let date = format!("{}{}", output::utc(listed.date), if listed.clock_reset { "*" } else { "" });
    let (slot, what) = summary(&header, &entry.record);
    let outcome = match header.reason {
        crate::event::Reason::None => header.outcome.to_string(),
        reason => format!("{}: {reason}", header.outcome),
    };
    [
        header.seq.to_string(),
        date,
        header.kind.map_or("-", |kind| kind.name()).to_owned(),
        outcome,
        slot,
        what,
    ]
}

/// Slot and subject of an entry, in a few words.
pub fn summary(header: &Header, record: &[u8]) -> (String, String) {
    let event = event_json::body(record).and_then(|body| body.event);
    let short =
        |slot: Option<&Slot>| slot.map_or_else(|| "-".to_owned(), |slot| six_fields::slot(Some(slot)));
    match &event {
        Some(Event::Promoted(promoted)) => {
            let model = promoted.model_version.clone().unwrap_or_default();
            let request = promoted.approval_request.clone().unwrap_or_default();
            (
                short(promoted.slot.as_ref()),
                format!("{} {}, {} {}", model.name, model.version, request.system, request.id),
            )
        }
        Some(event) => match event_json::slot_act(event) {
            Some((slot, seq, _, _)) => (short(slot), format!("entry {seq}")),
            None => match gate_words::summary(event) {
                Some((slot, words)) => (short(slot), words),
                None => ("-".into(), custody_words::summary(event).unwrap_or_default()),
            },
        },
        None => ("-".into(), format!("{} bytes", header.record_len)),
    }
}
