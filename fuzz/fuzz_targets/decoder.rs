//! libFuzzer over the target that `FUZZ_TARGET` names; `FUZZ_TARGET=names` prints the names of all. Seeds go into
//! `corpus/<target>`, which is to be given as the corpus: see `make fuzz`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

use std::{fs, path::Path, process, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        for target in TARGETS {
            println!("{}", target.name);
        }
        if name != "names" {
            eprintln!("FUZZ_TARGET={name:?} is none of these");
        }
        process::exit(i32::from(name != "names"));
    })
});

/// Before libFuzzer reads its corpus.
fn write_seeds() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = here.join("corpus").join(TARGET.name);
    fs::create_dir_all(&corpus).expect("a directory for the corpus");
    for (i, seed) in (TARGET.seeds)(&here.join("..")).iter().enumerate() {
        fs::write(corpus.join(format!("seed-{i}")), seed).expect("a seed is written");
    }
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| (TARGET.run)(bytes));
