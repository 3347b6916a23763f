//! The inputs that an MLflow model declares in its own bytes: a plain `MLmodel` file, or a tar or tar.gz of a
//! model directory that holds one.
//!
//! This reads the signature only. A model of any other format, or one without a signature, extracts nothing:
//! that is no error, its profile is just less well known.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read},
};

use flate2::read::GzDecoder;
use serde::Deserialize;

/// Longest `MLmodel` file, bytes.
const MLMODEL_LEN_MAX: u64 = 1024 * 1024;
/// Most bytes that are unpacked in search of it. What lies further in extracts nothing.
const UNPACKED_MAX: u64 = 256 * 1024 * 1024;
/// Most entries of an archive that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// MLflow's name of its type, for instance `double`.
    pub kind: String,
}

/// Why an artefact is refused rather than not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// It is not clear which of them a server would load.
    #[error("holds more than one MLmodel file ({0:?}); which one is the model is not clear")]
    Ambiguous(Vec<String>),
    /// Two inputs of one name.
    #[error("its signature names the input {0:?} twice")]
    Twice(String),
}

/// The inputs of the artefact's signature; `None` if there is no signature that can be read.
pub fn signature(artifact: &[u8]) -> Result<Option<Vec<Column>>, Error> {
    let text = if artifact.starts_with(&[0x1f, 0x8b]) {
        in_archive(GzDecoder::new(artifact).take(UNPACKED_MAX))?
    } else if artifact.get(257..262) == Some(b"ustar") {
        in_archive(Cursor::new(artifact))?
    } else if artifact.len() as u64 <= MLMODEL_LEN_MAX {
        std::str::from_utf8(artifact).ok().map(str::to_owned)
    } else {
        None
    };
    let Some(columns) = text.as_deref().and_then(columns) else { return Ok(None) };
    let mut seen = BTreeSet::new();
    if let Some(twice) = columns.iter().find(|column| !seen.insert(&column.name)) {
        return Err(Error::Twice(twice.name.clone()));
    }
    Ok(Some(columns))
}

/// The text of the `MLmodel` file nearest to the archive's root.
fn in_archive(bytes: impl Read) -> Result<Option<String>, Error> {
    let mut found: Vec<(usize, String, String)> = Vec::new();
    let mut archive = tar::Archive::new(bytes);
    let Ok(entries) = archive.entries() else { return Ok(None) };
    // An archive that breaks off, or is longer than the limit, ends here: an MLmodel that a loader might find
    // behind that point must not be contradicted by one before it.
    for (i, entry) in entries.enumerate() {
        let Ok(entry) = entry else { return Ok(None) };
        if i >= ENTRIES_MAX {
            return Ok(None);
        }
        let path = entry.path_bytes().into_owned();
        let Ok(path) = String::from_utf8(path) else { continue };
        let path = path.trim_start_matches("./").to_owned();
        if path.rsplit('/').next() != Some("MLmodel") || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut text = String::new();
        if entry.take(MLMODEL_LEN_MAX + 1).read_to_string(&mut text).is_err()
            || text.len() as u64 > MLMODEL_LEN_MAX
        {
            return Ok(None);
        }
        found.push((path.matches('/').count(), path, text));
    }
    let Some(depth) = found.iter().map(|(depth, ..)| *depth).min() else { return Ok(None) };
    found.retain(|(at, ..)| *at == depth);
    match found.len() {
        1 => Ok(found.pop().map(|(_, _, text)| text)),
        _ => Err(Error::Ambiguous(found.into_iter().map(|(_, path, _)| path).collect())),
    }
}

#[derive(Deserialize)]
struct MlModel {
    signature: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    /// JSON inside YAML.
    inputs: Option<String>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    #[serde(rename = "type")]
    kind: serde_json::Value,
}

fn columns(text: &str) -> Option<Vec<Column>> {
    let options = serde_saphyr::options! { with_snippet: false };
    let model: MlModel = serde_saphyr::from_str_with_options(text, options).ok()?;
    let inputs: Vec<Input> = serde_json::from_str(&model.signature?.inputs?).ok()?;
    let column = |input: Input| {
        let kind = input.kind.as_str().map_or_else(|| input.kind.to_string(), str::to_owned);
        Column { name: input.name, kind }
    };
    Some(inputs.into_iter().map(column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const MLMODEL: &str = r#"artifact_path: model
flavors:
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.9.1}
signature:
  inputs: '[{"type": "long", "name": "duration_in_month", "required": true}, {"type": "double",
    "name": "credit_amount", "required": true}]'
  outputs: '[{"type": "double", "required": true}]'
  params: null
"#;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn names(artifact: &[u8]) -> Vec<String> {
        let columns = signature(artifact).unwrap().unwrap_or_default();
        columns.into_iter().map(|column| format!("{} {}", column.name, column.kind)).collect()
    }

    #[test]
    fn a_signature_is_read_from_the_file_and_from_archives_of_it() {
        let expected = ["duration_in_month long", "credit_amount double"];
        assert_eq!(names(MLMODEL.as_bytes()), expected);
        let tar = archive(&[("./model/model.pkl", "x"), ("./model/MLmodel", MLMODEL)]);
        assert_eq!(names(&tar), expected);
        assert_eq!(names(&gzip(&tar)), expected);
    }

    #[test]
    fn what_has_no_signature_extracts_nothing() {
        for artifact in
            [&b""[..], b"{\"format\": \"german-credit-pd/scorecard/1\"}", b"\x1f\x8b broken", b"\xff\xfe"]
        {
            assert_eq!(signature(artifact), Ok(None));
        }
        let tensor = MLMODEL.replace("\"type\": \"long\", \"name\"", "\"type\": \"tensor\", \"nom\"");
        assert_eq!(signature(tensor.as_bytes()), Ok(None));
        let cut = gzip(&archive(&[("MLmodel", MLMODEL)]));
        assert_eq!(signature(&cut[..cut.len() / 2]), Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn broken_archives_never_panic(cut in 0..2048usize, at in 0..2048usize, flip: u8) {
            let tar = archive(&[("model/MLmodel", MLMODEL), ("model/x", "y")]);
            for mut bytes in [gzip(&tar), tar] {
                bytes.truncate(bytes.len().saturating_sub(cut));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= flip;
                }
                let _ = signature(&bytes);
            }
        }
    }

    #[test]
    fn the_model_nearest_to_the_root_counts_and_two_are_refused() {
        let other = MLMODEL.replace("credit_amount", "income");
        let nested = archive(&[("steps/inner/MLmodel", &other), ("MLmodel", MLMODEL)]);
        assert_eq!(names(&nested), ["duration_in_month long", "credit_amount double"]);
        let two = archive(&[("MLmodel", MLMODEL), ("./MLmodel", &other)]);
        assert_eq!(signature(&two), Err(Error::Ambiguous(vec!["MLmodel".into(), "MLmodel".into()])));
        let twice = MLMODEL.replace("credit_amount", "duration_in_month");
        assert_eq!(signature(twice.as_bytes()), Err(Error::Twice("duration_in_month".into())));
    }
}
