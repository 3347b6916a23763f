//! An inventory as CSV: a row for each model and slot.

use std::path::Path;

use super::model::Model;
use crate::{
    cli::{
        output::{Failure, Result},
        when,
    },
    event::{
        Digest,
        proto::{KnownFact, RegistryVersion, Slot},
    },
    gate::question::role,
};

/// Columns that have a meaning; every other one is a known fact by its name.
pub const COLUMNS: [&str; 10] = [
    "model",
    "environment",
    "region",
    "role",
    "artifact_sha256",
    "registry_uri",
    "name",
    "version",
    "missing",
    "sunset",
];

/// Reads an inventory; all problems at once, by row.
///
/// # Errors
/// Exit code 2.
pub fn read(path: &Path) -> Result<Vec<Model>> {
    let text = std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let name = path.file_name().map(|name| name.to_string_lossy().replace(char::is_whitespace, "_"));
    models(&text, &format!("csv:{}", name.unwrap_or_default()))
        .map_err(|problems| Failure::usage(format!("{}:\n  {}", path.display(), problems.join("\n  "))))
}

fn models(text: &[u8], source: &str) -> std::result::Result<Vec<Model>, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let header = reader.headers().map_err(|error| vec![error.to_string()])?.clone();
    let lacking: Vec<_> =
        COLUMNS.iter().take(2).filter(|name| !header.iter().any(|it| it == **name)).collect();
    if !lacking.is_empty() {
        return Err(vec![format!("has no column {lacking:?}; the first line names the columns")]);
    }
    let (mut models, mut problems) = (Vec::new(), Vec::new());
    for (i, row) in reader.records().enumerate() {
        let line = i + 2;
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                problems.push(format!("line {line}: {error}"));
                continue;
            }
        };
        match model(&header, &row, source) {
            Ok(model) => models.push(model),
            Err(found) => problems.extend(found.into_iter().map(|it| format!("line {line}: {it}"))),
        }
    }
    if problems.is_empty() { Ok(models) } else { Err(problems) }
}

fn model(
    header: &csv::StringRecord,
    row: &csv::StringRecord,
    source: &str,
) -> std::result::Result<Model, Vec<String>> {
    let cell = |name: &str| {
        let found = header.iter().zip(row).find(|(column, _)| *column == name);
        found.map(|(_, cell)| cell).unwrap_or_default().to_owned()
    };
    let mut problems = Vec::new();
    let role_name = Some(cell("role")).filter(|name| !name.is_empty()).unwrap_or_else(|| "champion".into());
    let role = role(&role_name);
    if role.is_none() {
        problems.push(format!("role {role_name:?} is none of champion, challenger, shadow, canary"));
    }
    let digest = cell("artifact_sha256");
    let artifact = Digest::from_hex(digest.strip_prefix("sha256:").unwrap_or(&digest));
    if !digest.is_empty() && artifact.is_none() {
        problems.push(format!("artifact_sha256 {digest:?} is not 64 hexadecimal digits"));
    }
    let sunset = Some(cell("sunset")).filter(|text| !text.is_empty());
    let sunset = match sunset.map(|text| when::moment(&text, &jiff::tz::TimeZone::UTC)).transpose() {
        Ok(sunset) => sunset,
        Err(why) => {
            problems.push(format!("sunset: {why}"));
            None
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let missing: Vec<_> =
        cell("missing").split([';', ' ']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let version =
        RegistryVersion { registry_uri: cell("registry_uri"), name: cell("name"), version: cell("version") };
    let facts =
        header.iter().zip(row).filter(|(column, value)| !COLUMNS.contains(column) && !value.is_empty());
    let known = facts
        .map(|(fact, value)| KnownFact { fact: fact.into(), value: value.into(), source: source.into() })
        .collect();
    Ok(Model {
        slot: Slot {
            model: cell("model"),
            environment: cell("environment"),
            region: cell("region"),
            role: role.unwrap_or_default().into(),
        },
        artifact,
        version: Some(version).filter(|version| !version.version.is_empty()),
        known,
        missing: match missing.is_empty() {
            true => Model::missing_by_default(artifact.as_ref()),
            false => missing,
        },
        sunset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_model_and_its_other_columns_are_facts() {
        let text = format!(
            "model,environment,artifact_sha256,registry_uri,name,version,owner,sunset\ncredit,production,{},mlflow://r,credit,12,Retail,2027-06-30\nfraud,production,,,,,,\n",
            "ab".repeat(32)
        );
        let found = models(text.as_bytes(), "csv:models.csv").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].missing.len(), 5, "everything but the model version");
        assert_eq!((found[0].known[0].fact.as_str(), found[0].known[0].value.as_str()), ("owner", "Retail"));
        assert!(found[0].sunset.is_some());
        assert_eq!((found[1].artifact, &found[1].version, found[1].missing.len()), (None, &None, 6));
        assert_eq!(found[0].request_id(7), found[0].clone().request_id(7));
        assert_ne!(found[0].request_id(7), found[0].request_id(8));
    }

    #[test]
    fn every_problem_is_named_with_its_line() {
        let text = "model,environment,role,artifact_sha256\na,p,boss,12\nb,p,champion,\nc,p,captain,\n";
        let problems = models(text.as_bytes(), "csv:x").unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[2].starts_with("line 4"), "{problems:?}");
        assert!(models(b"name\nx\n", "csv:x").is_err());
    }
}
