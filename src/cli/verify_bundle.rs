//! `verify bundle.zip`: an examiner bundle, offline.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use crate::{
    bundle::{
        verify::{Bundle, Error, Known, verify},
        words,
    },
    event::Digest,
    proof::{cosignature::WitnessKey, timestamp::Root},
};

use super::{
    log_key,
    output::{self, Exit, Failure, Format, Result, coloured, say},
};

/// What the auditor knows from elsewhere, as options say it.
///
/// # Errors
/// Exit code 2 for an option that cannot be read.
pub fn known(
    ledger_id: Option<&str>,
    key: Option<&str>,
    witnesses: &[String],
    roots: &[PathBuf],
) -> Result<Known> {
    let ledger_id = ledger_id.map(|text| {
        Digest::from_hex(text)
            .ok_or_else(|| Failure::usage(format!("--ledger-id {text} is not 64 hexadecimal digits")))
    });
    let witnesses = witnesses.iter().map(|witness| WitnessKey::parse(witness));
    let witnesses = witnesses.collect::<std::result::Result<Vec<_>, _>>();
    Ok(Known {
        ledger_id: ledger_id.transpose()?,
        key: key.map(log_key::given).transpose()?,
        witnesses: witnesses.map_err(|error| Failure::usage(format!("--witness: {error}")))?,
        roots: roots.iter().map(|path| root(path)).collect::<Result<_>>()?,
    })
}

/// Reads the root of a time-stamp authority.
///
/// # Errors
/// Exit code 2 if it is none.
pub fn root(path: &Path) -> Result<Root> {
    let failed = |error: String| Failure::usage(format!("--tsa {}: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    Root::from_pem(&pem).map_err(|error| failed(error.to_string()))
}

/// Reads and checks a bundle.
///
/// # Errors
/// Exit code 2 if it cannot be opened, 1 if it does not hold.
pub fn open(path: &Path, known: &Known) -> Result<Bundle> {
    checked(path, known)?
        .map_err(|error| Failure::new(Exit::No, format!("the bundle does not hold: {error}")))
}

fn checked(path: &Path, known: &Known) -> Result<std::result::Result<Bundle, Error>> {
    let file = File::open(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(verify(&mut BufReader::new(file), known))
}

/// Runs the command.
pub fn run(path: &Path, known: &Known, format: Format) -> Result {
    let found = checked(path, known)?;
    match (&found, format) {
        (Ok(bundle), Format::Json) => output::json(&serde_json::json!({
            "verified": true, "origin": bundle.key.origin, "ledger_id": bundle.manifest.ledger_id, "log_key": bundle.key.vkey(),
            "size": bundle.checkpoint.size, "root": bundle.checkpoint.root.to_string(), "checked": bundle.checked,
            "promotions": bundle.manifest.promotions, "withheld": bundle.manifest.withheld, "period": bundle.manifest.period,
            "stamps": bundle.stamps, "seen_by": bundle.seen.iter().map(|seen| serde_json::json!({ "witness": seen.witness, "seconds": seen.seconds })).collect::<Vec<_>>(),
        })),
        (Err(error), Format::Json) => output::json(&serde_json::json!({
            "verified": false, "member": error.member, "what": error.what,
        })),
        (Ok(bundle), Format::Text) => {
            say!("{}", coloured("32", "The bundle holds."));
            words::report(bundle, known).iter().for_each(|line| say!("{line}"));
        }
        (Err(error), Format::Text) => say!("{} {error}", coloured("31", "The bundle does not hold:")),
    }
    Ok(if found.is_ok() { Exit::Ok } else { Exit::No })
}
