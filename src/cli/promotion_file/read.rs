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
        // The place is in front already.
        let why = whole.split(" at line ").next().unwrap_or_default().to_owned();
        (place.unwrap_or_default(), why)
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
        std::io::ErrorKind::IsADirectory => "is a directory; name the file in it".into(),
        std::io::ErrorKind::InvalidData => "is not text (UTF-8)".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::digest::sha256;

    /// The parts of a promotion file that the tests change.
    const YAML: &str = "
slot: {model: m, environment: production, role: champion}
model_version: {artifact: model.json, keep_copy: true, version: 13}
challenger_comparison:
  comparators: [{role: champion, artifact_sha256: ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB}]
  report: {file: report.html}
  metrics: {sha256: cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd, media_type: application/json}
  computed_on: dataset
approval_request: {asked_at: 2026-11-14T08:00:00Z, due_at: 2026-11-14T10:00:00+01:00, form: {file: form.json}}
approvals: [{decided_at: 2026-11-14T09:12:31Z, assertion: a.jwt, answers: answers.json}]
explanations: [{file: report.html, explains: model_version, computed_on: dataset, background: data.csv}]
dataset: {file: data.csv, strength: content, definition: query.yaml}
profile: profile.json
";

    fn files() -> Files {
        let bytes = |name: &str| (name.to_owned(), Ok(Hashed { sha256: sha256(name.as_bytes()), length: 5 }));
        let names = ["model.json", "report.html", "data.csv", "query.yaml", "profile.json", "form.json"];
        let texts = [
            ("form.json", r#"{"title": "F", "questions": [{"id": "q", "text": "Why?", "required": true}]}"#),
            ("a.jwt", "h.c.s\n"),
            ("answers.json", r#"{"q": "because"}"#),
        ];
        Files {
            dir: "base".into(),
            hashed: names.iter().map(|name| bytes(name)).collect(),
            texts: texts.iter().map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned()))).collect(),
        }
    }

    fn converted(yaml: &str, files: &Files) -> Converted {
        convert(&parse(yaml).unwrap(), files)
    }

    fn problems(yaml: &str, files: &Files) -> Vec<(String, String)> {
        converted(yaml, files)
            .problems
            .into_iter()
            .map(|problem| (problem.field, problem.description))
            .collect()
    }

    #[test]
    fn words_paths_and_digests_become_digests() {
        let Converted { draft, problems, .. } = converted(YAML, &files());
        assert_eq!(problems, []);
        let (artifact, data) = (sha256(b"model.json").0.to_vec(), sha256(b"data.csv").0.to_vec());
        let comparison = draft.challenger_comparison.unwrap();
        assert_eq!(draft.model_version.unwrap().artifact_sha256, artifact);
        assert_eq!(comparison.computed_on, data);
        assert_eq!(comparison.comparators[0].artifact_sha256, [0xab; 32]);
        assert_eq!(comparison.metrics.unwrap().sha256, [0xcd; 32]);
        assert_eq!(draft.explanations[0].explains, artifact);
        assert_eq!(draft.explanations[0].background_sha256, data);
        let request = draft.approval_request.unwrap();
        assert_eq!(
            (request.asked_at, request.due_at - request.asked_at),
            (1_794_643_200_000_000, 3_600_000_000)
        );
        assert!(request.form.unwrap().questions[0].required);
        assert_eq!(draft.approvals[0].answers[0].text, "because");
        assert_eq!(draft.approvals[0].assertion, "h.c.s");
    }

    #[test]
    fn each_digest_is_uploaded_once_and_a_background_never() {
        let uploads = converted(YAML, &files()).uploads;
        let report = uploads.iter().find(|upload| upload.path == Path::new("base/report.html")).unwrap();
        assert_eq!(report.fields, ["challenger_comparison.report", "explanations[0].content"]);
        assert_eq!(report.media_type, "text/html");
        assert_eq!(uploads.len(), 5, "{uploads:?}");
        assert!(!uploads.iter().any(|upload| upload.path == Path::new("base/data.csv")));
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_field() {
        let mut files = files();
        files.hashed.insert("data.csv".into(), Err("there is no such file".into()));
        files.texts.insert("answers.json".into(), Ok("[1]".into()));
        let yaml =
            YAML.replace("role: champion}\n", "role: chief}\n").replace("2026-11-14T08:00:00Z", "14.11.2026");
        let yaml = yaml.replace("explains: model_version", "explains: this");
        let found = problems(&yaml, &files);
        let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        let expected = [
            "approval_request.asked_at",
            "approvals[0].answers",
            "dataset.digest",
            "explanations[0].background_sha256",
            "explanations[0].explains",
            "slot.role",
        ];
        assert_eq!(fields, expected, "{found:?}");
        assert!(found[2].1.contains("data.csv"), "{found:?}");
    }

    #[test]
    fn what_follows_from_a_missing_file_is_not_a_second_problem() {
        let mut files = files();
        files.hashed.insert("data.csv".into(), Err("there is no such file".into()));
        let converted = converted(YAML, &files);
        assert!(converted.explains("challenger_comparison.computed_on"));
        assert!(converted.explains("dataset.digest"));
        assert!(!converted.explains("dataset.snapshot_id"));
        assert!(!converted.explains("challenger_comparison.report"));
    }

    #[test]
    fn a_short_digest_is_refused() {
        let yaml =
            YAML.replace("artifact: model.json", "artifact_sha256: abcd").replace("keep_copy: true, ", "");
        let found = problems(&yaml, &files());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "model_version.artifact_sha256");
    }

    #[test]
    fn an_unknown_key_is_an_error_with_line_and_column() {
        let (place, why) = parse("slot:\n  model: m\n  enviroment: production\n").unwrap_err();
        assert_eq!(place, ":3:3");
        assert!(why.contains("enviroment"), "{why}");
        assert!(parse("slot: [").is_err());
    }

    #[test]
    fn an_empty_file_converts_and_the_rules_name_what_is_missing() {
        let converted = converted("slot: {}", &Files::default());
        assert_eq!(converted.problems, []);
        assert!(converted.draft.dataset.is_none());
    }
}
