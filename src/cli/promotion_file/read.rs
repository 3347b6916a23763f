//! Reads a promotion file and everything that it names.

use std::{fs::File, io::Read, path::Path};

use sha2::{Digest as _, Sha256};

use super::{
    convert::{Converted, Files, Hashed, convert},
    shape::Promotion,
};
use crate::{
    cli::output::{Failure, Result},
    event::Digest,
};

const CHUNK: usize = 1 << 20;
/// Longest promotion file, form, assertion or set of answers, bytes.
const TEXT_LEN_MAX: u64 = 4 << 20;

/// Reads a promotion file and hashes the files that it names. Its problems are in the answer, all of them.
///
/// # Errors
/// Exit code 2 with file, line and column if the file cannot be read as YAML of this shape.
pub fn read(path: &Path) -> Result<Converted> {
    let name = path.display();
    let text = text_of(path).map_err(|why| Failure::usage(format!("{name}: {why}")))?;
    let promotion = parse(&text).map_err(|(place, why)| Failure::usage(format!("{name}{place}: {why}")))?;
    let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut files = Files { dir, ..Files::default() };
    for written in promotion.hashed() {
        if !files.hashed.contains_key(written) {
            let hashed = hash_file(&files.dir.join(written)).map_err(|error| io_problem(&error));
            files.hashed.insert(written.to_owned(), hashed);
        }
    }
    for written in promotion.texts() {
        let text = text_of(&files.dir.join(written));
        files.texts.insert(written.to_owned(), text);
    }
    Ok(convert(&promotion, &files))
}

/// The file's shape, or place (`:line:column`) and reason.
pub(super) fn parse(text: &str) -> std::result::Result<Promotion, (String, String)> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column()));
        let whole = error.without_snippet().to_string();
        (place.unwrap_or_default(), whole)
    })
}

/// Hashes a file, however large, in one buffer.
///
/// # Errors
/// Of the file system.
pub fn hash_file(path: &Path) -> std::io::Result<Hashed> {
    let mut file = File::open(path)?;
    let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Hashed { sha256: Digest(hasher.finalize().into()), length });
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

fn text_of(path: &Path) -> std::result::Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(TEXT_LEN_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(len) if len as u64 > TEXT_LEN_MAX => Err(format!("is longer than {} MiB", TEXT_LEN_MAX >> 20)),
        Ok(_) => Ok(text),
        Err(error) => Err(io_problem(&error)),
    }
}

fn io_problem(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::InvalidData => "is not text (UTF-8)".into(),
        _ => error.to_string(),
    }
}
