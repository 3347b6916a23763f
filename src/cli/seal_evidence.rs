//! `evidence seal`: stores evidence about one person so that erasing the person makes it unreadable.

use std::path::PathBuf;

use tokio_stream::iter;

use super::{
    output::{self, Exit, Failure, Format, Result, say},
    source::connect,
    submit::{Emitter, retrying},
};
use crate::event::{
    digest::sha256,
    proto::{Person, SealEvidenceRequest, SealedDescription, seal_evidence_request::Part},
};

/// Bytes in one message.
const CHUNK: usize = 64 * 1024;

/// What is sealed, and for whom.
#[derive(Debug, clap::Args)]
pub struct SealArgs {
    /// The file
    file: PathBuf,
    /// Issuer of the person whom it is about
    #[arg(long, value_name = "URI")]
    about_issuer: String,
    /// That issuer's name for the person
    #[arg(long, value_name = "NAME")]
    about_subject: String,
    /// Media type of the file (RFC 6838)
    #[arg(long, default_value = "application/octet-stream")]
    media_type: String,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = super::source::URL_DEFAULT)]
    url: String,
}

/// Runs the command.
pub async fn run(args: SealArgs, format: Format) -> Result {
    let name = args.file.display();
    let content = tokio::fs::read(&args.file).await;
    let content = content.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let description = SealedDescription {
        about: Some(Person {
            issuer: args.about_issuer.clone(),
            subject: args.about_subject.clone(),
            name: String::new(),
        }),
        sha256: sha256(&content).0.to_vec(),
        length: content.len() as u64,
        media_type: args.media_type.clone(),
    };
    let emitter = Emitter::new(connect(Some(&args.url)).await?);
    let answer = retrying(|| {
        let chunks: Vec<_> = content.chunks(CHUNK).map(|chunk| Part::Chunk(chunk.to_vec())).collect();
        let parts = std::iter::once(Part::Description(description.clone())).chain(chunks);
        let messages: Vec<_> = parts.map(|part| SealEvidenceRequest { part: Some(part) }).collect();
        let mut emitter = emitter.clone();
        async move { emitter.seal_evidence(iter(messages)).await }
    });
    let sealed = answer.await?.evidence.unwrap_or_default();
    let (sha256, about) = (hex::encode(&sealed.sha256), hex::encode(&sealed.subject_id));
    match format {
        Format::Json => output::json(&serde_json::json!({
            "sha256": sha256, "about": about, "length": sealed.length, "media_type": sealed.media_type,
        })),
        Format::Text => {
            say!("Sealed {name} and stored it. An explanation refers to it by these two lines:");
            say!("  sha256: {sha256}");
            say!("  about: {about}");
            say!("Erasing that person makes it unreadable for good.");
        }
    }
    Ok(Exit::Ok)
}
