//! Uploads of evidence: only what the ledger does not have, with a progress bar on a terminal.

use std::{
    io::{IsTerminal, SeekFrom},
    path::PathBuf,
};

use crate::cli::source::Channel;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::{
    output::{Exit, Failure, Format, Result},
    personal_data,
    promotion_file::Upload,
    submit::{Emitter, request, retrying},
};
use crate::event::{
    promotion::Problem,
    proto::{EvidenceDescription, StatEvidenceRequest, UploadEvidenceRequest, upload_evidence_request::Part},
};

const CHUNK: usize = 64 * 1024;
/// Uploads below this are over before a bar can be read.
const BAR_FROM: u64 = 4 << 20;

/// What the ledger did not have.
#[derive(Debug, Clone, Default)]
pub struct Uploaded {
    /// Files sent.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the ledger had already.
    pub present: usize,
    /// What looks like personal data in those that were sent.
    pub warnings: Vec<Problem>,
}

/// The uploads whose bytes the ledger does not have.
///
/// # Errors
/// Of the call.
pub async fn missing<'a>(emitter: &Emitter<Channel>, uploads: &'a [Upload]) -> Result<Vec<&'a Upload>> {
    let mut missing = Vec::new();
    for upload in uploads {
        let stat = retrying(|| {
            let mut emitter = emitter.clone();
            async move { emitter.stat_evidence(StatEvidenceRequest { sha256: upload.sha256.0.to_vec() }).await }
        });
        match stat.await {
            Ok(stat) if stat.present => {}
            Ok(_) => missing.push(upload),
            Err(status) if status.code() == Code::DataLoss => {
                return Err(Failure::new(
                    Exit::Internal,
                    format!("{}; tell the operator of the ledger", status.message()),
                ));
            }
            Err(status) => return Err(status.into()),
        }
    }
    Ok(missing)
}

/// Uploads what the ledger does not have, after a warning where it looks like personal data.
///
/// # Errors
/// Of the calls; exit code 2 if a file changed since it was hashed.
pub async fn upload_missing(
    emitter: &Emitter<Channel>,
    uploads: &[Upload],
    format: Format,
) -> Result<Uploaded> {
    let missing = missing(emitter, uploads).await?;
    let warnings = tokio::task::block_in_place(|| personal_data::warnings(missing.iter().copied()));
    personal_data::print(&warnings, format);
    let bytes = missing.iter().map(|upload| upload.length).sum();
    let bar = bar(bytes);
    for upload in &missing {
        bar.set_message(upload.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let before = bar.position();
        let sent = retrying(|| send(emitter.clone(), upload, bar.clone(), before));
        sent.await.map_err(|status| refused(upload, &status))?;
        bar.set_position(before + upload.length);
    }
    bar.finish_and_clear();
    Ok(Uploaded { files: missing.len(), bytes, present: uploads.len() - missing.len(), warnings })
}

fn refused(upload: &Upload, status: &tonic::Status) -> Failure {
    let path = upload.path.display();
    match status.code() {
        Code::InvalidArgument => Failure::usage(format!(
            "{path} changed while it was being sent: {}; promote again",
            status.message()
        )),
        Code::NotFound => Failure::usage(format!("{path}: {}", status.message())),
        _ => {
            let failure = Failure::from(status.clone());
            Failure { message: format!("{path}: {}", failure.message), ..failure }
        }
    }
}

/// Sends what the node does not have of it: all, or the rest of an upload that broke off. `before`: where it begins on
/// the bar.
async fn send(
    mut emitter: Emitter<Channel>,
    upload: &Upload,
    bar: ProgressBar,
    before: u64,
) -> std::result::Result<tonic::Response<()>, tonic::Status> {
    let stat = StatEvidenceRequest { sha256: upload.sha256.0.to_vec() };
    let stat = emitter.stat_evidence(request(stat)).await?.into_inner();
    if stat.present {
        return Ok(tonic::Response::new(()));
    }
    let offset = stat.received.min(upload.length);
    match send_from(emitter.clone(), upload, bar.clone(), before, offset).await {
        // What the node has of it is not this file's beginning: it has thrown that away.
        Err(status) if offset > 0 && status.code() == Code::InvalidArgument => {
            send_from(emitter, upload, bar, before, 0).await
        }
        answer => answer,
    }
}

async fn send_from(
    mut emitter: Emitter<Channel>,
    upload: &Upload,
    bar: ProgressBar,
    before: u64,
    offset: u64,
) -> std::result::Result<tonic::Response<()>, tonic::Status> {
    bar.set_position(before + offset);
    let (sender, receiver) = mpsc::channel(4);
    let description = EvidenceDescription {
        sha256: upload.sha256.0.to_vec(),
        length: upload.length,
        media_type: upload.media_type.clone(),
        offset,
    };
    let reader = tokio::spawn(chunks(upload.path.clone(), description, sender, bar));
    let answer = emitter.upload_evidence(ReceiverStream::new(receiver)).await;
    // What is wrong with the file comes first: the server only saw the stream end.
    if let Ok(Err(error)) = reader.await {
        return Err(tonic::Status::not_found(error.to_string()));
    }
    answer.map(|answer| answer.map(|_| ()))
}

async fn chunks(
    path: PathBuf,
    description: EvidenceDescription,
    sender: mpsc::Sender<UploadEvidenceRequest>,
    bar: ProgressBar,
) -> std::io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(description.offset)).await?;
    let first = UploadEvidenceRequest { part: Some(Part::Description(description)) };
    let mut open = sender.send(first).await.is_ok();
    let mut buffer = vec![0; CHUNK];
    while open {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        let chunk = buffer.get(..read).unwrap_or_default().to_vec();
        // The server hung up: its answer says why.
        open = sender.send(UploadEvidenceRequest { part: Some(Part::Chunk(chunk)) }).await.is_ok();
        bar.inc(read as u64);
    }
    Ok(())
}

fn bar(bytes: u64) -> ProgressBar {
    if bytes < BAR_FROM || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
