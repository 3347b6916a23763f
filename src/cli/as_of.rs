//! `as-of`: what was current at a time.

use crate::{
    clock::{Clock, SystemClock},
    event::proto::{
        AsOfRequest, AsOfResponse, GetEntryRequest, SlotAsOf, body::Event, get_entry_request::By,
    },
};

use super::{
    event_json, list,
    output::{self, Exit, Failure, Format, Result, say},
    six_fields,
    source::{Source, SourceArgs},
    when,
};

/// What was current in a model's slots at a time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger as-of credit production 2026-11-21\n  promotion-ledger as-of credit production 2026-11-21T14:00 --tz Europe/Berlin\n  promotion-ledger as-of credit production now\n\nA date means the end of that day. Exit code 1 if nothing was current."
)]
pub struct Args {
    /// Name of the model
    model: String,
    /// Environment, for instance production
    environment: String,
    /// A time, a date (its end), or `now`
    time: String,
    /// IANA time zone for dates and times without an offset
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let source = Source::open(&args.source).await?;
    let time = match args.time.as_str() {
        "now" => SystemClock.now(),
        text => {
            when::moment(text, &list::zone(&source, args.tz.as_deref()).await?).map_err(Failure::usage)?
        }
    };
    let request = AsOfRequest { model: args.model.clone(), environment: args.environment.clone(), time };
    let answer = source.as_of(request).await?;
    let mut rows = Vec::new();
    for slot in &answer.slots {
        let version = match slot.promoted_seq {
            Some(seq) => Some(version(&source, seq).await?),
            None => None,
        };
        rows.push((slot, version));
    }
    match format {
        Format::Json => json(&rows, time, &answer),
        Format::Text => text(&rows, time, &answer, &args),
    }
    let current = answer.slots.iter().any(|slot| slot.promoted_seq.is_some());
    Ok(if current { Exit::Ok } else { Exit::No })
}

/// Name, version and artefact of a promotion.
struct Version {
    name: String,
    version: String,
    artifact: String,
    event_digest: String,
}

async fn version(source: &Source, seq: u64) -> Result<Version> {
    let answer = source.get_entry(GetEntryRequest { by: Some(By::Seq(seq)), unseal: false }).await?;
    let entry = answer.entry.unwrap_or_default();
    let event = event_json::body(&entry.record).and_then(|body| body.event);
    let model = match event {
        Some(Event::Promoted(promoted)) => promoted.model_version.unwrap_or_default(),
        _ => {
            return Err(Failure::new(
                Exit::Internal,
                format!("entry {seq} should be a promotion and is none; run verify"),
            ));
        }
    };
    let header = crate::event::Header::decode(&entry.header);
    Ok(Version {
        name: model.name,
        version: model.version,
        artifact: hex::encode(&model.artifact_sha256),
        event_digest: header.map(|header| header.event_digest.to_string()).unwrap_or_default(),
    })
}

fn json(rows: &[(&SlotAsOf, Option<Version>)], time: u64, answer: &AsOfResponse) {
    let row = |(slot, version): &(&SlotAsOf, Option<Version>)| {
        serde_json::json!({
            "slot": slot.slot, "promoted_seq": slot.promoted_seq, "changed_by": slot.changed_by,
            "undocumented_seq": slot.undocumented_seq,
            "since": slot.since, "since_utc": output::utc(slot.since),
            "name": version.as_ref().map(|v| &v.name), "version": version.as_ref().map(|v| &v.version),
            "artifact_sha256": version.as_ref().map(|v| &v.artifact),
            "event_digest": version.as_ref().map(|v| &v.event_digest),
        })
    };
    let slots: Vec<_> = rows.iter().map(row).collect();
    output::json(&serde_json::json!({
        "time": time, "time_utc": when::utc(time), "as_of_size": answer.as_of_size, "slots": slots,
    }));
}

fn text(rows: &[(&SlotAsOf, Option<Version>)], time: u64, answer: &AsOfResponse, args: &Args) {
    say!(
        "{} / {} as of {}, among the first {} entries:",
        args.model,
        args.environment,
        when::utc(time),
        answer.as_of_size
    );
    if rows.is_empty() {
        say!("  nothing was ever current there until then");
    }
    for (slot, version) in rows {
        let region = slot.slot.as_ref().map(|slot| slot.region.clone()).filter(|region| !region.is_empty());
        let role = six_fields::role(slot.slot.as_ref().map_or(0, |slot| slot.role));
        let place = region.map_or_else(|| role.clone(), |region| format!("{region}, {role}"));
        let since = output::utc(slot.since);
        match version {
            Some(version) => {
                let seq = slot.promoted_seq.unwrap_or(slot.changed_by);
                say!(
                    "  {place}: {} {} (promoted by entry {seq}; current since {since} by entry {})",
                    version.name,
                    version.version,
                    slot.changed_by
                );
                say!("    artefact      {}", version.artifact);
                say!("    event digest  {}", version.event_digest);
            }
            None if slot.undocumented_seq.is_some() => say!(
                "  {place}: undocumented since {since}, by entry {}: in production before the ledger, never promoted",
                slot.changed_by
            ),
            None => say!("  {place}: empty since {since}, by entry {}", slot.changed_by),
        }
    }
}
