//! The file: all members in the order of their names, under its own name only when it is whole.

use std::{
    collections::BTreeMap,
    fs,
    io::BufWriter,
    path::{Path, PathBuf},
};

use crate::{
    bundle::{container::Writer, names},
    cli::output::{Exit, Failure, Result},
    event::Digest,
};

use super::{evidence::Evidence, gather::Gathered, pages::Drawn};

/// Where a member's bytes are.
enum Bytes<'a> {
    Here(Vec<u8>),
    Borrowed(&'a [u8]),
    File(&'a PathBuf),
}

/// Writes the bundle.
///
/// # Errors
/// If it cannot be written; nothing is left then.
pub fn write(gathered: &Gathered, evidence: &Evidence, drawn: &Drawn, output: &Path) -> Result<()> {
    let mut members: BTreeMap<String, Bytes<'_>> = BTreeMap::new();
    members.insert(names::MANIFEST.into(), Bytes::Here(drawn.manifest.to_bytes()));
    members.insert(names::CHECKPOINT.into(), Bytes::Borrowed(gathered.note.as_bytes()));
    members.insert(names::HEADERS.into(), Bytes::Here(gathered.headers.concat()));
    for (seq, entry) in &gathered.entries {
        members.insert(names::record(*seq), Bytes::Borrowed(entry.record()));
        members.insert(names::receipt(*seq), Bytes::Borrowed(entry.receipt.as_bytes()));
        for item in entry.opened() {
            let subject = Digest::from_slice(&item.subject_id).unwrap_or_default();
            members.insert(names::claims(*seq, &subject), Bytes::Borrowed(&item.claims));
        }
    }
    for (size, stamped) in gathered.stamped.iter().filter(|(_, stamped)| !stamped.timestamps.is_empty()) {
        members.insert(names::stamped(*size), Bytes::Borrowed(stamped.checkpoint.as_bytes()));
        for (i, stamp) in (0..).zip(&stamped.timestamps) {
            members.insert(names::stamp(*size, i), Bytes::Borrowed(stamp));
        }
    }
    members.extend(evidence.files.iter().map(|(name, file)| (name.clone(), Bytes::File(file))));
    members.extend(drawn.files.iter().map(|(name, bytes)| (name.clone(), Bytes::Borrowed(bytes.as_slice()))));
    let unfinished = output.with_extension("unfinished");
    let failed = |error: String| Failure::new(Exit::Internal, format!("{}: {error}", output.display()));
    let written = pack(&members, &unfinished)
        .and_then(|()| fs::rename(&unfinished, output).map_err(|error| error.to_string()));
    if written.is_err() {
        // Perhaps it was never made.
        let _ = fs::remove_file(&unfinished);
    }
    written.map_err(failed)
}

fn pack(members: &BTreeMap<String, Bytes<'_>>, path: &Path) -> std::result::Result<(), String> {
    let file = fs::File::create(path).map_err(|error| error.to_string())?;
    let mut writer = Writer::new(BufWriter::new(file));
    for (name, bytes) in members {
        let added = match bytes {
            Bytes::Here(bytes) => writer.add(name, bytes),
            Bytes::Borrowed(bytes) => writer.add(name, bytes),
            Bytes::File(file) => {
                let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
                writer.add(name, &bytes)
            }
        };
        added.map_err(|error| error.to_string())?;
    }
    let file = writer.finish().map_err(|error| error.to_string())?;
    file.into_inner().map_err(|error| error.to_string())?.sync_all().map_err(|error| error.to_string())
}
