//! What the pages for people say can be done: their commands exist with these flags, their files are there, their links lead
//! somewhere, and the configuration file names every setting.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use promotion_ledger::config::{Config, Error};
use serde_json::{Value, json};

use crate::harness::{Directory, LogUnderTest, run};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All pages, by their paths from the root.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut open: Vec<_> =
        ["", "benches", "docker", "examples", "python", "src/event"].map(PathBuf::from).into();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(root().join(&dir)).expect("a directory") {
            let path = dir.join(entry.expect("an entry").file_name());
            if dir.starts_with("examples") && root().join(&path).is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(root().join(&path)).expect("text");
                pages.insert(path.display().to_string(), text);
            }
        }
    }
    assert!(
        pages.contains_key("README.md") && pages.contains_key("examples/kubernetes/README.md"),
        "{pages:?}"
    );
    pages
}

/// Words as a shell splits them; quotes hold words together, `#` after white space begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if word.is_empty() => break,
            (None, c) if c.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|it| !it.is_empty()))
            }
            (_, c) => word.push(c),
        }
    }
    words.extend(Some(word).filter(|it| !it.is_empty()));
    words
}

/// The commands in a page's shell blocks, and what stands between backticks and is a command. The page of formats has none.
fn commands(path: &str, page: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    if path.ends_with("FORMAT.md") {
        return found;
    }
    for (i, part) in page.split("```").enumerate() {
        match (i % 2, part.strip_prefix("sh\n")) {
            (1, Some(block)) => found.extend(block.replace("\\\n", " ").lines().map(words)),
            (0, _) => {
                found.extend(part.split('`').skip(1).step_by(2).map(|code| words(&code.replace('\n', " "))))
            }
            _ => {}
        }
    }
    found
}

/// The help of a command, by its name or names.
fn help(command: &[&str]) -> String {
    let output = run(&[command, &["--help"]].concat());
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn names(help: &str, section: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != section).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What the shipped manifests run.
fn manifests() -> Vec<(String, Vec<String>)> {
    fn run_by(value: &Value, found: &mut Vec<Vec<String>>) {
        match value {
            Value::Object(members) => members.values().for_each(|value| run_by(value, found)),
            Value::Array(items) => {
                let words: Vec<_> = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                if let Some(at) = words.iter().position(|word| word == "gate") {
                    found.push([&["promotion-ledger".to_owned()][..], &words[at..]].concat());
                }
                items.iter().for_each(|value| run_by(value, found));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    for file in ["webhook.yaml", "deployment.yaml", "kserve.yaml"] {
        let path = format!("examples/kubernetes/{file}");
        let text = fs::read_to_string(root().join(&path)).expect("a manifest");
        let mut found = Vec::new();
        for document in text.split("\n---\n") {
            run_by(&serde_saphyr::from_str(document).expect("YAML"), &mut found);
        }
        assert_eq!(found.len(), 1, "{path} runs one command");
        all.extend(found.into_iter().map(|command| (path.clone(), command)));
    }
    all
}

#[test]
fn every_command_in_the_pages_exists_with_its_flags() {
    let known = names(&help(&[]), "Commands:");
    let mut helps: BTreeMap<Vec<&str>, String> = BTreeMap::new();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    let pages = pages();
    let in_pages = pages
        .iter()
        .flat_map(|(path, page)| commands(path, page).into_iter().map(move |line| (path.clone(), line)));
    let lines: Vec<_> = in_pages.chain(manifests()).collect();
    for (path, line) in &lines {
        // Several on one line, too: what follows the program's name until the next sign of the shell. A namespace has that
        // name as well.
        let named =
            |at: &usize| line[*at] == "promotion-ledger" && (*at == 0 || !line[at - 1].starts_with('-'));
        for at in (0..line.len()).filter(named) {
            let rest = &line[at + 1..];
            let end = rest.iter().position(|word| ["|", "&&", ";", "&", ">"].contains(&word.as_str()));
            let rest = &rest[..end.unwrap_or(rest.len())];
            let Some(command) = rest.iter().find(|word| !word.starts_with('-')) else { continue };
            if !known.contains(command) {
                wrong.push(format!("{path}: there is no command {command}: {}", rest.join(" ")));
                continue;
            }
            let mut text = helps.entry(vec![command]).or_insert_with(|| help(&[command])).clone();
            if let Some(step) = rest.get(1).filter(|step| names(&text, "Commands:").contains(*step)) {
                text = helps.entry(vec![command, step]).or_insert_with(|| help(&[command, step])).clone();
            }
            for flag in rest.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
                let flag = flag.split('=').next().unwrap_or_default();
                if !text.split([' ', ',', '\n', '=']).any(|word| word == flag) {
                    wrong.push(format!("{path}: {command} has no {flag}: {}", rest.join(" ")));
                }
                checked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(checked > 150, "the commands are not read any more: {checked}");
}

#[test]
fn every_file_in_the_pages_is_there() {
    let parts =
        ["benches/", "docker/", "examples/", "fuzz/", "proto/", "python/", "schemas/", "src/", "tests/"];
    let (mut missing, mut checked) = (Vec::new(), 0);
    for (path, page) in pages() {
        for word in commands(&path, &page).into_iter().flatten() {
            let word = word
                .trim_start_matches("./")
                .trim_start_matches("$checkout/")
                .trim_end_matches([':', ',', '.']);
            if parts.iter().any(|part| word.starts_with(part)) {
                // `python[mlflow]` is a directory with a choice.
                let file = word.split(['[', '*']).next().unwrap_or_default();
                let beside = root().join(&path).with_file_name(file);
                let there = root().join(file).exists() || beside.exists();
                missing.extend((!there).then(|| format!("{path}: {word}")));
                checked += 1;
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    assert!(checked > 40, "the files are not read any more: {checked}");
}

/// A heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

#[test]
fn every_link_in_the_pages_leads_somewhere() {
    let pages = pages();
    let (mut dead, mut checked) = (Vec::new(), 0);
    for (path, page) in &pages {
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (file, place) =
                link.split_once('#').map_or((link, None), |(file, place)| (file, Some(place)));
            let target =
                if file.is_empty() { PathBuf::from(path) } else { Path::new(path).with_file_name(file) };
            let there = root().join(&target).exists();
            let headings = fs::read_to_string(root().join(&target)).unwrap_or_default();
            let found = place.is_none_or(|place| {
                headings
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#')) == place)
            });
            dead.extend((!there || !found).then(|| format!("{path}: {link}")));
            checked += 1;
        }
    }
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
    assert!(checked > 30, "the links are not read any more: {checked}");
}

/// The settings of a section, from the error that an unknown one gives.
fn settings(dir: &Path, section: &str) -> Vec<String> {
    let unknown = section.rsplit('.').fold(json!({ "no_such_setting": 1 }), |inner, part| {
        match part.strip_suffix("[]") {
            Some(name) => json!({ name: [inner] }),
            None => json!({ part: inner }),
        }
    });
    let Err(Error::Read(said)) = Config::load(dir, unknown) else { panic!("[{section}] takes anything") };
    let (_, expected) = said.split_once("expected").unwrap_or_else(|| panic!("{section}: {said}"));
    let is_name = |it: &&str| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    expected.split('`').filter(is_name).map(str::to_owned).collect()
}

/// `init` writes a line, or a comment, for each.
#[test]
fn the_configuration_file_names_every_setting() {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let text = fs::read_to_string(dir.path().join("promotion-ledger.toml")).expect("a configuration");
    let sections = [
        "tls",
        "tls.identities[]",
        "http",
        "log",
        "evidence",
        "evidence.s3",
        "evidence.checks",
        "archive",
        "subjects",
        "keys",
        "break_glass",
        "notify",
        "notify.webhooks[]",
        "notify.smtp",
        "logins[]",
        "registries[]",
        "registries[].targets[]",
        "witnesses",
        "witnesses.witness[]",
        "witnesses.timestamps[]",
        "witnesses.anchor",
        "identity",
        "identity.issuers[]",
        "identity.development",
        "limits",
    ];
    let (mut missing, mut named) = (Vec::new(), 0);
    for section in sections {
        let found = settings(&dir.path(), section);
        assert!(!found.is_empty(), "[{section}] has no settings");
        for name in found {
            let there = [format!("{name} ="), format!("{name}]"), format!(".{name}.")];
            missing.extend((!there.iter().any(|it| text.contains(it))).then(|| format!("{section}.{name}")));
            named += 1;
        }
    }
    assert!(missing.is_empty(), "promotion-ledger.toml does not name {missing:?}");
    assert!(named > 100, "the settings are not read any more: {named}");
}
