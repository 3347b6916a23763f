//! A promotion file without approvals -> a sealed review.

use std::path::Path;

use crate::{
    cli::{
        output::{Exit, Failure, Format, Result},
        promotion_file::{self, Upload},
        source::Channel,
        submit::{self, Emitter, Recorded, request, retrying},
        upload,
    },
    event::{
        digest::sha256,
        proto::{
            EvidenceRef, SealReviewRequest, StaticRendition, review_service_client::ReviewServiceClient,
        },
    },
};

/// A sealed review.
pub struct Sealed {
    /// Its verified receipt.
    pub recorded: Recorded,
    /// Path of its page at the node's HTTP address.
    pub path: String,
    /// What it is about, in words.
    pub what: String,
}

/// Uploads what the file names and seals it. The same again is the same review.
///
/// # Errors
/// Exit code 2 for the file's problems; else of the calls.
pub async fn seal(channel: &Channel, file: &Path, renditions: &[String], format: Format) -> Result<Sealed> {
    let path = file.to_path_buf();
    let read = tokio::task::spawn_blocking(move || promotion_file::read(&path)).await;
    let mut converted = read.map_err(|error| Failure::new(Exit::Internal, error.to_string()))??;
    if !converted.problems.is_empty() {
        let message = format!("{}: {} problems, nothing was sent", file.display(), converted.problems.len());
        return Err(Failure { problems: converted.problems, ..Failure::usage(message) });
    }
    if !converted.draft.approvals.is_empty() {
        return Err(Failure::usage(format!(
            "{}: approvals are given in the review; take them out",
            file.display()
        )));
    }
    let mut statics = Vec::new();
    for rendition in renditions {
        let (statement, upload) = self::rendition(rendition)?;
        statics.push(statement);
        converted.uploads.push(upload);
    }
    upload::upload_missing(&Emitter::new(channel.clone()), &converted.uploads, format).await?;
    let asked = SealReviewRequest { promotion: Some(converted.draft.clone()), renditions: statics };
    let answer = retrying(|| {
        let (mut reviews, asked) = (ReviewServiceClient::new(channel.clone()), asked.clone());
        async move { reviews.seal_review(request(asked)).await }
    });
    let answer = answer.await?;
    let key = submit::log_key(channel, None).await?;
    let model = converted.draft.model_version.unwrap_or_default();
    let what = format!("the review of {} {}", model.name, model.version);
    Ok(Sealed { recorded: submit::verified(answer.receipt, &key)?, path: answer.path, what })
}

/// `REPORT=FILE`.
fn rendition(text: &str) -> Result<(StaticRendition, Upload)> {
    let wrong = |why: String| Failure::usage(format!("--rendition {text}: {why}"));
    let (of, file) = text.split_once('=').ok_or_else(|| wrong("is not REPORT=FILE".into()))?;
    let read = |path: &str| std::fs::read(path).map_err(|error| wrong(format!("{path}: {error}")));
    let (report, bytes) = (read(of)?, read(file)?);
    let media_type = match Path::new(file).extension().and_then(|it| it.to_str()) {
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("pdf") => "application/pdf",
        Some("html") => "text/html",
        _ => return Err(wrong(format!("{file} is no .png, .svg, .pdf or .html"))),
    };
    let (digest, length) = (sha256(&bytes), bytes.len() as u64);
    let content = EvidenceRef {
        sha256: digest.0.to_vec(),
        length,
        media_type: media_type.into(),
        ..EvidenceRef::default()
    };
    let upload = Upload {
        path: file.into(),
        sha256: digest,
        length,
        media_type: media_type.into(),
        fields: vec!["renditions".into()],
    };
    Ok((StaticRendition { of: sha256(&report).0.to_vec(), content: Some(content) }, upload))
}
