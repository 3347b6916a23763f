//! `export --attestation`: one promotion as an in-toto Statement in a DSSE envelope, for tools that read those.

use std::{path::Path, sync::Arc};

use crate::{
    bundle::attestation::{PREDICATE_TYPE, Promotion, statement},
    event::{
        Header, Seq, canonical,
        proto::{GetEntryRequest, GetReceiptRequest, body::Event, get_entry_request::By},
    },
    keyfile,
    policy::dsse,
    proof::receipt::Receipt,
};

use super::{
    log_key,
    output::{self, Exit, Failure, Format, Result, say},
    source::Source,
};

/// Runs the command.
pub async fn run(source: &Arc<Source>, seq: Seq, key: &Path, output: &Path, format: Format) -> Result {
    let signing =
        keyfile::signing_key(key).map_err(|error| Failure::usage(format!("--signing-key: {error}")))?;
    let no = |what: String| Failure::new(Exit::No, what);
    let (log, ledger_id) = log_key::of(source, None).await?;
    let answer = source.get_entry(GetEntryRequest { by: Some(By::Seq(seq)), unseal: false }).await?;
    let entry = answer.entry.unwrap_or_default();
    let header = Header::decode(&entry.header).map_err(|error| no(error.to_string()))?;
    let decoded = canonical::decode(&entry.record).ok().and_then(|record| record.body.event);
    let Some(Event::Promoted(promoted)) = decoded else {
        return Err(no(format!("entry {seq} is not a promotion")));
    };
    let receipt = source.get_receipt(GetReceiptRequest { seq }).await?.tlog_proof;
    Receipt::parse(&receipt)
        .and_then(|receipt| receipt.verify(&log))
        .map_err(|error| no(error.to_string()))?;
    let statement = statement(&Promotion {
        ledger_id: ledger_id.unwrap_or_default(),
        key: &log,
        header: &header,
        date: answer.date,
        promoted: &promoted,
        record: &entry.record,
        receipt: &receipt,
    });
    let internal = |what: String| Failure::new(Exit::Internal, format!("{}: {what}", output.display()));
    let envelope = dsse::sign(&statement, &signing).map_err(|error| internal(error.to_string()))?;
    if output.exists() {
        return Err(Failure::usage(format!("{} exists already; give another name", output.display())));
    }
    std::fs::write(output, envelope).map_err(|error| internal(error.to_string()))?;
    match format {
        Format::Json => output::json(
            &serde_json::json!({ "attestation": output.display().to_string(), "predicate_type": PREDICATE_TYPE }),
        ),
        Format::Text => say!("{}: entry {seq} as an in-toto statement, {PREDICATE_TYPE}", output.display()),
    }
    Ok(Exit::Ok)
}
