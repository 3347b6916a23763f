//! Style that a compiler does not check: who may use whom, sizes and names of files, no unwrap, no machine paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which modules of `src` a module may use: the architecture. Further down may use further up, never the reverse,
/// with one exception: the command line starts a node, and a node serves what the command line's `init` made.
const USES: &[(&str, &[&str])] = &[
    // Pure.
    ("event", &[]),
    ("policy", &["event"]),
    ("proof", &["event"]),
    ("bundle", &["event", "proof"]),
    ("readable", &["event"]),
    ("page", &["event", "policy", "readable"]),
    ("review", &["event", "page", "readable"]),
    // One outside world each.
    ("clock", &["event"]),
    ("alert", &["event"]),
    ("identity", &["durable", "event"]),
    ("evidence", &["event", "keyfile"]),
    ("log", &["event"]),
    ("durable", &[]),
    ("cursor", &["event"]),
    ("mlflow", &["event", "evidence"]),
    ("keyfile", &["identity"]),
    ("config", &["event", "evidence", "identity", "keyfile", "log", "notify", "registry", "witness"]),
    ("witness", &["alert", "clock", "durable", "event", "evidence", "keyfile", "ledger", "proof"]),
    // What a node does. The ledger reads a log; admission resolves people and evidence, appends to the log and waits
    // for the ledger.
    ("ledger", &["event", "log", "proof"]),
    ("projection", &["event", "ledger", "policy"]),
    ("archive", &["alert", "clock", "durable", "event", "evidence", "ledger", "proof"]),
    (
        "admission",
        &[
            "archive", "clock", "event", "evidence", "identity", "ledger", "log", "page", "policy",
            "readable", "review",
        ],
    ),
    ("notify", &["alert", "clock", "cursor", "event", "keyfile", "ledger", "page", "projection"]),
    (
        "registry",
        &["admission", "alert", "clock", "cursor", "event", "evidence", "keyfile", "ledger", "mlflow"],
    ),
    ("gate", &["alert", "clock", "event", "ledger", "log", "projection", "proof"]),
    ("custody", &["admission", "alert", "archive", "event", "evidence", "identity", "ledger", "projection"]),
    // How it is asked; `node` wires everything together, and its services hold it.
    (
        "api",
        &[
            "admission",
            "alert",
            "archive",
            "clock",
            "config",
            "custody",
            "event",
            "evidence",
            "gate",
            "identity",
            "ledger",
            "node",
            "page",
            "projection",
            "proof",
            "readable",
            "registry",
            "review",
            "witness",
        ],
    ),
    (
        "node",
        &[
            "admission",
            "alert",
            "api",
            "archive",
            "clock",
            "config",
            "custody",
            "event",
            "evidence",
            "gate",
            "identity",
            "keyfile",
            "ledger",
            "log",
            "notify",
            "projection",
            "proof",
            "registry",
            "witness",
        ],
    ),
    // `rebuild` folds a stopped node's projections again.
    // The verify-only build's command: formats and proofs, nothing else.
    ("offline", &["bundle", "event", "proof"]),
    (
        "cli",
        &[
            "api",
            "archive",
            "bundle",
            "clock",
            "config",
            "durable",
            "event",
            "evidence",
            "gate",
            "identity",
            "keyfile",
            "ledger",
            "log",
            "mlflow",
            "node",
            "page",
            "policy",
            "projection",
            "proof",
            "readable",
            "review",
            "witness",
        ],
    ),
];

/// Longest source file, lines.
const LINES_MAX: usize = 400;
/// Files that are longer, and may shrink only.
const RATCHET: &[(&str, usize)] = &[];
/// Names that say nothing.
const BANNED: [&str; 8] = ["util", "utils", "helper", "helpers", "manager", "common", "misc", "shared"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a directory, with their paths from the root.
fn files(dir: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push((name(&path), fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing in {dir}");
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/")
}

/// The code without its unit tests and comments; lines stay where they are.
fn production(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Unit tests that have files of their own: `src/policy/tests.rs` and what is below `src/policy/tests/`.
fn is_unit_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The modules that `crate::…` names in some code: one, or those directly inside braces.
fn used(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            modules.insert(word(after));
            continue;
        };
        let mut depth = 0;
        let mut expected = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expected = true,
                c if depth == 0 && expected && !c.is_whitespace() => {
                    modules.insert(word(&list[at..]));
                    expected = false;
                }
                _ => {}
            }
        }
    }
    modules
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `src/event/text.rs` and `src/event.rs` belong to `event`.
fn module(path: &str) -> &str {
    let inside = path.strip_prefix("src/").expect("in src");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let code = "use crate::event;\nuse crate::{\n    clock::{Clock, SystemClock},\n    log::kafka, proof,\n};\nlet x = crate::ledger::f();";
    let expected = ["clock", "event", "ledger", "log", "proof"];
    assert_eq!(used(code).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn modules_use_only_what_the_table_says() {
    let table: BTreeMap<&str, &[&str]> = USES.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut real: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files("src", &[".rs"]) {
        let own = module(&path);
        if matches!(own, "lib" | "main") {
            continue;
        }
        let Some(allowed) = table.get(own) else {
            wrong.push(format!("{path}: the module {own} is not in the table"));
            continue;
        };
        for module in used(&production(&text)) {
            if module != own && !allowed.contains(&module.as_str()) {
                wrong.push(format!("{path}: {own} must not use {module}"));
            }
            real.entry(own.to_owned()).or_default().insert(module);
        }
    }
    for (own, allowed) in USES {
        let unused =
            allowed.iter().filter(|module| real.get(*own).is_none_or(|used| !used.contains(**module)));
        wrong.extend(
            unused.map(|module| format!("the table lets {own} use {module}, but it does not: take it out")),
        );
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io() {
    let pure = [
        "src/event/",
        "src/policy/",
        "src/proof/",
        "src/bundle/",
        "src/readable/",
        "src/page/",
        "src/review/",
        "src/mlflow/openssf.rs",
        "src/mlflow/tar.rs",
        "src/registry/comparison.rs",
        "src/registry/expected.rs",
        "src/registry/pointer.rs",
        "src/registry/webhook.rs",
        "src/gate/question.rs",
        "src/gate/admission_review.rs",
    ];
    let also = [
        "src/ledger/decide",
        "src/ledger/plan.rs",
        "src/ledger/prepared.rs",
        "src/ledger/reviews.rs",
        "src/ledger/review_rows.rs",
        "src/ledger/state.rs",
        "src/ledger/keys.rs",
        "src/ledger/gates.rs",
        "src/admission/draft.rs",
        "src/archive/pieces.rs",
        "src/evidence/personal/",
    ];
    let banned = [
        "tokio",
        "std::fs",
        "std::net",
        "std::time",
        "getrandom",
        "rocksdb",
        "std::env",
        "SystemTime",
        "Instant",
    ];
    for (path, text) in files("src", &[".rs"]).into_iter().filter(|(path, _)| !is_unit_test(path)) {
        if pure.iter().chain(&also).any(|prefix| path.starts_with(prefix)) {
            let code = production(&text);
            for word in banned {
                assert!(!code.contains(word), "{path} is pure, but uses {word}");
            }
        }
    }
}

#[test]
fn files_stay_small() {
    let ratchet: BTreeMap<&str, usize> = RATCHET.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in files("src", &[".rs"]) {
        // Unit tests and pinned tables beside the code do not count.
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        let most = ratchet.get(path.as_str()).copied().unwrap_or(LINES_MAX);
        if lines > most {
            wrong.push(format!("{path} has {lines} lines; at most {most}: split it"));
        }
        if ratchet.contains_key(path.as_str()) && lines < most {
            wrong.push(format!("{path} has {lines} lines only: lower its ratchet from {most}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn names_say_what_things_are() {
    for (path, text) in files("src", &[".rs"]).into_iter().chain(files("tests/it", &[".rs"])) {
        let banned = |name: &str| name.split('_').any(|part| BANNED.contains(&part));
        let parts: Vec<_> = path.trim_end_matches(".rs").split('/').collect();
        assert!(!parts.iter().any(|part| banned(part)), "{path}: name it after what it is");
        for line in text.lines() {
            let line = line
                .trim_start()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub(crate) ");
            for keyword in ["mod ", "struct ", "enum ", "trait "] {
                let Some(rest) = line.strip_prefix(keyword) else { continue };
                let snake: String = word(rest)
                    .chars()
                    .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
                    .collect();
                assert!(!banned(&snake), "{path}: {}", line.trim());
            }
        }
    }
}

#[test]
fn production_code_does_not_unwrap() {
    let sources = files("src", &[".rs"]).into_iter().filter(|(path, _)| !is_unit_test(path));
    for (path, text) in sources {
        for (i, line) in production(&text).lines().enumerate() {
            for banned in [".unwrap()", "unbounded_channel", "unbounded("] {
                assert!(!line.contains(banned), "{path}:{}: {banned}", i + 1);
            }
        }
    }
}

/// Tests and benches too, this one among them: no pattern is spelled out here.
#[test]
fn no_code_is_left_unfinished() {
    let banned = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    for (path, text) in
        ["src", "tests", "benches", "examples"].into_iter().flat_map(|dir| files(dir, &[".rs"]))
    {
        for (i, line) in text.lines().enumerate() {
            assert!(!banned.iter().any(|it| line.contains(it)), "{path}:{}: {}", i + 1, line.trim());
        }
    }
}

#[test]
fn nothing_names_this_machine() {
    let here = root().to_string_lossy().into_owned();
    let cargo_home = std::env::var("CARGO_HOME").unwrap_or_default();
    let homes = ["home", "root", "Users"].map(|name| format!("/{name}/"));
    let machine: Vec<_> = homes.into_iter().chain([here, cargo_home]).filter(|path| path.len() > 3).collect();
    for dir in ["src", "proto", "tests", "examples", "benches", "docker", "schemas"] {
        for (path, text) in files(dir, &[".rs", ".proto", ".json", ".py", ".sh", ".toml", ".md", ".yaml"]) {
            for named in &machine {
                assert!(!text.contains(named), "{path} names {named}");
            }
        }
    }
}

/// A mod.rs is a table of contents.
#[test]
fn mod_files_hold_contents_not_logic() {
    for (path, text) in files("src", &["/mod.rs"]) {
        let lines = production(&text).lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 80, "{path} has {lines} lines of code: give it a file of its own");
    }
}

/// A promise of the README, and the tests that it names in backticks: `file.rs`, `file.rs: a_test`, or a further test of
/// the file before it; a name may end with `…`.
#[test]
fn every_test_that_the_readme_names_exists() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let (_, promises) = readme.split_once("## Promises").expect("the promises");
    let rows =
        promises.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let (mut missing, mut named) = (Vec::new(), 0);
    for row in rows.skip(1) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let mut file = None;
        for item in tests.split('`').skip(1).step_by(2).filter(|item| !item.contains('=')) {
            let (path, test) = match item.split_once(": ") {
                Some((path, test)) => (Some(path), Some(test)),
                None if item.contains(['.', '/']) => (Some(item), None),
                None => (None, Some(item)),
            };
            if let Some(path) = path {
                let places = [path.to_owned(), format!("tests/it/{path}"), format!("python/tests/{path}")];
                file = places.into_iter().map(|place| root().join(place)).find(|place| place.exists());
            }
            let found = file.as_deref().is_some_and(|file| holds(file, test));
            if !found {
                missing.push(format!("{item}, in: {row}"));
            }
            named += 1;
        }
    }
    assert!(named > 30, "the promises are not read any more");
    assert!(missing.is_empty(), "the README names tests that do not exist:\n{}", missing.join("\n"));
}

/// Whether a file, or one below a directory, holds a test of this name, or any test at all.
fn holds(path: &Path, test: Option<&str>) -> bool {
    if path.is_dir() {
        return fs::read_dir(path)
            .expect("a directory")
            .any(|entry| holds(&entry.expect("an entry").path(), test));
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    match test {
        Some(test) => {
            let start = format!("fn {}", test.trim_end_matches('…'));
            text.split(&start).skip(1).any(|rest| test.ends_with('…') || rest.starts_with('('))
        }
        None => ["#[test]", "::test", "proptest!", "mod tests", "def test_", "def main"]
            .iter()
            .any(|it| text.contains(it)),
    }
}
