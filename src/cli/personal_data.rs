//! Warnings about obvious personal data in files, before they are kept for years.

use std::{fs::File, io::Read};

use super::{output::Format, promotion_file::Upload};
use crate::{
    event::promotion::Problem,
    evidence::personal::{SAMPLE_LEN, scan},
};

/// What is obvious in files that are about to be uploaded, at every field that refers to them. A file that cannot be read
/// has no warnings: sending it says why.
pub fn warnings<'a>(uploads: impl IntoIterator<Item = &'a Upload>) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for upload in uploads {
        let mut sample = Vec::new();
        let read =
            File::open(&upload.path).and_then(|file| file.take(SAMPLE_LEN as u64).read_to_end(&mut sample));
        if read.is_err() {
            continue;
        }
        for finding in scan(&upload.media_type, &sample) {
            let warning = |field: &String| Problem { field: field.clone(), description: finding.to_string() };
            warnings.extend(upload.fields.iter().map(warning));
        }
    }
    warnings.sort();
    warnings.dedup();
    warnings
}

/// Says them to a person, on standard error.
pub fn print(warnings: &[Problem], format: Format) {
    if warnings.is_empty() || format == Format::Json {
        return;
    }
    eprintln!(
        "warning: this looks like personal data; evidence is kept for years, and nobody can erase it there:"
    );
    for warning in warnings {
        eprintln!("  {:<44} {}", warning.field, warning.description);
    }
}
