//! Evidence written to files: the exact bytes that were shown, each checked against its digest.

use std::{
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt;

use crate::event::{
    Digest, content,
    proto::{EvidenceRef, Promoted, ReadEvidenceRequest},
};

use super::{
    output::{Exit, Failure, Result, coloured},
    source::Source,
};

/// A piece of evidence, and whether its bytes are what the event says.
#[derive(Debug, serde::Serialize)]
pub struct Written {
    /// Path of the field in the event.
    field: String,
    /// Stated in the event.
    sha256: String,
    /// Where the bytes are now.
    file: Option<PathBuf>,
    /// Why they are not there.
    problem: Option<String>,
    /// What was done with bytes that are sealed for a person.
    sealed: Option<String>,
}

impl Written {
    /// Whether the bytes are there and have their digest.
    pub fn is_good(&self) -> bool {
        self.problem.is_none()
    }

    /// Where the bytes are.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Why the bytes are not there, in words.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.problem, &self.file) {
            (Some(problem), _) => write!(f, "  {} {:<32} {problem}", coloured("31", "bad"), self.field),
            (None, file) => {
                let file = file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
                write!(f, "  {}  {:<32} {file}", coloured("32", "ok"), self.field)?;
                self.sealed.as_ref().map_or(Ok(()), |sealed| write!(f, "\n      {:<32} {sealed}", ""))
            }
        }
    }
}

/// Writes every piece of a promotion's evidence into a directory. What is sealed for a person is checked as it is
/// stored, and opened if that is asked for and possible.
///
/// # Errors
/// If the directory cannot be written. Evidence that is absent or changed is in the answer.
pub async fn write_all(
    source: &Source,
    promoted: &Promoted,
    dir: &Path,
    unseal: bool,
) -> Result<Vec<Written>> {
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(failed)?;
    let mut written = Vec::new();
    for (field, reference) in content::evidence(promoted) {
        let file = dir.join(file_name(&field, &reference.media_type));
        written.push(write(source, field.into_owned(), reference, file, unseal).await.map_err(failed)?);
    }
    Ok(written)
}

/// Writes one piece of evidence, if its bytes have their digest. What is sealed for a person is opened if `unseal` and
/// the person is known; otherwise the sealed bytes are written beside the name that was asked for.
///
/// # Errors
/// If the file cannot be written.
pub async fn write(
    source: &Source,
    field: String,
    reference: &EvidenceRef,
    mut file: PathBuf,
    unseal: bool,
) -> std::io::Result<Written> {
    let temporary = file.with_file_name(format!(".{}.part", hex::encode(&reference.sha256)));
    let mut sealed = None;
    let problem = match fetch(source, reference, &temporary).await {
        Ok(()) => {
            if !reference.subject_id.is_empty() {
                let opened =
                    if unseal { open(source, reference, &temporary).await } else { Err(SEALED.into()) };
                sealed = Some(opened.err().unwrap_or_else(|| OPENED.into()));
                if sealed.as_deref() != Some(OPENED) {
                    file.as_mut_os_string().push(".sealed");
                }
            }
            fs::rename(&temporary, &file)?;
            None
        }
        Err(problem) => {
            // What does not have its digest must not lie about as if it had.
            let _ = fs::remove_file(&temporary);
            Some(problem)
        }
    };
    let file = problem.is_none().then_some(file);
    Ok(Written { field, sha256: hex::encode(&reference.sha256), file, problem, sealed })
}

const OPENED: &str = "opened; the digest in the event is that of the sealed bytes, which hold";
const SEALED: &str = "sealed for a person; --unseal opens it";

/// Replaces sealed bytes by their content; or says why not, and leaves them.
async fn open(source: &Source, reference: &EvidenceRef, path: &Path) -> std::result::Result<(), String> {
    let request = ReadEvidenceRequest { sha256: reference.sha256.clone(), unseal: true };
    let mut stream = source.read_evidence(request).await.map_err(|status| status.message().to_owned())?;
    let mut content = Vec::new();
    while let Some(message) = stream.next().await {
        content.extend(message.map_err(|status| status.message().to_owned())?.chunk);
    }
    fs::write(path, content).map_err(|error| error.to_string())
}

async fn fetch(source: &Source, reference: &EvidenceRef, path: &Path) -> std::result::Result<(), String> {
    let request = ReadEvidenceRequest { sha256: reference.sha256.clone(), unseal: false };
    let mut stream = source.read_evidence(request).await.map_err(|status| status.message().to_owned())?;
    let mut file = fs::File::create(path).map_err(|error| error.to_string())?;
    let (mut hasher, mut length) = (Sha256::new(), 0);
    while let Some(message) = stream.next().await {
        let chunk = message.map_err(|status| status.message().to_owned())?.chunk;
        hasher.update(&chunk);
        length += chunk.len() as u64;
        file.write_all(&chunk).map_err(|error| error.to_string())?;
    }
    let found = Digest(hasher.finalize().into());
    if found.0 != reference.sha256.as_slice() || length != reference.length {
        return Err(format!(
            "the store's bytes have the SHA-256 {found} and {length} bytes: they were changed"
        ));
    }
    Ok(())
}

/// `explanations[0].content` of a page -> `explanations-0-content.html`.
fn file_name(field: &str, media_type: &str) -> String {
    let name = field.replace(['[', '.'], "-").replace(']', "");
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let extension = match essence {
        "text/html" => "html",
        "text/plain" => "txt",
        "text/csv" => "csv",
        "text/markdown" => "md",
        "application/json" => "json",
        "application/pdf" => "pdf",
        "application/yaml" | "text/yaml" => "yaml",
        "image/png" => "png",
        "image/svg+xml" => "svg",
        "application/sql" | "text/x-sql" => "sql",
        _ => "bin",
    };
    format!("{name}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_come_from_the_field_and_never_leave_the_directory() {
        assert_eq!(
            file_name("explanations[0].content", "text/html; charset=utf-8"),
            "explanations-0-content.html"
        );
        assert_eq!(file_name("profile", "application/json"), "profile.json");
        assert_eq!(file_name("model_version.copy", "../x/y"), "model_version-copy.bin");
    }
}
